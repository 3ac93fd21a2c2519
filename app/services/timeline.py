"""All that happened with a member, newest first (MEM-7).

One statement a page: each kind of thing gives its newest rows before the cursor, and the newest of
all are kept. What happened on cards and records that were merged into the member's is part of it.
Rows are ordered by when they happened, so a page reads what one member has of each kind.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    String,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    literal_column,
    null,
    or_,
    union_all,
)
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from app.core.db import Choice, Statement, Transaction, any_of, statement
from app.core.ids import LARGEST_ID
from app.models.behaviour import MemberEvent, Notice
from app.models.cards import Card, CodeScan, Tier
from app.models.coupons import Coupon, CouponTerms, CouponUse, CouponUseState
from app.models.identities import Merge
from app.models.ledger import Account, AccountKind, Entry, Posting, PostingKind
from app.models.organisation import Terminal
from app.models.purchases import Purchase, PurchaseRefund
from app.models.staff import Permission
from app.models.tiers import TierChange
from app.services import members, organisation, schemes
from app.services.actors import Actor

END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


class TimelineKind(StrEnum):
    """What kind of thing happened."""

    PURCHASE = "PURCHASE"
    REFUND = "REFUND"
    POINTS = "POINTS"
    GROWTH = "GROWTH"
    TOP_UP = "TOP_UP"
    SPENDING = "SPENDING"
    ADJUSTMENT = "ADJUSTMENT"
    EXPIRY = "EXPIRY"
    VISIT = "VISIT"
    EVENT = "EVENT"
    TIER_CHANGE = "TIER_CHANGE"
    MERGE = "MERGE"
    NOTICE = "NOTICE"
    COUPON_RECEIVED = "COUPON_RECEIVED"
    COUPON_USED = "COUPON_USED"


class Happening(NamedTuple):
    """One thing that happened. `amount` is in the unit's minor units, points or growth."""

    id: UUID
    kind: TimelineKind
    at: datetime
    card_id: UUID | None
    store_id: UUID | None
    amount: int | None
    unit: str | None
    title: str
    """What it was, in a word: an order number, a posting's kind, an event's key, tiers' names."""

    @property
    def place(self) -> "Place":
        return Place(self.at, self.id)


class Place(NamedTuple):
    """Where in a timeline a row stands."""

    at: datetime
    id: UUID


class Scope(NamedTuple):
    """How much of a member's timeline somebody may see who is not the member (ORG-1)."""

    node_ids: tuple[UUID, ...]
    """What happened at stores at or below these."""
    open_card_ids: tuple[UUID, ...]
    """Cards of which they see what happened at no store, too."""
    sees_storeless: bool
    """What happened at no store and on no card: merges, notices, events."""

    @classmethod
    def of(cls, actor: Actor, open_card_ids: Collection[UUID]) -> Self:
        return cls(
            tuple(actor.nodes_with(Permission.PURCHASES_READ)),
            tuple(open_card_ids),
            actor.has(Permission.CARDS_READ),
        )


class _Held(NamedTuple):
    """A card, merged ones too, and under which perspective its scheme was made."""

    id: UUID
    scheme_id: UUID


own_ids = statement(members.own_records, into=UUID)
cards_held = statement(
    select(Card.id, Card.scheme_id).where(any_of(col(Card.member_id), "member_ids")), into=_Held
)

LEDGER_KINDS: dict[TimelineKind, tuple[PostingKind, ...]] = {
    TimelineKind.POINTS: (PostingKind.EARN, PostingKind.EARN_REVERSAL),
    TimelineKind.TOP_UP: (
        PostingKind.TOP_UP,
        PostingKind.TOP_UP_REFUND,
        PostingKind.GIFT_CARD_MOVE,
    ),
    TimelineKind.SPENDING: (
        PostingKind.SPEND,
        PostingKind.SPEND_REVERSAL,
        PostingKind.AUTHORISE,
        PostingKind.CAPTURE,
    ),
    TimelineKind.ADJUSTMENT: (
        PostingKind.ADJUST,
        PostingKind.ROLL_BACK,
        PostingKind.CARD_REFUND,
    ),
    TimelineKind.EXPIRY: (PostingKind.EXPIRE, PostingKind.DECAY),
}
"""What a posting is on the timeline. Growth is growth whatever moved it, and what a merge moves
from one card of a person to another is told by the merge."""

_kind_type: Choice[TimelineKind] = Choice(TimelineKind)


def _is(kind: TimelineKind) -> Any:
    return literal_column(f"'{kind.value}'", _kind_type)


def _word(word: str) -> Any:
    return literal_column(f"'{word}'", String)


_of_posting = case(
    (col(Account.kind) == AccountKind.GROWTH, _is(TimelineKind.GROWTH)),
    *(
        (or_(*(col(Posting.kind) == moved for moved in moves)), _is(kind))
        for kind, moves in LEDGER_KINDS.items()
    ),
)
_from_tier, _to_tier = aliased(Tier), aliased(Tier)


