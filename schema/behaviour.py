"""What members do besides buying, and what it earns (PTS-2, TIR-7)."""

from datetime import date, datetime
from typing import Annotated, Self

import strawberry

from app.core.ids import type_id
from app.models import behaviour as rows
from app.models.behaviour import EarningOutcome
from app.services import behaviour
from schema.enums import describe
from schema.ledger import BalanceTooLarge
from schema.members import MemberNotFound
from schema.organisation import NodeNotFound
from schema.scalars import Long
from schema.schemes import SchemeNotFound

describe(
    EarningOutcome,
    "What came of an event on one card.",
    {
        "EARNED": "It earned what the rule says.",
        "POINTS_BLOCKED": "It earned growth, but no points: earning them is blocked for now.",
        "DAY_CAP": "It counted often enough on that day.",
        "MONTH_CAP": "It counted often enough in that month.",
        "EVER_CAP": "It counted as often as it ever can.",
        "CARD_NOT_USABLE": "The card is lost, frozen, expired or refunded.",
        "NOT_AT_THIS_STORE": "The card is not used at the store where it happened.",
    },
)


@strawberry.type(description="Extra points on the day that is so many in a row.")
class StreakStep:
    days: int = strawberry.field(description="How many days in a row.")
    points: Long = strawberry.field(description="How many points besides the usual ones.")


@strawberry.type(description="What one kind of event earns on cards of a scheme, and how often.")
class BehaviourRule:
    id: strawberry.ID = strawberry.field(description="Its id, `bhr_…`.")
    event_key: str = strawberry.field(
        description="What programs call the event: `check_in`, `profile_complete`, or any other."
    )
    name: str = strawberry.field(description="What people call it.")
    points: Long = strawberry.field(description="Points for each time it counts.")
    growth: Long = strawberry.field(description="Growth for each time it counts.")
    times_per_day: int | None = strawberry.field(description="How often it counts a day, at most.")
    times_per_month: int | None = strawberry.field(
        description="How often it counts a calendar month, at most."
    )
    times_ever: int | None = strawberry.field(description="How often it counts at all, at most.")
    streak: list[StreakStep] = strawberry.field(
        description="Extra points for days in a row, on the first such event of the day."
    )
    is_active: bool = strawberry.field(description="Whether it earns now.")

    @classmethod
    def of(cls, row: rows.BehaviourRule) -> Self:
        return cls(
            id=strawberry.ID(type_id("bhr", row.id)),
            event_key=row.event_key,
            name=row.name,
            points=Long(row.points),
            growth=Long(row.growth),
            times_per_day=row.times_per_day,
            times_per_month=row.times_per_month,
            times_ever=row.times_ever,
            streak=[StreakStep(days=s["days"], points=Long(s["points"])) for s in row.streak],
            is_active=row.is_active,
        )


@strawberry.type(description="Something a member did.")
class MemberEventRecord:
    id: strawberry.ID = strawberry.field(description="Its id, `mev_…`.")
    event_key: str = strawberry.field(description="What programs call it.")
    business_date: date = strawberry.field(
        description="The day it happened on, in the group's time zone."
    )
    streak_days: int = strawberry.field(
        description="How many days in a row it happened, up to this one."
    )
    occurred_at: datetime = strawberry.field(description="When it happened.")

    @classmethod
    def of(cls, row: rows.MemberEvent) -> Self:
        return cls(
            id=strawberry.ID(type_id("mev", row.id)),
            event_key=row.event_key,
            business_date=row.business_date,
            streak_days=row.streak_days,
            occurred_at=row.occurred_at,
        )


@strawberry.type(description="What an event earned on one card, or why it did not.")
class EventEarning:
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    outcome: EarningOutcome = strawberry.field(description="What came of it.")
    points: Long = strawberry.field(description="Points it earned, those of the streak included.")
    streak_points: Long = strawberry.field(description="Those of the streak alone.")
    growth: Long = strawberry.field(description="Growth it earned.")

    @classmethod
    def of(cls, row: rows.EventEarning) -> Self:
        return cls(
            card_id=strawberry.ID(type_id("card", row.card_id)),
            outcome=row.outcome,
            points=Long(row.points),
            streak_points=Long(row.streak_points),
            growth=Long(row.growth),
        )


