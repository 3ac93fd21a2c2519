"""Schemes and their tiers (CRD-1), for members and for those who make them."""

from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.ids import parse_type_id, type_id
from app.models import cards as rows
from app.models.cards import ConsumptionVerification, DeductionRule
from app.models.staff import Permission
from app.models.tiers import TierCondition
from app.services import schemes
from schema.context import Info
from schema.enums import describe
from schema.organisation import Node, NodeNotFound
from schema.points_rules import OpenPointsRules, PointsRules
from schema.problems import Problem, shown_as
from schema.scalars import CurrencyCode, Long, Money
from schema.tier_rules import (
    OpenTierRules,
    TierRules,
    TierRulesLocked,
    TierRun,
    TierTask,
)

describe(
    DeductionRule,
    "Which stored value pays first.",
    {
        "CASH_FIRST": "What was paid in, then the bonus.",
        "BONUS_FIRST": "The bonus, then what was paid in.",
        "PROPORTIONAL": "Both, in the proportion of the balances.",
    },
)
describe(
    ConsumptionVerification,
    "What a holder proves before a card pays.",
    {
        "NONE": "Nothing: the card is enough.",
        "PIN": "The card's six-digit PIN.",
        "SMS": "A code sent to the holder's phone.",
    },
)


@strawberry.type(description="A step of a scheme.")
class Tier:
    id: strawberry.ID = strawberry.field(description="Its id, `tier_…`.")
    level: int = strawberry.field(description="1 is where new cards start.")
    name: str = strawberry.field(description="What members read.")
    growth_from: Long = strawberry.field(
        description="The growth it begins at; 0 where growth does not lead to it."
    )
    condition: TierCondition = strawberry.field(description="How growth leads to it.")
    window_months: int | None = strawberry.field(description="The months of WINDOW.")
    row: strawberry.Private[rows.Tier]

    @classmethod
    def of(cls, row: rows.Tier) -> Self:
        return cls(
            id=strawberry.ID(type_id("tier", row.id)),
            level=row.level,
            name=row.name,
            growth_from=Long(row.growth_from),
            condition=row.condition,
            window_months=row.window_months,
            row=row,
        )

    @strawberry.field(description="The tasks that lead to it all together; at most 10.")
    async def tasks(self, info: Info) -> list[TierTask]:
        found = await info.context.loaders.tasks_of_tier.load(self.row.id)
        return [TierTask.of(row) for row in found]


@strawberry.type
class _AnyScheme:
    """What both schemas say of a scheme; the admin schema adds where it is used."""

    id: strawberry.ID = strawberry.field(description="Its id, `sch_…`.")
    name: str = strawberry.field(description="What people call it.")
    currency: CurrencyCode = strawberry.field(description="What its cards are kept in.")
    deduction_rule: DeductionRule = strawberry.field(description="Which value pays first.")
    consumption_verification: ConsumptionVerification = strawberry.field(
        description="What a holder proves before a card pays."
    )
    points_unit: Money = strawberry.field(
        description="A purchase earns pointsRate for each whole unit paid, tax left out."
    )
    points_rate: Long = strawberry.field(description="Points for each whole pointsUnit.")
    valid_days: int | None = strawberry.field(
        description="How long a card is valid from its issue; null is without end."
    )
    is_open_to_join: bool = strawberry.field(
        description="Whether members can open a card themselves."
    )
    covers_all_stores: bool = strawberry.field(
        description="Whether it is used at all stores below its perspective, or at some."
    )
    opening_coupon_pack_id: strawberry.ID | None = strawberry.field(
        description="The coupon pack that is bought to open a card, `cpk_…`; null if none is."
    )
    opening_package_id: strawberry.ID | None = strawberry.field(
        description="The package that is bought to open a card, `pkg_…`; null if none is. Without"
        " either a card is free."
    )
    row: strawberry.Private[rows.Scheme]

    @classmethod
    def of(cls, row: rows.Scheme) -> Self:
        return cls(
            id=scheme_id_of(row.id),
            name=row.name,
            currency=CurrencyCode(row.currency),
            deduction_rule=row.deduction_rule,
            consumption_verification=row.consumption_verification,
            points_unit=Money.of(row.points_unit, row.currency),
            points_rate=Long(row.points_rate),
            valid_days=row.valid_days,
            is_open_to_join=row.is_open_to_join,
            covers_all_stores=row.covers_all_stores,
            opening_coupon_pack_id=_shown("cpk", row.opening_pack_id),
            opening_package_id=_shown("pkg", row.opening_package_id),
            row=row,
        )

    @strawberry.field(description="Its tiers, lowest first.")
    async def tiers(self, info: Info) -> list[Tier]:
        found = await info.context.loaders.tiers_of_scheme.load(self.row.id)
        return [Tier.of(row) for row in found]

    @strawberry.field(description="The node it was made under.")
    async def perspective(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.row.perspective_id))


