"""What a handler of jobs is given, and what it gives back."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.core.db import Transaction
from app.gateways.outside import Outside


@dataclass(frozen=True, slots=True)
class Task:
    """One job as its handler sees it."""

    id: UUID
    payload: Mapping[str, Any]
    outside: Outside
    now: datetime


Effect = Callable[[Transaction], Coroutine[Any, Any, None]]
Handler = Callable[[Task], Awaitable[Effect | None]]
