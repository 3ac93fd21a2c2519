"""Cards that come to life: numbered, keyed, and with the value that was paid for (GFT-2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, update

from app.core.db import Transaction, changed_copy, statement
from app.core.ids import new_id
from app.models.gift_cards import GiftCard, GiftCardKind, GiftCardProduct, GiftCardState
from app.models.ledger import PostingKind, SystemAccount
from app.models.sessions import PrincipalKind
from app.services import ledger
from app.services.gift_cards import holding, numbers

CAUSE = "gift_card"

_VALUES = (
    "holder_id", "store_id", "terminal_id", "payment_method_id", "scope_id", "terms", "design",
    "face", "cash", "activated_at", "expires_at",
)  # fmt: skip
activate_card = statement(
    update(GiftCard)
    .where(
        col(GiftCard.id) == bindparam("gift_card_id"),
        col(GiftCard.state) == GiftCardState.INACTIVE,
    )
    .values(
        state=GiftCardState.ACTIVE,
        **{name: bindparam(f"new_{name}", type_=holding.TABLE.c[name].type) for name in _VALUES},
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """What a card was sold as: fixed from here on, whatever becomes of its product (GFT-7)."""

    face: int
    cash: int
    terms: dict[str, Any]
    scope_id: UUID
    design: str
    actor_kind: PrincipalKind
    actor_id: UUID | None
    holder_id: UUID | None = None
    order_id: UUID | None = None
    store_id: UUID | None = None
    terminal_id: UUID | None = None
    payment_method_id: UUID | None = None

    def columns(self, now: datetime) -> dict[str, Any]:
        values: dict[str, Any] = {name: getattr(self, name, None) for name in _VALUES}
        return values | {"activated_at": now, "expires_at": expiry(self.terms, now)}


def expiry(terms: dict[str, Any], now: datetime) -> datetime | None:
    """When value that comes now is over; None is never."""
    days = terms["valid_days"]
    return None if days is None else now + timedelta(days=days)


async def issue(
    tx: Transaction, *, product: GiftCardProduct, sale: Sale, how_many: int, now: datetime
) -> list[GiftCard]:
    """Make electronic cards and give each its value; the numbers are new."""
    assert product.kind is GiftCardKind.ELECTRONIC, product.kind
    made = []
    for number in await numbers.free_numbers(tx, group_id=product.group_id, how_many=how_many):
        key = numbers.new_key()
        card = holding.new_gift_card(
            id=new_id(),
            group_id=product.group_id,
            product_id=product.id,
            kind=product.kind,
            number=number,
            key=key,
            key_index=numbers.key_index(number, key),
            state=GiftCardState.ACTIVE,
            currency=product.currency,
            order_id=sale.order_id,
            created_at=now,
            **sale.columns(now),
        )
        made.append(card)
    await tx.insert(*made)
    await fill(tx, made, sale, now)
    return made


async def activate(tx: Transaction, card: GiftCard, *, sale: Sale, now: datetime) -> GiftCard:
    """Give a printed card that is locked and inactive its value."""
    columns = sale.columns(now)
    new_values = {f"new_{name}": value for name, value in columns.items()}
    activated = await tx.changed(activate_card, gift_card_id=card.id, **new_values)
    assert activated == 1, "a gift card moved under its lock"
    card = changed_copy(card, state=GiftCardState.ACTIVE, **columns)
    await fill(tx, [card], sale, now)
    return card


async def fill(tx: Transaction, cards: Sequence[GiftCard], sale: Sale, now: datetime) -> None:
    """Open the accounts of cards that were just made, and bring each what it was sold with."""
    await ledger.open_gift_card_accounts(tx, cards)
    for card in cards:
        header = holding.header(
            card,
            kind=PostingKind.GIFT_CARD_ACTIVATE,
            cause_kind=CAUSE,
            cause_id=card.id,
            actor_kind=sale.actor_kind,
            actor_id=sale.actor_id,
            store_id=sale.store_id,
            now=now,
        )
        await put_value(
            tx, card, header=header, cash=sale.cash, face=sale.face, expires_at=card.expires_at
        )


async def put_value(
    tx: Transaction,
    card: GiftCard,
    *,
    header: ledger.Header,
    cash: int,
    face: int,
    expires_at: datetime | None,
) -> None:
    """Bring what was paid for, and what is given with it: face − cash (GFT-2).

    For one that points alone paid for, all of it is given.
    """
    purse = await holding.purse_of(tx, card)
    sheet = await ledger.Sheet.open(tx, header, [account.id for account in purse])
    if cash:
        sheet.put(purse.cash.id, cash, expires_at=expires_at)
        sheet.against(SystemAccount.PAYMENTS_RECEIVED, -cash, card.currency)
    if gift := face - cash:
        sheet.put(purse.bonus.id, gift, expires_at=expires_at)
        sheet.against(SystemAccount.BONUS_ISSUED, -gift, card.currency)
    await sheet.close()
