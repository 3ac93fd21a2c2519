"""What a member's open page is told at once (QRC-3)."""

from datetime import datetime
from typing import Annotated

import strawberry

from schema.purchases import Purchase


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


MemberEvent = Annotated[
    Listening | CodeScanned | PurchaseRecorded | PurchaseRefunded,
    strawberry.union(
        "MemberEvent",
        description="That this page is heard, then what happens with the member's cards.",
    ),
]
