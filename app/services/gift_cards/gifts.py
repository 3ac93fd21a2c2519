"""Cards that are given: delivered on their day, claimed by a code, returned in time (GFT-3)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, literal_column
from sqlmodel import col, select, update

from app.core.db import Statement, Transaction, any_of, light, statement
from app.core.errors import DomainError
from app.core.ids import new_id
from app.models.gift_cards import GiftCard, GiftCardBuyer, GiftCardGift, GiftState
from app.models.identities import IdentityKind
from app.services import identities, limits, members, notices
from app.services.gift_cards import holding, numbers
from app.services.members import Bearer

WRONG_WINDOW = timedelta(hours=1)
WRONG_PER_MEMBER_MAX = 10
WRONG_PER_ADDRESS_MAX = 60
BATCH = 200
CODE_CHARS_READ_MAX = 40

TABLE: Any = GiftCardGift.__table__  # type: ignore[attr-defined]
PENDING = (GiftState.WAITING, GiftState.OPEN)
"""Given, and nobody's yet."""

gifts_by_card = statement(
    select(GiftCardGift).where(any_of(col(GiftCardGift.gift_card_id), "gift_card_ids")),
    into=GiftCardGift,
)
by_code = statement(
    select(GiftCardGift).where(col(GiftCardGift.code_index) == bindparam("code_index")),
    into=GiftCardGift,
)
# Claimed once, by one: a second one finds it claimed, and so does its return.
claim_gift = statement(
    update(GiftCardGift)
    .where(
        col(GiftCardGift.id) == bindparam("gift_id"),
        col(GiftCardGift.state) == GiftState.OPEN,
        col(GiftCardGift.expires_at) > bindparam("now"),
    )
    .values(
        state=GiftState.CLAIMED,
        claimed_by_id=bindparam("new_claimed_by_id"),
        claimed_at=bindparam("new_claimed_at"),
    )
)
due_gifts = statement(
    select(GiftCardGift)
    .where(
        # Said as the index says it, so that the few that wait are found by it.
        col(GiftCardGift.state) == literal_column("'WAITING'"),
        col(GiftCardGift.deliver_at) <= bindparam("now"),
    )
    .order_by(col(GiftCardGift.deliver_at))
    .limit(BATCH)
    .with_for_update(skip_locked=True),
    into=GiftCardGift,
)
unclaimed_gifts = statement(
    select(GiftCardGift)
    .where(
        col(GiftCardGift.state) == literal_column("'OPEN'"),
        col(GiftCardGift.expires_at) <= bindparam("now"),
    )
    .order_by(col(GiftCardGift.expires_at))
    .limit(BATCH),
    into=GiftCardGift,
)
pending_gifts_of = statement(
    select(GiftCardGift)
    .where(
        col(GiftCardGift.buyer_id).in_(members.own_records),
        any_of(col(GiftCardGift.state), "states"),
    )
    .order_by(col(GiftCardGift.gift_card_id)),
    into=GiftCardGift,
)
open_gifts = statement(
    update(GiftCardGift)
    .where(any_of(col(GiftCardGift.id), "gift_ids"))
    .values(state=GiftState.OPEN)
)
end_gift = statement(
    update(GiftCardGift)
    .where(
        any_of(col(GiftCardGift.gift_card_id), "gift_card_ids"),
        any_of(col(GiftCardGift.state), "from_states"),
    )
    .values(state=bindparam("new_state"), ended_at=bindparam("new_ended_at"))
)
_given = (
    select(GiftCardGift)
    .where(col(GiftCardGift.buyer_id).in_(members.own_records))
    .order_by(col(GiftCardGift.id).desc())
    .limit(bindparam("limit"))
)
GIVEN_PAGES: dict[bool, Statement[GiftCardGift]] = {
    # a cursor was given
    has_cursor: statement(
        _given.where(*([col(GiftCardGift.id) < bindparam("before")] if has_cursor else [])),
        into=GiftCardGift,
    )
    for has_cursor in (False, True)
}
buyers_of_orders = statement(
    select(GiftCardBuyer).where(any_of(col(GiftCardBuyer.order_id), "order_ids")),
    into=GiftCardBuyer,
)
gifts_by_id = statement(
    select(GiftCardGift).where(any_of(col(GiftCardGift.id), "ids")), into=GiftCardGift
)
new_gift = light(GiftCardGift)


