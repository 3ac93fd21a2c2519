"""Packs on sale, as the back office makes, changes, lists and retires them (CPN-7)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, if_given, light, statement
from app.core.errors import BadInput, DomainError
from app.core.ids import LARGEST_ID
from app.core.money import MINOR_UNIT_DIGITS
from app.core.texts import checked_text
from app.models.coupons import CouponPackSale, TemplateState
from app.models.organisation import Node
from app.models.staff import Permission
from app.services import audit, files, organisation, perspectives, schemes, scopes, versions
from app.services.actors import Actor
from app.services.coupons import giving, states
from app.services.coupons.details import (
    LIMIT_PER_MEMBER_MAX,
    NAME_CHARS_MAX,
    require_between,
    require_stock,
)
from app.services.coupons.packs import of_group as pack_of_group
from app.services.coupons.values import AMOUNT_MAX
from app.services.scopes import ScopeRules

TABLE: Any = CouponPackSale.__table__  # type: ignore[attr-defined]

sales_by_id = statement(
    select(CouponPackSale).where(any_of(col(CouponPackSale.id), "ids")), into=CouponPackSale
)
# NO KEY UPDATE: orders only refer to the sale.
lock_sale = statement(
    select(CouponPackSale)
    .where(col(CouponPackSale.id) == bindparam("sale_id"))
    .with_for_update(key_share=True),
    into=CouponPackSale,
)
page_of_sales = statement(
    select(CouponPackSale)
    .where(
        *perspectives.in_sight(CouponPackSale),
        col(CouponPackSale.id) < bindparam("before"),
        if_given("state", CouponPackSale.state),
        if_given("pack_id", CouponPackSale.pack_id),
    )
    .order_by(col(CouponPackSale.id).desc())
    .limit(bindparam("at_most")),
    into=CouponPackSale,
)


def _change(*names: str) -> Any:
    """Columns of a sale set to new values, which makes its next version."""
    return statement(
        update(CouponPackSale)
        .where(col(CouponPackSale.id) == bindparam("sale_id"))
        .values(
            version=col(CouponPackSale.version) + 1,
            changed_at=bindparam("new_changed_at"),
            **{name: bindparam(f"new_{name}", type_=TABLE.c[name].type) for name in names},
        )
        .returning(*TABLE.columns),
        into=CouponPackSale,
    )


change_sale = _change("name", "price", "cover_file_id", "limit_per_member")
set_state = _change("state")
change_stock = _change("stock_left")
new_sale = light(CouponPackSale)


class CouponPackSaleNotFound(DomainError):
    """No such pack on sale in this group."""

    def __init__(self) -> None:
        super().__init__("There is no such coupon pack on sale.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SaleDetails:
    """All that can be edited of a sale; the price is in minor units, 0 is free."""

    name: str
    price: int
    scope: ScopeRules
    limit_per_member: int | None = None
    cover_file_id: UUID | None = None


async def by_ids(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, CouponPackSale]:
    return {row.id: row for row in await tx.all(sales_by_id, ids=list(ids))}


async def of_group(tx: Transaction, *, group_id: UUID, sale_id: UUID) -> CouponPackSale:
    """A sale of the group; raises `CouponPackSaleNotFound`."""
    found = (await by_ids(tx, [sale_id])).get(sale_id)
    if found is None or found.group_id != group_id:
        raise CouponPackSaleNotFound
    return found


async def seen_by(tx: Transaction, actor: Actor, *, sale_id: UUID) -> CouponPackSale | None:
    """A sale if it exists and the actor may read it (ORG-1)."""
    sale = (await by_ids(tx, [sale_id])).get(sale_id)
    return await perspectives.seen(tx, actor, Permission.COUPONS_READ, sale)


async def page(
    tx: Transaction,
    actor: Actor,
    *,
    state: TemplateState | None = None,
    pack_id: UUID | None = None,
    before: UUID | None,
    limit: int,
) -> list[CouponPackSale]:
    """The sales made above or below where the actor may read them, newest first."""
    return await tx.all(
        page_of_sales,
        before=before or LARGEST_ID,
        **await perspectives.sight(tx, actor, Permission.COUPONS_READ),
        state=state,
        pack_id=pack_id,
        at_most=limit,
    )


async def create(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    pack_id: UUID,
    currency: str,
    stock: int | None,
    details: SaleDetails,
    now: datetime,
) -> CouponPackSale:
    """Draft a sale of a pack under a perspective; `stock` None is without end (CPN-7).

    Raises `NodeNotFound`, `CouponPackNotFound`, `FileNotFound`, and what `scopes.create` does.
    """
    perspective = await organisation.node(tx, perspective_id)
    actor.require(Permission.COUPONS_WRITE, perspective)
    if currency not in MINOR_UNIT_DIGITS:
        raise BadInput("currency must be one of ISO 4217.")
    require_stock(stock)
    pack = await pack_of_group(tx, group_id=perspective.group_id, pack_id=pack_id)
    made_at = await organisation.node(tx, pack.perspective_id)
    if pack.state is TemplateState.ARCHIVED or not schemes.touches([perspective], made_at):
        raise giving.CouponPackNotFound
    columns = await _columns(tx, perspective, details)
    scope = await scopes.create(tx, perspective=perspective, rules=details.scope)
    sale = new_sale(
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        pack_id=pack.id,
        scope_id=scope.id,
        currency=currency,
        stock_left=stock,
        created_at=now,
        changed_at=now,
        **columns,
    )
    await tx.insert(sale)
    await _record(tx, actor, "coupon_pack_sale.create", sale, now, pack=pack.id, price=sale.price)
    return sale


async def change(
    tx: Transaction,
    actor: Actor,
    *,
    sale_id: UUID,
    expected_version: int,
    details: SaleDetails,
    now: datetime,
) -> CouponPackSale:
    """Sell otherwise from now on; orders keep what they were promised.

    Raises `CouponPackSaleNotFound`, `CouponNotEditable`, `EditedMeanwhile`, `FileNotFound`, and
    what `scopes.replace` does.
    """
    sale, perspective = await _locked_for(tx, actor, sale_id)
    states.require_editable(sale.state)
    versions.require_version(sale.version, expected=expected_version)
    columns = await _columns(tx, perspective, details)
    await scopes.replace(tx, scope_id=sale.scope_id, perspective=perspective, rules=details.scope)
    changed = await _changed(
        tx, change_sale, sale, now, **{f"new_{name}": value for name, value in columns.items()}
    )
    await _record(
        tx, actor, "coupon_pack_sale.update", changed, now, was=sale.price, became=changed.price
    )
    return changed


async def move(
    tx: Transaction, actor: Actor, *, sale_id: UUID, state: TemplateState, now: datetime
) -> CouponPackSale:
    """Activate, deactivate or archive a sale.

    Raises `CouponPackSaleNotFound`, `CouponStateUnchangeable`.
    """
    sale, _ = await _locked_for(tx, actor, sale_id)
    states.require_move(sale.state, state)
    moved = await _changed(tx, set_state, sale, now, new_state=state)
    await _record(tx, actor, f"coupon_pack_sale.{states.MOVE_WORDS[state]}", moved, now)
    return moved


async def set_stock(
    tx: Transaction,
    actor: Actor,
    *,
    sale_id: UUID,
    expected_version: int,
    stock: int | None,
    now: datetime,
) -> CouponPackSale:
    """Set how many packs can still be sold, also while they are; None is without end.

    What orders hold meanwhile is not among them. Raises `CouponPackSaleNotFound`,
    `CouponNotEditable`, `EditedMeanwhile`.
    """
    require_stock(stock)
    sale, _ = await _locked_for(tx, actor, sale_id)
    if sale.state is TemplateState.ARCHIVED:
        raise states.CouponNotEditable(sale.state)
    versions.require_version(sale.version, expected=expected_version)
    changed = await _changed(tx, change_stock, sale, now, new_stock_left=stock)
    await _record(
        tx, actor, "coupon_pack_sale.stock", changed, now, was=sale.stock_left, became=stock
    )
    return changed


async def _changed(
    tx: Transaction, change: Any, sale: CouponPackSale, now: datetime, **values: Any
) -> CouponPackSale:
    changed: CouponPackSale | None = await tx.one(
        change, sale_id=sale.id, new_changed_at=now, **values
    )
    assert changed is not None, "a sale is never deleted"
    return changed


async def _locked_for(tx: Transaction, actor: Actor, sale_id: UUID) -> tuple[CouponPackSale, Node]:
    sale = await tx.one(lock_sale, sale_id=sale_id)
    if sale is None or sale.group_id != actor.group_id:
        raise CouponPackSaleNotFound
    perspective = await organisation.node(tx, sale.perspective_id)
    actor.require(Permission.COUPONS_WRITE, perspective)
    return sale, perspective


async def _columns(tx: Transaction, perspective: Node, details: SaleDetails) -> dict[str, Any]:
    require_between("price", details.price, 0, AMOUNT_MAX)
    require_between("limitPerMember", details.limit_per_member, 1, LIMIT_PER_MEMBER_MAX)
    if details.cover_file_id is not None:
        await files.require_image(tx, group_id=perspective.group_id, file_id=details.cover_file_id)
    return {
        "name": checked_text("name", details.name, at_most=NAME_CHARS_MAX),
        "price": details.price,
        "cover_file_id": details.cover_file_id,
        "limit_per_member": details.limit_per_member,
    }


async def _record(
    tx: Transaction, actor: Actor, action: str, of: CouponPackSale, now: datetime, **details: Any
) -> None:
    await audit.record(
        tx, actor, action, object_kind="coupon_pack_sale", object_id=of.id,
        node_id=of.perspective_id, now=now, version=of.version, **details,
    )  # fmt: skip
