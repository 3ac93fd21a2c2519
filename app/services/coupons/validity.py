"""When a coupon can be used: fixed dates, or days from its receipt (CPN-1)."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from app.core.errors import BadInput
from app.core.points_expiry import local_day, start_of_day
from app.core.schedules import FIRST_YEAR, LAST_YEAR
from app.services import organisation

EFFECTIVE_AFTER_DAYS_MAX: Final = 3_650
VALID_DAYS_MAX: Final = 3_650
REMINDED_DAYS_BEFORE: Final = 3
REMINDED_AT: Final = time(9)
"""On the clock of the template's zone."""


@dataclass(frozen=True, slots=True)
class FixedDates:
    """From one date to another, both included, by the calendar of a zone."""

    first: date
    last: date
    time_zone: str


@dataclass(frozen=True, slots=True)
class DaysFromReceipt:
    """Effective so many days after receipt, and valid for so many, that day included.

    Days are those of the zone's calendar: effective after 0 days is at once, after 1 from the next
    midnight on, and the last day counts to its end.
    """

    effective_after_days: int
    valid_days: int
    time_zone: str


Validity: TypeAlias = FixedDates | DaysFromReceipt


class Span(NamedTuple):
    """From when a coupon can be used, and the first instant at which it cannot any more."""

    valid_from: datetime
    valid_until: datetime


def require_validity(validity: Validity) -> None:
    """Raise `BadInput` for dates that cannot be meant."""
    organisation.checked_time_zone(validity.time_zone)
    match validity:
        case FixedDates(first, last):
            if first.year < FIRST_YEAR or last.year > LAST_YEAR or last < first:
                raise BadInput("The last date must not lie before the first.")
        case DaysFromReceipt(effective_after_days, valid_days):
            if not 0 <= effective_after_days <= EFFECTIVE_AFTER_DAYS_MAX:
                raise BadInput(
                    f"effectiveAfterDays must be between 0 and {EFFECTIVE_AFTER_DAYS_MAX}."
                )
            if not 1 <= valid_days <= VALID_DAYS_MAX:
                raise BadInput(f"validDays must be between 1 and {VALID_DAYS_MAX}.")


def span_of(validity: Validity, *, received_at: datetime) -> Span:
    """When a coupon received at a moment can be used."""
    zone = ZoneInfo(validity.time_zone)
    match validity:
        case FixedDates(first, last):
            return Span(start_of_day(first, zone), start_of_day(last + timedelta(days=1), zone))
        case DaysFromReceipt(effective_after_days, valid_days):
            today = local_day(received_at, zone)
            first = today + timedelta(days=effective_after_days)
            begins = start_of_day(first, zone) if effective_after_days else received_at
            return Span(begins, start_of_day(first + timedelta(days=valid_days), zone))


def remind_at(span: Span, *, time_zone: str, received_at: datetime) -> datetime | None:
    """When to tell the holder that it expires soon: at nine, three days before its last day ends.

    None for a coupon whose life is too short for that: nobody needs to hear at its receipt, or
    before it can be used, that it will be over.
    """
    zone = ZoneInfo(time_zone)
    day = local_day(span.valid_until, zone) - timedelta(days=REMINDED_DAYS_BEFORE)
    at = datetime.combine(day, REMINDED_AT, tzinfo=zone).astimezone(UTC)
    return at if at > max(received_at, span.valid_from) else None


def to_json(validity: Validity) -> dict[str, Any]:
    """As a template keeps it."""
    match validity:
        case FixedDates(first, last, time_zone):
            dates = {"first": first.isoformat(), "last": last.isoformat()}
            return {"kind": "FIXED", **dates, "time_zone": time_zone}
        case DaysFromReceipt(effective_after_days, valid_days, time_zone):
            return {
                "kind": "RELATIVE",
                "effective_after_days": effective_after_days,
                "valid_days": valid_days,
                "time_zone": time_zone,
            }


def from_json(written: dict[str, Any]) -> Validity:
    """What `to_json` wrote."""
    if written["kind"] == "FIXED":
        first, last = (date.fromisoformat(written[name]) for name in ("first", "last"))
        return FixedDates(first, last, written["time_zone"])
    return DaysFromReceipt(
        written["effective_after_days"], written["valid_days"], written["time_zone"]
    )
