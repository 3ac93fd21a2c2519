"""Gift cards as they stand: which there are, who holds them, what is on them (GFT-4)."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import and_, bindparam, case, literal, or_
from sqlmodel import col, select, update

from app.core.db import Statement, Transaction, any_of, if_given, light, statement
from app.core.errors import BadInput, DomainError
from app.core.ids import LARGEST_ID
from app.models.gift_cards import GiftCard, GiftCardState
from app.models.ledger import Account, AccountKind, Entry, Posting, PostingKind
from app.models.organisation import Node
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.services import ledger, members, organisation, scopes
from app.services.actors import Actor
from app.services.gift_cards import numbers, products
from app.services.scopes import NotAvailable, Obstacle, ObstacleReason

TABLE: Any = GiftCard.__table__  # type: ignore[attr-defined]

by_ids_statement = statement(select(GiftCard).where(any_of(col(GiftCard.id), "ids")), into=GiftCard)
# NO KEY UPDATE, as an UPDATE of the row takes it: what pays by one card stands in line here.
lock_card = statement(
    select(GiftCard)
    .where(col(GiftCard.id) == bindparam("gift_card_id"))
    .with_for_update(key_share=True),
    into=GiftCard,
)
lock_of_order = statement(
    select(GiftCard)
    .where(col(GiftCard.order_id) == bindparam("order_id"))
    .order_by(col(GiftCard.id))
    .with_for_update(key_share=True),
    into=GiftCard,
)
by_number_statement = statement(
    select(GiftCard).where(
        col(GiftCard.group_id) == bindparam("group_id"), col(GiftCard.number) == bindparam("number")
    ),
    into=GiftCard,
)
own_card = statement(
    select(GiftCard).where(
        col(GiftCard.id) == bindparam("gift_card_id"),
        col(GiftCard.holder_id).in_(members.own_records),
    ),
    into=GiftCard,
)
_own = (
    select(GiftCard)
    .where(
        col(GiftCard.holder_id).in_(members.own_records),
        if_given("order_id", GiftCard.order_id),
    )
    .order_by(col(GiftCard.id).desc())
    .limit(bindparam("limit"))
)
OWN_PAGES: dict[bool, Statement[GiftCard]] = {
    # a cursor was given
    has_cursor: statement(
        _own.where(*([col(GiftCard.id) < bindparam("before")] if has_cursor else [])),
        into=GiftCard,
    )
    for has_cursor in (False, True)
}
_state: Any = bindparam("state", type_=TABLE.c.state.type)
# The same as `status_at` says of one card.
_state_now = case(
    (
        and_(
            col(GiftCard.expires_at) <= bindparam("now", type_=TABLE.c.expires_at.type),
            or_(
                col(GiftCard.state) == GiftCardState.ACTIVE,
                col(GiftCard.state) == GiftCardState.FROZEN,
            ),
        ),
        literal(GiftCardState.EXPIRED.value),
    ),
    else_=col(GiftCard.state),
)
page_of_product = statement(
    select(GiftCard)
    .where(
        col(GiftCard.product_id) == bindparam("product_id"),
        col(GiftCard.id) < bindparam("before"),
        or_(_state.is_(None), _state_now == _state),
    )
    .order_by(col(GiftCard.id).desc())
    .limit(bindparam("limit")),
    into=GiftCard,
)
set_state = statement(
    update(GiftCard)
    .where(
        col(GiftCard.id) == bindparam("gift_card_id"), col(GiftCard.state) == bindparam("was_state")
    )
    .values(state=bindparam("new_state"))
)
set_holder = statement(
    update(GiftCard)
    .where(col(GiftCard.id) == bindparam("gift_card_id"), col(GiftCard.holder_id).is_(None))
    .values(holder_id=bindparam("new_holder_id"))
)
new_gift_card = light(GiftCard)


class Line(NamedTuple):
    """One movement on a gift card, as its holder and staff read it."""

    id: UUID
    account_kind: AccountKind
    unit: str
    amount: int
    posting_kind: PostingKind
    store_id: UUID | None
    occurred_at: datetime


lines_of_card = statement(
    select(  # type: ignore[call-overload]  # SQLModel types up to four columns
        Entry.id,
        col(Account.kind).label("account_kind"),
        Entry.unit,
        Entry.amount,
        col(Posting.kind).label("posting_kind"),
        Posting.store_id,
        Posting.occurred_at,
    )
    .join(Posting, col(Posting.id) == col(Entry.posting_id))
    .join(Account, col(Account.id) == col(Entry.account_id))
    .where(
        col(Entry.gift_card_id) == bindparam("gift_card_id"),
        col(Entry.gift_card_id).is_not(None),  # as its index says it
        col(Entry.id) < bindparam("before"),
    )
    .order_by(col(Entry.id).desc())
    .limit(bindparam("limit")),
    into=Line,
)


class GiftCardNotFound(DomainError):
    """No such gift card, or somebody else's."""

    def __init__(self) -> None:
        super().__init__("There is no such gift card.")


