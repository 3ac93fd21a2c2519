"""What a scheme's tier rules say: pure, from what a card has gained to the tier it belongs in."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from app.core.points_expiry import local_day
from app.core.tier_periods import TierValidity, valid_until, window_start
from app.models.cards import Scheme
from app.models.tiers import AfterTierExpiry, OnGrowthChange, TaskKind, TierCondition

WINDOWS_MAX = 6
"""Different windows that the tiers of one scheme can ask for: each is read for every card."""


class Task(NamedTuple):
    """One of those that lead to a tier together (TIR-1)."""

    kind: TaskKind
    event_key: str | None
    at_least: int
    window_months: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """A tier and how one comes to it."""

    id: UUID
    level: int
    name: str
    growth_from: int
    condition: TierCondition
    window_months: int | None
    tasks: tuple[Task, ...] = ()


class Standing(NamedTuple):
    """What a card has gained, as far as its scheme's rules ask."""

    balance: int
    """Growth that was accumulated."""
    gained: Sequence[int]
    """Growth of each of the scheme's windows (`Ladder.windows`)."""
    since_reached: int = 0
    """Growth since the present growth tier was reached."""


class GrowthTier(NamedTuple):
    """The tier growth reached, beside what was granted; None is the lowest, which has no end."""

    tier_id: UUID | None = None
    since: datetime | None = None
    expires_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


LOWEST = GrowthTier()


@dataclass(frozen=True)
class Ladder:
    """A scheme's tiers, lowest first, and its rules about them. `zone` is the perspective's."""

    scheme: Scheme
    steps: tuple[Step, ...]
    zone: ZoneInfo
    _ends: dict[date, datetime | None] = field(default_factory=dict, compare=False)

    @cached_property
    def by_id(self) -> dict[UUID, Step]:
        return {step.id: step for step in self.steps}

    @cached_property
    def windows(self) -> tuple[int, ...]:
        """The lengths, in months, of the windows in which growth is asked for."""
        asked = {s.window_months for s in self.steps if s.condition is TierCondition.WINDOW}
        return tuple(sorted(months for months in asked if months is not None))

    @cached_property
    def _from_high_to_low(self) -> list[tuple[Step, int | None]]:
        """The tiers that growth leads to, and by which window; None by all there is."""
        windows = {months: place for place, months in enumerate(self.windows)}
        return [
            (step, None if step.window_months is None else windows[step.window_months])
            for step in reversed(self.steps[1:])
            if step.condition is not TierCondition.NONE
        ]

    @cached_property
    def has_tasks(self) -> bool:
        return any(step.tasks for step in self.steps)

    def level(self, tier_id: UUID | None) -> int:
        return self.steps[0].level if tier_id is None else self.by_id[tier_id].level

    def highest(self, *tier_ids: UUID | None) -> UUID:
        """The highest of these tiers; None is the lowest there is."""
        return max((i or self.steps[0].id for i in tier_ids), key=self.level)

    def window_start(self, months: int, now: datetime) -> datetime:
        return window_start(now, months, self.zone)

    def validity_from(self, moment: datetime) -> datetime | None:
        """When a tier reached at a moment ends, None for never (TIR-4)."""
        rules = self.scheme
        if rules.tier_validity is TierValidity.PERMANENT:
            return None
        # Thousands of cards are recomputed at once, and it is the day that counts.
        day = local_day(moment, self.zone)
        if day not in self._ends:
            months = rules.tier_validity_months
            self._ends[day] = valid_until(rules.tier_validity, months, moment, self.zone)
        return self._ends[day]

    # What growth leads to

    def reached(self, standing: Standing) -> Step:
        """The highest tier whose condition holds, tried from high to low (TIR-2)."""
        for step, window in self._from_high_to_low:
            amount = standing.balance if window is None else standing.gained[window]
            if amount >= step.growth_from:
                return step
        return self.steps[0]

    def entered(self, step: Step, now: datetime) -> GrowthTier:
        """A tier as growth reaches it now; by what was accumulated it has no end (TIR-4)."""
        if step is self.steps[0]:
            return LOWEST
        return GrowthTier(step.id, now, self._end(step, now))

    def _end(self, step: Step, since: datetime) -> datetime | None:
        lasts = step.condition is TierCondition.ACCUMULATED
        return None if lasts else self.validity_from(since)

    def recomputed(self, held: GrowthTier, standing: Standing, now: datetime) -> GrowthTier:
        """After a release, and on a calculation day: what the rules say, both ways (TIR-3, TIR-5).

        A tier that stays keeps the day it was reached; its end follows the rules of now.
        """
        step = self.reached(standing)
        if step.level != self.level(held.tier_id):
            return self.entered(step, now)
        if held.tier_id is None:
            return LOWEST
        since = held.since or now
        end = self._end(step, since)
        is_over = end is not None and end <= now
        return self.entered(step, now) if is_over else GrowthTier(step.id, since, end)

    def after_growth(
        self, held: GrowthTier, standing: Standing, *, was_lost: bool, now: datetime
    ) -> GrowthTier:
        """After a change of growth: as far as the scheme adjusts tiers then (TIR-3).

        A tier within its validity is lowered only by growth that was taken back, never by a gain
        while the window moves on (TIR-4).
        """
        if held.is_over(now):
            held = self.after_expiry(held, standing, now)
        how = self.scheme.on_growth_change
        if not self.scheme.tiers_are_computed or how is OnGrowthChange.NOTHING:
            return held
        step = self.reached(standing)
        level = self.level(held.tier_id)
        may_fall = how is OnGrowthChange.ADJUST and (was_lost or held.expires_at is None)
        if step.level > level or (step.level < level and may_fall):
            return self.entered(step, now)
        return held

    def after_expiry(self, held: GrowthTier, standing: Standing, now: datetime) -> GrowthTier:
        """What follows a tier whose time is over, which may be the same again (TIR-4)."""
        if not self.scheme.tiers_are_computed:
            return LOWEST
        if self.scheme.after_tier_expiry is AfterTierExpiry.SINCE_UPGRADE:
            # What was accumulated leads to tiers that never expire, so it goes on counting whole.
            standing = standing._replace(gained=[standing.since_reached] * len(self.windows))
        return self.entered(self.reached(standing), now)
