"""CPN-6: a coupon is given to a friend by a link, claimed once, or taken back."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app.core.crypto import fingerprint
from app.core.db import Database, Transaction
from app.core.ids import new_id, type_id
from app.models.coupons import CouponState, HandoverRule, HandoverState
from app.models.organisation import Node
from app.services import scopes
from app.services.coupons import expiring, handovers
from app.services.scopes import ScopeRules
from tests.factories.cards import Counter, counter
from tests.factories.coupon_sales import (
    ALLOW,
    CLAIM,
    FOUND,
    GIVEN,
    HAND_OVER,
    OWN_COUPON,
    TAKE_BACK,
    a_coupon,
    a_friend,
    bearer_of,
    coupon_of,
    coupons_stay,
    handed_over,
    mark,
)
from tests.factories.coupons import RETURN, USE, a_template, at_till
from tests.factories.races import beside, call

pytestmark = pytest.mark.anyio
EXPORT = "{ memberExport }"
CLAIM_IT = """mutation ($input: CouponClaimInput!) { couponClaim(input: $input) {
  ... on CouponClaimed { coupon { id code { value } } } ... on Problem { message } } }"""


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def a_claim_scope(tx: Transaction, perspective: Node) -> UUID:
    """For everybody, everywhere."""
    return (await scopes.create(tx, perspective=perspective, rules=ScopeRules())).id


def coupon_id(coupon: Any) -> str:
    return type_id("cpn", coupon.id)


def claiming(till: Counter, bearer: Any, secret: str) -> Any:
    return call(
        handovers.claim, bearer=bearer, secret=secret, request_key=new_id().hex, now=till.now
    )


async def test_a_friend_has_the_coupon_with_a_code_of_their_own(till: Counter) -> None:
    """The old code is dead, the new one is its new holder's alone; the giver's limit counts it."""
    coupon = await a_coupon(till)
    friend = await a_friend(till)
    key = new_id().hex
    begun = await till.as_member(HAND_OVER, id=coupon_id(coupon), key=key)
    assert begun["__typename"] == "CouponHandoverBegun", begun
    handover = begun["handover"]
    assert (handover["state"], handover["couponId"]) == ("OPEN", coupon_id(coupon))
    assert handover["expiresAt"] == (till.now + timedelta(days=3)).isoformat()
    again = await till.as_member(HAND_OVER, id=coupon_id(coupon), key=key)
    assert (again["replayed"], again["handover"]) == (True, handover)
    held = await till.as_member(OWN_COUPON, id=coupon_id(coupon))
    assert held == {"status": "HANDED_OVER", "code": None}
    found = await till.as_member(FOUND, member_id=friend.id, secret=handover["secret"])
    assert found == {
        "giverName": "王**", "terms": {"title": "10 off"}, "expiresAt": handover["expiresAt"],
        "validUntil": coupon.valid_until.isoformat(),
    }  # fmt: skip
    claim_key = new_id().hex
    claimed = await till.as_member(
        CLAIM, member_id=friend.id, secret=handover["secret"], key=claim_key
    )
    assert claimed == {
        "__typename": "CouponHandoverClaimed", "couponId": coupon_id(coupon), "replayed": False,
    }  # fmt: skip
    row = await coupon_of(till.database, coupon.id)
    assert (row.member_id, row.issued_to_id, row.state) == (
        friend.id, till.shop.member.id, CouponState.VALID,
    )  # fmt: skip
    assert row.code != coupon.code
    assert row.code_index != coupon.code_index
    mine = await till.as_member(OWN_COUPON, member_id=friend.id, id=coupon_id(coupon))
    assert mine == {"status": "VALID", "code": {"value": row.code}}
    assert await till.as_member(OWN_COUPON, id=coupon_id(coupon)) is None
    (edge,) = (await till.as_member(GIVEN))["edges"]
    assert edge["node"] == {
        "id": handover["id"], "state": "CLAIMED", "secret": None, "receiverName": "王**",
    }  # fmt: skip
    async with coupons_stay(till.database):
        replayed = await till.as_member(
            CLAIM, member_id=friend.id, secret=handover["secret"], key=claim_key
        )
        assert replayed["replayed"] is True
        late = await till.as_member(TAKE_BACK, id=handover["id"])
        assert (late["__typename"], late["state"]) == ("CouponHandoverEnded", "CLAIMED")


async def test_a_link_that_does_not_work_says_one_thing_whatever_the_reason(
    till: Counter,
) -> None:
    coupon = await a_coupon(till, number=3)
    friend, other = await a_friend(till), await a_friend(till)
    run = till.database.run
    claimed = await handed_over(till, coupon)
    await run(claiming(till, await bearer_of(till, other.id), claimed.secret))
    taken = await handed_over(till, await a_coupon(till))
    back = await till.as_member(TAKE_BACK, id=type_id("cho", taken.handover.id))
    assert (back["state"], back["secret"]) == ("TAKEN_BACK", None)
    assert (await till.as_member(TAKE_BACK, id=back["id"]))["state"] == "TAKEN_BACK"
    old = await handed_over(till, await a_coupon(till))
    late = till.later(days=3)
    async with coupons_stay(till.database):
        for at, secret in (
            (till, claimed.secret), (till, taken.secret), (late, old.secret), (till, "0" * 32),
            (till, ""), (till, "\ud800"), (till, "x" * 10_000),
        ):  # fmt: skip
            answer = await at.as_member(CLAIM, member_id=friend.id, secret=secret, key="k" * 9)
            assert answer == {
                "__typename": "CouponHandoverRefused",
                "message": "This link does not work, or not any more.",
            }
            assert await at.as_member(FOUND, member_id=friend.id, secret=secret) is None
        stranger = await till.as_member(TAKE_BACK, member_id=friend.id, id=back["id"])
        assert stranger["__typename"] == "CouponHandoverRefused"
    # The secret stands nowhere in the row, only its hash.
    assert taken.handover.secret_hash == fingerprint(taken.secret.encode())


async def test_a_claim_asked_for_again_does_not_tell_the_friends_code(till: Counter) -> None:
    """Whoever claimed a coupon and gave it away asks with the old request key: the coupon is a
    friend's, and so is its code."""
    at: dict[str, Any] = {"perspective": till.shop.places.group, "now": till.now}
    for_all = await till.database.run(a_claim_scope, till.shop.places.group)
    template = await till.database.run(
        a_template, handover=HandoverRule.EVERYWHERE, claim_scope_id=for_all, **at
    )
    claim = {"templateId": type_id("ctpl", template.id), "requestKey": "k1"}
    claimed = await till.as_member(CLAIM_IT, input=claim)
    assert claimed["coupon"]["code"]["value"]
    assert await till.as_member(CLAIM_IT, input=claim) == claimed
    friend = await a_friend(till)
    begun = await till.as_member(HAND_OVER, id=claimed["coupon"]["id"], key=new_id().hex)
    secret = begun["handover"]["secret"]
    await till.as_member(CLAIM, member_id=friend.id, secret=secret, key=new_id().hex)
    again = await till.as_member(CLAIM_IT, input=claim)
    assert again["coupon"] == {"id": claimed["coupon"]["id"], "code": None}


