"""Looking at packages: what is offered, what is owned, and how they sell (BEN-9)."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Uuid, and_, bindparam, case, cast, literal, or_
from sqlmodel import col, func, select

from app.core.db import Transaction, any_of, if_given, statement
from app.core.errors import BadInput
from app.core.ids import LARGEST_ID, SMALLEST_ID
from app.models.cards import CardStatus
from app.models.members import Member
from app.models.orders import Order, OrderKind, OrderState
from app.models.packages import OwnedPackage, OwnedState, Package
from app.models.scopes import Channel
from app.models.staff import Permission
from app.services import cards, members, organisation, schemes
from app.services.actors import Actor
from app.services.packages import editing, offering
from app.services.packages.offering import Buyer, Offered

owned_by_id = statement(
    select(OwnedPackage).where(col(OwnedPackage.id) == bindparam("owned_id")), into=OwnedPackage
)
owned_by_orders = statement(
    select(OwnedPackage).where(any_of(col(OwnedPackage.order_id), "order_ids")),
    into=OwnedPackage,
)
own_page = statement(
    select(OwnedPackage)
    .where(
        col(OwnedPackage.member_id).in_(members.own_records),
        col(OwnedPackage.id) < bindparam("before"),
        if_given("state", OwnedPackage.state),
    )
    .order_by(col(OwnedPackage.id).desc())
    .limit(bindparam("limit")),
    into=OwnedPackage,
)
# Sold online, a package belongs where it was made (ORG-1).
_made_under = (
    select(Package.id)
    .where(
        col(Package.id) == col(OwnedPackage.package_id),
        organisation.lies_under(col(Package.perspective_id)),
    )
    .exists()
)
_visible = (
    col(OwnedPackage.group_id) == bindparam("group_id"),
    col(OwnedPackage.id) < bindparam("before"),
    or_(
        organisation.lies_under(col(OwnedPackage.store_id)),
        and_(col(OwnedPackage.store_id).is_(None), _made_under),
    ),
    if_given("state", OwnedPackage.state),
)
_newest = select(OwnedPackage).order_by(col(OwnedPackage.id).desc()).limit(bindparam("limit"))
_of_package = col(OwnedPackage.package_id) == bindparam("package_id")
_of_member = col(OwnedPackage.member_id).in_(members.own_records)
pages_of_package = statement(_newest.where(*_visible, _of_package), into=OwnedPackage)
pages_of_member = statement(_newest.where(*_visible, _of_member), into=OwnedPackage)


class Sales(NamedTuple):
    """How a package sold, in a store or in all; `revenue` is what was paid less what went back."""

    store_id: UUID | None
    sold: int
    refunded: int
    revenue: int
    buyers: int


def _total(value: Any) -> Any:
    return cast(func.coalesce(func.sum(value), 0), BigInteger)


_moment: Any = Order.__table__.c.paid_at.type  # type: ignore[attr-defined]
_from, _to = bindparam("from_moment", type_=_moment), bindparam("to_moment", type_=_moment)
AT_NO_STORE = UUID(int=1)
"""Where a list by store has what was sold at none: before every store, after the list's start."""
_at_store = func.coalesce(col(Order.store_id), literal(AT_NO_STORE, type_=Uuid()))
_numbers = (
    func.count().label("sold"),
    _total(case((col(Order.state) == OrderState.REFUNDED, 1), else_=0)).label("refunded"),
    _total(col(Order.amount) - func.coalesce(col(Order.refunded_amount), 0)).label("revenue"),
    # Records that were merged are one buyer.
    func.count(func.coalesce(col(Member.merged_into_id), col(Member.id)).distinct()).label(
        "buyers"
    ),
)
_sold = (
    col(Order.product_id) == bindparam("package_id"),
    col(Order.kind) == OrderKind.PACKAGE,
    or_(col(Order.state) == OrderState.PAID, col(Order.state) == OrderState.REFUNDED),
    or_(
        organisation.lies_under(col(Order.store_id)),
        and_(col(Order.store_id).is_(None), organisation.lies_under(col(Order.perspective_id))),
    ),
    or_(_from.is_(None), col(Order.paid_at) >= _from),
    or_(_to.is_(None), col(Order.paid_at) < _to),
)
sales_in_all = statement(
    select(literal(None, type_=Uuid()).label("store_id"), *_numbers)  # type: ignore[call-overload]
    .select_from(Order)
    .join(Member, col(Member.id) == col(Order.member_id))
    .where(*_sold),
    into=Sales,
)
sales_by_store = statement(
    select(col(Order.store_id), *_numbers)  # type: ignore[call-overload]
    .select_from(Order)
    .join(Member, col(Member.id) == col(Order.member_id))
    .where(*_sold, _at_store > bindparam("after", type_=Uuid()))
    .group_by(col(Order.store_id))
    .order_by(_at_store)
    .limit(bindparam("limit")),
    into=Sales,
)


class SalesFound(NamedTuple):
    """Sales, and the currency of the package."""

    sales: Sales
    currency: str


class Span(NamedTuple):
    """Paid from when, and until when; None is without limit."""

    from_moment: datetime | None
    to_moment: datetime | None


