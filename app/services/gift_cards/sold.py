"""The list of gift cards for the back office: printed, sold, used, over (GFT-5)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import and_, bindparam, case, literal, or_, type_coerce
from sqlalchemy.orm import aliased
from sqlmodel import col, func, select

from app.core.db import Choice, Statement, Transaction, if_given, statement
from app.core.ids import LARGEST_ID, SMALLEST_ID
from app.models.gift_card_batches import GiftCardBatchCard
from app.models.gift_cards import GiftCard, GiftCardKind, GiftCardProduct, GiftCardState
from app.models.ledger import Account, AccountKind
from app.models.organisation import Node, PaymentMethod
from app.models.staff import Permission
from app.services import organisation
from app.services.actors import Actor
from app.services.gift_cards import holding

PAGE_ROWS = 2_000
"""Cards of one page of an export, and of one snapshot."""

_moment: Any = holding.TABLE.c.created_at.type
_now = bindparam("now", type_=_moment)
_from, _to = bindparam("sold_from", type_=_moment), bindparam("sold_to", type_=_moment)
_state = bindparam("state", type_=holding.TABLE.c.state.type)
_is_over = and_(
    col(GiftCard.expires_at).is_not(None),
    col(GiftCard.expires_at) <= _now,
    or_(col(GiftCard.state) == GiftCardState.ACTIVE, col(GiftCard.state) == GiftCardState.FROZEN),
)
# As `holding.status_at` tells it.
_status = case((_is_over, literal(GiftCardState.EXPIRED.value)), else_=col(GiftCard.state))
_told: Any = type_coerce(_status, Choice(GiftCardState)).label("state")
_made_below = (
    select(GiftCardProduct.id)
    .where(
        col(GiftCardProduct.id) == col(GiftCard.product_id),
        organisation.lies_under(col(GiftCardProduct.perspective_id)),
    )
    .exists()
)
_is_visible = or_(organisation.lies_under(col(GiftCard.store_id)), _made_below)
_filtered = (
    col(GiftCard.group_id) == bindparam("group_id"),
    or_(_state.is_(None), _status == _state),
    if_given("product_id", GiftCard.product_id),
    if_given("store_id", GiftCard.store_id),
    if_given("kind", GiftCard.kind),
    or_(_from.is_(None), col(GiftCard.activated_at) >= _from),
    or_(_to.is_(None), col(GiftCard.activated_at) < _to),
)
_in_batch = col(GiftCard.id).in_(
    select(GiftCardBatchCard.gift_card_id).where(
        col(GiftCardBatchCard.batch_id) == bindparam("batch_id")
    )
)
PAGES: dict[bool, Statement[GiftCard]] = {
    # of one bulk order
    of_batch: statement(
        select(GiftCard)
        .where(
            *_filtered,
            _is_visible,
            col(GiftCard.id) < bindparam("before"),
            *([_in_batch] if of_batch else []),
        )
        .order_by(col(GiftCard.id).desc())
        .limit(bindparam("limit")),
        into=GiftCard,
    )
    for of_batch in (False, True)
}


class SoldCard(NamedTuple):
    """A gift card as an export shows it, with what it holds; amounts in minor units."""

    id: UUID
    number: str
    kind: GiftCardKind
    state: GiftCardState
    product_name: str
    currency: str
    face: int
    cash: int
    cash_left: int
    bonus_left: int
    activated_at: datetime | None
    store_name: str | None
    method_name: str | None
    order_id: UUID | None
    expires_at: datetime | None
    ended_at: datetime | None
    refunded_cash: int | None


_store = aliased(Node)  # beside the nodes that say whether the card may be seen
_cash, _bonus = aliased(Account), aliased(Account)


def _account(account: Any, kind: AccountKind) -> Any:
    return and_(col(account.gift_card_id) == col(GiftCard.id), col(account.kind) == kind)


_COLUMNS: tuple[Any, ...] = (
    GiftCard.id,
    GiftCard.number,
    GiftCard.kind,
    _told,
    col(GiftCardProduct.name).label("product_name"),
    GiftCard.currency,
    GiftCard.face,
    GiftCard.cash,
    func.coalesce(col(_cash.balance), 0).label("cash_left"),
    func.coalesce(col(_bonus.balance), 0).label("bonus_left"),
    GiftCard.activated_at,
    col(_store.name).label("store_name"),
    col(PaymentMethod.name).label("method_name"),
    GiftCard.order_id,
    GiftCard.expires_at,
    GiftCard.ended_at,
    GiftCard.refunded_cash,
)
EXPORT_PAGES: dict[bool, Statement[SoldCard]] = {
    # of one bulk order
    of_batch: statement(
        select(*_COLUMNS)
        .join(GiftCardProduct, col(GiftCardProduct.id) == col(GiftCard.product_id))
        .outerjoin(_store, col(_store.id) == col(GiftCard.store_id))
        .outerjoin(PaymentMethod, col(PaymentMethod.id) == col(GiftCard.payment_method_id))
        .outerjoin(_cash, _account(_cash, AccountKind.CASH))
        .outerjoin(_bonus, _account(_bonus, AccountKind.BONUS))
        .where(
            *_filtered,
            organisation.lies_under(col(GiftCardProduct.perspective_id)),
            col(GiftCard.id) > bindparam("after"),
            *([_in_batch] if of_batch else []),
        )
        .order_by(col(GiftCard.id))
        .limit(PAGE_ROWS),
        into=SoldCard,
    )
    for of_batch in (False, True)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which cards; what is None lets all pass. `sold_from` is included, `sold_to` is not."""

    state: GiftCardState | None = None
    product_id: UUID | None = None
    store_id: UUID | None = None
    kind: GiftCardKind | None = None
    batch_id: UUID | None = None
    sold_from: datetime | None = None
    sold_to: datetime | None = None

    def values(self, now: datetime) -> dict[str, Any]:
        """What the statements bind besides who asks and where the page begins."""
        of_batch = {} if self.batch_id is None else {"batch_id": self.batch_id}
        return of_batch | {
            "state": self.state,
            "product_id": self.product_id,
            "store_id": self.store_id,
            "kind": self.kind,
            "sold_from": self.sold_from,
            "sold_to": self.sold_to,
            "now": now,
        }


async def page(
    tx: Transaction,
    actor: Actor,
    *,
    wanted: Wanted,
    before: UUID | None,
    limit: int,
    now: datetime,
) -> list[GiftCard]:
    """Gift cards where the actor may read them, the newest first (GFT-5)."""
    actor.require_any(Permission.GIFT_CARDS_READ)
    return await tx.all(
        PAGES[wanted.batch_id is not None],
        group_id=actor.group_id,
        node_ids=actor.nodes_with(Permission.GIFT_CARDS_READ),
        before=before or LARGEST_ID,
        limit=limit,
        **wanted.values(now),
    )


async def export_page(
    tx: Transaction,
    *,
    perspective: Node,
    wanted: Wanted,
    after: UUID | None,
    now: datetime,
) -> list[SoldCard]:
    """A page of the cards of products made at a node or below it, oldest first; for exports."""
    return await tx.all(
        EXPORT_PAGES[wanted.batch_id is not None],
        group_id=perspective.group_id,
        node_ids=[perspective.id],
        after=after or SMALLEST_ID,
        **wanted.values(now),
    )
