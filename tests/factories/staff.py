"""People who work somewhere, and what they may do."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from app.core.db import Transaction
from app.core.ids import new_id
from app.models.organisation import Node
from app.models.sessions import PrincipalKind
from app.models.staff import Staff
from app.services import roles, sessions, staff
from app.services.actors import Actor
from auth.passwords import PASSWORDS
from schema.context import Principal

PASSWORD = "correct horse battery"
PASSWORD_HASH = PASSWORDS.hash(PASSWORD)
SESSION_LIFE = timedelta(hours=12)


@dataclass(frozen=True)
class Employee:
    staff: Staff
    session_id: UUID
    principal: Principal
    actor: Actor
    refresh_token: str


async def employee(
    tx: Transaction, *, node: Node, role: str = "owner", email: str | None = None, now: datetime
) -> Employee:
    """Somebody who holds a built-in role at a node and is signed in."""
    account = await staff.add(
        tx,
        group_id=node.group_id,
        name="王小明",
        email=email or f"{new_id().hex}@example.com",
        password_hash=PASSWORD_HASH,
        now=now,
    )
    held = await roles.built_in(tx, group_id=node.group_id, name=role)
    await staff.give(tx, staff_id=account.id, role_id=held.id, node_id=node.id, now=now)
    session, refresh_token = await sessions.start(
        tx,
        principal_kind=PrincipalKind.STAFF,
        principal_id=account.id,
        group_id=node.group_id,
        method="password_totp",
        device="Firefox",
        now=now,
        life=SESSION_LIFE,
    )
    return Employee(
        staff=account,
        session_id=session.id,
        principal=Principal(
            kind=PrincipalKind.STAFF,
            id=account.id,
            group_id=node.group_id,
            session_id=session.id,
            expires_at=now + SESSION_LIFE,
        ),
        actor=await staff.actor_of_staff(tx, staff_id=account.id, session_id=session.id, now=now),
        refresh_token=refresh_token,
    )
