"""Rules of points, abnormal cases and roll-backs (PTS-4 to PTS-9)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services import points, rollbacks
from auth.permissions import Needs
from schema.context import Info
from schema.pages import PAGE_SIZE_DEFAULT, After, First, page_limit, row_after
from schema.points import (
    PointsCase,
    PointsCaseClearInput,
    PointsCaseClearResult,
    PointsCaseConnection,
    PointsRollBackInput,
    PointsRollBackResult,
    PointsRolledBack,
    PointsRulesSetInput,
    PointsRulesSetResult,
)
from schema.schemes import Scheme

RollsBack = Needs(Permission.POINTS_ROLL_BACK)
SchemeId = Annotated[strawberry.ID, strawberry.argument(description="The scheme, `sch_…`.")]


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[RollsBack],
        description="A scheme's cases of more points than is believable, newest first.",
    )
    async def points_cases(
        self,
        info: Info,
        scheme_id: Annotated[
            strawberry.ID, strawberry.argument(description="The scheme, `sch_…`.")
        ],
        is_open: Annotated[
            bool | None,
            strawberry.argument(
                description="Only those nobody cleared, or only others; null is all."
            ),
        ] = None,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
    ) -> PointsCaseConnection:
        rows = await info.context.read(
            points.cases,
            await info.context.actor(),
            scheme_id=parse_type_id("sch", scheme_id),
            is_open=is_open,
            before=row_after(after),
            limit=page_limit(first),
        )
        return PointsCaseConnection.of(rows, first, PointsCase.of)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Needs(Permission.SCHEMES_WRITE)],
        description="Give a scheme's points these rules for what comes: how long they last, what"
        " they pay, when they decay and what is abnormal. Points that are there keep their end.",
    )
    async def points_rules_set(
        self,
        info: Info,
        input: Annotated[PointsRulesSetInput, strawberry.argument(description="The rules.")],
    ) -> PointsRulesSetResult:
        row = await info.context.run(
            points.set_rules,
            await info.context.actor(),
            scheme_id=parse_type_id("sch", input.scheme_id),
            rules=input.rules(),
            now=info.context.now,
        )
        return Scheme.of(row)

    @strawberry.mutation(
        permission_classes=[RollsBack],
        description="Take an abnormal member's mark away: what it blocked goes on.",
    )
    async def points_case_clear(
        self,
        info: Info,
        input: Annotated[PointsCaseClearInput, strawberry.argument(description="The case.")],
    ) -> PointsCaseClearResult:
        row = await info.context.run(
            points.clear,
            await info.context.actor(),
            case_id=parse_type_id("pcs", input.id),
            reason=input.reason,
            now=info.context.now,
        )
        return PointsCase.of(row)

    @strawberry.mutation(
        permission_classes=[RollsBack],
        description="Take back points that came by fraud, and what came with them: what is left of"
        " them goes, what was spent becomes a debt, the growth of the same cause goes too, and the"
        " tier follows. Spendings that are only authorised stay.",
    )
    async def points_roll_back(
        self,
        info: Info,
        input: Annotated[PointsRollBackInput, strawberry.argument(description="Which points.")],
    ) -> PointsRollBackResult:
        rolled_back = await info.context.run(
            rollbacks.roll_back,
            await info.context.actor(),
            line_id=parse_type_id("led", input.ledger_line_id),
            reason=input.reason,
            request_key=input.request_key,
            now=info.context.now,
        )
        return PointsRolledBack.of(rolled_back)
