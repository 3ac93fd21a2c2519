"""What a report is about: a node, its card schemes, the days between two midnights (FIN-2)."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Transaction, statement
from app.core.errors import BadInput, Forbidden
from app.core.points_expiry import add_months, start_of_day
from app.models.cards import Scheme
from app.models.organisation import Node
from app.models.staff import Permission
from app.services import organisation
from app.services.actors import Actor

PERIOD_YEARS_MAX = 10
SCHEMES_MAX = 1_000
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2199, 12, 31)

schemes_below = statement(
    select(Scheme)
    .join(Node, col(Node.id) == col(Scheme.perspective_id))
    .where(
        col(Scheme.group_id) == bindparam("group_id"),
        organisation.at_or_below_nodes,
    )
    .order_by(col(Scheme.id))
    .limit(SCHEMES_MAX + 1),
    into=Scheme,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From the midnight of one day, which is included, to that of another, which is not."""

    from_day: date
    to_day: date
    zone: ZoneInfo
    starts_at: datetime
    ends_at: datetime

    @classmethod
    def of(cls, from_day: date, to_day: date, zone: ZoneInfo) -> "Period":
        """Raises `BadInput` for days in the wrong order, or more than ten years."""
        if not FIRST_DAY <= from_day <= to_day <= LAST_DAY:
            raise BadInput(f"from and to must lie between {FIRST_DAY} and {LAST_DAY}, in order.")
        if to_day > add_months(from_day, PERIOD_YEARS_MAX * 12):
            raise BadInput(f"A report covers at most {PERIOD_YEARS_MAX} years.")
        return cls(
            from_day=from_day,
            to_day=to_day,
            zone=zone,
            starts_at=start_of_day(from_day, zone),
            ends_at=start_of_day(to_day, zone),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A report is per scheme: it lists those that were made at its perspective or below."""

    perspective: Node
    period: Period
    schemes: tuple[Scheme, ...]
    made_at: datetime

    @property
    def scheme_ids(self) -> list[UUID]:
        return [scheme.id for scheme in self.schemes]

    @property
    def currencies(self) -> list[str]:
        return sorted({scheme.currency for scheme in self.schemes})

    @property
    def is_until_now(self) -> bool:
        """Whether the period's end is not over yet: what is there now is what it closes with."""
        return self.period.ends_at >= self.made_at


async def subject(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    from_day: date,
    to_day: date,
    now: datetime,
) -> Subject:
    """Raises `Forbidden`, also for a node that does not exist, and `BadInput`."""
    perspective = await tx.one(organisation.node_by_id, node_id=perspective_id)
    if perspective is None:
        raise Forbidden(f"This needs the permission {Permission.REPORTS_READ} there.")
    actor.require(Permission.REPORTS_READ, perspective)
    found = await tx.all(schemes_below, group_id=perspective.group_id, node_ids=[perspective.id])
    if len(found) > SCHEMES_MAX:
        raise BadInput(f"More than {SCHEMES_MAX} schemes: ask for a brand or a store of these.")
    return Subject(
        perspective=perspective,
        period=Period.of(from_day, to_day, ZoneInfo(perspective.time_zone)),
        schemes=tuple(found),
        made_at=now,
    )
