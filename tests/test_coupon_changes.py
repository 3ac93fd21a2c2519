"""CPN-5: many coupons are changed at once, after a preview, with a trace of each."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.models.coupons import Coupon, CouponState
from app.models.members import Tag
from app.models.operations import AuditRecord
from app.services import coupons, tags
from app.services.coupons import Gift, changes
from app.services.coupons.changes import Change, Wanted
from tests.factories.cards import Counter, counter
from tests.factories.coupon_sales import (
    CHANGE,
    CHANGES,
    PREVIEW,
    START,
    a_coupon,
    a_friend,
    all_coupons,
    all_lines,
    all_terms,
    coupon_of,
    coupons_stay,
    handed_over,
    mark,
    work,
)
from tests.factories.races import beside, call
from tests.factories.reading import every

pytestmark = pytest.mark.anyio

records = statement(
    select(AuditRecord).where(col(AuditRecord.action) == "coupons.change"), into=AuditRecord
)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def there(till: Counter) -> list[Coupon]:
    return await every(till.database, all_coupons)


def a_change(coupon: Coupon, values: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    return {
        "templateId": type_id("ctpl", coupon.template_id),
        "wanted": wanted,
        "values": values,
    }


async def start(till: Counter, asked: dict[str, Any], **more: Any) -> Any:
    more = {"reason": "The stores were closed", "requestKey": new_id().hex} | more
    return await till.as_staff(START, input=asked | more)


async def test_a_change_is_looked_at_then_made_with_a_trace_of_each(till: Counter) -> None:
    """Valid until the last day, included, by the template's clock; the terms of others stay."""
    first = await a_coupon(till, number=3)
    other = await a_coupon(till)
    _, second, third, _ = await there(till)
    await till.database.run(mark, coupon=third, state=CouponState.USED, ended_at=till.now)
    later = till.later(hours=1)
    asked = a_change(first, {"lastDay": "2026-12-31", "title": "20 off", "instructions": "Smile"})
    async with coupons_stay(till.database):
        preview = await later.as_staff(PREVIEW, input=asked)
    became = datetime(2026, 12, 31, 16, tzinfo=UTC)
    was = first.valid_until
    assert preview["numberOfCoupons"] == 2
    assert preview["sample"] == [
        {
            "couponId": type_id("cpn", each.id), "differs": True, "revives": False,
            "before": {"validUntil": was.isoformat(), "title": "10 off"},
            "after": {"validUntil": became.isoformat(), "title": "20 off"},
        }
        for each in (first, second)
    ]  # fmt: skip
    key = new_id().hex
    started = await start(later, asked, requestKey=key)
    assert started["__typename"] == "CouponChangeStarted", started
    assert started["change"]["numberOfCoupons"] == 2
    again = await start(later, asked, requestKey=key)
    assert (again["replayed"], again["change"]["id"]) == (True, started["change"]["id"])
    assert (await coupon_of(till.database, first.id)).valid_until == was
    await work(later)
    done = await later.as_staff(CHANGE, id=started["change"]["id"])
    counts = ("numberOfCoupons", "numberSeen", "numberChanged", "state", "reason")
    assert [done[name] for name in counts] == [2, 2, 2, "DONE", "The stores were closed"]
    assert [edge["node"] for edge in done["lines"]["edges"]] == [
        {
            "couponId": type_id("cpn", each.id), "revives": False,
            "before": {"validUntil": was.isoformat(), "title": "10 off", "instructions": None},
            "after": {
                "validUntil": became.isoformat(), "title": "20 off", "instructions": "Smile",
            },
        }
        for each in (first, second)
    ]  # fmt: skip
    now_first, now_second, now_third, now_other = await there(till)
    assert now_first.valid_until == now_second.valid_until == became
    assert now_first.remind_at == datetime(2026, 12, 29, 1, tzinfo=UTC)
    assert now_first.terms_id == now_second.terms_id != first.terms_id
    assert (now_third.valid_until, now_third.terms_id) == (third.valid_until, third.terms_id)
    assert (now_other.valid_until, now_other.terms_id) == (other.valid_until, other.terms_id)
    found = {each.id: each for each in await every(till.database, all_terms)}
    old, new = found[first.terms_id], found[now_first.terms_id]
    assert (old.title, new.title, new.benefit) == ("10 off", "20 off", old.benefit)
    listed = await later.as_staff(CHANGES)
    assert [edge["node"]["id"] for edge in listed["edges"]] == [started["change"]["id"]]
    (record,) = await every(till.database, records)
    assert record.details["number"] == 2


async def test_a_life_is_never_cut_and_an_expired_coupon_lives_again(till: Counter) -> None:
    coupon = await a_coupon(till, number=4)
    _, expired, locked, given = await there(till)
    run = till.database.run
    await run(mark, coupon=expired, state=CouponState.EXPIRED, ended_at=expired.valid_until)
    until = till.now + timedelta(minutes=5)
    await run(mark, coupon=locked, state=CouponState.LOCKED, locked_until=until)
    await handed_over(till, given)
    later = till.later(minutes=1)
    shorter = await start(later, a_change(coupon, {"lastDay": "2026-09-02"}, includeExpired=True))
    await work(later)
    done = await later.as_staff(CHANGE, id=shorter["change"]["id"])
    assert (done["numberSeen"], done["numberChanged"]) == (4, 0)
    longer = await start(later, a_change(coupon, {"extendDays": 10}, includeExpired=True))
    await work(later)
    done = await later.as_staff(CHANGE, id=longer["change"]["id"])
    assert (done["numberSeen"], done["numberChanged"]) == (4, 4)
    assert [edge["node"]["revives"] for edge in done["lines"]["edges"]] == [
        False, True, False, False,
    ]  # fmt: skip
    now_there = await there(till)
    assert {each.valid_until for each in now_there} == {coupon.valid_until + timedelta(days=10)}
    assert [each.state for each in now_there] == [
        CouponState.VALID, CouponState.VALID, CouponState.LOCKED, CouponState.HANDED_OVER,
    ]  # fmt: skip
    assert now_there[1].ended_at is None
    # What would be over all the same is left alone.
    await run(mark, coupon=expired, state=CouponState.EXPIRED, ended_at=expired.valid_until)
    found = await till.database.read(
        changes.preview,
        till.shop.owner.actor,
        template_id=coupon.template_id,
        wanted=Wanted(states=changes.CHANGEABLE),
        change=Change(extend_days=1),
        now=till.now + timedelta(days=365),
    )
    assert found is not None
    assert [bool(each.after) for each in found.sample] == [True, False, True, True]


