"""What a piece of an item brings: checked, promised, given, taken back (MAL-1)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from app.core.db import Transaction
from app.core.errors import DomainError
from app.models.members import Member
from app.models.orders import Order
from app.models.organisation import Node
from app.models.points_mall import MallItem, MallItemKind
from app.services import coupons
from app.services.coupons import Gift

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

    @classmethod
    def coupons(cls, gift: Gift) -> Self:
        kind = MallItemKind.COUPON_PACK if gift.pack_id is not None else MallItemKind.COUPON
        return cls(kind=kind, product_id=gift.pack_id or gift.template_id, product_count=gift.count)

    @classmethod
    def of(cls, item: MallItem) -> Self:
        return cls(kind=item.kind, product_id=item.product_id, product_count=item.product_count)

    @classmethod
    def from_terms(cls, terms: dict[str, Any]) -> Self:
        """What an order promised, as `terms` wrote it."""
        product_id = terms["product_id"]
        return cls(
            kind=MallItemKind(terms["kind"]),
            product_id=None if product_id is None else UUID(product_id),
            product_count=terms["product_count"],
        )

    def terms(self) -> dict[str, Any]:
        """As an order keeps it: later edits of the item change nothing."""
        return {
            "kind": self.kind.value,
            "product_id": None if self.product_id is None else str(self.product_id),
            "product_count": self.product_count,
        }

    @property
    def is_thing(self) -> bool:
        """Whether it is handed over or shipped, where all else is there at once."""
        return self.kind is MallItemKind.PHYSICAL

    @property
    def gift(self) -> Gift | None:
        """The coupons, if it brings such."""
        match self.kind:
            case MallItemKind.PHYSICAL:
                return None
            case MallItemKind.COUPON:
                return Gift(self.product_id, None, self.product_count)
            case MallItemKind.COUPON_PACK:
                return Gift(None, self.product_id, self.product_count)


async def require_deliverable(tx: Transaction, *, perspective: Node, brings: Brings) -> None:
    """Raise unless an item of the perspective can bring this.

    Raises `BadInput`, `CouponTemplateNotFound`, `CouponPackNotFound`.
    """
    if (gift := brings.gift) is not None:
        await coupons.require_gifts(tx, perspective=perspective, gifts=[gift])


async def give(tx: Transaction, *, order: Order, member: Member, now: datetime) -> None:
    """Give what a paid order promised, which is no thing, to its member, who is locked; once."""
    gift = Brings.from_terms(order.terms).gift
    assert gift is not None
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


async def take_back(tx: Transaction, *, order: Order, now: datetime) -> None:
    """Withdraw what `give` gave; raises `RedemptionUsed` if any of it was used."""
    taken = await coupons.take_back(tx, cause_kind=CAUSE, cause_id=order.id, now=now)
    if taken.used:
        raise RedemptionUsed(taken.used)
