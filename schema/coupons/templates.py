"""Templates and packs, as the back office sees them (CPN-1, CPN-2)."""

from datetime import date, datetime
from typing import Annotated, Self, assert_never
from uuid import UUID

import strawberry

from app.core.ids import type_id
from app.models import coupons as rows
from app.models.coupons import CouponKind, TemplateState
from app.services.coupons import states, validity
from schema.context import Info
from schema.coupons.terms import CouponTerms
from schema.enums import describe
from schema.organisation import Node
from schema.problems import Problem, shown_as
from schema.scalars import Long
from schema.scopes import Scope

describe(
    TemplateState,
    "Whether coupons can be had.",
    {
        "DRAFT": "Not yet.",
        "ACTIVE": "Yes: they are issued, claimed and promised.",
        "INACTIVE": "Not now: it can be edited and activated again.",
        "ARCHIVED": "Never again. What was issued or promised stays good.",
    },
    name="CouponTemplateState",
)


@strawberry.type(description="From one date to another, both included.")
class CouponFixedDates:
    first: date = strawberry.field(description="The first day.")
    last: date = strawberry.field(description="The last day, to its end.")
    time_zone: str = strawberry.field(description="The IANA time zone whose calendar decides.")


@strawberry.type(description="Days from the receipt.")
class CouponDaysFromReceipt:
    effective_after_days: int = strawberry.field(
        description="From which midnight after the receipt on; 0 is at once."
    )
    valid_days: int = strawberry.field(
        description="For how many days, the first of them included, to the end of the last."
    )
    time_zone: str = strawberry.field(description="The IANA time zone whose calendar decides.")


CouponValidity = Annotated[
    CouponFixedDates | CouponDaysFromReceipt,
    strawberry.union("CouponValidity", description="When coupons can be used."),
]


def validity_shown(written: validity.Validity) -> CouponFixedDates | CouponDaysFromReceipt:
    """When a template's coupons can be used, as the schemas show it."""
    match written:
        case validity.FixedDates(first, last, time_zone):
            return CouponFixedDates(first=first, last=last, time_zone=time_zone)
        case validity.DaysFromReceipt(effective_after_days, valid_days, time_zone):
            return CouponDaysFromReceipt(
                effective_after_days=effective_after_days,
                valid_days=valid_days,
                time_zone=time_zone,
            )
    assert_never(written)


@strawberry.type(description="What coupons are made of.")
class CouponTemplate:
    id: strawberry.ID = strawberry.field(description="Its id, `ctpl_…`.")
    kind: CouponKind = strawberry.field(description="What its coupons do, for good.")
    state: TemplateState = strawberry.field(description="Whether coupons of it can be had.")
    name: str = strawberry.field(description="What the back office calls it.")
    validity: CouponValidity = strawberry.field(description="When its coupons can be used.")
    stock_left: Long | None = strawberry.field(
        description="How many can still be issued or claimed; null is without end."
    )
    limit_per_member: int | None = strawberry.field(
        description="How many one member can have; null is without limit."
    )
    version: int = strawberry.field(description="For `expectedVersion`: it grows with each edit.")
    created_at: datetime = strawberry.field(description="When it was drafted.")
    changed_at: datetime = strawberry.field(description="When it was edited last.")
    row: strawberry.Private[rows.CouponTemplate]

    @classmethod
    def of(cls, row: rows.CouponTemplate) -> Self:
        return cls(
            id=template_id_of(row.id),
            kind=row.kind,
            state=row.state,
            name=row.name,
            validity=validity_shown(validity.from_json(row.validity)),
            stock_left=None if row.stock_left is None else Long(row.stock_left),
            limit_per_member=row.limit_per_member,
            version=row.version,
            created_at=row.created_at,
            changed_at=row.changed_at,
            row=row,
        )

    @strawberry.field(description="What coupons issued now promise.")
    async def terms(self, info: Info) -> CouponTerms:
        return CouponTerms.of(await info.context.loaders.coupon_terms.load(self.row.terms_id))

    @strawberry.field(description="What the system that redeems them online calls them.")
    async def online_outside_id(self, info: Info) -> str | None:
        found = await info.context.loaders.coupon_terms.load(self.row.terms_id)
        return found.online_outside_id

    @strawberry.field(description="What the tills' own system calls them.")
    async def pos_outside_id(self, info: Info) -> str | None:
        found = await info.context.loaders.coupon_terms.load(self.row.terms_id)
        return found.pos_outside_id

    @strawberry.field(
        description="Where, when and by whom they can be claimed; null is not at all."
    )
    async def claim_scope(self, info: Info) -> Scope | None:
        scope_id = self.row.claim_scope_id
        return Scope.of(await info.context.loaders.scope.load(scope_id)) if scope_id else None

    @strawberry.field(description="The node it was made under.")
    async def perspective(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.row.perspective_id))


