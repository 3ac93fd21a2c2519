"""Giving coupons for a cause: what campaigns, packages, orders and staff promise (CPN-2, CPN-3)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

from sqlalchemy import bindparam, case
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, light, statement
from app.core.errors import BadInput, DomainError
from app.models.coupons import (
    Coupon,
    CouponHandover,
    CouponPack,
    CouponPackItem,
    CouponState,
    CouponTemplate,
    CouponUse,
    CouponUseState,
    HandoverState,
    TemplateState,
)
from app.models.members import Member
from app.models.organisation import Node
from app.services import organisation, schemes
from app.services.coupons import validity
from app.services.coupons.codes import code_index_of, new_code
from app.services.coupons.standing import is_locked

COUNT_MAX = 100
"""How many times one gift brings its template or pack."""
COUPONS_AT_ONCE_MAX = 500
"""What one cause can bring."""
GIFTS_MAX = 20

templates_by_id = statement(
    select(CouponTemplate).where(any_of(col(CouponTemplate.id), "ids")), into=CouponTemplate
)
packs_by_id = statement(
    select(CouponPack).where(any_of(col(CouponPack.id), "ids")), into=CouponPack
)
items_of_packs = statement(
    select(CouponPackItem)
    .where(any_of(col(CouponPackItem.pack_id), "pack_ids"))
    .order_by(col(CouponPackItem.pack_id), col(CouponPackItem.position)),
    into=CouponPackItem,
)
# What was promised is given though it be more than is left.
take_what_is_left = statement(
    update(CouponTemplate)
    .where(
        col(CouponTemplate.id) == bindparam("template_id"),
        col(CouponTemplate.stock_left).is_not(None),
    )
    .values(
        stock_left=case(
            (
                col(CouponTemplate.stock_left) > bindparam("number"),
                col(CouponTemplate.stock_left) - bindparam("number"),
            ),
            else_=0,
        )
    )
)
coupons_of_causes = statement(
    select(Coupon)
    .where(
        col(Coupon.cause_kind) == bindparam("cause_kind"),
        any_of(col(Coupon.cause_id), "cause_ids"),
    )
    .order_by(col(Coupon.cause_id), col(Coupon.position)),
    into=Coupon,
)
lock_coupons_of_cause = statement(
    select(Coupon)
    .where(
        col(Coupon.cause_kind) == bindparam("cause_kind"),
        col(Coupon.cause_id) == bindparam("cause_id"),
    )
    .order_by(col(Coupon.id))
    .with_for_update(key_share=True),
    into=Coupon,
)
withdraw_unused = statement(
    update(Coupon)
    .where(any_of(col(Coupon.id), "ids"))
    .values(
        state=CouponState.WITHDRAWN,
        locked_until=None,
        remind_at=None,
        ended_at=bindparam("new_ended_at"),
    )
)
# What a bill has used or holds now is good for that bill, and for no other after it.
end_with_its_bill = statement(
    update(Coupon)
    .where(any_of(col(Coupon.id), "ids"), col(Coupon.valid_until) > bindparam("new_valid_until"))
    .values(valid_until=bindparam("new_valid_until"), remind_at=None)
)
# Of locks whose time is over, before their coupons go elsewhere.
release_uses = statement(
    update(CouponUse)
    .where(
        any_of(col(CouponUse.coupon_id), "coupon_ids"),
        col(CouponUse.state) == CouponUseState.LOCKED,
    )
    .values(state=CouponUseState.RELEASED, ended_at=bindparam("new_ended_at"))
)
end_handovers = statement(
    update(CouponHandover)
    .where(
        any_of(col(CouponHandover.coupon_id), "coupon_ids"),
        col(CouponHandover.state) == HandoverState.OPEN,
    )
    .values(state=HandoverState.WITHDRAWN, ended_at=bindparam("new_ended_at"))
)
new_coupon = light(Coupon)

WITHDRAWABLE = {CouponState.VALID, CouponState.LOCKED, CouponState.HANDED_OVER}


class CouponTemplateNotFound(DomainError):
    """No such coupon template in this group, or none that can be given."""

    def __init__(self) -> None:
        super().__init__("There is no such coupon.")


class CouponPackNotFound(DomainError):
    """No such pack in this group, or none that can be given."""

    def __init__(self) -> None:
        super().__init__("There is no such coupon pack.")


@dataclass(frozen=True, slots=True)
class Gift:
    """Coupons of one template, or all of one pack, `count` times."""

    template_id: UUID | None
    pack_id: UUID | None
    count: int = 1

    def __post_init__(self) -> None:
        if (self.template_id is None) == (self.pack_id is None):
            raise BadInput("A gift is of a template or of a pack.")
        if not 1 <= self.count <= COUNT_MAX:
            raise BadInput(f"count must be between 1 and {COUNT_MAX}.")

    def document(self) -> dict[str, Any]:
        """For a JSON column."""
        return {
            "template_id": str(self.template_id) if self.template_id else None,
            "pack_id": str(self.pack_id) if self.pack_id else None,
            "count": self.count,
        }

    @classmethod
    def from_document(cls, written: dict[str, Any]) -> Self:
        """What `document` wrote."""
        template_id, pack_id = written["template_id"], written["pack_id"]
        return cls(
            template_id=UUID(template_id) if template_id else None,
            pack_id=UUID(pack_id) if pack_id else None,
            count=written["count"],
        )


class TakenBack(NamedTuple):
    """What became of the coupons of a cause that was undone."""

    withdrawn: int
    used: int
    """Used, or promised to a bill just now: those stay."""


class Portion(NamedTuple):
    """So many coupons of one template, and the pack they come in."""

    template: CouponTemplate
    pack_id: UUID | None
    number: int


async def templates_by_ids(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, CouponTemplate]:
    return {row.id: row for row in await tx.all(templates_by_id, ids=list(ids))}


async def packs_by_ids(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, CouponPack]:
    return {row.id: row for row in await tx.all(packs_by_id, ids=list(ids))}


async def pack_items(
    tx: Transaction, pack_ids: Collection[UUID]
) -> dict[UUID, list[CouponPackItem]]:
    """What is in each of these packs, in their order."""
    found: dict[UUID, list[CouponPackItem]] = {pack_id: [] for pack_id in pack_ids}
    for item in await tx.all(items_of_packs, pack_ids=list(pack_ids)):
        found[item.pack_id].append(item)
    return found


async def require_gifts(tx: Transaction, *, perspective: Node, gifts: Sequence[Gift]) -> None:
    """Raise unless what is made under a perspective can promise these gifts.

    They are of the group, active, and made above or below the perspective. Raises
    `CouponTemplateNotFound`, `CouponPackNotFound`, `BadInput` for too many.
    """
    if len(gifts) > GIFTS_MAX:
        raise BadInput(f"At most {GIFTS_MAX} gifts can be promised.")
    found = await templates_by_ids(tx, {gift.template_id for gift in gifts if gift.template_id})
    found_packs = await packs_by_ids(tx, {gift.pack_id for gift in gifts if gift.pack_id})
    wanted = [found.get(gift.template_id) for gift in gifts if gift.template_id]
    wanted_packs = [found_packs.get(gift.pack_id) for gift in gifts if gift.pack_id]
    places = await organisation.nodes(
        tx, list({each.perspective_id for each in [*wanted, *wanted_packs] if each})
    )

    def can_be_promised(each: CouponTemplate | CouponPack | None) -> bool:
        return (
            each is not None
            and each.state is TemplateState.ACTIVE
            and each.group_id == perspective.group_id
            and schemes.touches([perspective], places[each.perspective_id])
        )

    if not all(can_be_promised(each) for each in wanted):
        raise CouponTemplateNotFound
    if not all(can_be_promised(each) for each in wanted_packs):
        raise CouponPackNotFound
    number = sum(portion.number for portion in await portions_of(tx, gifts))
    if number > COUPONS_AT_ONCE_MAX:
        raise BadInput(f"At most {COUPONS_AT_ONCE_MAX} coupons can be given at once.")


async def give(
    tx: Transaction,
    *,
    member: Member,
    gifts: Sequence[Gift],
    cause_kind: str,
    cause_id: UUID,
    group_id: UUID,
    store_id: UUID | None = None,
    now: datetime,
) -> list[Coupon]:
    """Give a member, whom the caller has locked, what was promised; once for each cause.

    A cause that has given already is answered with what it gave. Neither the inventory nor a
    limit holds back what was promised: of the inventory goes what is left of it.
    """
    return await give_portions(
        tx, member=member, portions=await portions_of(tx, gifts), cause_kind=cause_kind,
        cause_id=cause_id, group_id=group_id, store_id=store_id, now=now,
    )  # fmt: skip


async def give_portions(
    tx: Transaction,
    *,
    member: Member,
    portions: Sequence[Portion],
    cause_kind: str,
    cause_id: UUID,
    group_id: UUID,
    store_id: UUID | None,
    now: datetime,
) -> list[Coupon]:
    """As `give`, of what a pack held when it was promised."""
    if earlier := (await given_by(tx, cause_kind, [cause_id]))[cause_id]:
        return earlier
    number_of: dict[UUID, int] = {}
    for portion in portions:
        template_id = portion.template.id
        number_of[template_id] = number_of.get(template_id, 0) + portion.number
    # In the order of their ids, so that two who give the same templates do not wait for each other.
    for template_id, number in sorted(number_of.items()):
        await tx.changed(take_what_is_left, template_id=template_id, number=number)
    return await issue(
        tx, member=member, portions=portions, cause_kind=cause_kind, cause_id=cause_id,
        group_id=group_id, store_id=store_id, now=now,
    )  # fmt: skip


async def take_back(
    tx: Transaction, *, cause_kind: str, cause_id: UUID, now: datetime
) -> TakenBack:
    """Withdraw what is unused of a cause that was undone. Used coupons stay used: should their bill
    be voided, they are over. Those that a friend has claimed stay as they are."""
    held = await locked_of_cause(tx, cause_kind=cause_kind, cause_id=cause_id)
    used = [each for each in held if is_spent(each, now)]
    ended = [each for each in held if each.state is CouponState.WITHDRAWN]
    kept = {each.id for each in [*used, *ended]}
    ids = [each.id for each in held if each.id not in kept and each.state in WITHDRAWABLE]
    await withdraw(tx, ids, now=now)
    at_bills = [each.id for each in used if each.member_id == each.issued_to_id]
    await tx.changed(end_with_its_bill, ids=at_bills, new_valid_until=now)
    return TakenBack(withdrawn=len(ids) + len(ended), used=len(used))


async def withdraw(tx: Transaction, ids: list[UUID], *, now: datetime) -> None:
    """Take coupons, which the caller has locked, from whoever has them: bills let go of them, and
    links by which they were held out work no more."""
    await tx.changed(release_uses, coupon_ids=ids, new_ended_at=now)
    await tx.changed(end_handovers, coupon_ids=ids, new_ended_at=now)
    await tx.changed(withdraw_unused, ids=ids, new_ended_at=now)


async def locked_of_cause(tx: Transaction, *, cause_kind: str, cause_id: UUID) -> list[Coupon]:
    """The coupons that a cause gave, locked in the order of their ids."""
    return await tx.all(lock_coupons_of_cause, cause_kind=cause_kind, cause_id=cause_id)


async def given_by(
    tx: Transaction, cause_kind: str, cause_ids: Collection[UUID]
) -> dict[UUID, list[Coupon]]:
    """The coupons that each of these causes gave, in their order."""
    found: dict[UUID, list[Coupon]] = {cause_id: [] for cause_id in cause_ids}
    for each in await tx.all(coupons_of_causes, cause_kind=cause_kind, cause_ids=list(cause_ids)):
        found[each.cause_id].append(each)
    return found


def is_spent(coupon: Coupon, now: datetime) -> bool:
    """Whether who was given the coupon has made something of it: used it, shown it at a till that
    holds it, or given it to a friend who claimed it (CPN-6)."""
    was_given_away = coupon.member_id != coupon.issued_to_id
    return coupon.state is CouponState.USED or is_locked(coupon, now) or was_given_away


async def portions_of(tx: Transaction, gifts: Sequence[Gift]) -> list[Portion]:
    """What gifts bring together."""
    return [portion for of_gift in await portions_of_each(tx, gifts) for portion in of_gift]


async def portions_of_each(tx: Transaction, gifts: Sequence[Gift]) -> list[list[Portion]]:
    """What each of the gifts brings, packs opened (CPN-2)."""
    contents = await pack_items(tx, {gift.pack_id for gift in gifts if gift.pack_id})
    ids = {gift.template_id for gift in gifts if gift.template_id}
    ids |= {item.template_id for items in contents.values() for item in items}
    found = await templates_by_ids(tx, ids)

    def opened(gift: Gift) -> list[Portion]:
        if gift.template_id is not None:
            return [Portion(found[gift.template_id], None, gift.count)]
        assert gift.pack_id is not None
        return [
            Portion(found[item.template_id], gift.pack_id, item.number * gift.count)
            for item in contents[gift.pack_id]
        ]

    return [opened(gift) for gift in gifts]


async def issue(
    tx: Transaction,
    *,
    member: Member,
    portions: Sequence[Portion],
    cause_kind: str,
    cause_id: UUID,
    group_id: UUID,
    store_id: UUID | None,
    now: datetime,
) -> list[Coupon]:
    """Write coupons down, with the terms and dates their templates have now; nothing is asked."""
    issued: list[Coupon] = []
    for portion in portions:
        template = portion.template
        rule = validity.from_json(template.validity)
        span = validity.span_of(rule, received_at=now)
        for _ in range(portion.number):
            code = new_code()
            issued.append(
                new_coupon(
                    group_id=group_id,
                    template_id=template.id,
                    terms_id=template.terms_id,
                    pack_id=portion.pack_id,
                    member_id=member.id,
                    issued_to_id=member.id,
                    code=code,
                    code_index=code_index_of(code),
                    cause_kind=cause_kind,
                    cause_id=cause_id,
                    position=len(issued),
                    store_id=store_id,
                    issued_at=now,
                    valid_from=span.valid_from,
                    valid_until=span.valid_until,
                    remind_at=validity.remind_at(span, time_zone=rule.time_zone, received_at=now),
                )
            )
    await tx.insert(*issued)
    return issued
