"""Packs: coupons that are given together (CPN-2)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, delete, select, update

from app.core.db import Transaction, if_given, light, statement
from app.core.errors import BadInput
from app.core.ids import LARGEST_ID
from app.core.texts import checked_paragraphs, checked_text, pattern_of
from app.models.coupons import CouponPack, CouponPackItem, TemplateState
from app.models.organisation import Node
from app.models.staff import Permission
from app.services import audit, organisation, perspectives, schemes, versions
from app.services.actors import Actor
from app.services.coupons import giving, states
from app.services.coupons.details import INSTRUCTIONS_CHARS_MAX, NAME_CHARS_MAX, TITLE_CHARS_MAX
from app.services.coupons.giving import COUNT_MAX, CouponPackNotFound, CouponTemplateNotFound

TABLE: Any = CouponPack.__table__  # type: ignore[attr-defined]
ITEMS_MAX = 20

lock_pack = statement(
    select(CouponPack)
    .where(col(CouponPack.id) == bindparam("pack_id"))
    .with_for_update(key_share=True),
    into=CouponPack,
)
_name_like = bindparam("name_like", type_=TABLE.c.name.type)
page_of_packs = statement(
    select(CouponPack)
    .where(
        *perspectives.in_sight(CouponPack),
        col(CouponPack.id) < bindparam("before"),
        if_given("state", CouponPack.state),
        or_(
            _name_like.is_(None),
            col(CouponPack.name).ilike(_name_like, escape="\\"),
            col(CouponPack.title).ilike(_name_like, escape="\\"),
        ),
    )
    .order_by(col(CouponPack.id).desc())
    .limit(bindparam("at_most")),
    into=CouponPack,
)


def _change(*names: str) -> Any:
    """Columns of a pack set to new values, which makes its next version."""
    return statement(
        update(CouponPack)
        .where(col(CouponPack.id) == bindparam("pack_id"))
        .values(
            version=col(CouponPack.version) + 1,
            changed_at=bindparam("new_changed_at"),
            **{name: bindparam(f"new_{name}", type_=TABLE.c[name].type) for name in names},
        )
        .returning(*TABLE.columns),
        into=CouponPack,
    )


change_pack = _change("name", "title", "description")
set_state = _change("state")
remove_items = statement(
    delete(CouponPackItem).where(col(CouponPackItem.pack_id) == bindparam("pack_id"))
)
new_pack = light(CouponPack)
new_item = light(CouponPackItem)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackDetails:
    """All that can be edited of a pack: its templates, and how many coupons of each."""

    name: str
    title: str
    contents: tuple[tuple[UUID, int], ...]
    description: str | None = None


async def of_group(tx: Transaction, *, group_id: UUID, pack_id: UUID) -> CouponPack:
    """A pack of the group; raises `CouponPackNotFound`."""
    found = (await giving.packs_by_ids(tx, [pack_id])).get(pack_id)
    if found is None or found.group_id != group_id:
        raise CouponPackNotFound
    return found


async def seen_by(tx: Transaction, actor: Actor, *, pack_id: UUID) -> CouponPack | None:
    """A pack if it exists and the actor may read it (ORG-1)."""
    pack = (await giving.packs_by_ids(tx, [pack_id])).get(pack_id)
    return await perspectives.seen(tx, actor, Permission.COUPONS_READ, pack)


async def page(
    tx: Transaction,
    actor: Actor,
    *,
    state: TemplateState | None = None,
    search: str | None = None,
    before: UUID | None,
    limit: int,
) -> list[CouponPack]:
    """The packs made above or below where the actor may read them, newest first."""
    return await tx.all(
        page_of_packs,
        before=before or LARGEST_ID,
        **await perspectives.sight(tx, actor, Permission.COUPONS_READ),
        state=state,
        name_like=pattern_of("search", search, at_most=NAME_CHARS_MAX),
        at_most=limit,
    )


async def create(
    tx: Transaction, actor: Actor, *, perspective_id: UUID, details: PackDetails, now: datetime
) -> CouponPack:
    """Draft a pack under a perspective. Raises `NodeNotFound`, `CouponTemplateNotFound`."""
    perspective = await organisation.node(tx, perspective_id)
    actor.require(Permission.COUPONS_WRITE, perspective)
    await _require_contents(tx, perspective, details)
    pack = new_pack(
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        created_at=now,
        changed_at=now,
        **_columns(details),
    )
    await tx.insert(pack, *_items(pack.id, details))
    await _record(tx, actor, "coupon_pack.create", pack, now, contents=_told(details))
    return pack


async def change(
    tx: Transaction,
    actor: Actor,
    *,
    pack_id: UUID,
    expected_version: int,
    details: PackDetails,
    now: datetime,
) -> CouponPack:
    """Let a pack bring something else from now on.

    Raises `CouponPackNotFound`, `CouponNotEditable`, `EditedMeanwhile`, `CouponTemplateNotFound`.
    """
    pack, perspective = await _locked_for(tx, actor, pack_id)
    states.require_editable(pack.state)
    versions.require_version(pack.version, expected=expected_version)
    await _require_contents(tx, perspective, details)
    new_values = {f"new_{name}": value for name, value in _columns(details).items()}
    changed: CouponPack | None = await tx.one(
        change_pack, pack_id=pack.id, new_changed_at=now, **new_values
    )
    assert changed is not None, "a pack is never deleted"
    await tx.changed(remove_items, pack_id=pack.id)
    await tx.insert(*_items(pack.id, details))
    await _record(tx, actor, "coupon_pack.update", changed, now, contents=_told(details))
    return changed


async def move(
    tx: Transaction, actor: Actor, *, pack_id: UUID, state: TemplateState, now: datetime
) -> CouponPack:
    """Activate, deactivate or archive a pack.

    Raises `CouponPackNotFound`, `CouponStateUnchangeable`.
    """
    pack, _ = await _locked_for(tx, actor, pack_id)
    states.require_move(pack.state, state)
    moved: CouponPack | None = await tx.one(
        set_state, pack_id=pack.id, new_state=state, new_changed_at=now
    )
    assert moved is not None, "a pack is never deleted"
    await _record(tx, actor, f"coupon_pack.{states.MOVE_WORDS[state]}", moved, now)
    return moved


async def _locked_for(tx: Transaction, actor: Actor, pack_id: UUID) -> tuple[CouponPack, Node]:
    pack = await tx.one(lock_pack, pack_id=pack_id)
    if pack is None or pack.group_id != actor.group_id:
        raise CouponPackNotFound
    perspective = await organisation.node(tx, pack.perspective_id)
    actor.require(Permission.COUPONS_WRITE, perspective)
    return pack, perspective


async def _require_contents(tx: Transaction, perspective: Node, details: PackDetails) -> None:
    """Raise unless the pack can hold this: templates near its perspective that are not put away."""
    template_ids = [template_id for template_id, _ in details.contents]
    if not 1 <= len(template_ids) <= ITEMS_MAX:
        raise BadInput(f"A pack holds coupons of 1 to {ITEMS_MAX} templates.")
    if len(set(template_ids)) < len(template_ids):
        raise BadInput("A pack names each template once.")
    if not all(1 <= number <= COUNT_MAX for _, number in details.contents):
        raise BadInput(f"count must be between 1 and {COUNT_MAX}.")
    if sum(number for _, number in details.contents) > giving.COUPONS_AT_ONCE_MAX:
        raise BadInput(f"A pack holds at most {giving.COUPONS_AT_ONCE_MAX} coupons.")
    found = await giving.templates_by_ids(tx, template_ids)
    places = await organisation.nodes(tx, list({row.perspective_id for row in found.values()}))
    for template_id in template_ids:
        template = found.get(template_id)
        if (
            template is None
            or template.group_id != perspective.group_id
            or template.state is TemplateState.ARCHIVED
            or not schemes.touches([perspective], places[template.perspective_id])
        ):
            raise CouponTemplateNotFound


def _columns(details: PackDetails) -> dict[str, Any]:
    text = details.description
    return {
        "name": checked_text("name", details.name, at_most=NAME_CHARS_MAX),
        "title": checked_text("title", details.title, at_most=TITLE_CHARS_MAX),
        "description": None
        if text is None
        else checked_paragraphs("description", text, at_most=INSTRUCTIONS_CHARS_MAX),
    }


def _items(pack_id: UUID, details: PackDetails) -> list[CouponPackItem]:
    return [
        new_item(pack_id=pack_id, template_id=template_id, position=position, number=number)
        for position, (template_id, number) in enumerate(details.contents)
    ]


def _told(details: PackDetails) -> list[str]:
    """For the audit trail."""
    return [f"{number} × {template_id}" for template_id, number in details.contents]


async def _record(
    tx: Transaction, actor: Actor, action: str, of: CouponPack, now: datetime, **details: Any
) -> None:
    await audit.record(
        tx, actor, action, object_kind="coupon_pack", object_id=of.id, node_id=of.perspective_id,
        now=now, version=of.version, **details,
    )  # fmt: skip
