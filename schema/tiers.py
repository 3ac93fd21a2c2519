"""How cards reach their tiers, and what staff do about it (TIR)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.core.ids import parse_type_id, type_id
from app.core.tier_periods import TierValidity
from app.models import tiers as rows
from app.models.tiers import (
    AfterTierExpiry,
    OnGrowthChange,
    TaskKind,
    TierCause,
    TierCondition,
)
from app.services import tiers
from app.services.tiers import Rules
from schema.context import Info
from schema.loaders import History, HistoryPage
from schema.pages import Connection, page_limit, row_after
from schema.problems import EditedMeanwhile, Problem, shown_as
from schema.scalars import Long
from schema.schemes import Scheme, SchemeNotFound, Tier
from schema.tier_rules import TierRulesLocked, TierRun


@strawberry.type(description="How far a card is with a task of the next tier.")
class TierTaskProgress:
    kind: TaskKind = strawberry.field(description="What it asks for.")
    event_key: str | None = strawberry.field(description="Which events, where it asks for those.")
    at_least: Long = strawberry.field(description="How many, or how much in minor units.")
    reached: Long = strawberry.field(description="How many or how much there is.")

    @classmethod
    def of(cls, found: tiers.Reached) -> Self:
        return cls(
            kind=found.task.kind,
            event_key=found.task.event_key,
            at_least=Long(found.task.at_least),
            reached=Long(found.done),
        )


@strawberry.type(description="How far a card is on the way to the next tier.")
class TierProgress:
    growth_needed: Long | None = strawberry.field(
        description="The growth the next tier begins at; null where growth does not lead to it."
    )
    growth_gained: Long = strawberry.field(description="The growth that counts towards it now.")
    tasks: list[TierTaskProgress] = strawberry.field(
        description="The tasks that lead to it all together; at most 10."
    )
    expires_at: datetime | None = strawberry.field(
        description="When the present tier ends; null is never."
    )
    found: strawberry.Private[tiers.Progress]

    @classmethod
    def of(cls, found: tiers.Progress) -> Self:
        needed = found.growth_needed
        return cls(
            growth_needed=None if needed is None else Long(needed),
            growth_gained=Long(found.growth_gained),
            tasks=[TierTaskProgress.of(each) for each in found.tasks],
            expires_at=found.expires_at,
            found=found,
        )

    @strawberry.field(description="The next tier; null at the top.")
    async def tier(self, info: Info) -> Tier | None:
        if self.found.tier_id is None:
            return None
        return Tier.of(await info.context.loaders.tier.load(self.found.tier_id))


@strawberry.type(description="A card's tier changed.")
class TierChange:
    id: strawberry.ID = strawberry.field(description="Its id, `tch_…`.")
    card_id: strawberry.ID = strawberry.field(
        description="The card, `card_…`; that may have been merged since."
    )
    cause: TierCause = strawberry.field(description="Why.")
    changed_at: datetime = strawberry.field(description="When.")
    row: strawberry.Private[rows.TierChange]

    @classmethod
    def of(cls, row: rows.TierChange) -> Self:
        return cls(
            id=strawberry.ID(type_id("tch", row.id)),
            card_id=strawberry.ID(type_id("card", row.card_id)),
            cause=row.cause,
            changed_at=row.changed_at,
            row=row,
        )

    @strawberry.field(name="from", description="The tier before.")
    async def from_tier(self, info: Info) -> Tier:
        return Tier.of(await info.context.loaders.tier.load(self.row.from_tier_id))

    @strawberry.field(name="to", description="The tier since.")
    async def to_tier(self, info: Info) -> Tier:
        return Tier.of(await info.context.loaders.tier.load(self.row.to_tier_id))


@strawberry.type(description="A page of the changes of a card's tier.")
class TierChangeConnection(Connection[TierChange]):
    @classmethod
    async def load(cls, info: Info, history: History, first: int, after: str | None) -> Self:
        page = HistoryPage(history, row_after(after), page_limit(first))
        found = await info.context.loaders.tier_changes.load(page)
        return cls.of(found, first, TierChange.of)


@strawberry.type(description="The rules stand, and all cards are being recomputed by them.")
class TierRulesReleased:
    scheme: Scheme = strawberry.field(description="The scheme as it is now.")
    run: TierRun = strawberry.field(description="The run that recomputes its cards.")

    @classmethod
    def of(cls, released: tiers.Released) -> Self:
        return cls(scheme=Scheme.of(released.scheme), run=TierRun.of(released.run))


@strawberry.type(description="The card's scheme has no such tier.")
class TierNotFound(Problem): ...


@strawberry.type(
    description="A tier that cards have or had, or that is given or asked for somewhere, cannot go."
)
class TierInUse(Problem):
    tier_id: strawberry.ID = strawberry.field(description="The tier, `tier_…`.")

    @classmethod
    def of(cls, error: tiers.TierInUse) -> Self:
        return cls(message=str(error), tier_id=strawberry.ID(type_id("tier", error.tier_id)))


@strawberry.type(description="A scheme whose tiers are computed never goes back to recording them.")
class ReleasedForGood(Problem): ...


@strawberry.input(description="Products, by id or by a part of their name: one of the two.")
class ProductConditionInput:
    id: str | None = strawberry.field(
        default=None, description="Exactly this product, 1 to 64 characters."
    )
    name: str | None = strawberry.field(
        default=None,
        description="Each whose name contains this, in small or capital letters; 1 to 120"
        " characters.",
    )

    def value(self) -> dict[str, str]:
        given = {"id": self.id, "name": self.name}
        return {key: text for key, text in given.items() if text is not None}


@strawberry.input(description="One of the tasks that lead to a tier together.")
class TierTaskInput:
    kind: TaskKind = strawberry.field(description="What it asks for.")
    at_least: Long = strawberry.field(
        description="How many, or how much in minor units; 1 or more."
    )
    event_key: str | None = strawberry.field(
        default=None, description="Which events, 1 to 48 characters; of EVENTS only."
    )
    window_months: int | None = strawberry.field(
        default=None, description="Counted over the last so many months, 1 to 120; null is ever."
    )

    def value(self) -> tiers.TaskGiven:
        return tiers.TaskGiven(
            kind=self.kind,
            at_least=self.at_least,
            event_key=self.event_key,
            window_months=self.window_months,
        )


@strawberry.input(description="A tier as it shall be.")
class TierInput:
    id: strawberry.ID | None = strawberry.field(
        default=None, description="The tier, `tier_…`; null makes a new one."
    )
    name: str = strawberry.field(
        description="What members read, 1 to 64 characters, each tier's its own."
    )
    growth_from: Long = strawberry.field(
        description="The growth it begins at: more than each tier below, 0 for the lowest and for"
        " NONE."
    )
    condition: TierCondition = strawberry.field(
        default=TierCondition.ACCUMULATED,
        description="How growth leads to it; ACCUMULATED for the lowest.",
    )
    window_months: int | None = strawberry.field(
        default=None, description="The months of WINDOW, 1 to 120."
    )
    tasks: list[TierTaskInput] = strawberry.field(
        default_factory=list,
        description="Tasks that lead to it all together, beside growth; at most 10.",
    )

    def value(self) -> tiers.TierGiven:
        return tiers.TierGiven(
            id=None if self.id is None else parse_type_id("tier", self.id),
            name=self.name,
            growth_from=self.growth_from,
            condition=self.condition,
            window_months=self.window_months,
            tasks=[task.value() for task in self.tasks],
        )


@strawberry.input(description="When all cards are recomputed, at 00:00 in the scheme's time zone.")
class TierRecalculationInput:
    months: int = strawberry.field(
        description="How many months a cycle has, from January on: 1, 2, 3, 4, 6 or 12."
    )
    day: int = strawberry.field(
        description="The day of its first month: 1 to 28, or 31 for the last one."
    )


@strawberry.input(description="How long a tier lasts once it is reached.")
class TierValidityInput:
    rule: TierValidity = strawberry.field(description="The rule.")
    months: int = strawberry.field(
        default=0, description="Its months, 1 to 120; PERMANENT has none."
    )


@strawberry.input(description="All rules of a scheme's growth and tiers, as they shall be.")
class TierRulesReleaseInput:
    scheme_id: strawberry.ID = strawberry.field(description="The scheme, `sch_…`.")
    expected_version: int = strawberry.field(
        description="The version this edit began with: a later one is not overwritten."
    )
    growth_unit: Long = strawberry.field(
        description="Minor units of the currency that make one unit, 1 to 1,000,000,000."
    )
    growth_rate: Long = strawberry.field(
        description="Growth for each whole unit, 0 to 10,000; 0 is none."
    )
    growth_only: list[ProductConditionInput] = strawberry.field(
        default_factory=list,
        description="The products that alone earn growth; empty is all. At most 200.",
    )
    growth_except: list[ProductConditionInput] = strawberry.field(
        default_factory=list, description="The products that earn none; at most 200."
    )
    on_growth_change: OnGrowthChange = strawberry.field(
        default=OnGrowthChange.ADJUST, description="What a change of growth does to a card's tier."
    )
    recalculation: TierRecalculationInput | None = strawberry.field(
        default=None, description="When all cards are recomputed; null is never."
    )
    validity: TierValidityInput = strawberry.field(description="How long tiers last.")
    after_expiry: AfterTierExpiry = strawberry.field(
        default=AfterTierExpiry.BY_RULE, description="What decides when a tier runs out."
    )
    tiers: list[TierInput] = strawberry.field(
        description="All tiers, lowest first, 1 to 50. One that is left out is removed."
    )

    def rules(self) -> Rules:
        again = self.recalculation
        return Rules(
            growth_unit=self.growth_unit,
            growth_rate=self.growth_rate,
            growth_only=_conditions(self.growth_only),
            growth_except=_conditions(self.growth_except),
            on_growth_change=self.on_growth_change,
            recalculation_months=again.months if again else None,
            recalculation_day=again.day if again else None,
            validity=self.validity.rule,
            validity_months=self.validity.months,
            after_expiry=self.after_expiry,
            tiers=[tier.value() for tier in self.tiers],
        )


def _conditions(given: Sequence[ProductConditionInput]) -> list[dict[str, str]]:
    return [each.value() for each in given]


@strawberry.input(description="A scheme whose tiers shall only be recorded.")
class TierRulesRecordOnlyInput:
    scheme_id: strawberry.ID = strawberry.field(description="The scheme, `sch_…`.")


@strawberry.input(description="A card's tier, as staff or a partner's system say it is.")
class CardTierSetInput:
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    tier_id: strawberry.ID | None = strawberry.field(
        description="The tier, `tier_…`; null withdraws what was set before."
    )
    expires_at: datetime | None = strawberry.field(
        default=None, description="Until when, with its offset; null is for good."
    )
    reason: str = strawberry.field(description="Why, 1 to 200 characters; it is recorded.")


TierRulesReleaseResult = Annotated[
    TierRulesReleased
    | SchemeNotFound
    | EditedMeanwhile
    | TierRulesLocked
    | TierNotFound
    | TierInUse,
    strawberry.union("TierRulesReleaseResult", description="The rules and their run, or why not."),
]
TierRulesRecordOnlyResult = Annotated[
    Scheme | SchemeNotFound | ReleasedForGood,
    strawberry.union(
        "TierRulesRecordOnlyResult", description="The scheme, whose tiers are recorded, or why not."
    ),
]

HANDLERS = [
    shown_as(TierNotFound, tiers.TierNotFound),
    shown_as(TierInUse, tiers.TierInUse),
    shown_as(ReleasedForGood, tiers.ReleasedForGood),
]
