"""Coupons issued by staff, and claimed by members themselves (CPN-3, CRD-5)."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, func, select, update

from app.core.db import Transaction, any_of, statement
from app.core.errors import BadInput, DomainError
from app.models.coupons import Coupon, CouponState, CouponTemplate, CouponTerms, TemplateState
from app.models.members import Member, MemberStatus
from app.models.organisation import Node
from app.models.scopes import Channel
from app.models.staff import Permission
from app.services import audit, cards, members, organisation, requests, scopes
from app.services.actors import Actor
from app.services.coupons import giving, packs, templates, validity
from app.services.coupons import terms as coupon_terms
from app.services.coupons.asking import asking, obstacle_to
from app.services.coupons.giving import Gift, Portion
from app.services.members import Bearer
from app.services.scopes import NotAvailable, Obstacle, ObstacleReason

OFFERS_MAX = 200
ISSUED, CLAIMED = "ISSUE", "CLAIM"
"""What coupons came of that staff issued, and that members claimed; see `Coupon.cause_kind`."""

take_units = statement(
    update(CouponTemplate)
    .where(
        col(CouponTemplate.id) == bindparam("template_id"),
        col(CouponTemplate.stock_left) >= bindparam("number"),
    )
    .values(stock_left=col(CouponTemplate.stock_left) - bindparam("number"))
)
stock_of = statement(
    select(CouponTemplate.stock_left).where(col(CouponTemplate.id) == bindparam("template_id")),
    into=int,
)


class _Count(NamedTuple):
    template_id: UUID
    number: int


# A merged record's coupons are the survivor's past as well. What was withdrawn was never had.
had_by_template = statement(
    select(Coupon.template_id, func.count().label("number"))
    .where(
        col(Coupon.issued_to_id).in_(members.own_records),
        any_of(col(Coupon.template_id), "template_ids"),
        col(Coupon.state) != CouponState.WITHDRAWN,
    )
    .group_by(col(Coupon.template_id)),
    into=_Count,
)
claimable = statement(
    select(CouponTemplate)
    .where(
        col(CouponTemplate.group_id) == bindparam("group_id"),
        col(CouponTemplate.state) == TemplateState.ACTIVE,
        col(CouponTemplate.claim_scope_id).is_not(None),
        or_(col(CouponTemplate.stock_left).is_(None), col(CouponTemplate.stock_left) > 0),
    )
    .order_by(col(CouponTemplate.id))
    .limit(OFFERS_MAX),
    into=CouponTemplate,
)


class CouponNotActive(DomainError):
    """A template or pack that is not, or no longer, active."""

    def __init__(self, state: TemplateState) -> None:
        self.state = state
        super().__init__("This coupon is not on offer.")


class CouponsSoldOut(DomainError):
    """Less is left of the inventory than was asked for (CPN-1)."""

    def __init__(self, template_id: UUID, left: int) -> None:
        self.template_id = template_id
        self.left = left
        super().__init__("There are no coupons left." if not left else f"Only {left} are left.")


class CouponLimitReached(DomainError):
    """The member has had the coupon as often as one may (CPN-1)."""

    def __init__(self, template_id: UUID, limit: int) -> None:
        self.template_id = template_id
        self.limit = limit
        super().__init__("This coupon was had as often as one member may.")


class Issue(NamedTuple):
    """Coupons that were issued together."""

    coupons: list[Coupon]
    is_replay: bool


class Claimable(NamedTuple):
    """A coupon a member can claim, or with `obstacle` could when it opens."""

    template: CouponTemplate
    terms: CouponTerms
    obstacle: Obstacle | None
    had: int
    """How many the member has had."""


async def issue(
    tx: Transaction,
    actor: Actor,
    *,
    member_id: UUID | None,
    card_id: UUID | None,
    gift: Gift,
    request_key: str,
    now: datetime,
) -> Issue:
    """Staff give a member coupons, by their record or by a card (CPN-3, CRD-5).

    Raises `MemberNotFound`, `CardNotFound`, `CouponTemplateNotFound`, `CouponPackNotFound`,
    `CouponNotActive`, `CouponsSoldOut`, `CouponLimitReached`, `NotAvailable` for what is over,
    `RequestKeyReused`.
    """
    if (member_id is None) == (card_id is None):
        raise BadInput("Name a member or a card.")
    request = requests.Request(
        principal_id=actor.id,
        operation="couponIssue",
        key=request_key,
        input={"member": member_id, "card": card_id, "gift": gift.document()},
    )
    actor.require_any(Permission.COUPONS_ISSUE)
    member = await _receiver(tx, actor, member_id, card_id)
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return Issue(await _of(tx, ISSUED, claim.answer_id), is_replay=True)
    node_id = await _require_issuable(tx, actor, gift)
    portions = await giving.portions_of(tx, [gift])
    await _take(tx, member, portions, now)
    issued = await giving.issue(
        tx, member=member, portions=portions, cause_kind=ISSUED, cause_id=claim.answer_id,
        group_id=actor.group_id, store_id=None, now=now,
    )  # fmt: skip
    await audit.record(
        tx, actor, "coupons.issue", object_kind="member", object_id=member.id, node_id=node_id,
        now=now, template=gift.template_id, pack=gift.pack_id, count=gift.count,
        issue=claim.answer_id,
    )  # fmt: skip
    return Issue(issued, is_replay=False)


async def claim(
    tx: Transaction,
    *,
    bearer: Bearer,
    template_id: UUID,
    store_id: UUID | None,
    request_key: str,
    now: datetime,
) -> Issue:
    """A member takes a coupon that is there to be claimed (CPN-3).

    Raises `CouponTemplateNotFound`, also where it is not for claiming, `NodeNotFound`,
    `CouponNotActive`, `NotAvailable`, `CouponsSoldOut`, `CouponLimitReached`, `RequestKeyReused`.
    """
    member = await members.acting(tx, bearer, now=now)
    request = requests.Request(
        principal_id=member.id,
        operation="couponClaim",
        key=request_key,
        input={"template": template_id, "store": store_id},
    )
    begun = await requests.claim(tx, request, now=now)
    if begun.is_replay:
        return Issue(await _of(tx, CLAIMED, begun.answer_id), is_replay=True)
    template = await templates.of_group(tx, group_id=member.group_id, template_id=template_id)
    if template.claim_scope_id is None:
        raise giving.CouponTemplateNotFound
    if template.state is not TemplateState.ACTIVE:
        raise CouponNotActive(template.state)
    store = await _store(tx, member, store_id)
    scope = (await scopes.load(tx, [template.claim_scope_id]))[template.claim_scope_id]
    asked = await asking(tx, member=member, channel=Channel.ONLINE, store=store, now=now)
    if obstacle := obstacle_to(scope, asked):
        raise NotAvailable(obstacle)
    portions = [Portion(template, None, 1)]
    await _take(tx, member, portions, now)
    claimed = await giving.issue(
        tx, member=member, portions=portions, cause_kind=CLAIMED, cause_id=begun.answer_id,
        group_id=member.group_id, store_id=store.id if store else None, now=now,
    )  # fmt: skip
    return Issue(claimed, is_replay=False)


async def to_claim(
    tx: Transaction, *, member_id: UUID, store_id: UUID | None, now: datetime
) -> list[Claimable] | None:
    """What the signed-in member can claim, oldest template first; None if there is no such store.

    Of what cannot be claimed now that is shown which will open, with its obstacle.
    """
    member = await members.signed_in(tx, member_id)
    try:
        store = await _store(tx, member, store_id)
    except organisation.NodeNotFound:
        return None
    found = await tx.all(claimable, group_id=member.group_id)
    if not found:
        return []
    loaded = await scopes.load(tx, [each.claim_scope_id for each in found if each.claim_scope_id])
    asked = await asking(tx, member=member, channel=Channel.ONLINE, store=store, now=now)
    promised = await coupon_terms.by_ids(tx, {each.terms_id for each in found})
    had = await _had(tx, member, [each.id for each in found])
    offers = []
    for each in found:
        assert each.claim_scope_id is not None
        limit, number = each.limit_per_member, had.get(each.id, 0)
        if (limit is not None and number >= limit) or _is_over(each, now):
            continue
        obstacle = obstacle_to(loaded[each.claim_scope_id], asked)
        if obstacle is None or obstacle.reason is ObstacleReason.NOT_OPEN:
            offers.append(Claimable(each, promised[each.terms_id], obstacle, number))
    return offers


async def _receiver(
    tx: Transaction, actor: Actor, member_id: UUID | None, card_id: UUID | None
) -> Member:
    """The member who is to have coupons, locked; raises `MemberNotFound`, `CardNotFound`."""
    if card_id is not None:
        card = await cards.living(tx, card_id)
        if card.group_id != actor.group_id:
            raise cards.CardNotFound
        member_id = card.member_id
    assert member_id is not None
    member = await members.locked(tx, member_id)
    if member.group_id != actor.group_id or member.status is not MemberStatus.ACTIVE:
        raise members.MemberNotFound
    return member


async def _require_issuable(tx: Transaction, actor: Actor, gift: Gift) -> UUID:
    """The node a gift was made under; raises unless the actor may issue it now."""
    made: tuple[UUID, TemplateState]
    if gift.pack_id is not None:
        pack = await packs.of_group(tx, group_id=actor.group_id, pack_id=gift.pack_id)
        made = pack.perspective_id, pack.state
    else:
        assert gift.template_id is not None
        template = await templates.of_group(
            tx, group_id=actor.group_id, template_id=gift.template_id
        )
        made = template.perspective_id, template.state
    node_id, state = made
    actor.require(Permission.COUPONS_ISSUE, await organisation.node(tx, node_id))
    if state is not TemplateState.ACTIVE:
        raise CouponNotActive(state)
    return node_id


async def _take(
    tx: Transaction, member: Member, portions: Sequence[Portion], now: datetime
) -> None:
    """Take coupons out of the inventory for a member, who is locked: so two requests of one person
    stand in line before the limit is asked."""
    if sum(portion.number for portion in portions) > giving.COUPONS_AT_ONCE_MAX:
        raise BadInput(f"At most {giving.COUPONS_AT_ONCE_MAX} coupons can be given at once.")
    number_of: dict[UUID, int] = {}
    by_id: dict[UUID, CouponTemplate] = {}
    for portion in portions:
        template = portion.template
        by_id[template.id] = template
        number_of[template.id] = number_of.get(template.id, 0) + portion.number
    had = await _had(tx, member, list(by_id))
    # In the order of their ids, so that two who take the same templates do not wait for each other.
    for template_id, number in sorted(number_of.items()):
        template = by_id[template_id]
        if template.state is not TemplateState.ACTIVE:
            raise CouponNotActive(template.state)
        if _is_over(template, now):
            raise NotAvailable(Obstacle(ObstacleReason.ENDED))
        limit = template.limit_per_member
        if limit is not None and had.get(template_id, 0) + number > limit:
            raise CouponLimitReached(template_id, limit)
        if not await tx.changed(take_units, template_id=template_id, number=number):
            left = await tx.one(stock_of, template_id=template_id)
            if left is not None:
                raise CouponsSoldOut(template_id, left)


def _is_over(template: CouponTemplate, now: datetime) -> bool:
    """Whether a coupon issued now could not be used any more."""
    rule = validity.from_json(template.validity)
    return validity.span_of(rule, received_at=now).valid_until <= now


async def _had(tx: Transaction, member: Member, template_ids: list[UUID]) -> dict[UUID, int]:
    """How many coupons of each template the member was given."""
    counts = await tx.all(had_by_template, member_id=member.id, template_ids=template_ids)
    return {each.template_id: each.number for each in counts}


async def _store(tx: Transaction, member: Member, store_id: UUID | None) -> Node | None:
    """The store that is named, if it is one of the member's group; raises `NodeNotFound`."""
    if store_id is None:
        return None
    store = await organisation.node(tx, store_id)
    if store.group_id != member.group_id:
        raise organisation.NodeNotFound
    return store


async def _of(tx: Transaction, cause_kind: str, cause_id: UUID) -> list[Coupon]:
    return (await giving.given_by(tx, cause_kind, [cause_id]))[cause_id]
