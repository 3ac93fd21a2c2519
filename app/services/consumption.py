"""What a holder proves before a card pays: nothing, a PIN, or a code by SMS (CRD-8).

A proof gives a verification: single use, short-lived, bound to the card and the terminal's
store. Spending redeems it. To identify oneself by the member code is not to pay.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, update

from app.core.db import Transaction, statement
from app.core.errors import DomainError
from app.models.cards import Card, ConsumptionVerification
from app.models.identities import CodeChannel, CodePurpose, IdentityKind
from app.models.members import Member
from app.models.organisation import Node, Terminal
from app.models.staff import Permission
from app.services import (
    audit,
    cards,
    identities,
    members,
    organisation,
    schemes,
    tickets,
    verification_codes,
)
from app.services.actors import Actor

PIN_DIGITS = 6
PIN_FAILURES_MAX = 5
VERIFICATION_LIFE = timedelta(minutes=5)
TICKET_PURPOSE = "consumption"

store_pin = statement(
    update(Card)
    .where(col(Card.id) == bindparam("card_id"))
    .values(pin_hash=bindparam("new_hash"), pin_failures=0)
)
# A guess counts before it is judged, so that guesses made at once all count.
count_try = statement(
    update(Card)
    .where(col(Card.id) == bindparam("card_id"), col(Card.pin_failures) < PIN_FAILURES_MAX)
    .values(pin_failures=col(Card.pin_failures) + 1)
    .returning(*Card.__table__.columns),  # type: ignore[attr-defined]
    into=Card,
)
clear_failures = statement(
    update(Card)
    .where(col(Card.id) == bindparam("card_id"), col(Card.pin_hash) == bindparam("seen_hash"))
    .values(pin_failures=0)
)


class PinWrong(DomainError):
    """A wrong PIN, or none was set; the guess counted when it began, and is on record."""

    keeps_changes = True

    def __init__(self, tries_left: int) -> None:
        self.tries_left = tries_left
        super().__init__("The PIN is wrong.")


class PinLocked(DomainError):
    """Five wrong PINs: only setting a new one, proven by a code, opens the card again.

    That somebody tried is on record.
    """

    keeps_changes = True

    def __init__(self) -> None:
        super().__init__("The PIN is locked. The member can set a new one in the app.")


class NoPhone(DomainError):
    """The member has no proven phone to send a code to."""

    def __init__(self) -> None:
        super().__init__("This member has no phone number to send a code to.")


class PinTooSimple(DomainError):
    """Not six digits, or six that everybody tries first."""

    def __init__(self) -> None:
        super().__init__("Choose six digits that are not all equal and not a sequence.")


@dataclass(frozen=True, slots=True)
class AtTerminal:
    """A card at a till, and who works there."""

    actor: Actor
    terminal: Terminal
    store: Node
    card: Card

    async def record(self, tx: Transaction, action: str, now: datetime, **details: str) -> None:
        """Write down what was done with the card (SEC-3)."""
        await audit.record(
            tx, self.actor, action, object_kind="card", object_id=self.card.id,
            node_id=self.store.id, now=now, terminal=self.terminal.id, **details,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PinCheck:
    """What a guess is compared with, outside any transaction: hashing takes its time.

    The card is as it was after this guess was counted.
    """

    at: AtTerminal
    card: Card


@dataclass(frozen=True, slots=True)
class Verification:
    """Redeemed once by a spending on that card at that store."""

    secret: str
    expires_at: datetime


def require_pin(pin: str) -> None:
    """Raise `PinTooSimple` for what is no PIN or the first one anybody tries."""
    digits = [int(digit) for digit in pin if digit in "0123456789"]
    steps = {after - before for before, after in pairwise(digits)}
    if len(pin) != PIN_DIGITS or len(digits) != PIN_DIGITS or steps in ({0}, {1}, {-1}):
        raise PinTooSimple


async def set_pin(
    tx: Transaction,
    *,
    member_id: UUID,
    card_id: UUID,
    pin_hash: str,
    phone: str,
    code: str,
    address: str,
    now: datetime,
) -> Card:
    """Set or replace a card's PIN, proven by a code to the member's own phone; unlocks it."""
    card = await cards.own(tx, member_id=member_id, card_id=card_id)
    proof = await verification_codes.prove(
        tx,
        channel=CodeChannel.SMS,
        purpose=CodePurpose.CARD_PIN,
        target=phone,
        code=code,
        address=address,
        now=now,
    )
    owners = await identities.find(tx, group_id=card.group_id, proofs=[proof])
    if {owner.member_id for owner in owners} != {card.member_id}:
        raise verification_codes.CodeWrong
    await tx.changed(store_pin, card_id=card.id, new_hash=pin_hash)
    return card


async def begin_pin(
    tx: Transaction, actor: Actor, *, terminal_id: UUID, card_id: UUID, now: datetime
) -> PinCheck:
    """Count a PIN typed at a terminal; what it is to be compared with. Raises `PinLocked`."""
    at = await _at_terminal(tx, actor, terminal_id=terminal_id, card_id=card_id, now=now)
    counted = await tx.one(count_try, card_id=at.card.id)
    if counted is None:
        await at.record(tx, "card.verify_pin", now, outcome="locked")
        raise PinLocked
    return PinCheck(at, counted)


async def finish_pin(
    tx: Transaction, *, check: PinCheck, is_right: bool, now: datetime
) -> Verification:
    """Verify, and take the counted guesses back. Raises `PinWrong`."""
    # A PIN that was replaced meanwhile clears nothing: it is not the card's any more.
    if is_right and await tx.changed(
        clear_failures, card_id=check.card.id, seen_hash=check.card.pin_hash
    ):
        await check.at.record(tx, "card.verify_pin", now, outcome="verified")
        return await _verified(tx, check.at, now=now)
    await check.at.record(tx, "card.verify_pin", now, outcome="wrong")
    raise PinWrong(PIN_FAILURES_MAX - check.card.pin_failures)


async def send_code(
    tx: Transaction,
    actor: Actor,
    *,
    terminal_id: UUID,
    card_id: UUID,
    address: str,
    now: datetime,
) -> verification_codes.Sent:
    """Send the member a code to say at the till. Raises `NoPhone`, `CodesTooOften`."""
    at = await _at_terminal(tx, actor, terminal_id=terminal_id, card_id=card_id, now=now)
    sent = await verification_codes.send(
        tx,
        group_id=at.card.group_id,
        channel=CodeChannel.SMS,
        purpose=CodePurpose.CONSUME,
        target=await _phone(tx, at.card),
        address=address,
        now=now,
    )
    await at.record(tx, "card.send_code", now)
    return sent


async def verify_code(
    tx: Transaction,
    actor: Actor,
    *,
    terminal_id: UUID,
    card_id: UUID,
    code: str,
    address: str,
    now: datetime,
) -> Verification:
    """Verify by the code the member was sent. Raises `CodeWrong`, `NoPhone`."""
    at = await _at_terminal(tx, actor, terminal_id=terminal_id, card_id=card_id, now=now)
    try:
        await verification_codes.prove(
            tx,
            channel=CodeChannel.SMS,
            purpose=CodePurpose.CONSUME,
            target=await _phone(tx, at.card),
            code=code,
            address=address,
            now=now,
        )
    except verification_codes.CodeWrong:  # which is kept as a try that counts
        await at.record(tx, "card.verify_code", now, outcome="wrong")
        raise
    await at.record(tx, "card.verify_code", now, outcome="verified")
    return await _verified(tx, at, now=now)


async def require_verified(
    tx: Transaction, *, card: Card, store: Node, verification: str | None, now: datetime
) -> None:
    """What a spending calls: uses a verification up where the scheme asks for one (CRD-8).

    Raises `TicketRefused`.
    """
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    if scheme.consumption_verification is ConsumptionVerification.NONE:
        return
    ticket = await tickets.redeem(tx, purpose=TICKET_PURPOSE, secret=verification or "", now=now)
    if ticket.payload != {"card": str(card.id), "store": str(store.id)}:
        raise tickets.TicketRefused


async def _at_terminal(
    tx: Transaction, actor: Actor, *, terminal_id: UUID, card_id: UUID, now: datetime
) -> AtTerminal:
    terminal, store = await organisation.terminal(tx, terminal_id)
    actor.require(Permission.CODES_RESOLVE, store)
    card = await cards.living(tx, card_id)
    if card.group_id != store.group_id:
        raise cards.CardNotFound
    cards.require_usable(card, now)
    await cards.require_store(tx, card, store)
    return AtTerminal(actor, terminal, store, card)


async def _phone(tx: Transaction, card: Card) -> str:
    holder: Member = await members.living(tx, card.member_id)
    for identity in await identities.of_member(tx, member_id=holder.id):
        if identity.kind is IdentityKind.PHONE and identity.is_proven:
            return identity.value
    raise NoPhone


async def _verified(tx: Transaction, at: AtTerminal, *, now: datetime) -> Verification:
    payload = {"card": str(at.card.id), "store": str(at.store.id)}
    secret = await tickets.issue(
        tx, purpose=TICKET_PURPOSE, payload=payload, now=now, life=VERIFICATION_LIFE
    )
    return Verification(secret, now + VERIFICATION_LIFE)
