"""How staff sign in: a password, then a code from their authenticator (ORG-2).

A try is taken before it is judged and given back when it was right, so any number of guesses at
once still counts as that many. The fifth wrong one in a row, at either factor, locks the account
for a while. Hashing a password is slow and no transaction waits for it: `auth.staff` judges it
between the two calls here.
"""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, case, or_
from sqlmodel import col, update

from app.core import totp
from app.core.db import Transaction, statement
from app.core.errors import DomainError
from app.core.personal import index_of
from app.core.phones import InvalidEmail, normal_email
from app.core.texts import shortened_text
from app.models.sessions import PrincipalKind
from app.models.staff import Staff
from app.services import audit, limits, sessions, tickets
from app.services.actors import Actor
from app.services.staff import StaffMember, email_index, held_roles

FAILURES_MAX = 5
LOCK = timedelta(minutes=15)
CHALLENGE_PURPOSE = "staff_second_factor"
CHALLENGE_LIFE = timedelta(minutes=5)
CHALLENGE_TRIES_MAX = 5
ADDRESS_TRIES_MAX = 60
ADDRESS_WINDOW = timedelta(minutes=5)

is_open = (col(Staff.is_active).is_(True)) & or_(
    col(Staff.locked_until).is_(None), col(Staff.locked_until) <= bindparam("now")
)
moment = Staff.__table__.c.locked_until.type  # type: ignore[attr-defined]
# A lock that has run out starts the count anew.
failures_now = case(
    (col(Staff.locked_until).is_(None), col(Staff.failures) + 1),
    else_=1,
)
take_a_try = (
    update(Staff)
    .where(is_open)
    .values(
        failures=failures_now,
        locked_until=case(
            (failures_now >= FAILURES_MAX, bindparam("lock_end", type_=moment)), else_=None
        ),
    )
    .returning(*Staff.__table__.columns)  # type: ignore[attr-defined]
)
take_try_by_email = statement(
    take_a_try.where(col(Staff.email_index) == bindparam("wanted_index")), into=Staff
)
take_try_by_id = statement(take_a_try.where(col(Staff.id) == bindparam("staff_id")), into=Staff)
give_try_back = statement(
    update(Staff)
    .where(col(Staff.id) == bindparam("staff_id"), col(Staff.failures) > 0)
    .values(failures=col(Staff.failures) - 1, locked_until=None)
)
accept_step = statement(
    update(Staff)
    .where(col(Staff.id) == bindparam("staff_id"), col(Staff.last_totp_step) < bindparam("step"))
    .values(last_totp_step=bindparam("step"), failures=0, locked_until=None)
)


class SignInRefused(DomainError):
    """Wrong, unknown, locked, switched off, too late: never said which.

    A wrong code is remembered, or it would not count.
    """

    keeps_changes = True

    def __init__(self) -> None:
        super().__init__("These details are not right, or the account is locked for a while.")


class Challenge(NamedTuple):
    """What to send with the authenticator's code, and until when."""

    secret: str
    expires_at: datetime


class SignedIn(NamedTuple):
    """A staff member and their new session."""

    member: StaffMember
    refreshed: sessions.Refreshed


async def take_try(
    tx: Transaction, *, email: str, client_address: str, now: datetime
) -> Staff | None:
    """Count a try at an account and return it, for its password to be judged.

    None where there is no such account or it takes no more tries: judge a dummy then, for the
    same time. Raises `TooManyRequests` for an address that tries too many.
    """
    await limits.spend(
        tx,
        # Indexed like personal data, which an address is.
        subject=f"staff_sign_in:{index_of(client_address, 'rate_counts.address')}",
        at_most=ADDRESS_TRIES_MAX,
        window=ADDRESS_WINDOW,
        now=now,
    )
    try:
        wanted_index = email_index(normal_email(email))
    except InvalidEmail:
        return None
    return await tx.one(take_try_by_email, wanted_index=wanted_index, now=now, lock_end=now + LOCK)


async def password_was_right(
    tx: Transaction, *, staff_id: UUID, device: str, now: datetime
) -> Challenge:
    """Give the try back and ask for the second factor.

    Only the one try: forgetting the others here would let somebody who knows the password guess
    codes for ever.
    """
    await tx.changed(give_try_back, staff_id=staff_id)
    secret = await tickets.issue(
        tx,
        purpose=CHALLENGE_PURPOSE,
        payload={
            "staff_id": str(staff_id),
            "device": shortened_text(device, at_most=sessions.DEVICE_CHARS_MAX),
        },
        now=now,
        life=CHALLENGE_LIFE,
    )
    return Challenge(secret, now + CHALLENGE_LIFE)


async def confirm(
    tx: Transaction, *, challenge: str, totp_code: str, now: datetime, life: timedelta
) -> SignedIn:
    """Judge the second factor and open the session; raises `SignInRefused`.

    A code works once: the step it belongs to is written with a compare-and-set, so of two that
    send the same code at once one is refused.
    """
    try:
        ticket = await tickets.spend_try(
            tx, purpose=CHALLENGE_PURPOSE, secret=challenge, at_most=CHALLENGE_TRIES_MAX, now=now
        )
    except tickets.TicketRefused:
        raise SignInRefused from None
    staff_id = UUID(ticket.payload["staff_id"])
    staff = await tx.one(take_try_by_id, staff_id=staff_id, now=now, lock_end=now + LOCK)
    if staff is None:
        raise SignInRefused
    step = totp.step_of(staff.totp_secret, totp_code, now)
    if step is None or not await tx.changed(accept_step, staff_id=staff_id, step=step):
        raise SignInRefused
    await tickets.redeem(tx, purpose=CHALLENGE_PURPOSE, secret=challenge, now=now)
    refreshed = await sessions.start(
        tx,
        principal_kind=PrincipalKind.STAFF,
        principal_id=staff_id,
        group_id=staff.group_id,
        method="password_totp",
        device=ticket.payload["device"],
        now=now,
        life=life,
    )
    await audit.record(
        tx,
        Actor(kind=PrincipalKind.STAFF, id=staff_id, group_id=staff.group_id, grants=()),
        "staff.sign_in",
        object_kind="session",
        object_id=refreshed.session.id,
        now=now,
    )
    held = await tx.all(held_roles, staff_ids=[staff_id])
    return SignedIn(StaffMember(staff, held), refreshed)
