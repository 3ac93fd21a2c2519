"""Bills that gift cards pay, whole or in part, and what comes back (GFT-4)."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, changed_copy, light, statement
from app.core.errors import BadInput, DomainError
from app.core.money import Money
from app.models.cards import DeductionRule
from app.models.gift_cards import (
    GiftCard,
    GiftCardPayment,
    GiftCardPaymentState,
    GiftCardState,
)
from app.models.ledger import LotMovement, PostingKind, SystemAccount
from app.models.staff import Permission
from app.services import audit, ledger, organisation, purchases, requests
from app.services.actors import Actor
from app.services.gift_cards import holding, pricing, proving
from app.services.ledger.sheet import Sheet
from app.services.ledger.splitting import split

CAUSE = "gift_card_payment"
VOID_CAUSE = "gift_card_payment_void"
ORDER_NUMBER_CHARS_MAX = 64

payments_by_id = statement(
    select(GiftCardPayment).where(any_of(col(GiftCardPayment.id), "ids")), into=GiftCardPayment
)
movements_of_posting = statement(
    select(LotMovement).where(col(LotMovement.posting_id) == bindparam("posting_id")),
    into=LotMovement,
)
void_payment = statement(
    update(GiftCardPayment)
    .where(
        col(GiftCardPayment.id) == bindparam("payment_id"),
        col(GiftCardPayment.state) == GiftCardPaymentState.PAID,
    )
    .values(state=GiftCardPaymentState.VOIDED, voided_at=bindparam("new_voided_at"))
)
new_payment = light(GiftCardPayment)


class GiftCardBalanceTooLow(DomainError):
    """The card holds less than it is to pay."""

    def __init__(self, *, short_by: Money, usable: Money) -> None:
        self.short_by = short_by
        self.usable = usable
        super().__init__(f"There is {usable} left on this gift card.")


class GiftCardPaymentNotFound(DomainError):
    """No such payment, or one at a store where the actor does not work."""

    def __init__(self) -> None:
        super().__init__("There is no such payment.")


class GiftCardPaymentVoided(DomainError):
    """It came back before."""

    def __init__(self) -> None:
        super().__init__("This payment was voided before.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a card is to pay, and by which number the till or the partner knows it."""

    amount: Money
    order_number: str


class Done(NamedTuple):
    """A payment, the card it was made with, and what is left on that."""

    payment: GiftCardPayment
    card: GiftCard
    balance: holding.Balance
    is_replay: bool


