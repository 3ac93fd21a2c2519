"""OneID: whatever proves a person leads to one record (IDN-2, IDN-3).

A claim is what staff wrote down and nobody proved. It finds its record; it signs nobody in, and
whoever proves the same later becomes that record, unless somebody else signs in to it already.
See docs/decisions/0012-claimed-phones.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, delete, select, update

from app.core.db import (
    Transaction,
    TransientFailure,
    any_of,
    changed_copy,
    light,
    statement,
)
from app.core.errors import DomainError, Unauthenticated
from app.core.personal import index_of
from app.core.phones import InvalidEmail, InvalidPhone, normal_email, normal_phone
from app.models.identities import Identity, IdentityKind
from app.models.members import Member, MemberStatus
from app.services import members
from app.services.members import Bearer

PROOFS_AT_ONCE_MAX = 8

STRONGEST_FIRST = (
    IdentityKind.WECHAT_UNIONID,
    IdentityKind.PHONE,
    IdentityKind.EMAIL,
    IdentityKind.WECHAT_OPENID,
    IdentityKind.OIDC,
    IdentityKind.EXTERNAL,
)

by_indexes = statement(
    select(Identity).where(
        col(Identity.group_id) == bindparam("group_id"),
        any_of(col(Identity.value_index), "indexes"),
    ),
    into=Identity,
)
by_member = statement(
    select(Identity)
    .where(col(Identity.member_id) == bindparam("member_id"))
    .order_by(col(Identity.id)),
    into=Identity,
)
by_members = statement(
    select(Identity)
    .where(any_of(col(Identity.member_id), "member_ids"))
    .order_by(col(Identity.id)),
    into=Identity,
)
owned_by = statement(
    select(Identity).where(
        col(Identity.id) == bindparam("identity_id"),
        col(Identity.member_id) == bindparam("member_id"),
    ),
    into=Identity,
)
remove_one = statement(
    delete(Identity).where(
        col(Identity.id) == bindparam("identity_id"),
        col(Identity.member_id) == bindparam("member_id"),
    )
)
proven_of = statement(
    select(Identity.member_id).where(
        any_of(col(Identity.member_id), "member_ids"), col(Identity.is_proven)
    ),
    into=UUID,
)
# Only a claim gives way to a proof: what somebody proved is theirs.
prove_claim = statement(
    update(Identity)
    .where(
        col(Identity.id) == bindparam("identity_id"),
        col(Identity.member_id) == bindparam("claimed_by_id"),
        col(Identity.is_proven).is_(False),
    )
    .values(member_id=bindparam("new_member_id"), is_proven=True, proven_at=bindparam("at"))
)
drop_claims = statement(
    delete(Identity).where(
        col(Identity.member_id) == bindparam("member_id"),
        col(Identity.kind) == bindparam("claimed_kind"),
        col(Identity.is_proven).is_(False),
    )
)
new_identity = light(Identity)


class IdentityNotFound(DomainError):
    """No such identity, or somebody else's."""

    def __init__(self) -> None:
        super().__init__("There is no such identity on this account.")


class LastIdentity(DomainError):
    """Without it nobody could sign in to this account again."""

    def __init__(self) -> None:
        super().__init__("This is the only way to sign in to this account.")


class ContactTaken(DomainError):
    """Somebody is known by this phone or e-mail address already: staff open that record."""

    def __init__(self, member_id: UUID) -> None:
        self.member_id = member_id
        super().__init__("There is already somebody with this phone or e-mail address.")


class ContactIsTheirs(DomainError):
    """Somebody signs in to this record: what leads to it changes by proof alone (IDN-2)."""

    def __init__(self) -> None:
        super().__init__("This member signs in by themselves and can change this with a code.")


@dataclass(frozen=True, slots=True)
class Proof:
    """Something proven a moment ago: by a code, by WeChat, by an OpenID provider.

    `issuer` is the app id of an OpenID, the issuer of an OIDC subject, the name of an external
    system, and empty otherwise. Phones are E.164, e-mail addresses normalised.
    """

    kind: IdentityKind
    value: str
    issuer: str = ""

    @property
    def index(self) -> str:
        return index_of(f"{self.kind}\n{self.issuer}\n{self.value}", "identities.value")


