"""Spreadsheets brought in: each row lands once or says why not (MEM-2, MEM-3, GFT-5).

What the rows mean is for the domain of each kind. Rows are worked off by a job, some in one
transaction; those that land are forgotten, those refused are kept a month with their reasons, to
be downloaded, corrected and brought in again.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, light, statement
from app.core.errors import BadInput, DomainError, Forbidden
from app.core.excel_reading import CellFault, Line, Wanted
from app.core.texts import shortened_text
from app.models.imports import Import, ImportKind, ImportPart, ImportState
from app.models.organisation import Node
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.services import audit, jobs, links, organisation
from app.services.actors import Actor
from app.services.links import SignedIn

FILE_NAME_CHARS_MAX = 120
PART_ROWS = 200
PARTS_READ = 20
"""Parts of a file of refused rows that are read at once."""
JOB = "import.part"
PURPOSE = "import failures"

import_by_id = statement(
    select(Import).where(col(Import.id) == bindparam("import_id")), into=Import
)
lock_import = statement(
    select(Import).where(col(Import.id) == bindparam("import_id")).with_for_update(), into=Import
)
next_part = statement(
    select(ImportPart)
    .where(col(ImportPart.import_id) == bindparam("import_id"), col(ImportPart.is_waiting))
    .order_by(col(ImportPart.position))
    .limit(1),
    into=ImportPart,
)
end_part = statement(
    update(ImportPart)
    .where(col(ImportPart.id) == bindparam("part_id"), col(ImportPart.is_waiting))
    .values(
        is_waiting=False, rows=bindparam("new_rows"), number_failed=bindparam("new_number_failed")
    )
)
count_rows = statement(
    update(Import)
    .where(col(Import.id) == bindparam("import_id"))
    .values(
        number_landed=col(Import.number_landed) + bindparam("landed"),
        number_repeated=col(Import.number_repeated) + bindparam("repeated"),
        number_failed=col(Import.number_failed) + bindparam("failed"),
    )
)
finish = statement(
    update(Import)
    .where(col(Import.id) == bindparam("import_id"), col(Import.state) == ImportState.RUNNING)
    .values(state=ImportState.DONE, finished_at=bindparam("new_finished_at"))
)
failed_parts = statement(
    select(ImportPart)
    .where(
        col(ImportPart.import_id) == bindparam("import_id"),
        col(ImportPart.position) > bindparam("after"),
        col(ImportPart.number_failed) > 0,
    )
    .order_by(col(ImportPart.position))
    .limit(bindparam("limit")),
    into=ImportPart,
)
_newest = (
    select(Import)
    .join(Node, col(Node.id) == col(Import.perspective_id))
    .where(
        col(Import.group_id) == bindparam("group_id"),
        col(Import.kind) == bindparam("kind"),
        organisation.at_or_below_nodes,
    )
    .order_by(col(Import.id).desc())
    .limit(bindparam("limit"))
)
PAGES = {
    has_cursor: statement(
        _newest.where(*([col(Import.id) < bindparam("before")] if has_cursor else [])), into=Import
    )
    for has_cursor in (False, True)
}
new_import = light(Import)
new_part = light(ImportPart)

FAULTS = {
    CellFault.FORMULA: "是公式，请粘贴为数值 is a formula: paste its value",
    CellFault.DIGITS_LOST: "数字超过 15 位已失真，请设为文本 lost digits as a number: make it text",
    CellFault.NOT_TEXT: "须为文本，数字会丢失前导零 must be text: a number loses its first zeros",
    CellFault.TOO_LONG: "内容过长 is too long",
    CellFault.ERROR: "是错误值 is an error value",
}
BLANK = "不能为空 must not be empty"


class RowRefused(DomainError):
    """A row that does not land; its words stand in the file that comes back."""


class ImportNotFound(DomainError):
    """No such import, or not where the asker may see it."""

    def __init__(self) -> None:
        super().__init__("There is no such import.")


class ImportRunning(DomainError):
    """Rows are being worked off: which are refused is not known before the end."""

    def __init__(self) -> None:
        super().__init__("This import is still running.")


class NoRefusedRows(DomainError):
    """Every row landed, or the refused ones were forgotten after a month."""

    def __init__(self) -> None:
        super().__init__("There are no refused rows to download.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a kind's template, and what a template says of it."""

    key: str
    title: str
    explanation: str
    is_required: bool = True
    is_code: bool = False

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.key, self.title, self.is_required, self.is_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What can be brought in by a spreadsheet: its columns, and what its domain does with them."""

    kind: ImportKind
    title: str
    sheet: str
    columns: Sequence[Column]
    permission: Permission
    """To bring such a spreadsheet in, and to see what came of earlier ones."""
    perspective: Callable[[Transaction, Actor, UUID], Awaitable[Node]]
    """Of the subject all rows belong to; raises the domain's own refusal where there is none."""
    land: Callable[[Transaction, Import, Mapping[str, str], datetime], Awaitable[bool]]
    """Take one row in; False where it is there already. Raises before it writes anything."""


