"""How cards reach their tiers, as the back office decides it (TIR)."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.models.tiers import RunState
from app.services import tiers
from auth.permissions import Needs
from schema.cards import Card, CardTierSetResult
from schema.context import Info
from schema.schemes import Scheme
from schema.tier_rules import TierRun
from schema.tiers import (
    CardTierSetInput,
    TierRulesRecordOnlyInput,
    TierRulesRecordOnlyResult,
    TierRulesReleased,
    TierRulesReleaseInput,
    TierRulesReleaseResult,
)

Reads = Needs(Permission.SCHEMES_READ)
Writes = Needs(Permission.SCHEMES_WRITE)
Grants = Needs(Permission.TIERS_GRANT)

RunId = Annotated[strawberry.ID, strawberry.argument(description="The run, `trun_…`.")]


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="A recomputation of a scheme's cards, or null if the asker may not see it.",
    )
    async def tier_run(self, info: Info, id: RunId) -> TierRun | None:
        run = await info.context.read(
            tiers.seen_by, await info.context.actor(), run_id=parse_type_id("trun", id)
        )
        return TierRun.of(run) if run else None


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes],
        description="Save and release: the rules hold at once, and all cards are recomputed by"
        " them. From the first release on tiers are computed, for good.",
    )
    async def tier_rules_release(
        self,
        info: Info,
        input: Annotated[TierRulesReleaseInput, strawberry.argument(description="The rules.")],
    ) -> TierRulesReleaseResult:
        released = await info.context.run(
            tiers.release,
            await info.context.actor(),
            scheme_id=parse_type_id("sch", input.scheme_id),
            expected_version=input.expected_version,
            rules=input.rules(),
            now=info.context.now,
        )
        return TierRulesReleased.of(released)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Leave a scheme's tiers to those who record them. So they are until the first"
        " release, and never again after it.",
    )
    async def tier_rules_record_only(
        self,
        info: Info,
        input: Annotated[
            TierRulesRecordOnlyInput, strawberry.argument(description="Which scheme.")
        ],
    ) -> TierRulesRecordOnlyResult:
        row = await info.context.run(
            tiers.record_only,
            await info.context.actor(),
            scheme_id=parse_type_id("sch", input.scheme_id),
        )
        return Scheme.of(row)

    @strawberry.mutation(
        permission_classes=[Grants],
        description="Set a card's tier. Where tiers are only recorded it is the card's tier then;"
        " where they are computed the card has the higher one of this and what it reaches itself.",
    )
    async def card_tier_set(
        self,
        info: Info,
        input: Annotated[CardTierSetInput, strawberry.argument(description="Card and tier.")],
    ) -> CardTierSetResult:
        row = await info.context.run(
            tiers.set_tier,
            await info.context.actor(),
            card_id=parse_type_id("card", input.card_id),
            tier_id=None if input.tier_id is None else parse_type_id("tier", input.tier_id),
            expires_at=input.expires_at,
            reason=input.reason,
            now=info.context.now,
        )
        return Card.of(row, info.context.now)


@strawberry.type
class Subscription:
    @strawberry.subscription(
        permission_classes=[Reads],
        description="A run as it is now, then each time more of it is done, until all is. Ends at"
        " once for a run that the asker may not see.",
    )
    async def tier_run_progress(self, info: Info, id: RunId) -> AsyncGenerator[TierRun, None]:
        context = info.context
        actor = await context.actor()
        run_id = parse_type_id("trun", id)
        # Heard before it is read, so that no step falls between.
        async with context.database.listen(tiers.topic_of(run_id)) as events:
            run = await context.run(tiers.seen_by, actor, run_id=run_id)
            if run is None:
                return
            yield TierRun.of(run)
            while run.state is RunState.RUNNING:
                await anext(events)
                context.begin_event()
                run = await context.run(tiers.told, run_id=run_id)
                yield TierRun.of(run)
