"""Which card somebody has in their hand: by its number and key, or by its holder's code (GFT-4).

A wrong number and a wrong key get one answer, as do a code that is over and one that never was.
Each try counts against whoever made it: a member, an address, a till. Tries at one card count
together besides, so that its key is not guessed by many who share the work; those made online apart
from those at tills, and its holder's not at all. So whoever only knows a card's number does not
keep its holder from it, nor anybody at a till: the most that many accounts at many addresses can do
is that a card in nobody's account is not bound, or looked at, online within the hour.

A card's number is one of 9 × 10^14. For one that somebody knows, 100 tries an hour are 876,000 in a
year: of our keys of 10 digits they find one in 11,416, of the shortest printed ones, of 8 digits,
one in 114, on either way. A code has 18 digits and lives for two minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.crypto import constant_time_equal
from app.core.db import Transaction, statement
from app.core.errors import DomainError
from app.models.gift_cards import GiftCard
from app.services import limits, members
from app.services.gift_cards import holding, numbers
from app.services.gift_cards.holding import Balance
from app.services.members import Bearer

WRONG_WINDOW = timedelta(hours=1)
WRONG_PER_MEMBER_MAX = 10
WRONG_PER_ADDRESS_MAX = 60
WRONG_PER_TERMINAL_MAX = 30
WRONG_PER_NUMBER_MAX = 100
"""More than any one member, address or till may try, so that none of them alone reaches it."""

by_code = statement(
    select(GiftCard).where(col(GiftCard.code_index) == bindparam("code_index")), into=GiftCard
)
show_code = statement(
    update(GiftCard)
    .where(col(GiftCard.id) == bindparam("gift_card_id"))
    .values(code_index=bindparam("new_code_index"), code_expires_at=bindparam("new_expires_at"))
)
held_by = statement(
    select(GiftCard.id).where(
        col(GiftCard.group_id) == bindparam("group_id"),
        col(GiftCard.number) == bindparam("number"),
        col(GiftCard.holder_id).in_(members.own_records),
    ),
    into=UUID,
)
# The compare-and-set that makes a code work once.
use_code = statement(
    update(GiftCard)
    .where(
        col(GiftCard.id) == bindparam("gift_card_id"),
        col(GiftCard.code_index) == bindparam("seen_index"),
        col(GiftCard.code_expires_at) > bindparam("now"),
    )
    .values(code_index=None, code_expires_at=None)
)


@dataclass(frozen=True, slots=True)
class ByKey:
    """A card's number and key, as they are printed or shown to its holder."""

    refusal: ClassVar[str] = "This number or key is not right."
    number: str
    key: str

    def document(self) -> list[str]:
        return ["key", self.number, self.key]


@dataclass(frozen=True, slots=True)
class ByCode:
    """The code that the holder's page shows for minutes."""

    refusal: ClassVar[str] = "This code is used, over or not right. Have another one shown."
    code: str

    def document(self) -> list[str]:
        return ["code", self.code]


Proof = ByKey | ByCode


class GiftCardRefused(DomainError):
    """No such number, a wrong key; or a code that is used, over or none: never said which.

    Each kind of proof has words of its own. The try counts.
    """

    keeps_changes = True

    def __init__(self, proof: Proof) -> None:
        super().__init__(proof.refusal)


class Asker(NamedTuple):
    """Who tries: what their wrong tries are counted by, up to how often, and where they stand."""

    counted: Mapping[str, int]
    where: str
    member_id: UUID | None


class Code(NamedTuple):
    """What a holder's page shows a till, and how long it works."""

    value: str
    expires_at: datetime


class Looked(NamedTuple):
    """A card that somebody has the key of."""

    card: GiftCard
    balance: Balance


async def prove(
    tx: Transaction,
    *,
    group_id: UUID,
    proof: Proof,
    asker: Asker,
    now: datetime,
) -> GiftCard:
    """The card, locked. What is wrong counts for the asker, and for the number they tried.

    Raises `GiftCardRefused`, `TooManyRequests`.
    """
    subjects = dict(asker.counted)
    if isinstance(proof, ByKey):
        number = numbers.plain(proof.number)
        if not await _holds(tx, asker, group_id, number):
            subject = f"wrong-gift-card-key:{asker.where}:{group_id}:{number}"
            subjects[subject] = WRONG_PER_NUMBER_MAX
    for subject, at_most in sorted(subjects.items()):
        await limits.spend(tx, subject=subject, at_most=at_most, window=WRONG_WINDOW, now=now)
    card = await _found(tx, group_id, proof, now)
    if card is None:
        raise GiftCardRefused(proof)
    for subject in subjects:
        await limits.take_back(tx, subject=subject, window=WRONG_WINDOW, now=now)
    return card


