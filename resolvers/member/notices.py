"""What a member should hear of (PTS-5)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services import notices
from auth.permissions import IsMember
from auth.sessions import bearer
from schema.context import Info
from schema.notices import Notice, NoticeConnection, NoticeReadInput, NoticeReadResult
from schema.pages import PAGE_SIZE_DEFAULT, After, First, page_limit, row_after


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsMember], description="The member's notices, newest first."
    )
    async def notices(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> NoticeConnection:
        inbox = await info.context.read(
            notices.inbox,
            member_id=info.context.member_id,
            before=row_after(after),
            limit=page_limit(first),
        )
        return NoticeConnection.of(inbox.rows, first, Notice.of, unread_count=inbox.number_unread)


@strawberry.type
class Mutation:
    @strawberry.mutation(permission_classes=[IsMember], description="The member has read a notice.")
    async def notice_read(
        self,
        info: Info,
        input: Annotated[NoticeReadInput, strawberry.argument(description="Which.")],
    ) -> NoticeReadResult:
        row = await info.context.run(
            notices.read,
            bearer=bearer(info.context),
            notice_id=parse_type_id("ntc", input.id),
            now=info.context.now,
        )
        return Notice.of(row)
