"""Gift cards bought online, for oneself and as gifts (GFT-3, GFT-5)."""

from datetime import timedelta
from typing import Any

import pytest

from app.core.db import Database
from app.core.ids import new_id
from app.models.identities import IdentityKind
from app.services import identities, ledger
from app.services.gift_cards import gifts, numbers
from app.services.identities import Proof
from app.services.members import Bearer
from tests.factories import gift_cards as factory
from tests.factories.cards import Counter
from tests.factories.gift_cards import gift_cards_stay, left_on, product_of
from tests.factories.races import beside, call
from tests.factories.reading import every
from tests.factories.top_ups import Checkout, a_checkout

pytestmark = pytest.mark.anyio

REFUND_ORDER = """mutation ($input: OrderRefundInput!) { orderRefund(input: $input) { __typename
  ... on OrderRefunded { order { state refundedAmount { amount } } }
  ... on Problem { message } } }"""
REFUSED = {
    "__typename": "GiftCodeRefused", "message": "There is no gift to claim with this code."
}  # fmt: skip
NOTICES = "{ notices { edges { node { kind gift { code greeting } } } } }"


def an_order(product: Any, face: int = 120_00, /, **more: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "productId": product["id"], "face": face, "provider": "wechat_pay", "scene": "JSAPI",
        "returnUrl": "/cards", "requestKey": new_id().hex,
    }  # fmt: skip
    return asked | more


async def bought(till: Checkout, product: Any, face: int = 120_00, /, **more: Any) -> Any:
    """An order that was made and paid."""
    placed = await till.as_member(factory.ORDER, input=an_order(product, face, **more))
    assert placed["__typename"] == "OrderPlaced", placed
    assert (await till.pay(placed))["status"] == "PAID"
    return placed["order"]


async def mine(till: Counter, order: Any = None) -> list[Any]:
    found = await till.as_member(factory.MINE, order=None if order is None else order["id"])
    return [edge["node"] for edge in found["edges"]]


async def given(till: Counter) -> list[Any]:
    return [edge["node"] for edge in (await till.as_member(factory.GIFTS))["edges"]]


async def test_cards_are_bought_once_for_oneself_and_go_back_whole(
    database: Database, database_url: str
) -> None:
    """GFT-3: two cards of 200 for 180 each; GFT-5: whole ones go back by their way."""
    async with a_checkout(database, database_url) as till:
        product = await product_of(till, buyerFields={"email": "REQUIRED"}, designs=["birthday"])
        offered = await till.as_member(factory.OFFERS)
        assert [each["product"]["id"] for each in offered] == [product["id"]]
        buyer = {"email": "a@example.com"}
        async with gift_cards_stay(database):
            for more, problem in (
                ({}, "BuyerFieldMissing"),
                ({"buyer": {"email": "no address"}}, "TargetInvalid"),
                ({"buyer": buyer, "design": "plain"}, "GiftCardDesignNotOffered"),
            ):
                refused = await till.as_member(factory.ORDER, input=an_order(product, **more))
                assert refused["__typename"] == problem
            beyond = an_order(product, 20_00, buyer=buyer)
            refused = await till.as_member(factory.ORDER, input=beyond)
            assert refused["__typename"] == "GiftCardAmountNotOffered"
            many = an_order(product, buyer=buyer, quantity=21)
            assert await till.as_member(factory.ORDER, input=many) == "BAD_USER_INPUT"
        asked = an_order(product, 200_00, quantity=2, buyer={"email": "A@Example.com"})
        placed = await till.as_member(factory.ORDER, input=asked)
        assert placed["order"]["amount"] == {"amount": 360_00}
        again = await till.as_member(factory.ORDER, input=asked)
        assert (again["replayed"], again["order"]["id"]) == (True, placed["order"]["id"])
        assert await mine(till) == []
        await till.pay(placed, times=2)
        first, second = await mine(till, placed["order"])
        assert {left_on(first), left_on(second)} == {(180_00, 20_00)}
        assert first["number"] != second["number"]
        assert all(numbers.is_number(card["number"]) for card in (first, second))
        assert first["design"]["id"] == "birthday"
        # Something of one was used: the whole order does not go back by the provider any more.
        back = {"id": placed["order"]["id"], "route": "ORIGINAL", "reason": "r"}
        await factory.paid(till, first, 50_00)
        async with gift_cards_stay(database):
            refused = await till.as_staff(REFUND_ORDER, input=back | {"requestKey": "a"})
            assert refused["__typename"] == "GiftCardNotWhole"
        counter_ = back | {"route": "OFFLINE", "methodCode": "cash", "requestKey": "b"}
        refunded = await till.as_staff(REFUND_ORDER, input=counter_)
        assert refunded["order"] == {"state": "REFUNDED", "refundedAmount": {"amount": 315_00}}
        assert {card["state"] for card in await mine(till)} == {"REFUNDED"}
        whole = await bought(till, product, buyer=buyer)
        refunded = await till.as_staff(
            REFUND_ORDER, input=back | {"id": whole["id"], "requestKey": "c"}
        )
        assert refunded["order"]["refundedAmount"] == {"amount": 100_00}
        await till.until_it_went_back()
        assert till.sent_back({"order": whole}) == 100_00
        assert await database.scan(ledger.check) == []


