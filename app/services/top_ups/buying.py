"""Buying a plan: members by a provider's payment, tills by money in the hand (TOP-7, TOP-8)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.core.db import Transaction, changed_copy
from app.core.money import Money
from app.models.cards import Card, Scheme
from app.models.organisation import Node
from app.models.scopes import Channel
from app.models.staff import Permission
from app.models.top_ups import TopUpOrder
from app.services import (
    audit,
    cards,
    compliance,
    members,
    organisation,
    purchases,
    requests,
    schemes,
)
from app.services.actors import Actor
from app.services.members import Bearer
from app.services.payments import Online, Placed
from app.services.top_ups import orders, plans
from app.services.top_ups.orders import Sold


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What somebody would like to buy: a step of a plan, and how much where it is a range."""

    card_id: UUID
    plan_id: UUID
    step: int
    amount: Money

    def document(self) -> dict[str, Any]:
        """For the fingerprint of a request."""
        return {
            "card": self.card_id,
            "plan": self.plan_id,
            "step": self.step,
            "amount": [self.amount.amount, self.amount.currency],
        }


async def place(
    tx: Transaction,
    *,
    bearer: Bearer,
    choice: Choice,
    online: Online,
    request_key: str,
    now: datetime,
) -> Placed[TopUpOrder]:
    """A member orders a top-up and has 15 minutes to pay it; its piece of stock waits (TOP-7).

    The provider is asked after the commit. Raises `CardNotFound`, `CardNotUsable`, `WrongCurrency`,
    `NotAtThisStore`, `NodeNotFound`, `TooManyOpenTopUps`, `RequestKeyReused`, what
    `plans.require_offered` and `compliance.require_room` raise.
    """
    member = await members.acting(tx, bearer, now=now)
    request = requests.Request(
        principal_id=member.id,
        operation="topUpOrder",
        key=request_key,
        input={**choice.document(), **online.document()},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return await orders.placed(tx, claim.answer_id)
    card = await cards.own(tx, member_id=member.id, card_id=choice.card_id)
    card = await cards.locked(tx, card)
    cards.require_usable(card, now)
    store = None
    if online.store_id is not None:
        store = await _store(tx, card, online.store_id)
    scheme = await _scheme(tx, card, store, choice.amount)
    plan, brings, is_first = await plans.require_offered(
        tx,
        plan_id=choice.plan_id,
        step=choice.step,
        amount=choice.amount.amount,
        card=card,
        scheme=scheme,
        member=member,
        store=store,
        channel=Channel.ONLINE,
        now=now,
    )
    await compliance.require_room(
        tx, card=card, member=member, amount=brings.amount, currency=scheme.currency,
        method=None, now=now,
    )  # fmt: skip
    order = orders.drafted(
        claim.answer_id, card=card, scheme=scheme, brings=brings, plan=plan, step=choice.step,
        channel=Channel.ONLINE, store_id=online.store_id, is_first=is_first, now=now,
    )  # fmt: skip
    order = changed_copy(order, holds_stock=await plans.take_stock(tx, plan.id))
    return Placed(*await orders.await_payment(tx, order, provider=online.provider, now=now), False)


async def sell(
    tx: Transaction,
    actor: Actor,
    *,
    terminal_id: UUID,
    choice: Choice,
    method_code: str,
    request_key: str,
    now: datetime,
) -> Sold:
    """A cashier took the money: the card is topped up at once (TOP-7).

    Raises `TerminalNotFound`, `CardNotFound`, `CardNotUsable`, `NotAtThisStore`, `WrongCurrency`,
    `PaymentMethodUnknown`, `MethodCannotTopUp`, `BalanceTooLarge`, `RequestKeyReused`, what
    `plans.require_offered` and `compliance.require_room` raise.
    """
    terminal, store = await organisation.terminal(tx, terminal_id)
    actor.require(Permission.TOP_UPS_SELL, store)
    request = requests.Request(
        principal_id=actor.id,
        operation="topUpSell",
        key=request_key,
        input={**choice.document(), "terminal": terminal_id, "method": method_code},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return Sold(await orders.existing(tx, claim.answer_id), is_replay=True)
    card = await cards.living(tx, choice.card_id)
    if card.group_id != store.group_id:
        raise cards.CardNotFound
    member = await members.locked(tx, card.member_id)
    card = await cards.locked(tx, card)
    cards.require_usable(card, now)
    scheme = await _scheme(tx, card, store, choice.amount)
    method = await orders.paying_method(tx, group_id=store.group_id, code=method_code)
    plan, brings, is_first = await plans.require_offered(
        tx,
        plan_id=choice.plan_id,
        step=choice.step,
        amount=choice.amount.amount,
        card=card,
        scheme=scheme,
        member=member,
        store=store,
        channel=Channel.POS,
        now=now,
    )
    await compliance.require_room(
        tx, card=card, member=member, amount=brings.amount, currency=scheme.currency,
        method=method, now=now,
    )  # fmt: skip
    order = orders.drafted(
        claim.answer_id, card=card, scheme=scheme, brings=brings, plan=plan, step=choice.step,
        channel=Channel.POS, store_id=store.id, is_first=is_first, now=now,
    )  # fmt: skip
    order = changed_copy(
        order,
        terminal_id=terminal.id,
        payment_method_id=method.id,
        holds_stock=await plans.take_stock(tx, plan.id),
    )
    await tx.insert(order)
    credited = await orders.credit(
        tx, order=order, card=card, scheme=scheme, actor_kind=actor.kind, actor_id=actor.id, now=now
    )
    await audit.record(
        tx, actor, "top_up.sell", object_kind="top_up", object_id=order.id, node_id=store.id,
        now=now, card=card.id, terminal=terminal.id, amount=order.amount, method=method.code,
    )  # fmt: skip
    return Sold(credited, is_replay=False)


async def _store(tx: Transaction, card: Card, store_id: UUID) -> Node:
    """The store a member names for an order; raises `NodeNotFound`."""
    store = await organisation.node(tx, store_id)
    if store.group_id != card.group_id:
        raise organisation.NodeNotFound
    return store


async def _scheme(tx: Transaction, card: Card, store: Node | None, amount: Money) -> Scheme:
    """The card's scheme; raises `NotAtThisStore`, `WrongCurrency`."""
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    if store is not None:
        await schemes.require_store(tx, scheme, store)
    if amount.currency != scheme.currency:
        raise purchases.WrongCurrency(scheme.currency)
    return scheme
