"""From when on packages count, for a whole group (BEN-7)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Transaction, every_column, light, statement, upsert, values_of
from app.models.packages import PackageSettings, ValidityRule
from app.models.staff import Permission
from app.services import audit, organisation, versions
from app.services.actors import Actor

TABLE: Any = PackageSettings.__table__  # type: ignore[attr-defined]

settings_of_group = statement(
    select(PackageSettings).where(col(PackageSettings.group_id) == bindparam("group_id")),
    into=PackageSettings,
)
# Of two that begin with the same version the second finds another one, and changes nothing.
put_settings = upsert(
    lambda insert: (
        insert(PackageSettings)
        .values(every_column(PackageSettings))
        .on_conflict_do_update(
            index_elements=["group_id"],
            set_={
                name: bindparam(name, type_=TABLE.c[name].type)
                for name in ("validity_rule", "version", "changed_at")
            },
            where=col(PackageSettings.version)
            == bindparam("version", type_=TABLE.c.version.type) - 1,
        )
    )
)
new_settings = light(PackageSettings)


async def settings(tx: Transaction, *, group_id: UUID, now: datetime) -> PackageSettings:
    """A group's settings, or those of one that set none: version 0, at once."""
    found = await tx.one(settings_of_group, group_id=group_id)
    return found or new_settings(
        group_id=group_id, validity_rule=ValidityRule.IMMEDIATE, version=0, changed_at=now
    )


async def set_settings(
    tx: Transaction,
    actor: Actor,
    *,
    expected_version: int,
    validity_rule: ValidityRule,
    now: datetime,
) -> PackageSettings:
    """Count by another rule from now on; what was bought keeps its time (BEN-7).

    For those who set packages up for the whole group. Raises `EditedMeanwhile`.
    """
    group = await organisation.node(tx, actor.group_id)
    actor.require(Permission.PACKAGES_WRITE, group)
    before = await settings(tx, group_id=group.id, now=now)
    versions.require_version(before.version, expected=expected_version)
    wanted = new_settings(
        group_id=group.id,
        validity_rule=validity_rule,
        version=before.version + 1,
        changed_at=now,
    )
    if not await tx.changed(put_settings, **values_of(wanted)):
        raise versions.EditedMeanwhile(before.version + 1)
    await audit.record(
        tx, actor, "package_settings.set", object_kind="node", object_id=group.id,
        node_id=group.id, now=now, was=before.validity_rule, became=validity_rule,
    )  # fmt: skip
    return wanted