async def test_who_may_give_and_claim_and_from_where(till: Counter) -> None:
    """Only what the template allows; MINI_PROGRAM asks how the session began, on both sides."""
    never = await a_coupon(till, rule=HandoverRule.NEVER)
    inside = await a_coupon(till, rule=HandoverRule.MINI_PROGRAM)
    own = await a_coupon(till)
    friend = await a_friend(till)
    run, member_id = till.database.run, till.shop.member.id
    mini = handovers.MINI_PROGRAM_METHOD
    async with coupons_stay(till.database):
        for coupon in (never, inside):
            refused = await till.as_member(HAND_OVER, id=coupon_id(coupon), key=new_id().hex)
            assert refused["__typename"] == "CouponNotGiveable", refused
        for asked, by in ((type_id("cpn", new_id()), None), (coupon_id(own), friend.id)):
            answer = await till.as_member(HAND_OVER, member_id=by, id=asked, key=new_id().hex)
            assert answer["__typename"] == "CouponNotYours"
    begun = await run(
        handovers.begin, bearer=await bearer_of(till, member_id, method=mini),
        coupon_id=inside.id, request_key=new_id().hex, now=till.now,
    )  # fmt: skip
    async with coupons_stay(till.database):
        by_sms = await till.as_member(
            CLAIM, member_id=friend.id, secret=begun.secret, key=new_id().hex
        )
        assert (by_sms["__typename"], by_sms["rule"]) == ("CouponNotGiveable", "MINI_PROGRAM")
        giver = await till.as_member(CLAIM, secret=begun.secret, key=new_id().hex)
        assert giver["__typename"] == "CouponHandoverIsYours"
    await run(claiming(till, await bearer_of(till, friend.id, method=mini), begun.secret))
    assert (await coupon_of(till.database, inside.id)).member_id == friend.id
    template = type_id("ctpl", never.template_id)
    async with coupons_stay(till.database):
        stale = await till.as_staff(ALLOW, id=template, version=7, rule="EVERYWHERE")
        assert stale["__typename"] == "EditedMeanwhile"
        cashier = till.shop.cashier
        denied = await till.as_staff(ALLOW, who=cashier, id=template, version=1, rule="NEVER")
        assert denied == "FORBIDDEN"
    allowed = await till.as_staff(ALLOW, id=template, version=1, rule="EVERYWHERE")
    assert allowed == {"__typename": "CouponTemplate", "version": 2}
    given = await till.as_member(HAND_OVER, id=coupon_id(never), key=new_id().hex)
    assert given["__typename"] == "CouponHandoverBegun"