async def offers(
    tx: Transaction,
    *,
    member_id: UUID,
    card_id: UUID | None,
    scheme_id: UUID | None,
    store_id: UUID | None,
    now: datetime,
) -> list[Offered] | None:
    """What the member can buy online for a card, or what opens a card of a scheme (CRD-9).

    None for a card, scheme or store that is not theirs.
    """
    member = await members.signed_in(tx, member_id)
    buyer = await _buyer(tx, member, card_id, scheme_id)
    if buyer is None:
        return None
    store = None
    if store_id is not None:
        store = (await organisation.nodes(tx, [store_id])).get(store_id)
        if store is None or store.group_id != member.group_id:
            return None
    return await offering.offered(tx, buyer=buyer, store=store, channel=Channel.ONLINE, now=now)


async def offers_at_terminal(
    tx: Transaction,
    actor: Actor,
    *,
    terminal_id: UUID,
    card_id: UUID | None,
    member_id: UUID | None,
    scheme_id: UUID | None,
    now: datetime,
) -> list[Offered] | None:
    """What a till can sell for a card, or to open one; None for no such terminal or card."""
    try:
        _, store = await organisation.terminal(tx, terminal_id)
        actor.require(Permission.PACKAGES_SELL, store)
        if card_id is not None:
            member_id = (await cards.living(tx, card_id)).member_id
        if member_id is None:
            return None
        member = await members.living(tx, member_id)
    except (organisation.TerminalNotFound, cards.CardNotFound, members.MemberNotFound):
        return None
    if member.group_id != store.group_id:
        return None
    buyer = await _buyer(tx, member, card_id, scheme_id)
    if buyer is None:
        return None
    return await offering.offered(tx, buyer=buyer, store=store, channel=Channel.POS, now=now)


async def owned(
    tx: Transaction,
    *,
    member_id: UUID,
    state: OwnedState | None,
    before: UUID | None,
    limit: int,
) -> list[OwnedPackage]:
    """The signed-in member's packages, newest first, those of merged records included."""
    member = await members.signed_in(tx, member_id)
    return await tx.all(
        own_page, member_id=member.id, state=state, before=before or LARGEST_ID, limit=limit
    )


async def own(tx: Transaction, *, member_id: UUID, owned_id: UUID) -> OwnedPackage | None:
    """One of the signed-in member's packages, or None."""
    found = await tx.one(owned_by_id, owned_id=owned_id)
    if found is None:
        return None
    holder = await members.living(tx, found.member_id)
    return found if holder.id == (await members.signed_in(tx, member_id)).id else None


async def page(
    tx: Transaction,
    actor: Actor,
    *,
    package_id: UUID | None,
    member_id: UUID | None,
    state: OwnedState | None,
    before: UUID | None,
    limit: int,
) -> list[OwnedPackage]:
    """Who bought a package, or what a member bought, newest first, as far as the actor may read
    it: at their stores; online, of packages made there (ORG-1)."""
    if (package_id is None) == (member_id is None):
        raise BadInput("Name a package or a member.")
    asked = {
        "group_id": actor.group_id,
        "node_ids": actor.nodes_with(Permission.PACKAGES_READ),
        "state": state,
        "before": before or LARGEST_ID,
        "limit": limit,
    }
    if package_id is not None:
        return await tx.all(pages_of_package, package_id=package_id, **asked)
    assert member_id is not None
    member = await members.living(tx, member_id)
    return await tx.all(pages_of_member, member_id=member.id, **asked)


async def by_orders(tx: Transaction, order_ids: Collection[UUID]) -> dict[UUID, OwnedPackage]:
    """What was delivered for each of these orders."""
    found = await tx.all(owned_by_orders, order_ids=list(order_ids))
    return {row.order_id: row for row in found}


async def sales(
    tx: Transaction, actor: Actor, *, package_id: UUID, span: Span
) -> SalesFound | None:
    """How a package sold where the actor may read it; None for no such package (BEN-9)."""
    package = await editing.seen_by(tx, actor, package_id=package_id)
    if package is None:
        return None
    found = await tx.one(sales_in_all, **_asked(actor, package_id, span))
    assert found is not None, "sums always have a row"
    return SalesFound(found, package.currency)


async def sales_page(
    tx: Transaction,
    actor: Actor,
    *,
    package_id: UUID,
    span: Span,
    after: UUID | None,
    limit: int,
) -> list[SalesFound]:
    """The same by store, in the order of their ids; what was sold at none comes first (BEN-9)."""
    package = await editing.seen_by(tx, actor, package_id=package_id)
    if package is None:
        return []
    asked = _asked(actor, package_id, span)
    found = await tx.all(sales_by_store, after=after or SMALLEST_ID, limit=limit, **asked)
    return [SalesFound(each, package.currency) for each in found]


def _asked(actor: Actor, package_id: UUID, span: Span) -> dict[str, Any]:
    return {
        "package_id": package_id,
        "node_ids": actor.nodes_with(Permission.PACKAGES_READ),
        **span._asdict(),
    }


async def _buyer(
    tx: Transaction, member: Member, card_id: UUID | None, scheme_id: UUID | None
) -> Buyer | None:
    """For which card of the member, or for which scheme that they have no card of yet."""
    if (card_id is None) == (scheme_id is None):
        raise BadInput("Name the card, or the scheme whose card shall be opened.")
    for card in (await cards.of_members(tx, [member.id]))[member.id]:
        is_meant = card.id == card_id or card.scheme_id == scheme_id
        if is_meant and card.status is not CardStatus.REFUNDED:
            scheme = (await schemes.by_ids(tx, [card.scheme_id]))[card.scheme_id]
            return Buyer(member, card, scheme)
    if scheme_id is None:
        return None
    found = (await schemes.by_ids(tx, [scheme_id])).get(scheme_id)
    return (
        None if found is None or found.group_id != member.group_id else Buyer(member, None, found)
    )