class GiftCodeRefused(DomainError):
    """Unknown, not yet delivered, claimed, returned: never said which. The try counts."""

    keeps_changes = True

    def __init__(self) -> None:
        super().__init__("There is no gift to claim with this code.")


class Claimed(NamedTuple):
    """The card that is the receiver's now."""

    card: GiftCard
    is_replay: bool


async def wrap(
    tx: Transaction,
    *,
    cards: Sequence[GiftCard],
    buyer: GiftCardBuyer,
    buyer_id: UUID,
    deliver_at: datetime,
    claim_days: int,
    now: datetime,
) -> None:
    """Make a gift of each card: nobody holds it until it is claimed or returns."""
    made = []
    for card in cards:
        gift_id = new_id()
        made.append(
            new_gift(
                id=gift_id,
                gift_card_id=card.id,
                buyer_id=buyer_id,
                code_index=numbers.gift_code_index(numbers.gift_code(gift_id)),
                greeting=buyer.greeting,
                state=GiftState.WAITING,
                deliver_at=deliver_at,
                expires_at=deliver_at + timedelta(days=claim_days),
            )
        )
    await tx.insert(*made)
    if deliver_at <= now:
        await _deliver(tx, made, {gift.id: buyer.receiver_phone for gift in made}, now)


async def deliver_due(tx: Transaction, *, now: datetime) -> int:
    """Let gifts be claimed whose day has come, a batch at once; how many there were."""
    due = await tx.all(due_gifts, now=now)
    if not due:
        return 0
    cards = await holding.by_ids(tx, [gift.gift_card_id for gift in due])
    order_ids = {card.order_id for card in cards.values() if card.order_id is not None}
    buyers = {
        each.order_id: each.receiver_phone
        for each in await tx.all(buyers_of_orders, order_ids=list(order_ids))
    }
    phones = {gift.id: buyers.get(cards[gift.gift_card_id].order_id) for gift in due}
    await _deliver(tx, due, phones, now)
    return len(due)


async def return_unclaimed(tx: Transaction, *, now: datetime) -> int:
    """Give cards that nobody claimed in time back to their buyers, a batch at once."""
    due = await tx.all(unclaimed_gifts, now=now)
    # By card, so that two batches at once wait for one another in the same order.
    for gift in sorted(due, key=lambda each: each.gift_card_id):
        card = await holding.locked(tx, gift.gift_card_id)
        returned = await tx.changed(
            end_gift, gift_card_ids=[card.id], from_states=[GiftState.OPEN],
            new_state=GiftState.RETURNED, new_ended_at=now,
        )  # fmt: skip
        if returned:
            buyer = await members.living(tx, gift.buyer_id)
            await _hand_over(tx, gift, card, buyer.id)
            written = _notice(gift, buyer.id, buyer.group_id, "GIFT_RETURNED", now)
            await notices.write(tx, [written])
    return len(due)


async def recall_of(tx: Transaction, *, member_id: UUID, now: datetime) -> None:
    """Give a member who leaves back what nobody has claimed yet: it is theirs to give up."""
    for gift in await tx.all(pending_gifts_of, member_id=member_id, states=PENDING):
        card = await holding.locked(tx, gift.gift_card_id)
        recalled = await tx.changed(
            end_gift, gift_card_ids=[card.id], from_states=PENDING,
            new_state=GiftState.RETURNED, new_ended_at=now,
        )  # fmt: skip
        if recalled:
            await _hand_over(tx, gift, card, member_id)


async def claim(
    tx: Transaction, *, bearer: Bearer, code: str, address: str, now: datetime
) -> Claimed:
    """The member has the code of a gift: its card is theirs from now on, once (GFT-3).

    The same member may ask again. Raises `GiftCodeRefused`, `TooManyRequests`.
    """
    member = await members.acting(tx, bearer, now=now)
    counted = {
        f"wrong-gift-codes:{member.id}": WRONG_PER_MEMBER_MAX,
        f"wrong-gift-codes-from:{address}": WRONG_PER_ADDRESS_MAX,
    }
    for subject, at_most in counted.items():
        await limits.spend(tx, subject=subject, at_most=at_most, window=WRONG_WINDOW, now=now)
    index = numbers.gift_code_index(code[:CODE_CHARS_READ_MAX])
    gift = await tx.one(by_code, code_index=index)
    if gift is None or (await members.living(tx, gift.buyer_id)).group_id != member.group_id:
        raise GiftCodeRefused
    # The card first, as a refund takes it: then one of them finds the gift as the other left it.
    card = await holding.locked(tx, gift.gift_card_id)
    claimed = await tx.changed(
        claim_gift, gift_id=gift.id, new_claimed_by_id=member.id, new_claimed_at=now, now=now
    )
    if claimed:
        await _hand_over(tx, gift, card, member.id)
        buyer = await members.living(tx, gift.buyer_id)
        await notices.write(tx, [_notice(gift, buyer.id, buyer.group_id, "GIFT_CLAIMED", now)])
    elif not await _claimed_by(tx, gift.id, member.id):
        raise GiftCodeRefused
    for subject in counted:
        await limits.take_back(tx, subject=subject, window=WRONG_WINDOW, now=now)
    return Claimed((await holding.by_ids(tx, [card.id]))[card.id], is_replay=not claimed)


