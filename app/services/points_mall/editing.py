"""Items as the back office makes, changes, lists and shelves them (MAL-1)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, func, select, update

from app.core.db import Transaction, any_of, if_given, light, statement
from app.core.errors import DomainError
from app.core.ids import LARGEST_ID
from app.core.texts import pattern_of
from app.models.organisation import Node
from app.models.points_mall import MallItem, MallItemKind
from app.models.staff import Permission
from app.services import audit, files, organisation, perspectives, scopes, versions
from app.services.actors import Actor
from app.services.points_mall import contents
from app.services.points_mall import details as item_details
from app.services.points_mall.contents import Brings
from app.services.points_mall.details import ItemDetails

TABLE: Any = MallItem.__table__  # type: ignore[attr-defined]
LISTED_MAX = 500
"""Items on the shelf of a group at once, so that whoever looks for theirs looks at no more."""

items_by_id = statement(select(MallItem).where(any_of(col(MallItem.id), "ids")), into=MallItem)
# NO KEY UPDATE: orders that only refer to the item do not wait for an edit of it.
lock_item = statement(
    select(MallItem)
    .where(col(MallItem.id) == bindparam("item_id"))
    .with_for_update(key_share=True),
    into=MallItem,
)
_name_like = bindparam("name_like", type_=TABLE.c.name.type)
_is_listed = bindparam("is_listed", type_=TABLE.c.is_listed.type)
page_of_items = statement(
    select(MallItem)
    .where(
        *perspectives.in_sight(MallItem),
        col(MallItem.id) < bindparam("before"),
        if_given("kind", MallItem.kind),
        if_given("category", MallItem.category),
        if_given("perspective_id", MallItem.perspective_id),
        or_(_is_listed.is_(None), col(MallItem.is_listed) == _is_listed),
        or_(_name_like.is_(None), col(MallItem.name).ilike(_name_like, escape="\\")),
    )
    .order_by(col(MallItem.id).desc())
    .limit(bindparam("at_most")),
    into=MallItem,
)
_edited = {
    "version": col(MallItem.version) + 1,
    "changed_at": bindparam("new_changed_at"),
}
change_item = statement(
    update(MallItem)
    .where(col(MallItem.id) == bindparam("item_id"))
    .values(
        **_edited,
        **{
            name: bindparam(f"new_{name}", type_=TABLE.c[name].type)
            for name in item_details.COLUMNS
        },
    )
    .returning(*TABLE.columns),
    into=MallItem,
)
change_stock = statement(
    update(MallItem)
    .where(col(MallItem.id) == bindparam("item_id"))
    .values(**_edited, stock_left=bindparam("new_stock"))
    .returning(*TABLE.columns),
    into=MallItem,
)
set_listed_to = statement(
    update(MallItem)
    .where(col(MallItem.id) == bindparam("item_id"))
    .values(**_edited, is_listed=bindparam("new_is_listed"))
    .returning(*TABLE.columns),
    into=MallItem,
)
# Two items that are listed at once stand in line at their group.
lock_group = statement(
    select(Node).where(col(Node.id) == bindparam("group_id")).with_for_update(key_share=True),
    into=Node,
)
number_listed = statement(
    select(func.count()).where(
        col(MallItem.group_id) == bindparam("group_id"), col(MallItem.is_listed)
    ),
    into=int,
)
new_item = light(MallItem)


class MallItemNotFound(DomainError):
    """No such item in this group."""

    def __init__(self) -> None:
        super().__init__("There is no such item in the mall.")


class ShelfFull(DomainError):
    """The group lists as many items as a mall can show."""

    def __init__(self) -> None:
        self.limit = LISTED_MAX
        super().__init__(f"A mall shows at most {LISTED_MAX} items. Take one off first.")


async def by_ids(tx: Transaction, ids: list[UUID]) -> dict[UUID, MallItem]:
    return {row.id: row for row in await tx.all(items_by_id, ids=ids)}


async def item_of_group(tx: Transaction, *, group_id: UUID, item_id: UUID) -> MallItem:
    """An item of the group; raises `MallItemNotFound`."""
    found = (await by_ids(tx, [item_id])).get(item_id)
    if found is None or found.group_id != group_id:
        raise MallItemNotFound
    return found


async def seen_by(tx: Transaction, actor: Actor, *, item_id: UUID) -> MallItem | None:
    """An item if it exists and the actor may read it (ORG-1)."""
    item = (await by_ids(tx, [item_id])).get(item_id)
    return await perspectives.seen(tx, actor, Permission.MALL_READ, item)


async def page(
    tx: Transaction,
    actor: Actor,
    *,
    kind: MallItemKind | None = None,
    is_listed: bool | None = None,
    category: str | None = None,
    name_part: str | None = None,
    perspective_id: UUID | None = None,
    before: UUID | None,
    limit: int,
) -> list[MallItem]:
    """The items made above or below where the actor may read them, newest first."""
    return await tx.all(
        page_of_items,
        before=before or LARGEST_ID,
        **await perspectives.sight(tx, actor, Permission.MALL_READ),
        kind=kind,
        is_listed=is_listed,
        category=item_details.category_named(category),
        perspective_id=perspective_id,
        name_like=pattern_of("search", name_part, at_most=item_details.NAME_CHARS_MAX),
        at_most=limit,
    )


async def create(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    brings: Brings,
    stock: int | None,
    details: ItemDetails,
    now: datetime,
) -> MallItem:
    """Make an item under a perspective, not yet listed; `stock` None is without end (MAL-1).

    Raises `NodeNotFound`, `StoreGroupNotFound`, `AudienceNotFound`, `FileNotFound`, and what
    `contents.require_deliverable` does.
    """
    perspective = await organisation.node(tx, perspective_id)
    actor.require(Permission.MALL_WRITE, perspective)
    item_details.require_stock(stock)
    columns, rules = item_details.columns_of(brings.kind, details), item_details.scope_of(details)
    await _require_there(tx, perspective, details)
    await contents.require_deliverable(
        tx, perspective=perspective, brings=brings, price=details.price
    )
    scope = await scopes.create(tx, perspective=perspective, rules=rules)
    item = new_item(
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        scope_id=scope.id,
        kind=brings.kind,
        product_id=brings.product_id,
        product_count=brings.product_count,
        product_rule=brings.product_rule,
        product_face=brings.product_face,
        stock_left=stock,
        created_at=now,
        changed_at=now,
        **columns,
    )
    await tx.insert(item)
    await _record(tx, actor, "mall_item.create", item, now, points=item.price_points, stock=stock)
    return item


async def change(
    tx: Transaction,
    actor: Actor,
    *,
    item_id: UUID,
    expected_version: int,
    details: ItemDetails,
    now: datetime,
) -> MallItem:
    """Let an item say something else from now on, listed or not; what it brings stays, and orders
    keep the terms they were made with.

    Raises `MallItemNotFound`, `EditedMeanwhile`, and what `create` does.
    """
    item, perspective = await _locked_for(tx, actor, item_id, expected_version)
    columns, rules = item_details.columns_of(item.kind, details), item_details.scope_of(details)
    await _require_there(tx, perspective, details)
    await contents.require_price(
        tx, group_id=item.group_id, brings=Brings.of(item), price=details.price
    )
    await scopes.replace(tx, scope_id=item.scope_id, perspective=perspective, rules=rules)
    new_values = {f"new_{name}": value for name, value in columns.items()}
    changed = await tx.one(change_item, item_id=item.id, new_changed_at=now, **new_values)
    assert changed is not None, "an item is never deleted"
    await _record(
        tx, actor, "mall_item.update", changed, now, points=changed.price_points,
        amount=changed.price_amount,
    )  # fmt: skip
    return changed


async def set_listed(
    tx: Transaction,
    actor: Actor,
    *,
    item_id: UUID,
    expected_version: int,
    is_listed: bool,
    now: datetime,
) -> MallItem:
    """Put an item on the shelf, or take it off; orders made before stay (MAL-1).

    Raises `MallItemNotFound`, `EditedMeanwhile`, `ShelfFull`.
    """
    item, _ = await _locked_for(tx, actor, item_id, expected_version)
    if is_listed and not item.is_listed:
        await tx.one(lock_group, group_id=item.group_id)
        if (await tx.one(number_listed, group_id=item.group_id) or 0) >= LISTED_MAX:
            raise ShelfFull
    changed = await tx.one(
        set_listed_to, item_id=item.id, new_is_listed=is_listed, new_changed_at=now
    )
    assert changed is not None, "an item is never deleted"
    await _record(tx, actor, f"mall_item.{'list' if is_listed else 'unlist'}", changed, now)
    return changed


async def set_stock(
    tx: Transaction,
    actor: Actor,
    *,
    item_id: UUID,
    expected_version: int,
    stock: int | None,
    now: datetime,
) -> MallItem:
    """How many pieces can be redeemed from now on; None is without end.

    Raises `MallItemNotFound`, `EditedMeanwhile`.
    """
    item_details.require_stock(stock)
    item, _ = await _locked_for(tx, actor, item_id, expected_version)
    changed = await tx.one(change_stock, item_id=item.id, new_stock=stock, new_changed_at=now)
    assert changed is not None, "an item is never deleted"
    await _record(tx, actor, "mall_item.stock", changed, now, was=item.stock_left, became=stock)
    return changed


async def _locked_for(
    tx: Transaction, actor: Actor, item_id: UUID, expected_version: int
) -> tuple[MallItem, Node]:
    """An item the actor may change, as it stays until this transaction ends, and its perspective.

    Raises `MallItemNotFound`, `EditedMeanwhile`.
    """
    item = await tx.one(lock_item, item_id=item_id)
    if item is None or item.group_id != actor.group_id:
        raise MallItemNotFound
    perspective = await organisation.node(tx, item.perspective_id)
    actor.require(Permission.MALL_WRITE, perspective)
    versions.require_version(item.version, expected=expected_version)
    return item, perspective


async def _require_there(tx: Transaction, perspective: Node, details: ItemDetails) -> None:
    """Raise `FileNotFound` unless the pictures are images of the group."""
    for file_id in details.file_ids:
        await files.require_image(tx, group_id=perspective.group_id, file_id=file_id)


async def _record(
    tx: Transaction, actor: Actor, action: str, of: MallItem, now: datetime, **details: Any
) -> None:
    await audit.record(
        tx, actor, action, object_kind="mall_item", object_id=of.id, node_id=of.perspective_id,
        now=now, version=of.version, **details,
    )  # fmt: skip
