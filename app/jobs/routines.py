"""When each routine is due next: the worker begins them, `app.jobs.handlers` has what they do."""

from collections.abc import Mapping

from app.jobs import points
from app.services import tiers
from app.services.routines import NextTime

NEXT_TIMES: Mapping[str, NextTime] = {
    tiers.RECALCULATE: tiers.next_recalculation,
    **points.NEXT_TIMES,
}
"""By the routine's name; its job's kind is `routine.<name>`."""