async def test_only_what_is_in_hand_can_be_given(till: Counter) -> None:
    coupon = await a_coupon(till)
    later = till.now + timedelta(minutes=5)
    for state, more in (
        (CouponState.LOCKED, {"locked_until": later}),
        (CouponState.USED, {"ended_at": till.now}),
        (CouponState.WITHDRAWN, {"ended_at": till.now}),
        (CouponState.EXPIRED, {"ended_at": till.now}),
    ):
        await till.database.run(mark, coupon=coupon, state=state, **more)
        async with coupons_stay(till.database):
            answer = await till.as_member(HAND_OVER, id=coupon_id(coupon), key=new_id().hex)
            assert answer["__typename"] == "CouponNotInHand", state
    await till.database.run(mark, coupon=coupon, state=CouponState.VALID)
    over = till.later(days=40)
    async with coupons_stay(till.database):
        answer = await over.as_member(HAND_OVER, id=coupon_id(coupon), key=new_id().hex)
        assert answer["__typename"] == "CouponNotInHand"
        await till.database.run(handovers.end_overdue, now=till.now)
    await handed_over(till, coupon)
    async with coupons_stay(till.database):
        twice = await till.as_member(HAND_OVER, id=coupon_id(coupon), key=new_id().hex)
        assert twice["__typename"] == "CouponNotInHand"


