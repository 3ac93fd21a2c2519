"""What a member does besides buying, and what it earns (PTS-2)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services import behaviour
from auth.permissions import IsMember
from auth.sessions import bearer
from schema.behaviour import BehaviourRule, CheckInResult, EventRecorded
from schema.context import Info

SchemeId = Annotated[strawberry.ID, strawberry.argument(description="The scheme, `sch_…`.")]


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsMember],
        description="What a member can do for points and growth on cards of a scheme, by key; null"
        " for no such scheme.",
    )
    async def behaviour_rules(
        self,
        info: Info,
        scheme_id: Annotated[
            strawberry.ID, strawberry.argument(description="The scheme, `sch_…`.")
        ],
    ) -> list[BehaviourRule] | None:
        rows = await info.context.read(
            behaviour.rules_in_force,
            group_id=info.context.group_id,
            scheme_id=parse_type_id("sch", scheme_id),
        )
        return None if rows is None else [BehaviourRule.of(row) for row in rows]


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Check in: once a day of the group's time zone, for all of the member's cards."
        " A second time on the same day answers what the first one earned.",
    )
    async def check_in(self, info: Info) -> CheckInResult:
        happened = await info.context.run(
            behaviour.check_in, bearer=bearer(info.context), now=info.context.now
        )
        return EventRecorded.of(happened)
