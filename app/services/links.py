"""Links under which somebody downloads something once, within minutes (FIN-2, MEM-3, GFT-5).

The link is its own key: whoever follows it needs no sign-in. So the person it was made for is
looked at again when it is used: signed out meanwhile, or no longer allowed, and it opens nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from app.core.db import Transaction
from app.models.sessions import PrincipalKind
from app.services import partners, staff, tickets
from app.services.actors import Actor

LINK_LIFE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """By what somebody is signed in: looked at again when the link is used."""

    session_id: UUID | None
    scopes: Collection[str]


class Followed(NamedTuple):
    """A link that was used: by whom, and what it was made for."""

    actor: Actor
    asked: Mapping[str, Any]


async def make(
    tx: Transaction,
    actor: Actor,
    *,
    purpose: str,
    asked: Mapping[str, Any],
    signed_in: SignedIn,
    now: datetime,
) -> str:
    """The secret of a link."""
    return await tickets.issue(
        tx,
        purpose=purpose,
        payload={
            **asked,
            "actor_kind": actor.kind,
            "actor": str(actor.id),
            "session": None if signed_in.session_id is None else str(signed_in.session_id),
            "scopes": sorted(signed_in.scopes),
        },
        now=now,
        life=LINK_LIFE,
    )


async def follow(tx: Transaction, *, purpose: str, secret: str, now: datetime) -> Followed:
    """Take a link, which only one can.

    Raises `TicketRefused`, `Unauthenticated`, and `TooManyRequests` for a partner above its rate.
    """
    payload = (await tickets.redeem(tx, purpose=purpose, secret=secret, now=now)).payload
    return Followed(await _actor(tx, payload, now), payload)


async def name_of(tx: Transaction, actor: Actor) -> str:
    """What stands as the maker on a file."""
    if actor.kind is PrincipalKind.STAFF:
        found = await staff.myself(tx, staff_id=actor.id, group_id=actor.group_id)
        return found.staff.name
    client = await partners.client(tx, partner_id=actor.id, group_id=actor.group_id)
    return client.row.name


async def _actor(tx: Transaction, payload: Mapping[str, Any], now: datetime) -> Actor:
    actor_id = UUID(payload["actor"])
    if payload["actor_kind"] == PrincipalKind.STAFF:
        session_id = UUID(payload["session"])
        return await staff.actor_of_staff(tx, staff_id=actor_id, session_id=session_id, now=now)
    scopes = payload["scopes"]
    return await partners.actor_of_partner(tx, partner_id=actor_id, scopes=scopes, now=now)