class GiftCardUnusable(DomainError):
    """The card is known and cannot be used: each reason is a refusal of its own (GFT-4)."""


class GiftCardNotActive(GiftCardUnusable):
    """A printed card that nobody has bought yet."""

    def __init__(self) -> None:
        super().__init__("This gift card has not been activated yet.")


class GiftCardFrozen(GiftCardUnusable):
    """Staff froze it (GFT-5)."""

    def __init__(self) -> None:
        super().__init__("This gift card is frozen. Ask a store about it.")


class GiftCardUsedUp(GiftCardUnusable):
    """Nothing is left on it."""

    def __init__(self) -> None:
        super().__init__("This gift card is used up.")


class GiftCardExpired(GiftCardUnusable):
    """Its time is over."""

    def __init__(self, expired_at: datetime) -> None:
        self.expired_at = expired_at
        super().__init__("This gift card has expired.")


class GiftCardRefunded(GiftCardUnusable):
    """It was paid out."""

    def __init__(self, refunded_at: datetime) -> None:
        self.refunded_at = refunded_at
        super().__init__("This gift card was refunded.")


class Balance(NamedTuple):
    """What a gift card holds, in minor units: paid for, and given with it (GFT-2)."""

    cash: int = 0
    bonus: int = 0

    @property
    def total(self) -> int:
        return self.cash + self.bonus


class Purse(NamedTuple):
    """The two accounts of a gift card."""

    cash: Account
    bonus: Account


def status_at(card: GiftCard, now: datetime) -> GiftCardState:
    """The state as the clock tells it: what is over is EXPIRED, unless it had ended before."""
    is_over = card.expires_at is not None and card.expires_at <= now
    if is_over and card.state in (GiftCardState.ACTIVE, GiftCardState.FROZEN):
        return GiftCardState.EXPIRED
    return card.state


def require_usable(card: GiftCard, now: datetime) -> None:
    """Raise the refusal that fits unless the card can pay now (GFT-4)."""
    match status_at(card, now):
        case GiftCardState.INACTIVE:
            raise GiftCardNotActive
        case GiftCardState.FROZEN:
            raise GiftCardFrozen
        case GiftCardState.USED:
            raise GiftCardUsedUp
        case GiftCardState.EXPIRED:
            assert card.expires_at is not None
            raise GiftCardExpired(card.expires_at)
        case GiftCardState.REFUNDED:
            assert card.ended_at is not None
            raise GiftCardRefunded(card.ended_at)
        case GiftCardState.ACTIVE:
            return


async def require_store(tx: Transaction, card: GiftCard, store: Node) -> None:
    """Raise `NotAvailable` unless the store is one of those the card was sold for.

    The channels, times and members of its product say who can buy it, not where it pays.
    """
    assert card.scope_id is not None, "it was sold"
    loaded = (await scopes.load(tx, [card.scope_id]))[card.scope_id]
    groups = await tx.all(scopes.store_groups_of_store, store_id=store.id)
    if not loaded.covers(store, groups):
        raise NotAvailable(Obstacle(ObstacleReason.WRONG_STORE))


async def by_ids(tx: Transaction, ids: list[UUID]) -> dict[UUID, GiftCard]:
    return {row.id: row for row in await tx.all(by_ids_statement, ids=ids)}


async def by_number(tx: Transaction, *, group_id: UUID, number: str) -> GiftCard:
    """A card by its printed number; raises `GiftCardNotFound`."""
    found = await tx.one(by_number_statement, group_id=group_id, number=number)
    if found is None:
        raise GiftCardNotFound
    return found


async def locked(tx: Transaction, gift_card_id: UUID) -> GiftCard:
    """The card as it stays until this transaction ends; raises `GiftCardNotFound`."""
    found = await tx.one(lock_card, gift_card_id=gift_card_id)
    if found is None:
        raise GiftCardNotFound
    return found


async def own(tx: Transaction, *, member_id: UUID, gift_card_id: UUID) -> GiftCard:
    """A card of the living member; raises `GiftCardNotFound`."""
    found = await tx.one(own_card, gift_card_id=gift_card_id, member_id=member_id)
    if found is None:
        raise GiftCardNotFound
    return found


async def own_or_none(tx: Transaction, *, member_id: UUID, gift_card_id: UUID) -> GiftCard | None:
    """A card of the signed-in member, or None."""
    member = await members.signed_in(tx, member_id)
    return await tx.one(own_card, gift_card_id=gift_card_id, member_id=member.id)


