"""A bill that a coupon is to be used for (CPN-1)."""

import strawberry

from app.core.texts import checked_text
from app.services import coupons
from app.services.coupons import values
from app.services.coupons.values import BillLineKind
from schema.enums import describe
from schema.scalars import Long, MoneyInput

describe(
    BillLineKind,
    "What a line of a bill is.",
    {
        "ITEM": "Something ordered for itself.",
        "SUB_ITEM": "A part of a set, or what was added to an item.",
        "SIDE_DISH": "A side dish.",
    },
)


@strawberry.input(description="A line of a bill.")
class CouponBillLineInput:
    item_id: str = strawberry.field(description="What was ordered, by the till's id.")
    price: Long = strawberry.field(description="Of one unit, in minor units.")
    quantity: int = strawberry.field(
        default=1, description=f"How many units, 1 to {values.QUANTITY_MAX:,}."
    )
    category: str | None = strawberry.field(
        default=None, description="The item's category, by the till's id."
    )
    kind: BillLineKind = strawberry.field(
        default=BillLineKind.ITEM, description="What the line is."
    )

    def line(self) -> coupons.BillLine:
        return coupons.BillLine(
            item_id=checked_text("itemId", self.item_id, at_most=values.ITEM_CHARS_MAX),
            price=self.price,
            quantity=self.quantity,
            category=None
            if self.category is None
            else checked_text("category", self.category, at_most=values.ITEM_CHARS_MAX),
            kind=self.kind,
        )


@strawberry.input(description="What is to be paid, and for what.")
class CouponBillInput:
    total: MoneyInput = strawberry.field(description="All of it.")
    lines: list[CouponBillLineInput] = strawberry.field(
        default_factory=list,
        description=f"What was ordered, at most {values.LINES_MAX} lines that add up to no more"
        " than the total. Coupons for certain items go by them alone.",
    )

    def bill(self) -> coupons.Bill:
        """The bill; raises `BadInput`."""
        lines = self.lines[: values.LINES_MAX + 1]  # one more is refused there
        return coupons.Bill(total=self.total.value(), lines=[line.line() for line in lines])
