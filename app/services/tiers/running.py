"""Recomputing every card of a scheme: a chain of jobs, each one batch (TIR-3, TIR-5).

A batch locks its cards, in the order of their ids, reads what they gained in statements for all of
them, and moves the run on in the same transaction; so a run goes on wherever it was broken off,
and a purchase waits for a batch or is counted by it. Rules are locked while a run lasts.
"""

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam
from sqlmodel import col, func, select, update

from app.core.db import (
    Transaction,
    changed_copy,
    every_column,
    light,
    statement,
    upsert,
    values_of,
)
from app.core.tier_periods import next_calculation
from app.models.cards import Card, Scheme
from app.models.tiers import RunState, TierCause, TierRun
from app.services import jobs, organisation, schemes
from app.services.actors import Actor
from app.services.tiers.batches import settle_all
from app.services.tiers.evaluating import ladder_of

RUN_JOB = "tiers.run"
RECALCULATE = "tiers.recalculate"
"""The routine of a scheme that is recomputed on its calculation days."""
CARDS_AT_ONCE = 2_000
"""Cards of one batch, which is one transaction: on SQLite it holds the writer for so long."""
BEFORE_ALL = UUID(int=0)

count_cards = statement(
    select(func.count()).where(col(Card.scheme_id) == bindparam("scheme_id")), into=int
)
begin = upsert(
    lambda insert: (
        insert(TierRun)
        .values(every_column(TierRun))
        .on_conflict_do_nothing()
        .returning(col(TierRun.id))
    ),
    into=UUID,
)
run_by_id = statement(select(TierRun).where(col(TierRun.id) == bindparam("run_id")), into=TierRun)
lock_run = statement(
    select(TierRun).where(col(TierRun.id) == bindparam("run_id")).with_for_update(), into=TierRun
)
lock_batch = statement(
    select(Card.id)
    .where(col(Card.scheme_id) == bindparam("scheme_id"), col(Card.id) > bindparam("after"))
    .order_by(col(Card.id))
    .limit(bindparam("at_most"))
    .with_for_update(key_share=True),
    into=UUID,
)
move_run = statement(
    update(TierRun)
    .where(col(TierRun.id) == bindparam("run_id"))
    .values(
        state=bindparam("new_state"),
        number_done=bindparam("new_number_done"),
        number_changed=bindparam("new_number_changed"),
        after_card_id=bindparam("new_after_card_id"),
        finished_at=bindparam("new_finished_at"),
    )
)
new_run = light(TierRun)


def topic_of(run_id: UUID) -> str:
    """Where a run's progress is announced."""
    return f"tier_run:{run_id}"


async def start(
    tx: Transaction, *, scheme: Scheme, cause: TierCause, now: datetime
) -> TierRun | None:
    """Begin to recompute all cards of a scheme; None while that is going on already."""
    run = new_run(
        scheme_id=scheme.id,
        cause=cause,
        number_of_cards=await tx.one(count_cards, scheme_id=scheme.id) or 0,
        started_at=now,
    )
    if not await tx.one(begin, **values_of(run)):
        return None
    await _enqueue(tx, run, now)
    return run


async def run_batch(
    tx: Transaction, *, run_id: UUID, now: datetime, at_most: int = CARDS_AT_ONCE
) -> TierRun | None:
    """Recompute the next cards of a run and write down the job for those after them.

    Nothing happens to a run that is done; what is moved on twice goes on where it stands.
    """
    run = await tx.one(lock_run, run_id=run_id)
    if run is None or run.state is RunState.DONE:
        return run
    rules = (await schemes.by_ids(tx, [run.scheme_id]))[run.scheme_id]
    after = run.after_card_id or BEFORE_ALL
    found = await tx.all(lock_batch, scheme_id=rules.id, after=after, at_most=at_most)
    changed = 0
    if found:
        ladder = await ladder_of(tx, rules)
        changed = await settle_all(
            tx, ladder, found, ladder.recomputed, cause=run.cause, cause_id=run.id, now=now
        )
    is_over = len(found) < at_most
    moved = changed_copy(
        run,
        state=RunState.DONE if is_over else RunState.RUNNING,
        number_done=run.number_done + len(found),
        number_changed=run.number_changed + changed,
        after_card_id=found[-1] if found else run.after_card_id,
        finished_at=now if is_over else None,
    )
    await tx.changed(
        move_run,
        run_id=run.id,
        new_state=moved.state,
        new_number_done=moved.number_done,
        new_number_changed=moved.number_changed,
        new_after_card_id=moved.after_card_id,
        new_finished_at=moved.finished_at,
    )
    if not is_over:
        await _enqueue(tx, moved, now)
    tx.announce(topic_of(run.id), {})
    return moved


async def recalculate(tx: Transaction, *, scheme_id: UUID, now: datetime) -> TierRun | None:
    """Begin the recalculation of a calculation day (TIR-3), unless all is being recomputed."""
    rules = (await schemes.by_ids(tx, [scheme_id])).get(scheme_id)
    if rules is None or not rules.tiers_are_computed:
        return None
    return await start(tx, scheme=rules, cause=TierCause.RECALCULATION, now=now)


async def next_recalculation(tx: Transaction, scheme_id: UUID, after: datetime) -> datetime | None:
    """When a scheme is recomputed next after a moment, at 00:00 where its perspective is."""
    rules = (await schemes.by_ids(tx, [scheme_id])).get(scheme_id)
    if rules is None or rules.recalculation_months is None or rules.recalculation_day is None:
        return None
    perspective = await organisation.node(tx, rules.perspective_id)
    return next_calculation(
        after,
        cycle_months=rules.recalculation_months,
        day=rules.recalculation_day,
        zone=ZoneInfo(perspective.time_zone),
    )


async def seen_by(tx: Transaction, actor: Actor, *, run_id: UUID) -> TierRun | None:
    """A run of a scheme that the actor may read, or None."""
    run = await tx.one(run_by_id, run_id=run_id)
    if run is None:
        return None
    seen = await schemes.seen_by(tx, actor, scheme_id=run.scheme_id)
    return run if seen else None


async def told(tx: Transaction, *, run_id: UUID) -> TierRun:
    """The run whose progress was announced."""
    run = await tx.one(run_by_id, run_id=run_id)
    assert run is not None
    return run


async def _enqueue(tx: Transaction, run: TierRun, now: datetime) -> None:
    payload: dict[str, Any] = {"run_id": str(run.id)}
    key = f"{RUN_JOB}:{run.id}:{run.after_card_id}"
    await jobs.enqueue(tx, RUN_JOB, payload, unique_key=key, now=now)