async def test_gifts_are_claimed_by_whoever_has_the_code_or_return(
    database: Database, database_url: str
) -> None:
    """GFT-3: greeting, day of delivery, one claim, and what nobody claims is the buyer's again."""
    async with a_checkout(database, database_url) as till:
        product = await product_of(till, claimDays=7)
        friend = await database.run(factory.a_friend, till, now=till.clock.now)
        phone = Proof(IdentityKind.PHONE, "+8613812341234")
        await database.run(identities.bind, member=friend, proof=phone, now=till.clock.now)
        day = till.clock.now + timedelta(days=2)
        giving = {
            "greeting": "生日快乐", "deliverAt": day.isoformat(), "receiverPhone": "13812341234"
        }  # fmt: skip
        await bought(till, product, quantity=2, gift=giving)
        assert await mine(till) == []
        waiting = await given(till)
        assert [(gift["state"], gift["code"]) for gift in waiting] == [("WAITING", None)] * 2
        await till.pass_time(days=2, minutes=1)
        # The duty has done it by now, once.
        assert await database.run(gifts.deliver_due, now=till.clock.now) == 0
        one, other = await given(till)
        assert (one["state"], one["greeting"], one["face"]) == (
            "OPEN", "生日快乐", {"amount": 120_00}
        )  # fmt: skip
        heard = await till.as_member(NOTICES, member_id=friend.id)
        codes = [edge["node"]["gift"]["code"] for edge in heard["edges"]]
        assert sorted(codes) == sorted([one["code"], other["code"]])
        wrong = await till.as_member(factory.CLAIM, member_id=friend.id, code="AAAA" * 4)
        assert wrong == REFUSED
        spaced = f"{one['code'][:8].lower()}-{one['code'][8:]}"
        claimed = await till.as_member(factory.CLAIM, member_id=friend.id, code=spaced)
        assert claimed["__typename"] == "GiftCardClaimed", claimed
        assert (claimed["card"]["greeting"], left_on(claimed["card"])) == (
            "生日快乐", (100_00, 20_00)
        )  # fmt: skip
        again = await till.as_member(factory.CLAIM, member_id=friend.id, code=one["code"])
        assert again["replayed"]
        late = await till.as_member(factory.CLAIM, code=one["code"])
        assert late == REFUSED
        # The other one is not claimed: after seven days its code is worth nothing.
        await till.pass_time(days=7, minutes=1)
        assert await database.run(gifts.return_unclaimed, now=till.clock.now) == 0
        (back,) = await mine(till)
        assert (back["state"], left_on(back)) == ("ACTIVE", (100_00, 20_00))
        assert {gift["state"] for gift in await given(till)} == {"CLAIMED", "RETURNED"}
        gone = await till.as_member(factory.CLAIM, member_id=friend.id, code=other["code"])
        assert gone == REFUSED
        kinds = [e["node"]["kind"] for e in (await till.as_member(NOTICES))["edges"]]
        assert sorted(kinds) == ["GIFT_CLAIMED", "GIFT_READY", "GIFT_READY", "GIFT_RETURNED"]
        assert await database.scan(ledger.check) == []


async def test_gifts_that_nobody_claimed_go_with_the_account_of_their_buyer(
    database: Database, database_url: str
) -> None:
    """IDN-8: nothing is stranded; the code that was sent leads to nothing any more."""
    async with a_checkout(database, database_url) as till:
        product = await product_of(till)
        friend = await database.run(factory.a_friend, till, now=till.clock.now)
        await bought(till, product, gift={"greeting": "谢谢"})
        await till.worker.drain()
        (gift,) = await given(till)
        assert gift["state"] == "OPEN"
        async with gift_cards_stay(database):
            left = await till.as_member(factory.CLOSE, key="a", forfeit=False)
            assert left["__typename"] == "BalanceLeft"
        closed = await till.as_member(factory.CLOSE, key="b", forfeit=True)
        assert closed["__typename"] == "MemberClosed"
        late = await till.as_member(factory.CLAIM, member_id=friend.id, code=gift["code"])
        assert late["__typename"] == "GiftCodeRefused"
        assert await database.scan(ledger.check) == []


async def test_of_two_who_claim_at_once_one_has_it(database: Database, database_url: str) -> None:
    """GFT-3: exactly one; and a claim beside a refund leaves no card with two ends."""
    async with a_checkout(database, database_url) as till:
        product = await product_of(till)
        await bought(till, product, quantity=2, gift={})
        one, other = await given(till)
        now = till.clock.now
        friends = [await database.run(factory.a_friend, till, now=now) for _ in range(2)]
        for friend in friends:
            await till.as_member("{ __typename }", member_id=friend.id)

        def claiming(friend: Any, gift: Any) -> Any:
            return call(
                gifts.claim, bearer=Bearer(friend.id, friend.id), code=gift["code"],
                address="203.0.113.7", now=now,
            )  # fmt: skip

        found = await beside(
            database, claiming(friends[0], one), before=gifts.claim_gift,
            second=claiming(friends[1], one),
        )  # fmt: skip
        assert [isinstance(each, gifts.GiftCodeRefused) for each in found].count(True) == 1
        cards = await every(database, factory.all_cards)
        held = [card.holder_id for card in cards if card.holder_id is not None]
        assert len(held) == 1
        assert held[0] in {friend.id for friend in friends}
        assert other["code"] != one["code"]
