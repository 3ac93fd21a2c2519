"""Campaigns, as far as benefits lead to them (CMP-1, BEN-4)."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.ids import type_id
from app.models import campaigns as rows
from app.models.campaigns import CampaignKind, CampaignState
from app.services import campaigns
from schema.context import Info
from schema.enums import describe
from schema.organisation import Node, NodeNotFound
from schema.problems import EditedMeanwhile, Problem, shown_as

__all__ = ["CampaignKind", "CampaignState"]

describe(
    CampaignKind,
    "What a campaign does for whom.",
    {
        "CARD_OPENING_GIFT": "A gift for those who open a card.",
        "MASS_GIFT": "A gift for everybody of a segment.",
        "FREE_CLAIM": "Something to claim for nothing.",
        "CHECK_IN": "Rewards for coming back day after day.",
        "REFERRAL": "Rewards for bringing others.",
        "STAMP_CARD": "A reward for so many bills.",
        "BIRTHDAY": "A gift for the birthday.",
        "MEMBER_DAY": "Something on members' days.",
        "CONSUMPTION_GIFT": "A gift for a bill.",
        "POINTS_MALL_EVENT": "An event of the points mall.",
        "LUCKY_DRAW": "A draw.",
    },
)
describe(
    CampaignState,
    "Whether a campaign runs.",
    {
        "DRAFT": "Not yet.",
        "ACTIVE": "Yes.",
        "PAUSED": "Not now.",
        "ENDED": "Never again.",
    },
)

_ONLY = (
    "Whether only members with a benefit that leads here take part. Only such a campaign can be"
    " a benefit"
)


@strawberry.type(description="Something a group runs for its members.")
class Campaign:
    id: strawberry.ID = strawberry.field(description="Its id, `cmp_…`.")
    kind: CampaignKind = strawberry.field(description="What it does.")
    state: CampaignState = strawberry.field(description="Whether it runs.")
    name: str = strawberry.field(description="What people call it.")
    only_as_member_benefit: bool = strawberry.field(
        description="Whether only members with a benefit that leads here take part."
    )
    version: int = strawberry.field(description="For `expectedVersion`: it grows with each edit.")
    created_at: datetime = strawberry.field(description="When it was drafted.")
    changed_at: datetime = strawberry.field(description="When it was changed last.")
    row: strawberry.Private[rows.Campaign]

    @classmethod
    def of(cls, row: rows.Campaign) -> Self:
        return cls(
            id=campaign_id_of(row.id),
            kind=row.kind,
            state=row.state,
            name=row.name,
            only_as_member_benefit=row.only_as_member_benefit,
            version=row.version,
            created_at=row.created_at,
            changed_at=row.changed_at,
            row=row,
        )

    @strawberry.field(description="The node it was made under.")
    async def perspective(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.row.perspective_id))


def campaign_id_of(campaign_id: UUID) -> strawberry.ID:
    return strawberry.ID(type_id("cmp", campaign_id))


@strawberry.type(description="There is no such campaign.")
class CampaignNotFound(Problem): ...


@strawberry.type(description="Another campaign of the same perspective has this name.")
class CampaignNameTaken(Problem): ...


@strawberry.type(description="A campaign in this state cannot become what was asked for.")
class CampaignStateUnchangeable(Problem):
    current: CampaignState = strawberry.field(description="The campaign's state.")

    @classmethod
    def of(cls, error: campaigns.CampaignStateUnchangeable) -> Self:
        return cls(message=str(error), current=error.current)


@strawberry.type(
    description="Whether a campaign is only a member benefit was said when it was made, for good."
)
class MemberBenefitFixed(Problem):
    only_as_member_benefit: bool = strawberry.field(description="What was said.")

    @classmethod
    def of(cls, error: campaigns.MemberBenefitFixed) -> Self:
        return cls(message=str(error), only_as_member_benefit=error.only_as_member_benefit)


@strawberry.type(description="A campaign that everybody can take part in is nobody's benefit.")
class NotAMemberBenefit(Problem):
    campaign_id: strawberry.ID = strawberry.field(description="The campaign, `cmp_…`.")

    @classmethod
    def of(cls, error: campaigns.NotAMemberBenefit) -> Self:
        return cls(message=str(error), campaign_id=campaign_id_of(error.campaign_id))


@strawberry.input(description="A campaign to draft.")
class CampaignCreateInput:
    perspective_id: strawberry.ID = strawberry.field(
        description="The group, brand or store it is made under, `node_…`."
    )
    kind: CampaignKind = strawberry.field(description="What it does, for good.")
    name: str = strawberry.field(description="What people call it, 1 to 120 characters.")
    only_as_member_benefit: bool = strawberry.field(
        default=False, description=f"{_ONLY}, and it stays so for good."
    )


@strawberry.input(description="What a campaign says from now on.")
class CampaignUpdateInput:
    id: strawberry.ID = strawberry.field(description="The campaign, `cmp_…`.")
    expected_version: int = strawberry.field(description="The `version` the edit began with.")
    name: str = strawberry.field(description="What people call it, 1 to 120 characters.")
    only_as_member_benefit: bool = strawberry.field(
        description=f"{_ONLY}. As it was made: another value is refused."
    )


@strawberry.input(description="A campaign to begin, pause, resume or end.")
class CampaignMoveInput:
    id: strawberry.ID = strawberry.field(description="The campaign, `cmp_…`.")
    state: CampaignState = strawberry.field(description="ACTIVE, PAUSED or ENDED.")


CampaignCreateResult = Annotated[
    Campaign | NodeNotFound | CampaignNameTaken,
    strawberry.union("CampaignCreateResult", description="The draft, or why there is none."),
]
CampaignUpdateResult = Annotated[
    Campaign | CampaignNotFound | EditedMeanwhile | MemberBenefitFixed | CampaignNameTaken,
    strawberry.union("CampaignUpdateResult", description="The campaign as it is now, or why not."),
]
CampaignMoveResult = Annotated[
    Campaign | CampaignNotFound | CampaignStateUnchangeable,
    strawberry.union("CampaignMoveResult", description="The campaign as it is now, or why not."),
]

HANDLERS = [
    shown_as(CampaignNotFound, campaigns.CampaignNotFound),
    shown_as(CampaignNameTaken, campaigns.CampaignNameTaken),
    shown_as(CampaignStateUnchangeable, campaigns.CampaignStateUnchangeable),
    shown_as(MemberBenefitFixed, campaigns.MemberBenefitFixed),
    shown_as(NotAMemberBenefit, campaigns.NotAMemberBenefit),
]