@strawberry.type(description="Some coupons of one template in a pack.")
class CouponPackItem:
    count: int = strawberry.field(description="How many.")
    row: strawberry.Private[rows.CouponPackItem]

    @classmethod
    def of(cls, row: rows.CouponPackItem) -> Self:
        return cls(count=row.number, row=row)

    @strawberry.field(description="Of which template.")
    async def template(self, info: Info) -> CouponTemplate:
        found = await info.context.loaders.coupon_template.load(self.row.template_id)
        return CouponTemplate.of(found)


@strawberry.type(description="Coupons that are given together.")
class CouponPack:
    id: strawberry.ID = strawberry.field(description="Its id, `cpk_…`.")
    state: TemplateState = strawberry.field(description="Whether it can be had.")
    name: str = strawberry.field(description="What the back office calls it.")
    title: str = strawberry.field(description="What members call it.")
    description: str | None = strawberry.field(description="What members read about it.")
    version: int = strawberry.field(description="For `expectedVersion`: it grows with each edit.")
    created_at: datetime = strawberry.field(description="When it was drafted.")
    changed_at: datetime = strawberry.field(description="When it was edited last.")
    row: strawberry.Private[rows.CouponPack]

    @classmethod
    def of(cls, row: rows.CouponPack) -> Self:
        return cls(
            id=pack_id_of(row.id),
            state=row.state,
            name=row.name,
            title=row.title,
            description=row.description,
            version=row.version,
            created_at=row.created_at,
            changed_at=row.changed_at,
            row=row,
        )

    @strawberry.field(description="What is in it, in order.")
    async def contents(self, info: Info) -> list[CouponPackItem]:
        found = await info.context.loaders.coupon_pack_items.load(self.row.id)
        return [CouponPackItem.of(each) for each in found]

    @strawberry.field(description="The node it was made under.")
    async def perspective(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.row.perspective_id))


def template_id_of(template_id: UUID) -> strawberry.ID:
    return strawberry.ID(type_id("ctpl", template_id))


def pack_id_of(pack_id: UUID) -> strawberry.ID:
    return strawberry.ID(type_id("cpk", pack_id))


@strawberry.type(description="In this state a template or pack cannot be edited.")
class CouponNotEditable(Problem):
    state: TemplateState = strawberry.field(description="Its state.")

    @classmethod
    def of(cls, error: states.CouponNotEditable) -> Self:
        return cls(message=str(error), state=error.state)


@strawberry.type(description="A template or pack in this state cannot become what was asked for.")
class CouponStateUnchangeable(Problem):
    current: TemplateState = strawberry.field(description="Its state.")

    @classmethod
    def of(cls, error: states.CouponStateUnchangeable) -> Self:
        return cls(message=str(error), current=error.current)


TEMPLATE_PROBLEMS = [
    shown_as(CouponNotEditable, states.CouponNotEditable),
    shown_as(CouponStateUnchangeable, states.CouponStateUnchangeable),
]
