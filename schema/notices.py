"""What members should hear of (PTS-5)."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.ids import type_id
from app.models import behaviour as rows
from app.services import notices
from app.services.points_mall import Redemption
from schema.context import Info
from schema.enums import describe
from schema.gift_cards.cards import GiftCardGift
from schema.pages import Connection
from schema.points_mall import MallOrder
from schema.problems import Problem, shown_as
from schema.scalars import Long


class NoticeKind(StrEnum):
    """Of which kinds notices are; each has a field of its own in `Notice`."""

    POINTS_EXPIRING = "POINTS_EXPIRING"
    PACKAGE_ENDING = "PACKAGE_ENDING"
    COUPONS_EXPIRING = "COUPONS_EXPIRING"
    GIFT_READY = "GIFT_READY"
    GIFT_RECEIVED = "GIFT_RECEIVED"
    GIFT_CLAIMED = "GIFT_CLAIMED"
    GIFT_RETURNED = "GIFT_RETURNED"
    STUDENT_ID_ENDING = "STUDENT_ID_ENDING"
    MALL_ORDER_READY = "MALL_ORDER_READY"
    MALL_ORDER_SHIPPED = "MALL_ORDER_SHIPPED"


describe(
    NoticeKind,
    "What a notice is about.",
    {
        "POINTS_EXPIRING": "Points expire soon: see `pointsExpiring`.",
        "PACKAGE_ENDING": "A package ends soon: see `packageEnding`.",
        "COUPONS_EXPIRING": "Coupons expire soon: see `couponsExpiring`.",
        "GIFT_READY": "A gift card the member gives can be claimed: see `gift`.",
        "GIFT_RECEIVED": "Somebody gives the member a gift card: see `gift`.",
        "GIFT_CLAIMED": "A gift card the member gave was claimed: see `gift`.",
        "GIFT_RETURNED": "Nobody claimed a gift card in time: it is back, see `gift`.",
        "STUDENT_ID_ENDING": "The student ID ends soon: see `studentIdEnding`.",
        "MALL_ORDER_READY": "What the member redeemed lies ready: see `mallOrder`.",
        "MALL_ORDER_SHIPPED": "What the member redeemed is on its way: see `mallOrder`.",
    },
)


@strawberry.type(description="Points of one card that expire soon.")
class CardPointsExpiring:
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    points: Long = strawberry.field(description="How many of its points.")


@strawberry.type(description="Points that expire soon, as it was when the notice was written.")
class PointsExpiring:
    days: int = strawberry.field(description="How many days before: 30, 15 or 3.")
    points: Long = strawberry.field(description="How many, on all of the member's cards.")
    expires_at: datetime = strawberry.field(description="When.")
    cards: list[CardPointsExpiring] = strawberry.field(description="How many on which card.")


@strawberry.type(description="A package that ends soon and was not renewed.")
class PackageEnding:
    owned_package_id: strawberry.ID = strawberry.field(description="Which one, `own_…`.")
    name: str = strawberry.field(description="What it is called.")
    ends_at: datetime = strawberry.field(description="The first moment without it.")


@strawberry.type(description="A student ID that ends soon, as it was when the notice was written.")
class StudentIdEnding:
    verification_id: strawberry.ID = strawberry.field(description="Which, `stu_…`.")
    days: int = strawberry.field(description="How many days before, as the settings said.")
    valid_until: datetime = strawberry.field(description="When it ends.")


@strawberry.type(description="A coupon that expires soon, as it was when the notice was written.")
class CouponExpiring:
    coupon_id: strawberry.ID = strawberry.field(description="The coupon, `cpn_…`.")
    title: str = strawberry.field(description="What it is called.")
    valid_until: datetime = strawberry.field(
        description="The first moment at which it cannot be used any more."
    )


@strawberry.type(description="Something the member should hear of.")
class Notice:
    id: strawberry.ID = strawberry.field(description="Its id, `ntc_…`.")
    kind: NoticeKind = strawberry.field(description="What it is about.")
    created_at: datetime = strawberry.field(description="When it was written.")
    read_at: datetime | None = strawberry.field(description="When the member read it first.")
    points_expiring: PointsExpiring | None = strawberry.field(
        description="What a notice of kind POINTS_EXPIRING says; null for others."
    )
    package_ending: PackageEnding | None = strawberry.field(
        description="What a notice of kind PACKAGE_ENDING says; null for others."
    )
    student_id_ending: StudentIdEnding | None = strawberry.field(
        description="What a notice of kind STUDENT_ID_ENDING says; null for others."
    )
    coupons_expiring: list[CouponExpiring] | None = strawberry.field(
        description="What a notice of kind COUPONS_EXPIRING says; null for others."
    )

    row: strawberry.Private[rows.Notice]

    @classmethod
    def of(cls, row: rows.Notice) -> Self:
        kind = NoticeKind(row.kind)
        return cls(
            id=strawberry.ID(type_id("ntc", row.id)),
            kind=kind,
            created_at=row.created_at,
            read_at=row.read_at,
            points_expiring=_points_expiring(row) if kind is NoticeKind.POINTS_EXPIRING else None,
            package_ending=_package_ending(row) if kind is NoticeKind.PACKAGE_ENDING else None,
            student_id_ending=(
                _student_id_ending(row) if kind is NoticeKind.STUDENT_ID_ENDING else None
            ),
            coupons_expiring=_coupons_expiring(row)
            if kind is NoticeKind.COUPONS_EXPIRING
            else None,
            row=row,
        )

    @strawberry.field(
        description="The gift card that a notice of a kind GIFT_… is about; null for others."
    )
    async def gift(self, info: Info) -> GiftCardGift | None:
        if "gift_id" not in self.row.details:
            return None
        gift_id = UUID(self.row.details["gift_id"])
        return GiftCardGift.of(await info.context.loaders.gift.load(gift_id))

    @strawberry.field(
        description="The redemption that a notice of a kind MALL_ORDER_… is about, as it is now;"
        " null for others."
    )
    async def mall_order(self, info: Info) -> MallOrder | None:
        if "mall_order_id" not in self.row.details:
            return None
        order_id = UUID(self.row.details["mall_order_id"])
        order = await info.context.loaders.order.load(order_id)
        return MallOrder.of(Redemption(order, await info.context.loaders.fulfilment.load(order_id)))


def _coupons_expiring(row: rows.Notice) -> list[CouponExpiring]:
    return [
        CouponExpiring(
            coupon_id=strawberry.ID(type_id("cpn", UUID(each["coupon_id"]))),
            title=each["title"],
            valid_until=datetime.fromisoformat(each["valid_until"]),
        )
        for each in row.details["coupons"]
    ]


def _package_ending(row: rows.Notice) -> PackageEnding:
    details = row.details
    return PackageEnding(
        owned_package_id=strawberry.ID(type_id("own", UUID(details["owned_package_id"]))),
        name=details["name"],
        ends_at=datetime.fromisoformat(details["ends_at"]),
    )


def _points_expiring(row: rows.Notice) -> PointsExpiring:
    details = row.details
    return PointsExpiring(
        days=details["days"],
        points=Long(details["points"]),
        expires_at=datetime.fromisoformat(details["expires_at"]),
        cards=[
            CardPointsExpiring(
                card_id=strawberry.ID(type_id("card", UUID(each["card_id"]))),
                points=Long(each["points"]),
            )
            for each in details["cards"]
        ],
    )


def _student_id_ending(row: rows.Notice) -> StudentIdEnding:
    details = row.details
    return StudentIdEnding(
        verification_id=strawberry.ID(type_id("stu", UUID(details["verification_id"]))),
        days=details["days"],
        valid_until=datetime.fromisoformat(details["valid_until"]),
    )


@strawberry.type(description="A page of the member's notices.")
class NoticeConnection(Connection[Notice]):
    unread_count: int = strawberry.field(description="How many of all are unread.")


@strawberry.type(description="There is no such notice, or it is somebody else's.")
class NoticeNotFound(Problem): ...


@strawberry.input(description="A notice that the member has read.")
class NoticeReadInput:
    id: strawberry.ID = strawberry.field(description="The notice, `ntc_…`.")


NoticeReadResult = Annotated[
    Notice | NoticeNotFound,
    strawberry.union("NoticeReadResult", description="The notice as it is now, or why not."),
]

HANDLERS = [shown_as(NoticeNotFound, notices.NoticeNotFound)]
