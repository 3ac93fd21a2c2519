"""What moved on gift cards, one line a posting: lists that add up to the balances (GFT-6).

Every posting that touches a gift card is here, expiry and moves into stored value included: so
what stood before a period and the lines of it are what stands after.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, and_, bindparam, case, cast, or_
from sqlalchemy.orm import aliased
from sqlmodel import col, func, select

from app.core.db import Statement, Transaction, any_of, if_given, statement
from app.core.ids import LARGEST_ID
from app.models.gift_cards import GiftCard, GiftCardProduct
from app.models.ledger import Account, AccountKind, Entry, Posting, PostingKind
from app.models.organisation import Node
from app.models.staff import Permission
from app.services import organisation
from app.services.actors import Actor

PAGE_ROWS = 2_000
"""Lines of one page of an export, and of one snapshot."""


class GiftCardTransactionKind(StrEnum):
    ACTIVATION = "ACTIVATION"
    RECHARGE = "RECHARGE"
    CONSUMPTION = "CONSUMPTION"
    CONSUMPTION_RETURN = "CONSUMPTION_RETURN"
    REFUND = "REFUND"
    MOVE = "MOVE"
    EXPIRY = "EXPIRY"


POSTINGS = {
    GiftCardTransactionKind.ACTIVATION: PostingKind.GIFT_CARD_ACTIVATE,
    GiftCardTransactionKind.RECHARGE: PostingKind.GIFT_CARD_RECHARGE,
    GiftCardTransactionKind.CONSUMPTION: PostingKind.GIFT_CARD_SPEND,
    GiftCardTransactionKind.CONSUMPTION_RETURN: PostingKind.GIFT_CARD_SPEND_REVERSAL,
    GiftCardTransactionKind.REFUND: PostingKind.GIFT_CARD_REFUND,
    GiftCardTransactionKind.MOVE: PostingKind.GIFT_CARD_MOVE,
    GiftCardTransactionKind.EXPIRY: PostingKind.EXPIRE,
}
KINDS = {posting: kind for kind, posting in POSTINGS.items()}


class GiftCardTransaction(NamedTuple):
    """What one posting brought to a gift card (positive) or took from it, in minor units."""

    id: UUID
    kind: PostingKind
    recorded_at: datetime
    store_id: UUID | None
    store_name: str | None
    gift_card_id: UUID
    number: str
    product_id: UUID
    product_name: str
    currency: str
    cash: int
    bonus: int


class Sum(NamedTuple):
    """What lines come to, or what cards hold, in one currency."""

    currency: str
    cash: int
    bonus: int


def _of_kind(kind: AccountKind) -> Any:
    amount = case((col(Account.kind) == kind, col(Entry.amount)), else_=0)
    return cast(func.sum(amount), BigInteger).label(kind.lower())


_moment: Any = Posting.__table__.c.recorded_at.type  # type: ignore[attr-defined]
_from, _to = bindparam("from_moment", type_=_moment), bindparam("to_moment", type_=_moment)
# Who may read gift cards somewhere sees what happened there, and all that happened on the cards
# whose product was made there (ORG-1).
_is_visible = or_(
    organisation.lies_under(col(Posting.store_id)),
    select(GiftCardProduct.id)
    .where(
        col(GiftCardProduct.id) == col(Posting.gift_card_product_id),
        organisation.lies_under(col(GiftCardProduct.perspective_id)),
    )
    .exists(),
)
_filtered = (
    col(Posting.group_id) == bindparam("group_id"),
    col(Posting.gift_card_product_id).is_not(None),  # as the indexes say it
    if_given("kind", Posting.kind),
    if_given("product_id", Posting.gift_card_product_id),
    if_given("store_id", Posting.store_id),
    or_(_from.is_(None), col(Posting.recorded_at) >= _from),
    or_(_to.is_(None), col(Posting.recorded_at) < _to),
)
_of_this_card = col(Entry.gift_card_id) == bindparam("gift_card_id")
_store = aliased(Node)  # beside the node that says whether the line may be seen


def _lines(chosen: Any, *more: Any) -> Any:
    """Chosen postings with what they moved on gift cards; a posting moves one gift card."""
    keys: tuple[Any, ...] = (
        chosen.c.id,
        chosen.c.kind,
        chosen.c.recorded_at,
        chosen.c.store_id,
        col(_store.name).label("store_name"),
        Entry.gift_card_id,
        GiftCard.number,
        chosen.c.gift_card_product_id.label("product_id"),
        col(GiftCardProduct.name).label("product_name"),
        GiftCard.currency,
    )
    columns = (*keys, _of_kind(AccountKind.CASH), _of_kind(AccountKind.BONUS))
    return (
        select(*columns)
        .select_from(chosen)
        .join(Entry, and_(col(Entry.posting_id) == chosen.c.id, *more))
        .join(Account, col(Account.id) == col(Entry.account_id))
        .join(GiftCard, col(GiftCard.id) == col(Entry.gift_card_id))
        .join(GiftCardProduct, col(GiftCardProduct.id) == chosen.c.gift_card_product_id)
        .outerjoin(_store, col(_store.id) == chosen.c.store_id)
        .group_by(*keys)
    )


def _page(of_card: bool) -> Statement[GiftCardTransaction]:
    postings_of_card = select(Entry.posting_id).where(
        _of_this_card,
        col(Entry.gift_card_id).is_not(None),  # as its index says it
    )
    chosen = (
        select(Posting)
        .where(
            *_filtered,
            _is_visible,
            col(Posting.id) < bindparam("before"),
            *([col(Posting.id).in_(postings_of_card)] if of_card else []),
        )
        .order_by(col(Posting.id).desc())
        .limit(bindparam("limit"))
        .subquery()
    )
    lines = _lines(chosen, *([_of_this_card] if of_card else []))
    return statement(lines.order_by(chosen.c.id.desc()), into=GiftCardTransaction)


PAGES = {of_card: _page(of_card) for of_card in (False, True)}
_of_product = (
    select(Posting)
    .where(
        *_filtered,
        col(Posting.gift_card_product_id) == bindparam("of_product_id"),
        col(Posting.recorded_at) >= bindparam("after_at"),
        or_(
            col(Posting.recorded_at) > bindparam("after_at"),
            col(Posting.id) > bindparam("after_id"),
        ),
    )
    .order_by(col(Posting.recorded_at), col(Posting.id))
    .limit(bindparam("at_most"))
    .subquery()
)
lines_of_product = statement(
    _lines(_of_product).order_by(_of_product.c.recorded_at, _of_product.c.id),
    into=GiftCardTransaction,
)


def _sums(*conditions: Any) -> Statement[Sum]:
    return statement(
        select(
            col(Entry.unit).label("currency"),
            _of_kind(AccountKind.CASH),
            _of_kind(AccountKind.BONUS),
        )
        .select_from(Posting)
        .join(Entry, col(Entry.posting_id) == col(Posting.id))
        .join(Account, col(Account.id) == col(Entry.account_id))
        .where(*_filtered, col(Entry.gift_card_id).is_not(None), *conditions)
        .group_by(col(Entry.unit))
        .order_by(col(Entry.unit)),
        into=Sum,
    )


SUMS = {
    of_card: _sums(_is_visible, *([_of_this_card] if of_card else [])) for of_card in (False, True)
}
sums_of_products = _sums(any_of(col(Posting.gift_card_product_id), "product_ids"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines; what is None lets all pass. `from_moment` is included, `to_moment` is not."""

    kind: GiftCardTransactionKind | None = None
    product_id: UUID | None = None
    store_id: UUID | None = None
    gift_card_id: UUID | None = None
    from_moment: datetime | None = None
    to_moment: datetime | None = None

    def values(self) -> dict[str, Any]:
        """What `_filtered` binds."""
        return {
            "kind": None if self.kind is None else POSTINGS[self.kind],
            "product_id": self.product_id,
            "store_id": self.store_id,
            "from_moment": self.from_moment,
            "to_moment": self.to_moment,
        }

    def card(self) -> dict[str, UUID]:
        return {} if self.gift_card_id is None else {"gift_card_id": self.gift_card_id}


