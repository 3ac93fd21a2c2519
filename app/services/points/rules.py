"""A scheme's rules of points beyond what purchases earn (PTS-4 to PTS-9), and when they act."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, update

from app.core.db import Transaction, statement
from app.core.errors import BadInput
from app.core.money import BASIS_POINTS
from app.core.phones import InvalidEmail, normal_email
from app.core.points_expiry import (
    EXPIRY_MONTHS_MAX,
    PointsExpiry,
    local_day,
    require_expiry,
    start_of_day,
)
from app.models.cards import Scheme
from app.models.staff import Permission
from app.services import audit, organisation, routines, schemes
from app.services.actors import Actor
from app.services.points import decaying, guarding, reminding
from app.services.points.expiring import zone_of

POINTS_MAX = 1_000_000_000
"""In a rule of paying with points."""
AMOUNT_MAX = 100_000_000_000
"""In a rule of paying with points, in minor units: a bill's largest total."""
ABNORMAL_ABOVE_MAX = 10**15
"""What the largest bill earns at the highest rate."""
MAIL_TO_MAX = 10
KEEPS_NO_COUNT = (PointsExpiry.PERMANENT, PointsExpiry.WITH_TIER)

change_rules = statement(
    update(Scheme)
    .where(col(Scheme.id) == bindparam("scheme_id"))
    .values(
        points_expiry=bindparam("new_expiry"),
        points_expiry_count=bindparam("new_expiry_count"),
        points_worth_points=bindparam("new_worth_points"),
        points_worth_amount=bindparam("new_worth_amount"),
        points_pay_share_bp=bindparam("new_pay_share_bp"),
        points_pay_amount_max=bindparam("new_pay_amount_max"),
        points_pay_points_min=bindparam("new_pay_points_min"),
        points_cost_per_thousand=bindparam("new_cost_per_thousand"),
        decay_after_months=bindparam("new_decay_after_months"),
        decay_bp=bindparam("new_decay_bp"),
        abnormal_above=bindparam("new_abnormal_above"),
        abnormal_blocks_earning=bindparam("new_blocks_earning"),
        abnormal_blocks_spending=bindparam("new_blocks_spending"),
        abnormal_mail_to=bindparam("new_mail_to"),
    )
)


@dataclass(frozen=True, slots=True)
class Payment:
    """So many points pay so much, up to a share and an amount of a bill (PTS-6)."""

    points: int
    worth: int
    """Minor units."""
    share_bp: int = BASIS_POINTS
    amount_max: int | None = None
    points_min: int = 0

    def require_sound(self) -> None:
        if not 1 <= self.points <= POINTS_MAX:
            raise BadInput(f"payment.points must be between 1 and {POINTS_MAX}.")
        if not 1 <= self.worth <= AMOUNT_MAX:
            raise BadInput(f"payment.worth must be between 1 and {AMOUNT_MAX}.")
        _require_share("payment.shareBasisPoints", self.share_bp)
        if self.amount_max is not None and not 1 <= self.amount_max <= AMOUNT_MAX:
            raise BadInput(f"payment.amountMax must be between 1 and {AMOUNT_MAX}.")
        if not 0 <= self.points_min <= POINTS_MAX:
            raise BadInput(f"payment.pointsMin must be between 0 and {POINTS_MAX}.")


@dataclass(frozen=True, slots=True)
class Decay:
    """Points that did not move for so many months lose a share each month (PTS-9)."""

    after_months: int
    share_bp: int

    def require_sound(self) -> None:
        if not 1 <= self.after_months <= EXPIRY_MONTHS_MAX:
            raise BadInput(f"decay.afterMonths must be between 1 and {EXPIRY_MONTHS_MAX}.")
        _require_share("decay.basisPoints", self.share_bp)


@dataclass(frozen=True, slots=True)
class Abnormal:
    """What is more than believable in a day, and what follows (PTS-7)."""

    above: int
    blocks_earning: bool = False
    blocks_spending: bool = False
    mail_to: Sequence[str] = ()

    def require_sound(self) -> None:
        if not 1 <= self.above <= ABNORMAL_ABOVE_MAX:
            raise BadInput(f"abnormal.above must be between 1 and {ABNORMAL_ABOVE_MAX}.")
        if len(self.mail_to) > MAIL_TO_MAX:
            raise BadInput(f"abnormal.mailTo can have at most {MAIL_TO_MAX} addresses.")

    def addresses(self) -> list[str]:
        """Where reports go, each once and in its stored form; raises `BadInput`."""
        try:
            return list(dict.fromkeys(normal_email(address) for address in self.mail_to))
        except InvalidEmail:
            raise BadInput("abnormal.mailTo holds what is not an e-mail address.") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsRules:
    """All rules of a scheme's points but how purchases earn; None is off."""

    expiry: PointsExpiry = PointsExpiry.PERMANENT
    expiry_count: int = 0
    """Months, or years of the yearly rule; the others do not read it."""
    payment: Payment | None = None
    cost_per_thousand: int = 0
    """What 1,000 points cost the group, in minor units (PTS-8)."""
    decay: Decay | None = None
    abnormal: Abnormal | None = None

    def require_sound(self) -> None:
        """Raise `BadInput` for numbers that no rule can have."""
        require_expiry(self.expiry, self.expiry_count)
        if not 0 <= self.cost_per_thousand <= AMOUNT_MAX:
            raise BadInput(f"costPerThousand must be between 0 and {AMOUNT_MAX}.")
        for rule in (self.payment, self.decay, self.abnormal):
            if rule is not None:
                rule.require_sound()

    @classmethod
    def of(cls, scheme: Scheme) -> "PointsRules":
        """The rules a scheme has."""
        payment, decay, abnormal = None, None, None
        if scheme.points_worth_points:
            payment = Payment(
                points=scheme.points_worth_points,
                worth=scheme.points_worth_amount,
                share_bp=scheme.points_pay_share_bp,
                amount_max=scheme.points_pay_amount_max,
                points_min=scheme.points_pay_points_min,
            )
        if scheme.decay_after_months is not None:
            decay = Decay(scheme.decay_after_months, scheme.decay_bp)
        if scheme.abnormal_above is not None:
            abnormal = Abnormal(
                above=scheme.abnormal_above,
                blocks_earning=scheme.abnormal_blocks_earning,
                blocks_spending=scheme.abnormal_blocks_spending,
                mail_to=scheme.abnormal_mail_to,
            )
        return cls(
            expiry=scheme.points_expiry,
            expiry_count=scheme.points_expiry_count,
            payment=payment,
            cost_per_thousand=scheme.points_cost_per_thousand,
            decay=decay,
            abnormal=abnormal,
        )


