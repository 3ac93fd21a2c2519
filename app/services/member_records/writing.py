"""Members written down and corrected by staff (MEM-4, MEM-7).

A phone number or an e-mail address that staff write down is a claim: see `identities.claim`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, statement
from app.core.errors import BadInput
from app.core.phones import normal_email, normal_phone
from app.models.identities import IdentityKind
from app.models.members import Member, MemberStatus
from app.models.organisation import Node, NodeKind
from app.models.staff import Permission
from app.services import audit, cards, identities, members, organisation, schemes
from app.services.actors import Actor
from app.services.identities import Proof
from app.services.members import ProfileChange

NAMES_AT_ONCE_MAX = 500

correct_profile = statement(
    update(Member)
    .where(col(Member.id) == bindparam("member_id"))
    .values(
        name=bindparam("new_name"),
        name_index=bindparam("new_name_index"),
        gender=bindparam("new_gender"),
        birthday=bindparam("new_birthday"),
        region=bindparam("new_region"),
        attributes=bindparam("new_attributes"),
    )
)
without_name_index = statement(
    select(Member)
    .where(col(Member.name).is_not(None), col(Member.name_index).is_(None))
    .order_by(col(Member.id))
    .limit(NAMES_AT_ONCE_MAX)
    .with_for_update(skip_locked=True, key_share=True),
    into=Member,
)
set_name_index = statement(
    update(Member)
    .where(col(Member.id) == bindparam("member_id"))
    .values(name_index=bindparam("new_name_index"))
)


async def create_customer(
    tx: Transaction,
    actor: Actor,
    *,
    profile: ProfileChange,
    phone: str | None,
    email: str | None,
    store_id: UUID | None,
    now: datetime,
) -> Member:
    """Write somebody down who holds no card: a name or a phone is needed (MEM-4).

    The store, if given, recruits them. Raises `ContactTaken`, `InvalidPhone`, `InvalidEmail`,
    `NodeNotFound`, `UnknownAttribute`.
    """
    if profile.name is None and phone is None:
        raise BadInput("A customer needs a name or a phone number.")
    store = await _store(tx, actor, store_id)
    return await _create(tx, actor, profile, _contacts(phone, email), store, now)


async def create_member(
    tx: Transaction,
    actor: Actor,
    *,
    profile: ProfileChange,
    phone: str,
    email: str | None,
    scheme_id: UUID,
    store_id: UUID | None,
    now: datetime,
) -> Member:
    """Write somebody down and give them a card: a phone and a scheme are needed (MEM-4).

    The store, if given, issues the card and recruits them (CRD-7); without one the scheme's
    perspective does. Raises what `create_customer` does, and `SchemeNotFound`, `SchemeHasNoTier`,
    `NotAtThisStore`.
    """
    store = await _store(tx, actor, store_id)
    scheme = await schemes.scheme(tx, group_id=actor.group_id, scheme_id=scheme_id)
    if store is not None:
        actor.require(Permission.CARDS_ISSUE, store)
        await schemes.require_store(tx, scheme, store)
    else:
        perspective = await organisation.node(tx, scheme.perspective_id)
        actor.require(Permission.CARDS_ISSUE, perspective)
    member = await _create(tx, actor, profile, _contacts(phone, email), store, now)
    card = await cards.open_card(tx, member=member, scheme=scheme, store_id=store_id, now=now)
    await audit.record(
        tx, actor, "card.open", object_kind="card", object_id=card.id, node_id=store_id, now=now,
        member=member.id, scheme=scheme.id,
    )  # fmt: skip
    return member


async def update_member(
    tx: Transaction,
    actor: Actor,
    *,
    member_id: UUID,
    change: ProfileChange,
    phone: str | None,
    email: str | None,
    now: datetime,
) -> Member:
    """Correct a member's profile, the birthday as often as it takes (MEM-7).

    A phone or an e-mail address only of a record that nobody signs in to (IDN-2). Raises
    `MemberNotFound`, `UnknownAttribute`, `ContactTaken`, `ContactIsTheirs`.
    """
    actor.require_any(Permission.MEMBERS_WRITE)
    member = await members.locked(tx, member_id)
    if member.group_id != actor.group_id or member.status is not MemberStatus.ACTIVE:
        raise members.MemberNotFound
    contacts = _contacts(phone, email)
    await identities.claim(tx, member=member, contacts=contacts, now=now)
    changed = await _write(tx, member, change, now)
    changed += [contact.kind.lower() for contact in contacts]
    await audit.record(
        tx, actor, "member.update", object_kind="member", object_id=member.id, now=now,
        fields=changed,
    )  # fmt: skip
    return await members.living(tx, member.id)


async def index_names(tx: Transaction, *, now: datetime) -> int:
    """Give a batch of names from before there was an index theirs; how many there were."""
    waiting = await tx.all(without_name_index)
    for member in waiting:
        index = members.name_index_of(member.name)
        await tx.changed(set_name_index, member_id=member.id, new_name_index=index)
    return len(waiting)


async def _store(tx: Transaction, actor: Actor, store_id: UUID | None) -> Node | None:
    """The store that staff write somebody down at; raises `NodeNotFound`."""
    if store_id is None:
        actor.require_any(Permission.MEMBERS_WRITE)
        return None
    store = await organisation.node(tx, store_id)
    if store.group_id != actor.group_id or store.kind is not NodeKind.STORE:
        raise organisation.NodeNotFound
    actor.require(Permission.MEMBERS_WRITE, store)
    return store


async def _create(
    tx: Transaction,
    actor: Actor,
    profile: ProfileChange,
    contacts: Sequence[Proof],
    store: Node | None,
    now: datetime,
) -> Member:
    member = await members.create(tx, group_id=actor.group_id, name=profile.name, now=now)
    await identities.claim(tx, member=member, contacts=contacts, now=now)
    await _write(tx, member, profile, now)
    if store is not None:
        await members.recruit(tx, member_id=member.id, store_id=store.id)
    await audit.record(
        tx, actor, "member.create", object_kind="member", object_id=member.id,
        node_id=store.id if store else None, now=now,
    )  # fmt: skip
    return await members.living(tx, member.id)


async def _write(
    tx: Transaction, member: Member, change: ProfileChange, now: datetime
) -> list[str]:
    """Write what the change gives; the names of those fields, for the record."""
    given: dict[str, Any] = {
        name: value
        for name in ("name", "gender", "birthday", "region", "attributes")
        if (value := getattr(change, name)) is not None
    }
    if not given:
        return []
    if change.birthday is not None:
        members.require_birthday(change.birthday, now=now)
    name = given.get("name", member.name)
    await tx.changed(
        correct_profile,
        member_id=member.id,
        new_name=name,
        new_name_index=members.name_index_of(name),
        new_gender=given.get("gender", member.gender),
        new_birthday=change.birthday.isoformat() if change.birthday else member.birthday,
        new_region=given.get("region", member.region),
        new_attributes=await members.attributes_after(tx, member, change.attributes),
    )
    return sorted(given)


def _contacts(phone: str | None, email: str | None) -> list[Proof]:
    """What would be proven if they were; raises `InvalidPhone`, `InvalidEmail`."""
    contacts = []
    if phone is not None:
        contacts.append(Proof(IdentityKind.PHONE, normal_phone(phone)))
    if email is not None:
        contacts.append(Proof(IdentityKind.EMAIL, normal_email(email)))
    return contacts