async def test_what_nobody_claims_in_time_is_its_givers_again_and_expires_as_ever(
    till: Counter,
) -> None:
    coupon = await a_coupon(till)
    begun = await handed_over(till, coupon)
    run = till.database.run
    assert await run(handovers.end_overdue, now=till.now + timedelta(days=2)) == 0
    after = till.now + timedelta(days=3)
    assert await run(handovers.end_overdue, now=after) == 1
    assert await run(handovers.end_overdue, now=after) == 0
    row = await coupon_of(till.database, coupon.id)
    assert (row.state, row.member_id, row.code) == (
        CouponState.VALID, till.shop.member.id, coupon.code,
    )  # fmt: skip
    ended = await till.database.read(handovers.existing, begun.handover.id)
    assert (ended.state, ended.ended_at) == (HandoverState.EXPIRED, after)
    # A link never outlives the coupon.
    last = await a_coupon(till)
    late = till.later(days=29)
    assert (await handed_over(late, last)).handover.expires_at == last.valid_until
    over = last.valid_until
    await run(expiring.expire_due, now=over)
    assert (await coupon_of(till.database, last.id)).state is CouponState.HANDED_OVER
    await run(handovers.end_overdue, now=over)
    await run(expiring.expire_due, now=over)
    assert (await coupon_of(till.database, last.id)).state is CouponState.EXPIRED


async def test_of_two_who_open_the_link_at_once_one_has_it(till: Counter) -> None:
    coupon = await a_coupon(till)
    begun = await handed_over(till, coupon)
    friends = [await a_friend(till) for _ in range(2)]
    bearers = [await bearer_of(till, friend.id) for friend in friends]
    outcomes = await beside(
        till.database,
        claiming(till, bearers[0], begun.secret),
        before=handovers.end_it,
        second=claiming(till, bearers[1], begun.secret),
    )
    assert sorted(type(each).__name__ for each in outcomes) == ["Claimed", "HandoverRefused"]
    (winner,) = [each for each in outcomes if isinstance(each, handovers.Claimed)]
    row = await coupon_of(till.database, coupon.id)
    assert (row.member_id, row.code) == (winner.handover.receiver_id, winner.coupon.code)


async def test_a_claim_and_a_taking_back_at_once_leave_the_coupon_with_one_of_them(
    till: Counter,
) -> None:
    for first_claims in (True, False):
        coupon = await a_coupon(till)
        begun = await handed_over(till, coupon)
        friend = await a_friend(till)
        claim = claiming(till, await bearer_of(till, friend.id), begun.secret)
        back = call(
            handovers.take_back, bearer=await bearer_of(till, till.shop.member.id),
            handover_id=begun.handover.id, now=till.now,
        )  # fmt: skip
        first, second = (claim, back) if first_claims else (back, claim)
        outcomes = await beside(till.database, first, before=handovers.end_it, second=second)
        names = sorted(type(each).__name__ for each in outcomes)
        row = await coupon_of(till.database, coupon.id)
        handover = await till.database.read(handovers.existing, begun.handover.id)
        if handover.state is HandoverState.CLAIMED:
            assert names == ["Claimed", "HandoverEnded"]
            assert row.member_id == friend.id
        else:
            assert handover.state is HandoverState.TAKEN_BACK
            assert "HandoverRefused" in names
            assert (row.member_id, row.code) == (till.shop.member.id, coupon.code)
        assert row.state is CouponState.VALID


async def test_one_gives_only_so_many_a_day(till: Counter) -> None:
    coupons = [await a_coupon(till) for _ in range(2)]
    member_id = till.shop.member.id
    bearer = await bearer_of(till, member_id)
    run = till.database.run
    for _ in range(handovers.BEGUN_PER_DAY_MAX):
        begun = await handed_over(till, coupons[0])
        await run(handovers.take_back, bearer=bearer, handover_id=begun.handover.id, now=till.now)
    async with coupons_stay(till.database):
        answer = await till.as_member(HAND_OVER, id=coupon_id(coupons[1]), key=new_id().hex)
        assert answer == "TOO_MANY_REQUESTS"


