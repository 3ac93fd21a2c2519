"""What a member's open page is told at once (QRC-3)."""

from datetime import datetime
from typing import Annotated

import strawberry

from schema.notices import Notice
from schema.purchases import Purchase
from schema.spendings import Spending
from schema.tiers import TierChange
from schema.top_ups import TopUp


@strawberry.type(
    description="Comes first: what is committed from here on is told. Read the state itself now."
)
class Listening:
    at: datetime = strawberry.field(description="When.")


@strawberry.type(description="One of the member's codes was opened at a till.")
class CodeScanned:
    at: datetime = strawberry.field(description="When.")
    scan_id: strawberry.ID = strawberry.field(description="The scan, `scan_…`.")
    store_name: str = strawberry.field(description="At which store.")
    terminal_name: str = strawberry.field(description="At which till.")


@strawberry.type(description="A purchase was recorded on one of the member's cards.")
class PurchaseRecorded:
    at: datetime = strawberry.field(description="When.")
    purchase: Purchase = strawberry.field(description="The purchase.")


@strawberry.type(description="A part or all of a purchase was given back.")
class PurchaseRefunded:
    at: datetime = strawberry.field(description="When.")
    purchase: Purchase = strawberry.field(description="The purchase as it is now.")


@strawberry.type(description="One of the member's cards paid a bill.")
class ValueSpent:
    at: datetime = strawberry.field(description="When.")
    spending: Spending = strawberry.field(description="What it paid.")


@strawberry.type(description="What one of the member's cards had paid came back, or a part of it.")
class ValueReturned:
    at: datetime = strawberry.field(description="When.")
    spending: Spending = strawberry.field(description="What it had paid, as it is now.")


@strawberry.type(description="A top-up reached one of the member's cards.")
class ToppedUp:
    at: datetime = strawberry.field(description="When.")
    top_up: TopUp = strawberry.field(description="The top-up.")


@strawberry.type(description="The tier of one of the member's cards changed.")
class TierChanged:
    at: datetime = strawberry.field(description="When.")
    change: TierChange = strawberry.field(description="From what to what, and why.")


@strawberry.type(description="There is something the member should hear of.")
class NoticeWritten:
    at: datetime = strawberry.field(description="When.")
    notice: Notice = strawberry.field(description="What it is.")


MemberEvent = Annotated[
    Listening
    | CodeScanned
    | PurchaseRecorded
    | PurchaseRefunded
    | TierChanged
    | ToppedUp
    | ValueSpent
    | ValueReturned
    | NoticeWritten,
    strawberry.union(
        "MemberEvent",
        description="That this page is heard, then what happens with the member's cards.",
    ),
]