async def test_a_filter_chooses_by_date_and_tag_those_of_merged_records_included(
    till: Counter,
) -> None:
    coupon = await a_coupon(till)
    friend = await a_friend(till)
    run, group = till.database.run, till.shop.places.group
    later = till.later(hours=2)
    (theirs,) = await run(
        coupons.give, member=friend, gifts=[Gift(coupon.template_id, None, 1)], cause_kind="test",
        cause_id=new_id(), group_id=group.id, now=later.now,
    )  # fmt: skip
    tag: Tag = await run(tags.create, till.shop.owner.actor, name="Regulars", now=till.now)
    await run(
        tags.put_on, till.shop.owner.actor, member_id=friend.id, tag_ids=[tag.id], now=till.now
    )
    at = till.later(hours=3)

    async def chosen(**wanted: Any) -> list[str]:
        preview = await at.as_staff(PREVIEW, input=a_change(coupon, {"title": "x"}, **wanted))
        return [each["couponId"] for each in preview["sample"]]

    mine, other = type_id("cpn", coupon.id), type_id("cpn", theirs.id)
    assert await chosen() == [mine, other]
    assert await chosen(issuedFrom=later.now.isoformat()) == [other]
    assert await chosen(issuedTo=later.now.isoformat()) == [mine]
    assert await chosen(validUntilTo=coupon.valid_until.isoformat()) == []
    assert await chosen(tagId=type_id("tag", tag.id)) == [other]
    assert await chosen(tagId=type_id("tag", new_id())) == []
    early = till.later(hours=1)
    before = await early.as_staff(PREVIEW, input=a_change(coupon, {"title": "x"}))
    assert before["numberOfCoupons"] == 1


async def test_what_makes_no_change_is_refused(till: Counter) -> None:
    coupon = await a_coupon(till)
    later = till.later(minutes=1)
    async with coupons_stay(till.database):
        for values in (
            {}, {"extendDays": 0}, {"extendDays": 4_000}, {"title": ""}, {"title": "x" * 61},
            {"extendDays": 1, "lastDay": "2026-12-31"},
        ):  # fmt: skip
            assert await start(later, a_change(coupon, values)) == "BAD_USER_INPUT", values
        assert await start(later, a_change(coupon, {"title": "x"}), reason=" ") == "BAD_USER_INPUT"
        nothing = await start(
            later, a_change(coupon, {"title": "x"}, issuedTo="2020-01-01T00:00:00Z")
        )
        assert nothing["__typename"] == "CouponChangeEmpty"
        ghost = a_change(coupon, {"title": "x"}) | {"templateId": type_id("ctpl", new_id())}
        assert (await start(later, ghost))["__typename"] == "CouponTemplateNotFound"
        assert await later.as_staff(PREVIEW, input=ghost) is None
        cashier = till.shop.cashier
        denied = await later.as_staff(
            START, who=cashier,
            input=a_change(coupon, {"title": "x"}) | {"reason": "x", "requestKey": "k"},
        )  # fmt: skip
        assert denied == "FORBIDDEN"
        assert await every(till.database, all_lines) == []


async def test_a_change_that_dies_halfway_goes_on_where_it_was(
    till: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each coupon is changed exactly once, whatever was repeated: no day is added twice."""
    monkeypatch.setattr(changes, "BATCH", 2)
    coupon = await a_coupon(till, number=5)
    later = till.later(minutes=1)
    started = await start(later, a_change(coupon, {"extendDays": 7, "title": "New"}))
    change_id = parse_type_id("cbc", started["change"]["id"])

    async def batch(tx: Transaction) -> None:
        await changes.work_on(tx, change_id=change_id, now=later.now)

    async def dies(tx: Transaction) -> None:
        await batch(tx)
        raise coupons.CouponTemplateNotFound  # any refusal rolls the batch back

    await till.database.run(batch)
    with pytest.raises(coupons.CouponTemplateNotFound):
        await till.database.run(dies)
    halfway = await later.as_staff(CHANGE, id=started["change"]["id"])
    assert (halfway["state"], halfway["numberSeen"], halfway["numberChanged"]) == ("RUNNING", 2, 2)
    # Two workers at once, and the job that waits besides.
    await beside(
        till.database,
        call(changes.work_on, change_id=change_id, now=later.now),
        before=changes.note_progress,
        second=call(changes.work_on, change_id=change_id, now=later.now),
    )
    await work(later)
    done = await later.as_staff(CHANGE, id=started["change"]["id"])
    assert (done["state"], done["numberSeen"], done["numberChanged"]) == ("DONE", 5, 5)
    now_there = await there(till)
    assert {each.valid_until for each in now_there} == {coupon.valid_until + timedelta(days=7)}
    assert len({each.terms_id for each in now_there}) == 1
    assert len(await every(till.database, all_lines)) == 5