@strawberry.type(description="An event, and what it earned on each card that has a rule for it.")
class EventRecorded:
    event: MemberEventRecord = strawberry.field(description="The event.")
    earnings: list[EventEarning] = strawberry.field(
        description="By card; a card whose scheme has no rule for the event is not among them."
    )
    replayed: bool = strawberry.field(
        description="Whether it had been recorded before; then this is what it earned at the time."
    )

    @classmethod
    def of(cls, happened: behaviour.Happened) -> Self:
        return cls(
            event=MemberEventRecord.of(happened.event),
            earnings=[EventEarning.of(each) for each in happened.earnings],
            replayed=happened.is_replay,
        )


@strawberry.input(description="Extra points on the day that is so many in a row.")
class StreakStepInput:
    days: int = strawberry.field(description="How many days in a row, 2 to 366.")
    points: Long = strawberry.field(description="How many points besides, 1 to 1,000,000.")


@strawberry.input(description="What one kind of event shall earn from now on.")
class BehaviourRuleSetInput:
    scheme_id: strawberry.ID = strawberry.field(description="The scheme, `sch_…`.")
    event_key: str = strawberry.field(
        description="a–z, 0–9 and _, at most 48, beginning with a letter; the scheme has one rule"
        " for each. `check_in` and `profile_complete` are what members do themselves."
    )
    name: str = strawberry.field(description="What people call it, 1 to 64 characters.")
    points: Long = strawberry.field(default=Long(0), description="Points each time, to 1,000,000.")
    growth: Long = strawberry.field(default=Long(0), description="Growth each time, to 1,000,000.")
    times_per_day: int | None = strawberry.field(
        default=None, description="How often it counts a day, at least 1; null is without a cap."
    )
    times_per_month: int | None = strawberry.field(
        default=None,
        description="How often it counts a calendar month, at least 1; null is without a cap.",
    )
    times_ever: int | None = strawberry.field(
        default=None, description="How often it counts at all, at least 1; null is without a cap."
    )
    streak: list[StreakStepInput] = strawberry.field(
        default_factory=list,
        description="Extra points for days in a row, by growing days; at most 10 steps.",
    )
    is_active: bool = strawberry.field(default=True, description="Whether it earns.")

    def rule(self) -> behaviour.Rule:
        """The rule, which the service judges."""
        return behaviour.Rule(
            event_key=self.event_key,
            name=self.name,
            points=self.points,
            growth=self.growth,
            times_per_day=self.times_per_day,
            times_per_month=self.times_per_month,
            times_ever=self.times_ever,
            streak=[behaviour.StreakStep(step.days, step.points) for step in self.streak],
            is_active=self.is_active,
        )


@strawberry.input(description="Something a member did, as another system knows it.")
class MemberEventRecordInput:
    member_id: strawberry.ID = strawberry.field(description="Who did it, `mem_…`.")
    event_key: str = strawberry.field(
        description="What programs call it: a–z, 0–9 and _, at most 48, beginning with a letter."
    )
    external_id: str = strawberry.field(
        description="The other system's id of it, 1 to 64 characters: sent again, it answers the"
        " same."
    )
    occurred_at: datetime = strawberry.field(
        description="When it happened, with its offset; within the last 31 days."
    )
    store_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="At which store, `node_…`: then only cards that are used there earn.",
    )


BehaviourRuleSetResult = Annotated[
    BehaviourRule | SchemeNotFound,
    strawberry.union("BehaviourRuleSetResult", description="The rule as it is now, or why not."),
]
CheckInResult = Annotated[
    EventRecorded | BalanceTooLarge,
    strawberry.union("CheckInResult", description="What it earned, or why it could not."),
]
MemberEventRecordResult = Annotated[
    EventRecorded | MemberNotFound | NodeNotFound | BalanceTooLarge,
    strawberry.union("MemberEventRecordResult", description="What it earned, or why it could not."),
]

HANDLERS: list[object] = []
