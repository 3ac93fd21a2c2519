"""Recharge codes: made for a step of a plan, each tops one card up once (TOP-6).

A code is kept as a keyed hash only. It follows from its batch and the index key, so a request that
is repeated shows the same codes, and nobody without the key can guess or recompute one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, light, statement
from app.core.errors import BadInput, DomainError
from app.core.personal import index_of
from app.core.texts import checked_text
from app.models.cards import Card
from app.models.members import Member
from app.models.organisation import Node
from app.models.scopes import Channel
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.models.top_ups import (
    RechargeCode,
    RechargeCodeBatch,
    TopUpOrder,
    TopUpPlanKind,
    TopUpSource,
)
from app.services import (
    audit,
    cards,
    compliance,
    limits,
    members,
    organisation,
    requests,
    schemes,
    scopes,
)
from app.services.actors import Actor
from app.services.members import Bearer
from app.services.scopes import ScopeRules
from app.services.top_ups import orders, plans, rules, terms
from app.services.top_ups.rules import Credit, CustomRule, FixedStep, RangeStep

CODES_MAX = 1_000
"""Codes of one batch, which one answer shows."""
LIFE_MAX = timedelta(days=3 * 366)
SCENARIO_CHARS_MAX = 120
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""32 letters and digits that nobody takes for one another."""
CODE_CHARS = 16
CODE_CHARS_READ_MAX = 40
WRONG_WINDOW = timedelta(hours=1)
WRONG_PER_MEMBER_MAX = 10
WRONG_PER_TERMINAL_MAX = 20
WRONG_PER_ADDRESS_MAX = 60

batch_by_id = statement(
    select(RechargeCodeBatch).where(col(RechargeCodeBatch.id) == bindparam("batch_id")),
    into=RechargeCodeBatch,
)
batches_of_plan = statement(
    select(RechargeCodeBatch)
    .where(col(RechargeCodeBatch.plan_id) == bindparam("plan_id"))
    .order_by(col(RechargeCodeBatch.id).desc())
    .limit(bindparam("limit")),
    into=RechargeCodeBatch,
)
revoke_batch = statement(
    update(RechargeCodeBatch)
    .where(
        col(RechargeCodeBatch.id) == bindparam("batch_id"),
        col(RechargeCodeBatch.revoked_at).is_(None),
    )
    .values(revoked_at=bindparam("new_revoked_at"))
)
count_redeemed = statement(
    update(RechargeCodeBatch)
    .where(col(RechargeCodeBatch.id) == bindparam("batch_id"))
    .values(number_redeemed=col(RechargeCodeBatch.number_redeemed) + 1)
)
lock_code = statement(
    select(RechargeCode)
    .where(col(RechargeCode.code_index) == bindparam("code_index"))
    .with_for_update(),
    into=RechargeCode,
)
use_code = statement(
    update(RechargeCode)
    .where(col(RechargeCode.id) == bindparam("code_id"), col(RechargeCode.redeemed_at).is_(None))
    .values(redeemed_at=bindparam("new_redeemed_at"), order_id=bindparam("new_order_id"))
)
new_batch = light(RechargeCodeBatch)
new_code = light(RechargeCode)


class RechargeCodeRefused(DomainError):
    """Unknown, used, expired, revoked, or not for this card, place or channel: never said which.

    The try counts.
    """

    keeps_changes = True

    def __init__(self) -> None:
        super().__init__("This code cannot be redeemed here.")


class CodeBatchNotFound(DomainError):
    """No such batch of codes."""

    def __init__(self) -> None:
        super().__init__("There is no such batch of codes.")


class Generated(NamedTuple):
    """A batch and its codes, which nothing shows again but the same request."""

    batch: RechargeCodeBatch
    codes: list[str]
    is_replay: bool


