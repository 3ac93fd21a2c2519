"""Top-ups that were credited in a period: added up, or one by one (TOP-10, FIN-2).

What was sold, what came by lists of the back office and what came by codes are counted apart. An
order belongs to the perspective its store lies under; one without a store to that of its scheme.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, and_, bindparam, case, cast, null, or_
from sqlalchemy.orm import aliased
from sqlmodel import col, func, select

from app.core.db import Statement, Transaction, any_of, statement
from app.models.cards import Card
from app.models.ledger import Posting, PostingKind
from app.models.organisation import Node, PaymentMethod
from app.models.payments import Payment, PaymentPurpose, PaymentStatus, RefundRoute
from app.models.scopes import Channel
from app.models.top_ups import TopUpOrder, TopUpPlan, TopUpSource, TopUpState
from app.services import organisation, schemes
from app.services.actors import Actor
from app.services.reports.quarters import day_of, quarter_of
from app.services.reports.subjects import Subject, subject
from app.services.top_ups.orders import CAUSE

PAGE_ROWS = 2_000
"""Orders of one page of the list, and of one snapshot: the next page reads on from there."""


class Grouping(StrEnum):
    DAY = "DAY"
    STORE = "STORE"
    PLAN = "PLAN"
    METHOD = "METHOD"


# A provider that was paid twice for one order sends one payment back: the first is the order's.
provider_of_order = (
    select(Payment.provider)
    .where(
        col(Payment.purpose) == PaymentPurpose.TOP_UP,
        col(Payment.order_id) == col(TopUpOrder.id),
        col(Payment.status) == PaymentStatus.PAID,
    )
    .order_by(col(Payment.paid_at))
    .limit(1)
    .scalar_subquery()
)


def credited(*columns: Any) -> Any:
    """Orders whose posting was booked before a midnight, as far as a perspective's reports go."""
    at_no_store = and_(
        col(TopUpOrder.store_id).is_(None), any_of(col(Posting.scheme_id), "own_scheme_ids")
    )
    return (
        select(*columns)
        .select_from(Posting)
        .join(TopUpOrder, col(TopUpOrder.id) == col(Posting.cause_id))
        .where(
            col(Posting.recorded_at) < bindparam("ends_at"),
            col(Posting.kind) == PostingKind.TOP_UP,
            col(Posting.cause_kind) == CAUSE,
            or_(at_no_store, organisation.lies_under(col(TopUpOrder.store_id))),
        )
    )


class _Sums(NamedTuple):
    """What orders of one source came to, for one key of a grouping."""

    key: Any
    provider: str | None
    source: TopUpSource
    currency: str
    orders: int
    paid: int
    bonus: int
    points: int
    refunded_orders: int
    refunded: int


def _statistics(key: Any, provider: Any) -> Statement[_Sums]:
    is_refunded = col(TopUpOrder.state) == TopUpState.REFUNDED
    query = credited(
        key.label("key"),
        provider.label("provider"),
        TopUpOrder.source,
        TopUpOrder.currency,
        func.count().label("orders"),
        _sum(TopUpOrder.amount, "paid"),
        _sum(TopUpOrder.bonus, "bonus"),
        _sum(TopUpOrder.points, "points"),
        _sum(case((is_refunded, 1), else_=0), "refunded_orders"),
        _sum(case((is_refunded, col(TopUpOrder.amount)), else_=0), "refunded"),
    ).where(
        any_of(col(Posting.scheme_id), "scheme_ids"),
        col(Posting.recorded_at) >= bindparam("starts_at"),
    )
    keys = ["key", "provider", col(TopUpOrder.source), col(TopUpOrder.currency)]
    return statement(query.group_by(*keys).order_by(*keys), into=_Sums)


def _sum(amount: Any, label: str) -> Any:
    return cast(func.sum(amount), BigInteger).label(label)


