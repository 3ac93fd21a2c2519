"""How what was redeemed reaches its member, or comes back (MAL-3)."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Database, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.models.coupons import Coupon, CouponState
from app.models.ledger import Posting, PostingKind
from app.models.operations import AuditRecord
from app.models.organisation import Node
from app.services import coupons, ledger, live, mall_returns, members, points_mall
from app.services.members import Bearer
from app.services.merges import merging
from app.services.points_mall import contents, fulfilling
from tests.factories.cards import SESSION_LIFE, Counter, a_device, counter
from tests.factories.coupons import a_template
from tests.factories.points_mall import (
    CANCEL,
    DELIVERED,
    HAND_OVER,
    LIST,
    ONE,
    READY,
    RECIPIENT,
    SHIP,
    SHOW_RECIPIENT,
    cancel_by_staff,
    code_of,
    give_points,
    listed,
    lots,
    mall_stays,
    ordered,
    own,
    points_of,
    stock_of,
)
from tests.factories.races import beside, call
from tests.factories.reading import every
from tests.factories.spendings import stay_signed_in
from tests.factories.staff import Employee, employee

pytestmark = pytest.mark.anyio

NOTICES = """{ notices(first: 5) { edges { node { id kind mallOrder { order { id title }
  fulfilment { state store { name } pickUpCode carrier trackingNumber } } } } } }"""

audit_rows = statement(select(AuditRecord).order_by(col(AuditRecord.sequence)), into=AuditRecord)
use_coupon = statement(
    update(Coupon).where(col(Coupon.id) == bindparam("coupon_id")).values(state=CouponState.USED)
)
postings = statement(select(Posting).order_by(col(Posting.id)), into=Posting)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    found = await counter(database, now)
    session = {"session_id": found.shop.owner.session_id, "until": now + SESSION_LIFE}
    await database.run(lambda tx: tx.changed(stay_signed_in, **session))
    await give_points(found, 1_000)
    return found


async def hand_over(till: Counter, code: str, *, terminal: str = "") -> Any:
    return await till.as_staff(HAND_OVER, terminal=terminal or till.terminal_id, code=code)


async def listed_orders(
    till: Counter, /, *, who: Employee | None = None, **asked: Any
) -> list[str]:
    found = await till.as_staff(LIST, who=who, **asked)
    return [edge["node"]["order"]["id"] for edge in found["edges"]]


async def test_a_code_picks_a_thing_up_once_at_its_store(till: Counter, database: Database) -> None:
    """MAL-3: WAITING, READY, PICKED_UP; one message for every reason; nobody but the member sees
    the code."""
    item = await listed(till)
    placed = await ordered(till, item)
    code = await code_of(till, placed)
    cashier = till.shop.cashier
    ready = await till.as_staff(READY, who=cashier, id=placed["id"])
    assert ready["fulfilment"]["state"] == "READY"
    assert ready["fulfilment"]["pickUpCode"] is None
    async with mall_stays(database):
        again = await till.as_staff(READY, who=cashier, id=placed["id"])
        assert (again["__typename"], again["fulfilmentState"]) == ("FulfilmentNotOpen", "READY")
        shipped = {"id": placed["id"], "carrier": "SF", "trackingNumber": "1"}
        assert (await till.as_staff(SHIP, input=shipped))["way"] == "PICK_UP"
        foreign = await till.as_staff(
            HAND_OVER, who=cashier, terminal=till.other_terminal_id, code=code
        )
        assert foreign == "FORBIDDEN"
    wrong = [
        await hand_over(till, code, terminal=till.other_terminal_id),
        await hand_over(till, "0123"),
        await hand_over(till, f"{(int(code) + 1) % 10**10:010}"),
        await hand_over(till, "x" * 1_000),
    ]
    handed = await till.as_staff(
        HAND_OVER, who=cashier, terminal=till.terminal_id, code=f"{code[:5]} {code[5:]}"
    )
    assert handed["order"]["id"] == placed["id"]
    assert handed["fulfilment"]["state"] == "PICKED_UP"
    assert datetime.fromisoformat(handed["fulfilment"]["endedAt"]) == till.now
    wrong.append(await hand_over(till, code))
    assert {each["__typename"] for each in wrong} == {"PickUpCodeRefused"}
    assert len({each["message"] for each in wrong}) == 1
    seen = (await own(till, placed))["fulfilment"]
    assert (seen["state"], seen["pickUpCode"]) == ("PICKED_UP", None)
    async with mall_stays(database):
        late = await till.as_member(CANCEL, id=placed["id"])
        assert (late["__typename"], late["fulfilmentState"]) == ("FulfilmentNotOpen", "PICKED_UP")
        late = await cancel_by_staff(till, placed)
        assert late["__typename"] == "FulfilmentNotOpen"


async def test_guesses_of_codes_are_limited_by_till(till: Counter) -> None:
    """MAL-3: a till may be wrong so often an hour, right ones do not count."""
    item = await listed(till, pricePoints=0)
    for _ in range(2):
        placed = await ordered(till, item)
        handed = await hand_over(till, await code_of(till, placed))
        assert handed["__typename"] == "MallOrder"
    for _ in range(fulfilling.WRONG_PER_TERMINAL_MAX):
        assert (await hand_over(till, "0000000000"))["__typename"] == "PickUpCodeRefused"
    placed = await ordered(till, item)
    code = await code_of(till, placed)
    assert await hand_over(till, code) == "TOO_MANY_REQUESTS"
    assert (await hand_over(till.later(hours=1), code))["__typename"] == "MallOrder"


async def test_a_parcel_is_shipped_to_an_address_that_few_see(
    till: Counter, database: Database
) -> None:
    """MAL-3, SEC-2: masked for staff, shown to who ships it, on record; corrected, delivered."""
    placed = await ordered(till, await listed(till), recipient=RECIPIENT)
    cashier, finance = (
        till.shop.cashier,
        await database.run(employee, node=till.shop.places.group, role="finance", now=till.now),
    )
    (edge,) = (await till.as_staff(LIST, who=finance, way="SHIPPING"))["edges"]
    assert edge["node"]["fulfilment"]["recipient"] == {
        "name": "王**", "phone": "138****1234", "address": None
    }  # fmt: skip
    async with mall_stays(database):
        for who in (cashier, finance):  # a store's cashier has no business with the group's parcels
            assert await till.as_staff(SHOW_RECIPIENT, who=who, id=placed["id"]) == "FORBIDDEN"
        early = await till.as_staff(DELIVERED, id=placed["id"])
        assert (early["__typename"], early["fulfilmentState"]) == ("FulfilmentNotOpen", "WAITING")
        unclear = {"id": placed["id"], "carrier": " ", "trackingNumber": "1"}
        assert await till.as_staff(SHIP, input=unclear) == "BAD_USER_INPUT"
        missing = await till.as_staff(READY, id=type_id("ord", new_id()))
        assert missing["__typename"] == "MallOrderNotFound"
    shown = await till.as_staff(SHOW_RECIPIENT, id=placed["id"])
    assert shown == {"__typename": "MallRecipient"} | RECIPIENT
    for number in ("SF1", "SF2"):
        asked = {"id": placed["id"], "carrier": "SF Express", "trackingNumber": number}
        sent = await till.as_staff(SHIP, input=asked)
        assert sent["fulfilment"]["state"] == "SHIPPED"
    seen = (await own(till, placed))["fulfilment"]
    assert (seen["carrier"], seen["trackingNumber"]) == ("SF Express", "SF2")
    assert seen["recipient"] == RECIPIENT
    async with mall_stays(database):
        late = await till.as_member(CANCEL, id=placed["id"])
        assert (late["__typename"], late["way"]) == ("FulfilmentNotOpen", "SHIPPING")
    arrived = await till.as_staff(DELIVERED, id=placed["id"])
    assert arrived["fulfilment"]["state"] == "DELIVERED"
    done = [each.action for each in await every(database, audit_rows)]
    assert [each for each in done if each.startswith("mall_order.")] == [
        "mall_order.unmask", "mall_order.ship", "mall_order.ship", "mall_order.deliver"
    ]  # fmt: skip


async def test_a_member_hears_once_that_it_lies_ready_or_is_on_its_way(
    till: Counter, database: Database
) -> None:
    """MAL-3: their open page at once too; a correction and a merge in between make it no second
    notice, and what is refused makes none."""
    item = await listed(till)
    fetched, sent = await ordered(till, item), await ordered(till, item, recipient=RECIPIENT)
    async with database.listen(live.topic_of(till.shop.member.id)) as events:
        ready = await till.as_staff(READY, id=fetched["id"])
        assert ready["__typename"] == "MallOrder"
        told = await anext(events)
    again = await till.as_staff(READY, id=fetched["id"])
    assert again["__typename"] == "FulfilmentNotOpen"
    parcel = {"id": sent["id"], "carrier": "SF Express", "trackingNumber": "SF1"}
    assert await till.as_staff(SHIP, input=parcel | {"carrier": " "}) == "BAD_USER_INPUT"
    await till.as_staff(SHIP, input=parcel)
    survivor = await database.run(
        members.create, group_id=till.shop.places.group.id, name="王小明", now=till.now
    )
    await database.run(
        merging.join_records, survivor_id=survivor.id, loser_id=till.shop.member.id, now=till.now
    )
    await till.as_staff(SHIP, input=parcel | {"trackingNumber": "SF2"})
    found = await till.as_member(NOTICES, member_id=survivor.id)
    on_its_way, lies_ready = (edge["node"] for edge in found["edges"])
    assert (told["kind"], type_id("ntc", UUID(told["id"]))) == ("NOTICE", lies_ready["id"])
    assert (lies_ready["kind"], on_its_way["kind"]) == ("MALL_ORDER_READY", "MALL_ORDER_SHIPPED")
    code = await till.as_member(ONE, member_id=survivor.id, id=fetched["id"])
    assert lies_ready["mallOrder"] == {
        "order": {"id": fetched["id"], "title": "A cup"},
        "fulfilment": {
            "state": "READY",
            "store": {"name": till.shop.store.name},
            "pickUpCode": code["fulfilment"]["pickUpCode"],
            "carrier": None,
            "trackingNumber": None,
        },
    }
    # What it says of the parcel is what holds now.
    assert on_its_way["mallOrder"] == {
        "order": {"id": sent["id"], "title": "A cup"},
        "fulfilment": {
            "state": "SHIPPED",
            "store": None,
            "pickUpCode": None,
            "carrier": "SF Express",
            "trackingNumber": "SF2",
        },
    }
    assert len(lies_ready["mallOrder"]["fulfilment"]["pickUpCode"]) == 10


async def test_a_member_calls_off_and_everything_comes_back(
    till: Counter, database: Database
) -> None:
    """MAL-3: points to the very lots with their own expiry, the piece to the shelf; what expired
    meanwhile expires again, visibly; once."""
    await give_points(till, 60, days=2)
    item = await listed(till)
    placed = await ordered(till, item)
    soon = till.now + timedelta(days=2)
    assert await lots(till) == [(960, None), (0, soon)]
    later = till.later(days=3)
    for _ in range(2):
        gone = await later.as_member(CANCEL, id=placed["id"])
        assert (gone["__typename"], gone["order"]["state"]) == ("MallOrder", "REFUNDED")
        assert gone["fulfilment"]["state"] == "CANCELLED"
        assert gone["fulfilment"]["pickUpCode"] is None
        assert await lots(till) == [(1_000, None), (0, soon)]
        assert (await points_of(till), await stock_of(till, item)) == (1_000, 10)
    kinds = [each.kind for each in await every(database, postings)]
    assert kinds[-3:] == [PostingKind.SPEND, PostingKind.SPEND_REVERSAL, PostingKind.EXPIRE]
    assert await database.scan(ledger.check) == []
    async with mall_stays(database):
        stranger = await later.as_member(CANCEL, id=type_id("ord", new_id()))
        assert stranger["__typename"] == "MallOrderNotFound"
        ended = await cancel_by_staff(later, placed)
        assert (ended["__typename"], ended["state"]) == ("OrderNotRefundable", "REFUNDED")


async def test_staff_call_off_with_a_reason_that_the_member_reads(
    till: Counter, database: Database, now: datetime
) -> None:
    """MAL-3: a parcel that came back too; once per request key, by who may."""
    item = await listed(till)
    placed = await ordered(till, item, recipient=RECIPIENT, quantity=2)
    asked = {"id": placed["id"], "carrier": "SF Express", "trackingNumber": "SF1"}
    await till.as_staff(SHIP, input=asked)
    async with mall_stays(database):
        tea = await database.run(employee, node=till.shop.places.tea, role="support", now=now)
        assert await cancel_by_staff(till, placed, who=tea) == "FORBIDDEN"
        assert await cancel_by_staff(till, placed, reason=" ") == "BAD_USER_INPUT"
    key = new_id().hex
    for is_replay in (False, True):
        done = await cancel_by_staff(till, placed, reason="It came back", requestKey=key)
        assert (done["__typename"], done["replayed"]) == ("MallOrderCancelled", is_replay)
        assert done["mallOrder"]["order"]["refundReason"] == "It came back"
        assert done["mallOrder"]["fulfilment"]["recipient"] is None
        assert (await points_of(till), await stock_of(till, item)) == (1_000, 10)
    other = await cancel_by_staff(till, placed, reason="Another", requestKey=key)
    assert other["__typename"] == "RequestKeyReused"
    assert (await own(till, placed))["order"]["refundReason"] == "It came back"
    assert await database.scan(ledger.check) == []


async def test_coupons_are_taken_back_by_staff_while_they_are_unused(
    till: Counter, database: Database
) -> None:
    """MAL-3, CPN-3: what was there at once is the member's; staff withdraw it unused."""
    ten_off = await database.run(a_template, perspective=till.shop.places.group, now=till.now)
    item = await listed(till, coupons={"templateId": type_id("ctpl", ten_off.id), "count": 2})
    kept, used = await ordered(till, item), await ordered(till, item)
    async with mall_stays(database):
        refused = await till.as_member(CANCEL, id=kept["id"])
        assert refused["__typename"] == "RedemptionDelivered"
    done = await cancel_by_staff(till, kept)
    assert done["mallOrder"]["order"]["state"] == "REFUNDED"
    order_id = parse_type_id("ord", kept["id"])
    given = (await database.read(coupons.given_by, contents.CAUSE, [order_id]))[order_id]
    assert [each.state for each in given] == [CouponState.WITHDRAWN] * 2
    used_id = parse_type_id("ord", used["id"])
    first = (await database.read(coupons.given_by, contents.CAUSE, [used_id]))[used_id][0]
    await database.run(lambda tx: tx.changed(use_coupon, coupon_id=first.id))
    async with mall_stays(database):
        refused = await cancel_by_staff(till, used)
        assert (refused["__typename"], refused["used"]) == ("RedemptionUsed", 1)
    assert await points_of(till) == 900


