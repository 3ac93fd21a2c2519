"""The schools that staff add to the shipped list, or take out of it (STU-1)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, delete, func, select, update

from app.core.db import Transaction, any_of, light, statement
from app.core.errors import BadInput, DomainError
from app.core.ids import SMALLEST_ID
from app.core.texts import checked_text
from app.models.staff import Permission
from app.models.student_ids import Institution, InstitutionDomain
from app.services import audit, organisation, versions
from app.services.actors import Actor
from app.services.student_ids.schools import INSTITUTIONS_MAX, is_free_for_all, normal_domain

NAME_CHARS_MAX = 200
DOMAINS_MAX = 20
"""Of one school."""

institutions_of_group = statement(
    select(Institution)
    .where(
        col(Institution.group_id) == bindparam("group_id"), col(Institution.id) > bindparam("after")
    )
    .order_by(col(Institution.id))
    .limit(bindparam("at_most")),
    into=Institution,
)
domains_of = statement(
    select(InstitutionDomain)
    .where(any_of(col(InstitutionDomain.institution_id), "institution_ids"))
    .order_by(col(InstitutionDomain.institution_id), col(InstitutionDomain.domain)),
    into=InstitutionDomain,
)
number_listed = statement(
    select(func.count())
    .select_from(Institution)
    .where(col(Institution.group_id) == bindparam("group_id")),
    into=int,
)
namesake = statement(
    select(Institution.id).where(
        col(Institution.group_id) == bindparam("group_id"),
        col(Institution.name) == bindparam("name"),
    ),
    into=UUID,
)
domains_taken = statement(
    select(InstitutionDomain)
    .where(
        col(InstitutionDomain.group_id) == bindparam("group_id"),
        any_of(col(InstitutionDomain.domain), "domains"),
    )
    .order_by(col(InstitutionDomain.domain)),
    into=InstitutionDomain,
)
lock_institution = statement(
    select(Institution).where(col(Institution.id) == bindparam("institution_id")).with_for_update(),
    into=Institution,
)
change_institution = statement(
    update(Institution)
    .where(col(Institution.id) == bindparam("institution_id"))
    .values(
        name=bindparam("new_name"),
        is_accepted=bindparam("new_is_accepted"),
        version=col(Institution.version) + 1,
    )
    .returning(*Institution.__table__.columns),  # type: ignore[attr-defined]
    into=Institution,
)
remove_domains = statement(
    delete(InstitutionDomain).where(
        col(InstitutionDomain.institution_id) == bindparam("institution_id")
    )
)
remove_institution = statement(
    delete(Institution).where(col(Institution.id) == bindparam("institution_id"))
)
new_institution = light(Institution)
new_domain = light(InstitutionDomain)


class InstitutionNotFound(DomainError):
    """No such institution among those that the group listed itself."""

    def __init__(self) -> None:
        super().__init__("There is no such institution.")


class InstitutionTaken(DomainError):
    """The group listed the name, or one of the domains, already."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{what} is listed already.")


class TooManyInstitutions(DomainError):
    """The group listed as many schools as it can."""

    def __init__(self) -> None:
        self.at_most = INSTITUTIONS_MAX
        super().__init__(f"A group can list at most {INSTITUTIONS_MAX} institutions of its own.")


async def page(
    tx: Transaction, actor: Actor, *, after: UUID | None, limit: int
) -> list[Institution]:
    """The institutions that the actor's group listed, oldest first."""
    actor.require_any(Permission.STUDENTS_READ)
    return await tx.all(
        institutions_of_group, group_id=actor.group_id, after=after or SMALLEST_ID, at_most=limit
    )


async def domains(tx: Transaction, institution_ids: list[UUID]) -> dict[UUID, list[str]]:
    """The domains of each of these institutions, by name."""
    found: dict[UUID, list[str]] = {each: [] for each in institution_ids}
    for row in await tx.all(domains_of, institution_ids=institution_ids):
        found[row.institution_id].append(row.domain)
    return found