async def test_an_export_has_what_was_given_and_received_and_nothing_of_the_friend(
    till: Counter,
) -> None:
    """SEC-4, IDN-8: a coupon has one past and several holders; each takes along their own part."""
    coupon = await a_coupon(till)
    kept = await handed_over(till, await a_coupon(till))
    await till.as_member(TAKE_BACK, id=type_id("cho", kept.handover.id))
    friend = await a_friend(till)
    bill = at_till(till, {"code": {"value": coupon.code}}, orderNumber="GIVER-1")
    used = await till.as_staff(USE, who=till.shop.cashier, input=bill)
    undo = {"useId": used["use"]["id"], "reason": "Wrong table", "requestKey": "undo"}
    await till.as_staff(RETURN, who=till.shop.cashier, input=undo)
    begun = await handed_over(till, coupon)
    later = till.later(hours=1)
    await later.as_member(CLAIM, member_id=friend.id, secret=begun.secret, key="claim")
    held = await coupon_of(till.database, coupon.id)
    bill = at_till(later, {"code": {"value": held.code}}, orderNumber="FRIEND-1")
    await later.as_staff(USE, who=till.shop.cashier, input=bill)
    givers, friends = [
        await later.as_member(EXPORT, member_id=each) for each in (till.shop.member.id, friend.id)
    ]
    both = {"couponId": str(coupon.id), "templateId": str(coupon.template_id)}
    assert givers["couponsGiven"][0] == both | {
        "state": "CLAIMED", "begunAt": till.now.isoformat(), "endedAt": later.now.isoformat(),
        "expiresAt": begun.handover.expires_at.isoformat(),
    }  # fmt: skip
    assert [each["state"] for each in givers["couponsGiven"]] == ["CLAIMED", "TAKEN_BACK"]
    assert [each["id"] for each in givers["coupons"]] == [str(kept.handover.coupon_id)]
    assert [each["orderNumber"] for each in givers["couponUses"]] == ["GIVER-1"]
    assert givers["couponsReceived"] == friends["couponsGiven"] == []
    assert friends["couponsReceived"] == [both | {"receivedAt": later.now.isoformat()}]
    assert [each["orderNumber"] for each in friends["couponUses"]] == ["FRIEND-1"]
    (theirs,) = friends["coupons"]
    # Not what the giver had it of, nor when, nor that a bill of theirs was voided.
    assert (theirs["causeKind"], theirs["issuedAt"], theirs["returnedAt"]) == (
        "FRIEND", later.now.isoformat(), None,
    )  # fmt: skip
    for document, other in ((givers, friend.id), (friends, till.shop.member.id)):
        assert str(other) not in str(document)


async def test_an_export_of_what_came_back_says_nothing_of_the_friend_who_had_it(
    till: Counter,
) -> None:
    """SEC-4: that a bill of theirs was voided; a bill of one's own is one's own still."""
    coupon = await a_coupon(till)
    friend = await a_friend(till)

    async def void(at: Counter, order_number: str) -> None:
        code = (await coupon_of(at.database, coupon.id)).code
        bill = at_till(at, {"code": {"value": code}}, orderNumber=order_number)
        used = await at.as_staff(USE, who=till.shop.cashier, input=bill)
        undo = {"useId": used["use"]["id"], "reason": "Wrong table", "requestKey": order_number}
        await at.as_staff(RETURN, who=till.shop.cashier, input=undo)

    async def give(at: Counter, to: UUID) -> None:
        begun = await handed_over(at, await coupon_of(at.database, coupon.id))
        claimed = await at.as_member(CLAIM, member_id=to, secret=begun.secret, key=new_id().hex)
        assert claimed["__typename"] == "CouponHandoverClaimed", claimed

    async def says(at: Counter) -> tuple[Any, ...]:
        export = await at.as_member(EXPORT)
        (seen,) = export["coupons"]
        return seen["returnedAt"], [each["orderNumber"] for each in export["couponUses"]]

    await give(till.later(hours=1), friend.id)
    await void(till.later(hours=2), "FRIEND-1")
    back = till.later(hours=3)
    await give(back, till.shop.member.id)
    assert await says(back) == (None, [])
    later = till.later(hours=4)
    await void(later, "GIVER-1")
    assert await says(later) == (later.now.isoformat(), ["GIVER-1"])
