"""Bills that a card pays: charged at once, or authorised and captured later (TOP-9, PTS-6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, bindparam, cast
from sqlmodel import col, func, select

from app.core.db import Transaction, any_of, light, statement
from app.core.errors import BadInput, DomainError
from app.core.money import BASIS_POINTS, Money
from app.models.cards import Card, Scheme
from app.models.ledger import AccountKind, Lot, Posting, PostingKind, SystemAccount
from app.models.organisation import Node, Terminal
from app.models.spendings import Spending, SpendingKind, SpendingPart, SpendingState
from app.models.staff import Permission
from app.services import (
    audit,
    cards,
    consumption,
    ledger,
    live,
    members,
    organisation,
    points,
    purchases,
    requests,
)
from app.services.actors import Actor
from app.services.ledger.sheet import Taken
from app.services.spendings import reading, returning
from app.services.spendings.reading import Done
from app.services.spendings.returning import SPENT, Return, SpendingNotOpen
from app.services.spendings.splitting import Share, share_of
from app.services.spendings.wallet import (
    Circumstances,
    Line,
    Origin,
    choose,
    choose_points,
    restricted_today,
)

AMOUNT_MAX = purchases.AMOUNT_MAX
LINES_MAX = 200
ITEM_ID_CHARS_MAX = 64
HOLD_MINUTES_DEFAULT = 30
HOLD_MINUTES_MAX = 1_440
CAUSE = "spending"
CAPTURE_CAUSE = "spending_capture"


class _Spent(NamedTuple):
    """How much of what one posting brought was spent."""

    origin_id: UUID
    account_kind: AccountKind
    amount: int


spent_of_origins = statement(
    select(
        Lot.origin_id,
        SpendingPart.account_kind,
        # PostgreSQL adds up to decimals.
        cast(func.sum(SpendingPart.taken - SpendingPart.returned), BigInteger).label("amount"),
    )
    .join(SpendingPart, col(SpendingPart.lot_id) == col(Lot.id))
    .where(any_of(col(Lot.origin_id), "origin_ids"))
    .group_by(col(Lot.origin_id), col(SpendingPart.account_kind)),
    into=_Spent,
)
paid_with_points = statement(
    select(
        cast(func.coalesce(func.sum(Spending.amount - Spending.returned_amount), 0), BigInteger)
    ).where(
        col(Spending.store_id) == bindparam("store_id"),
        col(Spending.order_number) == bindparam("order_number"),
        col(Spending.kind) == SpendingKind.POINTS,
    ),
    into=int,
)
new_spending = light(Spending)
new_part = light(SpendingPart)


class InsufficientBalance(DomainError):
    """The card holds less stored value that may be used for this bill, here and now (TOP-9)."""

    def __init__(self, *, short_by: Money, usable: Money) -> None:
        self.short_by = short_by
        self.usable = usable
        super().__init__("The balance that can be used here is too low.")


class PointsCannotPay(DomainError):
    """Points of this scheme pay nothing (PTS-6)."""

    def __init__(self) -> None:
        super().__init__("Points cannot be used to pay with this card.")


class PointsCapReached(DomainError):
    """More than what points may pay of one order (PTS-6)."""

    def __init__(self, most: Money) -> None:
        self.most = most
        super().__init__("Points cannot pay that much of this order.")


class PointsBelowMinimum(DomainError):
    """Fewer points than what can be used at once (PTS-6)."""

    def __init__(self, at_least: int) -> None:
        self.at_least = at_least
        super().__init__(f"At least {at_least} points have to be used.")


class NotEnoughPoints(DomainError):
    """The card holds fewer points that may be used here and now (PTS-6)."""

    def __init__(self, *, missing: int, usable: int) -> None:
        self.missing = missing
        self.usable = usable
        super().__init__(f"{missing} points are missing.")


class CaptureTooLarge(DomainError):
    """More than what was authorised."""

    def __init__(self, *, most: Money) -> None:
        self.most = most
        super().__init__("This is more than what was authorised.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a card is to pay at a till, and of what."""

    kind: SpendingKind
    amount: Money
    order_number: str
    lines: Sequence[Line] = ()
    """What this amount pays, as far as it is said; only lots for certain items ask for it."""
    total: Money | None = None
    """The whole order, which a share of is what points may pay at most."""

    def require_sound(self) -> None:
        """Raise `BadInput` for a bill that cannot be meant."""
        if not 0 < self.amount.amount <= AMOUNT_MAX:
            raise BadInput(f"amount must be above 0 and at most {AMOUNT_MAX}.")
        if len(self.lines) > LINES_MAX:
            raise BadInput(f"A bill can have at most {LINES_MAX} lines.")
        if not all(line.amount > 0 for line in self.lines):
            raise BadInput("Each line's amount must be above 0.")
        if sum(line.amount for line in self.lines) > self.amount.amount:
            raise BadInput("The lines must add up to no more than the amount.")
        if self.total is None:
            if self.kind is SpendingKind.POINTS:
                raise BadInput("billTotal is needed to pay with points.")
        elif self.total.currency != self.amount.currency:
            raise BadInput("billTotal must be in the currency of the amount.")
        elif not self.amount.amount <= self.total.amount <= AMOUNT_MAX:
            raise BadInput(f"billTotal must be the amount or more, and at most {AMOUNT_MAX}.")