async def own_page(
    tx: Transaction, *, member_id: UUID, order_id: UUID | None, before: UUID | None, limit: int
) -> list[GiftCard]:
    """The cards the signed-in member holds, newest first."""
    member = await members.signed_in(tx, member_id)
    cursor = {} if before is None else {"before": before}
    return await tx.all(
        OWN_PAGES[before is not None], member_id=member.id, order_id=order_id, limit=limit, **cursor
    )


async def own_lines(
    tx: Transaction, *, member_id: UUID, gift_card_id: UUID, before: UUID | None, limit: int
) -> list[Line] | None:
    """What happened on a card of the signed-in member, newest first; None if it is not theirs."""
    if await own_or_none(tx, member_id=member_id, gift_card_id=gift_card_id) is None:
        return None
    return await tx.all(
        lines_of_card, gift_card_id=gift_card_id, before=before or LARGEST_ID, limit=limit
    )


async def place_of(tx: Transaction, card: GiftCard) -> Node:
    """Where a card belongs: where it was sold, online or not yet where its product was made."""
    if card.store_id is not None:
        return await organisation.node(tx, card.store_id)
    product = await products.of_group(tx, group_id=card.group_id, product_id=card.product_id)
    return await organisation.node(tx, product.perspective_id)


async def seen_by(
    tx: Transaction, actor: Actor, *, gift_card_id: UUID | None, number: str | None
) -> GiftCard | None:
    """A card by its id or its printed number, if there is one and the actor may read it."""
    if (gift_card_id is None) == (number is None):
        raise BadInput("Give either the id or the number of the card.")
    if gift_card_id is not None:
        card = (await by_ids(tx, [gift_card_id])).get(gift_card_id)
    else:
        assert number is not None
        plain = numbers.plain(number)
        card = await tx.one(by_number_statement, group_id=actor.group_id, number=plain)
    if card is None or card.group_id != actor.group_id:
        return None
    return card if actor.may(Permission.GIFT_CARDS_READ, await place_of(tx, card)) else None


async def page(
    tx: Transaction,
    actor: Actor,
    *,
    product_id: UUID,
    state: GiftCardState | None,
    before: UUID | None,
    limit: int,
    now: datetime,
) -> list[GiftCard] | None:
    """A product's cards, newest first, as far as they are in this state now; None if there is no
    such product, or the actor may not read where it was made."""
    product = (await products.by_ids(tx, [product_id])).get(product_id)
    if product is None or product.group_id != actor.group_id:
        return None
    perspective = await organisation.node(tx, product.perspective_id)
    if not actor.may(Permission.GIFT_CARDS_READ, perspective):
        return None
    return await tx.all(
        page_of_product,
        product_id=product.id,
        before=before or LARGEST_ID,
        state=state,
        now=now,
        limit=limit,
    )


async def balances(tx: Transaction, gift_card_ids: list[UUID]) -> dict[UUID, Balance]:
    """What each card holds."""
    found = {card_id: Balance() for card_id in gift_card_ids}
    for account in await ledger.accounts_of_gift_cards(tx, gift_card_ids):
        assert account.gift_card_id is not None, "it was asked for by its gift card"
        kind = "cash" if account.kind is AccountKind.CASH else "bonus"
        found[account.gift_card_id] = found[account.gift_card_id]._replace(
            **{kind: account.balance}
        )
    return found


async def purse_of(tx: Transaction, card: GiftCard) -> Purse:
    """The accounts of a card that was activated."""
    accounts = {a.kind: a for a in await ledger.accounts_of_gift_cards(tx, [card.id])}
    return Purse(accounts[AccountKind.CASH], accounts[AccountKind.BONUS])


def header(
    card: GiftCard,
    *,
    kind: PostingKind,
    cause_kind: str,
    cause_id: UUID,
    actor_kind: PrincipalKind,
    actor_id: UUID | None,
    store_id: UUID | None = None,
    scheme_id: UUID | None = None,
    reverses_id: UUID | None = None,
    now: datetime,
) -> ledger.Header:
    """The header of a posting on a gift card."""
    return ledger.Header(
        kind=kind,
        cause_kind=cause_kind,
        cause_id=cause_id,
        group_id=card.group_id,
        scheme_id=scheme_id,
        gift_card_product_id=card.product_id,
        actor_kind=actor_kind,
        actor_id=actor_id,
        store_id=store_id,
        reverses_id=reverses_id,
        occurred_at=now,
        now=now,
    )


def live_total(lots: Iterable[Any]) -> int:
    """What lots that were read under their account's lock come to."""
    return sum(lot.remaining for lot in lots)


async def become(
    tx: Transaction, card: GiftCard, *, was: GiftCardState, state: GiftCardState
) -> None:
    """Move the state of a card that is locked."""
    moved = await tx.changed(set_state, gift_card_id=card.id, was_state=was, new_state=state)
    assert moved == 1, "a gift card moved under its lock"
