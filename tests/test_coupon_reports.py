"""FIN-2: what coupons cost, between two midnights, by template, store and day."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import func, select

from app.core.db import Database, statement
from app.core.ids import type_id
from app.models.coupons import Coupon, CouponState, CouponTemplate, CouponUse
from app.services.coupons import expiring, giving
from app.services.coupons.validity import DaysFromReceipt
from app.services.coupons.values import CashOff
from tests.factories.behaviour import moved_to
from tests.factories.cards import Counter, counter
from tests.factories.coupon_sales import WITHDRAW, coupon_of
from tests.factories.coupons import RETURN, USE, a_template, at_till
from tests.factories.reading import one
from tests.factories.reports import COUPONS, ask
from tests.factories.running import Live, a_running_app
from tests.test_report_links import fetch, path_of, sheets_of

pytestmark = pytest.mark.anyio

SEPTEMBER, OCTOBER, NOVEMBER = "2026-09-01", "2026-10-01", "2026-11-01"
NUMBERS = ("issued", "used", "returned", "expired", "withdrawn")
AMOUNTS = ("tookOff", "givenBack", "cost")
BY = ("TEMPLATE", "STORE", "DAY")

taken_off = statement(select(func.coalesce(func.sum(CouponUse.took_off), 0)), into=int)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


@pytest.fixture
async def running(database: Database, database_url: str) -> AsyncIterator[Live]:
    async with a_running_app(database, database_url) as live:
        yield live


def numbers_of(line: Any) -> list[int]:
    return [line[name] for name in NUMBERS] + [line[name]["amount"] for name in AMOUNTS]


async def given(till: Counter, template: CouponTemplate, number: int, **more: Any) -> list[Coupon]:
    """So many coupons that the shop's member was given."""
    portions = [giving.Portion(template, None, number)]
    where: dict[str, Any] = {"store_id": None} | more
    return await till.database.run(
        giving.issue, member=till.shop.member, portions=portions, cause_kind="test",
        cause_id=template.id, group_id=till.shop.places.group.id, now=till.now, **where,
    )  # fmt: skip


async def use(till: Counter, coupon: Coupon, **more: Any) -> Any:
    """At the coffee store's till, unless online."""
    shown = {"code": {"value": coupon.code}}
    answer = await till.as_staff(USE, input=at_till(till, shown, **more))
    assert answer["__typename"] == "CouponTaken", answer
    return answer["use"]


async def lines(till: Counter, by: str, from_day: str, to_day: str, **more: Any) -> list[Any]:
    """The lines of a grouping; of all three the totals are the same."""
    reports = {each: await ask(till, COUPONS, from_day, to_day, by=each, **more) for each in BY}
    totals = [report["totals"] for report in reports.values()]
    assert totals[0] == totals[1] == totals[2]
    for report in reports.values():
        for total in report["totals"]:
            of_currency = [e for e in report["lines"] if e["currency"] == total["currency"]]
            columns = zip(*map(numbers_of, of_currency), strict=True)
            assert [sum(column) for column in columns] == numbers_of(total)
    found: list[Any] = reports[by]["lines"]
    return found


