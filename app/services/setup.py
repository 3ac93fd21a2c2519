"""The first steps of a deployment: its group and the first person who may act in it (ORG-1)."""

from datetime import datetime
from typing import NamedTuple

from app.core.db import Transaction, values_of
from app.core.errors import DomainError
from app.core.ids import new_id
from app.core.texts import checked_text
from app.models.organisation import Node, NodeKind
from app.models.staff import Staff
from app.services import organisation, roles, staff


class GroupExists(DomainError):
    """The deployment has its group already."""

    def __init__(self, code: str) -> None:
        super().__init__(f"There is already a group with the code {code!r}.")


class Founded(NamedTuple):
    """A new group and its owner."""

    group: Node
    owner: Staff


async def found_group(
    tx: Transaction,
    *,
    code: str,
    name: str,
    time_zone: str,
    owner_name: str,
    owner_email: str,
    owner_password_hash: str,
    now: datetime,
) -> Founded:
    """Create a group with the built-in roles and one owner, who can make everything else.

    Nobody acts yet, so no permission is asked for. Raises `GroupExists`, `EmailTaken`.
    """
    if await organisation.group_of_code(tx, code=code):
        raise GroupExists(code)
    group_id = new_id()
    group = organisation.new_node(
        id=group_id,
        group_id=group_id,
        kind=NodeKind.GROUP,
        code=checked_text("code", code, at_most=organisation.CODE_CHARS_MAX),
        name=checked_text("name", name, at_most=organisation.NAME_CHARS_MAX),
        time_zone=organisation.checked_time_zone(time_zone),
        created_at=now,
    )
    await tx.changed(organisation.insert_node, **values_of(group))
    await roles.ensure_built_in(tx, group_id=group.id)
    owner = await staff.add(
        tx,
        group_id=group.id,
        name=owner_name,
        email=owner_email,
        password_hash=owner_password_hash,
        now=now,
    )
    role = await roles.built_in(tx, group_id=group.id, name="owner")
    await staff.give(tx, staff_id=owner.id, role_id=role.id, node_id=group.id, now=now)
    return Founded(group, owner)
