"""The offline reserve of member codes, signed for the device that keeps it (QRC-4)."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from app.core.db import Transaction
from app.core.errors import BadInput
from app.core.ids import type_id
from app.core.member_code import MAX_RESERVE_MINUTES, ReservedCode
from app.models.cards import Card
from app.services import member_codes, members
from app.services.members import Bearer
from auth.sessions import bearer
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
    asker = bearer(context)
    # By `run`: a replica may not have heard yet that the session was revoked.
    card = await context.run(_shown, bearer=asker, card_id=card_id, now=context.now)
    codes = context.settings.member_codes.reserve(card.serial, context.now, minutes)
    claims = {
        "sid": type_id("ses", asker.session_id),
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


async def _shown(tx: Transaction, *, bearer: Bearer, card_id: UUID, now: datetime) -> Card:
    """The card, for a session that lives: these codes outlast the token they are asked with."""
    member = await members.acting(tx, bearer, now=now)
    return await member_codes.shown(tx, member_id=member.id, card_id=card_id, now=now)
