"""One member, as staff and partners see them; unmasked where that is allowed (SEC-2)."""

import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.core.db import Transaction
from app.core.errors import BadInput, DomainError
from app.models.identities import Identity, IdentityKind, Merge
from app.models.members import AttributeDefinition, AttributeKind, Member
from app.models.staff import Permission
from app.services import audit, cards, identities, members
from app.services.actors import Actor
from app.services.members import MemberNotFound
from app.services.merges import undoing

PRESET_KEYS = frozenset({"id", "name", "gender", "birthday", "region", "phone", "email"})
"""What every member has; a custom attribute cannot take its place (MEM-6)."""

ATTRIBUTE_KEY = re.compile(r"[a-z][a-z0-9_]{0,47}")


class AttributeDefined(DomainError):
    """The group has this attribute already, with another name or kind (MEM-6)."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"There is already an attribute {key!r}, and it cannot be changed.")


@dataclass(frozen=True, slots=True)
class Unmasked:
    """What was behind the mask."""

    member: Member
    identities: list[Identity]


async def get(tx: Transaction, actor: Actor, *, member_id: UUID) -> Member | None:
    """A member of the actor's group, or whom the record was merged into."""
    actor.require_any(Permission.MEMBERS_READ)
    try:
        found = await members.living(tx, member_id)
    except MemberNotFound:
        return None
    return found if found.group_id == actor.group_id else None


async def find(
    tx: Transaction,
    actor: Actor,
    *,
    phone: str | None = None,
    email: str | None = None,
    card_number: str | None = None,
) -> Member | None:
    """The one member with this phone, e-mail address or card number, by blind index (SEC-1).

    Found by knowing the whole of it, which a till may; listing members is another permission.
    What is no phone or address finds nobody.
    """
    actor.require_any(Permission.MEMBERS_FIND)
    if [phone, email, card_number].count(None) != 2:
        raise BadInput("Give exactly one of phone, email and cardNumber.")
    if card_number is not None:
        try:
            card = await cards.by_number(tx, group_id=actor.group_id, number=card_number)
        except cards.CardNotFound:
            return None
        return await members.living(tx, card.member_id)
    kind = IdentityKind.EMAIL if phone is None else IdentityKind.PHONE
    proof = identities.proof_of(kind, phone or email or "")
    proofs = [proof] if proof else []
    for identity in await identities.find(tx, group_id=actor.group_id, proofs=proofs):
        return await members.living(tx, identity.member_id)
    return None


async def unmask(
    tx: Transaction,
    actor: Actor,
    *,
    member_id: UUID,
    reason: str,
    request_id: str,
    now: datetime,
) -> Unmasked:
    """Show what is masked; who, whom and why is written down (SEC-2). `MemberNotFound`."""
    actor.require_any(Permission.MEMBERS_UNMASK)
    member = await members.living(tx, member_id)
    if member.group_id != actor.group_id:
        raise MemberNotFound
    await audit.record(
        tx,
        actor,
        "member.unmask",
        object_kind="member",
        object_id=member.id,
        now=now,
        request_id=request_id,
        reason=reason,
    )
    return Unmasked(member, await identities.of_member(tx, member_id=member.id))


async def define_attribute(
    tx: Transaction, actor: Actor, *, key: str, name: str, kind: AttributeKind, now: datetime
) -> AttributeDefinition:
    """Add a custom attribute (MEM-6). Raises `TooManyAttributes`, `AttributeDefined`."""
    actor.require_any(Permission.MEMBERS_WRITE)
    if key in PRESET_KEYS or not ATTRIBUTE_KEY.fullmatch(key):
        raise BadInput(
            "key must have 1 to 48 of a–z, 0–9 and _, begin with a letter and name no preset one."
        )
    definition = await members.define_attribute(
        tx, group_id=actor.group_id, key=key, name=name, kind=kind, now=now
    )
    if (definition.name, definition.kind) != (name, kind):
        raise AttributeDefined(key)
    await audit.record(
        tx,
        actor,
        "member_attribute.define",
        object_kind="attribute_definition",
        object_id=definition.id,
        now=now,
        key=key,
    )
    return definition


async def merges_of(tx: Transaction, actor: Actor, *, member_id: UUID) -> list[Merge] | None:
    """Merges a member took part in, newest first; None for no such member."""
    member = await get(tx, actor, member_id=member_id)
    return None if member is None else await undoing.of_member(tx, member_id=member.id)
