"""CPN-3, CRD-5: coupons issued, claimed, shown and looked up."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
import zxingcpp
from sqlalchemy import bindparam
from sqlmodel import col, update

from app.core.db import Database, statement
from app.core.ids import new_id, type_id
from app.jobs import duties
from app.models.members import Member, MemberStatus
from app.services.coupons import giving, issuing
from tests.factories.cards import Counter, counter
from tests.factories.coupons import (
    CLAIM,
    DEACTIVATE,
    ISSUE,
    LIST,
    MINE,
    SHOWN,
    TO_CLAIM,
    a_template,
    issued,
    template_of,
)
from tests.factories.ledger import nothing_moves
from tests.factories.member_codes import drawn, scanned
from tests.factories.races import beside, call
from tests.factories.small_world import a_member

pytestmark = pytest.mark.anyio

merge_into = statement(
    update(Member)
    .where(col(Member.id) == bindparam("member_id"))
    .values(merged_into_id=bindparam("into_id"), status=MemberStatus.MERGED)
)
NOTICES = """query { notices { edges { node { kind couponsExpiring { title validUntil } } } } }"""
RECORD = """query ($id: ID!) { member(id: $id) { coupons { edges { node { status } } }
  timeline(kinds: [COUPON_RECEIVED, COUPON_USED]) { edges { node { kind title } } } } }"""


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


def gift(template: Any, /, key: str = "k1", **more: Any) -> dict[str, Any]:
    return {"gift": {"templateId": template["id"]} | more, "requestKey": key}


async def test_crd_5_staff_issue_by_card_or_member_once_for_a_request(till: Counter) -> None:
    template = await template_of(till, stock=5, limitPerMember=4)
    by_card = gift(template, count=2) | {"cardId": till.card_id}
    made = await till.as_staff(ISSUE, input=by_card)
    assert [each["status"] for each in made["coupons"]] == ["VALID", "VALID"]
    assert made["coupons"][0]["cause"] == "ISSUE"
    assert made["coupons"][0]["validFrom"] == "2026-09-01T12:00:00+00:00"
    assert made["coupons"][0]["validUntil"] == "2026-09-30T16:00:00+00:00", "30 days in Shanghai"
    again = await till.as_staff(ISSUE, input=by_card)
    assert again == made | {"replayed": True}
    member_id = type_id("mem", till.shop.member.id)
    by_member = gift(template, "k2") | {"memberId": member_id}
    assert len((await till.as_staff(ISSUE, input=by_member))["coupons"]) == 1

    async with nothing_moves(till.database):
        reused = await till.as_staff(ISSUE, input=gift(template) | {"cardId": till.card_id})
        assert reused["__typename"] == "RequestKeyReused"
        most = await till.as_staff(
            ISSUE, input=gift(template, "k3", count=2) | {"cardId": till.card_id}
        )
        assert (most["__typename"], most["limit"]) == ("CouponLimitReached", 4)
        for wrong in (
            gift(template, "k3"),
            gift(template, "k3") | {"memberId": member_id, "cardId": till.card_id},
            gift(template, "k3", count=101) | {"cardId": till.card_id},
        ):
            assert await till.as_staff(ISSUE, input=wrong) == "BAD_USER_INPUT"
        nobody = gift(template, "k3") | {"memberId": type_id("mem", new_id())}
        assert (await till.as_staff(ISSUE, input=nobody))["__typename"] == "MemberNotFound"
        cashier = till.shop.cashier
        asked = gift(template, "k3") | {"cardId": till.card_id}
        assert await till.as_staff(ISSUE, who=cashier, input=asked) == "FORBIDDEN"
    group, scheme = till.shop.places.group, till.shop.scheme
    other, _ = await till.database.run(a_member, group=group, scheme=scheme, now=till.now)
    other_id = type_id("mem", other.id)
    async with nothing_moves(till.database):
        short = await till.as_staff(
            ISSUE, input=gift(template, "k3", count=3) | {"memberId": other_id}
        )
        assert (short["__typename"], short["left"]) == ("CouponsSoldOut", 2)
    await till.as_staff(DEACTIVATE, input={"id": template["id"]})
    async with nothing_moves(till.database):
        asked = gift(template, "k3") | {"memberId": other_id}
        assert (await till.as_staff(ISSUE, input=asked))["__typename"] == "CouponNotActive"


async def test_cpn_3_a_code_is_shown_to_its_holder_as_qr_and_barcode(till: Counter) -> None:
    """Staff see the last four digits; another member nothing."""
    coupon = await issued(till, await template_of(till))
    code = coupon["code"]
    assert len(code["value"]) == 20
    assert code["formatted"].replace(" ", "") == code["value"]
    assert scanned(drawn(code["svg"])) == code["value"]
    bars = [
        (int(each.partition(",")[0]), int(each.partition("h")[2].partition("v")[0]))
        for each in code["barcode"].partition(' d="')[2].partition('"')[0].split("M")[1:]
    ]
    row = bytearray(b"\xff" * (bars[-1][0] + bars[-1][1] + 10))
    for at, width in bars:
        row[at : at + width] = bytes(width)
    wide = b"".join(bytes([pixel]) * 3 for pixel in row) * 20
    (read,) = zxingcpp.read_barcodes(memoryview(wide).cast("B", (20, len(row) * 3)))
    assert (read.format, read.text) == (zxingcpp.BarcodeFormat.Code128, code["value"])

    seen = await till.as_staff(LIST)
    assert seen["edges"][0]["node"]["maskedCode"] == "*" * 16 + code["value"][-4:]
    group, scheme = till.shop.places.group, till.shop.scheme
    other, _ = await till.database.run(a_member, group=group, scheme=scheme, now=till.now)
    assert await till.as_member(SHOWN, member_id=other.id, id=coupon["id"]) is None
    elsewhere = await counter(till.database, till.now)
    assert (await elsewhere.as_staff(LIST))["edges"] == []


async def test_cpn_3_members_claim_what_is_there_for_them(till: Counter) -> None:
    friday = {
        "timeZone": "Asia/Shanghai",
        "recurrence": {"kind": "WEEKLY", "days": [5]},
        "window": {"start": "10:00", "end": "22:00"},
    }
    await template_of(till, name="For staff to give")
    now_there = await template_of(till, title="Now", claimScope={}, limitPerMember=1, stock=2)
    later = await template_of(till, title="Friday", claimScope={"schedule": friday})
    tea = type_id("node", till.shop.places.tea.id)
    for_tea = await template_of(till, title="Tea", claimScope={"includedNodeIds": [tea]})
    over = {"first": "2026-08-01", "last": "2026-08-31", "timeZone": "Asia/Shanghai"}
    ended = await template_of(till, title="Over", claimScope={}, validity={"fixed": over})

    async def offers(**asked: Any) -> list[tuple[str, str | None]]:
        found = await till.as_member(TO_CLAIM, **asked)
        return [(each["terms"]["title"], each["availableFrom"]) for each in found]

    opens = "2026-09-04T02:00:00+00:00"
    assert await offers() == [("Now", None), ("Friday", opens)]
    tea_store = type_id("node", till.shop.places.tea_store.id)
    assert [title for title, _ in await offers(store=tea_store)] == ["Now", "Friday", "Tea"]
    assert await till.as_member(TO_CLAIM, store=type_id("node", new_id())) is None

    claim = {"templateId": now_there["id"], "requestKey": "k1"}
    claimed = await till.as_member(CLAIM, input=claim)
    assert claimed["coupon"]["status"] == "VALID"
    assert await till.as_member(CLAIM, input=claim) == claimed | {"replayed": True}
    assert [title for title, _ in await offers()] == ["Friday"]
    async with nothing_moves(till.database):
        for template, refusal in (
            (now_there, "CouponLimitReached"),
            (later, "NotAvailable"),
            (for_tea, "NotAvailable"),
            (ended, "NotAvailable"),
        ):
            asked = {"templateId": template["id"], "requestKey": "k2"}
            assert (await till.as_member(CLAIM, input=asked))["__typename"] == refusal
        asked = {"templateId": type_id("ctpl", new_id()), "requestKey": "k2"}
        assert (await till.as_member(CLAIM, input=asked))["__typename"] == "CouponTemplateNotFound"


async def test_cpn_1_of_many_that_claim_at_once_no_more_get_one_than_there_are(
    till: Counter,
) -> None:
    template = await template_of(till, claimScope={}, stock=3)
    group, scheme = till.shop.places.group, till.shop.scheme
    people = [
        (await till.database.run(a_member, group=group, scheme=scheme, now=till.now))[0]
        for _ in range(8)
    ]
    asked = {"templateId": template["id"], "requestKey": "k"}
    found = await asyncio.gather(
        *(till.as_member(CLAIM, member_id=each.id, input=asked) for each in people)
    )
    names = sorted(each["__typename"] for each in found)
    assert names == ["CouponClaimed"] * 3 + ["CouponsSoldOut"] * 5


async def test_cpn_1_of_two_claims_of_one_member_at_once_the_limit_counts_both(
    till: Counter,
) -> None:
    """A merged record is the same person."""
    template = await template_of(till, claimScope={}, limitPerMember=1)
    group, scheme = till.shop.places.group, till.shop.scheme
    earlier, _ = await till.database.run(a_member, group=group, scheme=scheme, now=till.now)
    asked = {"templateId": template["id"], "requestKey": "k"}
    keys = ("a", "b", "c")
    found = await asyncio.gather(
        *(till.as_member(CLAIM, input=asked | {"requestKey": key}) for key in keys)
    )
    names = sorted(each["__typename"] for each in found)
    assert names == ["CouponClaimed", "CouponLimitReached", "CouponLimitReached"]

    await till.as_member(CLAIM, member_id=earlier.id, input=asked)
    mine = await till.as_member(MINE)
    assert len(mine["edges"]) == 1
    await till.database.run(
        lambda tx: tx.changed(merge_into, member_id=earlier.id, into_id=till.shop.member.id)
    )
    assert len((await till.as_member(MINE))["edges"]) == 2, "a merged record's coupons are theirs"


async def test_cpn_3_issue_takes_stock_once_where_two_want_the_last(till: Counter) -> None:
    group, run = till.shop.places.group, till.database.run
    template = await run(a_template, perspective=group, now=till.now, stock_left=1)
    portions = [giving.Portion(template, None, 1)]
    takes = [call(issuing._take, till.shop.member, portions, till.now) for _ in "ab"]
    found = await beside(till.database, takes[0], before=issuing.take_units, second=takes[1])
    assert sorted(map(str, found)) == ["None", "There are no coupons left."]


async def test_cpn_3_coupons_expire_and_holders_are_told_three_days_before(till: Counter) -> None:
    """By the clock at once, and by a duty in the row; a notice at nine on the third day before."""
    template = await template_of(till)
    coupon = await issued(till, template)
    short = {"fromReceipt": {"validDays": 2, "timeZone": "Asia/Shanghai"}}
    await issued(till, await template_of(till, validity=short, title="Short"))
    in_two = {"fromReceipt": {"effectiveAfterDays": 2, "validDays": 1, "timeZone": "Asia/Shanghai"}}
    await issued(till, await template_of(till, validity=in_two, title="Upcoming"))

    async def standing(at: Counter) -> dict[str, str]:
        mine = await at.as_member(MINE)
        found = {e["node"]["terms"]["title"]: e["node"]["status"] for e in mine["edges"]}
        for status in set(found.values()):
            some = await at.as_member(MINE, status=status)
            titles = {e["node"]["terms"]["title"] for e in some["edges"]}
            assert titles == {title for title, is_now in found.items() if is_now == status}
        return found

    assert await standing(till) == {"10 off": "VALID", "Short": "VALID", "Upcoming": "UPCOMING"}
    later = till.later(days=2)
    assert await standing(later) == {"10 off": "VALID", "Short": "EXPIRED", "Upcoming": "VALID"}

    # It ends with the 30th of September in Shanghai; three days before is the 28th, at nine.
    before = till.later(days=26, hours=12)
    assert await till.database.run(duties.remind_of_coupons, now=before.now) == 0
    nine = till.later(days=26, hours=13)
    assert nine.now.isoformat() == "2026-09-28T01:00:00+00:00"
    assert await till.database.run(duties.remind_of_coupons, now=nine.now) == 1
    assert await till.database.run(duties.remind_of_coupons, now=nine.now) == 0
    notices = await nine.as_member(NOTICES)
    assert [each["node"] for each in notices["edges"]] == [
        {
            "kind": "COUPONS_EXPIRING",
            "couponsExpiring": [{"title": "10 off", "validUntil": "2026-09-30T16:00:00+00:00"}],
        }
    ]
    end = till.later(days=29, hours=4)
    assert end.now.isoformat() == "2026-09-30T16:00:00+00:00"
    assert await till.database.run(duties.expire_coupons, now=end.now) == 3
    assert await till.database.run(duties.expire_coupons, now=end.now) == 0
    shown = await end.as_member(SHOWN, id=coupon["id"])
    assert (shown["status"], shown["code"]) == ("EXPIRED", None)
    assert shown["endedAt"] == "2026-09-30T16:00:00+00:00"


async def test_mem_7_staff_find_a_members_coupons(till: Counter) -> None:
    template = await template_of(till)
    await issued(till, template, count=2)
    member_id = type_id("mem", till.shop.member.id)
    record = await till.as_staff(RECORD, id=member_id)
    assert [e["node"]["status"] for e in record["coupons"]["edges"]] == ["VALID", "VALID"]
    assert [e["node"] for e in record["timeline"]["edges"]] == [
        {"kind": "COUPON_RECEIVED", "title": "10 off"}
    ] * 2
    for narrowed, number in (
        ({"memberId": member_id}, 2),
        ({"templateId": template["id"]}, 2),
        ({"templateId": template["id"], "status": "USED"}, 0),
        ({"memberId": type_id("mem", new_id())}, 0),
        ({"packId": type_id("cpk", new_id())}, 0),
    ):
        assert len((await till.as_staff(LIST, filter=narrowed))["edges"]) == number
    both = {"memberId": member_id, "templateId": template["id"]}
    assert await till.as_staff(LIST, filter=both) == "BAD_USER_INPUT"
