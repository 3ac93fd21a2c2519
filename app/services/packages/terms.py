"""What was promised when a package was ordered, kept with the order and with what is owned (BEN-7).

A document, because nothing queries inside it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from app.core.db import Transaction
from app.models.packages import Package, PriceReason, ValidityRule
from app.services import organisation
from app.services.packages import contents, rules, settings
from app.services.packages.contents import Content
from app.services.packages.rules import Duration, History, Period, SalesRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A sales rule's time and contents; the contents of other rules are left out."""

    duration: Duration
    validity_rule: ValidityRule
    time_zone: str
    reason: PriceReason
    is_first: bool
    is_renewal: bool
    """Whether the card had one that had not ended."""
    contents: tuple[Content, ...]
    opens_scheme_id: UUID | None = None
    """The scheme whose card buying it opens (CRD-9)."""

    def period(self, *, bought_at: datetime, follows: datetime | None) -> Period:
        return rules.period(
            self.validity_rule,
            self.duration,
            bought_at=bought_at,
            zone=ZoneInfo(self.time_zone),
            follows=follows,
        )

    def document(self) -> dict[str, Any]:
        scheme_id = self.opens_scheme_id
        return {
            "duration": self.duration.document(),
            "validity_rule": self.validity_rule.value,
            "time_zone": self.time_zone,
            "reason": self.reason.value,
            "is_first": self.is_first,
            "is_renewal": self.is_renewal,
            "contents": [content.document() for content in self.contents],
            "opens_scheme_id": None if scheme_id is None else str(scheme_id),
        }

    @classmethod
    def from_document(cls, written: dict[str, Any]) -> Self:
        scheme_id = written["opens_scheme_id"]
        return cls(
            duration=Duration.from_document(written["duration"]),
            validity_rule=ValidityRule(written["validity_rule"]),
            time_zone=written["time_zone"],
            reason=PriceReason(written["reason"]),
            is_first=written["is_first"],
            is_renewal=written["is_renewal"],
            contents=tuple(contents.contents_of(written["contents"])),
            opens_scheme_id=None if scheme_id is None else UUID(scheme_id),
        )


async def promised(
    tx: Transaction,
    *,
    package: Package,
    rule: int,
    reason: PriceReason,
    history: History,
    opens_scheme_id: UUID | None = None,
    now: datetime,
) -> Terms:
    """What a package promises by one of its sales rules now (BEN-6, BEN-7)."""
    place = await organisation.node(tx, package.perspective_id)
    in_force = await settings.settings(tx, group_id=package.group_id, now=now)
    return Terms(
        duration=SalesRule.from_document(package.rules[rule]).duration,
        validity_rule=in_force.validity_rule,
        time_zone=place.time_zone,
        reason=reason,
        is_first=not history.has_bought,
        is_renewal=history.is_running,
        contents=tuple(contents.of_rule(contents.contents_of(package.contents), rule)),
        opens_scheme_id=opens_scheme_id,
    )
