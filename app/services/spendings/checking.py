"""Proof that spendings and the ledger say the same: a part of `regulars check ledger` (FIN-1)."""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import String, cast, literal, union_all
from sqlmodel import and_, case, col, func, not_, or_, select

from app.core.db import Statement, Transaction, statement
from app.models.ledger import AccountKind, Entry, LotMovement, Posting, SystemAccount
from app.models.spendings import Spending, SpendingKind, SpendingPart, SpendingRefund, SpendingState
from app.services.ledger import POINTS, Fault
from app.services.ledger.checking import FAULTS_SHOWN_MAX


class _Found(NamedTuple):
    id: UUID
    detail: str


def _faults(query: Any) -> Statement[_Found]:
    return statement(query.limit(FAULTS_SHOWN_MAX), into=_Found)


def _detail(value: Any) -> Any:
    return cast(value, String).label("detail")


def _sum_of(column: Any, kind: AccountKind) -> Any:
    return func.coalesce(
        func.sum(case((col(SpendingPart.account_kind) == kind, column), else_=0)), 0
    )


_sums = (
    select(
        SpendingPart.spending_id,
        *(
            _sum_of(column, kind).label(f"{name}_{kind.lower()}")
            for name, column in (("taken", SpendingPart.taken), ("returned", SpendingPart.returned))
            for kind in (AccountKind.CASH, AccountKind.BONUS, AccountKind.POINTS)
        ),
    )
    .group_by(col(SpendingPart.spending_id))
    .subquery()
)
_refunded = (
    select(
        SpendingRefund.spending_id,
        func.sum(SpendingRefund.amount).label("amount"),
        func.sum(SpendingRefund.cash).label("cash"),
        func.sum(SpendingRefund.bonus).label("bonus"),
        func.sum(SpendingRefund.points).label("points"),
    )  # type: ignore[call-overload]  # SQLModel types up to four columns
    .group_by(col(SpendingRefund.spending_id))
    .subquery()
)
_held = union_all(
    select(Posting.group_id, Entry.unit, Entry.amount)
    .join(Entry, col(Entry.posting_id) == col(Posting.id))
    .where(col(Entry.system_account) == SystemAccount.HELD),
    select(Spending.group_id, Spending.currency, -(Spending.cash + Spending.bonus)).where(
        col(Spending.state) == SpendingState.AUTHORISED
    ),
    select(Spending.group_id, literal(POINTS, String), -Spending.points).where(
        col(Spending.state) == SpendingState.AUTHORISED
    ),
).subquery()
_is_stored_value = and_(
    col(Spending.kind) == SpendingKind.STORED_VALUE,
    Spending.cash + Spending.bonus == Spending.amount,
    Spending.returned_cash + Spending.returned_bonus == Spending.returned_amount,
    col(Spending.points) == 0,
)
_is_points = and_(
    col(Spending.kind) == SpendingKind.POINTS,
    Spending.cash + Spending.bonus == 0,
    col(Spending.points) > 0,
)
_is_as_its_state_says = or_(
    and_(
        col(Spending.state) == SpendingState.AUTHORISED,
        col(Spending.returned_amount) == 0,
        col(Spending.expires_at).is_not(None),
        col(Spending.ended_at).is_(None),
    ),
    and_(
        col(Spending.state) == SpendingState.CAPTURED,
        col(Spending.ended_at).is_not(None),
    ),
    and_(
        col(Spending.state) == SpendingState.VOIDED,
        col(Spending.returned_amount) == Spending.amount,
        col(Spending.returned_cash) == Spending.cash,
        col(Spending.returned_bonus) == Spending.bonus,
        col(Spending.returned_points) == Spending.points,
        col(Spending.ended_at).is_not(None),
    ),
)

RULES: dict[str, Statement[_Found]] = {
    "a spending's parts are what it took and what came back": _faults(
        select(Spending.id, _detail(Spending.amount))
        .outerjoin(_sums, _sums.c.spending_id == Spending.id)
        .where(
            or_(
                *(
                    func.coalesce(_sums.c[f"{name}_{kind}"], 0) != getattr(Spending, column)
                    for name, prefix in (("taken", ""), ("returned", "returned_"))
                    for kind in ("cash", "bonus", "points")
                    for column in (prefix + kind,)
                )
            )
        )
    ),
    "a spending's part is what its posting took from the lot": _faults(
        select(SpendingPart.id, _detail(SpendingPart.taken))
        .join(Spending, col(Spending.id) == col(SpendingPart.spending_id))
        .outerjoin(
            LotMovement,
            and_(
                col(LotMovement.posting_id) == col(Spending.posting_id),
                col(LotMovement.lot_id) == col(SpendingPart.lot_id),
            ),
        )
        .where(func.coalesce(LotMovement.amount, 0) != -SpendingPart.taken)
    ),
    "a spending is of one kind, and as its state says": _faults(
        select(Spending.id, _detail(Spending.state)).where(
            or_(not_(or_(_is_stored_value, _is_points)), not_(_is_as_its_state_says))
        )
    ),
    "a spending's refunds are no more than what came back": _faults(
        select(Spending.id, _detail(_refunded.c.amount))
        .join(_refunded, _refunded.c.spending_id == Spending.id)
        .where(
            or_(
                col(Spending.state) != SpendingState.CAPTURED,
                _refunded.c.amount > Spending.returned_amount,
                _refunded.c.cash > Spending.returned_cash,
                _refunded.c.bonus > Spending.returned_bonus,
                _refunded.c.points > Spending.returned_points,
            )
        )
    ),
    "what is held is what was authorised": _faults(
        select(_held.c.group_id.label("id"), _detail(func.sum(_held.c.amount)))
        .group_by(_held.c.group_id, _held.c.unit)
        .having(func.sum(_held.c.amount) != 0)
    ),
}


async def check(tx: Transaction) -> list[Fault]:
    """Every fault of the spendings, up to a limit per rule; run it with `Database.scan`."""
    return [
        Fault(rule, found.id, found.detail)
        for rule, query in RULES.items()
        for found in await tx.all(query)
    ]
