"""Links to a report as a file or a page: for one person, for five minutes, once (FIN-2)."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from app.core.db import Transaction
from app.core.errors import BadInput
from app.models.organisation import Node
from app.services import audit, links, organisation
from app.services.actors import Actor
from app.services.links import SignedIn
from app.services.reports.subjects import Subject, subject

PURPOSE = "report"


class ReportKind(StrEnum):
    STORED_VALUE = "STORED_VALUE"
    POINTS_LIABILITY = "POINTS_LIABILITY"
    TOP_UPS = "TOP_UPS"
    TOP_UP_ORDERS = "TOP_UP_ORDERS"
    GIFT_CARDS = "GIFT_CARDS"
    COUPONS = "COUPONS"
    COMPLIANCE = "COMPLIANCE"


class ReportFormat(StrEnum):
    EXCEL = "EXCEL"
    PAGE = "PAGE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which report, about what, as what."""

    kind: ReportKind
    format: ReportFormat
    perspective_id: UUID
    from_day: date
    to_day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A link that was used: what was asked, and by whom."""

    asked: Asked
    about: Subject
    group: Node
    made_by: str


async def link(
    tx: Transaction, actor: Actor, *, asked: Asked, signed_in: SignedIn, now: datetime
) -> str:
    """The secret of a link to a report. Raises `Forbidden`, `BadInput`."""
    if asked.kind is ReportKind.TOP_UP_ORDERS and asked.format is ReportFormat.PAGE:
        raise BadInput("TOP_UP_ORDERS is a list of any length: ask for it as EXCEL.")
    await _subject(tx, actor, asked, now)
    return await links.make(
        tx,
        actor,
        purpose=PURPOSE,
        asked={
            "kind": asked.kind,
            "format": asked.format,
            "perspective": str(asked.perspective_id),
            "from": asked.from_day.isoformat(),
            "to": asked.to_day.isoformat(),
        },
        signed_in=signed_in,
        now=now,
    )


async def use(tx: Transaction, *, secret: str, now: datetime) -> Opened:
    """Take a link, which only one can, and write down that its report was downloaded.

    Whoever it was made for must still be signed in and allowed. Raises `TicketRefused`,
    `Unauthenticated`, `Forbidden`, and `TooManyRequests` for a partner above its rate.
    """
    actor, payload = await links.follow(tx, purpose=PURPOSE, secret=secret, now=now)
    asked = Asked(
        kind=ReportKind(payload["kind"]),
        format=ReportFormat(payload["format"]),
        perspective_id=UUID(payload["perspective"]),
        from_day=date.fromisoformat(payload["from"]),
        to_day=date.fromisoformat(payload["to"]),
    )
    about = await _subject(tx, actor, asked, now)
    await audit.record(
        tx, actor, "report.download", object_kind="node", object_id=asked.perspective_id,
        node_id=asked.perspective_id, now=now, report=asked.kind, format=asked.format,
        from_day=asked.from_day, to_day=asked.to_day,
    )  # fmt: skip
    return Opened(
        asked=asked,
        about=about,
        group=await organisation.node(tx, actor.group_id),
        made_by=await links.name_of(tx, actor),
    )


async def _subject(tx: Transaction, actor: Actor, asked: Asked, now: datetime) -> Subject:
    return await subject(
        tx,
        actor,
        perspective_id=asked.perspective_id,
        from_day=asked.from_day,
        to_day=asked.to_day,
        now=now,
    )
