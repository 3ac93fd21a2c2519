"""Products as the back office makes, copies, changes, lists and retires them (GFT-1, GFT-7)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, if_given, light, statement
from app.core.errors import BadInput, DomainError
from app.core.ids import LARGEST_ID
from app.core.money import MINOR_UNIT_DIGITS
from app.models.gift_cards import GiftCardKind, GiftCardProduct, GiftCardProductState
from app.models.organisation import Node
from app.models.staff import Permission
from app.services import audit, organisation, perspectives, scopes, versions
from app.services.actors import Actor
from app.services.gift_cards import details as product_details
from app.services.gift_cards.details import GiftCardProductDetails
from app.services.gift_cards.pricing import Pricing

TABLE: Any = GiftCardProduct.__table__  # type: ignore[attr-defined]

products_by_id = statement(
    select(GiftCardProduct).where(any_of(col(GiftCardProduct.id), "ids")), into=GiftCardProduct
)
# NO KEY UPDATE: orders and cards that only refer to the product do not wait for an edit of it.
lock_product = statement(
    select(GiftCardProduct)
    .where(col(GiftCardProduct.id) == bindparam("product_id"))
    .with_for_update(key_share=True),
    into=GiftCardProduct,
)
page_of_products = statement(
    select(GiftCardProduct)
    .where(
        *perspectives.in_sight(GiftCardProduct),
        col(GiftCardProduct.id) < bindparam("before"),
        if_given("state", GiftCardProduct.state),
        if_given("kind", GiftCardProduct.kind),
    )
    .order_by(col(GiftCardProduct.id).desc())
    .limit(bindparam("at_most")),
    into=GiftCardProduct,
)
change_product = statement(
    update(GiftCardProduct)
    .where(col(GiftCardProduct.id) == bindparam("product_id"))
    .values(
        version=col(GiftCardProduct.version) + 1,
        changed_at=bindparam("new_changed_at"),
        scope_id=bindparam("new_scope_id"),
        **{
            name: bindparam(f"new_{name}", type_=TABLE.c[name].type)
            for name in product_details.COLUMNS
        },
    )
    .returning(*TABLE.columns),
    into=GiftCardProduct,
)
set_state = statement(
    update(GiftCardProduct)
    .where(col(GiftCardProduct.id) == bindparam("product_id"))
    .values(
        version=col(GiftCardProduct.version) + 1,
        changed_at=bindparam("new_changed_at"),
        state=bindparam("new_state"),
    )
    .returning(*TABLE.columns),
    into=GiftCardProduct,
)
new_product = light(GiftCardProduct)

_S = GiftCardProductState
EDITABLE = {_S.DRAFT, _S.INACTIVE}
MOVES = {
    (_S.DRAFT, _S.ACTIVE): "activate",
    (_S.ACTIVE, _S.INACTIVE): "deactivate",
    (_S.INACTIVE, _S.ACTIVE): "activate",
    (_S.INACTIVE, _S.ARCHIVED): "archive",
    (_S.DRAFT, _S.ARCHIVED): "archive",
}


class GiftCardProductNotFound(DomainError):
    """No such product in this group."""

    def __init__(self) -> None:
        super().__init__("There is no such gift card product.")


class GiftCardProductNotEditable(DomainError):
    """An active product is deactivated before it is edited; an archived one stays as it was."""

    def __init__(self, state: GiftCardProductState) -> None:
        self.state = state
        super().__init__(f"This gift card is {state.lower()} and cannot be edited.")


class GiftCardProductStateUnchangeable(DomainError):
    """A state cannot follow another (GFT-7)."""

    def __init__(self, current: GiftCardProductState, wanted: GiftCardProductState) -> None:
        self.current = current
        super().__init__(f"A gift card that is {current.lower()} cannot become {wanted.lower()}.")


async def by_ids(tx: Transaction, ids: list[UUID]) -> dict[UUID, GiftCardProduct]:
    return {row.id: row for row in await tx.all(products_by_id, ids=ids)}


async def of_group(tx: Transaction, *, group_id: UUID, product_id: UUID) -> GiftCardProduct:
    """A product of the group; raises `GiftCardProductNotFound`."""
    found = (await by_ids(tx, [product_id])).get(product_id)
    if found is None or found.group_id != group_id:
        raise GiftCardProductNotFound
    return found


async def seen_by(tx: Transaction, actor: Actor, *, product_id: UUID) -> GiftCardProduct | None:
    """A product if it exists and the actor may read it (ORG-1)."""
    product = (await by_ids(tx, [product_id])).get(product_id)
    return await perspectives.seen(tx, actor, Permission.GIFT_CARDS_READ, product)


async def page(
    tx: Transaction,
    actor: Actor,
    *,
    state: GiftCardProductState | None,
    kind: GiftCardKind | None,
    before: UUID | None,
    limit: int,
) -> list[GiftCardProduct]:
    """The products made above or below where the actor may read them, newest first."""
    return await tx.all(
        page_of_products,
        before=before or LARGEST_ID,
        **await perspectives.sight(tx, actor, Permission.GIFT_CARDS_READ),
        state=state,
        kind=kind,
        at_most=limit,
    )


async def create(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    kind: GiftCardKind,
    currency: str,
    details: GiftCardProductDetails,
    now: datetime,
) -> GiftCardProduct:
    """Draft a product under a perspective (GFT-1).

    Raises `NodeNotFound`, `StoreGroupNotFound`, `AudienceNotFound`, `FileNotFound`.
    """
    perspective = await organisation.node(tx, perspective_id)
    actor.require(Permission.GIFT_CARDS_WRITE, perspective)
    if currency not in MINOR_UNIT_DIGITS:
        raise BadInput("currency is not an ISO 4217 code.")
    columns = await product_details.columns_of(
        tx, group_id=perspective.group_id, currency=currency, details=details
    )
    scope = await scopes.create(tx, perspective=perspective, rules=details.scope)
    product = new_product(
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        scope_id=scope.id,
        kind=kind,
        currency=currency,
        created_at=now,
        changed_at=now,
        **columns,
    )
    await tx.insert(product)
    await _record(tx, actor, "gift_card_product.create", product, now)
    return product


async def copy(
    tx: Transaction,
    actor: Actor,
    *,
    product_id: UUID,
    name: str,
    valid_days: int | None,
    chosen_designs: tuple[str, ...],
    now: datetime,
) -> GiftCardProduct:
    """Draft a product that says the same as another, all but name, validity and design (GFT-7).

    Raises `GiftCardProductNotFound`, `FileNotFound`.
    """
    original = await of_group(tx, group_id=actor.group_id, product_id=product_id)
    perspective = await organisation.node(tx, original.perspective_id)
    actor.require(Permission.GIFT_CARDS_WRITE, perspective)
    details = GiftCardProductDetails(
        **(
            {each: getattr(original, each) for each in product_details.COLUMNS}
            | _pricing(original)
            | {"name": name, "valid_days": valid_days, "designs": chosen_designs}
        ),
        scope=(await scopes.load(tx, [original.scope_id]))[original.scope_id].rules,
    )
    copied = await create(
        tx, actor, perspective_id=perspective.id, kind=original.kind, currency=original.currency,
        details=details, now=now,
    )  # fmt: skip
    await _record(tx, actor, "gift_card_product.copy", copied, now, original=original.id)
    return copied


async def change(
    tx: Transaction,
    actor: Actor,
    *,
    product_id: UUID,
    expected_version: int,
    details: GiftCardProductDetails,
    now: datetime,
) -> GiftCardProduct:
    """Let a product say something else from now on; sold cards keep their terms, scope included.

    Raises `GiftCardProductNotFound`, `GiftCardProductNotEditable`, `EditedMeanwhile`, and what
    `create` does.
    """
    product, perspective = await _locked_for(tx, actor, product_id)
    if product.state not in EDITABLE:
        raise GiftCardProductNotEditable(product.state)
    versions.require_version(product.version, expected=expected_version)
    columns = await product_details.columns_of(
        tx, group_id=product.group_id, currency=product.currency, details=details
    )
    # Another scope, not the same one changed: cards that were sold keep theirs.
    scope = await scopes.create(tx, perspective=perspective, rules=details.scope)
    new_values = {f"new_{name}": value for name, value in columns.items()}
    changed = await tx.one(
        change_product,
        product_id=product.id,
        new_changed_at=now,
        new_scope_id=scope.id,
        **new_values,
    )
    assert changed is not None, "a product is never deleted"
    await _record(tx, actor, "gift_card_product.update", changed, now)
    return changed


async def move(
    tx: Transaction,
    actor: Actor,
    *,
    product_id: UUID,
    state: GiftCardProductState,
    now: datetime,
) -> GiftCardProduct:
    """Activate, deactivate or archive a product; cards that were sold stay valid (GFT-7).

    Raises `GiftCardProductNotFound`, `GiftCardProductStateUnchangeable`.
    """
    product, _ = await _locked_for(tx, actor, product_id)
    if (product.state, state) not in MOVES:
        raise GiftCardProductStateUnchangeable(product.state, state)
    moved = await tx.one(set_state, product_id=product.id, new_state=state, new_changed_at=now)
    assert moved is not None, "a product is never deleted"
    word = MOVES[product.state, state]
    await _record(tx, actor, f"gift_card_product.{word}", moved, now)
    return moved


def pricing_of(product: GiftCardProduct) -> Pricing:
    return Pricing.of(product.currency, product.denominations, product.custom_amount)


def terms_of(product: GiftCardProduct) -> dict[str, Any]:
    """What a card of the product keeps of it, whatever becomes of the product (GFT-7)."""
    kept = (
        "name", "valid_days", "claim_days", "can_recharge", "can_move", "denominations",
        "custom_amount", "agreement",
    )  # fmt: skip
    return {name: getattr(product, name) for name in kept}


def _pricing(product: GiftCardProduct) -> dict[str, Any]:
    pricing = pricing_of(product)
    return {"denominations": pricing.denominations, "custom_amount": pricing.custom_amount}


async def _locked_for(
    tx: Transaction, actor: Actor, product_id: UUID
) -> tuple[GiftCardProduct, Node]:
    """A product the actor may change, as it stays until this transaction ends."""
    product = await tx.one(lock_product, product_id=product_id)
    if product is None or product.group_id != actor.group_id:
        raise GiftCardProductNotFound
    perspective = await organisation.node(tx, product.perspective_id)
    actor.require(Permission.GIFT_CARDS_WRITE, perspective)
    return product, perspective


async def _record(
    tx: Transaction,
    actor: Actor,
    action: str,
    of: GiftCardProduct,
    now: datetime,
    **details: Any,
) -> None:
    await audit.record(
        tx, actor, action, object_kind="gift_card_product", object_id=of.id,
        node_id=of.perspective_id, now=now, version=of.version, **details,
    )  # fmt: skip
