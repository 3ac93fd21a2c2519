"""What a member's open page is told at once (QRC-3): names of things, which it then reads."""

from datetime import datetime
from typing import Any, Literal, NamedTuple, Self
from uuid import UUID

from app.core.db import Transaction

EventKind = Literal[
    "NOTICE",
    "CODE_SCANNED",
    "PURCHASE_RECORDED",
    "PURCHASE_REFUNDED",
    "TIER_CHANGED",
    "TOPPED_UP",
    "VALUE_SPENT",
    "VALUE_RETURNED",
]


class Event(NamedTuple):
    """What happened, to which object, when."""

    kind: EventKind
    object_id: UUID
    at: datetime

    @classmethod
    def heard(cls, event: dict[str, Any]) -> Self:
        """An event as `tell` announced it."""
        return cls(event["kind"], UUID(event["id"]), datetime.fromisoformat(event["at"]))


def topic_of(member_id: UUID) -> str:
    return f"member:{member_id}"


def tell(
    tx: Transaction, member_id: UUID, kind: EventKind, *, object_id: UUID, now: datetime
) -> None:
    """Announce an event to the member's pages once this transaction has committed."""
    event: dict[str, Any] = {"kind": kind, "id": str(object_id), "at": now.isoformat()}
    tx.announce(topic_of(member_id), event)
