"""Templates as the back office makes, changes, lists and retires them (CPN-1)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, select, update

from app.core.db import Transaction, if_given, light, statement
from app.core.errors import BadInput
from app.core.ids import LARGEST_ID
from app.core.money import MINOR_UNIT_DIGITS
from app.core.texts import pattern_of
from app.models.coupons import CouponKind, CouponTemplate, CouponTerms, TemplateState
from app.models.organisation import Node
from app.models.staff import Permission
from app.services import audit, organisation, perspectives, versions
from app.services.actors import Actor
from app.services.coupons import details as template_details
from app.services.coupons import states
from app.services.coupons.details import TemplateDetails
from app.services.coupons.giving import CouponTemplateNotFound, templates_by_ids

TABLE: Any = CouponTemplate.__table__  # type: ignore[attr-defined]

# NO KEY UPDATE: coupons that only refer to the template do not wait for an edit of it.
lock_template = statement(
    select(CouponTemplate)
    .where(col(CouponTemplate.id) == bindparam("template_id"))
    .with_for_update(key_share=True),
    into=CouponTemplate,
)
_name_like = bindparam("name_like", type_=TABLE.c.name.type)
# By the name of the back office, or by the title that members read.
page_of_templates = statement(
    select(CouponTemplate)
    .join(CouponTerms, col(CouponTerms.id) == col(CouponTemplate.terms_id))
    .where(
        *perspectives.in_sight(CouponTemplate),
        col(CouponTemplate.id) < bindparam("before"),
        if_given("state", CouponTemplate.state),
        if_given("kind", CouponTemplate.kind),
        or_(
            _name_like.is_(None),
            col(CouponTemplate.name).ilike(_name_like, escape="\\"),
            col(CouponTerms.title).ilike(_name_like, escape="\\"),
        ),
    )
    .order_by(col(CouponTemplate.id).desc())
    .limit(bindparam("at_most")),
    into=CouponTemplate,
)


def _change(*names: str) -> Any:
    """Columns of a template set to new values, which makes its next version."""
    return statement(
        update(CouponTemplate)
        .where(col(CouponTemplate.id) == bindparam("template_id"))
        .values(
            version=col(CouponTemplate.version) + 1,
            changed_at=bindparam("new_changed_at"),
            **{name: bindparam(f"new_{name}", type_=TABLE.c[name].type) for name in names},
        )
        .returning(*TABLE.columns),
        into=CouponTemplate,
    )


change_template = _change("name", "terms_id", "claim_scope_id", "validity", "limit_per_member")
set_state = _change("state")
change_stock = _change("stock_left")
new_template = light(CouponTemplate)


async def of_group(tx: Transaction, *, group_id: UUID, template_id: UUID) -> CouponTemplate:
    """A template of the group; raises `CouponTemplateNotFound`."""
    found = (await templates_by_ids(tx, [template_id])).get(template_id)
    if found is None or found.group_id != group_id:
        raise CouponTemplateNotFound
    return found


async def seen_by(tx: Transaction, actor: Actor, *, template_id: UUID) -> CouponTemplate | None:
    """A template if it exists and the actor may read it (ORG-1)."""
    template = (await templates_by_ids(tx, [template_id])).get(template_id)
    return await perspectives.seen(tx, actor, Permission.COUPONS_READ, template)


async def page(
    tx: Transaction,
    actor: Actor,
    *,
    state: TemplateState | None = None,
    kind: CouponKind | None = None,
    search: str | None = None,
    before: UUID | None,
    limit: int,
) -> list[CouponTemplate]:
    """The templates made above or below where the actor may read them, newest first."""
    return await tx.all(
        page_of_templates,
        before=before or LARGEST_ID,
        **await perspectives.sight(tx, actor, Permission.COUPONS_READ),
        state=state,
        kind=kind,
        name_like=pattern_of("search", search, at_most=template_details.NAME_CHARS_MAX),
        at_most=limit,
    )


async def create(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    kind: CouponKind,
    currency: str,
    stock: int | None,
    details: TemplateDetails,
    now: datetime,
) -> CouponTemplate:
    """Draft a template under a perspective; `stock` None is without end (CPN-1).

    Raises `NodeNotFound`, `StoreGroupNotFound`, `AudienceNotFound`, `FileNotFound`.
    """
    perspective = await organisation.node(tx, perspective_id)
    actor.require(Permission.COUPONS_WRITE, perspective)
    if currency not in MINOR_UNIT_DIGITS:
        raise BadInput("currency is not an ISO 4217 code.")
    template_details.require_stock(stock)
    terms = await template_details.write_terms(
        tx, perspective=perspective, kind=kind, currency=currency, details=details
    )
    columns = await template_details.template_columns(
        tx, perspective=perspective, details=details, terms=terms
    )
    template = new_template(
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        kind=kind,
        currency=currency,
        stock_left=stock,
        created_at=now,
        changed_at=now,
        **columns,
    )
    await tx.insert(template)
    await _record(tx, actor, "coupon_template.create", template, now, terms=terms.id, stock=stock)
    return template


async def change(
    tx: Transaction,
    actor: Actor,
    *,
    template_id: UUID,
    expected_version: int,
    details: TemplateDetails,
    now: datetime,
) -> CouponTemplate:
    """Let coupons issued from now on promise something else; nobody's coupon changes.

    Raises `CouponTemplateNotFound`, `CouponNotEditable`, `EditedMeanwhile`, and what `create` does.
    """
    template, perspective = await _locked_for(tx, actor, template_id)
    states.require_editable(template.state)
    versions.require_version(template.version, expected=expected_version)
    terms = await template_details.write_terms(
        tx, perspective=perspective, kind=template.kind, currency=template.currency,
        details=details,
    )  # fmt: skip
    columns = await template_details.template_columns(
        tx, perspective=perspective, details=details, terms=terms
    )
    new_values = {f"new_{name}": value for name, value in columns.items()}
    changed = await _changed(
        tx, change_template, template_id=template.id, new_changed_at=now, **new_values
    )
    await _record(tx, actor, "coupon_template.update", changed, now, terms=terms.id)
    return changed


async def move(
    tx: Transaction, actor: Actor, *, template_id: UUID, state: TemplateState, now: datetime
) -> CouponTemplate:
    """Activate, deactivate or archive a template; its coupons stay as good as they are.

    Raises `CouponTemplateNotFound`, `CouponStateUnchangeable`.
    """
    template, _ = await _locked_for(tx, actor, template_id)
    states.require_move(template.state, state)
    moved = await _changed(
        tx, set_state, template_id=template.id, new_state=state, new_changed_at=now
    )
    await _record(tx, actor, f"coupon_template.{states.MOVE_WORDS[state]}", moved, now)
    return moved


async def set_stock(
    tx: Transaction,
    actor: Actor,
    *,
    template_id: UUID,
    expected_version: int,
    stock: int | None,
    now: datetime,
) -> CouponTemplate:
    """How many can still be issued from now on, also while it is active; None is without end.

    Raises `CouponTemplateNotFound`, `EditedMeanwhile`, and `CouponNotEditable` for an archived one.
    """
    template_details.require_stock(stock)
    template, _ = await _locked_for(tx, actor, template_id)
    if template.state is TemplateState.ARCHIVED:
        raise states.CouponNotEditable(template.state)
    versions.require_version(template.version, expected=expected_version)
    changed = await _changed(
        tx, change_stock, template_id=template.id, new_stock_left=stock, new_changed_at=now
    )
    await _record(
        tx, actor, "coupon_template.stock", changed, now, was=template.stock_left, became=stock
    )
    return changed


async def _changed(tx: Transaction, change: Any, **values: Any) -> CouponTemplate:
    changed: CouponTemplate | None = await tx.one(change, **values)
    assert changed is not None, "a template is never deleted"
    return changed


async def _locked_for(
    tx: Transaction, actor: Actor, template_id: UUID
) -> tuple[CouponTemplate, Node]:
    """A template the actor may change, which nobody else does meanwhile, and its perspective."""
    template = await tx.one(lock_template, template_id=template_id)
    if template is None or template.group_id != actor.group_id:
        raise CouponTemplateNotFound
    perspective = await organisation.node(tx, template.perspective_id)
    actor.require(Permission.COUPONS_WRITE, perspective)
    return template, perspective


async def _record(
    tx: Transaction, actor: Actor, action: str, of: CouponTemplate, now: datetime, **details: Any
) -> None:
    await audit.record(
        tx, actor, action, object_kind="coupon_template", object_id=of.id,
        node_id=of.perspective_id, now=now, version=of.version, **details,
    )  # fmt: skip
