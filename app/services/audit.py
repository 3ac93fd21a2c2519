"""The audit log: every act of staff and partners, sealed into one chain of hashes (SEC-3).

`record` writes in the act's own transaction. `seal` gives what was written its place in the
group's chain; a job runs it every second. `verify` recomputes the chain and names the first row
that does not fit; keep the head it prints outside the database, and a cut-off tail shows too.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import structlog
from sqlalchemy import bindparam, null, or_
from sqlmodel import col, func, select, update

from app.core.crypto import fingerprint
from app.core.db import Transaction, any_of, if_given, light, statement
from app.core.ids import LARGEST_ID
from app.core.texts import checked_text
from app.models.operations import AuditRecord
from app.models.organisation import Node
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.services.actors import Actor

SEAL_BATCH = 1_000
VERIFY_BATCH = 2_000
GENESIS = "0" * 64

unsealed = statement(
    select(AuditRecord)
    .where(col(AuditRecord.sequence).is_(None))
    .order_by(col(AuditRecord.id))
    .limit(SEAL_BATCH)
    .with_for_update(skip_locked=True),
    into=AuditRecord,
)


class Head(NamedTuple):
    sequence: int | None
    hash: str | None


head_of_group = statement(
    select(AuditRecord.sequence, AuditRecord.hash)
    .where(col(AuditRecord.group_id) == bindparam("group_id"), col(AuditRecord.sequence) != null())
    .order_by(col(AuditRecord.sequence).desc())
    .limit(1),
    into=Head,
)
give_place = statement(
    update(AuditRecord)
    .where(col(AuditRecord.id) == bindparam("record_id"), col(AuditRecord.sequence).is_(None))
    .values(
        sequence=bindparam("place"), previous_hash=bindparam("before"), hash=bindparam("sealed")
    )
)
sealed_after = statement(
    select(AuditRecord)
    .where(
        col(AuditRecord.group_id) == bindparam("group_id"),
        col(AuditRecord.sequence) > bindparam("after"),
    )
    .order_by(col(AuditRecord.sequence))
    .limit(VERIFY_BATCH),
    into=AuditRecord,
)
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


def _search(*conditions: Any) -> Any:
    """Records the actor may see, newest first; a filter that is null lets everything pass."""
    return statement(
        select(AuditRecord)
        .where(
            col(AuditRecord.group_id) == bindparam("group_id"),
            col(AuditRecord.id) < bindparam("before"),
            or_(
                any_of(col(AuditRecord.group_id), "node_ids"),
                col(AuditRecord.node_id).in_(
                    select(Node.id).where(
                        or_(
                            any_of(col(Node.brand_id), "node_ids"),
                            any_of(col(Node.id), "node_ids"),
                        )
                    )
                ),
            ),
            if_given("actor_id", AuditRecord.actor_id),
            if_given("action", AuditRecord.action),
            *conditions,
        )
        .order_by(col(AuditRecord.id).desc())
        .limit(bindparam("at_most")),
        into=AuditRecord,
    )


by_time = _search(
    col(AuditRecord.recorded_at) >= bindparam("from_moment"),
    col(AuditRecord.recorded_at) < bindparam("to_moment"),
)
by_object = _search(
    col(AuditRecord.object_id) == bindparam("object_id"),
    col(AuditRecord.recorded_at) >= bindparam("from_moment"),
    col(AuditRecord.recorded_at) < bindparam("to_moment"),
)
count_unsealed = statement(
    select(func.count())
    .select_from(AuditRecord)
    .where(col(AuditRecord.sequence).is_(None), col(AuditRecord.group_id) == bindparam("group_id")),
    into=int,
)
new_record = light(AuditRecord)


async def record(
    tx: Transaction,
    actor: Actor,
    action: str,
    *,
    object_kind: str,
    object_id: UUID | None,
    now: datetime,
    node_id: UUID | None = None,
    request_id: str = "",
    **details: Any,
) -> None:
    """Write down what an actor did. Details name things by id and never hold personal data.

    The request's id, unless given, is the one its log lines carry.
    """
    request_id = request_id or structlog.contextvars.get_contextvars().get("request_id", "")
    await tx.insert(
        new_record(
            group_id=actor.group_id,
            node_id=node_id,
            actor_kind=actor.kind.value,
            actor_id=actor.id,
            action=action,
            object_kind=object_kind,
            object_id=object_id,
            details={key: _plain(value) for key, value in details.items()},
            request_id=request_id,
            recorded_at=now,
        )
    )


def system(group_id: UUID) -> Actor:
    """Who acts where nobody does: a job, upon a provider's news."""
    return Actor(PrincipalKind.SYSTEM, group_id, group_id, ())


