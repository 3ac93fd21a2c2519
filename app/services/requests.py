"""Request keys: a mutation that moves value happens once and answers the same again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.crypto import fingerprint
from app.core.db import Transaction, every_column, light, statement, upsert, values_of
from app.core.errors import BadInput, DomainError
from app.core.ids import new_id
from app.models.operations import RequestRecord

REQUEST_KEY_CHARS_MAX = 64

claim_key = upsert(
    lambda insert: (
        insert(RequestRecord)
        .values(every_column(RequestRecord))
        .on_conflict_do_nothing()
        .returning(col(RequestRecord.id))
    ),
    into=UUID,
)
by_key = statement(
    select(RequestRecord).where(
        col(RequestRecord.principal_id) == bindparam("principal_id"),
        col(RequestRecord.operation) == bindparam("operation"),
        col(RequestRecord.request_key) == bindparam("request_key"),
    ),
    into=RequestRecord,
)
new_record = light(RequestRecord)


class RequestKeyReused(DomainError):
    """The same request key came with another input."""

    def __init__(self) -> None:
        super().__init__("This request key was already used for a different request.")


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer's id, and whether an earlier request already made it."""

    answer_id: UUID
    is_replay: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A mutation by somebody: its key, and what it was given."""

    principal_id: UUID
    operation: str
    key: str
    input: dict[str, Any]

    def __post_init__(self) -> None:
        # Kept as it is, so only what every database and index takes the same way.
        fits = 1 <= len(self.key) <= REQUEST_KEY_CHARS_MAX
        if not (fits and self.key.isascii() and self.key.isprintable()):
            raise BadInput(
                f"requestKey must have 1 to {REQUEST_KEY_CHARS_MAX} printable ASCII characters."
            )

    @property
    def fingerprint(self) -> str:
        return fingerprint(orjson.dumps(self.input, default=str, option=orjson.OPT_SORT_KEYS))


async def answered(tx: Transaction, request: Request) -> UUID | None:
    """The id of the answer an earlier request with this key got; raises `RequestKeyReused`."""
    earlier = await tx.one(
        by_key,
        principal_id=request.principal_id,
        operation=request.operation,
        request_key=request.key,
    )
    if earlier is None:
        return None
    if earlier.fingerprint != request.fingerprint:
        raise RequestKeyReused
    return earlier.answer_id


async def claim(tx: Transaction, request: Request, *, now: datetime) -> Claim:
    """Take the request key for this principal and operation, or find what it stands for.

    While the same key is in flight elsewhere, this waits for it: on PostgreSQL the insert waits
    for the other's commit, on SQLite there is one writer. Raises `RequestKeyReused`.
    """
    record = new_record(
        principal_id=request.principal_id,
        operation=request.operation,
        request_key=request.key,
        fingerprint=request.fingerprint,
        answer_id=new_id(),
        recorded_at=now,
    )
    if await tx.one(claim_key, **values_of(record)):
        return Claim(record.answer_id, is_replay=False)
    earlier = await answered(tx, request)
    assert earlier is not None
    return Claim(earlier, is_replay=True)
