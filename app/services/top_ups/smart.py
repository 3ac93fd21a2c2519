"""Smart top-ups: offers made from a bill that the balance does not cover (TOP-5).

A quote holds what it offers for five minutes, a piece of the plan's stock among it, and the order
made from it costs what it said.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.crypto import constant_time_equal
from app.core.db import Transaction, changed_copy, light, statement
from app.core.errors import BadInput, DomainError
from app.core.ids import parse_type_id, type_id
from app.core.money import Money
from app.core.personal import index_of
from app.models.cards import Card, Scheme
from app.models.ledger import AccountKind
from app.models.members import Member
from app.models.organisation import Node
from app.models.scopes import Channel
from app.models.staff import Permission
from app.models.top_ups import TopUpOrder, TopUpPlan, TopUpPlanKind, TopUpQuote, TopUpSource
from app.services import (
    audit,
    cards,
    compliance,
    ledger,
    limits,
    members,
    organisation,
    purchases,
    requests,
    schemes,
)
from app.services.actors import Actor
from app.services.members import Bearer
from app.services.payments import Online, Placed
from app.services.top_ups import orders, plans, rules
from app.services.top_ups.rules import Credit, Rounding, SmartStep

GOOD_FOR = timedelta(minutes=5)
RELEASED_AT_ONCE_MAX = 200
HOUR = timedelta(hours=1)
QUOTES_PER_HOUR_MAX = 60
"""Of one member online: each writes a row and may hold stock."""
BILL_MAX = 10_000_000_000

quote_by_id = statement(
    select(TopUpQuote).where(col(TopUpQuote.id) == bindparam("quote_id")), into=TopUpQuote
)
lock_quote = statement(
    select(TopUpQuote).where(col(TopUpQuote.id) == bindparam("quote_id")).with_for_update(),
    into=TopUpQuote,
)
open_quotes_of_card = statement(
    select(TopUpQuote)
    .where(col(TopUpQuote.card_id) == bindparam("card_id"), col(TopUpQuote.ended_at).is_(None))
    .order_by(col(TopUpQuote.id))
    .with_for_update(),
    into=TopUpQuote,
)
overdue_quotes = statement(
    select(TopUpQuote)
    .where(col(TopUpQuote.ended_at).is_(None), col(TopUpQuote.expires_at) <= bindparam("now"))
    .order_by(col(TopUpQuote.expires_at))
    .limit(RELEASED_AT_ONCE_MAX)
    .with_for_update(skip_locked=True),
    into=TopUpQuote,
)
end_quote = statement(
    update(TopUpQuote)
    .where(col(TopUpQuote.id) == bindparam("quote_id"), col(TopUpQuote.ended_at).is_(None))
    .values(ended_at=bindparam("new_ended_at"))
)
new_quote = light(TopUpQuote)


class BillCovered(DomainError):
    """The balance pays the bill: nothing needs to be topped up."""

    def __init__(self) -> None:
        super().__init__("Your balance covers this bill.")


class NoSmartOffer(DomainError):
    """No smart plan fits this bill, card and place now."""

    def __init__(self) -> None:
        super().__init__("There is no top-up offer for this bill.")


class QuoteRefused(DomainError):
    """Not a quote of ours, used, replaced by a later one, or older than five minutes."""

    def __init__(self) -> None:
        super().__init__("This offer is no longer good. Ask for a new one.")


class Quoted(NamedTuple):
    """A quote, the plan it is of, and the text that a page hands back to take an offer."""

    quote: TopUpQuote
    plan: TopUpPlan
    token: str


async def quote_online(
    tx: Transaction,
    *,
    bearer: Bearer,
    card_id: UUID,
    bill: Money,
    store_id: UUID | None,
    now: datetime,
) -> Quoted:
    """Offers for a member's bill; it replaces the card's earlier quote (TOP-5).

    Raises `CardNotFound`, `CardNotUsable`, `NodeNotFound`, `NotAtThisStore`, `WrongCurrency`,
    `BillCovered`, `NoSmartOffer`.
    """
    member = await members.acting(tx, bearer, now=now)
    card = await cards.own(tx, member_id=member.id, card_id=card_id)
    store = None
    await limits.spend(
        tx, subject=f"smart-quotes:{member.id}", at_most=QUOTES_PER_HOUR_MAX, window=HOUR, now=now
    )
    if store_id is not None:
        store = await organisation.node(tx, store_id)
        if store.group_id != card.group_id:
            raise organisation.NodeNotFound
    return await _quote(tx, card, member, bill, Channel.ONLINE, store, now)


async def quote_at_terminal(
    tx: Transaction, actor: Actor, *, terminal_id: UUID, card_id: UUID, bill: Money, now: datetime
) -> Quoted:
    """Offers for a bill at a till; raises as `quote_online`, and `TerminalNotFound`."""
    _, store = await organisation.terminal(tx, terminal_id)
    actor.require(Permission.TOP_UPS_SELL, store)
    card = await cards.living(tx, card_id)
    if card.group_id != store.group_id:
        raise cards.CardNotFound
    member = await members.locked(tx, card.member_id)
    return await _quote(tx, card, member, bill, Channel.POS, store, now)


async def order(
    tx: Transaction,
    *,
    bearer: Bearer,
    token: str,
    offer: int,
    online: Online,
    request_key: str,
    now: datetime,
) -> Placed[TopUpOrder]:
    """A member takes an offer and has 15 minutes to pay what it said.

    Raises `QuoteRefused`, `CardNotUsable`, `RequestKeyReused`, what `compliance.require_room` does.
    """
    member = await members.acting(tx, bearer, now=now)
    request = _request(member.id, token, offer, request_key, online.document())
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return await orders.placed(tx, claim.answer_id)
    taken = await _take(tx, token, offer, member=member, channel=Channel.ONLINE, now=now)
    await compliance.require_room(
        tx, card=taken.card, member=member, amount=taken.credit.amount,
        currency=taken.quote.currency, method=None, now=now,
    )  # fmt: skip
    drafted = await _drafted(tx, claim.answer_id, taken, store_id=taken.quote.store_id, now=now)
    return Placed(
        *await orders.await_payment(tx, drafted, provider=online.provider, now=now), False
    )


async def sell(
    tx: Transaction,
    actor: Actor,
    *,
    terminal_id: UUID,
    token: str,
    offer: int,
    method_code: str,
    request_key: str,
    now: datetime,
) -> orders.Sold:
    """A cashier took the money for an offer: the card is topped up at once.

    Raises as `order`, and `TerminalNotFound`, `PaymentMethodUnknown`, `MethodCannotTopUp`,
    `BalanceTooLarge`.
    """
    terminal, store = await organisation.terminal(tx, terminal_id)
    actor.require(Permission.TOP_UPS_SELL, store)
    more = {"terminal": terminal_id, "method": method_code}
    claim = await requests.claim(tx, _request(actor.id, token, offer, request_key, more), now=now)
    if claim.is_replay:
        return orders.Sold(await orders.existing(tx, claim.answer_id), is_replay=True)
    method = await orders.paying_method(tx, group_id=store.group_id, code=method_code)
    quoted = await _opened(tx, token)
    card = await cards.living(tx, quoted.card_id)
    if card.group_id != store.group_id or quoted.store_id != store.id:
        raise QuoteRefused
    member = await members.locked(tx, card.member_id)
    taken = await _take(tx, token, offer, member=member, channel=Channel.POS, now=now)
    await compliance.require_room(
        tx, card=taken.card, member=member, amount=taken.credit.amount,
        currency=taken.quote.currency, method=method, now=now,
    )  # fmt: skip
    drafted = changed_copy(
        await _drafted(tx, claim.answer_id, taken, store_id=store.id, now=now),
        terminal_id=terminal.id,
        payment_method_id=method.id,
    )
    await tx.insert(drafted)
    credited = await orders.credit(
        tx, order=drafted, card=taken.card, scheme=taken.scheme, actor_kind=actor.kind,
        actor_id=actor.id, now=now,
    )  # fmt: skip
    await audit.record(
        tx, actor, "top_up.sell", object_kind="top_up", object_id=drafted.id, node_id=store.id,
        now=now, card=taken.card.id, terminal=terminal.id, amount=drafted.amount,
        method=method.code, quote=taken.quote.id,
    )  # fmt: skip
    return orders.Sold(credited, is_replay=False)


async def release_overdue(tx: Transaction, *, now: datetime) -> int:
    """Give back what quotes hold that nobody took in time; how many there were."""
    found = await tx.all(overdue_quotes, now=now)
    for quoted in sorted(found, key=lambda each: (each.plan_id, each.id)):
        await _end(tx, quoted, now, gives_back=True)
    return len(found)


class _Taken(NamedTuple):
    """An offer of a quote that is used up by now, with the card held."""

    quote: TopUpQuote
    offer: int
    credit: Credit
    is_first: bool
    card: Card
    scheme: Scheme


async def _quote(
    tx: Transaction,
    card: Card,
    member: Member,
    bill: Money,
    channel: Channel,
    store: Node | None,
    now: datetime,
) -> Quoted:
    if not 0 < bill.amount <= BILL_MAX:
        raise BadInput(f"bill must be above 0 and at most {BILL_MAX}.")
    card = await cards.locked(tx, card)
    cards.require_usable(card, now)
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    if store is not None:
        await schemes.require_store(tx, scheme, store)
    if bill.currency != scheme.currency:
        raise purchases.WrongCurrency(scheme.currency)
    shortage = bill.amount - await _stored_value(tx, card)
    if shortage <= 0:
        raise BillCovered
    for earlier in await tx.all(open_quotes_of_card, card_id=card.id):
        await _end(tx, earlier, now, gives_back=True)
    offered = await plans.offered(
        tx, card=card, scheme=scheme, member=member, store=store, channel=channel,
        kinds=(TopUpPlanKind.SMART,), now=now,
    )  # fmt: skip
    for plan, _steps, obstacle, is_first in offered:
        if obstacle is None and bill.amount >= (plan.trigger_amount or 0):
            found = _offers(plan, bill.amount, shortage, is_first)
            if found:
                return await _hold(tx, plan, found, card, bill, shortage, channel, store, now)
    raise NoSmartOffer


async def _stored_value(tx: Transaction, card: Card) -> int:
    """What the card could pay with in all, whatever is restricted today."""
    held = (AccountKind.CASH, AccountKind.BONUS)
    accounts = await ledger.accounts_of_cards(tx, [card.id])
    return sum(account.balance - account.debt for account in accounts if account.kind in held)


def _offers(plan: TopUpPlan, bill: int, shortage: int, is_first: bool) -> list[dict[str, Any]]:
    steps: list[SmartStep] = [step for step in plans.steps_of(plan) if isinstance(step, SmartStep)]
    rounding = Rounding(plan.rounding) if plan.rounding else Rounding.TENTH
    offers = []
    for index, credit in rules.smart_offers(
        steps, bill=bill, shortage=shortage, rounding=rounding, currency=plan.currency
    ):
        brought = credit
        if is_first:
            brought = rules.with_first_bonus(
                credit,
                bonus_bp=plan.first_bonus_bp,
                points_bp=plan.first_points_bp,
                currency=plan.currency,
            )
        offers.append(
            {
                "step": index,
                "amount": brought.amount,
                "bonus": brought.bonus,
                "points": brought.points,
                "is_first": is_first,
            }
        )
    return offers


async def _hold(
    tx: Transaction,
    plan: TopUpPlan,
    offers: list[dict[str, Any]],
    card: Card,
    bill: Money,
    shortage: int,
    channel: Channel,
    store: Node | None,
    now: datetime,
) -> Quoted:
    made = new_quote(
        plan_id=plan.id,
        card_id=card.id,
        channel=channel,
        store_id=store.id if store else None,
        bill_amount=bill.amount,
        shortage=shortage,
        currency=bill.currency,
        offers=offers,
        holds_stock=await plans.take_stock(tx, plan_id=plan.id),
        made_at=now,
        expires_at=now + GOOD_FOR,
    )
    await tx.insert(made)
    return Quoted(made, plan, _token(made))


async def _take(
    tx: Transaction,
    token: str,
    offer: int,
    *,
    member: Member,
    channel: Channel,
    now: datetime,
) -> _Taken:
    """Use a quote up for one of its offers; the member is locked. Raises `QuoteRefused`."""
    opened = await _opened(tx, token)
    card = await cards.living(tx, opened.card_id)
    if card.member_id != member.id:
        raise QuoteRefused
    card = await cards.locked(tx, card)
    cards.require_usable(card, now)
    quoted = await tx.one(lock_quote, quote_id=opened.id)
    assert quoted is not None
    is_good = quoted.ended_at is None and now < quoted.expires_at and quoted.channel is channel
    if not is_good:
        raise QuoteRefused
    if not 0 <= offer < len(quoted.offers):
        raise BadInput("offer is not one of the quote's.")
    chosen = quoted.offers[offer]
    plan = await plans.plan_of_group(tx, group_id=card.group_id, plan_id=quoted.plan_id)
    # A quote of another card of theirs, or another order, may have been faster.
    if not await plans.still_fits(tx, plan=plan, member=member, is_first=chosen["is_first"]):
        raise QuoteRefused
    await _end(tx, quoted, now, gives_back=False)
    credit = Credit(amount=chosen["amount"], bonus=chosen["bonus"], points=chosen["points"])
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    return _Taken(quoted, chosen["step"], credit, chosen["is_first"], card, scheme)


async def _drafted(
    tx: Transaction, order_id: UUID, taken: _Taken, *, store_id: UUID | None, now: datetime
) -> Any:
    """The order of an offer; the quote's piece of stock is the order's now."""
    plan = await plans.plan_of_group(tx, group_id=taken.card.group_id, plan_id=taken.quote.plan_id)
    drafted = orders.drafted(
        order_id,
        card=taken.card,
        scheme=taken.scheme,
        brings=taken.credit,
        plan=plan,
        step=taken.offer,
        channel=taken.quote.channel,
        store_id=store_id,
        source=TopUpSource.SMART,
        source_id=taken.quote.id,
        is_first=taken.is_first,
        now=now,
    )
    return changed_copy(drafted, holds_stock=taken.quote.holds_stock)


async def _opened(tx: Transaction, token: str) -> TopUpQuote:
    """The quote a token is of; raises `QuoteRefused` for anything else."""
    text, _, signature = token.partition(".")
    try:
        quoted = await tx.one(quote_by_id, quote_id=parse_type_id("quo", text))
    except BadInput:
        quoted = None
    if quoted is None or not constant_time_equal(signature, _signature(quoted)):
        raise QuoteRefused
    return quoted


async def _end(tx: Transaction, quoted: TopUpQuote, now: datetime, *, gives_back: bool) -> None:
    ended = await tx.changed(end_quote, quote_id=quoted.id, new_ended_at=now)
    assert ended == 1, "a quote was ended under its lock"
    if gives_back and quoted.holds_stock:
        await plans.return_stock(tx, plan_id=quoted.plan_id)


def _token(quoted: TopUpQuote) -> str:
    return f"{type_id('quo', quoted.id)}.{_signature(quoted)}"


def _signature(quoted: TopUpQuote) -> str:
    """Our keyed hash over what the quote says: whoever has it was given the quote."""
    said = [str(quoted.id), str(quoted.card_id), quoted.expires_at.isoformat(), quoted.offers]
    return index_of(orjson.dumps(said).decode(), "top_up_quotes.signature")


def _request(
    principal_id: UUID, token: str, offer: int, key: str, more: dict[str, Any]
) -> requests.Request:
    # Only a keyed hash: the token is worth an offer.
    quote = index_of(token[:200].encode("utf-8", "replace").decode(), "top_up_quotes.token")
    return requests.Request(
        principal_id=principal_id,
        operation="smartTopUp",
        key=key,
        input={"quote": quote, "offer": offer, **more},
    )
