"""What becomes of sold cards: frozen, restored, refunded by staff, given up (GFT-5)."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, changed_copy, statement
from app.core.errors import DomainError
from app.core.texts import checked_text
from app.models.gift_cards import (
    GiftCard,
    GiftCardBuyer,
    GiftCardGift,
    GiftCardKind,
    GiftCardState,
)
from app.models.ledger import Account, PostingKind, SystemAccount
from app.models.orders import Order
from app.models.organisation import Node
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.services import audit, ledger, members, payment_methods, requests
from app.services.actors import Actor
from app.services.gift_cards import gifts, holding
from app.services.gift_cards.holding import GiftCardNotFound
from app.services.ledger.sheet import Taken

REFUND_CAUSE = "gift_card_refund"
CLOSURE_CAUSE = "gift_card_closure"
REASON_CHARS_MAX = 200
REFUNDABLE = (GiftCardState.ACTIVE, GiftCardState.FROZEN)

refund_card = statement(
    update(GiftCard)
    .where(col(GiftCard.id) == bindparam("gift_card_id"))
    .values(
        state=GiftCardState.REFUNDED,
        code_index=None,
        ended_at=bindparam("new_ended_at"),
        refunded_cash=bindparam("new_refunded_cash"),
        refund_method_id=bindparam("new_method_id"),
        refund_reason=bindparam("new_reason"),
    )
)


lock_held = statement(
    select(GiftCard)
    .where(col(GiftCard.holder_id).in_(members.own_records))
    .order_by(col(GiftCard.id))
    .with_for_update(key_share=True),
    into=GiftCard,
)
let_go = statement(
    update(GiftCard)
    .where(col(GiftCard.holder_id).in_(members.own_records))
    .values(holder_id=None, key=None, code_index=None, code_expires_at=None)
)
forget_buyers = statement(
    update(GiftCardBuyer)
    .where(
        col(GiftCardBuyer.order_id).in_(
            select(Order.id).where(col(Order.member_id).in_(members.own_records))
        )
    )
    .values(name=None, phone=None, email=None, card_number=None, receiver_phone=None, greeting=None)
)
forget_greetings = statement(
    update(GiftCardGift)
    .where(col(GiftCardGift.buyer_id).in_(members.own_records))
    .values(greeting=None)
)


class GiftCardStateUnchangeable(DomainError):
    """Only an active card can be frozen, and only a frozen one restored."""

    def __init__(self, current: GiftCardState) -> None:
        self.current = current
        super().__init__(f"A gift card that is {current.lower()} cannot be changed so.")


class GiftCardNotRefundable(DomainError):
    """Used up, expired, refunded before or never sold: there is nothing to pay back (GFT-5)."""

    def __init__(self, state: GiftCardState) -> None:
        self.state = state
        super().__init__(f"A gift card that is {state.lower()} cannot be refunded.")


class GiftCardNotWhole(DomainError):
    """Something of the card was used or added: pay out at the counter what is left (GFT-5)."""

    def __init__(self) -> None:
        super().__init__("A part of a card has been used: pay it out at the counter.")


class Refunded(NamedTuple):
    """The card afterwards."""

    card: GiftCard
    is_replay: bool


async def freeze(
    tx: Transaction, actor: Actor, *, gift_card_id: UUID, reason: str, now: datetime
) -> GiftCard:
    """Let a card pay nothing until it is restored; its time runs on (GFT-5).

    A frozen one is the answer. Raises `GiftCardNotFound`, `GiftCardStateUnchangeable`.
    """
    return await _turn(
        tx, actor, gift_card_id, "freeze", GiftCardState.ACTIVE, GiftCardState.FROZEN, reason, now
    )


async def restore(
    tx: Transaction, actor: Actor, *, gift_card_id: UUID, reason: str, now: datetime
) -> GiftCard:
    """Let a frozen card pay again; an active one is the answer. Raises as `freeze`."""
    return await _turn(
        tx, actor, gift_card_id, "restore", GiftCardState.FROZEN, GiftCardState.ACTIVE, reason, now
    )


async def refund(
    tx: Transaction,
    actor: Actor,
    *,
    gift_card_id: UUID,
    method_code: str,
    reason: str,
    request_key: str,
    now: datetime,
) -> Refunded:
    """Pay out what is left of a card's cash over the counter, and close it (GFT-5).

    An order that was paid online goes back by the way it came as a whole: `shop.refund`. Raises
    `GiftCardNotFound`, `GiftCardNotRefundable`, `PaymentMethodUnknown`, `RequestKeyReused`.
    """
    reason = checked_text("reason", reason, at_most=REASON_CHARS_MAX)
    place = await _place(tx, actor, gift_card_id, Permission.GIFT_CARDS_REFUND)
    request = requests.Request(
        principal_id=actor.id,
        operation="giftCardRefund",
        key=request_key,
        input={"card": gift_card_id, "method": method_code, "reason": reason},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return Refunded(await holding.locked(tx, gift_card_id), is_replay=True)
    method = await payment_methods.of_code(tx, group_id=actor.group_id, code=method_code)
    card = await holding.locked(tx, gift_card_id)
    paid_back = await close(
        tx, card, must_be_whole=False, cause_id=claim.answer_id, actor_kind=actor.kind,
        actor_id=actor.id, method_id=method.id, reason=reason, now=now,
    )  # fmt: skip
    await audit.record(
        tx, actor, "gift_card.refund", object_kind="gift_card", object_id=card.id,
        node_id=place.id, now=now, amount=paid_back, method=method.code, reason=reason,
    )  # fmt: skip
    return Refunded(await holding.locked(tx, card.id), is_replay=False)


async def close(
    tx: Transaction,
    card: GiftCard,
    *,
    must_be_whole: bool,
    cause_id: UUID,
    actor_kind: PrincipalKind,
    actor_id: UUID | None,
    method_id: UUID | None,
    reason: str | None,
    now: datetime,
) -> int:
    """Empty a locked card and end it; how much of its cash was left, in minor units.

    What was given with it goes nowhere. Raises `GiftCardNotRefundable`, `GiftCardNotWhole`.
    """
    state = holding.status_at(card, now)
    if state not in REFUNDABLE:
        raise GiftCardNotRefundable(state)
    purse = await holding.purse_of(tx, card)
    header = holding.header(
        card,
        kind=PostingKind.GIFT_CARD_REFUND,
        cause_kind=REFUND_CAUSE,
        cause_id=cause_id,
        actor_kind=actor_kind,
        actor_id=actor_id,
        store_id=card.store_id,
        now=now,
    )
    sheet = await ledger.Sheet.open(tx, header, [account.id for account in purse])
    cash_lots, bonus_lots = await sheet.live(purse.cash.id), await sheet.live(purse.bonus.id)
    cash, bonus = holding.live_total(cash_lots), holding.live_total(bonus_lots)
    if must_be_whole and (cash, bonus) != (card.cash, card.face - card.cash):
        raise GiftCardNotWhole
    for account, lots, amount, goes_to in (
        (purse.cash, cash_lots, cash, SystemAccount.PAID_OUT),
        (purse.bonus, bonus_lots, bonus, SystemAccount.BONUS_ISSUED),
    ):
        sheet.take_lots(account.id, [Taken(lot, lot.remaining) for lot in lots])
        sheet.against(goes_to, amount, card.currency)
    await sheet.close()
    await tx.changed(
        refund_card, gift_card_id=card.id, new_ended_at=now, new_refunded_cash=cash,
        new_method_id=method_id, new_reason=reason,
    )  # fmt: skip
    await gifts.withdraw(tx, [card.id], now=now)
    return cash


async def give_up(tx: Transaction, *, member_id: UUID, now: datetime) -> list[Account]:
    """A member leaves: what is on their electronic cards expires, gifts that nobody has
    claimed yet among them; printed ones are nobody's.

    What each account held that held something. Names, greetings and keys are forgotten.
    """
    await gifts.recall_of(tx, member_id=member_id, now=now)
    left = []
    for card in await tx.all(lock_held, member_id=member_id):
        state = holding.status_at(card, now)
        if card.kind is GiftCardKind.ELECTRONIC and state in REFUNDABLE:
            purse = await holding.purse_of(tx, card)
            header = holding.header(
                card,
                kind=PostingKind.EXPIRE,
                cause_kind=CLOSURE_CAUSE,
                cause_id=card.id,
                actor_kind=PrincipalKind.MEMBER,
                actor_id=member_id,
                now=now,
            )
            sheet = await ledger.Sheet.open(tx, header, [account.id for account in purse])
            for account in purse:
                taken = await sheet.take_all(account.id)
                total = sum(part.amount for part in taken)
                sheet.against(SystemAccount.EXPIRED, total, card.currency)
                if total:
                    left.append(sheet.account(account.id))
            await sheet.close()
            await holding.become(tx, card, was=card.state, state=GiftCardState.USED)
    await tx.changed(let_go, member_id=member_id)
    await tx.changed(forget_buyers, member_id=member_id)
    await tx.changed(forget_greetings, member_id=member_id)
    return left


async def _turn(
    tx: Transaction,
    actor: Actor,
    gift_card_id: UUID,
    word: str,
    was: GiftCardState,
    state: GiftCardState,
    reason: str,
    now: datetime,
) -> GiftCard:
    reason = checked_text("reason", reason, at_most=REASON_CHARS_MAX)
    place = await _place(tx, actor, gift_card_id, Permission.GIFT_CARDS_FREEZE)
    card = await holding.locked(tx, gift_card_id)
    current = holding.status_at(card, now)
    if current is state:
        return card
    if current is not was:
        raise GiftCardStateUnchangeable(current)
    await holding.become(tx, card, was=was, state=state)
    await audit.record(
        tx, actor, f"gift_card.{word}", object_kind="gift_card", object_id=card.id,
        node_id=place.id, now=now, reason=reason,
    )  # fmt: skip
    return changed_copy(card, state=state)


async def _place(tx: Transaction, actor: Actor, gift_card_id: UUID, permission: Permission) -> Node:
    """Where the card belongs, and the actor may do this; raises `GiftCardNotFound`."""
    card = (await holding.by_ids(tx, [gift_card_id])).get(gift_card_id)
    if card is None or card.group_id != actor.group_id:
        raise GiftCardNotFound
    place = await holding.place_of(tx, card)
    actor.require(permission, place)
    return place
