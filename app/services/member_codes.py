"""The rotating member code: shown by a member, opened once at a terminal (QRC-1 … QRC-4)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, light, statement
from app.core.errors import DomainError
from app.core.member_code import MemberCodes
from app.models.cards import Card, CodeScan
from app.models.organisation import Node, Terminal
from app.models.staff import Permission
from app.services import audit, cards, limits, live, organisation, requests
from app.services.actors import Actor

WRONG_CODES_WINDOW = timedelta(minutes=10)
WRONG_CODES_MAX = 30
"""Per terminal and window. Guessing is hopeless anyway; this makes it visible and boring."""

REPLAY_LIFE = timedelta(minutes=10)
"""How long a till that lost the answer may ask again: what is answered is the card as it is then,
which a scan of long ago is no reason to show."""

card_by_serial = statement(select(Card).where(col(Card.serial) == bindparam("serial")), into=Card)
# The compare-and-set that makes a code work once, whoever scans it where.
use_step = statement(
    update(Card)
    .where(col(Card.id) == bindparam("card_id"), col(Card.last_code_step) < bindparam("step"))
    .values(last_code_step=bindparam("step"))
)
scan_by_id = statement(
    select(CodeScan).where(col(CodeScan.id) == bindparam("scan_id")), into=CodeScan
)


class ScanPlace(NamedTuple):
    """When a code was opened, and what people call the place."""

    scanned_at: datetime
    terminal_name: str
    store_name: str


place_of_scan = statement(
    select(
        CodeScan.scanned_at,
        col(Terminal.name).label("terminal_name"),
        col(Node.name).label("store_name"),
    )
    .join(Terminal, col(Terminal.id) == col(CodeScan.terminal_id))
    .join(Node, col(Node.id) == col(Terminal.store_id))
    .where(col(CodeScan.id) == bindparam("scan_id")),
    into=ScanPlace,
)
new_scan = light(CodeScan)


class CodeRefused(DomainError):
    """Not a code, or one that is wrong, old, or was used: one message for all of them."""

    def __init__(self) -> None:
        super().__init__("This code is not valid. Ask the member to show the current one.")


class CodeWrong(CodeRefused):
    """Nobody was shown this code lately: it counts against the terminal."""

    keeps_changes = True


@dataclass(frozen=True, slots=True)
class Resolved:
    """A code that was opened: the living card, where and when."""

    scan: CodeScan
    card: Card
    is_replay: bool


async def shown(tx: Transaction, *, member_id: UUID, card_id: UUID, now: datetime) -> Card:
    """The card whose code a member is about to show; raises `CardNotFound`, `CardNotUsable`."""
    card = await cards.own(tx, member_id=member_id, card_id=card_id)
    cards.require_usable(card, now)
    return card


async def resolve(
    tx: Transaction,
    actor: Actor,
    *,
    codes: MemberCodes,
    terminal_id: UUID,
    code: str,
    request_key: str,
    now: datetime,
) -> Resolved:
    """Open a code at a terminal, once (QRC-1, QRC-3).

    For `REPLAY_LIFE` the same request key answers again with the same card, so a till that lost
    the answer may ask once more; the code itself is used up. Raises `CodeRefused`, `CardNotUsable`,
    `NotAtThisStore`, `TerminalNotFound`, `RequestKeyReused`, `TooManyRequests`.
    """
    terminal, store = await organisation.terminal(tx, terminal_id)
    actor.require(Permission.CODES_RESOLVE, store)
    request = requests.Request(
        principal_id=actor.id,
        operation="memberCodeResolve",
        key=request_key,
        input={"terminal": terminal.id, "code": code},
    )
    # Asked before the code is opened: its minute may be over, the answer still stands.
    if earlier := await requests.answered(tx, request):
        return await _replayed(tx, earlier, now)
    card, step = await _opened(tx, codes=codes, code=code, terminal_id=terminal.id, now=now)
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return await _replayed(tx, claim.answer_id, now)
    living = await cards.living(tx, card.id)
    if living.group_id != store.group_id:
        raise CodeRefused
    cards.require_usable(living, now)
    await cards.require_store(tx, living, store)
    if not await tx.changed(use_step, card_id=card.id, step=step):
        raise CodeRefused  # it was used
    scan = new_scan(
        id=claim.answer_id, card_id=card.id, step=step, terminal_id=terminal.id, scanned_at=now
    )
    await tx.insert(scan)
    await audit.record(
        tx, actor, "code.resolve", object_kind="card", object_id=living.id, node_id=store.id,
        now=now, terminal=terminal.id,
    )  # fmt: skip
    live.tell(tx, living.member_id, "CODE_SCANNED", object_id=scan.id, now=now)
    return Resolved(scan, living, is_replay=False)


async def told(tx: Transaction, *, scan_id: UUID) -> ScanPlace:
    """Where the scan was that an event names."""
    place = await tx.one(place_of_scan, scan_id=scan_id)
    assert place is not None
    return place


async def _opened(
    tx: Transaction, *, codes: MemberCodes, code: str, terminal_id: UUID, now: datetime
) -> tuple[Card, int]:
    """The card and minute a code hides, by computation alone.

    It counts as wrong before it is looked at, so that of guesses made at once no more are judged
    than allowed, and a right one is taken back.
    """
    wrongs: dict[str, Any] = {
        "subject": f"wrong-member-codes:{terminal_id}", "window": WRONG_CODES_WINDOW, "now": now,
    }  # fmt: skip
    await limits.spend(tx, at_most=WRONG_CODES_MAX, **wrongs)
    opened = codes.open(code, now=now)
    card = await tx.one(card_by_serial, serial=opened.serial) if opened else None
    if opened is None or card is None:
        raise CodeWrong
    await limits.take_back(tx, **wrongs)
    return card, opened.step


async def _replayed(tx: Transaction, scan_id: UUID, now: datetime) -> Resolved:
    scan = await tx.one(scan_by_id, scan_id=scan_id)
    assert scan is not None
    if now >= scan.scanned_at + REPLAY_LIFE:
        raise CodeRefused
    return Resolved(scan, await cards.living(tx, scan.card_id), is_replay=True)
