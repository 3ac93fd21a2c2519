"""The audit log, for those who may read it (SEC-3)."""

from datetime import datetime

import strawberry

from app.core.errors import BadInput
from app.core.ids import any_type_id
from app.models.staff import Permission
from app.services import audit
from auth.permissions import Needs
from schema.audit import AuditFilter, AuditRecord, Filter
from schema.context import Info
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Needs(Permission.AUDIT_READ)],
        description="What staff and partners did where the asker may read the log, newest first.",
    )
    async def audit_records(
        self,
        info: Info,
        filter: Filter = None,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
    ) -> Connection[AuditRecord]:
        wanted = filter or AuditFilter()
        rows = await info.context.read(
            audit.search,
            await info.context.actor(),
            actor_id=any_type_id(wanted.actor_id) if wanted.actor_id else None,
            object_id=any_type_id(wanted.object_id) if wanted.object_id else None,
            action=wanted.action,
            from_moment=_aware("recordedFrom", wanted.recorded_from),
            to_moment=_aware("recordedBefore", wanted.recorded_before),
            before=row_after(after),
            at_most=page_limit(first),
        )
        return Connection[AuditRecord].of(rows, first, AuditRecord.of)


def _aware(name: str, moment: datetime | None) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        raise BadInput(f"{name} needs an offset from UTC, such as Z.")
    return moment