async def search(
    tx: Transaction,
    actor: Actor,
    *,
    actor_id: UUID | None = None,
    object_id: UUID | None = None,
    action: str | None = None,
    from_moment: datetime | None = None,
    to_moment: datetime | None = None,
    before: UUID | None = None,
    at_most: int,
) -> list[AuditRecord]:
    """What was done where the actor may read the log, newest first (SEC-3).

    `from_moment` is included, `to_moment` is not; `before` is the last record of the page before.
    """
    actor.require_any(Permission.AUDIT_READ)
    values: dict[str, Any] = {
        "group_id": actor.group_id,
        "node_ids": actor.nodes_with(Permission.AUDIT_READ),
        "actor_id": actor_id,
        "action": None if action is None else checked_text("action", action, at_most=64),
        "from_moment": from_moment or ALWAYS,
        "to_moment": to_moment or NEVER,
        "before": before or LARGEST_ID,
        "at_most": at_most,
    }
    if object_id is not None:
        return await tx.all(by_object, object_id=object_id, **values)
    return await tx.all(by_time, **values)


async def seal(tx: Transaction) -> int:
    """Chain a batch of records, oldest first; how many there were.

    Of two processes at once, the unique place lets one through; the other runs again.
    """
    records = await tx.all(unsealed)
    heads: dict[UUID, tuple[int, str]] = {}
    for row in records:
        if row.group_id not in heads:
            head = await tx.one(head_of_group, group_id=row.group_id)
            heads[row.group_id] = (head.sequence or 0, head.hash or "") if head else (0, GENESIS)
        sequence, before = heads[row.group_id]
        sealed = hash_of(row, sequence + 1, before)
        await tx.changed(
            give_place, record_id=row.id, place=sequence + 1, before=before, sealed=sealed
        )
        heads[row.group_id] = (sequence + 1, sealed)
    return len(records)


class Broken(NamedTuple):
    """Where a chain stops being true."""

    sequence: int
    why: str


class Verdict(NamedTuple):
    """What verifying a group's chain found; `head` is worth keeping outside the database."""

    checked: int
    head: str
    broken: Broken | None
    unsealed: int


async def verify(tx: Transaction, *, group_id: UUID) -> Verdict:
    """Recompute a group's chain from its beginning."""
    unsealed = await tx.one(count_unsealed, group_id=group_id) or 0
    sequence, before = 0, GENESIS
    while rows := await tx.all(sealed_after, group_id=group_id, after=sequence):
        for row in rows:
            broken = _fault(row, sequence + 1, before)
            if broken:
                return Verdict(sequence, before, Broken(sequence + 1, broken), unsealed)
            assert row.hash is not None
            sequence, before = sequence + 1, row.hash
    return Verdict(sequence, before, None, unsealed)


def _fault(row: AuditRecord, sequence: int, before: str) -> str | None:
    if row.sequence != sequence:
        return f"record {sequence} is missing"
    if row.previous_hash != before:
        return f"record {sequence} does not follow the one before it"
    if row.hash != hash_of(row, sequence, before):
        return f"record {sequence} was changed"
    return None


def hash_of(row: AuditRecord, sequence: int, before: str) -> str:
    """The hash that seals a record: over the one before it and all its own columns."""
    columns: Sequence[Any] = (
        before,
        sequence,
        row.id,
        row.group_id,
        row.node_id,
        row.actor_kind,
        row.actor_id,
        row.action,
        row.object_kind,
        row.object_id,
        row.details,
        row.request_id,
        row.recorded_at.isoformat(),
    )
    # `default`: asyncpg's UUIDs are a subclass, which orjson does not take for the real thing.
    return fingerprint(orjson.dumps(columns, default=str, option=orjson.OPT_SORT_KEYS))


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | str | bool | list | None) else str(value)