async def create(
    tx: Transaction,
    actor: Actor,
    *,
    name: str,
    domains: list[str],
    is_accepted: bool,
    now: datetime,
) -> Institution:
    """List an institution, or refuse one that the shipped list has.

    Raises `InstitutionTaken`, `TooManyInstitutions`.
    """
    await _require_may_write(tx, actor)
    wanted = _checked_domains(domains, is_accepted)
    name = checked_text("name", name, at_most=NAME_CHARS_MAX)
    if (await tx.one(number_listed, group_id=actor.group_id) or 0) >= INSTITUTIONS_MAX:
        raise TooManyInstitutions
    row = new_institution(
        group_id=actor.group_id, name=name, is_accepted=is_accepted, created_at=now
    )
    await _require_free(tx, actor, name, wanted, own_id=row.id)
    await tx.insert(row, *_rows(row, wanted))
    await _record(tx, actor, "institution.create", row, wanted, now)
    return row


async def change(
    tx: Transaction,
    actor: Actor,
    *,
    institution_id: UUID,
    expected_version: int,
    name: str,
    domains: list[str],
    is_accepted: bool,
    now: datetime,
) -> Institution:
    """Let an institution have another name or other domains; who is verified stays so.

    Raises `InstitutionNotFound`, `EditedMeanwhile`, `InstitutionTaken`.
    """
    row = await _locked(tx, actor, institution_id)
    versions.require_version(row.version, expected=expected_version)
    wanted = _checked_domains(domains, is_accepted)
    name = checked_text("name", name, at_most=NAME_CHARS_MAX)
    await _require_free(tx, actor, name, wanted, own_id=row.id)
    changed = await tx.one(
        change_institution, institution_id=row.id, new_name=name, new_is_accepted=is_accepted
    )
    assert changed is not None, "it is locked"
    await tx.changed(remove_domains, institution_id=row.id)
    await tx.insert(*_rows(changed, wanted))
    await _record(tx, actor, "institution.update", changed, wanted, now)
    return changed


async def remove(
    tx: Transaction, actor: Actor, *, institution_id: UUID, now: datetime
) -> Institution:
    """Drop what the group says about an institution; the shipped list counts again.

    Raises `InstitutionNotFound`.
    """
    row = await _locked(tx, actor, institution_id)
    dropped = (await domains(tx, [row.id]))[row.id]
    await tx.changed(remove_domains, institution_id=row.id)
    await tx.changed(remove_institution, institution_id=row.id)
    await _record(tx, actor, "institution.delete", row, dropped, now)
    return row


async def _require_may_write(tx: Transaction, actor: Actor) -> None:
    """The list is the whole group's, so it takes the permission at the group."""
    actor.require(Permission.STUDENTS_WRITE, await organisation.node(tx, actor.group_id))


async def _locked(tx: Transaction, actor: Actor, institution_id: UUID) -> Institution:
    await _require_may_write(tx, actor)
    row = await tx.one(lock_institution, institution_id=institution_id)
    if row is None or row.group_id != actor.group_id:
        raise InstitutionNotFound
    return row


def _checked_domains(given: list[str], is_accepted: bool) -> list[str]:
    """The domains as they are kept, each once; raises `BadInput`."""
    if not 1 <= len(given) <= DOMAINS_MAX:
        raise BadInput(f"An institution has 1 to {DOMAINS_MAX} domains.")
    wanted = sorted({normal_domain(each) for each in given})
    for each in wanted:
        if is_accepted and is_free_for_all(each):
            raise BadInput(f"Anybody can have an address at {each}.")
    return wanted


async def _require_free(
    tx: Transaction, actor: Actor, name: str, wanted: list[str], *, own_id: UUID
) -> None:
    if await tx.one(namesake, group_id=actor.group_id, name=name) not in {None, own_id}:
        raise InstitutionTaken(name)
    for taken in await tx.all(domains_taken, group_id=actor.group_id, domains=wanted):
        if taken.institution_id != own_id:
            raise InstitutionTaken(taken.domain)


def _rows(institution: Institution, wanted: list[str]) -> list[InstitutionDomain]:
    return [
        new_domain(group_id=institution.group_id, institution_id=institution.id, domain=each)
        for each in wanted
    ]


async def _record(
    tx: Transaction,
    actor: Actor,
    action: str,
    row: Institution,
    named: list[str],
    now: datetime,
) -> None:
    said: dict[str, Any] = {"name": row.name, "domains": named, "is_accepted": row.is_accepted}
    await audit.record(
        tx, actor, action, object_kind="institution", object_id=row.id, now=now, **said
    )