async def test_a_till_and_a_member_cannot_both_have_their_way(
    till: Counter, database: Database
) -> None:
    """MAL-3: handed over beside called off: one of them wins, and the books agree with it."""
    item = await listed(till)
    member, shop = till.shop.member, till.shop
    await database.run(a_device, member_id=member.id, group=shop.places.group, now=till.now)
    placed = await ordered(till, item)
    cancels = call(
        mall_returns.cancel_own, bearer=Bearer(member.id, member.id),
        order_id=parse_type_id("ord", placed["id"]), now=till.now,
    )  # fmt: skip
    hands = call(
        fulfilling.hand_over, shop.owner.actor, terminal_id=shop.terminal.id,
        code=await code_of(till, placed), now=till.now,
    )  # fmt: skip
    outcomes = await beside(database, cancels, before=fulfilling.call_off, second=hands)
    refusals = [each for each in outcomes if isinstance(each, Exception)]
    assert len(refusals) == 1
    state = (await own(till, placed))["fulfilment"]["state"]
    if isinstance(refusals[0], points_mall.PickUpCodeRefused):
        expected = ("CANCELLED", 1_000, 10)
    else:
        expected = ("PICKED_UP", 900, 9)
    assert (state, await points_of(till), await stock_of(till, item)) == expected
    assert await database.scan(ledger.check) == []