class _Till(NamedTuple):
    """Where a bill is paid, and who works there."""

    actor: Actor
    terminal: Terminal
    store: Node


@dataclass(frozen=True, slots=True)
class _Taking:
    """A bill on its way to be paid by a card, which is locked."""

    till: _Till
    card: Card
    scheme: Scheme
    bill: Bill
    id: UUID
    hold: timedelta | None
    now: datetime

    def header(self) -> ledger.Header:
        return ledger.Header.of(
            self.card,
            kind=PostingKind.SPEND if self.hold is None else PostingKind.AUTHORISE,
            cause_kind=CAUSE,
            cause_id=self.id,
            store_id=self.till.store.id,
            actor_kind=self.till.actor.kind,
            actor_id=self.till.actor.id,
            now=self.now,
        )

    def goes_to(self, kind: AccountKind) -> SystemAccount:
        return SPENT[kind] if self.hold is None else SystemAccount.HELD


async def charge(
    tx: Transaction,
    actor: Actor,
    *,
    terminal_id: UUID,
    card_id: UUID,
    bill: Bill,
    verification: str | None,
    request_key: str,
    now: datetime,
) -> Done:
    """Take what a bill costs from a card, for good (TOP-9, PTS-6).

    Exactly once per request key. Raises `TerminalNotFound`, `CardNotFound`, `CardNotUsable`,
    `NotAtThisStore`, `WrongCurrency`, `TicketRefused`, `InsufficientBalance`, `PointsCannotPay`,
    `PointsCapReached`, `PointsBelowMinimum`, `NotEnoughPoints`, `PointsBlocked`,
    `RequestKeyReused`.
    """
    till = await _till(tx, actor, terminal_id)
    bill.require_sound()
    request = _request("spendingCharge", till, card_id, bill, None, request_key)
    return await _spend(tx, till, card_id, bill, None, verification, request, now)


async def authorise(
    tx: Transaction,
    actor: Actor,
    *,
    terminal_id: UUID,
    card_id: UUID,
    bill: Bill,
    hold_minutes: int,
    verification: str | None,
    request_key: str,
    now: datetime,
) -> Done:
    """Take what a bill costs from a card and hold it, to be captured, voided or run out (TOP-9).

    Raises what `charge` does.
    """
    till = await _till(tx, actor, terminal_id)
    bill.require_sound()
    if not 1 <= hold_minutes <= HOLD_MINUTES_MAX:
        raise BadInput(f"holdMinutes must be between 1 and {HOLD_MINUTES_MAX}.")
    hold = timedelta(minutes=hold_minutes)
    request = _request("spendingAuthorise", till, card_id, bill, hold, request_key)
    return await _spend(tx, till, card_id, bill, hold, verification, request, now)