class _Branch(NamedTuple):
    """One kind of thing: its columns as the timeline has them, and where its rows come from."""

    kind: Any
    key: Any
    at: Any
    title: Any
    source: Any
    """The joins and the condition that make it this member's."""
    card_id: Any = None
    store_id: Any = None
    amount: Any = None
    unit: Any = None

    def rows(self, is_scoped: bool) -> Any:
        """The newest of them before the cursor, as a part of the whole."""
        at, key = self.at, self.key
        before_at: Any = bindparam("before_at", type_=at.type)
        before_id: Any = bindparam("before_id", type_=key.type)
        conditions = [
            any_of(self.kind, "kinds"),
            or_(at < before_at, and_(at == before_at, key < before_id)),
        ]
        newest = (
            self.source.with_only_columns(
                key.label("id"),
                self.kind.label("kind"),
                at.label("at"),
                _or_null(self.card_id, Uuid()).label("card_id"),
                _or_null(self.store_id, Uuid()).label("store_id"),
                _or_null(self.amount, BigInteger()).label("amount"),
                _or_null(self.unit, String()).label("unit"),
                self.title.label("title"),
                maintain_column_froms=True,
            )
            .where(*conditions, *([self._may_be_seen()] if is_scoped else []))
            .order_by(at.desc(), key.desc())
            .limit(bindparam("limit"))
            .subquery()
        )
        return select(newest)

    def _may_be_seen(self) -> Any:
        at_no_store: Any = bindparam("sees_storeless", type_=Boolean())
        if self.card_id is not None:
            at_no_store = any_of(self.card_id, "open_card_ids")
        if self.store_id is None:
            return at_no_store
        at_store = organisation.lies_under(self.store_id)
        return or_(at_store, and_(self.store_id.is_(None), at_no_store))


def _or_null(column: Any, of_type: Any) -> Any:
    return cast(null(), of_type) if column is None else column


def _on_cards(column: Any) -> Any:
    return any_of(column, "card_ids")


BRANCHES = (
    _Branch(
        kind=_is(TimelineKind.PURCHASE),
        key=col(Purchase.id),
        at=col(Purchase.occurred_at),
        title=col(Purchase.order_number),
        source=select(Purchase).where(_on_cards(col(Purchase.card_id))),
        card_id=col(Purchase.card_id),
        store_id=col(Purchase.store_id),
        amount=col(Purchase.total_amount),
        unit=col(Purchase.currency),
    ),
    _Branch(
        kind=_is(TimelineKind.REFUND),
        key=col(PurchaseRefund.id),
        at=col(PurchaseRefund.refunded_at),
        title=col(Purchase.order_number),
        source=select(PurchaseRefund)
        .join(Purchase, col(Purchase.id) == col(PurchaseRefund.purchase_id))
        .where(_on_cards(col(Purchase.card_id))),
        card_id=col(Purchase.card_id),
        store_id=col(Purchase.store_id),
        amount=-col(PurchaseRefund.amount),
        unit=col(Purchase.currency),
    ),
    _Branch(
        kind=_of_posting,
        key=col(Entry.id),
        at=col(Posting.occurred_at),
        title=col(Posting.kind),
        source=select(Entry)
        .join(Posting, col(Posting.id) == col(Entry.posting_id))
        .join(Account, col(Account.id) == col(Entry.account_id))
        .where(
            _on_cards(col(Entry.card_id)),
            col(Posting.kind) != PostingKind.MERGE,
            col(Posting.kind) != PostingKind.MERGE_UNDO,
        ),
        card_id=col(Entry.card_id),
        store_id=col(Posting.store_id),
        amount=col(Entry.amount),
        unit=col(Entry.unit),
    ),
    _Branch(
        kind=_is(TimelineKind.VISIT),
        key=col(CodeScan.id),
        at=col(CodeScan.scanned_at),
        title=col(Terminal.name),
        source=select(CodeScan)
        .join(Terminal, col(Terminal.id) == col(CodeScan.terminal_id))
        .where(_on_cards(col(CodeScan.card_id))),
        card_id=col(CodeScan.card_id),
        store_id=col(Terminal.store_id),
    ),
    _Branch(
        kind=_is(TimelineKind.EVENT),
        key=col(MemberEvent.id),
        at=col(MemberEvent.occurred_at),
        title=col(MemberEvent.event_key),
        source=select(MemberEvent).where(any_of(col(MemberEvent.member_id), "member_ids")),
        store_id=col(MemberEvent.store_id),
    ),
    _Branch(
        kind=_is(TimelineKind.TIER_CHANGE),
        key=col(TierChange.id),
        at=col(TierChange.changed_at),
        title=col(_from_tier.name) + _word(" → ") + col(_to_tier.name),
        source=select(TierChange)
        .join(_from_tier, col(_from_tier.id) == col(TierChange.from_tier_id))
        .join(_to_tier, col(_to_tier.id) == col(TierChange.to_tier_id))
        .where(_on_cards(col(TierChange.card_id))),
        card_id=col(TierChange.card_id),
    ),
    _Branch(
        kind=_is(TimelineKind.MERGE),
        key=col(Merge.id),
        at=col(Merge.merged_at),
        title=case((col(Merge.undone_at).is_(None), _word("MERGED")), else_=_word("UNDONE")),
        source=select(Merge).where(
            or_(
                any_of(col(Merge.survivor_id), "member_ids"),
                any_of(col(Merge.loser_id), "member_ids"),
            )
        ),
    ),
    _Branch(
        kind=_is(TimelineKind.NOTICE),
        key=col(Notice.id),
        at=col(Notice.created_at),
        title=col(Notice.kind),
        source=select(Notice).where(any_of(col(Notice.member_id), "member_ids")),
    ),
    _Branch(
        kind=_is(TimelineKind.COUPON_RECEIVED),
        key=col(Coupon.id),
        at=col(Coupon.issued_at),
        title=col(CouponTerms.title),
        source=select(Coupon)
        .join(CouponTerms, col(CouponTerms.id) == col(Coupon.terms_id))
        .where(any_of(col(Coupon.member_id), "member_ids")),
        store_id=col(Coupon.store_id),
    ),
    _Branch(
        kind=_is(TimelineKind.COUPON_USED),
        key=col(CouponUse.id),
        at=col(CouponUse.used_at),
        title=col(CouponTerms.title),
        source=select(CouponUse)
        .join(Coupon, col(Coupon.id) == col(CouponUse.coupon_id))
        .join(CouponTerms, col(CouponTerms.id) == col(Coupon.terms_id))
        .where(
            any_of(col(Coupon.member_id), "member_ids"),
            col(CouponUse.state) == CouponUseState.USED,
        ),
        store_id=col(CouponUse.store_id),
        amount=-col(CouponUse.took_off),
        unit=col(CouponUse.currency),
    ),
)