def proof_of(kind: IdentityKind, value: str, issuer: str = "") -> Proof | None:
    """What would find an identity, written as people write it; None for what can be none."""
    try:
        if kind is IdentityKind.PHONE:
            value = normal_phone(value)
        elif kind is IdentityKind.EMAIL:
            value = normal_email(value)
    except (InvalidPhone, InvalidEmail):
        return None
    return Proof(kind, value, issuer)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Whose record the proofs lead to, and whose else they touch."""

    member: Member
    is_new: bool
    others: tuple[Identity, ...]
    """Proofs that lead to other members: the same person twice, to be offered a merge."""


@dataclass(frozen=True, slots=True)
class Bound:
    identity: Identity


@dataclass(frozen=True, slots=True)
class Taken:
    """The proof belongs to another member already."""

    identity: Identity


async def find(tx: Transaction, *, group_id: UUID, proofs: Sequence[Proof]) -> list[Identity]:
    """The identities of these proofs that somebody owns, the strongest first."""
    assert len(proofs) <= PROOFS_AT_ONCE_MAX
    owned = await tx.all(by_indexes, group_id=group_id, indexes=[p.index for p in proofs])
    return sorted(owned, key=lambda identity: STRONGEST_FIRST.index(identity.kind))


async def leading(tx: Transaction, *, group_id: UUID, proofs: Sequence[Proof]) -> list[Identity]:
    """The identities that say whose these proofs are, proven ones first, each by its strength.

    A claim of a record that somebody else signs in to is not among them.
    """
    return (await _led_to(tx, group_id, proofs)).ranked


async def owns(tx: Transaction, *, member_id: UUID, identity_id: UUID) -> bool:
    """Whether this identity leads to this member now; a claim does until somebody signs in."""
    found = await tx.one(owned_by, identity_id=identity_id, member_id=member_id)
    if found is None:
        return False
    return found.is_proven or not await tx.all(proven_of, member_ids=[member_id])


async def sign_in(
    tx: Transaction,
    *,
    group_id: UUID,
    proofs: Sequence[Proof],
    now: datetime,
    name: str | None = None,
) -> SignedIn:
    """Find the member these proofs belong to, or make one (IDN-3).

    All proofs are of one person at one moment. Where they belong to several members, the
    strongest proof says who signs in, and what was proven before goes before a claim. Two devices
    at once: the unique index lets one create the member, and `Database.run` runs the other again,
    which finds it.
    """
    assert proofs
    owned = await _led_to(tx, group_id, proofs)
    if owned.leading is not None:
        member = await members.locked(tx, owned.leading.member_id)
        # Again, now that the owner can neither go nor give a proof away.
        owned = await _led_to(tx, group_id, proofs)
        if owned.leading is None or owned.leading.member_id != member.id:
            raise TransientFailure("the proofs lead to somebody else since")
        if member.status is not MemberStatus.ACTIVE:
            raise Unauthenticated("This account is closed.")
    else:
        member = await members.create(tx, group_id=group_id, name=name, now=now)
    for claim in (*owned.claims_of(member.id), *owned.given_up):
        await _take_claim(tx, claim, member, now)
    known = {identity.value_index for identity in owned.every}
    await tx.insert(*(_identity(member, p, now) for p in proofs if p.index not in known))
    others = tuple(identity for identity in owned.ranked if identity.member_id != member.id)
    return SignedIn(member=member, is_new=owned.leading is None, others=others)


async def bind(tx: Transaction, *, member: Member, proof: Proof, now: datetime) -> Bound | Taken:
    """Give a locked member another identity; a new phone or e-mail replaces the earlier (IDN-2)."""
    owned = await _led_to(tx, member.group_id, [proof])
    for other in owned.ranked:
        if other.member_id != member.id:
            return Taken(other)
        if other.is_proven:
            return Bound(other)
    claims = [*owned.ranked, *owned.given_up]
    if proof.kind in (IdentityKind.PHONE, IdentityKind.EMAIL):
        kept = {claim.id for claim in claims}
        for earlier in await of_member(tx, member_id=member.id):
            if earlier.kind is proof.kind and earlier.id not in kept:
                await tx.changed(remove_one, identity_id=earlier.id, member_id=member.id)
    for claim in claims:
        return Bound(await _take_claim(tx, claim, member, now))
    identity = _identity(member, proof, now)
    await tx.insert(identity)
    return Bound(identity)


async def claim(
    tx: Transaction, *, member: Member, contacts: Sequence[Proof], now: datetime
) -> None:
    """Write down how somebody can be reached who never signed in; it replaces what was.

    Raises `ContactTaken`, and `ContactIsTheirs` for a record that somebody signs in to. Two at
    once: the unique index lets one of them, and the other's next run finds it.
    """
    if not contacts:
        return
    if await tx.all(proven_of, member_ids=[member.id]):
        raise ContactIsTheirs
    owned = await find(tx, group_id=member.group_id, proofs=contacts)
    for identity in owned:
        if identity.member_id != member.id:
            raise ContactTaken(identity.member_id)
    known = {identity.value_index for identity in owned}
    for contact in contacts:
        if contact.index not in known:
            await tx.changed(drop_claims, member_id=member.id, claimed_kind=contact.kind)
            await tx.insert(changed_copy(_identity(member, contact, now), is_proven=False))


async def prove(tx: Transaction, *, member: Member, identity_id: UUID, now: datetime) -> None:
    """A claim of the member was proven: by whoever merges the record it belonged to into theirs."""
    await tx.changed(
        prove_claim, identity_id=identity_id, claimed_by_id=member.id, new_member_id=member.id,
        at=now,
    )  # fmt: skip


async def unbind(tx: Transaction, *, bearer: Bearer, identity_id: UUID, now: datetime) -> Member:
    """Remove an identity. Raises `IdentityNotFound`, `LastIdentity`, `SignInAgain`."""
    member = await members.acting_recently(tx, bearer, now=now)
    owned = await of_member(tx, member_id=member.id)
    if identity_id not in {identity.id for identity in owned}:
        raise IdentityNotFound
    # A claim lets nobody in.
    if not any(each.is_proven for each in owned if each.id != identity_id):
        raise LastIdentity
    await tx.changed(remove_one, identity_id=identity_id, member_id=member.id)
    return member


async def of_member(tx: Transaction, *, member_id: UUID) -> list[Identity]:
    """A living member's identities, oldest first."""
    return await tx.all(by_member, member_id=member_id)


