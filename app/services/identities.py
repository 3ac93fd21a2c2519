"""OneID: whatever proves a person leads to one record (IDN-2, IDN-3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, delete, select

from app.core.db import Transaction, TransientFailure, any_of, light, statement
from app.core.errors import DomainError, Unauthenticated
from app.core.personal import index_of
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
    select(Identity.id).where(
        col(Identity.id) == bindparam("identity_id"),
        col(Identity.member_id) == bindparam("member_id"),
    ),
    into=UUID,
)
remove_one = statement(
    delete(Identity).where(
        col(Identity.id) == bindparam("identity_id"),
        col(Identity.member_id) == bindparam("member_id"),
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


async def owns(tx: Transaction, *, member_id: UUID, identity_id: UUID) -> bool:
    """Whether this identity leads to this member now."""
    found = await tx.one(owned_by, identity_id=identity_id, member_id=member_id)
    return found is not None


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
    strongest proof says who signs in. Two devices at once: the unique index lets one create the
    member, and `Database.run` runs the other again, which finds it.
    """
    assert proofs
    owned = await find(tx, group_id=group_id, proofs=proofs)
    if owned:
        member = await members.locked(tx, owned[0].member_id)
        # Again, now that the owner can neither go nor give a proof away.
        owned = await find(tx, group_id=group_id, proofs=proofs)
        if not owned or owned[0].member_id != member.id:
            raise TransientFailure("the proofs lead to somebody else since")
        if member.status is not MemberStatus.ACTIVE:
            raise Unauthenticated("This account is closed.")
    else:
        member = await members.create(tx, group_id=group_id, name=name, now=now)
    known = {identity.value_index for identity in owned}
    await tx.insert(*(_identity(member, p, now) for p in proofs if p.index not in known))
    others = tuple(identity for identity in owned if identity.member_id != member.id)
    return SignedIn(member=member, is_new=not owned, others=others)


async def bind(tx: Transaction, *, member: Member, proof: Proof, now: datetime) -> Bound | Taken:
    """Give a locked member another identity; a new phone or e-mail replaces the earlier (IDN-2)."""
    for owned in await find(tx, group_id=member.group_id, proofs=[proof]):
        return Bound(owned) if owned.member_id == member.id else Taken(owned)
    if proof.kind in (IdentityKind.PHONE, IdentityKind.EMAIL):
        for earlier in await of_member(tx, member_id=member.id):
            if earlier.kind is proof.kind:
                await tx.changed(remove_one, identity_id=earlier.id, member_id=member.id)
    identity = _identity(member, proof, now)
    await tx.insert(identity)
    return Bound(identity)


async def unbind(tx: Transaction, *, bearer: Bearer, identity_id: UUID, now: datetime) -> Member:
    """Remove an identity. Raises `IdentityNotFound`, `LastIdentity`, `SignInAgain`."""
    member = await members.acting_recently(tx, bearer, now=now)
    owned = await of_member(tx, member_id=member.id)
    if identity_id not in {identity.id for identity in owned}:
        raise IdentityNotFound
    if len(owned) == 1:
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