async def capture(
    tx: Transaction,
    actor: Actor,
    *,
    spending_id: UUID,
    amount: Money,
    request_key: str,
    now: datetime,
) -> Done:
    """Keep what was held, or less; the rest goes back to the very lots by the saved split (TOP-9).

    Works whatever became of the card meanwhile: the bill was paid when it was authorised. Raises
    `SpendingNotFound`, `SpendingNotOpen`, `WrongCurrency`, `CaptureTooLarge`, `BalanceTooLarge`,
    `RequestKeyReused`.
    """
    spending, store = await reading.locked(
        tx, actor, spending_id=spending_id, permission=Permission.SPENDINGS_WRITE
    )
    returning.require_amount(amount, spending)
    request = requests.Request(
        principal_id=actor.id,
        operation="spendingCapture",
        key=request_key,
        input={"spending": spending.id, "amount": amount.amount},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return await reading.done(tx, spending, is_replay=True)
    if spending.state is not SpendingState.AUTHORISED:
        why = f"This spending is {spending.state.lower()} already."
        raise SpendingNotOpen(spending.state, why)
    assert spending.expires_at is not None
    if spending.expires_at <= now:
        raise SpendingNotOpen(spending.state, "The time to capture this spending is over.")
    less = spending.amount - amount.amount
    if less < 0:
        raise CaptureTooLarge(most=Money(spending.amount, spending.currency))
    card = await cards.locked(tx, await cards.living(tx, spending.card_id))
    returned = Return(
        spending=spending,
        card=card,
        amount=less,
        share=share_of(spending, less) if less else Share(),
        state=SpendingState.CAPTURED,
    )
    captured = await returning.give_back(
        tx, returned, kind=PostingKind.CAPTURE, cause_kind=CAPTURE_CAUSE, cause_id=spending.id,
        by=actor, now=now,
    )  # fmt: skip
    await audit.record(
        tx, actor, "spending.capture", object_kind="spending", object_id=spending.id,
        node_id=store.id, now=now, card=card.id, amount=amount.amount, given_back=less,
    )  # fmt: skip
    live.tell(tx, card.member_id, "VALUE_SPENT", object_id=spending.id, now=now)
    return await reading.done(tx, captured)


async def _till(tx: Transaction, actor: Actor, terminal_id: UUID) -> _Till:
    terminal, store = await organisation.terminal(tx, terminal_id)
    actor.require(Permission.SPENDINGS_WRITE, store)
    return _Till(actor, terminal, store)


def _request(
    operation: str, till: _Till, card_id: UUID, bill: Bill, hold: timedelta | None, key: str
) -> requests.Request:
    """What the request key stands for.

    Not for the verification: a till that asks again because it heard no answer may have had the
    holder prove themselves again.
    """
    return requests.Request(
        principal_id=till.actor.id,
        operation=operation,
        key=key,
        input={
            "terminal": till.terminal.id,
            "card": card_id,
            "kind": bill.kind,
            "amount": [bill.amount.amount, bill.amount.currency],
            "order": bill.order_number,
            "lines": [list(line) for line in bill.lines],
            "total": bill.total and bill.total.amount,
            "hold": hold and hold.total_seconds(),
        },
    )


async def _spend(
    tx: Transaction,
    till: _Till,
    card_id: UUID,
    bill: Bill,
    hold: timedelta | None,
    verification: str | None,
    request: requests.Request,
    now: datetime,
) -> Done:
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        earlier = await reading.told(tx, spending_id=claim.answer_id)
        return await reading.done(tx, earlier, is_replay=True)
    card, scheme = await _paying_card(tx, till.store, card_id, bill, now)
    # Before the balance: who has proven nothing learns nothing of it.
    await consumption.require_verified(
        tx, card=card, store=till.store, verification=verification, now=now
    )
    taking = _Taking(till, card, scheme, bill, claim.answer_id, hold, now)
    if bill.kind is SpendingKind.POINTS:
        posting, taken = await _take_points(tx, taking)
    else:
        posting, taken = await _take_stored_value(tx, taking)
    spending = _spending(taking, posting, taken)
    await tx.insert(spending, *_parts(spending, taken))
    await audit.record(
        tx, till.actor, "spending.charge" if hold is None else "spending.authorise",
        object_kind="spending", object_id=spending.id, node_id=till.store.id, now=now,
        card=card.id, amount=spending.amount, cash=spending.cash, bonus=spending.bonus,
        points=spending.points,
    )  # fmt: skip
    if hold is None:
        live.tell(tx, card.member_id, "VALUE_SPENT", object_id=spending.id, now=now)
    return await reading.done(tx, spending)


async def _paying_card(
    tx: Transaction, store: Node, card_id: UUID, bill: Bill, now: datetime
) -> tuple[Card, Scheme]:
    """The living card, locked and usable at the store, and its scheme."""
    card = await cards.living(tx, card_id)
    if card.group_id != store.group_id:
        raise cards.CardNotFound
    # Members, then cards, then accounts: in the order in which a merge locks them.
    await members.recruit(tx, member_id=card.member_id, store_id=store.id)
    card = await cards.locked(tx, card)
    cards.require_usable(card, now)
    scheme = await cards.require_store(tx, card, store)
    if bill.amount.currency != scheme.currency:
        raise purchases.WrongCurrency(scheme.currency)
    return card, scheme


async def _take_stored_value(
    tx: Transaction, taking: _Taking
) -> tuple[Posting, dict[AccountKind, list[Taken]]]:
    accounts = await _accounts(tx, taking, AccountKind.CASH, AccountKind.BONUS)
    sheet = await ledger.Sheet.open(tx, taking.header(), accounts.values())
    lots = {kind: await sheet.live(account_id) for kind, account_id in accounts.items()}
    amount, currency = taking.bill.amount.amount, taking.scheme.currency
    usable, cash, bonus = choose(
        cash=lots[AccountKind.CASH],
        bonus=lots[AccountKind.BONUS],
        amount=amount,
        rule=taking.scheme.deduction_rule,
        circumstances=await _circumstances(tx, taking, lots),
    )
    if usable < amount:
        raise InsufficientBalance(
            short_by=Money(amount - usable, currency), usable=Money(usable, currency)
        )
    return await _post(sheet, taking, {AccountKind.CASH: cash, AccountKind.BONUS: bonus})


async def _take_points(
    tx: Transaction, taking: _Taking
) -> tuple[Posting, dict[AccountKind, list[Taken]]]:
    needed = await _points_needed(tx, taking)
    accounts = await _accounts(tx, taking, AccountKind.POINTS)
    sheet = await ledger.Sheet.open(tx, taking.header(), accounts.values())
    lots = {kind: await sheet.live(account_id) for kind, account_id in accounts.items()}
    usable, taken, _ = choose_points(
        lots[AccountKind.POINTS],
        points=needed,
        circumstances=await _circumstances(tx, taking, lots),
    )
    if usable < needed:
        raise NotEnoughPoints(missing=needed - usable, usable=usable)
    return await _post(sheet, taking, {AccountKind.POINTS: taken})


async def _points_needed(tx: Transaction, taking: _Taking) -> int:
    """How many points the bill costs, rounded up, if points may pay it (PTS-6, PTS-7).

    What points have paid of the same order before counts toward the cap, whoever's they were.
    """
    scheme, bill = taking.scheme, taking.bill
    assert bill.total is not None, "see require_sound"
    await points.require_may_spend(tx, scheme=scheme, card=taking.card)
    if not (scheme.points_worth_points and scheme.points_worth_amount):
        raise PointsCannotPay
    most = bill.total.amount * scheme.points_pay_share_bp // BASIS_POINTS
    if scheme.points_pay_amount_max is not None:
        most = min(most, scheme.points_pay_amount_max)
    paid = await tx.one(
        paid_with_points, store_id=taking.till.store.id, order_number=bill.order_number
    )
    most = max(0, most - (paid or 0))
    if bill.amount.amount > most:
        raise PointsCapReached(Money(most, scheme.currency))
    needed = points.needed(scheme, bill.amount.amount)
    if needed < scheme.points_pay_points_min:
        raise PointsBelowMinimum(scheme.points_pay_points_min)
    return needed


async def _accounts(
    tx: Transaction, taking: _Taking, *kinds: AccountKind
) -> dict[AccountKind, UUID]:
    found = await ledger.accounts_of_cards(tx, [taking.card.id])
    return {account.kind: account.id for account in found if account.kind in kinds}


async def _circumstances(
    tx: Transaction, taking: _Taking, lots: dict[AccountKind, list[Lot]]
) -> Circumstances:
    """Where and when the bill is paid, for what, and what was spent of today's lots before."""
    store = taking.till.store
    place = {store.id, store.brand_id, store.group_id}
    today = {kind: restricted_today(of_kind, taking.now) for kind, of_kind in lots.items()}
    origin_ids = sorted({origin.posting_id for of_kind in today.values() for origin in of_kind})
    spent_before: dict[Origin, int] = {}
    if origin_ids:
        for spent in await tx.all(spent_of_origins, origin_ids=origin_ids):
            for origin in today.get(spent.account_kind, ()):
                if origin.posting_id == spent.origin_id:
                    spent_before[origin] = spent.amount
    return Circumstances(
        place=frozenset(node_id for node_id in place if node_id is not None),
        now=taking.now,
        lines=taking.bill.lines,
        spent_before=spent_before,
    )


async def _post(
    sheet: ledger.Sheet, taking: _Taking, taken: dict[AccountKind, list[Taken]]
) -> tuple[Posting, dict[AccountKind, list[Taken]]]:
    for kind, lots in taken.items():
        if lots:
            account = sheet.account(lots[0].lot.account_id)
            sheet.take_lots(account.id, lots)
            sheet.against(taking.goes_to(kind), sum(part.amount for part in lots), account.unit)
    return await sheet.close(), taken


def _spending(taking: _Taking, posting: Posting, taken: dict[AccountKind, list[Taken]]) -> Spending:
    sums = {kind: sum(part.amount for part in lots) for kind, lots in taken.items()}
    is_held = taking.hold is not None
    return new_spending(
        id=taking.id,
        group_id=taking.card.group_id,
        card_id=taking.card.id,
        kind=taking.bill.kind,
        state=SpendingState.AUTHORISED if is_held else SpendingState.CAPTURED,
        store_id=taking.till.store.id,
        terminal_id=taking.till.terminal.id,
        order_number=taking.bill.order_number,
        currency=taking.scheme.currency,
        amount=taking.bill.amount.amount,
        cash=sums.get(AccountKind.CASH, 0),
        bonus=sums.get(AccountKind.BONUS, 0),
        points=sums.get(AccountKind.POINTS, 0),
        posting_id=posting.id,
        made_at=taking.now,
        expires_at=taking.now + taking.hold if taking.hold else None,
        ended_at=None if is_held else taking.now,
    )


def _parts(spending: Spending, taken: dict[AccountKind, list[Taken]]) -> list[SpendingPart]:
    every = [(kind, part) for kind, lots in taken.items() for part in lots]
    return [
        new_part(
            spending_id=spending.id,
            lot_id=part.lot.id,
            account_kind=kind,
            position=position,
            taken=part.amount,
        )
        for position, (kind, part) in enumerate(every)
    ]
