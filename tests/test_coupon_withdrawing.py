"""CPN-3, CPN-5: a coupon that was issued by mistake is taken from whoever has it, one or many."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.core.money import Money
from app.models.coupons import Coupon, CouponState, CouponUse, CouponUseState
from app.models.operations import AuditRecord
from app.services import coupons
from app.services.coupons import Bill, changes, giving, withdrawing
from app.services.coupons.redeeming import using
from app.services.coupons.redeeming.judging import (
    Asked,
    CouponExpired,
    CouponUsed,
    CouponWithdrawn,
)
from tests.factories.cards import Counter, counter
from tests.factories.coupon_sales import (
    CLAIM,
    FOUND,
    GIVEN,
    OWN_COUPON,
    START,
    WITHDRAW,
    WITHDRAWALS,
    WITHDRAWALS_PREVIEW,
    WITHDRAWN,
    a_coupon,
    a_friend,
    all_coupons,
    all_lines,
    bearer_of,
    coupon_of,
    coupons_stay,
    handed_over,
    mark,
    on_sale,
    refund,
    sell,
    work,
)
from tests.factories.coupons import (
    LOCK,
    USE,
    a_pack,
    a_template,
    at_till,
    issued,
    template_of,
)
from tests.factories.races import beside, call
from tests.factories.reading import every

pytestmark = pytest.mark.anyio

records = statement(
    select(AuditRecord).where(col(AuditRecord.action).like("coupon%.withdraw")), into=AuditRecord
)
uses = statement(select(CouponUse).order_by(col(CouponUse.id)), into=CouponUse)
STOCK = "query ($id: ID!) { couponTemplate(id: $id) { stockLeft } }"


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


def asked_of(coupon: Any, **more: Any) -> dict[str, Any]:
    coupon_id = coupon["id"] if isinstance(coupon, dict) else type_id("cpn", coupon.id)
    return {"id": coupon_id, "reason": "Sent to the wrong list", "requestKey": new_id().hex} | more


async def withdraw(till: Counter, coupon: Any, **more: Any) -> Any:
    return await till.as_staff(WITHDRAW, input=asked_of(coupon, **more))


async def start(till: Counter, coupon: Coupon, **more: Any) -> Any:
    """Begin to withdraw what is out of the coupon's template."""
    given = {
        "templateId": type_id("ctpl", coupon.template_id),
        "values": {"withdraw": True},
        "reason": "Sent to the wrong list",
        "requestKey": new_id().hex,
    }
    return await till.as_staff(START, input=given | more)


async def test_a_withdrawn_coupon_is_refused_and_says_who_withdrew_it_when_and_why(
    till: Counter,
) -> None:
    """The stock stays as it is; the member's limit, as with all that was never had, is free."""
    template = await template_of(till, stock=5, limitPerMember=1)
    coupon = await issued(till, template)
    asked = asked_of(coupon, requestKey="w1")
    taken = await till.as_staff(WITHDRAW, input=asked)
    assert taken["__typename"] == "CouponTakenFromHolder", taken
    (line,) = await every(till.database, all_lines)
    says = {
        "at": till.now.isoformat(),
        "reason": "Sent to the wrong list",
        "operatorName": "王小明",
        "changeId": type_id("cbc", line.change_id),
    }
    assert taken["coupon"] == {
        "id": coupon["id"], "status": "WITHDRAWN", "endedAt": till.now.isoformat(),
        "withdrawal": says,
    }  # fmt: skip
    async with coupons_stay(till.database):
        assert await till.as_staff(WITHDRAW, input=asked) == taken | {"replayed": True}
        other = await till.as_staff(WITHDRAW, input=asked | {"reason": "Another"})
        assert other["__typename"] == "RequestKeyReused"
        twice = await withdraw(till, coupon)
        assert twice["__typename"] == "CouponWithdrawn"
        refused = await till.as_staff(USE, who=till.shop.cashier, input=at_till(till, coupon))
        assert (refused["__typename"], refused["message"]) == (
            "CouponWithdrawn", "This coupon was withdrawn.",
        )  # fmt: skip
    assert await till.as_staff(WITHDRAWN, id=coupon["id"]) == {
        "status": "WITHDRAWN", "withdrawal": says,
    }  # fmt: skip
    assert await till.as_member(OWN_COUPON, id=coupon["id"]) == {
        "status": "WITHDRAWN", "code": None,
    }  # fmt: skip
    (record,) = await every(till.database, records)
    assert (record.action, record.object_id, record.actor_id) == (
        "coupon.withdraw", parse_type_id("cpn", coupon["id"]), till.shop.owner.actor.id,
    )  # fmt: skip
    assert record.details["reason"] == "Sent to the wrong list"
    one = await till.as_staff(WITHDRAWALS, id=says["changeId"])
    assert [one[name] for name in ("state", "numberSeen", "numberChanged", "operatorName")] == [
        "DONE", 1, 1, "王小明",
    ]  # fmt: skip
    assert await till.as_staff(STOCK, id=template["id"]) == {"stockLeft": 4}
    assert (await issued(till, template))["status"] == "VALID"
    assert await till.as_staff(STOCK, id=template["id"]) == {"stockLeft": 3}