async def pay(
    tx: Transaction,
    actor: Actor,
    *,
    terminal_id: UUID,
    proof: proving.Proof,
    bill: Bill,
    request_key: str,
    now: datetime,
) -> Done:
    """Take what a bill, or a part of one, costs from a card: cash and gift in proportion (GFT-4).

    Exactly once per request key. Raises `TerminalNotFound`, `GiftCardRefused`, a
    `GiftCardUnusable`, `NotAvailable`, `WrongCurrency`, `GiftCardBalanceTooLow`,
    `RequestKeyReused`.
    """
    terminal, store = await organisation.terminal(tx, terminal_id)
    actor.require(Permission.GIFT_CARDS_REDEEM, store)
    if not 0 < bill.amount.amount <= pricing.AMOUNT_MAX:
        raise BadInput(f"amount must be above 0 and at most {pricing.AMOUNT_MAX}.")
    request = requests.Request(
        principal_id=actor.id,
        operation="giftCardPay",
        key=request_key,
        input={
            "terminal": terminal.id,
            "proof": proof.document(),
            "amount": [bill.amount.amount, bill.amount.currency],
            "order": bill.order_number,
        },
    )
    # Asked before the card is proven: its code works once, the answer still stands.
    if answer_id := await requests.answered(tx, request):
        return await _done(tx, (await by_ids(tx, [answer_id]))[answer_id], is_replay=True)
    card = await proving.prove(
        tx, group_id=store.group_id, proof=proof, asker=proving.at_till(terminal.id), now=now
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return await _done(
            tx, (await by_ids(tx, [claim.answer_id]))[claim.answer_id], is_replay=True
        )
    holding.require_usable(card, now)
    await holding.require_store(tx, card, store)
    if bill.amount.currency != card.currency:
        raise purchases.WrongCurrency(card.currency)
    purse = await holding.purse_of(tx, card)
    header = holding.header(
        card,
        kind=PostingKind.GIFT_CARD_SPEND,
        cause_kind=CAUSE,
        cause_id=claim.answer_id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        store_id=store.id,
        now=now,
    )
    sheet = await ledger.Sheet.open(tx, header, [account.id for account in purse])
    cash, bonus, left = await _take(sheet, purse, bill.amount)
    await sheet.close()
    if not left:
        await holding.become(tx, card, was=GiftCardState.ACTIVE, state=GiftCardState.USED)
    payment = new_payment(
        id=claim.answer_id,
        group_id=card.group_id,
        gift_card_id=card.id,
        terminal_id=terminal.id,
        store_id=store.id,
        order_number=bill.order_number,
        currency=card.currency,
        cash=cash,
        bonus=bonus,
        paid_at=now,
    )
    await tx.insert(payment)
    await audit.record(
        tx, actor, "gift_card.pay", object_kind="gift_card", object_id=card.id, node_id=store.id,
        now=now, payment=payment.id, terminal=terminal.id, cash=cash, bonus=bonus,
    )  # fmt: skip
    return await _done(tx, payment, is_replay=False)


async def void(
    tx: Transaction, actor: Actor, *, payment_id: UUID, request_key: str, now: datetime
) -> Done:
    """Give back exactly what a payment took, to the very lots. What expired meanwhile does again.

    Raises `GiftCardPaymentNotFound`, `GiftCardPaymentVoided`, `GiftCardRefunded`,
    `RequestKeyReused`.
    """
    payment = (await by_ids(tx, [payment_id])).get(payment_id)
    if payment is None or payment.group_id != actor.group_id:
        raise GiftCardPaymentNotFound
    store = await organisation.node(tx, payment.store_id)
    actor.require(Permission.GIFT_CARDS_REDEEM, store)
    request = requests.Request(
        principal_id=actor.id,
        operation="giftCardPayVoid",
        key=request_key,
        input={"payment": payment.id},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return await _done(tx, payment, is_replay=True)
    card = await holding.locked(tx, payment.gift_card_id)
    if card.state is GiftCardState.REFUNDED:
        # Its money was paid out: what comes back now would be lost on it.
        holding.require_usable(card, now)
    if not await tx.changed(void_payment, payment_id=payment.id, new_voided_at=now):
        raise GiftCardPaymentVoided
    taken = await ledger.posting_by_cause(tx, CAUSE, payment.id)
    assert taken is not None, "it was posted when it was paid"
    movements = await tx.all(movements_of_posting, posting_id=taken.id)
    header = holding.header(
        card,
        kind=PostingKind.GIFT_CARD_SPEND_REVERSAL,
        cause_kind=VOID_CAUSE,
        cause_id=payment.id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        store_id=store.id,
        reverses_id=taken.id,
        now=now,
    )
    await ledger.give_back(
        tx,
        header=header,
        parts=[ledger.Part(each.lot_id, -each.amount) for each in movements],
        against=[
            ledger.Against(SystemAccount.REVENUE, -payment.cash, card.currency),
            ledger.Against(SystemAccount.BONUS_SPENT, -payment.bonus, card.currency),
        ],
    )
    if card.state is GiftCardState.USED:
        await holding.become(tx, card, was=GiftCardState.USED, state=GiftCardState.ACTIVE)
    await audit.record(
        tx, actor, "gift_card.pay_void", object_kind="gift_card", object_id=card.id,
        node_id=store.id, now=now, payment=payment.id, cash=payment.cash, bonus=payment.bonus,
    )  # fmt: skip
    voided = changed_copy(payment, state=GiftCardPaymentState.VOIDED, voided_at=now)
    return await _done(tx, voided, is_replay=False)


async def by_ids(tx: Transaction, ids: list[UUID]) -> dict[UUID, GiftCardPayment]:
    return {row.id: row for row in await tx.all(payments_by_id, ids=ids)}


async def _take(sheet: Sheet, purse: holding.Purse, amount: Money) -> tuple[int, int, int]:
    """Take an amount from both accounts in proportion: its cash, its bonus, and what is left.

    Raises `GiftCardBalanceTooLow`.
    """
    cash_lots, bonus_lots = await sheet.live(purse.cash.id), await sheet.live(purse.bonus.id)
    cash_held, bonus_held = holding.live_total(cash_lots), holding.live_total(bonus_lots)
    held = cash_held + bonus_held
    if held < amount.amount:
        raise GiftCardBalanceTooLow(
            short_by=Money(amount.amount - held, amount.currency),
            usable=Money(held, amount.currency),
        )
    cash, bonus = split(
        amount.amount, cash=cash_held, bonus=bonus_held, rule=DeductionRule.PROPORTIONAL
    )
    await sheet.take(purse.cash.id, cash)
    await sheet.take(purse.bonus.id, bonus)
    sheet.against(SystemAccount.REVENUE, cash, amount.currency)
    sheet.against(SystemAccount.BONUS_SPENT, bonus, amount.currency)
    return cash, bonus, held - amount.amount


async def _done(tx: Transaction, payment: GiftCardPayment, *, is_replay: bool) -> Done:
    card = (await holding.by_ids(tx, [payment.gift_card_id]))[payment.gift_card_id]
    balance = (await holding.balances(tx, [card.id]))[card.id]
    return Done(payment, card, balance, is_replay)
