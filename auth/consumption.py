"""Card PINs: argon2 in its threads, between two transactions (CRD-8)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from app.core.db import Transaction
from app.models.cards import Card
from app.services import consumption, members
from app.services.actors import Actor
from app.services.members import Bearer
from auth.passwords import hash_pin, pin_is_right
from auth.sessions import bearer
from schema.context import Context


async def set_pin(context: Context, *, card_id: UUID, phone: str, code: str, pin: str) -> Card:
    """Set a card's PIN, proven by a code; raises `PinTooSimple`, `CardNotFound`, `CodeWrong`."""
    consumption.require_pin(pin)
    return await context.run(
        _set_pin,
        bearer=bearer(context),
        card_id=card_id,
        pin_hash=await hash_pin(pin),
        phone=phone,
        code=code,
        address=context.client_address,
        now=context.now,
    )


async def _set_pin(tx: Transaction, /, *, bearer: Bearer, now: datetime, **asked: Any) -> Card:
    """For a session that lives, and while the card stays its holder's."""
    member = await members.acting(tx, bearer, now=now)
    return await consumption.set_pin(tx, member_id=member.id, now=now, **asked)


async def verify_pin(
    context: Context, actor: Actor, *, terminal_id: UUID, card_id: UUID, pin: str
) -> consumption.Verification:
    """Judge a PIN typed at a till; the guess counts before it is judged."""
    check = await context.run(
        consumption.begin_pin, actor, terminal_id=terminal_id, card_id=card_id, now=context.now
    )
    is_right = await pin_is_right(pin, check.card.pin_hash)
    return await context.run(
        consumption.finish_pin, check=check, is_right=is_right, now=context.now
    )
