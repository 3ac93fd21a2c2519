"""Lists of cards that the back office tops up with one payment method (CRD-6).

A row is a transaction of its own, done by a job that goes on to the next: a list that is
interrupted is resumed, and each row is credited once or says why not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, changed_copy, light, statement
from app.core.errors import BadInput, DomainError, Forbidden
from app.core.ids import new_id
from app.core.money import MINOR_UNIT_DIGITS
from app.core.texts import checked_text
from app.models.cards import Card, Scheme
from app.models.members import Member
from app.models.scopes import Channel
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.models.top_ups import (
    BatchRowState,
    BatchState,
    TopUpBatch,
    TopUpBatchRow,
    TopUpOrder,
    TopUpSource,
)
from app.services import (
    audit,
    cards,
    compliance,
    jobs,
    ledger,
    members,
    organisation,
    payment_methods,
    purchases,
    requests,
    schemes,
)
from app.services.actors import Actor, is_under
from app.services.ledger.sheet import BALANCE_MAX
from app.services.top_ups import orders
from app.services.top_ups.rules import AMOUNT_MAX, POINTS_MAX, Credit

ROWS_MAX = 500
REASON_CHARS_MAX = 200
CARD_NUMBER_CHARS_MAX = 16
JOB = "top_up_batch.row"

batch_by_id = statement(
    select(TopUpBatch).where(col(TopUpBatch.id) == bindparam("batch_id")), into=TopUpBatch
)
lock_batch = statement(
    select(TopUpBatch).where(col(TopUpBatch.id) == bindparam("batch_id")).with_for_update(),
    into=TopUpBatch,
)
next_row = statement(
    select(TopUpBatchRow)
    .where(
        col(TopUpBatchRow.batch_id) == bindparam("batch_id"),
        col(TopUpBatchRow.state) == BatchRowState.WAITING,
    )
    .order_by(col(TopUpBatchRow.position))
    .limit(1),
    into=TopUpBatchRow,
)
end_row = statement(
    update(TopUpBatchRow)
    .where(
        col(TopUpBatchRow.id) == bindparam("row_id"),
        col(TopUpBatchRow.state) == BatchRowState.WAITING,
    )
    .values(
        state=bindparam("new_state"),
        problem=bindparam("new_problem"),
        order_id=bindparam("new_order_id"),
    )
)
count_row = statement(
    update(TopUpBatch)
    .where(col(TopUpBatch.id) == bindparam("batch_id"))
    .values(
        number_credited=col(TopUpBatch.number_credited) + bindparam("credited"),
        number_failed=col(TopUpBatch.number_failed) + bindparam("failed"),
    )
)
finish = statement(
    update(TopUpBatch)
    .where(col(TopUpBatch.id) == bindparam("batch_id"))
    .values(state=BatchState.DONE, finished_at=bindparam("new_finished_at"))
)
_rows = (
    select(TopUpBatchRow)
    .where(col(TopUpBatchRow.batch_id) == bindparam("batch_id"))
    .order_by(col(TopUpBatchRow.position))
    .limit(ROWS_MAX)
)
ROWS = {
    has_state: statement(
        _rows.where(*([col(TopUpBatchRow.state) == bindparam("state")] if has_state else [])),
        into=TopUpBatchRow,
    )
    for has_state in (False, True)
}
_newest = (
    select(TopUpBatch)
    .where(col(TopUpBatch.group_id) == bindparam("group_id"))
    .order_by(col(TopUpBatch.id).desc())
    .limit(bindparam("limit"))
)
PAGES = {
    has_cursor: statement(
        _newest.where(*([col(TopUpBatch.id) < bindparam("before")] if has_cursor else [])),
        into=TopUpBatch,
    )
    for has_cursor in (False, True)
}
new_batch = light(TopUpBatch)
new_row = light(TopUpBatchRow)


class ApprovalNeeded(DomainError):
    """Bonus or points above what one person may give away (CRD-6): adjust the card instead."""

    def __init__(self) -> None:
        super().__init__("So much has to be approved by a second person.")


class CardElsewhere(DomainError):
    """The card's scheme was made outside the part of the organisation the list is for."""

    def __init__(self) -> None:
        super().__init__("This card belongs to another part of the organisation.")


