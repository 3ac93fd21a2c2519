"""Purchase agreements, terms and FAQs: versions that stay, and who accepted which (BEN-9)."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, if_given, light, statement
from app.core.errors import BadInput, DomainError
from app.core.ids import LARGEST_ID
from app.core.texts import checked_paragraphs, checked_text
from app.models.organisation import Node
from app.models.packages import (
    Agreement,
    AgreementAcceptance,
    AgreementKind,
    AgreementVersion,
)
from app.models.staff import Permission
from app.services import audit, organisation, perspectives, scopes, versions
from app.services.actors import Actor

TABLE: Any = Agreement.__table__  # type: ignore[attr-defined]
TITLE_CHARS_MAX = 120
BODY_CHARS_MAX = 50_000
ACCEPTED_MAX = 10
"""More versions than any package asks for are no acceptance of it."""

agreements_by_id = statement(select(Agreement).where(any_of(col(Agreement.id), "ids")), Agreement)
# NO KEY UPDATE: packages that only refer to it do not wait for a new version.
lock_agreement = statement(
    select(Agreement)
    .where(col(Agreement.id) == bindparam("agreement_id"))
    .with_for_update(key_share=True),
    into=Agreement,
)
page_of_agreements = statement(
    select(Agreement)
    .where(
        *perspectives.in_sight(Agreement),
        col(Agreement.id) < bindparam("before"),
        if_given("kind", Agreement.kind),
    )
    .order_by(col(Agreement.id).desc())
    .limit(bindparam("at_most")),
    into=Agreement,
)
next_version = statement(
    update(Agreement)
    .where(col(Agreement.id) == bindparam("agreement_id"))
    .values(
        version=col(Agreement.version) + 1,
        title=bindparam("new_title"),
        changed_at=bindparam("new_changed_at"),
    )
    .returning(*TABLE.columns),
    into=Agreement,
)
current_versions = statement(
    select(AgreementVersion)
    .join(
        Agreement,
        (col(Agreement.id) == col(AgreementVersion.agreement_id))
        & (col(Agreement.version) == col(AgreementVersion.version)),
    )
    .where(any_of(col(AgreementVersion.agreement_id), "agreement_ids")),
    into=AgreementVersion,
)
page_of_versions = statement(
    select(AgreementVersion)
    .where(
        col(AgreementVersion.agreement_id) == bindparam("agreement_id"),
        col(AgreementVersion.id) < bindparam("before"),
    )
    .order_by(col(AgreementVersion.id).desc())
    .limit(bindparam("at_most")),
    into=AgreementVersion,
)


class Acceptance(NamedTuple):
    """A version that was accepted with an order, and what it says."""

    order_id: UUID
    agreement_id: UUID
    version: int
    accepted_at: datetime
    kind: AgreementKind
    title: str
    body: str


acceptances_of_orders = statement(
    select(  # type: ignore[call-overload]  # SQLModel types up to four columns
        AgreementAcceptance.order_id,
        AgreementAcceptance.agreement_id,
        AgreementAcceptance.version,
        AgreementAcceptance.accepted_at,
        Agreement.kind,
        AgreementVersion.title,
        AgreementVersion.body,
    )
    .join(Agreement, col(Agreement.id) == col(AgreementAcceptance.agreement_id))
    .join(
        AgreementVersion,
        (col(AgreementVersion.agreement_id) == col(AgreementAcceptance.agreement_id))
        & (col(AgreementVersion.version) == col(AgreementAcceptance.version)),
    )
    .where(any_of(col(AgreementAcceptance.order_id), "order_ids"))
    .order_by(col(AgreementAcceptance.id)),
    into=Acceptance,
)
new_agreement = light(Agreement)
new_version = light(AgreementVersion)
new_acceptance = light(AgreementAcceptance)


class AgreementNotFound(DomainError):
    """No such agreement where this is made, or one of another kind."""

    def __init__(self) -> None:
        super().__init__("There is no such agreement.")


class AgreementChanged(DomainError):
    """The member has not accepted what is current; `current` is all that has to be accepted."""

    def __init__(self, current: list[AgreementVersion]) -> None:
        self.current = current
        super().__init__("Please read the agreement as it is now, and accept it.")


class Accepted(NamedTuple):
    """What a member says to have accepted."""

    agreement_id: UUID
    version: int


async def by_ids(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Agreement]:
    return {row.id: row for row in await tx.all(agreements_by_id, ids=list(ids))}


async def current(tx: Transaction, agreement_ids: Collection[UUID]) -> dict[UUID, AgreementVersion]:
    """What each agreement says now."""
    found = await tx.all(current_versions, agreement_ids=list(agreement_ids))
    return {row.agreement_id: row for row in found}


async def seen_by(tx: Transaction, actor: Actor, *, agreement_id: UUID) -> Agreement | None:
    """An agreement if it exists and the actor may read it (ORG-1)."""
    found = (await by_ids(tx, [agreement_id])).get(agreement_id)
    return await perspectives.seen(tx, actor, Permission.PACKAGES_READ, found)


async def page(
    tx: Transaction, actor: Actor, *, kind: AgreementKind | None, before: UUID | None, limit: int
) -> list[Agreement]:
    """The agreements made above or below where the actor may read them, newest first."""
    return await tx.all(
        page_of_agreements,
        before=before or LARGEST_ID,
        **await perspectives.sight(tx, actor, Permission.PACKAGES_READ),
        kind=kind,
        at_most=limit,
    )


async def versions_page(
    tx: Transaction, actor: Actor, *, agreement_id: UUID, before: UUID | None, limit: int
) -> list[AgreementVersion]:
    """What an agreement said, newest first; nothing of one that the actor may not read."""
    found = await seen_by(tx, actor, agreement_id=agreement_id)
    if found is None:
        return []
    return await tx.all(
        page_of_versions, agreement_id=found.id, before=before or LARGEST_ID, at_most=limit
    )


async def create(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    kind: AgreementKind,
    title: str,
    body: str,
    now: datetime,
) -> Agreement:
    """Publish the first version of an agreement; raises `NodeNotFound`."""
    perspective = await organisation.node(tx, perspective_id)
    actor.require(Permission.PACKAGES_WRITE, perspective)
    title, body = _checked(title, body)
    agreement = new_agreement(
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        kind=kind,
        title=title,
        created_at=now,
        changed_at=now,
    )
    await tx.insert(agreement)
    await _publish(tx, actor, agreement, body, "agreement.create", now)
    return agreement


async def revise(
    tx: Transaction,
    actor: Actor,
    *,
    agreement_id: UUID,
    expected_version: int,
    title: str,
    body: str,
    now: datetime,
) -> Agreement:
    """Publish the next version: whoever buys from now on accepts this one (BEN-9).

    Raises `AgreementNotFound`, `EditedMeanwhile`.
    """
    title, body = _checked(title, body)
    found = await tx.one(lock_agreement, agreement_id=agreement_id)
    if found is None or found.group_id != actor.group_id:
        raise AgreementNotFound
    actor.require(Permission.PACKAGES_WRITE, await organisation.node(tx, found.perspective_id))
    versions.require_version(found.version, expected=expected_version)
    revised = await tx.one(next_version, agreement_id=found.id, new_title=title, new_changed_at=now)
    assert revised is not None, "an agreement is never deleted"
    await _publish(tx, actor, revised, body, "agreement.revise", now)
    return revised


async def require_usable(
    tx: Transaction, *, perspective: Node, wanted: dict[AgreementKind, UUID | None]
) -> None:
    """Raise `AgreementNotFound` unless each is of its kind, and made here or above."""
    ids = [agreement_id for agreement_id in wanted.values() if agreement_id is not None]
    found = await by_ids(tx, ids) if ids else {}
    above = scopes.lineage_of(perspective)
    for kind, agreement_id in wanted.items():
        if agreement_id is None:
            continue
        agreement = found.get(agreement_id)
        if agreement is None or agreement.kind is not kind or agreement.perspective_id not in above:
            raise AgreementNotFound


async def require_accepted(
    tx: Transaction, *, agreement_ids: Sequence[UUID], accepted: Sequence[Accepted]
) -> list[Accepted]:
    """What was accepted of these agreements; raises `AgreementChanged` unless that is the current
    version of each."""
    if len(accepted) > ACCEPTED_MAX:
        raise BadInput(f"accepted can name at most {ACCEPTED_MAX} agreements.")
    if not agreement_ids:
        return []
    found = await current(tx, agreement_ids)
    needed = [Accepted(i, found[i].version) for i in agreement_ids]
    if not set(needed) <= set(accepted):
        raise AgreementChanged([found[i] for i in agreement_ids])
    return needed


async def record(
    tx: Transaction, *, order_id: UUID, member_id: UUID, accepted: Sequence[Accepted], now: datetime
) -> None:
    """Write down what a member accepted with an order."""
    await tx.insert(
        *(
            new_acceptance(
                order_id=order_id,
                member_id=member_id,
                agreement_id=each.agreement_id,
                version=each.version,
                accepted_at=now,
            )
            for each in accepted
        )
    )


async def accepted_with(
    tx: Transaction, order_ids: Collection[UUID]
) -> dict[UUID, list[Acceptance]]:
    """What was accepted with each of these orders."""
    found: dict[UUID, list[Acceptance]] = {order_id: [] for order_id in order_ids}
    for each in await tx.all(acceptances_of_orders, order_ids=list(order_ids)):
        found[each.order_id].append(each)
    return found


def _checked(title: str, body: str) -> tuple[str, str]:
    return (
        checked_text("title", title, at_most=TITLE_CHARS_MAX),
        checked_paragraphs("body", body, at_most=BODY_CHARS_MAX),
    )


async def _publish(
    tx: Transaction, actor: Actor, agreement: Agreement, body: str, action: str, now: datetime
) -> None:
    await tx.insert(
        new_version(
            agreement_id=agreement.id,
            version=agreement.version,
            title=agreement.title,
            body=body,
            published_by_id=actor.id,
            published_at=now,
        )
    )
    await audit.record(
        tx, actor, action, object_kind="agreement", object_id=agreement.id,
        node_id=agreement.perspective_id, now=now, version=agreement.version,
    )  # fmt: skip
