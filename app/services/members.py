"""Members: their record, profile and consents (IDN-8)."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlalchemy.orm import aliased
from sqlmodel import col, func, select, update

from app.core.db import Transaction, TransientFailure, any_of, light, statement
from app.core.errors import BadInput, DomainError, Unauthenticated
from app.core.personal import index_of
from app.core.texts import normal_name
from app.models.members import (
    AttributeDefinition,
    AttributeKind,
    Consent,
    Gender,
    Member,
    MemberStatus,
)
from app.models.sessions import PrincipalKind, Session

ATTRIBUTES_MAX = 48
CONSENTS_MAX = 200
OLDEST_AGE_YEARS = 130
RECENT_SIGN_IN = timedelta(minutes=30)
"""How long ago somebody may have signed in who takes an account over or away: long enough to wait
for a code and think a merge over, and a token copied from a device last week is too old for it. A
session that is refreshed does not become younger. A mini-program signs in again without asking
anybody, by one wx.login."""

# A merged member's id resolves to the one who lives on, in the same statement.
living_id = (
    select(func.coalesce(Member.merged_into_id, Member.id))
    .where(col(Member.id) == bindparam("member_id"))
    .scalar_subquery()
)
# A living member's own id and those of the records that were merged into theirs. What is only ever
# read of somebody stays where it was written, and is found by this: nothing to move, nor to part.
own_records = select(Member.id).where(
    or_(
        col(Member.id) == bindparam("member_id"),
        col(Member.merged_into_id) == bindparam("member_id"),
    )
)
living_member = statement(select(Member).where(col(Member.id) == living_id), into=Member)
# NO KEY UPDATE, as an UPDATE of the row takes it: writers wait for each other, a merge and a
# closure wait for them, and rows that only refer to the member do not.
lock_living_member = statement(
    select(Member).where(col(Member.id) == living_id).with_for_update(key_share=True), into=Member
)
# FOR SHARE: whoever revokes the session waits for what it has begun, and what it begins after
# that finds it revoked.
session_start = statement(
    select(Session.started_at)
    .where(
        col(Session.id) == bindparam("session_id"),
        col(Session.principal_id) == bindparam("member_id"),
        col(Session.principal_kind) == PrincipalKind.MEMBER,
        col(Session.revoked_at).is_(None),
        col(Session.expires_at) > bindparam("now"),
    )
    .with_for_update(read=True),
    into=datetime,
)
members_by_id = statement(select(Member).where(any_of(col(Member.id), "ids")), into=Member)
update_profile = statement(
    update(Member)
    .where(col(Member.id) == bindparam("member_id"))
    .values(
        name=bindparam("new_name"),
        name_index=bindparam("new_name_index"),
        gender=bindparam("new_gender"),
        region=bindparam("new_region"),
        attributes=bindparam("new_attributes"),
    )
)
edit_birthday_once = statement(
    update(Member)
    .where(col(Member.id) == bindparam("member_id"), col(Member.birthday_edits) == 0)
    .values(birthday=bindparam("new_birthday"), birthday_edits=1)
)
recruit_once = statement(
    update(Member)
    .where(col(Member.id) == bindparam("member_id"), col(Member.recruitment_store_id).is_(None))
    .values(recruitment_store_id=bindparam("store_id"))
)
definitions_of_group = statement(
    select(AttributeDefinition)
    .where(col(AttributeDefinition.group_id) == bindparam("group_id"))
    .order_by(col(AttributeDefinition.id)),
    into=AttributeDefinition,
)
consents_of_member = statement(
    select(Consent)
    .where(col(Consent.member_id) == bindparam("member_id"))
    .order_by(col(Consent.id).desc())
    .limit(CONSENTS_MAX),
    into=Consent,
)
definitions_of_groups = statement(
    select(AttributeDefinition)
    .where(any_of(col(AttributeDefinition.group_id), "group_ids"))
    .order_by(col(AttributeDefinition.id)),
    into=AttributeDefinition,
)
_later = aliased(Consent)
current_consents = statement(
    select(Consent)
    .where(
        any_of(col(Consent.member_id), "member_ids"),
        ~select(_later.id)
        .where(
            col(_later.member_id) == col(Consent.member_id),
            col(_later.purpose) == col(Consent.purpose),
            col(_later.id) > col(Consent.id),
        )
        .exists(),
    )
    .order_by(col(Consent.id)),
    into=Consent,
)
new_member = light(Member)
new_consent = light(Consent)
new_definition = light(AttributeDefinition)


class MemberNotFound(DomainError):
    """No such member in this group."""

    def __init__(self) -> None:
        super().__init__("There is no such member.")


class BirthdayFixed(DomainError):
    """The member already changed the birthday once (IDN-8)."""

    def __init__(self) -> None:
        super().__init__("You can change your birthday once. Ask a store to correct it.")


class UnknownAttribute(DomainError):
    """An attribute the group did not define, or a value of another kind."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"There is no attribute {key[:48]!r} that takes this value.")


