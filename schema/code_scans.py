"""A member code opened at a terminal (QRC-1, QRC-3)."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.core.ids import type_id
from app.services import member_codes
from schema.card_status import CardNotUsable
from schema.cards import Card
from schema.member_codes import MemberCodeRefused
from schema.organisation import TerminalNotFound
from schema.requests import RequestKeyReused
from schema.schemes import NotAtThisStore


@strawberry.type(description="The code was good. It identifies; to pay is proven by itself.")
class MemberCodeResolved:
    scan_id: strawberry.ID = strawberry.field(description="The scan, `scan_…`.")
    card: Card = strawberry.field(description="The card it belongs to.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had opened it."
    )

    @classmethod
    def of(cls, resolved: member_codes.Resolved, now: datetime) -> Self:
        return cls(
            scan_id=strawberry.ID(type_id("scan", resolved.scan.id)),
            card=Card.of(resolved.card, now),
            replayed=resolved.is_replay,
        )


@strawberry.input(description="A code that was scanned.")
class MemberCodeResolveInput:
    terminal_id: strawberry.ID = strawberry.field(description="The till, `term_…`.")
    code: str = strawberry.field(description="The 18 digits.")
    request_key: str = strawberry.field(
        description="1 to 64 characters the till makes up: sent again, it answers the same."
    )


MemberCodeResolveResult = Annotated[
    MemberCodeResolved
    | MemberCodeRefused
    | CardNotUsable
    | NotAtThisStore
    | TerminalNotFound
    | RequestKeyReused,
    strawberry.union("MemberCodeResolveResult", description="The card, or why there is none."),
]