_DESCRIPTION = "A card plan: currency, tiers, and how points are earned."


@strawberry.type(name="Scheme", description=_DESCRIPTION)
class OpenScheme(_AnyScheme):
    """As members see it."""

    @strawberry.field(description="What its growth and tiers go by.")
    def tier_rules(self) -> OpenTierRules:
        return OpenTierRules.of(self.row)

    @strawberry.field(description="How long its points last, and how they pay.")
    def points_rules(self) -> OpenPointsRules:
        return OpenPointsRules.of(self.row)


@strawberry.type(description=_DESCRIPTION)
class Scheme(_AnyScheme):
    @strawberry.field(description="What its growth and tiers go by.")
    def tier_rules(self) -> TierRules:
        return TierRules.of(self.row)

    @strawberry.field(
        description="The run that recomputes its cards now, null if none: then nothing is locked."
    )
    async def tier_run(self, info: Info) -> TierRun | None:
        run = await info.context.loaders.tier_run_of_scheme.load(self.row.id)
        return TierRun.of(run) if run else None

    @strawberry.field(description="What its points are subject to beyond what purchases earn.")
    def points_rules(self) -> PointsRules:
        return PointsRules.of(self.row)

    @strawberry.field(
        description="The stores it names if it does not cover all: those where the asker holds"
        f" `schemes:read`, {schemes.SCHEME_STORES_MAX:,} at most."
    )
    async def stores(self, info: Info) -> list[Node]:
        actor = await info.context.actor()
        actor.require_any(Permission.SCHEMES_READ)
        named = await info.context.loaders.stores_of_scheme.load(self.row.id)
        return [Node.of(row) for row in named if actor.may(Permission.SCHEMES_READ, row)]


def _shown(prefix: str, row_id: UUID | None) -> strawberry.ID | None:
    return None if row_id is None else strawberry.ID(type_id(prefix, row_id))


def scheme_id_of(scheme_id: UUID) -> strawberry.ID:
    return strawberry.ID(type_id("sch", scheme_id))


@strawberry.type(description="There is no such card scheme.")
class SchemeNotFound(Problem): ...


@strawberry.type(description="Another scheme of the same perspective has this name.")
class SchemeNameTaken(Problem): ...


@strawberry.type(description="The scheme has no tier yet, so it cannot be used.")
class SchemeHasNoTier(Problem): ...


@strawberry.type(description="Members cannot open a card of this scheme themselves.")
class SchemeClosed(Problem): ...


@strawberry.type(description="The scheme is not used at this store.")
class NotAtThisStore(Problem): ...


@strawberry.type(description="A card of this scheme is opened by buying something.")
class CardMustBeBought(Problem):
    coupon_pack_id: strawberry.ID | None = strawberry.field(
        description="The coupon pack to buy, `cpk_…`; null if it is a package."
    )
    package_id: strawberry.ID | None = strawberry.field(
        description="The package to buy, `pkg_…`; null if it is a coupon pack."
    )
    name: str = strawberry.field(description="What it is called.")

    @classmethod
    def of(cls, error: schemes.CardMustBeBought) -> Self:
        return cls(
            message=str(error),
            coupon_pack_id=_shown("cpk", error.pack_id),
            package_id=_shown("pkg", error.package_id),
            name=error.name,
        )


@strawberry.type(description="There is no such coupon pack or package here or above.")
class OpeningProductNotFound(Problem): ...


@strawberry.input(
    description="What is bought to open a card of a scheme; without either it is free."
)
class SchemeSetOpeningInput:
    id: strawberry.ID = strawberry.field(description="The scheme, `sch_…`.")
    coupon_pack_id: strawberry.ID | None = strawberry.field(
        default=None, description="A coupon pack made where the scheme is or above, `cpk_…`."
    )
    package_id: strawberry.ID | None = strawberry.field(
        default=None, description="Or a package, `pkg_…`."
    )


