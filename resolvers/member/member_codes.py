"""The code a member shows (QRC-1, QRC-4)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services import member_codes
from auth.member_codes import reserve
from auth.permissions import IsMember
from schema.context import Info
from schema.member_codes import (
    MemberCode,
    MemberCodeReserve,
    MemberCodeReserveResult,
    MemberCodeResult,
    ReservedMemberCode,
)

CardId = Annotated[strawberry.ID, strawberry.argument(description="The card, `card_…`.")]


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsMember], description="What a card shows at the till this minute."
    )
    async def member_code(self, info: Info, card_id: CardId) -> MemberCodeResult:
        context = info.context
        row = await context.read(
            member_codes.shown,
            member_id=context.member_id,
            card_id=parse_type_id("card", card_id),
            now=context.now,
        )
        return MemberCode.of(row, context.settings.member_codes, context.now)

    @strawberry.field(
        permission_classes=[IsMember],
        description="The codes of this minute and those after it, for a page without network.",
    )
    async def member_code_reserve(
        self,
        info: Info,
        card_id: CardId,
        minutes: Annotated[
            int, strawberry.argument(description="How many minutes to cover, 1 to 30.")
        ],
    ) -> MemberCodeReserveResult:
        found = await reserve(info.context, card_id=parse_type_id("card", card_id), minutes=minutes)
        return MemberCodeReserve(
            codes=[ReservedMemberCode.of(each) for each in found.codes],
            signature=found.signature,
        )
