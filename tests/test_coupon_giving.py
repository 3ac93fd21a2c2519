"""CPN-2, CPN-3: coupons that something promises are given once, and taken back unused."""

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, select, text, update

from app.core.db import Database, Transaction, statement
from app.core.errors import BadInput
from app.core.ids import new_id
from app.models.coupons import Coupon, CouponState, TemplateState
from app.models.organisation import Node
from app.services import coupons
from app.services.coupons import Gift
from tests.factories.cards import Counter, counter
from tests.factories.coupons import a_pack, a_template
from tests.factories.reading import one

pytestmark = pytest.mark.anyio

set_state = statement(
    update(Coupon)
    .where(col(Coupon.id) == bindparam("coupon_id"))
    .values(state=bindparam("new_state", type_=Coupon.__table__.c.state.type))  # type: ignore[attr-defined]
)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def test_cpn_2_a_pack_given_counts_as_all_of_its_coupons_and_once_for_a_cause(
    till: Counter,
) -> None:
    """Given beyond what is left, for it was promised; the same cause gives no second time."""
    group, run = till.shop.places.group, till.database.run
    at: dict[str, Any] = {"perspective": group, "now": till.now}
    scarce = await run(a_template, stock_left=3, title="Scarce", **at)
    endless = await run(a_template, title="Endless", **at)
    pack = await run(a_pack, of=[(scarce, 2), (endless, 1)], **at)
    gifts = [Gift(None, pack.id, 2), Gift(endless.id, None, 1)]
    cause = new_id()

    async def give(tx: Transaction) -> list[Coupon]:
        return await coupons.give(
            tx, member=till.shop.member, gifts=gifts, cause_kind="test", cause_id=cause,
            group_id=group.id, now=till.now,
        )  # fmt: skip

    given = await run(give)
    brought = [scarce.id] * 4 + [endless.id] * 2 + [endless.id]
    assert [each.template_id for each in given] == brought
    assert [each.pack_id for each in given] == [pack.id] * 6 + [None]
    assert [each.position for each in given] == list(range(7))
    assert len({each.code for each in given}) == 7
    assert {len(each.code) for each in given} == {20}
    again = await run(give)
    assert again == given
    left = await till.database.read(coupons.templates_by_ids, [scarce.id, endless.id])
    assert (left[scarce.id].stock_left, left[endless.id].stock_left) == (0, None)

    await run(lambda tx: tx.changed(set_state, coupon_id=given[0].id, new_state=CouponState.USED))
    undo: dict[str, Any] = {"cause_kind": "test", "cause_id": cause, "now": till.now}
    assert await run(coupons.take_back, **undo) == (6, 1)
    assert await run(coupons.take_back, **undo) == (6, 1), "no more the second time"
    found = (await till.database.read(coupons.given_by, "test", [cause]))[cause]
    assert [each.state for each in found] == [CouponState.USED] + [CouponState.WITHDRAWN] * 6


async def test_cpn_3_only_what_is_active_and_near_can_be_promised(till: Counter) -> None:
    places, run = till.shop.places, till.database.run
    now = till.now
    draft = await run(a_template, perspective=places.group, now=now, state=TemplateState.DRAFT)
    of_tea = await run(a_template, perspective=places.tea, now=now)
    elsewhere = await counter(till.database, now)
    foreign = await run(a_template, perspective=elsewhere.shop.places.group, now=now)
    tea_pack = await run(a_pack, perspective=places.tea, of=[(of_tea, 1)], now=now)
    huge = await run(a_pack, perspective=places.tea, of=[(of_tea, 100)], now=now)

    async def require(*gifts: Gift, perspective: Node = places.tea_store) -> None:
        await till.database.read(coupons.require_gifts, perspective=perspective, gifts=list(gifts))

    await require(Gift(of_tea.id, None), Gift(None, tea_pack.id))
    await require(Gift(of_tea.id, None), perspective=places.group)
    for template_id in (draft.id, foreign.id, new_id()):
        with pytest.raises(coupons.CouponTemplateNotFound):
            await require(Gift(template_id, None))
    with pytest.raises(coupons.CouponTemplateNotFound):
        await require(Gift(of_tea.id, None), perspective=places.coffee_store)
    with pytest.raises(coupons.CouponPackNotFound):
        await require(Gift(None, tea_pack.id), perspective=places.coffee_store)
    with pytest.raises(BadInput, match="At most 500 coupons"):
        await require(Gift(None, huge.id, 6))
    with pytest.raises(BadInput, match="of a template or of a pack"):
        Gift(of_tea.id, tea_pack.id)
    with pytest.raises(BadInput, match="between 1 and 100"):
        Gift(of_tea.id, None, 101)
    gift = Gift(of_tea.id, None, 3)
    assert Gift.from_document(gift.document()) == gift


async def test_cpn_3_a_code_is_not_in_what_is_stored(till: Counter) -> None:
    """SEC-1: encrypted, and found by a keyed index; a dump of the row does not tell it."""
    group = till.shop.places.group
    template = await till.database.run(a_template, perspective=group, now=till.now)
    (given,) = await till.database.run(
        coupons.give, member=till.shop.member, gifts=[Gift(template.id, None)], cause_kind="test",
        cause_id=new_id(), group_id=group.id, now=till.now,
    )  # fmt: skip
    columns = [column.name for column in Coupon.__table__.columns]  # type: ignore[attr-defined]
    raw = statement(
        select(*(text(f"CAST({name} AS TEXT) AS {name}") for name in columns)).select_from(
            text("coupons")
        )
    )
    row = await one(till.database, raw)
    assert row is not None
    assert given.cause_kind in row
    assert not any(given.code in str(cell) for cell in row)


async def test_idn_8_a_closed_account_leaves_no_coupon_that_can_be_used(till: Counter) -> None:
    group, run = till.shop.places.group, till.database.run
    template = await run(a_template, perspective=group, now=till.now)
    (given,) = await run(
        coupons.give, member=till.shop.member, gifts=[Gift(template.id, None)], cause_kind="test",
        cause_id=new_id(), group_id=group.id, now=till.now,
    )  # fmt: skip
    await run(coupons.withdraw_of_member, member_id=till.shop.member.id, now=till.now)
    found = await till.database.read(coupons.given_by, "test", [given.cause_id])
    (left,) = found[given.cause_id]
    assert (left.state, left.ended_at, left.remind_at) == (CouponState.WITHDRAWN, till.now, None)