class Redeemed(NamedTuple):
    """What a code brought."""

    order: TopUpOrder
    is_replay: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What codes to make: for which step, how many, where and how long they work."""

    plan_id: UUID
    step: int
    amount: int
    number: int
    scenario: str
    expires_at: datetime
    scope: ScopeRules


async def generate(
    tx: Transaction, actor: Actor, *, wanted: Wanted, request_key: str, now: datetime
) -> Generated:
    """Make codes for a step of a plan; what each brings is fixed now (TOP-6).

    Raises `TopUpPlanNotFound`, `AmountOutsideRange`, `RequestKeyReused`, what `scopes.create` does.
    """
    plan = await plans.plan_of_group(tx, group_id=actor.group_id, plan_id=wanted.plan_id)
    perspective = await organisation.node(tx, plan.perspective_id)
    actor.require(Permission.TOP_UPS_WRITE, perspective)
    # Codes are cash for whoever has them: who may draft plans may not make them alone.
    actor.require(Permission.ADJUSTMENTS_APPROVE, perspective)
    if not 1 <= wanted.number <= CODES_MAX:
        raise BadInput(f"number must be between 1 and {CODES_MAX}.")
    if not now < wanted.expires_at <= now + LIFE_MAX:
        raise BadInput("expiresAt must lie within the next three years.")
    scenario = checked_text("scenario", wanted.scenario, at_most=SCENARIO_CHARS_MAX)
    request = requests.Request(
        principal_id=actor.id,
        operation="rechargeCodesGenerate",
        key=request_key,
        input={
            "plan": wanted.plan_id,
            "step": wanted.step,
            "amount": wanted.amount,
            "number": wanted.number,
            "scenario": scenario,
            "expires_at": wanted.expires_at,
            "scope": wanted.scope.document(),
        },
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        made = await _batch(tx, claim.answer_id)
        return Generated(made, list(_codes(made.id, made.number_of_codes)), is_replay=True)
    if plan.kind is TopUpPlanKind.SMART:
        raise plans.TopUpPlanNotFound
    steps = plans.steps_of(plan)
    if not 0 <= wanted.step < len(steps):
        raise BadInput("step is not one of the plan's.")
    chosen = steps[wanted.step]
    assert isinstance(chosen, FixedStep | RangeStep | CustomRule)
    credit = rules.credit_of(chosen, wanted.amount, plan.currency)
    scope = await scopes.create(tx, perspective=perspective, rules=wanted.scope)
    batch = new_batch(
        id=claim.answer_id,
        plan_id=plan.id,
        step=wanted.step,
        currency=plan.currency,
        amount=credit.amount,
        bonus=credit.bonus,
        points=credit.points,
        terms=terms.of_plan(plan, is_first=False),
        scope_id=scope.id,
        scenario=scenario,
        number_of_codes=wanted.number,
        expires_at=wanted.expires_at,
        created_at=now,
    )
    codes = list(_codes(batch.id, wanted.number))
    rows = [new_code(batch_id=batch.id, code_index=_index(code)) for code in codes]
    await tx.insert(batch, *rows)
    await audit.record(
        tx, actor, "recharge_codes.generate", object_kind="recharge_code_batch", object_id=batch.id,
        node_id=perspective.id, now=now, plan=plan.id, number=wanted.number, amount=batch.amount,
        bonus=batch.bonus, points=batch.points,
    )  # fmt: skip
    return Generated(batch, codes, is_replay=False)


async def revoke(
    tx: Transaction, actor: Actor, *, batch_id: UUID, now: datetime
) -> RechargeCodeBatch:
    """Let the codes of a batch that were not redeemed be worth nothing from now on."""
    batch = await tx.one(batch_by_id, batch_id=batch_id)
    if batch is None:
        raise CodeBatchNotFound
    try:
        plan = await plans.plan_of_group(tx, group_id=actor.group_id, plan_id=batch.plan_id)
    except plans.TopUpPlanNotFound:
        raise CodeBatchNotFound from None
    actor.require(Permission.TOP_UPS_WRITE, await organisation.node(tx, plan.perspective_id))
    if await tx.changed(revoke_batch, batch_id=batch.id, new_revoked_at=now):
        await audit.record(
            tx, actor, "recharge_codes.revoke", object_kind="recharge_code_batch",
            object_id=batch.id, node_id=plan.perspective_id, now=now,
        )  # fmt: skip
    return await _batch(tx, batch.id)


async def of_plan(
    tx: Transaction, actor: Actor, *, plan_id: UUID, limit: int
) -> list[RechargeCodeBatch]:
    """A plan's batches, newest first; without their codes. Raises `TopUpPlanNotFound`."""
    plan = await plans.plan_of_group(tx, group_id=actor.group_id, plan_id=plan_id)
    actor.require(Permission.TOP_UPS_WRITE, await organisation.node(tx, plan.perspective_id))
    return await tx.all(batches_of_plan, plan_id=plan.id, limit=limit)