async def page(
    tx: Transaction, actor: Actor, *, wanted: Wanted, before: UUID | None, limit: int
) -> list[GiftCardTransaction]:
    """Lines where the actor may read gift cards, newest first (GFT-6)."""
    return await tx.all(
        PAGES[wanted.gift_card_id is not None],
        **_seen_by(actor),
        **wanted.values(),
        **wanted.card(),
        before=before or LARGEST_ID,
        limit=limit,
    )


async def sums(tx: Transaction, actor: Actor, *, wanted: Wanted) -> list[Sum]:
    """What those lines come to, one sum a currency. For `Database.scan`."""
    return await tx.all(
        SUMS[wanted.gift_card_id is not None],
        **_seen_by(actor),
        **wanted.values(),
        **wanted.card(),
    )


async def of_product(
    tx: Transaction,
    *,
    group_id: UUID,
    product_id: UUID,
    wanted: Wanted,
    after: GiftCardTransaction | None,
) -> list[GiftCardTransaction]:
    """A page of a product's lines, oldest first; `after` ends the page before.

    For exports: `wanted` says from when.
    """
    assert wanted.from_moment is not None
    return await tx.all(
        lines_of_product,
        group_id=group_id,
        of_product_id=product_id,
        after_at=after.recorded_at if after else wanted.from_moment,
        after_id=after.id if after else UUID(int=0),
        at_most=PAGE_ROWS,
        **wanted.values(),
    )


async def sums_of(
    tx: Transaction, *, group_id: UUID, product_ids: list[UUID], wanted: Wanted
) -> list[Sum]:
    """What the lines of products come to; all lines before a moment are the balance at it."""
    return await tx.all(
        sums_of_products, group_id=group_id, product_ids=product_ids, **wanted.values()
    )


def _seen_by(actor: Actor) -> dict[str, Any]:
    actor.require_any(Permission.GIFT_CARDS_READ)
    return {
        "group_id": actor.group_id,
        "node_ids": actor.nodes_with(Permission.GIFT_CARDS_READ),
    }
