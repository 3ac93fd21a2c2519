"""What members do besides buying: its rules, and events that staff and partners tell (PTS-2)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services import behaviour
from auth.permissions import Needs
from schema.behaviour import (
    BehaviourRule,
    BehaviourRuleSetInput,
    BehaviourRuleSetResult,
    EventRecorded,
    MemberEventRecordInput,
    MemberEventRecordResult,
)
from schema.context import Info

SchemeId = Annotated[strawberry.ID, strawberry.argument(description="The scheme, `sch_…`.")]


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Needs(Permission.SCHEMES_READ)],
        description="What events earn on a scheme's cards, by key, rules that are off too; at most"
        " 100. Null for a scheme the asker may not see.",
    )
    async def behaviour_rules(
        self,
        info: Info,
        scheme_id: Annotated[
            strawberry.ID, strawberry.argument(description="The scheme, `sch_…`.")
        ],
    ) -> list[BehaviourRule] | None:
        rows = await info.context.read(
            behaviour.rules,
            await info.context.actor(),
            scheme_id=parse_type_id("sch", scheme_id),
        )
        return None if rows is None else [BehaviourRule.of(row) for row in rows]


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Needs(Permission.SCHEMES_WRITE)],
        description="Say what one kind of event earns on a scheme's cards from now on, and how"
        " often.",
    )
    async def behaviour_rule_set(
        self,
        info: Info,
        input: Annotated[BehaviourRuleSetInput, strawberry.argument(description="The rule.")],
    ) -> BehaviourRuleSetResult:
        row = await info.context.run(
            behaviour.set_rule,
            await info.context.actor(),
            scheme_id=parse_type_id("sch", input.scheme_id),
            rule=input.rule(),
            now=info.context.now,
        )
        return BehaviourRule.of(row)

    @strawberry.mutation(
        permission_classes=[Needs(Permission.EVENTS_WRITE)],
        description="Tell what a member did: it earns at once on every card whose scheme has a rule"
        " for it. The permission must hold at the store, or at the group where there is none.",
    )
    async def member_event_record(
        self,
        info: Info,
        input: Annotated[MemberEventRecordInput, strawberry.argument(description="The event.")],
    ) -> MemberEventRecordResult:
        happened = await info.context.run(
            behaviour.record,
            await info.context.actor(),
            member_id=parse_type_id("mem", input.member_id),
            event_key=input.event_key,
            external_id=input.external_id,
            occurred_at=input.occurred_at,
            store_id=parse_type_id("node", input.store_id) if input.store_id else None,
            now=info.context.now,
        )
        return EventRecorded.of(happened)
