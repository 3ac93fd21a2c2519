"""BEN-5…BEN-9, CRD-9: packages that members order online, and cards that buying one opens.

The providers are the sandbox's, spoken to by the real adapters.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Database, statement
from app.core.ids import new_id, type_id
from app.models.cards import Card
from app.models.coupons import Coupon, CouponState
from app.models.members import Member, MemberStatus
from app.models.orders import Order
from app.services import ledger, members
from tests.factories.cards import a_scheme
from tests.factories.packages import (
    ARCHIVE,
    DEACTIVATE,
    OFFERS,
    ORDER,
    SELL,
    SET_OPENING,
    a_rule,
    a_sale,
    agreement,
    coupon_rows,
    goods,
    mine,
    offered,
    owned_rows,
    package_of,
    packages_stay,
    priced,
    refund,
)
from tests.factories.reading import every
from tests.factories.staff import employee
from tests.factories.top_ups import Checkout, a_checkout

pytestmark = pytest.mark.anyio

JOIN = """mutation ($scheme: ID!) { cardJoin(input: {schemeId: $scheme}) { __typename
  ... on Card { id } ... on CardMustBeBought { packageId couponPackId name message } } }"""
OPEN = """mutation ($input: CardOpenInput!) { cardOpen(input: $input) { __typename
  ... on Card { id } ... on CardMustBeBought { packageId name } } }"""
MEMBER_CREATE = """mutation ($input: MemberCreateInput!) { memberCreate(input: $input) {
  __typename ... on CardMustBeBought { packageId } } }"""
CANCEL = """mutation ($id: ID!) { orderCancel(input: {id: $id}) {
  __typename ... on Order { state } } }"""
CARDS = "{ cards { id scheme { id } } }"
use_coupons = statement(update(Coupon).values(state=CouponState.USED))
card_rows = statement(select(Card).order_by(col(Card.id)), into=Card)
order_rows = statement(select(Order).order_by(col(Order.id)), into=Order)
merge_into = statement(
    update(Member)
    .where(col(Member.id) == bindparam("member_id"))
    .values(merged_into_id=bindparam("into_id"), status=MemberStatus.MERGED)
)


@pytest.fixture
async def shop(database: Database, database_url: str) -> AsyncIterator[Checkout]:
    async with a_checkout(database, database_url) as shop:
        yield shop


def an_order(shop: Checkout, package: Any, price: int = 199_00, /, **more: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "packageId": package["id"],
        "rule": 0,
        "price": {"amount": price, "currency": "CNY"},
        "cardId": shop.card_id,
        "provider": "stripe",
        "scene": "PAGE",
        "returnUrl": "/packages",
        "requestKey": new_id().hex,
    }
    return asked | more


async def order(shop: Checkout, package: Any, price: int = 199_00, /, **more: Any) -> Any:
    return await shop.as_member(ORDER, input=an_order(shop, package, price, **more))


async def ordered(shop: Checkout, package: Any, price: int = 199_00, /, **more: Any) -> Any:
    answer = await order(shop, package, price, **more)
    assert isinstance(answer, dict), answer
    assert answer["__typename"] == "OrderPlaced", answer
    return answer


async def paid(shop: Checkout, package: Any, price: int = 199_00, /, **more: Any) -> Any:
    placed = await ordered(shop, package, price, **more)
    assert (await shop.pay(placed))["status"] == "PAID"
    return placed["order"]


async def gifts(shop: Checkout) -> list[tuple[str, str]]:
    """What each coupon was given for, and its state."""
    return [(each.cause_kind, each.state.value) for each in await every(shop.database, coupon_rows)]


async def scheme_opened_by(shop: Checkout, package: Any) -> str:
    """A scheme whose cards are opened by buying a package."""
    group = shop.shop.places.group
    scheme = await shop.database.run(a_scheme, perspective=group, now=shop.now)
    scheme_id = type_id("sch", scheme.id)
    given = {"id": scheme_id, "packageId": package["id"]}
    answer = await shop.as_staff(SET_OPENING, input=given)
    assert answer == {
        "__typename": "Scheme", "openingPackageId": package["id"], "openingCouponPackId": None
    }  # fmt: skip
    return scheme_id


async def test_ben_5_ben_6_an_order_is_on_the_card_once_it_is_paid(shop: Checkout) -> None:
    some = await goods(shop)
    rules = [a_rule(100_00, firstPurchase=50_00), a_rule(0, 1)]
    gift = some.gift("FIRST_PURCHASE_GIFT", 500)
    package = await package_of(shop, rules=rules, contents=[gift])
    key = {"requestKey": "k"}
    first = await ordered(shop, package, 50_00, **key)
    again = await ordered(shop, package, 50_00, **key)
    assert (first["order"]["id"], again["replayed"]) == (again["order"]["id"], True)
    assert await mine(shop) == []
    # While it waits to be paid, a second one is no first.
    assert await priced(shop) == [(100_00, "ORIGINAL"), (0, "ORIGINAL")]
    await shop.pay(first, times=2)
    (owned,) = await mine(shop)
    assert (owned["state"], owned["isFirst"], owned["priceReason"]) == (
        "RUNNING", True, "FIRST_PURCHASE"
    )  # fmt: skip
    assert owned["order"] == {"id": first["order"]["id"], "state": "PAID"}
    # One that is free is there at once, and it renews the other.
    free = await ordered(shop, package, 0, rule=1)
    assert (free["order"]["state"], free["order"]["payment"]) == ("PAID", None)
    renewal, _ = await mine(shop)
    assert (renewal["startsAt"], renewal["state"]) == (owned["endsAt"], "WAITING")
    assert await shop.database.scan(ledger.check) == []


async def test_ben_5_an_order_given_up_was_no_purchase(shop: Checkout) -> None:
    package = await package_of(shop, rules=[a_rule(100_00, firstPurchase=50_00)])
    placed = await ordered(shop, package, 50_00)
    assert (await shop.as_member(CANCEL, id=placed["order"]["id"]))["state"] == "CANCELLED"
    assert await priced(shop) == [(50_00, "FIRST_PURCHASE")]
    # What is paid is what was ordered, though it is on sale no more.
    late = await ordered(shop, package, 50_00)
    await shop.as_staff(DEACTIVATE, id=package["id"])
    await shop.as_staff(ARCHIVE, id=package["id"])
    await shop.pay(late)
    assert [each["price"]["amount"] for each in await mine(shop)] == [50_00]


async def test_ben_8_an_order_refund_is_refused_once_a_voucher_was_used(shop: Checkout) -> None:
    some = await goods(shop)
    package = await package_of(shop, contents=[some.gift("FIRST_PURCHASE_GIFT")])
    first = await paid(shop, package)
    await shop.database.run(lambda tx: tx.changed(use_coupons))
    async with packages_stay(shop.database):
        refused = await refund(shop, first["id"], "ORIGINAL")
        assert (refused["__typename"], refused["used"]) == ("VoucherUsed", 1)
    assert (await refund(shop, first["id"]))["order"]["state"] == "REFUNDED"
    # Without a used voucher the money goes back by the way it came; the gift was had once.
    second = await paid(shop, package)
    back = await refund(shop, second["id"], "ORIGINAL")
    assert back["order"] == {
        "id": second["id"], "state": "REFUNDED", "refundedAmount": {"amount": 199_00}
    }  # fmt: skip
    await shop.until_it_went_back()
    assert shop.sent_back({"order": second}) == 199_00
    third = await paid(shop, package)
    await shop.pass_time(days=4)
    owner = await shop.database.run(employee, node=shop.shop.places.group, now=shop.clock.now)
    later = replace(shop, shop=replace(shop.shop, owner=owner))
    assert [each["state"] for each in await mine(later, state="ENDED")] == ["ENDED"]
    assert (await refund(later, third["id"], "ORIGINAL"))["__typename"] == "PackageOver"
    assert (await refund(later, third["id"]))["order"]["state"] == "REFUNDED"


async def test_ben_5_ben_8_a_renewal_of_what_was_given_back_buys_nothing(shop: Checkout) -> None:
    """Else its price and gift would be had for good by ordering it, giving the first one back and
    paying then. BEN-6: one whose forerunner merely ended meanwhile brings all, and at once."""
    some = await goods(shop)
    package = await package_of(
        shop,
        rules=[a_rule(100_00, earlyRenewal=60_00)],
        contents=[
            some.gift("EARLY_RENEWAL_GIFT", 40),
            some.gift("EARLY_RENEWAL_GIFT", 500, moment="WHEN_IT_BEGINS"),
        ],
    )
    first = await paid(shop, package, 100_00)
    renewal = await ordered(shop, package, 60_00)
    assert (await refund(shop, first["id"], "ORIGINAL"))["order"]["state"] == "REFUNDED"
    await shop.pay(renewal)
    seen = [(each.state, each.amount) for each in await every(shop.database, order_rows)]
    assert seen == [("REFUNDED", 100_00), ("CANCELLED", 60_00)]
    assert [each["state"] for each in await mine(shop)] == ["REFUNDED"]
    assert await every(shop.database, coupon_rows) == []
    await shop.until_it_went_back()
    assert shop.sent_back(renewal) == 60_00
    # What is bought again in the meantime is renewed like the one before it.
    again = await paid(shop, package, 100_00)
    in_time = await ordered(shop, package, 60_00)
    await refund(shop, again["id"])
    last = await paid(shop, package, 100_00)
    await shop.pay(in_time)
    renewing, renewed = (await mine(shop))[:2]
    assert (renewed["order"]["id"], renewing["startsAt"]) == (last["id"], renewed["endsAt"])
    assert await gifts(shop) == [("package.early_renewal", "VALID")]
    # Ordered in time and paid when the one before it is over: it begins now, with both gifts.
    await shop.pass_time(days=5, hours=23, minutes=55)
    late = await ordered(shop, package, 60_00)
    await shop.pay(late, notify=False)
    await shop.pass_time(minutes=10)
    newest = (await mine(shop))[0]
    assert (newest["state"], newest["isRenewal"]) == ("RUNNING", True)
    assert newest["startsAt"] == newest["boughtAt"] > renewing["endsAt"]
    assert sorted(await gifts(shop)) == [
        ("package.early_renewal", "VALID"),
        ("package.early_renewal", "VALID"),
        ("package.renewal_begun", "VALID"),
        ("package.renewal_begun", "VALID"),
    ]
    # It renewed the other one all the same, which goes back after it.
    owner = await shop.database.run(employee, node=shop.shop.places.group, now=shop.clock.now)
    async with packages_stay(shop.database):
        earlier = await refund(shop, renewing["order"]["id"], who=owner)
        assert (earlier["__typename"], earlier["renewalId"]) == ("RenewedAlready", newest["id"])
    assert await shop.database.scan(ledger.check) == []


async def test_crd_9_a_card_is_free_unless_its_scheme_says_what_to_buy(shop: Checkout) -> None:
    group = shop.shop.places.group
    free = await shop.database.run(a_scheme, perspective=group, now=shop.now)
    joined = await shop.as_member(JOIN, scheme=type_id("sch", free.id))
    assert joined["__typename"] == "Card"
    package = await package_of(shop)
    scheme_id = await scheme_opened_by(shop, package)
    opened = {
        "memberId": type_id("mem", shop.shop.member.id),
        "schemeId": scheme_id,
        "terminalId": shop.terminal_id,
    }
    somebody = {"name": "Li Lei", "phone": "+8613800138000", "schemeId": scheme_id}
    async with packages_stay(shop.database):
        assert await shop.as_member(JOIN, scheme=scheme_id) == {
            "__typename": "CardMustBeBought",
            "packageId": package["id"],
            "couponPackId": None,
            "name": "Premium",
            "message": "A card of this scheme is opened by buying Premium.",
        }
        # Nor does staff give it away: the till sells what opens it.
        by_hand = await shop.as_staff(OPEN, input=opened)
        assert by_hand["__typename"] == "CardMustBeBought"
        created = await shop.as_staff(MEMBER_CREATE, input=somebody)
        assert created == {"__typename": "CardMustBeBought", "packageId": package["id"]}
        unknown = {"id": scheme_id, "packageId": type_id("pkg", new_id())}
        refused = await shop.as_staff(SET_OPENING, input=unknown)
        assert refused["__typename"] == "OpeningProductNotFound"
        both = {"id": scheme_id, "packageId": package["id"], "couponPackId": package["id"]}
        assert await shop.as_staff(SET_OPENING, input=both) == "BAD_USER_INPUT"
        below = {"id": scheme_id}
        cashier = shop.shop.cashier
        assert await shop.as_staff(SET_OPENING, who=cashier, input=below) == "FORBIDDEN"
    again = await shop.as_staff(SET_OPENING, input={"id": scheme_id})
    assert again["openingPackageId"] is None
    assert (await shop.as_member(JOIN, scheme=scheme_id))["__typename"] == "Card"


async def test_crd_9_buying_the_package_opens_the_card(shop: Checkout) -> None:
    some = await goods(shop)
    package = await package_of(shop, contents=[some.gift("FIRST_PURCHASE_GIFT", 500)])
    other = await package_of(shop, name="Other")
    scheme_id = await scheme_opened_by(shop, package)
    (offer,) = await shop.as_member(OFFERS, scheme=scheme_id)
    assert offer["package"]["id"] == package["id"]
    without_card = {"cardId": None, "schemeId": scheme_id}
    async with packages_stay(shop.database):
        wrong = await order(shop, other, **without_card)
        assert wrong["__typename"] == "PackageOpensNoCard"
        assert wrong["openingPackageId"] == package["id"]
        assert await order(shop, package, cardId=None) == "BAD_USER_INPUT"
    number = len(await every(shop.database, card_rows))
    placed = await paid(shop, package, **without_card)
    assert placed["cardId"] is None
    held = await shop.as_member(CARDS)
    (card,) = [each for each in held if each["scheme"]["id"] == scheme_id]
    (owned,) = await mine(shop)
    assert (owned["cardId"], owned["state"]) == (card["id"], "RUNNING")
    assert len(await every(shop.database, card_rows)) == number + 1
    # The card is there now: the same again renews what is on it.
    await paid(shop, package, **without_card)
    renewal, _ = await mine(shop)
    assert (renewal["cardId"], renewal["startsAt"]) == (card["id"], owned["endsAt"])
    # Given back, the card stays.
    await refund(shop, (await mine(shop))[0]["order"]["id"])
    await refund(shop, placed["id"])
    assert [each["state"] for each in await mine(shop)] == ["REFUNDED", "REFUNDED"]
    assert len(await shop.as_member(CARDS)) == len(held)
    assert await shop.database.scan(ledger.check) == []


async def test_crd_9_a_till_sells_what_opens_a_card(shop: Checkout) -> None:
    package = await package_of(shop)
    scheme_id = await scheme_opened_by(shop, package)
    asked = {"cardId": None, "schemeId": scheme_id}
    somebody = {"memberId": type_id("mem", shop.shop.member.id)}
    async with packages_stay(shop.database):
        nobody = await shop.as_staff(SELL, input=a_sale(shop, package, **asked))
        assert nobody == "BAD_USER_INPUT"
        unknown = {"memberId": type_id("mem", new_id())}
        missing = await shop.as_staff(SELL, input=a_sale(shop, package, **asked, **unknown))
        assert missing["__typename"] == "MemberNotFound"
    sale = await shop.as_staff(SELL, input=a_sale(shop, package, **asked, **somebody))
    assert sale["__typename"] == "OrderSold"
    (owned,) = await every(shop.database, owned_rows)
    opened = next(c for c in await every(shop.database, card_rows) if c.id == owned.card_id)
    assert type_id("sch", opened.scheme_id) == scheme_id
    assert opened.issuing_store_id == shop.shop.store.id


async def test_ben_5_what_a_merged_record_bought_was_bought_by_the_survivor(
    shop: Checkout,
) -> None:
    package = await package_of(shop, rules=[a_rule(100_00, firstPurchase=50_00)])
    await paid(shop, package, 50_00)
    survivor = await shop.database.run(
        members.create, group_id=shop.shop.places.group.id, name="李雷", now=shop.clock.now
    )
    joined = await shop.as_member(
        JOIN, member_id=survivor.id, scheme=type_id("sch", shop.shop.scheme.id)
    )
    bound = {"member_id": shop.shop.member.id, "into_id": survivor.id}
    await shop.database.run(lambda tx: tx.changed(merge_into, **bound))
    (offer,) = await shop.as_member(OFFERS, member_id=survivor.id, card=joined["id"])
    assert offer["rules"][0]["priceReason"] == "ORIGINAL"
    assert len(await mine(shop, member_id=survivor.id)) == 1


async def test_ben_9_online_too_what_is_current_must_be_accepted(shop: Checkout) -> None:
    asked = await agreement(shop)
    package = await package_of(shop, purchaseAgreementId=asked["id"])
    async with packages_stay(shop.database):
        assert (await order(shop, package))["__typename"] == "AgreementChanged"
    accepted = [{"agreementId": asked["id"], "version": 1}]
    placed = await ordered(shop, package, accepted=accepted)
    assert placed["order"]["state"] == "PENDING"
    assert [each["package"]["id"] for each in await offered(shop)] == [package["id"]]