async def redeem(
    tx: Transaction,
    *,
    bearer: Bearer,
    card_id: UUID,
    code: str,
    address: str,
    request_key: str,
    now: datetime,
) -> Redeemed:
    """A member tops up their card with a code, once (TOP-6).

    Raises `RechargeCodeRefused`, `CardNotFound`, `CardNotUsable`, what `compliance.require_room`
    raises, `BalanceTooLarge`, `RequestKeyReused`, `TooManyRequests`.
    """
    member = await members.acting(tx, bearer, now=now)
    request = _request(member.id, card_id, code, request_key)
    # The member's lock lets the same request wait for its answer here, before the code is judged.
    if answer_id := await requests.answered(tx, request):
        return Redeemed(await orders.existing(tx, answer_id), is_replay=True)
    card = await cards.own(tx, member_id=member.id, card_id=card_id)
    found = await _judged(
        tx,
        card=card,
        code=code,
        channel=Channel.ONLINE,
        store=None,
        counted={
            f"wrong-recharge-codes:{member.id}": WRONG_PER_MEMBER_MAX,
            f"wrong-recharge-codes-from:{address}": WRONG_PER_ADDRESS_MAX,
        },
        now=now,
    )
    return await _bring(
        tx, found, request, card=card, member=member, channel=Channel.ONLINE, store=None,
        actor_kind=PrincipalKind.MEMBER, actor_id=member.id, now=now,
    )  # fmt: skip


async def redeem_at_terminal(
    tx: Transaction,
    actor: Actor,
    *,
    terminal_id: UUID,
    card_id: UUID,
    code: str,
    request_key: str,
    now: datetime,
) -> Redeemed:
    """A cashier tops up a card with a code somebody brought; raises as `redeem` (TOP-6)."""
    terminal, store = await organisation.terminal(tx, terminal_id)
    actor.require(Permission.TOP_UPS_SELL, store)
    card = await cards.living(tx, card_id)
    if card.group_id != store.group_id:
        raise cards.CardNotFound
    member = await members.locked(tx, card.member_id)
    request = _request(actor.id, card_id, code, request_key)
    if answer_id := await requests.answered(tx, request):
        return Redeemed(await orders.existing(tx, answer_id), is_replay=True)
    counted = {f"wrong-recharge-codes-at:{terminal.id}": WRONG_PER_TERMINAL_MAX}
    found = await _judged(
        tx, card=card, code=code, channel=Channel.POS, store=store, counted=counted, now=now
    )
    redeemed = await _bring(
        tx, found, request, card=card, member=member, channel=Channel.POS, store=store,
        actor_kind=actor.kind, actor_id=actor.id, now=now,
    )  # fmt: skip
    await audit.record(
        tx, actor, "recharge_code.redeem", object_kind="top_up", object_id=redeemed.order.id,
        node_id=store.id, now=now, card=card.id, terminal=terminal.id,
    )  # fmt: skip
    return redeemed


def normal_code(code: str) -> str:
    """A code as it is kept: without blanks and dashes, in capitals; what is none is ''."""
    if len(code) > CODE_CHARS_READ_MAX:
        return ""
    plain = "".join(c for c in code.upper() if c not in " -\u00a0")
    is_code = len(plain) == CODE_CHARS and all(c in ALPHABET for c in plain)
    return plain if is_code else ""


class _Found(NamedTuple):
    """A code that is good for the card, held until this transaction ends."""

    code: RechargeCode
    batch: RechargeCodeBatch


