"""Gift cards over a period: how many were sold, for what, and what they are still worth (FIN-2).

What was paid for a card and what it is worth beyond that stay apart: the first is owed to its
holder, the second was given.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, bindparam, case, cast, null, type_coerce
from sqlmodel import col, func, select

from app.core.db import Choice, Statement, Transaction, any_of, statement
from app.core.errors import BadInput
from app.models.gift_cards import GiftCardProduct
from app.models.ledger import Account, Entry, Posting, PostingKind
from app.models.organisation import Node
from app.services import organisation
from app.services.actors import Actor
from app.services.reports.movements import Flow, Movement, Part, Position, flows_of, sum_of
from app.services.reports.subjects import Subject, subject

PRODUCTS_MAX = 1_000

products_below = statement(
    select(GiftCardProduct)
    .join(Node, col(Node.id) == col(GiftCardProduct.perspective_id))
    .where(col(GiftCardProduct.group_id) == bindparam("group_id"), organisation.at_or_below_nodes)
    .order_by(col(GiftCardProduct.id))
    .limit(PRODUCTS_MAX + 1),
    into=GiftCardProduct,
)


class _Counts(NamedTuple):
    """Gift cards of a product in a period, and those that are worth something at its end."""

    product_id: UUID
    sold: int
    refunded: int


class _Standing(NamedTuple):
    product_id: UUID
    cards: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductValue:
    """The gift cards of one product, in minor units of its currency."""

    product: GiftCardProduct
    sold: int
    """Cards that were sold in the period."""
    refunded: int
    """Cards that were refunded in it."""
    outstanding: int
    """Cards that are worth something at its end."""
    cash: Flow
    bonus: Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class GiftCardValue:
    about: Subject
    products: list[ProductValue]


def _entries(*columns: Any) -> Any:
    """Entries on gift cards' accounts up to the end of a period."""
    return (
        select(*columns)
        .select_from(Posting)
        .join(Entry, col(Entry.posting_id) == col(Posting.id))
        .where(
            any_of(col(Posting.gift_card_product_id), "product_ids"),
            col(Posting.recorded_at) < bindparam("ends_at"),
            col(Entry.gift_card_id).is_not(None),
        )
    )


_part = type_coerce(col(Account.kind), Choice(Part)).label("part")
_is_within = col(Posting.recorded_at) >= bindparam("starts_at")


def _positions() -> Statement[Position]:
    before = case((col(Posting.recorded_at) < bindparam("starts_at"), col(Entry.amount)), else_=0)
    each = (
        _entries(
            col(Posting.gift_card_product_id).label("owner_id"),
            Entry.account_id,
            func.sum(before).label("opening"),
            func.sum(Entry.amount).label("closing"),
        )
        .group_by(col(Posting.gift_card_product_id), col(Entry.account_id))
        .subquery()
    )
    holds = each.c.closing > 0
    return statement(
        select(  # type: ignore[call-overload]  # SQLModel types up to four columns
            each.c.owner_id,
            _part,
            sum_of(each.c.opening, "opening"),
            sum_of(each.c.closing, "closing"),
            sum_of(case((holds, 1), else_=0), "cards"),
            sum_of(case((holds, each.c.closing), else_=0), "on_cards"),
            sum_of(case((each.c.closing < 0, -each.c.closing), else_=0), "owed"),
        )
        .select_from(each)
        .join(Account, col(Account.id) == each.c.account_id)
        .group_by(each.c.owner_id, "part"),
        into=Position,
    )


def _movements(by_store: bool) -> Statement[Movement]:
    amount = col(Entry.amount)
    store: Any = col(Posting.store_id) if by_store else null()
    keys: list[Any] = [col(Posting.gift_card_product_id), "part", col(Posting.kind)]
    if by_store:
        keys.append(col(Posting.store_id))
    return statement(
        _entries(
            col(Posting.gift_card_product_id).label("owner_id"),
            _part,
            col(Posting.kind).label("kind"),
            store.label("store_id"),
            sum_of(case((amount > 0, amount), else_=0), "added"),
            sum_of(case((amount < 0, -amount), else_=0), "taken"),
        )
        .join(Account, col(Account.id) == col(Entry.account_id))
        .where(_is_within)
        .group_by(*keys)
        .order_by(*keys),
        into=Movement,
    )


def _cards_with(kind: PostingKind, label: str) -> Any:
    """How many different cards were moved by postings of a kind: each has two accounts."""
    return func.count(
        func.distinct(case((col(Posting.kind) == kind, col(Entry.gift_card_id)), else_=None))
    ).label(label)


positions = _positions()
MOVEMENTS = {by_store: _movements(by_store) for by_store in (False, True)}
counts = statement(
    _entries(
        col(Posting.gift_card_product_id).label("product_id"),
        _cards_with(PostingKind.GIFT_CARD_ACTIVATE, "sold"),
        _cards_with(PostingKind.GIFT_CARD_REFUND, "refunded"),
    )
    .where(_is_within)
    .group_by(col(Posting.gift_card_product_id)),
    into=_Counts,
)
_of_card = (
    _entries(
        col(Posting.gift_card_product_id).label("product_id"),
        Entry.gift_card_id,
        func.sum(Entry.amount).label("closing"),
    )
    .group_by(col(Posting.gift_card_product_id), col(Entry.gift_card_id))
    .subquery()
)
standing = statement(
    select(_of_card.c.product_id, cast(func.count(), BigInteger).label("cards"))
    .select_from(_of_card)
    .where(_of_card.c.closing > 0)
    .group_by(_of_card.c.product_id),
    into=_Standing,
)


async def report(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    from_day: date,
    to_day: date,
    by_store: bool,
    now: datetime,
) -> GiftCardValue:
    """Gift cards, product by product (FIN-2). Raises `Forbidden`, `BadInput`."""
    about = await subject(
        tx, actor, perspective_id=perspective_id, from_day=from_day, to_day=to_day, now=now
    )
    return await of(tx, about, by_store=by_store)


async def of(tx: Transaction, about: Subject, *, by_store: bool) -> GiftCardValue:
    """The same of a subject that was checked."""
    products = await products_of(tx, about.perspective)
    values: dict[str, Any] = {
        "product_ids": [product.id for product in products],
        "ends_at": about.period.ends_at,
    }
    within = values | {"starts_at": about.period.starts_at}
    found = flows_of(
        await tx.all(positions, **within), await tx.all(MOVEMENTS[by_store], **within), by_store
    )
    counted = {each.product_id: each for each in await tx.all(counts, **within)}
    cards = {each.product_id: each.cards for each in await tx.all(standing, **values)}
    nothing = Flow(by_store=() if by_store else None)
    return GiftCardValue(
        about=about,
        products=[
            ProductValue(
                product=product,
                sold=counted[product.id].sold if product.id in counted else 0,
                refunded=counted[product.id].refunded if product.id in counted else 0,
                outstanding=cards.get(product.id, 0),
                cash=found.get((product.id, Part.CASH), nothing),
                bonus=found.get((product.id, Part.BONUS), nothing),
            )
            for product in products
        ],
    )


async def products_of(tx: Transaction, perspective: Node) -> list[GiftCardProduct]:
    """The products made at a node or below it; raises `BadInput` where there are too many."""
    found = await tx.all(products_below, group_id=perspective.group_id, node_ids=[perspective.id])
    if len(found) > PRODUCTS_MAX:
        raise BadInput(f"More than {PRODUCTS_MAX} products: ask for a brand or a store of these.")
    return found
