"""CPN-3, CPN-4: coupons at the till and online: checked, locked, used once, given back."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.core.money import Money
from app.jobs import duties
from app.models.organisation import NodeKind
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.services import coupons
from app.services.actors import Actor, Grant
from app.services.coupons import Bill, expiring, giving
from app.services.coupons.redeeming import judging, using
from tests.factories.cards import Counter, counter
from tests.factories.coupons import (
    CHECK,
    LOCK,
    RELEASE,
    RETURN,
    SHOWN,
    USE,
    a_bill,
    a_template,
    at_till,
    issued,
    template_of,
)
from tests.factories.ledger import nothing_moves
from tests.factories.races import beside, call
from tests.factories.staff import employee

pytestmark = pytest.mark.anyio


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def at_work(at: Counter) -> Counter:
    """The counter of another day, with an owner who signed in on it."""
    owner = await at.database.run(employee, node=at.shop.places.group, now=at.now)
    return replace(at, shop=replace(at.shop, owner=owner))


async def test_cpn_3_a_coupon_is_used_once_and_a_replay_answers_the_same(till: Counter) -> None:
    coupon = await issued(till, await template_of(till, minimumSpend=40_00, posOutsideId="P-1"))
    asked = at_till(till, coupon, outsideCouponId="OUT-1")
    check = {name: asked[name] for name in ("terminalId", "code", "bill")}
    checked = await till.as_staff(CHECK, who=till.shop.cashier, input=check)
    assert checked == {
        "__typename": "CouponChecked",
        "takesOff": {"amount": 10_00, "currency": "CNY"},
        "outsideId": "P-1",
        "coupon": {"status": "VALID"},
    }
    used = await till.as_staff(USE, who=till.shop.cashier, input=asked)
    assert used["__typename"] == "CouponTaken", used
    assert used["coupon"]["status"] == "USED"
    use = used["use"]
    assert (use["state"], use["channel"], use["orderNumber"]) == ("USED", "POS", "A-1")
    assert (use["bill"], use["tookOff"]["amount"]) == ({"amount": 50_00}, 10_00)
    assert (use["outsideCouponId"], use["store"]["name"]) == ("OUT-1", till.shop.store.name)
    async with nothing_moves(till.database):
        again = await till.as_staff(USE, who=till.shop.cashier, input=asked)
        assert again == used | {"replayed": True}
        other = asked | {"requestKey": "other"}
        refused = await till.as_staff(USE, who=till.shop.cashier, input=other)
        assert (refused["__typename"], refused["usedAt"]) == ("CouponUsed", use["usedAt"])
        changed = await till.as_staff(
            USE, who=till.shop.cashier, input=asked | {"orderNumber": "B"}
        )
        assert changed["__typename"] == "RequestKeyReused"
    shown = await till.as_member(SHOWN, id=coupon["id"])
    assert (shown["status"], shown["code"]) == ("USED", None)


async def test_cpn_3_of_two_tills_that_use_a_coupon_at_once_one_does(till: Counter) -> None:
    coupon = await issued(till, await template_of(till))
    group = till.shop.places.group
    actor = Actor(
        PrincipalKind.STAFF,
        new_id(),
        group.id,
        (Grant(group.id, NodeKind.GROUP, frozenset(Permission)),),
    )

    def use(order_number: str, key: str) -> Any:
        wanted = using.Wanted(
            at=judging.Asked(terminal_id=till.shop.terminal.id),
            code=coupon["code"]["value"],
            order_number=order_number,
            bill=Bill(total=Money(50_00, "CNY")),
        )
        return call(using.use, actor, wanted=wanted, request_key=key, now=till.now)

    found = await beside(till.database, use("A", "k1"), before=using.use_up, second=use("B", "k2"))
    assert sorted(type(each).__name__ for each in found) == ["CouponUsed", "Taken"]
    other = await issued(till, await template_of(till))
    coupon = other
    found = await beside(till.database, use("C", "k3"), before=using.use_up, second=use("C", "k3"))
    assert sorted(each.is_replay for each in found) == [False, True]


async def test_cpn_3_an_account_that_closes_while_a_till_uses_its_coupon_leaves_it_one_of_both(
    till: Counter,
) -> None:
    coupon = await issued(till, await template_of(till))
    group = till.shop.places.group
    grant = Grant(group.id, NodeKind.GROUP, frozenset(Permission))
    wanted = using.Wanted(
        at=judging.Asked(terminal_id=till.shop.terminal.id),
        code=coupon["code"]["value"],
        order_number="A",
        bill=Bill(total=Money(50_00, "CNY")),
    )
    found = await beside(
        till.database,
        call(expiring.withdraw_of_member, member_id=till.shop.member.id, now=till.now),
        before=giving.release_uses,
        second=call(
            using.use, Actor(PrincipalKind.STAFF, new_id(), group.id, (grant,)), wanted=wanted,
            request_key="k1", now=till.now,
        ),
    )  # fmt: skip
    assert [type(each).__name__ for each in found] == ["NoneType", "CouponWithdrawn"]
    assert (await till.as_member(SHOWN, id=coupon["id"]))["status"] == "WITHDRAWN"


async def test_cpn_3_what_a_bill_lets_go_after_its_cause_was_undone_is_over(till: Counter) -> None:
    """BEN-8, TOP-7: money that was paid out at the counter does not leave its gifts behind."""
    template = await till.database.run(a_template, perspective=till.shop.places.group, now=till.now)
    cause: dict[str, Any] = {"cause_kind": "test", "cause_id": new_id(), "now": till.now}
    given = await till.database.run(
        coupons.give, member=till.shop.member, gifts=[coupons.Gift(template.id, None, 3)],
        group_id=till.shop.places.group.id, **cause,
    )  # fmt: skip
    used, held, _ = [{"code": {"value": each.code}} for each in given]
    bill_a = await till.as_staff(USE, input=at_till(till, used, orderNumber="A"))
    bill_b = await till.as_staff(LOCK, input=at_till(till, held, orderNumber="B", bill=None))
    assert await till.database.run(coupons.take_back, **cause) == (1, 2)
    void = {"useId": bill_a["use"]["id"], "reason": "The guest left", "requestKey": "k"}
    assert (await till.as_staff(RETURN, input=void))["coupon"]["status"] == "RETURNED_EXPIRED"
    await till.as_staff(RELEASE, input={"useId": bill_b["use"]["id"]})
    async with nothing_moves(till.database):
        for each in (used, held):
            refused = await till.as_staff(USE, input=at_till(till, each, orderNumber="C"))
            assert refused["__typename"] == "CouponExpired"


async def test_cpn_3_why_a_coupon_cannot_be_used_here_and_now(till: Counter) -> None:
    """Each reason is its own problem, with its data, and nothing moves."""
    friday = {
        "timeZone": "Asia/Shanghai",
        "recurrence": {"kind": "WEEKLY", "days": [5]},
        "window": {"start": "10:00", "end": "22:00"},
    }
    tea = type_id("node", till.shop.places.tea.id)
    dates = {"first": "2026-09-05", "last": "2026-09-07", "timeZone": "Asia/Shanghai"}
    online = await issued(till, await template_of(till, scope={"channels": ["ONLINE"]}))
    for_tea = await issued(till, await template_of(till, scope={"includedNodeIds": [tea]}))
    for_friday = await issued(till, await template_of(till, scope={"schedule": friday}))
    minimum = await issued(till, await template_of(till, minimumSpend=60_00))
    for_latte = await issued(till, await template_of(till, items=["latte"]))
    dated = await issued(till, await template_of(till, validity={"fixed": dates}))

    async def refused(coupon: Any, at: Counter = till, /, **more: Any) -> Any:
        async with nothing_moves(till.database):
            return await at.as_staff(USE, input=at_till(at, coupon, **more))

    answer = await refused(online)
    assert (answer["__typename"], answer["reason"]) == ("NotAvailable", "WRONG_CHANNEL")
    answer = await refused(for_tea)
    assert (answer["__typename"], answer["reason"]) == ("NotAvailable", "WRONG_STORE")
    answer = await refused(for_friday)
    assert (answer["reason"], answer["availableFrom"]) == ("NOT_OPEN", "2026-09-04T02:00:00+00:00")
    answer = await refused(minimum)
    assert (answer["__typename"], answer["shortBy"]) == ("BillTooSmall", {"amount": 10_00})
    assert (await refused(for_latte))["__typename"] == "NothingToTakeOff"
    dollars = await refused(minimum, bill=a_bill(90_00, currency="USD"))
    assert dollars["__typename"] == "BillInOtherCurrency"
    line = {"itemId": "tea", "price": 60_00}
    assert await refused(minimum, bill=a_bill(50_00, line)) == "BAD_USER_INPUT"
    assert await refused(minimum, orderNumber="") == "BAD_USER_INPUT"
    assert await refused(minimum, storeId=tea) == "BAD_USER_INPUT"
    nowhere = await refused(minimum, terminalId=type_id("term", new_id()))
    assert nowhere["__typename"] == "TerminalNotFound"

    # Both dates are included, by the calendar in Shanghai.
    early = await refused(dated)
    assert (early["__typename"], early["validFrom"]) == (
        "CouponNotYetValid", "2026-09-04T16:00:00+00:00",
    )  # fmt: skip
    last = await at_work(till.later(days=6, hours=3, minutes=59, seconds=59))
    assert last.now.isoformat() == "2026-09-07T15:59:59+00:00"
    over = await at_work(till.later(days=6, hours=4))
    answer = await refused(dated, over)
    assert (answer["__typename"], answer["expiredAt"]) == (
        "CouponExpired", "2026-09-07T16:00:00+00:00",
    )  # fmt: skip
    assert (await last.as_staff(USE, input=at_till(last, dated)))["__typename"] == "CouponTaken"
    found = await till.as_staff(
        USE, input=at_till(till, for_tea, terminalId=till.other_terminal_id)
    )
    assert found["__typename"] == "CouponTaken"


async def test_cpn_3_wrong_codes_are_answered_alike_and_limited_per_till(till: Counter) -> None:
    coupon = await issued(till, await template_of(till))
    elsewhere = await counter(till.database, till.now)
    foreign = at_till(elsewhere, coupon)
    guess = {"terminalId": till.terminal_id}
    answers = [
        await elsewhere.as_staff(USE, input=foreign),
        *[
            await till.as_staff(CHECK, input=guess | {"code": code})
            for code in ("", "123", "x" * 50, "0" * 20, "१" * 20)
        ],
    ]
    assert {each["__typename"] for each in answers} == {"CouponCodeRefused"}
    assert len({each["message"] for each in answers}) == 1
    for _ in range(judging.WRONG_CODES_MAX - 5):
        await till.as_staff(CHECK, input=guess | {"code": "1" * 20})
    right = guess | {"code": coupon["code"]["formatted"]}
    assert await till.as_staff(CHECK, input=right) == "TOO_MANY_REQUESTS"
    other = right | {"terminalId": till.other_terminal_id}
    assert (await till.as_staff(CHECK, input=other))["__typename"] == "CouponChecked"
    later = till.later(minutes=10)
    assert (await later.as_staff(CHECK, input=right))["__typename"] == "CouponChecked"


async def test_cpn_3_a_lock_holds_a_coupon_for_its_bill_until_it_ends(till: Counter) -> None:
    dates = {"first": "2026-09-01", "last": "2026-09-01", "timeZone": "Asia/Shanghai"}
    coupon = await issued(till, await template_of(till, validity={"fixed": dates}))
    bill_a = at_till(till, coupon, orderNumber="A", bill=None)
    locked = await till.as_staff(LOCK, input=bill_a)
    assert (locked["use"]["state"], locked["coupon"]["status"]) == ("LOCKED", "LOCKED")
    assert locked["use"]["lockedUntil"] == "2026-09-01T12:15:00+00:00"
    async with nothing_moves(till.database):
        assert await till.as_staff(LOCK, input=bill_a) == locked | {"replayed": True}
        bill_b = at_till(till, coupon, orderNumber="B")
        refused = await till.as_staff(USE, input=bill_b)
        assert (refused["__typename"], refused["until"]) == (
            "CouponLocked", "2026-09-01T12:15:00+00:00",
        )  # fmt: skip
        long = at_till(till, coupon, bill=None, minutes=121)
        assert await till.as_staff(LOCK, input=long) == "BAD_USER_INPUT"
    # Let go, the coupon is there for the other bill; asked again, it is let go already.
    released = await till.as_staff(RELEASE, input={"useId": locked["use"]["id"]})
    assert (released["use"]["state"], released["coupon"]["status"]) == ("RELEASED", "VALID")
    again = await till.as_staff(RELEASE, input={"useId": locked["use"]["id"]})
    assert again["replayed"] is True
    lock_b = at_till(till, coupon, orderNumber="B", bill=None, minutes=60)
    locked = await till.as_staff(LOCK, input=lock_b)
    # A lock whose time is over holds nothing, whether a job has come by or not.
    after = till.later(hours=1)
    assert (await after.as_member(SHOWN, id=coupon["id"]))["status"] == "VALID"
    lock_c = at_till(after, coupon, orderNumber="C", bill=None, minutes=120)
    locked = await after.as_staff(LOCK, input=lock_c)
    assert locked["__typename"] == "CouponTaken"
    # The bill that holds it uses it, though the coupon's day has ended meanwhile.
    late = till.later(hours=4)
    assert await till.database.run(duties.release_coupons, now=late.now) == 1
    assert (await late.as_member(SHOWN, id=coupon["id"]))["status"] == "EXPIRED"
    fresh = await issued(till, await template_of(till, validity={"fixed": dates}))
    near = till.later(hours=3, minutes=50)
    lock_d = at_till(near, fresh, orderNumber="D", bill=None, outsideCouponId="X")
    await near.as_staff(LOCK, input=lock_d)
    use_d = at_till(late, fresh, orderNumber="D")
    used = await late.as_staff(USE, input=use_d)
    assert (used["use"]["state"], used["use"]["outsideCouponId"]) == ("USED", "X")
    async with nothing_moves(till.database):
        spent = await late.as_staff(RELEASE, input={"useId": used["use"]["id"]})
        assert spent["__typename"] == "CouponUsed"
        missing = await late.as_staff(RELEASE, input={"useId": type_id("cpu", new_id())})
        assert missing["__typename"] == "CouponUseNotFound"


async def test_cpn_3_a_voided_bill_gives_the_coupon_back_or_returned_expired(
    till: Counter,
) -> None:
    """With its own dates: used again before they end, visibly over after them."""
    coupon = await issued(till, await template_of(till))
    used = await till.as_staff(USE, input=at_till(till, coupon))
    back = {"useId": used["use"]["id"], "reason": "The guest left", "requestKey": "k1"}
    returned = await till.as_staff(RETURN, input=back)
    assert (returned["use"]["state"], returned["use"]["reason"]) == ("RETURNED", "The guest left")
    assert returned["coupon"]["status"] == "VALID"
    shown = await till.as_member(SHOWN, id=coupon["id"])
    assert shown == coupon
    async with nothing_moves(till.database):
        again = await till.as_staff(RETURN, input=back)
        assert again == returned | {"replayed": True}
        twice = await till.as_staff(RETURN, input=back | {"requestKey": "k2"})
        assert (twice["__typename"], twice["state"]) == ("CouponUseNotOpen", "RETURNED")
        other = till.shop.cashier
        away = at_till(till, coupon, terminalId=till.other_terminal_id)
        assert await till.as_staff(USE, who=other, input=away) == "FORBIDDEN"
    last = await at_work(till.later(days=29))
    used = await last.as_staff(USE, input=at_till(last, coupon, orderNumber="B"))
    after = await at_work(till.later(days=30))
    back = {"useId": used["use"]["id"], "reason": "The guest left", "requestKey": "k3"}
    returned = await after.as_staff(RETURN, input=back)
    assert returned["coupon"]["status"] == "RETURNED_EXPIRED"
    assert returned["coupon"]["returnedAt"] == after.now.isoformat()
    assert (await after.as_member(SHOWN, id=coupon["id"]))["status"] == "RETURNED_EXPIRED"
    async with nothing_moves(till.database):
        refused = await after.as_staff(USE, input=at_till(after, coupon, orderNumber="C"))
        assert refused["__typename"] == "CouponExpired"


async def test_cpn_4_partners_redeem_online_and_an_outside_id_stands_for_one_coupon(
    till: Counter,
) -> None:
    link = "https://shop.example.com/coffee"
    template = await template_of(
        till, goodsLink=link, onlineOutsideId="SHOP-7", scope={"channels": ["ONLINE"]}
    )
    one, other = await issued(till, template), await issued(till, template)
    online = {"terminalId": None, "outsideCouponId": "O-1"}
    check = {"code": one["code"]["value"], "bill": a_bill(30_00)}
    checked = await till.as_staff(CHECK, input=check)
    assert (checked["takesOff"]["amount"], checked["outsideId"]) == (10_00, "SHOP-7")
    used = await till.as_staff(USE, input=at_till(till, one, **online))
    assert (used["use"]["channel"], used["use"]["store"]) == ("ONLINE", None)
    async with nothing_moves(till.database):
        taken = await till.as_staff(USE, input=at_till(till, other, **online))
        assert taken["__typename"] == "OutsideCouponIdTaken"
    # Another partner, here the cashier, has ids of its own.
    store = {"terminalId": None, "storeId": type_id("node", till.shop.store.id)}
    own = at_till(till, other, outsideCouponId="O-1", **store)
    found = await till.as_staff(USE, who=till.shop.cashier, input=own)
    assert found["use"]["store"]["name"] == till.shop.store.name
    back = {"useId": used["use"]["id"], "reason": "Cancelled", "requestKey": "r"}
    async with nothing_moves(till.database):
        # What others did at no store, who works at one alone cannot give back.
        assert await till.as_staff(RETURN, who=till.shop.cashier, input=back) == "FORBIDDEN"
    assert (await till.as_staff(RETURN, input=back))["__typename"] == "CouponTaken"
    third = await issued(till, template)
    again = await till.as_staff(USE, input=at_till(till, third, **online))
    assert again["__typename"] == "CouponTaken", "a returned one's id is free"
