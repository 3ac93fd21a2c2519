"""The offline reserve of member codes, signed for the device that keeps it (QRC-4)."""

from typing import NamedTuple
from uuid import UUID

from app.core.errors import BadInput, Unauthenticated
from app.core.ids import type_id
from app.core.member_code import MAX_RESERVE_MINUTES, ReservedCode
from app.services import member_codes
from schema.context import Context

MEDIA_TYPE = "member-codes+jwt"


class Reserve(NamedTuple):
    """Codes of the minutes to come, and what shows that we made them for this session."""

    codes: list[ReservedCode]
    signature: str


async def reserve(context: Context, *, card_id: UUID, minutes: int) -> Reserve:
    """Codes for a page that may lose its network; raises `CardNotFound`, `CardNotUsable`."""
    if not 1 <= minutes <= MAX_RESERVE_MINUTES:
        raise BadInput(f"minutes must be between 1 and {MAX_RESERVE_MINUTES}.")
    card = await context.read(
        member_codes.shown, member_id=context.member_id, card_id=card_id, now=context.now
    )
    if context.principal is None or context.principal.session_id is None:
        raise Unauthenticated("Sign in first.")
    codes = context.settings.member_codes.reserve(card.serial, context.now, minutes)
    claims = {
        "sid": type_id("ses", context.principal.session_id),
        "card": type_id("card", card.id),
        "codes": [
            [each.code, int(each.valid_from.timestamp()), int(each.valid_until.timestamp())]
            for each in codes
        ],
        "iat": int(context.now.timestamp()),
        "exp": int(codes[-1].valid_until.timestamp()),
    }
    signature = await context.signer.sign_statement(claims, media_type=MEDIA_TYPE, now=context.now)
    return Reserve(codes, signature)
