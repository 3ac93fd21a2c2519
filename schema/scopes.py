"""Where, when, on which channel and for whom something applies (ORG-3…ORG-6)."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

import strawberry

from app.core import schedules
from app.core.errors import BadInput
from app.core.ids import parse_type_id, type_id
from app.models.scopes import Channel
from app.services import scopes, versions
from app.services.scopes import ObstacleReason
from schema.enums import describe
from schema.problems import EditedMeanwhile, Problem, shown_as

__all__ = [
    "AudienceNotFound",
    "Channel",
    "NotAvailable",
    "ObstacleReason",
    "Schedule",
    "ScheduleInput",
    "Scope",
    "ScopeInput",
]

describe(
    Channel,
    "Where somebody stands who buys or redeems.",
    {"POS": "At a till.", "ONLINE": "In the app, the mini program or the shop on the web."},
)
describe(
    ObstacleReason,
    "Why something is not available.",
    {
        "WRONG_CHANNEL": "It is not offered on this channel.",
        "WRONG_STORE": "It is not offered at this store; or only in certain ones, and none is"
        " named.",
        "NOT_OPEN": "Not at this time: `availableFrom` says when it opens.",
        "ENDED": "Its time is over.",
        "NOT_FOR_THIS_MEMBER": "It is for other cards or members.",
        "SOLD_OUT": "Of an item of the mall: none are left.",
        "LIMIT_REACHED": "Of an item of the mall: the member had as many as one member can.",
    },
)


class RecurrenceKind(StrEnum):
    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"


describe(
    RecurrenceKind,
    "On which days a schedule is open.",
    {
        "DAILY": "Every day.",
        "WEEKLY": "On certain days of the week.",
        "MONTHLY": "On certain days of the month.",
    },
)

_DAYS = "WEEKLY: 1 (Monday) to 7 (Sunday). MONTHLY: 1 to 31; a month without the day skips it."
_LAST_DAY = "MONTHLY: whether it is open on the last day of each month."
_TIME = "On the wall, `HH:MM`"


@strawberry.type(description="On which days a schedule is open.")
class Recurrence:
    kind: RecurrenceKind = strawberry.field(description="How the days are told.")
    days: list[int] = strawberry.field(description=_DAYS)
    last_day: bool = strawberry.field(description=_LAST_DAY)


@strawberry.type(description="From when to when on a day. An end before the start is on the next.")
class Window:
    start: str = strawberry.field(description=f"{_TIME}.")
    end: str = strawberry.field(description=f"{_TIME}; not open any more.")


@strawberry.type(description="A date's own windows.")
class DateWindows:
    date: str = strawberry.field(description="The date, `YYYY-MM-DD`.")
    windows: list[Window] = strawberry.field(description="When it is open on that date.")


@strawberry.type(description="When something applies, by the clock of its time zone (ORG-5).")
class Schedule:
    time_zone: str = strawberry.field(description="The IANA time zone whose clock decides.")
    starts_at: datetime | None = strawberry.field(description="Closed before; null is no start.")
    ends_at: datetime | None = strawberry.field(
        description="Closed from here on; null is without end."
    )
    recurrence: Recurrence = strawberry.field(description="On which days.")
    window: Window | None = strawberry.field(
        description="The window of each day; null is all day, or `dates` says it."
    )
    dates: list[DateWindows] | None = strawberry.field(
        description="Windows date by date, of which the recurrence's days count; null if the same"
        " on every day."
    )

    @classmethod
    def of(cls, found: schedules.Schedule) -> Self:
        written = found.to_json()
        recurrence, windows = written["recurrence"], written["windows"]
        return cls(
            time_zone=found.time_zone,
            starts_at=found.starts_at,
            ends_at=found.ends_at,
            recurrence=Recurrence(
                kind=RecurrenceKind(recurrence["kind"].upper()),
                days=recurrence.get("days", []),
                last_day=recurrence.get("last_day", False),
            ),
            window=_window(windows) if windows["kind"] == "window" else None,
            dates=[
                DateWindows(date=day, windows=[_window(window) for window in of_day])
                for day, of_day in windows["dates"].items()
            ]
            if windows["kind"] == "by_date"
            else None,
        )


def _window(written: dict[str, Any]) -> Window:
    return Window(start=written["start"], end=written["end"])


@strawberry.type(
    description="Where, when, on which channel and for whom something applies. Ids alone: what they"
    " stand for is read with the permission for it."
)
class Scope:
    channels: list[Channel] = strawberry.field(description="On which channels.")
    schedule: Schedule | None = strawberry.field(description="When; null is always.")
    included_node_ids: list[strawberry.ID] = strawberry.field(
        description="Brands and stores it applies in, with all below them, `node_…`. None of these"
        " and no included store group: all stores below the perspective."
    )
    excluded_node_ids: list[strawberry.ID] = strawberry.field(
        description="Brands and stores it does not apply in, with all below them, `node_…`."
    )
    included_store_group_ids: list[strawberry.ID] = strawberry.field(
        description="Store groups it applies in, as far as they lie below the perspective, `sgr_…`."
    )
    excluded_store_group_ids: list[strawberry.ID] = strawberry.field(
        description="Store groups it does not apply in, `sgr_…`."
    )
    scheme_ids: list[strawberry.ID] = strawberry.field(
        description="For every card of these schemes, `sch_…`. No scheme, tier or tag and not for"
        " students: for all."
    )
    tier_ids: list[strawberry.ID] = strawberry.field(
        description="For cards of exactly these tiers, `tier_…`."
    )
    tag_ids: list[strawberry.ID] = strawberry.field(
        description="For members with one of these tags, `tag_…`."
    )
    for_students: bool = strawberry.field(description="For members whose student ID is valid.")

    @classmethod
    def of(cls, loaded: scopes.LoadedScope) -> Self:
        rules = loaded.rules
        return cls(
            channels=sorted(rules.channels),
            schedule=Schedule.of(loaded.schedule) if loaded.schedule else None,
            included_node_ids=_shown("node", rules.included_node_ids),
            excluded_node_ids=_shown("node", rules.excluded_node_ids),
            included_store_group_ids=_shown("sgr", rules.included_store_group_ids),
            excluded_store_group_ids=_shown("sgr", rules.excluded_store_group_ids),
            scheme_ids=_shown("sch", rules.scheme_ids),
            tier_ids=_shown("tier", rules.tier_ids),
            tag_ids=_shown("tag", rules.tag_ids),
            for_students=rules.for_students,
        )


def _shown(prefix: str, ids: Iterable[UUID]) -> list[strawberry.ID]:
    return [strawberry.ID(type_id(prefix, each)) for each in sorted(ids)]


@strawberry.input(description="On which days a schedule is open.")
class RecurrenceInput:
    kind: RecurrenceKind = strawberry.field(description="How the days are told.")
    days: list[int] = strawberry.field(default_factory=list, description=_DAYS)
    last_day: bool = strawberry.field(default=False, description=_LAST_DAY)

    def to_json(self) -> dict[str, Any]:
        """As `Schedule.from_json` reads it; raises `BadInput` for what the kind does not have."""
        if self.days and self.kind is RecurrenceKind.DAILY:
            raise BadInput("A daily schedule has no days.")
        if self.last_day and self.kind is not RecurrenceKind.MONTHLY:
            raise BadInput("Only a monthly schedule has a last day.")
        kind = self.kind.value.lower()
        return {"kind": kind, "days": self.days, "last_day": self.last_day}


@strawberry.input(
    description="From when to when on a day. An end before the start is on the next day."
)
class WindowInput:
    start: str = strawberry.field(description=f"{_TIME}.")
    end: str = strawberry.field(description=f"{_TIME}; not the start.")

    def to_json(self) -> dict[str, Any]:
        return {"start": self.start, "end": self.end}


@strawberry.input(description="A date's own windows.")
class DateWindowsInput:
    date: str = strawberry.field(description="The date, `YYYY-MM-DD`.")
    windows: list[WindowInput] = strawberry.field(
        description=f"When it is open on that date, 1 to {schedules.MAX_WINDOWS_PER_DATE}."
    )


@strawberry.input(description="When something applies (ORG-5).")
class ScheduleInput:
    time_zone: str = strawberry.field(
        description="The IANA time zone whose clock decides, such as the browser's own."
    )
    starts_at: datetime | None = strawberry.field(
        default=None, description="Closed before; null is no start."
    )
    ends_at: datetime | None = strawberry.field(
        default=None, description="Closed from here on; null is without end."
    )
    recurrence: RecurrenceInput | None = strawberry.field(
        default=None, description="On which days; null is every day."
    )
    window: WindowInput | None = strawberry.field(
        default=None, description="The window of each day; null, without `dates`, is all day."
    )
    dates: list[DateWindowsInput] | None = strawberry.field(
        default=None,
        description=f"Windows date by date instead of `window`, 1 to {schedules.MAX_DATES} dates.",
    )

    def to_json(self) -> dict[str, Any]:
        """The schedule as it is kept; raises `BadInput`."""
        recurrence = self.recurrence.to_json() if self.recurrence else {"kind": "daily"}
        read = schedules.Schedule.from_json(
            {
                "time_zone": self.time_zone,
                "starts_at": self.starts_at.isoformat() if self.starts_at else None,
                "ends_at": self.ends_at.isoformat() if self.ends_at else None,
                "recurrence": recurrence,
                "windows": self._windows(),
            }
        )
        return read.to_json()

    def _windows(self) -> dict[str, Any]:
        if self.window is not None and self.dates is not None:
            raise BadInput("A schedule has a window or dates, not both.")
        if self.window is not None:
            return {"kind": "window", **self.window.to_json()}
        if self.dates is None:
            return {"kind": "all_day"}
        by_date = {each.date: [window.to_json() for window in each.windows] for each in self.dates}
        if len(by_date) < len(self.dates):
            raise BadInput("A schedule names each date once.")
        return {"kind": "by_date", "dates": by_date}


@strawberry.input(
    description="Where, when, on which channel and for whom something applies; empty is"
    f" everywhere, always, for everybody. At most {scopes.PLACES_MAX} places and"
    f" {scopes.AUDIENCES_MAX} schemes, tiers and tags."
)
class ScopeInput:
    channels: list[Channel] = strawberry.field(
        default_factory=lambda: list(Channel), description="On which channels, at least one."
    )
    schedule: ScheduleInput | None = strawberry.field(
        default=None, description="When; null is always."
    )
    included_node_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list,
        description="Brands and stores it applies in, with all below them, `node_…`, below the"
        " perspective. None of these and no included store group: all below the perspective.",
    )
    excluded_node_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list,
        description="Brands and stores it does not apply in, with all below them, `node_…`.",
    )
    included_store_group_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list,
        description="Store groups it applies in, as far as they lie below the perspective,"
        " `sgr_…`.",
    )
    excluded_store_group_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list, description="Store groups it does not apply in, `sgr_…`."
    )
    scheme_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list,
        description="For every card of these schemes, `sch_…`. No scheme, tier or tag and not for"
        " students: for all.",
    )
    tier_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list, description="For cards of exactly these tiers, `tier_…`."
    )
    tag_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list, description="For members with one of these tags, `tag_…`."
    )
    for_students: bool = strawberry.field(
        default=False,
        description="For members whose student ID is valid; alone, or beside schemes, tiers and"
        " tags, of which any is enough.",
    )

    def rules(self) -> scopes.ScopeRules:
        """What the scope says; raises `BadInput`."""
        return scopes.ScopeRules(
            channels=frozenset(self.channels),
            schedule=self.schedule.to_json() if self.schedule else None,
            included_node_ids=_parsed("node", self.included_node_ids),
            excluded_node_ids=_parsed("node", self.excluded_node_ids),
            included_store_group_ids=_parsed("sgr", self.included_store_group_ids),
            excluded_store_group_ids=_parsed("sgr", self.excluded_store_group_ids),
            scheme_ids=_parsed("sch", self.scheme_ids),
            tier_ids=_parsed("tier", self.tier_ids),
            tag_ids=_parsed("tag", self.tag_ids),
            for_students=self.for_students,
        )


def _parsed(prefix: str, ids: list[strawberry.ID]) -> frozenset[UUID]:
    return frozenset(parse_type_id(prefix, each) for each in ids)


@strawberry.type(description="A scope names a scheme, tier or tag that the group does not have.")
class AudienceNotFound(Problem): ...


@strawberry.type(description="Not here, not now, not on this channel or not for this member.")
class NotAvailable(Problem):
    reason: ObstacleReason = strawberry.field(description="Why not.")
    available_from: datetime | None = strawberry.field(
        description="When it opens, if it is only a matter of time."
    )

    @classmethod
    def of(cls, error: scopes.NotAvailable) -> Self:
        found = error.obstacle
        return cls(message=str(error), reason=found.reason, available_from=found.available_from)


HANDLERS = [
    shown_as(AudienceNotFound, scopes.AudienceNotFound),
    shown_as(NotAvailable, scopes.NotAvailable),
    # Whatever is edited by its version answers so; scopes are the first thing they share.
    shown_as(EditedMeanwhile, versions.EditedMeanwhile),
]