async def withdraw(tx: Transaction, gift_card_ids: list[UUID], *, now: datetime) -> None:
    """Cards were refunded: those that wait to be claimed cannot be any more."""
    await tx.changed(
        end_gift,
        gift_card_ids=gift_card_ids,
        from_states=PENDING,
        new_state=GiftState.WITHDRAWN,
        new_ended_at=now,
    )


async def by_card(tx: Transaction, gift_card_ids: list[UUID]) -> dict[UUID, GiftCardGift]:
    found = await tx.all(gifts_by_card, gift_card_ids=gift_card_ids)
    return {gift.gift_card_id: gift for gift in found}


async def by_ids(tx: Transaction, ids: list[UUID]) -> dict[UUID, GiftCardGift]:
    return {gift.id: gift for gift in await tx.all(gifts_by_id, ids=ids)}


async def given(
    tx: Transaction, *, member_id: UUID, before: UUID | None, limit: int
) -> list[GiftCardGift]:
    """What the signed-in member gave, newest first."""
    member = await members.signed_in(tx, member_id)
    cursor = {} if before is None else {"before": before}
    return await tx.all(GIVEN_PAGES[before is not None], member_id=member.id, limit=limit, **cursor)


def is_open(gift: GiftCardGift, now: datetime) -> bool:
    """Whether its code works now, and so may be shown to whoever gives it."""
    return gift.state is GiftState.OPEN and now < gift.expires_at


async def _deliver(
    tx: Transaction,
    gifts: Sequence[GiftCardGift],
    phones: dict[UUID, str | None],
    now: datetime,
) -> None:
    """Let gifts be claimed, and tell their buyers and whoever has the phone they are for."""
    await tx.changed(open_gifts, gift_ids=[gift.id for gift in gifts])
    for gift in gifts:
        buyer = await members.living(tx, gift.buyer_id)
        written = [_notice(gift, buyer.id, buyer.group_id, "GIFT_READY", now)]
        receiver_id = await _receiver(tx, buyer.group_id, phones[gift.id])
        if receiver_id is not None:
            # The code goes to whoever has proven this phone, and to nobody else by us.
            written.append(_notice(gift, receiver_id, buyer.group_id, "GIFT_RECEIVED", now))
        await notices.write(tx, written)


async def _receiver(tx: Transaction, group_id: UUID, phone: str | None) -> UUID | None:
    proof = None if phone is None else identities.proof_of(IdentityKind.PHONE, phone)
    if proof is None:
        return None
    owners = await identities.find(tx, group_id=group_id, proofs=[proof])
    return next((each.member_id for each in owners if each.is_proven), None)


async def _hand_over(tx: Transaction, gift: GiftCardGift, card: GiftCard, holder_id: UUID) -> None:
    assert gift.gift_card_id == card.id
    held = await tx.changed(holding.set_holder, gift_card_id=card.id, new_holder_id=holder_id)
    assert held == 1, "nobody holds a gift that waits"


async def _claimed_by(tx: Transaction, gift_id: UUID, member_id: UUID) -> bool:
    claimer_id = (await by_ids(tx, [gift_id]))[gift_id].claimed_by_id
    return claimer_id is not None and (await members.living(tx, claimer_id)).id == member_id


def _notice(gift: GiftCardGift, member_id: UUID, group_id: UUID, kind: str, now: datetime) -> Any:
    return notices.new_notice(
        group_id=group_id,
        member_id=member_id,
        kind=kind,
        unique_key=f"{kind}:{gift.id}",
        details={"gift_id": str(gift.id)},
        created_at=now,
    )