def _timeline(is_scoped: bool) -> Statement[Happening]:
    every: Any = union_all(*(branch.rows(is_scoped) for branch in BRANCHES)).subquery()
    newest = select(every).order_by(every.c.at.desc(), every.c.id.desc())
    return statement(newest.limit(bindparam("limit")), into=Happening)


WHOLE, IN_SCOPE = _timeline(is_scoped=False), _timeline(is_scoped=True)


async def own(
    tx: Transaction,
    *,
    member_id: UUID,
    kinds: Collection[TimelineKind] = tuple(TimelineKind),
    before: Place | None = None,
    limit: int,
) -> list[Happening]:
    """What happened with a living member, all of it, newest first."""
    member_ids = await tx.all(own_ids, member_id=member_id)
    held = await tx.all(cards_held, member_ids=member_ids)
    return await tx.all(WHOLE, **_page(member_ids, held, kinds, before, limit))


async def seen_by(
    tx: Transaction,
    actor: Actor,
    *,
    member_id: UUID,
    kinds: Collection[TimelineKind] = tuple(TimelineKind),
    before: Place | None = None,
    limit: int,
) -> list[Happening]:
    """What happened with a living member at stores where the actor holds `purchases:read`, and at
    no store with `cards:read` where the card's scheme was made or above (ORG-1).
    """
    actor.require_any(Permission.MEMBERS_READ)
    if not actor.has(Permission.CARDS_READ):
        actor.require_any(Permission.PURCHASES_READ)
    member_ids = await tx.all(own_ids, member_id=member_id)
    held = await tx.all(cards_held, member_ids=member_ids)
    found = await schemes.by_ids(tx, list({card.scheme_id for card in held}))
    places = await organisation.nodes(tx, list({row.perspective_id for row in found.values()}))
    readable = {
        scheme_id
        for scheme_id, row in found.items()
        if actor.may(Permission.CARDS_READ, places[row.perspective_id])
    }
    scope = Scope.of(actor, [card.id for card in held if card.scheme_id in readable])
    page = _page(member_ids, held, kinds, before, limit)
    return await tx.all(IN_SCOPE, **page, **scope._asdict())


def _page(
    member_ids: list[UUID],
    held: list[_Held],
    kinds: Collection[TimelineKind],
    before: Place | None,
    limit: int,
) -> dict[str, Any]:
    start = before or Place(END_OF_TIME, LARGEST_ID)
    return {
        "member_ids": member_ids,
        "card_ids": [card.id for card in held],
        "kinds": list(kinds),
        "before_at": start.at,
        "before_id": start.id,
        "limit": limit,
    }
