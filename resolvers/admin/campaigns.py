"""Campaigns, as far as benefits lead to them (CMP-1, BEN-4)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services import campaigns
from auth.permissions import Needs
from schema.campaigns import (
    Campaign,
    CampaignCreateInput,
    CampaignCreateResult,
    CampaignKind,
    CampaignMoveInput,
    CampaignMoveResult,
    CampaignState,
    CampaignUpdateInput,
    CampaignUpdateResult,
)
from schema.context import Info
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after

Reads = Needs(Permission.BENEFITS_READ)
Writes = Needs(Permission.BENEFITS_WRITE)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="The campaigns made above or below where the asker works, the newest first.",
    )
    async def campaigns(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        state: Annotated[
            CampaignState | None,
            strawberry.argument(description="Only in this state; null is any."),
        ] = None,
        kind: Annotated[
            CampaignKind | None, strawberry.argument(description="Only of this kind; null is any.")
        ] = None,
        only_as_member_benefit: Annotated[
            bool | None,
            strawberry.argument(description="Only those that are, or are not; null is both."),
        ] = None,
    ) -> Connection[Campaign]:
        rows = await info.context.read(
            campaigns.page,
            await info.context.actor(),
            state=state,
            kind=kind,
            only_as_member_benefit=only_as_member_benefit,
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[Campaign].of(rows, first, Campaign.of)

    @strawberry.field(
        permission_classes=[Reads], description="One campaign, or null if the asker may not see it."
    )
    async def campaign(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The campaign, `cmp_…`.")],
    ) -> Campaign | None:
        row = await info.context.read(
            campaigns.seen_by, await info.context.actor(), campaign_id=parse_type_id("cmp", id)
        )
        return Campaign.of(row) if row else None


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes],
        description="Draft a campaign under a perspective; `campaignMove` begins it. Its kind,"
        " and whether it is only a member benefit, are for good.",
    )
    async def campaign_create(
        self,
        info: Info,
        input: Annotated[CampaignCreateInput, strawberry.argument(description="The campaign.")],
    ) -> CampaignCreateResult:
        row = await info.context.run(
            campaigns.create,
            await info.context.actor(),
            perspective_id=parse_type_id("node", input.perspective_id),
            kind=input.kind,
            name=input.name,
            only_as_member_benefit=input.only_as_member_benefit,
            now=info.context.now,
        )
        return Campaign.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Rename a campaign. Whether it is only a member benefit stays as it is.",
    )
    async def campaign_update(
        self,
        info: Info,
        input: Annotated[CampaignUpdateInput, strawberry.argument(description="The campaign.")],
    ) -> CampaignUpdateResult:
        row = await info.context.run(
            campaigns.change,
            await info.context.actor(),
            campaign_id=parse_type_id("cmp", input.id),
            expected_version=input.expected_version,
            name=input.name,
            only_as_member_benefit=input.only_as_member_benefit,
            now=info.context.now,
        )
        return Campaign.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Begin, pause, resume or end a campaign: ACTIVE from DRAFT or PAUSED, PAUSED"
        " from ACTIVE, ENDED from any. What has ended stays so.",
    )
    async def campaign_move(
        self,
        info: Info,
        input: Annotated[CampaignMoveInput, strawberry.argument(description="What becomes of it.")],
    ) -> CampaignMoveResult:
        row = await info.context.run(
            campaigns.move,
            await info.context.actor(),
            campaign_id=parse_type_id("cmp", input.id),
            state=input.state,
            now=info.context.now,
        )
        return Campaign.of(row)