async def of_members(tx: Transaction, member_ids: list[UUID]) -> dict[UUID, list[Identity]]:
    """The identities of each of these living members, oldest first."""
    found: dict[UUID, list[Identity]] = {member_id: [] for member_id in member_ids}
    for identity in await tx.all(by_members, member_ids=member_ids):
        found[identity.member_id].append(identity)
    return found


@dataclass(frozen=True, slots=True)
class _LedTo:
    """The identities that proofs lead to."""

    ranked: list[Identity]
    """Those that say whose the proofs are: proven ones, then claims of records to which nobody
    has signed in; the strongest first."""
    given_up: list[Identity]
    """Claims of records that others sign in to: the proof beats them."""

    @property
    def leading(self) -> Identity | None:
        return self.ranked[0] if self.ranked else None

    @property
    def every(self) -> list[Identity]:
        return [*self.ranked, *self.given_up]

    def claims_of(self, member_id: UUID) -> list[Identity]:
        return [i for i in self.ranked if i.member_id == member_id and not i.is_proven]


async def _led_to(tx: Transaction, group_id: UUID, proofs: Sequence[Proof]) -> _LedTo:
    found = await find(tx, group_id=group_id, proofs=proofs)
    claims = [identity for identity in found if not identity.is_proven]
    if not claims:
        return _LedTo(found, [])
    in_use = set(await tx.all(proven_of, member_ids=[claim.member_id for claim in claims]))
    waiting = [claim for claim in claims if claim.member_id not in in_use]
    return _LedTo(
        [*(identity for identity in found if identity.is_proven), *waiting],
        [claim for claim in claims if claim.member_id in in_use],
    )


async def _take_claim(
    tx: Transaction, claimed: Identity, member: Member, now: datetime
) -> Identity:
    taken = await tx.changed(
        prove_claim, identity_id=claimed.id, claimed_by_id=claimed.member_id,
        new_member_id=member.id, at=now,
    )  # fmt: skip
    if not taken:
        raise TransientFailure("a claim was proven or dropped meanwhile")
    return changed_copy(claimed, member_id=member.id, is_proven=True, proven_at=now)


def _identity(member: Member, proof: Proof, now: datetime) -> Identity:
    return new_identity(
        group_id=member.group_id,
        member_id=member.id,
        kind=proof.kind,
        issuer=proof.issuer,
        value=proof.value,
        value_index=proof.index,
        proven_at=now,
    )