class TooManyAttributes(DomainError):
    """A group defines at most 48 attributes (MEM-6)."""

    def __init__(self) -> None:
        super().__init__(f"A group can have at most {ATTRIBUTES_MAX} custom attributes.")


class SignInAgain(DomainError):
    """Signed in too long ago for something that decides whose account it is (`RECENT_SIGN_IN`)."""

    def __init__(self) -> None:
        super().__init__("Please sign in again to do this.")


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom an access token speaks for. It says so for minutes after the session has ended, so
    whatever writes asks `acting` whether the session still lives."""

    member_id: UUID
    """The id in the token, perhaps that of a record merged since."""
    session_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileChange:
    """What to change; None leaves a field as it is."""

    name: str | None = None
    gender: Gender | None = None
    birthday: date | None = None
    region: str | None = None
    attributes: dict[str, Any] | None = None


async def living(tx: Transaction, member_id: UUID) -> Member:
    """The member, or whom the record was merged into; raises `MemberNotFound`."""
    member = await tx.one(living_member, member_id=member_id)
    if member is None:
        raise MemberNotFound
    return member


async def signed_in(tx: Transaction, member_id: UUID) -> Member:
    """The member a token speaks for; raises `Unauthenticated` once the account is closed."""
    member = await tx.one(living_member, member_id=member_id)
    if member is None or member.status is not MemberStatus.ACTIVE:
        raise Unauthenticated("This account is closed.")
    return member


async def locked(tx: Transaction, member_id: UUID) -> Member:
    """The living member, whom nobody edits, merges or closes until this transaction ends.

    What writes to a member begins with this, then locks cards by id, then accounts by id, as a
    merge does. Raises `MemberNotFound`; one that is merged meanwhile is looked for again.
    """
    member = await tx.one(lock_living_member, member_id=member_id)
    if member is None:
        raise MemberNotFound
    is_other_record = member.id != member_id
    if member.status is MemberStatus.MERGED or (
        # The id led here before the lock was ours; does it still?
        is_other_record and (await living(tx, member_id)).id != member.id
    ):
        raise TransientFailure("a member was merged or parted meanwhile")
    return member


async def acting(tx: Transaction, bearer: Bearer, *, now: datetime) -> Member:
    """The signed-in member, locked, for an operation that changes something.

    Raises `Unauthenticated` once the session was revoked or the account closed.
    """
    return (await _acting(tx, bearer, now))[0]


async def acting_recently(tx: Transaction, bearer: Bearer, *, now: datetime) -> Member:
    """As `acting`, for what decides whose account it is; raises `SignInAgain` too."""
    member, started_at = await _acting(tx, bearer, now)
    if started_at < now - RECENT_SIGN_IN:
        raise SignInAgain
    return member


async def by_ids(tx: Transaction, ids: list[UUID]) -> dict[UUID, Member]:
    return {row.id: row for row in await tx.all(members_by_id, ids=ids)}


def name_index_of(name: str | None) -> str | None:
    """The blind index of a name: to be written wherever the name is (SEC-1)."""
    return None if name is None else index_of(normal_name(name), "members.name")


async def create(tx: Transaction, *, group_id: UUID, name: str | None, now: datetime) -> Member:
    member = new_member(group_id=group_id, name=name, name_index=name_index_of(name), joined_at=now)
    await tx.insert(member)
    return member


async def change_profile(
    tx: Transaction, *, bearer: Bearer, change: ProfileChange, now: datetime
) -> Member:
    """The member edits their own profile (IDN-8). Raises `BirthdayFixed`, `UnknownAttribute`."""
    member = await acting(tx, bearer, now=now)
    attributes = await attributes_after(tx, member, change.attributes)
    if change.birthday is not None and change.birthday.isoformat() != member.birthday:
        require_birthday(change.birthday, now=now)
        edited = await tx.changed(
            edit_birthday_once, member_id=member.id, new_birthday=change.birthday.isoformat()
        )
        if not edited:
            raise BirthdayFixed
    name = member.name if change.name is None else change.name
    await tx.changed(
        update_profile,
        member_id=member.id,
        new_name=name,
        new_name_index=name_index_of(name),
        new_gender=change.gender or member.gender,
        new_region=member.region if change.region is None else change.region,
        new_attributes=attributes,
    )
    return await living(tx, member.id)


async def attributes_after(
    tx: Transaction, member: Member, given: dict[str, Any] | None
) -> dict[str, Any]:
    """The member's custom attributes with a change made to them; None takes a value away.

    Raises `UnknownAttribute`.
    """
    if not given:
        return dict(member.attributes)
    await _require_defined(tx, member.group_id, given)
    after = dict(member.attributes) | given
    return {key: value for key, value in after.items() if value is not None}


def require_birthday(birthday: date, *, now: datetime) -> None:
    """Raise `BadInput` for a day on which nobody alive can have been born."""
    if not now.year - OLDEST_AGE_YEARS < birthday.year <= now.year:
        raise BadInput("birthday is not a date somebody alive can have been born on.")


async def decide_consent(
    tx: Transaction, *, bearer: Bearer, purpose: str, version: str, is_given: bool, now: datetime
) -> Consent:
    """Write down a decision; earlier ones stay, and the latest of a purpose counts."""
    member = await acting(tx, bearer, now=now)
    consent = new_consent(
        member_id=member.id, purpose=purpose, version=version, is_given=is_given, decided_at=now
    )
    await tx.insert(consent)
    return consent


async def consents(tx: Transaction, *, member_id: UUID) -> list[Consent]:
    """The member's decisions, newest first."""
    return await tx.all(consents_of_member, member_id=member_id)


