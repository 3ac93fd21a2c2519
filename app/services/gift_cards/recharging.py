"""Money put on a gift card at a till, where its product allows (GFT-1)."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, light, statement
from app.core.errors import DomainError
from app.models.gift_cards import GiftCard, GiftCardRecharge, GiftCardState
from app.models.ledger import PostingKind
from app.models.orders import OrderKind
from app.models.staff import Permission
from app.services import audit, compliance, members, orders, organisation, requests
from app.services.actors import Actor
from app.services.gift_cards import holding, issuing, numbers
from app.services.gift_cards.holding import Balance
from app.services.gift_cards.pricing import Pricing

CAUSE = "gift_card_recharge"

recharge_by_id = statement(
    select(GiftCardRecharge).where(col(GiftCardRecharge.id) == bindparam("recharge_id")),
    into=GiftCardRecharge,
)
prolong = statement(
    update(GiftCard)
    .where(col(GiftCard.id) == bindparam("gift_card_id"))
    .values(state=GiftCardState.ACTIVE, expires_at=bindparam("new_expires_at"))
)
new_recharge = light(GiftCardRecharge)


class GiftCardNotRechargeable(DomainError):
    """Its product does not let it be recharged."""

    def __init__(self) -> None:
        super().__init__("This gift card cannot be recharged.")


class Recharged(NamedTuple):
    """What was put on which card, and what that holds now."""

    recharge: GiftCardRecharge
    card: GiftCard
    balance: Balance
    is_replay: bool


async def recharge(
    tx: Transaction,
    actor: Actor,
    *,
    terminal_id: UUID,
    number: str,
    face: int,
    method_code: str,
    request_key: str,
    now: datetime,
) -> Recharged:
    """A cashier took the money for one of the values the card was sold with (GFT-1).

    A used-up card is active again. What comes lasts as long as if the card were sold now. Raises
    `TerminalNotFound`, `GiftCardNotFound`, `GiftCardNotRechargeable`, a `GiftCardUnusable`,
    `NotAvailable`, `GiftCardAmountNotOffered`, `PaymentMethodUnknown`, `MethodCannotPay`,
    `RequestKeyReused`, what `compliance.require_gift_cards` raises: whoever holds the card counts
    as whoever pays.
    """
    terminal, store = await organisation.terminal(tx, terminal_id)
    actor.require(Permission.GIFT_CARDS_SELL, store)
    number = numbers.plain(number)
    request = requests.Request(
        principal_id=actor.id,
        operation="giftCardRecharge",
        key=request_key,
        input={
            "terminal": terminal.id, "number": number, "face": face, "method": method_code
        },
    )  # fmt: skip
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        earlier = await tx.one(recharge_by_id, recharge_id=claim.answer_id)
        assert earlier is not None
        return await _done(tx, earlier, is_replay=True)
    method = await orders.paying_method(
        tx, group_id=store.group_id, code=method_code, kind=OrderKind.GIFT_CARD
    )
    found = await holding.by_number(tx, group_id=store.group_id, number=number)
    holder = None if found.holder_id is None else await members.locked(tx, found.holder_id)
    card = await holding.locked(tx, found.id)
    if card.state is not GiftCardState.USED:
        holding.require_usable(card, now)
    assert card.terms is not None, "it was sold"
    if not card.terms["can_recharge"]:
        raise GiftCardNotRechargeable
    await holding.require_store(tx, card, store)
    pricing = Pricing.of(card.currency, card.terms["denominations"], card.terms["custom_amount"])
    cash = pricing.price_of(face)
    await compliance.require_gift_cards(
        tx, group_id=card.group_id, buyer=holder, face=face, amount=cash, currency=card.currency,
        method=method, held=(await holding.balances(tx, [card.id]))[card.id].total, now=now,
    )  # fmt: skip
    expires_at = issuing.expiry(card.terms, now)
    header = holding.header(
        card,
        kind=PostingKind.GIFT_CARD_RECHARGE,
        cause_kind=CAUSE,
        cause_id=claim.answer_id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        store_id=store.id,
        now=now,
    )
    await issuing.put_value(tx, card, header=header, cash=cash, face=face, expires_at=expires_at)
    await tx.changed(prolong, gift_card_id=card.id, new_expires_at=expires_at)
    written = new_recharge(
        id=claim.answer_id,
        group_id=card.group_id,
        gift_card_id=card.id,
        terminal_id=terminal.id,
        store_id=store.id,
        payment_method_id=method.id,
        currency=card.currency,
        face=face,
        cash=cash,
        recharged_at=now,
    )
    await tx.insert(written)
    await audit.record(
        tx, actor, "gift_card.recharge", object_kind="gift_card", object_id=card.id,
        node_id=store.id, now=now, terminal=terminal.id, face=face, cash=cash, method=method.code,
    )  # fmt: skip
    return await _done(tx, written, is_replay=False)


async def _done(tx: Transaction, written: GiftCardRecharge, *, is_replay: bool) -> Recharged:
    card = (await holding.by_ids(tx, [written.gift_card_id]))[written.gift_card_id]
    balance = (await holding.balances(tx, [card.id]))[card.id]
    return Recharged(written, card, balance, is_replay)