_POINTS_UNIT = "Minor units of the currency that make one unit, 1 to 1,000,000,000."
_POINTS_RATE = "Points for each whole unit, 0 to 10,000."
_STORE_IDS = "Where it is used, `node_…`; null is at all stores below the perspective."
_VALID_DAYS = "How long a card is valid from its issue, 1 to 36,500; null is without end."


@strawberry.input(description="A scheme to make. It needs a tier before it can be used.")
class SchemeCreateInput:
    perspective_id: strawberry.ID = strawberry.field(
        description="The group, brand or store it is made under, `node_…`."
    )
    name: str = strawberry.field(description="What people call it, 1 to 120 characters.")
    currency: CurrencyCode = strawberry.field(description="What its cards are kept in, for good.")
    deduction_rule: DeductionRule = strawberry.field(description="Which value pays first.")
    consumption_verification: ConsumptionVerification = strawberry.field(
        description="What a holder proves before a card pays."
    )
    points_unit: Long = strawberry.field(description=_POINTS_UNIT)
    points_rate: Long = strawberry.field(description=_POINTS_RATE)
    valid_days: int | None = strawberry.field(default=None, description=_VALID_DAYS)
    store_ids: list[strawberry.ID] | None = strawberry.field(default=None, description=_STORE_IDS)


@strawberry.input(description="All the rules of a scheme, as they shall be from now on.")
class SchemeUpdateInput:
    id: strawberry.ID = strawberry.field(description="The scheme, `sch_…`.")
    name: str = strawberry.field(description="What people call it, 1 to 120 characters.")
    deduction_rule: DeductionRule = strawberry.field(description="Which value pays first.")
    consumption_verification: ConsumptionVerification = strawberry.field(
        description="What a holder proves before a card pays."
    )
    points_unit: Long = strawberry.field(description=_POINTS_UNIT)
    points_rate: Long = strawberry.field(description=_POINTS_RATE)
    valid_days: int | None = strawberry.field(default=None, description=_VALID_DAYS)
    is_open_to_join: bool = strawberry.field(
        description="Whether members can open a card themselves."
    )
    store_ids: list[strawberry.ID] | None = strawberry.field(default=None, description=_STORE_IDS)


def store_ids_of(given: list[strawberry.ID] | None) -> list[UUID] | None:
    """The stores an input names, None for all; raises `BadInput`."""
    return None if given is None else [parse_type_id("node", store_id) for store_id in given]


@strawberry.input(description="A tier to put above the scheme's highest one.")
class TierCreateInput:
    scheme_id: strawberry.ID = strawberry.field(description="The scheme, `sch_…`.")
    name: str = strawberry.field(description="What members read, 1 to 64 characters.")
    growth_from: Long = strawberry.field(
        description="The growth it begins at: more than the tier below, 0 or more for the first."
    )


SchemeCreateResult = Annotated[
    Scheme | NodeNotFound | SchemeNameTaken,
    strawberry.union("SchemeCreateResult", description="The new scheme, or why there is none."),
]
SchemeUpdateResult = Annotated[
    Scheme | SchemeNotFound | NodeNotFound | SchemeNameTaken,
    strawberry.union("SchemeUpdateResult", description="The scheme as it is now, or why not."),
]
SchemeSetOpeningResult = Annotated[
    Scheme | SchemeNotFound | OpeningProductNotFound,
    strawberry.union("SchemeSetOpeningResult", description="The scheme as it is now, or why not."),
]
TierCreateResult = Annotated[
    Tier | SchemeNotFound | TierRulesLocked,
    strawberry.union("TierCreateResult", description="The new tier, or why there is none."),
]

HANDLERS = [
    shown_as(SchemeNotFound, schemes.SchemeNotFound),
    shown_as(SchemeNameTaken, schemes.SchemeNameTaken),
    shown_as(SchemeHasNoTier, schemes.SchemeHasNoTier),
    shown_as(SchemeClosed, schemes.SchemeClosed),
    shown_as(NotAtThisStore, schemes.NotAtThisStore),
    shown_as(CardMustBeBought, schemes.CardMustBeBought),
    shown_as(OpeningProductNotFound, schemes.OpeningProductNotFound),
    shown_as(TierRulesLocked, schemes.TierRulesLocked),
]
