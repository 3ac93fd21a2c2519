"""Benefits: as they are made, as a card has them, and why one cannot be (BEN-1, BEN-3)."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.ids import parse_type_id, type_id
from app.models import benefits as rows
from app.models.benefits import BenefitKind, BenefitSource, BenefitState
from app.services import benefits
from app.services.benefits import checking
from app.services.benefits import details as values
from schema.audit import ACTOR_PREFIXES
from schema.benefits.details import BenefitDetails, BenefitRestrictions, details_shown
from schema.benefits.inputs import BenefitDetailsInput, BenefitRestrictionsInput
from schema.campaigns import CampaignNotFound, NotAMemberBenefit
from schema.context import Info
from schema.enums import describe
from schema.files import FILE_PROBLEMS, FileNotFound, Image, image_of
from schema.organisation import Node, NodeNotFound, StoreGroupNotFound
from schema.problems import EditedMeanwhile, Problem, shown_as
from schema.scalars import CurrencyCode
from schema.scopes import AudienceNotFound, Scope, ScopeInput

describe(
    BenefitKind,
    "The types of benefits.",
    {
        "MARKETING": "Leads to a campaign.",
        "PROMOTIONAL": "Leads to a campaign that takes something off a bill.",
        "MEMBER_PRICING": "Prices for members.",
        "MEMBER_DISCOUNT": "A share off the bill.",
        "MEMBER_DAY": "Days for members.",
        "BIRTHDAY": "Something for the birthday.",
        "POINTS_MULTIPLIER": "More points for purchases.",
        "CARD_EXTENSION": "More days for a card, with a package or a top-up.",
        "EXCLUSIVE_SERVICE": "A service for few.",
        "CUSTOM": "Whatever else.",
    },
)
describe(
    BenefitState,
    "Whether members enjoy a benefit.",
    {
        "DRAFT": "Not yet.",
        "ACTIVE": "Yes: those whom its scope means, and those who were given it.",
        "INACTIVE": "Nobody does, until it is activated again.",
    },
)
describe(
    BenefitSource,
    "Where a card has a benefit from that its scheme and tier do not bring.",
    {"PACKAGE": "A paid package.", "TOP_UP": "A top-up."},
)

_SCOPE = (
    "For which cards, where, when and on which channel; null is everywhere, always, for everybody."
)


@strawberry.type(description="What members enjoy, as the back office makes it.")
class Benefit:
    id: strawberry.ID = strawberry.field(description="Its id, `ben_…`.")
    kind: BenefitKind = strawberry.field(description="Its type.")
    state: BenefitState = strawberry.field(description="Whether members enjoy it.")
    name: str = strawberry.field(description="What people call it.")
    brief: str = strawberry.field(description="What it is, in a line.")
    description: str | None = strawberry.field(description="What it is, at length.")
    currency: CurrencyCode | None = strawberry.field(
        description="What its amounts are in; null if it has none."
    )
    details: BenefitDetails = strawberry.field(description="The fields of its type.")
    restrictions: BenefitRestrictions = strawberry.field(
        description="When it is invalid in spite of all, and for what."
    )
    operator_id: strawberry.ID = strawberry.field(
        description="Who saved it last, `stf_…` or `cli_…`."
    )
    version: int = strawberry.field(description="For `expectedVersion`: it grows with each edit.")
    created_at: datetime = strawberry.field(description="When it was drafted.")
    changed_at: datetime = strawberry.field(description="When it was saved last.")
    row: strawberry.Private[rows.Benefit]

    @classmethod
    def of(cls, row: rows.Benefit) -> Self:
        restrictions = values.Restrictions.from_document(row.restrictions)
        return cls(
            id=benefit_id_of(row.id),
            kind=row.kind,
            state=row.state,
            name=row.name,
            brief=row.brief,
            description=row.description,
            currency=None if row.currency is None else CurrencyCode(row.currency),
            details=details_shown(values.details_of(row.kind, row.details), row.currency),
            restrictions=BenefitRestrictions.of(restrictions, row.currency),
            operator_id=strawberry.ID(type_id(ACTOR_PREFIXES[row.operator_kind], row.operator_id)),
            version=row.version,
            created_at=row.created_at,
            changed_at=row.changed_at,
            row=row,
        )

    @strawberry.field(description="Its icon; null is none.")
    async def icon(self, info: Info) -> Image | None:
        return await image_of(info, self.row.icon_file_id)

    @strawberry.field(description="The node it was made under.")
    async def perspective(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.row.perspective_id))

    @strawberry.field(description="For which cards, where, when and on which channel.")
    async def scope(self, info: Info) -> Scope:
        return Scope.of(await info.context.loaders.scope.load(self.row.scope_id))

    @strawberry.field(description="The name of who saved it last; null is a partner's client.")
    async def operator_name(self, info: Info) -> str | None:
        return await info.context.loaders.operator_name.load(self.row.operator_id)


@strawberry.type(description="A benefit that a card has: as it is, or as it was when it was given.")
class CardBenefit:
    benefit_id: strawberry.ID = strawberry.field(description="The benefit, `ben_…`.")
    kind: BenefitKind = strawberry.field(description="Its type.")
    name: str = strawberry.field(description="What people call it.")
    brief: str = strawberry.field(description="What it is, in a line.")
    description: str | None = strawberry.field(description="What it is, at length.")
    details: BenefitDetails = strawberry.field(description="The fields of its type.")
    restrictions: BenefitRestrictions = strawberry.field(
        description="When it is invalid in spite of all, and for what."
    )
    source: BenefitSource | None = strawberry.field(
        description="What brought it to this card; null is its scheme and tier."
    )
    starts_at: datetime | None = strawberry.field(
        description="From when on the card has it, if something brought it."
    )
    ends_at: datetime | None = strawberry.field(
        description="Until when the card has it; null is as long as its scheme and tier bring it,"
        " or for good."
    )
    extended_days: int = strawberry.field(
        description="CARD_EXTENSION: by how many days it prolonged the card."
    )
    icon_file_id: strawberry.Private[UUID | None]

    @classmethod
    def of(cls, held: benefits.Held) -> Self:
        terms, grant = held
        return cls(
            benefit_id=benefit_id_of(terms.benefit_id),
            kind=terms.kind,
            name=terms.name,
            brief=terms.brief,
            description=terms.description,
            details=details_shown(terms.details, terms.currency),
            restrictions=BenefitRestrictions.of(terms.restrictions, terms.currency),
            source=None if grant is None else grant.source,
            starts_at=None if grant is None else grant.starts_at,
            ends_at=None if grant is None else grant.ends_at,
            extended_days=0 if grant is None else grant.extended_days,
            icon_file_id=terms.icon_file_id,
        )

    @strawberry.field(description="Its icon; null is none.")
    async def icon(self, info: Info) -> Image | None:
        return await image_of(info, self.icon_file_id)


def benefit_id_of(benefit_id: UUID) -> strawberry.ID:
    return strawberry.ID(type_id("ben", benefit_id))


@strawberry.type(
    description="There is no such benefit, or none that this can bring: an active one made under"
    " the same node or one above."
)
class BenefitNotFound(Problem): ...


@strawberry.type(description="A benefit in this state cannot become what was asked for.")
class BenefitStateUnchangeable(Problem):
    current: BenefitState = strawberry.field(description="The benefit's state.")

    @classmethod
    def of(cls, error: benefits.BenefitStateUnchangeable) -> Self:
        return cls(message=str(error), current=error.current)


@strawberry.type(description="The group has as many active benefits as one can have.")
class TooManyActiveBenefits(Problem): ...


@strawberry.type(description="An extension is for cards whose time ends, and these have none.")
class CardsNeverExpire(Problem):
    scheme_id: strawberry.ID = strawberry.field(description="The scheme, `sch_…`.")
    name: str = strawberry.field(description="What people call the scheme.")

    @classmethod
    def of(cls, error: benefits.CardsNeverExpire) -> Self:
        scheme_id = strawberry.ID(type_id("sch", error.scheme_id))
        return cls(message=str(error), scheme_id=scheme_id, name=error.name)


@strawberry.input
class _AnyBenefitInput:
    """What a benefit says, whether it is made or changed."""

    name: str = strawberry.field(
        description=f"What people call it, 1 to {checking.NAME_CHARS_MAX} characters."
    )
    brief: str = strawberry.field(
        description=f"What it is, in a line of 1 to {checking.BRIEF_CHARS_MAX} characters."
    )
    details: BenefitDetailsInput = strawberry.field(description="The fields of its type.")
    description: str | None = strawberry.field(
        default=None,
        description=f"What it is, at length: 1 to {checking.DESCRIPTION_CHARS_MAX:,} characters.",
    )
    icon_file_id: strawberry.ID | None = strawberry.field(
        default=None, description="Its icon, a public image, `file_…`."
    )
    currency: CurrencyCode | None = strawberry.field(
        default=None,
        description="What prices and `storedValueFrom` are in; null without these.",
    )
    scope: ScopeInput | None = strawberry.field(default=None, description=_SCOPE)
    restrictions: BenefitRestrictionsInput | None = strawberry.field(
        default=None, description="When it is invalid in spite of all; null is never."
    )

    def content(self) -> benefits.Content:
        """What the benefit shall say; raises `BadInput`."""
        icon, restrictions = self.icon_file_id, self.restrictions or BenefitRestrictionsInput()
        return benefits.Content(
            name=self.name,
            brief=self.brief,
            description=self.description,
            icon_file_id=None if icon is None else parse_type_id("file", icon),
            currency=self.currency,
            scope=(self.scope or ScopeInput()).rules(),
            details=self.details.details(),
            restrictions=restrictions.restrictions(),
        )


@strawberry.input(description="A benefit to draft. Members enjoy it once it is activated.")
class BenefitCreateInput(_AnyBenefitInput):
    perspective_id: strawberry.ID = strawberry.field(
        description="The group, brand or store it is made under, `node_…`."
    )


@strawberry.input(
    description="All that a benefit says from now on; its type stays. What cards were given stays"
    " as it was."
)
class BenefitUpdateInput(_AnyBenefitInput):
    id: strawberry.ID = strawberry.field(description="The benefit, `ben_…`.")
    expected_version: int = strawberry.field(description="The `version` the edit began with.")


@strawberry.input(description="A benefit for members to enjoy.")
class BenefitActivateInput:
    id: strawberry.ID = strawberry.field(description="The benefit, `ben_…`.")


@strawberry.input(description="A benefit that members lose at once.")
class BenefitDeactivateInput:
    id: strawberry.ID = strawberry.field(description="The benefit, `ben_…`.")


BenefitCreateResult = Annotated[
    Benefit
    | NodeNotFound
    | StoreGroupNotFound
    | AudienceNotFound
    | CampaignNotFound
    | NotAMemberBenefit
    | CardsNeverExpire
    | FileNotFound,
    strawberry.union("BenefitCreateResult", description="The draft, or why there is none."),
]
BenefitUpdateResult = Annotated[
    Benefit
    | BenefitNotFound
    | EditedMeanwhile
    | NodeNotFound
    | StoreGroupNotFound
    | AudienceNotFound
    | CampaignNotFound
    | NotAMemberBenefit
    | CardsNeverExpire
    | FileNotFound,
    strawberry.union("BenefitUpdateResult", description="The benefit as it is now, or why not."),
]
BenefitActivateResult = Annotated[
    Benefit | BenefitNotFound | BenefitStateUnchangeable | TooManyActiveBenefits,
    strawberry.union("BenefitActivateResult", description="The active benefit, or why not."),
]
BenefitDeactivateResult = Annotated[
    Benefit | BenefitNotFound | BenefitStateUnchangeable,
    strawberry.union("BenefitDeactivateResult", description="The inactive benefit, or why not."),
]

HANDLERS = [
    shown_as(BenefitNotFound, benefits.BenefitNotFound),
    shown_as(BenefitStateUnchangeable, benefits.BenefitStateUnchangeable),
    shown_as(TooManyActiveBenefits, benefits.TooManyActiveBenefits),
    shown_as(CardsNeverExpire, benefits.CardsNeverExpire),
    *FILE_PROBLEMS,
]