async def test_what_is_spent_or_over_is_not_withdrawn(till: Counter) -> None:
    """A bill keeps what it holds until it lets go; when its time is over, it holds nothing."""
    template = await template_of(till)
    used, locked, over = [await issued(till, template) for _ in range(3)]
    use = await till.as_staff(USE, who=till.shop.cashier, input=at_till(till, used))
    lock = at_till(till, locked, orderNumber="A-2", minutes=10)
    held = await till.as_staff(LOCK, who=till.shop.cashier, input=lock)
    run, cashier = till.database.run, till.shop.cashier
    end = (await coupon_of(till.database, over["id"])).valid_until
    late = till.later(minutes=9)
    async with coupons_stay(till.database):
        answer = await withdraw(late, used)
        assert (answer["__typename"], answer["usedAt"]) == ("CouponUsed", use["use"]["usedAt"])
        answer = await withdraw(late, locked)
        assert (answer["__typename"], answer["until"]) == (
            "CouponLocked", held["use"]["lockedUntil"],
        )  # fmt: skip
        with pytest.raises(CouponExpired):
            await run(
                withdrawing.withdraw, till.shop.owner.actor, reason="x", request_key="late",
                coupon_id=parse_type_id("cpn", over["id"]), now=end,
            )  # fmt: skip
        assert (await withdraw(late, {"id": type_id("cpn", new_id())}))["__typename"] == (
            "CouponNotFound"
        )
        for reason in ("", " ", "x" * 201):
            assert await withdraw(late, over, reason=reason) == "BAD_USER_INPUT"
        denied = await late.as_staff(WITHDRAW, who=cashier, input=asked_of(over))
        assert denied == "FORBIDDEN"
        assert await every(till.database, records) == []
    after = till.later(minutes=10)
    assert (await withdraw(after, locked))["coupon"]["status"] == "WITHDRAWN"
    _, let_go = await every(till.database, uses)
    assert (let_go.state, let_go.ended_at) == (CouponUseState.RELEASED, after.now)


async def test_a_link_to_a_friend_ends_and_what_a_friend_has_is_taken_from_the_friend(
    till: Counter,
) -> None:
    """CPN-6: whoever has it, a mistake is a mistake."""
    open_, claimed = await a_coupon(till), await a_coupon(till)
    friend = await a_friend(till)
    begun = await handed_over(till, open_)
    given = await handed_over(till, claimed)
    await bearer_of(till, friend.id)
    await till.as_member(CLAIM, member_id=friend.id, secret=given.secret, key=new_id().hex)
    for coupon in (open_, claimed):
        assert (await withdraw(till, coupon))["coupon"]["status"] == "WITHDRAWN"
    async with coupons_stay(till.database):
        late = await till.as_member(CLAIM, member_id=friend.id, secret=begun.secret, key="late")
        assert late["__typename"] == "CouponHandoverRefused"
        assert await till.as_member(FOUND, member_id=friend.id, secret=begun.secret) is None
    mine = await till.as_member(OWN_COUPON, member_id=friend.id, id=type_id("cpn", claimed.id))
    assert mine == {"status": "WITHDRAWN", "code": None}
    edges = (await till.as_member(GIVEN))["edges"]
    assert [edge["node"]["state"] for edge in edges] == ["CLAIMED", "WITHDRAWN"]


async def test_what_was_sold_is_still_paid_back_whole(till: Counter) -> None:
    """CPN-7: a withdrawn coupon was not used, so its order is refunded as if it were there."""
    at: dict[str, Any] = {"perspective": till.shop.places.group, "now": till.now}
    template = await till.database.run(a_template, **at)
    pack = await till.database.run(a_pack, of=[(template, 2)], **at)
    sold = await sell(till, await on_sale(till, pack.id))
    first, second = await every(till.database, all_coupons)
    await withdraw(till, first)
    refunded = await refund(till, sold["order"])
    assert refunded["order"]["refundedAmount"] == {"amount": 990}
    states = [each.state for each in await every(till.database, all_coupons)]
    assert states == [CouponState.WITHDRAWN, CouponState.WITHDRAWN]
    both = [await till.as_staff(WITHDRAWN, id=type_id("cpn", each.id)) for each in (first, second)]
    assert [each["withdrawal"] is None for each in both] == [False, True]