async def _judged(
    tx: Transaction,
    *,
    card: Card,
    code: str,
    channel: Channel,
    store: Node | None,
    counted: dict[str, int],
    now: datetime,
) -> _Found:
    """The code, if it is good here; it counts as wrong before it is looked at."""
    for subject, at_most in counted.items():
        await limits.spend(tx, subject=subject, at_most=at_most, window=WRONG_WINDOW, now=now)
    found = await _good(tx, card, code, channel, store, now)
    if found is None:
        raise RechargeCodeRefused
    for subject in counted:
        await limits.take_back(tx, subject=subject, window=WRONG_WINDOW, now=now)
    return found


async def _good(
    tx: Transaction, card: Card, code: str, channel: Channel, store: Node | None, now: datetime
) -> _Found | None:
    plain = normal_code(code)
    row = await tx.one(lock_code, code_index=_index(plain)) if plain else None
    if row is None or row.redeemed_at is not None:
        return None
    batch = await _batch(tx, row.batch_id)
    scope = (await scopes.load(tx, [batch.scope_id]))[batch.scope_id]
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    tier_id = terms.granted_tier_id(batch.terms)
    tier = (await schemes.tiers(tx, [tier_id])).get(tier_id) if tier_id else None
    there = await scopes.circumstances(tx, channel=channel, store=store, card=card, now=now)
    is_good = (
        batch.revoked_at is None
        and now < batch.expires_at
        and card.group_id in scope.lineage
        and batch.currency == scheme.currency
        and (tier_id is None or (tier is not None and tier.scheme_id == scheme.id))
        and scopes.obstacle(scope, there) is None
    )
    return _Found(row, batch) if is_good else None


async def _bring(
    tx: Transaction,
    found: _Found,
    request: requests.Request,
    *,
    card: Card,
    member: Member,
    channel: Channel,
    store: Node | None,
    actor_kind: PrincipalKind,
    actor_id: UUID,
    now: datetime,
) -> Redeemed:
    code, batch = found
    card = await cards.locked(tx, card)
    cards.require_usable(card, now)
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    await compliance.require_room(
        tx, card=card, member=member, amount=batch.amount, currency=batch.currency, method=None,
        now=now,
    )  # fmt: skip
    claim = await requests.claim(tx, request, now=now)
    assert not claim.is_replay, "the holder's lock was held since it was asked"
    drafted = orders.drafted(
        claim.answer_id,
        card=card,
        scheme=scheme,
        brings=Credit(amount=batch.amount, bonus=batch.bonus, points=batch.points),
        channel=channel,
        store_id=store.id if store else None,
        source=TopUpSource.CODE,
        source_id=code.id,
        is_first=False,
        now=now,
    )
    order = drafted._replace(  # type: ignore[attr-defined]
        plan_id=batch.plan_id, step=batch.step, terms=batch.terms
    )
    await tx.insert(order)
    used = await tx.changed(use_code, code_id=code.id, new_redeemed_at=now, new_order_id=order.id)
    assert used == 1, "a code was used under its lock"
    await tx.changed(count_redeemed, batch_id=batch.id)
    credited = await orders.credit(
        tx, order=order, card=card, scheme=scheme, actor_kind=actor_kind, actor_id=actor_id, now=now
    )
    return Redeemed(credited, is_replay=False)


async def _batch(tx: Transaction, batch_id: UUID) -> RechargeCodeBatch:
    found = await tx.one(batch_by_id, batch_id=batch_id)
    assert found is not None
    return found


def _request(principal_id: UUID, card_id: UUID, code: str, key: str) -> requests.Request:
    return requests.Request(
        principal_id=principal_id,
        operation="rechargeCodeRedeem",
        key=key,
        # Only a hash of the code is kept with the request, too.
        input={"card": card_id, "code": _index(normal_code(code))},
    )


def _index(code: str) -> str:
    return index_of(code, "recharge_codes.code_index")


def _codes(batch_id: UUID, number: int) -> Iterator[str]:
    """The codes of a batch: 80 bits each of a keyed hash of its id and their place."""
    for place in range(number):
        bits = int(index_of(f"{batch_id}:{place}", "recharge_codes.code"), 16)
        yield "".join(ALPHABET[bits >> 5 * n & 31] for n in range(CODE_CHARS))
