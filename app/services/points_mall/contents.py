"""What a piece of an item brings: checked, promised, given, taken back (MAL-1)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from app.core.db import Transaction
from app.core.errors import BadInput, DomainError
from app.core.money import Money
from app.models.cards import Card, Scheme
from app.models.members import Member
from app.models.orders import Order
from app.models.organisation import Node
from app.models.payments import RefundRoute
from app.models.points_mall import MallItem, MallItemKind
from app.services import coupons
from app.services.coupons import Gift
from app.services.gift_cards import giving as gift_cards
from app.services.gift_cards import selling as taking_gift_cards
from app.services.orders import Held
from app.services.packages import giving as packages
from app.services.packages import selling as taking_packages
from app.services.packages.offering import Buyer

CAUSE = "mall_order"


class RedemptionUsed(DomainError):
    """What a redemption brought was used already, so it cannot be called off (MAL-3)."""

    def __init__(self, used: int) -> None:
        self.used = used
        super().__init__("What this brought has been used already.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Brings:
    """What one piece brings: nothing of ours where it is a thing, which is handed over."""

    kind: MallItemKind
    product_id: UUID | None = None
    product_count: int = 1
    product_rule: int | None = None
    product_face: int | None = None

    @classmethod
    def coupons(cls, gift: Gift) -> Self:
        kind = MallItemKind.COUPON_PACK if gift.pack_id is not None else MallItemKind.COUPON
        return cls(kind=kind, product_id=gift.pack_id or gift.template_id, product_count=gift.count)

    @classmethod
    def of(cls, item: MallItem) -> Self:
        return cls(
            kind=item.kind,
            product_id=item.product_id,
            product_count=item.product_count,
            product_rule=item.product_rule,
            product_face=item.product_face,
        )

    @classmethod
    def from_terms(cls, terms: dict[str, Any]) -> Self:
        """What an order promised, as `terms` wrote it."""
        product_id = terms["product_id"]
        return cls(
            kind=MallItemKind(terms["kind"]),
            product_id=None if product_id is None else UUID(product_id),
            product_count=terms["product_count"],
            product_rule=terms["product_rule"],
            product_face=terms["product_face"],
        )

    def terms(self) -> dict[str, Any]:
        """As an order keeps it: later edits of the item change nothing."""
        return {
            "kind": self.kind.value,
            "product_id": None if self.product_id is None else str(self.product_id),
            "product_count": self.product_count,
            "product_rule": self.product_rule,
            "product_face": self.product_face,
        }

    @property
    def is_thing(self) -> bool:
        """Whether it is handed over or shipped, where all else is there at once."""
        return self.kind is MallItemKind.PHYSICAL

    @property
    def gift(self) -> Gift | None:
        """The coupons, if it brings such."""
        match self.kind:
            case MallItemKind.PHYSICAL | MallItemKind.PACKAGE | MallItemKind.GIFT_CARD:
                return None
            case MallItemKind.COUPON:
                return Gift(self.product_id, None, self.product_count)
            case MallItemKind.COUPON_PACK:
                return Gift(None, self.product_id, self.product_count)


async def require_deliverable(
    tx: Transaction, *, perspective: Node, brings: Brings, price: Money | None
) -> None:
    """Raise unless an item of the perspective can bring this for a price, or points alone.

    Raises `BadInput`, `CouponTemplateNotFound`, `CouponPackNotFound`, `PackageNotFound`,
    `PackageNotOnSale`, `GiftCardProductNotFound`.
    """
    if (gift := brings.gift) is not None:
        await coupons.require_gifts(tx, perspective=perspective, gifts=[gift])
    elif brings.kind is MallItemKind.PACKAGE:
        package_id, rule = _package(brings)
        await packages.require_givable(
            tx, perspective=perspective, package_id=package_id, rule=rule
        )
    elif brings.kind is MallItemKind.GIFT_CARD:
        product_id, face = _gift_card(brings)
        await gift_cards.require_givable(
            tx, perspective=perspective, product_id=product_id, face=face, price=price
        )


async def require_price(
    tx: Transaction, *, group_id: UUID, brings: Brings, price: Money | None
) -> None:
    """Raise `BadInput` unless what brings this can cost so much money from now on."""
    if brings.kind is MallItemKind.GIFT_CARD:
        product_id, face = _gift_card(brings)
        await gift_cards.require_price(
            tx, group_id=group_id, product_id=product_id, face=face, price=price
        )


async def promise(
    tx: Transaction,
    *,
    brings: Brings,
    quantity: int,
    price: Money | None,
    member: Member,
    card: Card,
    scheme: Scheme,
    store: Node | None,
    now: datetime,
) -> dict[str, Any]:
    """What an order keeps of the product besides, so that later edits of it change nothing.

    `price` is of one piece. Raises `NotAvailable` for a package that is not for this card, what
    `gift_cards.giving.promise` does for a gift card.
    """
    if brings.kind is MallItemKind.PACKAGE:
        if quantity != 1:
            raise BadInput("A package is redeemed one at a time.")
        package_id, rule = _package(brings)
        buyer = Buyer(member, card, scheme)
        return await packages.promise(
            tx, package_id=package_id, rule=rule, buyer=buyer, store=store, now=now
        )
    if brings.kind is MallItemKind.GIFT_CARD:
        product_id, face = _gift_card(brings)
        return await gift_cards.promise(
            tx, buyer=member, product_id=product_id, face=face, price=price, quantity=quantity,
            now=now,
        )  # fmt: skip
    return {}


async def give(tx: Transaction, *, order: Order, member: Member, card: Card, now: datetime) -> None:
    """Give what a paid order promised, which is no thing, once; member and card are locked.

    Raises `Undeliverable` for a package as `packages.give` does.
    """
    brings, promised = Brings.from_terms(order.terms), order.terms["promise"]
    if (gift := brings.gift) is not None:
        await coupons.give(
            tx,
            member=member,
            gifts=[gift] * order.quantity,
            cause_kind=CAUSE,
            cause_id=order.id,
            group_id=order.group_id,
            store_id=order.store_id,
            now=now,
        )
    elif brings.kind is MallItemKind.PACKAGE:
        package_id, _ = _package(brings)
        await packages.give(
            tx, order=order, package_id=package_id, promised=promised, member=member, card=card,
            now=now,
        )  # fmt: skip
    else:
        product_id, face = _gift_card(brings)
        await gift_cards.give(
            tx, order=order, product_id=product_id, face=face, promised=promised, now=now
        )


async def take_back(tx: Transaction, *, held: Held, now: datetime) -> None:
    """Withdraw what `give` gave, whole.

    Raises `RedemptionUsed` if a coupon was used, what `packages.selling.take_back` and
    `gift_cards.selling.take_back` raise by the original route.
    """
    order = held.order
    brings = Brings.from_terms(order.terms)
    if brings.kind is MallItemKind.PACKAGE:
        await taking_packages.take_back(tx, held, route=RefundRoute.ORIGINAL, now=now)
    elif brings.kind is MallItemKind.GIFT_CARD:
        await taking_gift_cards.take_back(tx, held, route=RefundRoute.ORIGINAL, now=now)
    else:
        taken = await coupons.take_back(tx, cause_kind=CAUSE, cause_id=order.id, now=now)
        if taken.used:
            raise RedemptionUsed(taken.used)


def _package(brings: Brings) -> tuple[UUID, int]:
    assert brings.product_id is not None
    assert brings.product_rule is not None
    return brings.product_id, brings.product_rule


def _gift_card(brings: Brings) -> tuple[UUID, int]:
    assert brings.product_id is not None
    assert brings.product_face is not None
    return brings.product_id, brings.product_face