class Refused(NamedTuple):
    """A row as it was brought, and why it did not land."""

    cells: Mapping[str, str]
    reason: str


async def subject(tx: Transaction, actor: Actor, kind: Kind, *, subject_id: UUID) -> Node:
    """Where rows of a subject belong, if the actor may bring them in.

    Raises `Forbidden`, and what the kind raises for a subject there is not.
    """
    if actor.kind is not PrincipalKind.STAFF:
        raise Forbidden("Spreadsheets are brought in by people.")
    perspective = await kind.perspective(tx, actor, subject_id)
    actor.require(kind.permission, perspective)
    return perspective


async def begin(
    tx: Transaction,
    actor: Actor,
    kind: Kind,
    *,
    subject_id: UUID,
    file_name: str,
    lines: Sequence[Line],
    now: datetime,
) -> Import:
    """Take a spreadsheet's rows down and begin to work them off; raises as `subject`."""
    perspective = await subject(tx, actor, kind, subject_id=subject_id)
    begun = new_import(
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        kind=kind.kind,
        subject_id=subject_id,
        file_name=shortened_text(file_name, at_most=FILE_NAME_CHARS_MAX) or "import.xlsx",
        number_of_rows=len(lines),
        operator_id=actor.id,
        created_at=now,
    )
    parts = [
        new_part(
            import_id=begun.id,
            position=position,
            rows=_packed([line.cells, _fault_of(kind, line)] for line in some),
        )
        for position, some in enumerate(_in_parts(lines), start=1)
    ]
    await tx.insert(begun, *parts)
    await audit.record(
        tx, actor, "import.begin", object_kind="import", object_id=begun.id,
        node_id=perspective.id, now=now, kind=kind.kind, subject=subject_id, rows=len(lines),
    )  # fmt: skip
    await jobs.enqueue(tx, JOB, {"import_id": begun.id}, now=now)
    return begun


async def work_on(
    tx: Transaction, kinds: Mapping[ImportKind, Kind], *, import_id: UUID, now: datetime
) -> None:
    """Work off the next rows, and have those after them done; for the job of `JOB`."""
    running = await tx.one(lock_import, import_id=import_id)
    assert running is not None
    part = await tx.one(next_part, import_id=running.id)
    if part is None:
        await tx.changed(finish, import_id=running.id, new_finished_at=now)
        return
    land = kinds[running.kind].land
    landed = repeated = 0
    refused: list[Refused] = []
    for cells, fault in orjson.loads(part.rows):
        try:
            if fault is not None:
                raise RowRefused(fault)
            is_new = await land(tx, running, cells, now)
        except (DomainError, BadInput) as refusal:  # none of which has written anything yet
            refused.append(Refused(cells, str(refusal)))
        else:
            landed, repeated = landed + is_new, repeated + (not is_new)
    ended = await tx.changed(
        end_part, part_id=part.id, new_rows=_packed(refused), new_number_failed=len(refused)
    )
    assert ended == 1, "a part moved under its import's lock"
    await tx.changed(
        count_rows, import_id=running.id, landed=landed, repeated=repeated, failed=len(refused)
    )
    await jobs.enqueue(tx, JOB, {"import_id": running.id}, now=now)


