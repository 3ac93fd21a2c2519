"""Members who are signed in."""

from datetime import datetime, timedelta
from uuid import UUID

from app.core.db import Transaction
from app.models.sessions import PrincipalKind
from app.services import members, sessions
from app.services.members import Bearer


async def a_bearer(tx: Transaction, member_id: UUID, *, now: datetime) -> Bearer:
    """A member with a session that begins now; the id may be that of a merged record."""
    member = await members.living(tx, member_id)
    started = await sessions.start(
        tx,
        principal_kind=PrincipalKind.MEMBER,
        principal_id=member.id,
        group_id=member.group_id,
        method="sms",
        device="Anna's phone",
        now=now,
        life=timedelta(days=60),
    )
    return Bearer(member_id, started.session.id)
