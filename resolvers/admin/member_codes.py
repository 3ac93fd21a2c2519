"""Member codes at the till (QRC-1, QRC-3)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services import member_codes
from auth.permissions import Needs
from schema.code_scans import MemberCodeResolved, MemberCodeResolveInput, MemberCodeResolveResult
from schema.context import Info


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Needs(Permission.CODES_RESOLVE)],
        description="Open a scanned code, once: whose card it is, with all a till asks for.",
    )
    async def member_code_resolve(
        self,
        info: Info,
        input: Annotated[MemberCodeResolveInput, strawberry.argument(description="The scan.")],
    ) -> MemberCodeResolveResult:
        resolved = await info.context.run(
            member_codes.resolve,
            await info.context.actor(),
            codes=info.context.settings.member_codes,
            terminal_id=parse_type_id("term", input.terminal_id),
            code=input.code,
            request_key=input.request_key,
            now=info.context.now,
        )
        return MemberCodeResolved.of(resolved, info.context.now)