STATISTICS = {
    Grouping.DAY: _statistics(quarter_of(col(Posting.recorded_at)), null()),
    Grouping.STORE: _statistics(col(TopUpOrder.store_id), null()),
    Grouping.PLAN: _statistics(col(TopUpOrder.plan_id), null()),
    Grouping.METHOD: _statistics(col(TopUpOrder.payment_method_id), provider_of_order),
}
FIELDS = {grouping: grouping.lower() for grouping in Grouping}
"""What of a `Line` a grouping fills."""
plans_by_id = statement(select(TopUpPlan).where(any_of(col(TopUpPlan.id), "ids")), into=TopUpPlan)
methods_by_id = statement(
    select(PaymentMethod).where(any_of(col(PaymentMethod.id), "ids")), into=PaymentMethod
)


class OrderRow(NamedTuple):
    """A top-up as the list shows it."""

    posting_id: UUID
    credited_at: datetime
    id: UUID
    card_number: str
    source: TopUpSource
    channel: Channel
    plan_name: str | None
    store_name: str | None
    method_name: str | None
    provider: str | None
    currency: str
    amount: int
    bonus: int
    points: int
    state: TopUpState
    ended_at: datetime | None
    refund_route: RefundRoute | None


_store = aliased(Node)  # beside the node that says whether the order is the perspective's
orders_of_scheme = statement(
    credited(
        col(Posting.id).label("posting_id"),
        col(Posting.recorded_at).label("credited_at"),
        TopUpOrder.id,
        col(Card.number).label("card_number"),
        TopUpOrder.source,
        TopUpOrder.channel,
        col(TopUpPlan.name).label("plan_name"),
        col(_store.name).label("store_name"),
        col(PaymentMethod.name).label("method_name"),
        provider_of_order.label("provider"),
        TopUpOrder.currency,
        TopUpOrder.amount,
        TopUpOrder.bonus,
        TopUpOrder.points,
        TopUpOrder.state,
        TopUpOrder.ended_at,
        TopUpOrder.refund_route,
    )
    .join(Card, col(Card.id) == col(TopUpOrder.card_id))
    .outerjoin(TopUpPlan, col(TopUpPlan.id) == col(TopUpOrder.plan_id))
    .outerjoin(_store, col(_store.id) == col(TopUpOrder.store_id))
    .outerjoin(PaymentMethod, col(PaymentMethod.id) == col(TopUpOrder.payment_method_id))
    .where(
        col(Posting.scheme_id) == bindparam("scheme_id"),
        col(Posting.recorded_at) >= bindparam("after_at"),
        or_(
            col(Posting.recorded_at) > bindparam("after_at"),
            col(Posting.id) > bindparam("after_id"),
        ),
    )
    .order_by(col(Posting.recorded_at), col(Posting.id))
    .limit(bindparam("at_most")),
    into=OrderRow,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Orders credited in the period; amounts in minor units."""

    orders: int = 0
    paid: int = 0
    bonus: int = 0
    points: int = 0
    refunded_orders: int = 0
    """How many of these were given back since, whenever that was."""
    refunded: int = 0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            orders=self.orders + other.orders,
            paid=self.paid + other.paid,
            bonus=self.bonus + other.bonus,
            points=self.points + other.points,
            refunded_orders=self.refunded_orders + other.refunded_orders,
            refunded=self.refunded + other.refunded,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One day, store, plan or way of paying, in one currency; None where orders have none."""

    currency: str
    sold: Figures
    """Bought by members or at a till, by a plan or a smart offer."""
    batches: Figures
    codes: Figures
    day: date | None = None
    store: Node | None = None
    plan: TopUpPlan | None = None
    method: PaymentMethod | None = None
    provider: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    about: Subject
    grouping: Grouping
    lines: list[Line]
    totals: list[Line]
    """One a currency."""


async def report(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    from_day: date,
    to_day: date,
    grouping: Grouping,
    now: datetime,
) -> Statistics:
    """Orders credited in the period, added up (TOP-10). Raises `Forbidden`, `BadInput`."""
    about = await subject(
        tx, actor, perspective_id=perspective_id, from_day=from_day, to_day=to_day, now=now
    )
    return await of(tx, about, grouping=grouping)


async def of(tx: Transaction, about: Subject, *, grouping: Grouping) -> Statistics:
    """The same of a subject that was checked."""
    group_id = about.perspective.group_id
    in_group = await tx.all(schemes.schemes_of_group, group_id=group_id)
    sums = await tx.all(
        STATISTICS[grouping],
        scheme_ids=[scheme.id for scheme in in_group],
        starts_at=about.period.starts_at,
        **within(about),
    )
    named = await _named(tx, grouping, {each.key for each in sums if each.key is not None})
    found: defaultdict[tuple[Any, ...], list[_Sums]] = defaultdict(list)
    by_currency: defaultdict[str, list[_Sums]] = defaultdict(list)
    for each in sums:
        is_day = grouping is Grouping.DAY
        key = day_of(each.key, about.period.zone) if is_day else each.key
        found[key, each.provider, each.currency].append(each)
        by_currency[each.currency].append(each)
    lines = [
        _line(each, provider=provider, **{FIELDS[grouping]: named.get(key, key)})
        for (key, provider, _), each in found.items()
    ]
    return Statistics(
        about=about,
        grouping=grouping,
        lines=sorted(lines, key=_order),
        totals=[_line(each) for _, each in sorted(by_currency.items())],
    )


async def orders(
    tx: Transaction,
    about: Subject,
    *,
    scheme_id: UUID,
    after: OrderRow | None,
    at_most: int = PAGE_ROWS,
) -> list[OrderRow]:
    """A page of a scheme's orders, those credited first first; `after` ends the page before."""
    return await tx.all(
        orders_of_scheme,
        scheme_id=scheme_id,
        after_at=after.credited_at if after else about.period.starts_at,
        after_id=after.posting_id if after else UUID(int=0),
        at_most=at_most,
        **within(about),
    )


async def scheme_names(tx: Transaction, about: Subject) -> dict[UUID, str]:
    """Every scheme of the group whose orders may be in a list, by id in the order of the list."""
    found = await tx.all(schemes.schemes_of_group, group_id=about.perspective.group_id)
    return {scheme.id: scheme.name for scheme in found}


def within(about: Subject) -> dict[str, Any]:
    """What `credited` binds."""
    return {
        "own_scheme_ids": about.scheme_ids,
        "node_ids": [about.perspective.id],
        "ends_at": about.period.ends_at,
    }


async def _named(tx: Transaction, grouping: Grouping, ids: set[Any]) -> dict[Any, Any]:
    """The rows behind the keys of a grouping; days speak for themselves."""
    match grouping:
        case Grouping.DAY:
            return {}
        case Grouping.STORE:
            return dict(await organisation.nodes(tx, list(ids)))
        case Grouping.PLAN:
            return {plan.id: plan for plan in await tx.all(plans_by_id, ids=list(ids))}
        case Grouping.METHOD:
            return {method.id: method for method in await tx.all(methods_by_id, ids=list(ids))}


def _line(sums: list[_Sums], **keys: Any) -> Line:
    sold = (TopUpSource.PLAN, TopUpSource.SMART)
    return Line(
        currency=sums[0].currency,
        sold=_figures(each for each in sums if each.source in sold),
        batches=_figures(each for each in sums if each.source is TopUpSource.BATCH),
        codes=_figures(each for each in sums if each.source is TopUpSource.CODE),
        **keys,
    )


def _figures(sums: Iterable[_Sums]) -> Figures:
    total = Figures()
    for each in sums:
        total += Figures(
            orders=each.orders,
            paid=each.paid,
            bonus=each.bonus,
            points=each.points,
            refunded_orders=each.refunded_orders,
            refunded=each.refunded,
        )
    return total


def _order(line: Line) -> tuple[Any, ...]:
    """By day, else by name; what has none comes last."""
    name = next((each.name for each in (line.store, line.plan, line.method) if each), None)
    return (
        line.day or date.max,
        name is None,
        name or "",
        line.provider or "",
        line.currency,
    )