async def test_coupons_are_counted_where_and_when_it_happened_and_cost_what_they_took_off(
    till: Counter,
) -> None:
    """A day is one of Shanghai; a bill that is voided gives back then, and what was told stays."""
    at: dict[str, Any] = {"perspective": till.shop.places.group, "now": till.now}
    at["valid"] = DaysFromReceipt(0, 60, "Asia/Shanghai")
    ten = await till.database.run(a_template, **at)
    five = await till.database.run(a_template, benefit=CashOff(5_00), title="5 off", **at)
    voided, used, late, wrong, kept = await given(till, ten, 5, store_id=till.shop.store.id)
    online, unused = await given(till, five, 2)
    first = await use(till, voided)
    await use(till, online, terminalId=None)
    midnight = datetime(2026, 9, 30, 16, tzinfo=UTC)
    await use(await moved_to(till, midnight - timedelta(seconds=1)), used)
    await use(await moved_to(till, midnight), late)
    september = {by: await lines(till, by, SEPTEMBER, OCTOBER) for by in BY}
    assert [(e["templateName"], numbers_of(e)) for e in september["TEMPLATE"]] == [
        ("10 off", [5, 2, 0, 0, 0, 20_00, 0, 20_00]),
        ("5 off", [2, 1, 0, 0, 0, 5_00, 0, 5_00]),
    ]
    assert [(e["store"] and e["store"]["name"], numbers_of(e)) for e in september["STORE"]] == [
        ("Coffee at the station", [5, 2, 0, 0, 0, 20_00, 0, 20_00]),
        (None, [2, 1, 0, 0, 0, 5_00, 0, 5_00]),
    ]
    assert [(e["day"], numbers_of(e)) for e in september["DAY"]] == [
        ("2026-09-01", [7, 2, 0, 0, 0, 15_00, 0, 15_00]),
        ("2026-09-30", [0, 1, 0, 0, 0, 10_00, 0, 10_00]),
    ]
    then = await moved_to(till, midnight + timedelta(days=1))
    undo = {"useId": first["id"], "reason": "Wrong table", "requestKey": "undo"}
    assert (await then.as_staff(RETURN, input=undo))["use"]["state"] == "RETURNED"
    mistake = {"id": type_id("cpn", wrong.id), "reason": "A mistake", "requestKey": "wrong"}
    assert (await then.as_staff(WITHDRAW, input=mistake))["coupon"]["status"] == "WITHDRAWN"
    assert await till.database.run(expiring.expire_due, now=till.now + timedelta(days=65)) == 3
    for each in (voided, kept, unused):
        assert (await coupon_of(till.database, each.id)).state is CouponState.EXPIRED
    assert {by: await lines(till, by, SEPTEMBER, OCTOBER) for by in BY} == september
    assert [
        (e["templateId"], numbers_of(e)) for e in await lines(till, "TEMPLATE", OCTOBER, NOVEMBER)
    ] == [
        (type_id("ctpl", ten.id), [0, 1, 1, 2, 1, 10_00, 10_00, 0]),
        (type_id("ctpl", five.id), [0, 0, 0, 1, 0, 0, 0, 0]),
    ]
    assert [numbers_of(e) for e in await lines(till, "STORE", OCTOBER, NOVEMBER)] == [
        [0, 1, 1, 2, 1, 10_00, 10_00, 0], [0, 0, 0, 1, 0, 0, 0, 0],
    ]  # fmt: skip
    assert [(e["day"], numbers_of(e)) for e in await lines(till, "DAY", OCTOBER, NOVEMBER)] == [
        ("2026-10-01", [0, 1, 0, 0, 0, 10_00, 0, 10_00]),
        ("2026-10-02", [0, 0, 1, 0, 1, 0, 10_00, -10_00]),
        ("2026-10-31", [0, 0, 0, 3, 0, 0, 0, 0]),
    ]
    everything = await ask(till, COUPONS, SEPTEMBER, NOVEMBER, by="DAY")
    (total,) = everything["totals"]
    assert numbers_of(total) == [7, 4, 1, 3, 1, 35_00, 10_00, 25_00]
    assert total["tookOff"]["amount"] == await one(till.database, taken_off)


async def test_a_perspective_counts_the_coupons_of_what_was_made_there_or_below(
    till: Counter,
) -> None:
    """ORG-1: wherever they were used; currencies stay apart."""
    places, run = till.shop.places, till.database.run
    everywhere = await run(a_template, perspective=places.group, title="All", now=till.now)
    coffee = await run(a_template, perspective=places.coffee, title="Coffee", now=till.now)
    dollars = await run(
        a_template, perspective=places.tea, title="Tea", currency="USD", now=till.now
    )
    for template in (everywhere, coffee, dollars):
        first, *_ = await given(till, template, 1)
        if template is not dollars:
            await use(till, first)

    async def names(**more: Any) -> list[tuple[str, str, int]]:
        found = await lines(till, "TEMPLATE", SEPTEMBER, OCTOBER, **more)
        return [(e["templateName"], e["currency"], e["cost"]["amount"]) for e in found]

    assert await names() == [("All", "CNY", 10_00), ("Coffee", "CNY", 10_00), ("Tea", "USD", 0)]
    assert await names(at=places.coffee) == [("Coffee", "CNY", 10_00)]
    assert await names(at=places.tea) == [("Tea", "USD", 0)]
    assert await names(at=places.coffee_store) == []
    assert await lines(till, "DAY", OCTOBER, NOVEMBER) == []


async def test_the_sheets_hold_the_numbers_of_the_api(running: Live) -> None:
    till = running.till
    template = await till.database.run(a_template, perspective=till.shop.places.group, now=till.now)
    first, _ = await given(till, template, 2)
    await use(till, first)
    sheets = sheets_of(await fetch(running, await path_of(running, "COUPONS")))
    assert list(sheets) == ["Template", "Store", "Day"]
    numbers = {"Returned": 0, "Expired": 0, "Withdrawn": 0, "Given back": 0, "Currency": "CNY"}
    both = {"Issued": 2, "Used": 1, "Taken off": 10.0, "Cost": 10.0} | numbers
    nothing = {"Issued": 0, "Used": 0, "Taken off": 0.0, "Cost": 0.0} | numbers
    assert sheets["Template"] == [
        {"Template": "10 off"} | both, {"Template": "合计 Total"} | both,
    ]  # fmt: skip
    assert sheets["Store"] == [
        {"Store": "Coffee at the station"} | nothing | {"Used": 1, "Taken off": 10.0, "Cost": 10.0},
        {"Store": "无 None"} | nothing | {"Issued": 2},
        {"Store": "合计 Total"} | both,
    ]
    page = await fetch(running, await path_of(running, "COUPONS", "PAGE"))
    assert "Coupon costs" in page.text