@dataclass(frozen=True, slots=True)
class Row:
    """A card by its number, and what it gets, in minor units and points."""

    card_number: str
    amount: int
    bonus: int
    points: int

    def require_sound(self) -> None:
        """Raise `BadInput` for what cannot be credited."""
        if not (0 <= self.amount <= AMOUNT_MAX and 0 <= self.bonus <= AMOUNT_MAX):
            raise BadInput(f"amount and bonus must lie between 0 and {AMOUNT_MAX}.")
        if not 0 <= self.points <= POINTS_MAX:
            raise BadInput(f"points must lie between 0 and {POINTS_MAX}.")
        if not (self.amount or self.bonus or self.points):
            raise BadInput("A row must bring something.")


class Created(NamedTuple):
    """A list that is being worked through."""

    batch: TopUpBatch
    is_replay: bool


async def create(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    method_code: str,
    currency: str,
    rows: Sequence[Row],
    reason: str,
    request_key: str,
    now: datetime,
) -> Created:
    """Take a list down and begin to work through it. Back office only.

    Raises `NodeNotFound`, `PaymentMethodUnknown`, `MethodCannotTopUp`, `RequestKeyReused`;
    `Forbidden` for partners.
    """
    if actor.kind is not PrincipalKind.STAFF:
        raise Forbidden("This is done in the back office only.")
    perspective = await organisation.node(tx, perspective_id)
    actor.require(Permission.ADJUSTMENTS_WRITE, perspective)
    reason = checked_text("reason", reason, at_most=REASON_CHARS_MAX)
    if currency not in MINOR_UNIT_DIGITS:
        raise BadInput("currency is not an ISO 4217 code.")
    if not 1 <= len(rows) <= ROWS_MAX:
        raise BadInput(f"A list has 1 to {ROWS_MAX} rows.")
    for row in rows:
        row.require_sound()
    numbers = [
        checked_text("cardNumber", row.card_number, at_most=CARD_NUMBER_CHARS_MAX) for row in rows
    ]
    request = requests.Request(
        principal_id=actor.id,
        operation="topUpBatchCreate",
        key=request_key,
        input={
            "perspective": perspective_id,
            "method": method_code,
            "currency": currency,
            "reason": reason,
            "rows": [[row.card_number, row.amount, row.bonus, row.points] for row in rows],
        },
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return Created(await _batch(tx, claim.answer_id), is_replay=True)
    method = await orders.paying_method(tx, group_id=perspective.group_id, code=method_code)
    batch = new_batch(
        id=claim.answer_id,
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        payment_method_id=method.id,
        currency=currency,
        reason=reason,
        number_of_rows=len(rows),
        operator_id=actor.id,
        created_at=now,
    )
    written = [
        new_row(
            batch_id=batch.id,
            position=position,
            card_number=number,
            amount=row.amount,
            bonus=row.bonus,
            points=row.points,
        )
        for position, (number, row) in enumerate(zip(numbers, rows, strict=True), start=1)
    ]
    await tx.insert(batch, *written)
    await audit.record(
        tx, actor, "top_up_batch.create", object_kind="top_up_batch", object_id=batch.id,
        node_id=perspective.id, now=now, rows=len(rows), method=method.code,
        amount=sum(row.amount for row in rows), bonus=sum(row.bonus for row in rows),
        points=sum(row.points for row in rows), reason=reason,
    )  # fmt: skip
    await jobs.enqueue(tx, JOB, {"batch_id": batch.id}, now=now)
    return Created(batch, is_replay=False)


async def work_on(tx: Transaction, *, batch_id: UUID, now: datetime) -> None:
    """Do the next row of a list, and have the one after it done; for the job of `JOB`."""
    batch = await tx.one(lock_batch, batch_id=batch_id)
    assert batch is not None
    row = await tx.one(next_row, batch_id=batch.id)
    if row is None:
        await tx.changed(finish, batch_id=batch.id, new_finished_at=now)
        return
    order, problem = None, None
    try:
        order = await _credit(tx, batch, row, now)
    except DomainError as refusal:  # none of which has written anything yet
        problem = type(refusal).__name__
    ended = await tx.changed(
        end_row,
        row_id=row.id,
        new_state=BatchRowState.FAILED if problem else BatchRowState.CREDITED,
        new_problem=problem,
        new_order_id=order.id if order else None,
    )
    assert ended == 1, "a row moved under its list's lock"
    await tx.changed(
        count_row, batch_id=batch.id, credited=int(problem is None), failed=int(problem is not None)
    )
    await jobs.enqueue(tx, JOB, {"batch_id": batch.id}, now=now)


async def seen_by(tx: Transaction, actor: Actor, *, batch_id: UUID) -> TopUpBatch | None:
    """A list, if the actor may read it."""
    batch = await tx.one(batch_by_id, batch_id=batch_id)
    if batch is None or batch.group_id != actor.group_id:
        return None
    perspective = await organisation.node(tx, batch.perspective_id)
    return batch if actor.may(Permission.TOP_UPS_READ, perspective) else None


async def page(
    tx: Transaction, actor: Actor, *, before: UUID | None, limit: int
) -> list[TopUpBatch]:
    """The group's lists, newest first, for those who read all its top-ups."""
    group = await organisation.node(tx, actor.group_id)
    actor.require(Permission.TOP_UPS_READ, group)
    cursor = {} if before is None else {"before": before}
    return await tx.all(PAGES[before is not None], group_id=group.id, limit=limit, **cursor)


async def rows_of(
    tx: Transaction, *, batch_id: UUID, state: BatchRowState | None
) -> list[TopUpBatchRow]:
    """A list's rows in their order, all or those in one state."""
    given = {} if state is None else {"state": state}
    return await tx.all(ROWS[state is not None], batch_id=batch_id, **given)


async def _credit(
    tx: Transaction, batch: TopUpBatch, row: TopUpBatchRow, now: datetime
) -> TopUpOrder:
    """Top up a row's card. Whatever refuses does so before anything is written."""
    card = await cards.by_number(tx, group_id=batch.group_id, number=row.card_number)
    member = await members.locked(tx, card.member_id)
    card = await cards.locked(tx, card)
    cards.require_usable(card, now)
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    await _require_fitting(tx, batch, row, card, member, scheme, now)
    drafted = orders.drafted(
        new_id(),
        card=card,
        scheme=scheme,
        brings=Credit(amount=row.amount, bonus=row.bonus, points=row.points),
        channel=Channel.ONLINE,
        source=TopUpSource.BATCH,
        source_id=row.id,
        is_first=False,
        now=now,
    )
    order = changed_copy(drafted, payment_method_id=batch.payment_method_id)
    await tx.insert(order)
    return await orders.credit(
        tx, order=order, card=card, scheme=scheme, actor_kind=PrincipalKind.STAFF,
        actor_id=batch.operator_id, now=now,
    )  # fmt: skip


async def _require_fitting(
    tx: Transaction,
    batch: TopUpBatch,
    row: TopUpBatchRow,
    card: Card,
    member: Member,
    scheme: Scheme,
    now: datetime,
) -> None:
    nodes = await organisation.nodes(tx, [batch.perspective_id, scheme.perspective_id])
    above = nodes[batch.perspective_id]
    if not is_under(nodes[scheme.perspective_id], above.kind, above.id):
        raise CardElsewhere
    if scheme.currency != batch.currency:
        raise purchases.WrongCurrency(scheme.currency)
    limits = await compliance.rules(tx, group_id=batch.group_id, currency=batch.currency, now=now)
    for given, limit in (
        (row.bonus, limits.adjustment_approval_above),
        (row.points, limits.points_approval_above),
    ):
        if limit is not None and given > limit:
            raise ApprovalNeeded
    if row.amount:
        methods = await payment_methods.by_ids(tx, [batch.payment_method_id])
        await compliance.require_room(
            tx, card=card, member=member, amount=row.amount, currency=batch.currency,
            method=methods[batch.payment_method_id], now=now,
        )  # fmt: skip
    for account in await ledger.accounts_of_cards(tx, [card.id]):
        # What the ledger would refuse, but after the order was written.
        if account.balance + max(AMOUNT_MAX, POINTS_MAX) > BALANCE_MAX:
            raise ledger.BalanceTooLarge(account.kind)


async def _batch(tx: Transaction, batch_id: UUID) -> TopUpBatch:
    found = await tx.one(batch_by_id, batch_id=batch_id)
    assert found is not None
    return found