async def set_rules(
    tx: Transaction, actor: Actor, *, scheme_id: UUID, rules: PointsRules, now: datetime
) -> Scheme:
    """Give a scheme these rules for what comes; points that are there keep their expiry.

    Raises `SchemeNotFound`.
    """
    found = await schemes.scheme(tx, group_id=actor.group_id, scheme_id=scheme_id)
    perspective = await organisation.node(tx, found.perspective_id)
    actor.require(Permission.SCHEMES_WRITE, perspective)
    rules.require_sound()
    payment, decay, abnormal = rules.payment, rules.decay, rules.abnormal
    mail_to = abnormal.addresses() if abnormal else []
    await tx.changed(
        change_rules,
        scheme_id=found.id,
        new_expiry=rules.expiry,
        new_expiry_count=0 if rules.expiry in KEEPS_NO_COUNT else rules.expiry_count,
        new_worth_points=payment.points if payment else 0,
        new_worth_amount=payment.worth if payment else 0,
        new_pay_share_bp=payment.share_bp if payment else BASIS_POINTS,
        new_pay_amount_max=payment.amount_max if payment else None,
        new_pay_points_min=payment.points_min if payment else 0,
        new_cost_per_thousand=rules.cost_per_thousand,
        new_decay_after_months=decay.after_months if decay else None,
        new_decay_bp=decay.share_bp if decay else 0,
        new_abnormal_above=abnormal.above if abnormal else None,
        new_blocks_earning=abnormal is not None and abnormal.blocks_earning,
        new_blocks_spending=abnormal is not None and abnormal.blocks_spending,
        new_mail_to=mail_to,
    )
    changed = await schemes.scheme(tx, group_id=actor.group_id, scheme_id=found.id)
    await _schedule(tx, changed, now)
    await audit.record(
        tx, actor, "scheme.points_rules", object_kind="scheme", object_id=found.id,
        node_id=perspective.id, now=now, expiry=rules.expiry, count=changed.points_expiry_count,
        worth_points=changed.points_worth_points, worth_amount=changed.points_worth_amount,
        decay_after_months=changed.decay_after_months, decay_bp=changed.decay_bp,
        abnormal_above=changed.abnormal_above,
        blocks=[changed.abnormal_blocks_earning, changed.abnormal_blocks_spending],
        number_of_addresses=len(mail_to),
    )  # fmt: skip
    return changed


async def next_reminder(tx: Transaction, scheme_id: UUID, after: datetime) -> datetime | None:
    """When members are reminded next: at 09:00 of the scheme's zone (PTS-5).

    Always again: points earned under an earlier rule still expire by it.
    """
    scheme = (await schemes.by_ids(tx, [scheme_id]))[scheme_id]
    return reminding.next_after(after, await zone_of(tx, scheme))


async def next_decay(tx: Transaction, scheme_id: UUID, after: datetime) -> datetime | None:
    """When unused points decay next: as a month begins (PTS-9); None once none do."""
    scheme = (await schemes.by_ids(tx, [scheme_id]))[scheme_id]
    if scheme.decay_after_months is None:
        return None
    return decaying.next_after(after, await zone_of(tx, scheme))


async def next_report(tx: Transaction, scheme_id: UUID, after: datetime) -> datetime | None:
    """When cases are reported next: at 00:00 (PTS-7); None once nobody wants to know."""
    scheme = (await schemes.by_ids(tx, [scheme_id]))[scheme_id]
    if not scheme.abnormal_mail_to:
        return None
    zone = await zone_of(tx, scheme)
    return start_of_day(local_day(after, zone) + timedelta(days=1), zone)


async def _schedule(tx: Transaction, scheme: Scheme, now: datetime) -> None:
    """Have done what the rules ask for at set times, and nothing that they no longer do."""
    if scheme.points_expiry is not PointsExpiry.PERMANENT:
        next_due_at = await next_reminder(tx, scheme.id, now)
        assert next_due_at is not None
        await routines.schedule(
            tx, name=reminding.REMIND, subject_id=scheme.id, next_due_at=next_due_at, now=now
        )
    for name, next_due_at in (
        (decaying.DECAY, await next_decay(tx, scheme.id, now)),
        (guarding.REPORT, await next_report(tx, scheme.id, now)),
    ):
        if next_due_at is None:
            await routines.cancel(tx, name=name, subject_id=scheme.id)
        else:
            await routines.schedule(
                tx, name=name, subject_id=scheme.id, next_due_at=next_due_at, now=now
            )


def _require_share(name: str, basis_points: int) -> None:
    if not 1 <= basis_points <= BASIS_POINTS:
        raise BadInput(f"{name} must be between 1 and {BASIS_POINTS}.")