async def balance(
    tx: Transaction, *, bearer: Bearer, proof: ByKey, address: str, now: datetime
) -> Looked:
    """What is on a card whose number and key a member has. Raises as `prove`."""
    member = await members.acting(tx, bearer, now=now)
    card = await prove(
        tx,
        group_id=member.group_id,
        proof=proof,
        asker=_online(member.id, address),
        now=now,
    )
    return Looked(card, (await holding.balances(tx, [card.id]))[card.id])


async def bind(
    tx: Transaction, *, bearer: Bearer, proof: ByKey, address: str, now: datetime
) -> GiftCard:
    """Put a card that nobody holds into the member's account; theirs already is the answer.

    One that somebody else holds gets the same answer as a wrong key. Raises as `prove`, and what
    `holding.require_usable` does.
    """
    member = await members.acting(tx, bearer, now=now)
    card = await prove(
        tx,
        group_id=member.group_id,
        proof=proof,
        asker=_online(member.id, address),
        now=now,
    )
    if card.holder_id is not None:
        holder = await members.living(tx, card.holder_id)
        if holder.id != member.id:
            raise GiftCardRefused(proof)
        return card
    holding.require_usable(card, now)
    held = await tx.changed(holding.set_holder, gift_card_id=card.id, new_holder_id=member.id)
    assert held == 1, "a gift card moved under its lock"
    return (await holding.by_ids(tx, [card.id]))[card.id]


async def show(tx: Transaction, *, bearer: Bearer, gift_card_id: UUID, now: datetime) -> Code:
    """A code by which the holder's card can pay once, within minutes; the one before is void.

    Raises `GiftCardNotFound` and what `holding.require_usable` does.
    """
    member = await members.acting(tx, bearer, now=now)
    card = await holding.own(tx, member_id=member.id, gift_card_id=gift_card_id)
    holding.require_usable(card, now)
    code = Code(numbers.new_code(), now + numbers.CODE_LIFE)
    await tx.changed(
        show_code,
        gift_card_id=card.id,
        new_code_index=numbers.code_index(code.value),
        new_expires_at=code.expires_at,
    )
    return code


def at_till(terminal_id: UUID) -> Asker:
    """Whoever stands at a till."""
    counted = {f"wrong-gift-card-keys-at:{terminal_id}": WRONG_PER_TERMINAL_MAX}
    return Asker(counted, "till", None)


def _online(member_id: UUID, address: str) -> Asker:
    counted = {
        f"wrong-gift-card-keys:{member_id}": WRONG_PER_MEMBER_MAX,
        f"wrong-gift-card-keys-from:{address}": WRONG_PER_ADDRESS_MAX,
    }
    return Asker(counted, "online", member_id)


async def _holds(tx: Transaction, asker: Asker, group_id: UUID, number: str) -> bool:
    if asker.member_id is None:
        return False
    held = {"group_id": group_id, "number": number, "member_id": asker.member_id}
    return await tx.one(held_by, **held) is not None


async def _found(tx: Transaction, group_id: UUID, proof: Proof, now: datetime) -> GiftCard | None:
    if isinstance(proof, ByKey):
        return await _by_key(tx, group_id, proof)
    index = numbers.code_index(numbers.plain(proof.code))
    found = await tx.one(by_code, code_index=index)
    if found is None or found.group_id != group_id:
        return None
    used = await tx.changed(use_code, gift_card_id=found.id, seen_index=index, now=now)
    return await holding.locked(tx, found.id) if used else None


async def _by_key(tx: Transaction, group_id: UUID, proof: ByKey) -> GiftCard | None:
    number, key = numbers.plain(proof.number), numbers.plain(proof.key)
    if not (numbers.is_number(number) and numbers.is_key(key)):
        return None
    index = numbers.key_index(number, key)
    found = await tx.one(holding.by_number_statement, group_id=group_id, number=number)
    # Compared in any case, so that the time it takes does not tell whether there is such a number.
    is_right = constant_time_equal(index, "" if found is None else found.key_index)
    return await holding.locked(tx, found.id) if found is not None and is_right else None