async def test_staff_find_what_waits_by_state_store_and_item(
    till: Counter, database: Database, now: datetime
) -> None:
    """MAL-3, ORG-1: stores see theirs; parcels are seen to where their items were made."""
    cup, pot = await listed(till), await listed(till, name="A pot")
    first = (await ordered(till, cup))["id"]
    second = (await ordered(till, pot, recipient=RECIPIENT))["id"]
    third = (await ordered(till, pot))["id"]
    await till.as_staff(READY, id=third)
    store: Node = till.shop.store
    assert await listed_orders(till) == [third, second, first]
    assert await listed_orders(till, state="WAITING") == [second, first]
    assert await listed_orders(till, way="PICK_UP", item=pot["id"]) == [third]
    assert await listed_orders(till, store=type_id("node", store.id)) == [third, first]
    assert await listed_orders(till, who=till.shop.cashier) == [third, first]
    page = await till.as_staff(LIST, first=2)
    assert page["pageInfo"]["hasNextPage"]
    assert await listed_orders(till, after=page["pageInfo"]["endCursor"]) == [first]
    tea = await database.run(employee, node=till.shop.places.tea_store, role="cashier", now=now)
    assert await listed_orders(till, who=tea) == []
    async with mall_stays(database):
        assert await till.as_staff(READY, who=tea, id=first) == "FORBIDDEN"
