"""Buying gift cards: members online, for themselves or as a gift, and anybody at a till (GFT-3)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Transaction, light, statement
from app.core.errors import BadInput, DomainError
from app.core.phones import normal_email, normal_phone
from app.core.texts import checked_paragraphs, checked_text
from app.models.gift_cards import (
    BuyerField,
    GiftCard,
    GiftCardBuyer,
    GiftCardKind,
    GiftCardProduct,
    GiftCardState,
)
from app.models.members import Member
from app.models.orders import Order, OrderKind
from app.models.organisation import Node
from app.models.scopes import Channel
from app.models.staff import Permission
from app.services import audit, cards, compliance, members, orders, organisation, requests
from app.services.actors import Actor
from app.services.gift_cards import designs, holding, issuing, numbers, offers, products
from app.services.members import Bearer
from app.services.payments import Online, Placed

QUANTITY_MAX = 20
NAME_CHARS_MAX = 120
GREETING_CHARS_MAX = 300
DELIVERED_WITHIN = timedelta(days=366)

buyer_by_id = statement(
    select(GiftCardBuyer).where(col(GiftCardBuyer.id) == bindparam("buyer_id")), into=GiftCardBuyer
)
buyer_of_order = statement(
    select(GiftCardBuyer).where(col(GiftCardBuyer.order_id) == bindparam("order_id")),
    into=GiftCardBuyer,
)
new_buyer = light(GiftCardBuyer)


class BuyerFieldMissing(DomainError):
    """The product asks its buyer for something that was not said (GFT-1)."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__("Something we need to know of the buyer is missing.")


