"""What a scheme's tiers go by, and how far recomputing its cards is (TIR-1 to TIR-6)."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from app.core.ids import type_id
from app.core.tier_periods import TierValidity
from app.models import cards as scheme_rows
from app.models import tiers as rows
from app.models.tiers import (
    AfterTierExpiry,
    OnGrowthChange,
    RunState,
    TaskKind,
    TierCause,
    TierCondition,
)
from app.services import schemes
from schema.enums import describe
from schema.problems import Problem
from schema.scalars import Long, Money

describe(
    TierCondition,
    "How growth leads to a tier.",
    {
        "ACCUMULATED": "All the growth a card holds reaches growthFrom; such a tier has no end.",
        "WINDOW": "The growth of the last windowMonths months reaches growthFrom.",
        "NONE": "Not at all: the tier is given, or comes with its tasks.",
    },
)
describe(
    OnGrowthChange,
    "What a change of growth does to a card's tier.",
    {
        "ADJUST": "It becomes what the rules say, higher or lower. Within a tier's validity only"
        " growth that is taken back lowers it.",
        "UPGRADE_ONLY": "It rises and never falls.",
        "NOTHING": "Nothing: tiers are found on calculation days, and when one runs out.",
    },
)
describe(
    AfterTierExpiry,
    "What decides when a tier runs out.",
    {
        "BY_RULE": "The tiers' own conditions.",
        "SINCE_UPGRADE": "The growth gained since the tier was reached, in place of that of the"
        " last months; what was accumulated goes on counting whole.",
    },
)
describe(
    TierValidity,
    "How long a tier lasts once it is reached.",
    {
        "DAY_AFTER_MONTHS": "So many months, and until the end of that day.",
        "END_OF_MONTH": "So many months, and until the end of the last one.",
        "PERMANENT": "For good.",
    },
)
describe(
    TaskKind,
    "What a task asks for.",
    {
        "PURCHASES": "A number of purchases that were not refunded whole.",
        "AMOUNT": "The net amount of purchases, in minor units, refunds taken off.",
        "EVENTS": "A number of events of one key.",
    },
)
describe(
    TierCause,
    "Why a card's tier changed.",
    {
        "GROWTH": "Its growth changed.",
        "GRANT": "A tier was given to it.",
        "GRANT_ENDED": "What was given ran out or was withdrawn.",
        "EXPIRY": "The tier that growth had reached ran out.",
        "RECALCULATION": "It was a calculation day.",
        "RELEASE": "The scheme's rules were released.",
        "MERGE": "Two records of one person became one, or were parted.",
    },
)
describe(
    RunState,
    "Whether a run still goes on.",
    {"RUNNING": "The scheme's tiers and rules are locked.", "DONE": "All cards are recomputed."},
)


@strawberry.type(description="One of the tasks that lead to a tier together.")
class TierTask:
    kind: TaskKind = strawberry.field(description="What it asks for.")
    event_key: str | None = strawberry.field(description="Which events, where it asks for those.")
    at_least: Long = strawberry.field(description="How many, or how much in minor units.")
    window_months: int | None = strawberry.field(
        description="Counted over the last so many months; null is ever. What led to the tier once"
        " does not count again."
    )

    @classmethod
    def of(cls, row: rows.TierTask) -> Self:
        return cls(
            kind=row.kind,
            event_key=row.event_key,
            at_least=Long(row.at_least),
            window_months=row.window_months,
        )


@strawberry.type(description="Products, by id or by a part of their name.")
class ProductCondition:
    id: str | None = strawberry.field(description="Exactly this product.")
    name: str | None = strawberry.field(
        description="Each whose name contains this, in small or capital letters."
    )

    @classmethod
    def of(cls, condition: dict[str, str]) -> Self:
        return cls(id=condition.get("id"), name=condition.get("name"))


@strawberry.type(description="How long a tier lasts once it is reached.")
class TierValidityRule:
    rule: TierValidity = strawberry.field(description="The rule.")
    months: int = strawberry.field(description="Its months; 0 where the rule has none.")

    @classmethod
    def of(cls, row: scheme_rows.Scheme) -> Self:
        return cls(rule=row.tier_validity, months=row.tier_validity_months)


@strawberry.type(
    description="All cards are recomputed at 00:00 on a day of every cycle, in the scheme's time"
    " zone."
)
class TierRecalculation:
    months: int = strawberry.field(description="How many months a cycle has, from January on.")
    day: int = strawberry.field(description="The day of its first month; 31 is the last one.")

    @classmethod
    def of_scheme(cls, row: scheme_rows.Scheme) -> Self | None:
        if row.recalculation_months is None or row.recalculation_day is None:
            return None
        return cls(months=row.recalculation_months, day=row.recalculation_day)


@strawberry.type
class _AnyTierRules:
    are_computed: bool = strawberry.field(
        description="Whether tiers follow from growth and tasks, or are only recorded."
    )
    growth_unit: Money = strawberry.field(
        description="Purchases earn growthRate for each whole unit, cumulatively: what is left"
        " carries over."
    )
    growth_rate: Long = strawberry.field(description="Growth for each whole unit; 0 is none.")
    on_growth_change: OnGrowthChange = strawberry.field(
        description="What a change of growth does to a card's tier."
    )
    validity: TierValidityRule = strawberry.field(
        description="How long a tier lasts that was not reached by what was accumulated."
    )
    after_expiry: AfterTierExpiry = strawberry.field(
        description="What decides when a tier runs out."
    )

    @classmethod
    def of(cls, row: scheme_rows.Scheme) -> Self:
        return cls(
            are_computed=row.tiers_are_computed,
            growth_unit=Money.of(row.growth_unit, row.currency),
            growth_rate=Long(row.growth_rate),
            on_growth_change=row.on_growth_change,
            validity=TierValidityRule.of(row),
            after_expiry=row.after_tier_expiry,
            **cls.more_of(row),
        )

    @classmethod
    def more_of(cls, row: scheme_rows.Scheme) -> dict[str, object]:
        return {}


_DESCRIPTION = "What a scheme's growth and tiers go by."


@strawberry.type(name="TierRules", description=_DESCRIPTION)
class OpenTierRules(_AnyTierRules):
    """As members see it."""


@strawberry.type(description=_DESCRIPTION)
class TierRules(_AnyTierRules):
    version: int = strawberry.field(description="What an edit begins with: see expectedVersion.")
    growth_only: list[ProductCondition] = strawberry.field(
        description="The products that alone earn growth, at what was paid for them; empty is all."
    )
    growth_except: list[ProductCondition] = strawberry.field(
        description="The products that earn none."
    )
    recalculation: TierRecalculation | None = strawberry.field(
        description="When all cards are recomputed; null is never."
    )

    @classmethod
    def more_of(cls, row: scheme_rows.Scheme) -> dict[str, object]:
        return {
            "version": row.tiers_version,
            "growth_only": [ProductCondition.of(each) for each in row.growth_only],
            "growth_except": [ProductCondition.of(each) for each in row.growth_except],
            "recalculation": TierRecalculation.of_scheme(row),
        }


@strawberry.type(
    description="A recomputation of all cards of a scheme. Its tiers and rules are locked while"
    " one runs."
)
class TierRun:
    id: strawberry.ID = strawberry.field(description="Its id, `trun_…`.")
    cause: TierCause = strawberry.field(description="RELEASE or RECALCULATION.")
    state: RunState = strawberry.field(description="Whether it still goes on.")
    number_of_cards: Long = strawberry.field(description="How many cards there were to begin with.")
    number_done: Long = strawberry.field(
        description="How many are recomputed; cards opened meanwhile are among them."
    )
    number_changed: Long = strawberry.field(description="How many of those changed their tier.")
    started_at: datetime = strawberry.field(description="When it began.")
    finished_at: datetime | None = strawberry.field(description="When it was done.")

    @classmethod
    def of(cls, row: rows.TierRun) -> Self:
        return cls(
            id=run_id_of(row.id),
            cause=row.cause,
            state=row.state,
            number_of_cards=Long(row.number_of_cards),
            number_done=Long(row.number_done),
            number_changed=Long(row.number_changed),
            started_at=row.started_at,
            finished_at=row.finished_at,
        )


def run_id_of(run_id: UUID) -> strawberry.ID:
    return strawberry.ID(type_id("trun", run_id))


@strawberry.type(description="All cards are being recomputed: tiers and rules stay until then.")
class TierRulesLocked(Problem):
    run: TierRun = strawberry.field(description="The run that goes on.")

    @classmethod
    def of(cls, error: schemes.TierRulesLocked) -> Self:
        return cls(message=str(error), run=TierRun.of(error.run))