async def test_many_are_withdrawn_after_a_preview_with_a_trace_of_each(till: Counter) -> None:
    """What a bill holds or has used is seen and stays."""
    coupon = await a_coupon(till, number=5)
    other = await a_coupon(till)
    first, second, locked, used, given, _ = await every(till.database, all_coupons)
    run = till.database.run
    until = till.now + timedelta(hours=2)
    await run(mark, coupon=locked, state=CouponState.LOCKED, locked_until=until)
    await run(mark, coupon=used, state=CouponState.USED, ended_at=till.now)
    await handed_over(till, given)
    later = till.later(hours=1)
    values = {"withdraw": True}
    template_id = type_id("ctpl", coupon.template_id)
    async with coupons_stay(till.database):
        preview = await later.as_staff(
            WITHDRAWALS_PREVIEW, input={"templateId": template_id, "values": values}
        )
        for more in ({"title": "x"}, {"extendDays": 1}, {"lastDay": "2027-01-01"}):
            assert await start(later, coupon, values=values | more) == "BAD_USER_INPUT"
        assert await start(later, coupon, values={"withdraw": False}) == "BAD_USER_INPUT"
    assert preview == {
        "numberOfCoupons": 4,
        "sample": [
            {"couponId": type_id("cpn", each.id), "differs": goes, "revives": False,
             "withdraws": goes}
            for each, goes in ((first, True), (second, True), (locked, False), (given, True))
        ],
    }  # fmt: skip
    started = await start(later, coupon, requestKey="many")
    assert await start(later, coupon, requestKey="many") == started | {"replayed": True}
    assert (await coupon_of(till.database, first.id)).state is CouponState.VALID
    await work(later)
    done = await later.as_staff(WITHDRAWALS, id=started["change"]["id"])
    counts = ("state", "numberOfCoupons", "numberSeen", "numberChanged", "operatorName")
    assert [done[name] for name in counts] == ["DONE", 4, 4, 3, "王小明"]
    nothing = {"validUntil": None, "title": None}
    assert [edge["node"] for edge in done["lines"]["edges"]] == [
        {"couponId": type_id("cpn", each.id), "revives": False, "withdraws": True,
         "before": nothing, "after": nothing}
        for each in (first, second, given)
    ]  # fmt: skip
    assert [each.state for each in await every(till.database, all_coupons)] == [
        CouponState.WITHDRAWN, CouponState.WITHDRAWN, CouponState.LOCKED, CouponState.USED,
        CouponState.WITHDRAWN, CouponState.VALID,
    ]  # fmt: skip
    shown = await later.as_staff(WITHDRAWN, id=type_id("cpn", second.id))
    assert shown["withdrawal"]["changeId"] == started["change"]["id"]
    assert shown["withdrawal"]["reason"] == "Sent to the wrong list"
    (record,) = await every(till.database, records)
    assert (record.action, record.details["number"]) == ("coupons.withdraw", 4)
    assert (await coupon_of(till.database, other.id)).remind_at == other.remind_at


async def test_a_withdrawal_that_dies_halfway_takes_each_once(
    till: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "BATCH", 2)
    coupon = await a_coupon(till, number=5)
    later = till.later(minutes=1)
    change = (await start(later, coupon))["change"]
    batch = call(changes.work_on, change_id=parse_type_id("cbc", change["id"]), now=later.now)

    async def dies(tx: Transaction) -> None:
        await batch(tx)
        raise coupons.CouponTemplateNotFound  # any refusal rolls the batch back

    await till.database.run(batch)
    with pytest.raises(coupons.CouponTemplateNotFound):
        await till.database.run(dies)
    await beside(till.database, batch, before=changes.note_progress, second=batch)
    await work(later)
    done = await later.as_staff(WITHDRAWALS, id=change["id"])
    assert [done[name] for name in ("state", "numberSeen", "numberChanged")] == ["DONE", 5, 5]
    assert len(await every(till.database, all_lines)) == 5


@pytest.mark.parametrize("is_till_first", [True, False])
async def test_of_a_till_and_staff_at_once_one_has_the_coupon(
    till: Counter, is_till_first: bool
) -> None:
    coupon = await a_coupon(till)
    use = call(
        using.use, till.shop.cashier.actor,
        wanted=using.Wanted(
            at=Asked(terminal_id=parse_type_id("term", till.terminal_id)), code=coupon.code,
            order_number="A-1", bill=Bill(total=Money(50_00, "CNY")),
        ),
        request_key="use", now=till.now,
    )  # fmt: skip
    taking = call(
        withdrawing.withdraw, till.shop.owner.actor, coupon_id=coupon.id, reason="A mistake",
        request_key="withdraw", now=till.now,
    )  # fmt: skip
    if is_till_first:
        _, lost = await beside(till.database, use, before=using.use_up, second=taking)
        assert isinstance(lost, CouponUsed)
    else:
        _, lost = await beside(till.database, taking, before=giving.withdraw_unused, second=use)
        assert isinstance(lost, CouponWithdrawn)
    state = (await coupon_of(till.database, coupon.id)).state
    assert state is (CouponState.USED if is_till_first else CouponState.WITHDRAWN)
    assert len(await every(till.database, uses)) == is_till_first
    assert len(await every(till.database, all_lines)) == (not is_till_first)