async def seen_by(
    tx: Transaction, actor: Actor, kinds: Mapping[ImportKind, Kind], *, import_id: UUID
) -> Import | None:
    """An import, if the actor may see it."""
    found = await tx.one(import_by_id, import_id=import_id)
    if found is None or found.group_id != actor.group_id:
        return None
    perspective = await organisation.node(tx, found.perspective_id)
    return found if actor.may(kinds[found.kind].permission, perspective) else None


async def page(
    tx: Transaction, actor: Actor, kind: Kind, *, before: UUID | None, limit: int
) -> list[Import]:
    """What was brought in where the actor may see it, newest first (MEM-3)."""
    actor.require_any(kind.permission)
    cursor = {} if before is None else {"before": before}
    return await tx.all(
        PAGES[before is not None],
        group_id=actor.group_id,
        kind=kind.kind,
        node_ids=actor.nodes_with(kind.permission),
        limit=limit,
        **cursor,
    )


async def failures_link(
    tx: Transaction,
    actor: Actor,
    kinds: Mapping[ImportKind, Kind],
    *,
    import_id: UUID,
    signed_in: SignedIn,
    now: datetime,
) -> str:
    """The secret of a link to the rows that were refused.

    Raises `ImportNotFound`, `ImportRunning`, `NoRefusedRows`.
    """
    await _with_failures(tx, actor, kinds, import_id)
    return await links.make(
        tx, actor, purpose=PURPOSE, asked={"import": str(import_id)}, signed_in=signed_in, now=now
    )


async def use(
    tx: Transaction, kinds: Mapping[ImportKind, Kind], *, secret: str, now: datetime
) -> Import:
    """Take a link to refused rows, which only one can, and write down that it was followed.

    Raises as `links.follow` and `failures_link`.
    """
    actor, asked = await links.follow(tx, purpose=PURPOSE, secret=secret, now=now)
    found = await _with_failures(tx, actor, kinds, UUID(asked["import"]))
    await audit.record(
        tx, actor, "import.download", object_kind="import", object_id=found.id,
        node_id=found.perspective_id, now=now, rows=found.number_failed,
    )  # fmt: skip
    return found


async def refused_rows(
    tx: Transaction, *, import_id: UUID, after: int
) -> tuple[list[Refused], int | None]:
    """Refused rows in the file's order from after a part, and the part to go on after."""
    parts = await tx.all(failed_parts, import_id=import_id, after=after, limit=PARTS_READ)
    rows = [Refused(*row) for part in parts for row in orjson.loads(part.rows)]
    return rows, parts[-1].position if parts else None


async def _with_failures(
    tx: Transaction, actor: Actor, kinds: Mapping[ImportKind, Kind], import_id: UUID
) -> Import:
    found = await seen_by(tx, actor, kinds, import_id=import_id)
    if found is None:
        raise ImportNotFound
    if found.state is ImportState.RUNNING:
        raise ImportRunning
    if not await tx.all(failed_parts, import_id=found.id, after=0, limit=1):
        raise NoRefusedRows
    return found


def _fault_of(kind: Kind, line: Line) -> str | None:
    """What is wrong with a row before its domain has looked at it."""
    said = [
        f"{column.title}: {FAULTS[line.faults[column.key]]}"
        if column.key in line.faults
        else f"{column.title}: {BLANK}"
        for column in kind.columns
        if column.key in line.faults or (column.is_required and not line.cells[column.key])
    ]
    return "; ".join(said) or None


def _in_parts(lines: Sequence[Line]) -> Iterator[Sequence[Line]]:
    for first in range(0, len(lines), PART_ROWS):
        yield lines[first : first + PART_ROWS]


def _packed(rows: Iterable[Sequence[Any]]) -> str:
    return orjson.dumps([list(row) for row in rows]).decode()