class GiftCardNotForSale(DomainError):
    """The printed card was sold before, or its product is not sold as a printed card."""

    def __init__(self) -> None:
        super().__init__("This gift card cannot be sold.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """What a buyer says of themselves."""

    name: str | None = None
    phone: str | None = None
    email: str | None = None
    card_number: str | None = None

    def checked(self, product: GiftCardProduct, *, channel: Channel) -> dict[str, Any]:
        """What the product asks for, as it is kept; the rest is not.

        Raises `BuyerFieldMissing`, `InvalidPhone`, `InvalidEmail`, `BadInput`.
        """
        asked = {
            "name": product.buyer_name,
            "phone": product.buyer_phone,
            "email": product.buyer_email,
            # The buyer's own card is asked for at a till; online it is known who buys.
            "card_number": product.buyer_card_number if channel is Channel.POS else BuyerField.NONE,
        }
        kept: dict[str, Any] = {}
        for name, need in asked.items():
            given = None if need is BuyerField.NONE else getattr(self, name)
            if given is None and need is BuyerField.REQUIRED:
                raise BuyerFieldMissing(name)
            kept[name] = None if given is None else _CHECKS[name](given)
        return kept

    def document(self) -> list[str | None]:
        """For the fingerprint of a request."""
        return [self.name, self.phone, self.email, self.card_number]


@dataclass(frozen=True, slots=True, kw_only=True)
class Giving:
    """To whom the cards go, and when."""

    greeting: str | None = None
    deliver_at: datetime | None = None
    """None is as soon as they are paid."""
    receiver_phone: str | None = None

    def document(self) -> list[Any]:
        return [self.greeting, self.deliver_at, self.receiver_phone]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What somebody would like to buy: cards of one value, with one design."""

    product_id: UUID
    face: int
    quantity: int = 1
    design: str | None = None
    buyer: Buyer
    giving: Giving | None = None

    def document(self) -> dict[str, Any]:
        """For the fingerprint of a request."""
        return {
            "product": self.product_id,
            "face": self.face,
            "quantity": self.quantity,
            "design": self.design,
            "buyer": self.buyer.document(),
            "giving": None if self.giving is None else self.giving.document(),
        }


class Sold(NamedTuple):
    """A card that was sold at a till."""

    card: GiftCard
    is_replay: bool


async def place(
    tx: Transaction,
    *,
    bearer: Bearer,
    choice: Choice,
    online: Online,
    request_key: str,
    now: datetime,
) -> Placed[Order]:
    """A member orders cards and has 15 minutes to pay them (GFT-3).

    Raises `GiftCardProductNotFound`, `GiftCardNotOnSale`, `NotAvailable`,
    `GiftCardAmountNotOffered`, `GiftCardDesignNotOffered`, `BuyerFieldMissing`, `NodeNotFound`,
    `TooManyOpenOrders`, `MethodCannotPay`, `RequestKeyReused`, what
    `compliance.require_gift_cards` raises.
    """
    member = await members.acting(tx, bearer, now=now)
    request = requests.Request(
        principal_id=member.id,
        operation="giftCardOrder",
        key=request_key,
        input={**choice.document(), **online.document()},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return await orders.placed(tx, claim.answer_id)
    if not 1 <= choice.quantity <= QUANTITY_MAX:
        raise BadInput(f"quantity must be between 1 and {QUANTITY_MAX}.")
    store = None
    if online.store_id is not None:
        store = await offers.store_of_group(tx, member.group_id, online.store_id)
    product = await offers.require_offered(
        tx, group_id=member.group_id, product_id=choice.product_id, member=member,
        channel=Channel.ONLINE, store=store, now=now,
    )  # fmt: skip
    if product.kind is not GiftCardKind.ELECTRONIC:
        raise products.GiftCardProductNotFound
    price = products.pricing_of(product).price_of(choice.face)
    await compliance.require_gift_cards(
        tx, group_id=product.group_id, buyer=member, face=choice.face,
        amount=price * choice.quantity, currency=product.currency, method=None, now=now,
    )  # fmt: skip
    design = designs.chosen(choice.design, product.designs)
    given = _checked_giving(choice.giving, now)
    order = orders.drafted(
        claim.answer_id,
        kind=OrderKind.GIFT_CARD,
        product_id=product.id,
        title=product.name,
        perspective_id=product.perspective_id,
        member=member,
        card=None,
        channel=Channel.ONLINE,
        currency=product.currency,
        amount=price * choice.quantity,
        quantity=choice.quantity,
        store_id=online.store_id,
        terms={
            "face": choice.face,
            "price": price,
            "design": design,
            "scope_id": str(product.scope_id),
            "card": products.terms_of(product),
            "is_gift": choice.giving is not None,
            "deliver_at": given["deliver_at"],
        },
        now=now,
    )
    placed = await orders.await_payment(tx, order, provider=online.provider, now=now)
    await tx.insert(
        new_buyer(
            order_id=order.id,
            receiver_phone=given["receiver_phone"],
            greeting=given["greeting"],
            **choice.buyer.checked(product, channel=Channel.ONLINE),
        )
    )
    return placed


async def sell(
    tx: Transaction,
    actor: Actor,
    *,
    terminal_id: UUID,
    choice: Choice,
    number: str | None,
    member_id: UUID | None,
    method_code: str,
    request_key: str,
    now: datetime,
) -> Sold:
    """A cashier took the money: a printed card works now, or a member has an electronic one.

    Raises `TerminalNotFound`, `MemberNotFound`, `GiftCardNotFound`, `GiftCardNotForSale`,
    `PaymentMethodUnknown`, `MethodCannotPay`, `RequestKeyReused`, and what `place` does.
    """
    terminal, store = await organisation.terminal(tx, terminal_id)
    actor.require(Permission.GIFT_CARDS_SELL, store)
    number = None if number is None else numbers.plain(number)
    request = requests.Request(
        principal_id=actor.id,
        operation="giftCardSell",
        key=request_key,
        input={
            **choice.document(), "terminal": terminal_id, "number": number, "member": member_id,
            "method": method_code,
        },
    )  # fmt: skip
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return Sold(await _sold(tx, claim.answer_id), is_replay=True)
    member = await _buyer_at_till(tx, store, member_id)
    method = await orders.paying_method(
        tx, group_id=store.group_id, code=method_code, kind=OrderKind.GIFT_CARD
    )
    product = await offers.require_offered(
        tx, group_id=store.group_id, product_id=choice.product_id, member=member,
        channel=Channel.POS, store=store, now=now,
    )  # fmt: skip
    is_printed = product.kind is GiftCardKind.PHYSICAL
    if is_printed != (number is not None) or (member is None and not is_printed):
        raise BadInput("A printed card is sold by its number, an electronic one to a member.")
    kept = choice.buyer.checked(product, channel=Channel.POS)
    price = products.pricing_of(product).price_of(choice.face)
    await compliance.require_gift_cards(
        tx, group_id=product.group_id, buyer=member, face=choice.face, amount=price,
        currency=product.currency, method=method, now=now,
    )  # fmt: skip
    sale = issuing.Sale(
        face=choice.face,
        cash=price,
        terms=products.terms_of(product),
        scope_id=product.scope_id,
        design=designs.chosen(choice.design, product.designs),
        actor_kind=actor.kind,
        actor_id=actor.id,
        holder_id=None if member is None else member.id,
        store_id=store.id,
        terminal_id=terminal.id,
        payment_method_id=method.id,
    )
    if number is None:
        (card,) = await issuing.issue(tx, product=product, sale=sale, how_many=1, now=now)
    else:
        printed = await _printed(tx, product, number)
        card = await issuing.activate(tx, printed, sale=sale, now=now)
    await tx.insert(new_buyer(id=claim.answer_id, gift_card_id=card.id, **kept))
    await audit.record(
        tx, actor, "gift_card.sell", object_kind="gift_card", object_id=card.id, node_id=store.id,
        now=now, terminal=terminal.id, face=card.face, cash=card.cash, method=method.code,
    )  # fmt: skip
    return Sold(card, is_replay=False)


async def _sold(tx: Transaction, buyer_id: UUID) -> GiftCard:
    """The card that was sold when this buyer was written down."""
    buyer = await tx.one(buyer_by_id, buyer_id=buyer_id)
    assert buyer is not None
    assert buyer.gift_card_id is not None, "it was sold at a till"
    return (await holding.by_ids(tx, [buyer.gift_card_id]))[buyer.gift_card_id]


async def _buyer_at_till(tx: Transaction, store: Node, member_id: UUID | None) -> Member | None:
    if member_id is None:
        return None
    member = await members.locked(tx, member_id)
    if member.group_id != store.group_id:
        raise members.MemberNotFound
    return member


async def _printed(tx: Transaction, product: GiftCardProduct, number: str) -> GiftCard:
    """The printed card of a product that nobody has bought, locked."""
    found = await holding.by_number(tx, group_id=product.group_id, number=number)
    card = await holding.locked(tx, found.id)
    if card.product_id != product.id or card.state is not GiftCardState.INACTIVE:
        raise GiftCardNotForSale
    return card


def _checked_giving(giving: Giving | None, now: datetime) -> dict[str, Any]:
    if giving is None:
        return {"deliver_at": None, "receiver_phone": None, "greeting": None}
    at, phone, greeting = giving.deliver_at, giving.receiver_phone, giving.greeting
    if at is not None and not now <= at <= now + DELIVERED_WITHIN:
        raise BadInput("deliverAt must lie within the next year.")
    return {
        "deliver_at": None if at is None else at.isoformat(),
        "receiver_phone": None if phone is None else normal_phone(phone),
        "greeting": None
        if greeting is None
        else checked_paragraphs("greeting", greeting, at_most=GREETING_CHARS_MAX),
    }


def _checked_name(name: str) -> str:
    return checked_text("name", name, at_most=NAME_CHARS_MAX)


def _checked_card_number(number: str) -> str:
    """A member's card as it is printed; whose it is does not matter for a sale."""
    return checked_text("cardNumber", number, at_most=cards.NUMBER_DIGITS)


_CHECKS: dict[str, Callable[[str], str]] = {
    "name": _checked_name,
    "phone": normal_phone,
    "email": normal_email,
    "card_number": _checked_card_number,
}
