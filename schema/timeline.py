"""All that happened with a member, newest first (MEM-7)."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self
from uuid import UUID

import strawberry

from app.core.errors import BadInput
from app.core.ids import type_id
from app.services import timeline
from app.services.actors import Actor
from app.services.timeline import Happening, Place, TimelineKind
from schema.context import Info
from schema.enums import describe
from schema.loaders import TimelinePage
from schema.organisation import Node
from schema.pages import Connection, page_limit
from schema.scalars import Long

__all__ = ["HANDLERS", "Kinds", "TimelineConnection", "TimelineEntry", "TimelineKind"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENT_BYTES = 8

describe(
    TimelineKind,
    "What kind of thing happened.",
    {
        "PURCHASE": "A bill was paid with the card shown.",
        "REFUND": "A part or the whole of a bill was given back.",
        "POINTS": "Points were earned, or taken back with a refund.",
        "GROWTH": "Growth came or went.",
        "TOP_UP": "Value was paid in, with what came along, or was given back.",
        "SPENDING": "Value or points paid, were held, or came back.",
        "ADJUSTMENT": "Staff corrected a balance, or paid a card out.",
        "EXPIRY": "Value or points ran out.",
        "VISIT": "The member's code was scanned.",
        "EVENT": "The member did something that is told here, such as a check-in.",
        "TIER_CHANGE": "A card's tier changed.",
        "MERGE": "Another record of the same person became part of this one, or was parted again.",
        "NOTICE": "The member was told something.",
        "COUPON_RECEIVED": "The member was given a coupon, or claimed it.",
        "COUPON_USED": "A coupon of the member was used for a bill.",
    },
)

ID_PREFIXES = {
    TimelineKind.PURCHASE: "pur",
    TimelineKind.REFUND: "rfd",
    TimelineKind.VISIT: "scan",
    TimelineKind.EVENT: "mev",
    TimelineKind.TIER_CHANGE: "tch",
    TimelineKind.MERGE: "mrg",
    TimelineKind.NOTICE: "ntc",
    TimelineKind.COUPON_RECEIVED: "cpn",
    TimelineKind.COUPON_USED: "cpu",
}
"""What the ids of a kind begin with; those of movements of value are the ledger's, `led_…`."""

Kinds = Annotated[
    list[TimelineKind] | None,
    strawberry.argument(description="Which kinds of things to show; null shows all."),
]


@strawberry.type(description="One thing that happened with a member.")
class TimelineEntry:
    id: strawberry.ID = strawberry.field(
        description="The id of the purchase, the refund, the movement … it is about."
    )
    kind: TimelineKind = strawberry.field(description="What kind of thing it was.")
    at: datetime = strawberry.field(description="When it happened.")
    title: str = strawberry.field(
        description="What it was, in a word: a bill's order number, why value moved, the key of an"
        " event or a notice, the tiers' names, the till's name."
    )
    amount: Long | None = strawberry.field(
        description="How much came (positive) or went (negative), if value did; of a bill, its"
        " total."
    )
    unit: str | None = strawberry.field(
        description="What the amount is counted in: an ISO 4217 currency code (minor units), POINTS"
        " or GROWTH."
    )
    card_id: strawberry.ID | None = strawberry.field(
        description="The card it happened with, `card_…`; that may have been merged since."
    )
    store_id: strawberry.Private[UUID | None]

    @classmethod
    def of(cls, row: Happening) -> Self:
        prefix = ID_PREFIXES.get(row.kind, "led")
        return cls(
            id=strawberry.ID(type_id(prefix, row.id)),
            kind=row.kind,
            at=row.at,
            title=row.title,
            amount=None if row.amount is None else Long(row.amount),
            unit=row.unit,
            card_id=None if row.card_id is None else strawberry.ID(type_id("card", row.card_id)),
            store_id=row.store_id,
        )

    @strawberry.field(description="Where it happened, if at a store.")
    async def store(self, info: Info) -> Node | None:
        if self.store_id is None:
            return None
        return Node.of(await info.context.loaders.node.load(self.store_id))


@strawberry.type(description="A page of what happened with a member.")
class TimelineConnection(Connection[TimelineEntry]):
    @classmethod
    async def load(
        cls,
        info: Info,
        member_id: UUID,
        kinds: list[TimelineKind] | None,
        first: int,
        after: str | None,
        actor: Actor | None = None,
    ) -> Self:
        """A page as somebody sees it who is given, or the member who is not."""
        page = TimelinePage(
            actor,
            member_id,
            tuple(timeline.TimelineKind) if kinds is None else tuple(sorted(set(kinds))),
            _place_after(after),
            page_limit(first),
        )
        found = await info.context.loaders.timeline.load(page)
        return cls.of(found, first, TimelineEntry.of, cursor=_cursor_of)


def _cursor_of(row: Happening) -> str:
    moment = (row.at - EPOCH) // timedelta(microseconds=1)
    place = moment.to_bytes(MOMENT_BYTES, signed=True) + row.id.bytes
    return base64.urlsafe_b64encode(place).rstrip(b"=").decode()


def _place_after(after: str | None) -> Place | None:
    """The place a cursor stands for, or None to start; raises `BadInput`."""
    if after is None:
        return None
    try:
        place = base64.urlsafe_b64decode(after + "==")
        moment = int.from_bytes(place[:MOMENT_BYTES], signed=True)
        return Place(EPOCH + timedelta(microseconds=moment), UUID(bytes=place[MOMENT_BYTES:]))
    except (ValueError, OverflowError, binascii.Error):
        raise BadInput("after is not a cursor of this list.") from None


HANDLERS: list[Any] = []