async def consents_in_force(tx: Transaction, member_ids: list[UUID]) -> dict[UUID, list[Consent]]:
    """The latest decision of each member about each purpose."""
    found: dict[UUID, list[Consent]] = {member_id: [] for member_id in member_ids}
    for consent in await tx.all(current_consents, member_ids=member_ids):
        found[consent.member_id].append(consent)
    return found


async def recruit(tx: Transaction, *, member_id: UUID, store_id: UUID) -> None:
    """The first store a member consumes or is given a card at recruits them, for good (CRD-7)."""
    await tx.changed(recruit_once, member_id=member_id, store_id=store_id)


async def attribute_definitions(tx: Transaction, *, group_id: UUID) -> list[AttributeDefinition]:
    return await tx.all(definitions_of_group, group_id=group_id)


async def attributes_defined(
    tx: Transaction, group_ids: list[UUID]
) -> dict[UUID, list[AttributeDefinition]]:
    """The attributes each of these groups defined, in the order they were."""
    found: dict[UUID, list[AttributeDefinition]] = {group_id: [] for group_id in group_ids}
    for definition in await tx.all(definitions_of_groups, group_ids=group_ids):
        found[definition.group_id].append(definition)
    return found


async def define_attribute(
    tx: Transaction, *, group_id: UUID, key: str, name: str, kind: AttributeKind, now: datetime
) -> AttributeDefinition:
    """Add a custom attribute to a group; raises `TooManyAttributes`."""
    defined = await attribute_definitions(tx, group_id=group_id)
    for definition in defined:
        if definition.key == key:
            return definition
    if len(defined) >= ATTRIBUTES_MAX:
        raise TooManyAttributes
    definition = new_definition(group_id=group_id, key=key, name=name, kind=kind, created_at=now)
    await tx.insert(definition)
    return definition


async def _acting(tx: Transaction, bearer: Bearer, now: datetime) -> tuple[Member, datetime]:
    try:
        member = await locked(tx, bearer.member_id)
    except MemberNotFound:
        raise Unauthenticated("This account is closed.") from None
    if member.status is not MemberStatus.ACTIVE:
        raise Unauthenticated("This account is closed.")
    started_at = await tx.one(
        session_start, session_id=bearer.session_id, member_id=member.id, now=now
    )
    if started_at is None:
        raise Unauthenticated("You have been signed out. Sign in again.")
    return member, started_at


async def _require_defined(tx: Transaction, group_id: UUID, given: dict[str, Any]) -> None:
    kinds = {row.key: row.kind for row in await attribute_definitions(tx, group_id=group_id)}
    for key, value in given.items():
        if key not in kinds or not (value is None or _fits(value, kinds[key])):
            raise UnknownAttribute(key)


def _fits(value: Any, kind: AttributeKind) -> bool:
    match kind:
        case AttributeKind.TEXT:
            return isinstance(value, str) and len(value) <= 500
        case AttributeKind.NUMBER:
            return type(value) is int
        case AttributeKind.DATE:
            try:
                return bool(date.fromisoformat(value))
            except (TypeError, ValueError):
                return False
