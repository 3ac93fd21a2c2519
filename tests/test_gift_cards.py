"""Gift cards: what they cost, how they pay, what staff do with them (GFT-1, GFT-2, GFT-4…GFT-7)."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.core.money import Money
from app.models.ledger import AccountKind
from app.services import ledger
from app.services.gift_cards import checking, keeping, paying, proving
from app.services.gift_cards.pricing import CustomAmount, Denomination
from app.services.ledger.sheet import lock_accounts
from schema.context import Context, Principal
from tests.factories import gift_cards as factory
from tests.factories.cards import Counter, counter
from tests.factories.gift_cards import (
    a_payment,
    a_product,
    gift_cards_stay,
    left_on,
    paid,
    pay,
    product_of,
    refund,
    sold,
    split_of,
    uuid_of,
)
from tests.factories.ledger import account
from tests.factories.races import beside, call
from tests.factories.reading import every
from tests.factories.staff import employee

pytestmark = pytest.mark.anyio

CODE_REFUSED = (
    "GiftCardRefused", "This code is used, over or not right. Have another one shown."
)  # fmt: skip


def test_the_gift_is_what_the_price_leaves_of_the_face() -> None:
    """GFT-2: 120 − 100 = 20; GFT-1: 20 off 200, once or each time."""
    assert Denomination(face=120_00, price=100_00).gift == 20_00
    once = CustomAmount(50_00, 1_000_00, discount_from=200_00, discount=20_00)
    assert [once.price_of(f) for f in (199_99, 200_00, 450_00)] == [199_99, 180_00, 430_00]
    each = CustomAmount(50_00, 1_000_00, discount_from=200_00, discount=20_00, each_time=True)
    assert [each.price_of(f) for f in (199_99, 200_00, 450_00)] == [199_99, 180_00, 410_00]


async def test_a_product_is_drafted_sold_edited_copied_and_retired(
    database: Database, now: datetime
) -> None:
    """GFT-1, GFT-7: all but name, validity and design is copied; sold cards stay as they were."""
    till = await counter(database, now)
    product = await product_of(till, buyerFields={"phone": "OPTIONAL"}, designs=["lantern"])
    assert (product["state"], product["version"]) == ("ACTIVE", 2)
    assert product["denominations"] == [
        {"face": {"amount": 120_00}, "price": {"amount": 100_00}, "gift": {"amount": 20_00}}
    ]
    assert product["designs"][0]["url"].endswith("/static/gift-cards/lantern.svg")
    card = await sold(till, product)
    edit = a_product(till) | {"id": product["id"], "name": "Tea", "canMove": False}
    for fixed in ("perspectiveId", "kind", "currency"):
        del edit[fixed]
    async with gift_cards_stay(database):
        answer = await till.as_staff(factory.UPDATE, input=edit | {"expectedVersion": 2})
        assert answer["__typename"] == "GiftCardProductNotEditable"
    await till.as_staff(factory.DEACTIVATE, input={"id": product["id"]})
    async with gift_cards_stay(database):
        answer = await till.as_staff(factory.UPDATE, input=edit | {"expectedVersion": 2})
        assert (answer["__typename"], answer["currentVersion"]) == ("EditedMeanwhile", 3)
        answer = await till.as_staff(factory.SELL, input=factory.a_sale(till, product))
        assert answer["__typename"] == "GiftCardNotOnSale"
    edited = await till.as_staff(factory.UPDATE, input=edit | {"expectedVersion": 3})
    assert (edited["name"], edited["canMove"], edited["version"]) == ("Tea", False, 4)
    copied = await till.as_staff(
        factory.COPY,
        input={"id": product["id"], "name": "Spring", "validDays": 30, "designs": ["blossom"]},
    )
    own = {"id", "name", "validDays", "designs", "state", "version"}
    assert {k: v for k, v in copied.items() if k not in own} == {
        k: v for k, v in edited.items() if k not in own
    }
    assert (copied["name"], copied["validDays"], copied["state"]) == ("Spring", 30, "DRAFT")
    archived = await till.as_staff(factory.ARCHIVE, input={"id": product["id"]})
    assert archived["state"] == "ARCHIVED"
    refused = await till.as_staff(factory.ACTIVATE, input={"id": product["id"]})
    assert refused["__typename"] == "GiftCardProductStateUnchangeable"
    # The card keeps its name and its terms, and pays.
    kept = await till.as_member(factory.ONE_OF_MINE, id=card["id"])
    assert (kept["name"], kept["canMove"]) == ("Coffee gift card", True)
    assert split_of(await paid(till, card, 60_00)) == (50_00, 10_00)
    listed = await till.as_staff(factory.PRODUCTS)
    assert [edge["node"]["id"] for edge in listed["edges"]] == [copied["id"], product["id"]]


async def test_what_no_product_can_say_is_refused(database: Database, now: datetime) -> None:
    """GFT-1: at most six denominations, no gift typed in, bounded numbers."""
    till = await counter(database, now)
    seven = [{"face": n * 10_00, "price": n * 9_00} for n in range(1, 8)]
    custom = {"faceFrom": 50_00, "faceTo": 1_000_00}
    async with gift_cards_stay(database):
        wrongs: tuple[dict[str, Any], ...] = (
            {"denominations": seven},
            {"denominations": [{"face": 100_00, "price": 100_01}]},
            {"denominations": [{"face": 100_00, "price": 90_00}] * 2},
            {"denominations": [], "customAmount": None},
            {"customAmount": custom | {"discountFrom": 200_00}},
            {"customAmount": custom | {"discountFrom": 200_00, "discount": 200_00}},
            {"customAmount": {"faceFrom": 50_00, "faceTo": 50_00}},
            {"validDays": 0},
            {"claimDays": 366},
            {"designs": []},
            {"designs": ["no-such-design"]},
            {"name": " "},
        )
        for wrong in wrongs:
            made = await till.as_staff(factory.CREATE, input=a_product(till, **wrong))
            assert made == "BAD_USER_INPUT", wrong
        gone = type_id("file", new_id())
        made = await till.as_staff(factory.CREATE, input=a_product(till, designs=[gone]))
        assert made["__typename"] == "FileNotFound"
        made = await till.as_staff(factory.CREATE, who=till.shop.cashier, input=a_product(till))
        assert made == "FORBIDDEN"


async def test_a_card_pays_in_parts_by_proportion_and_comes_back_exactly(
    database: Database, now: datetime
) -> None:
    """GFT-4: cash and gift in proportion, to the minor unit; a void gives the same parts back."""
    till = await counter(database, now)
    product = await product_of(till)
    card = await sold(till, product)
    assert (card["face"], card["price"], card["gift"]) == (
        {"amount": 120_00}, {"amount": 100_00}, {"amount": 20_00}
    )  # fmt: skip
    assert left_on(card) == (100_00, 20_00)
    first = await paid(till, card, 10_01)
    assert split_of(first) == (8_34, 1_67)
    assert left_on(first) == (91_66, 18_33)
    asked = a_payment(till, card, 100_00)
    second = await till.as_staff(factory.PAY, input=asked)
    assert split_of(second) == (83_33, 16_67)
    again = await till.as_staff(factory.PAY, input=asked)
    assert (again["replayed"], again["payment"]) == (True, second["payment"])
    other = await till.as_staff(factory.PAY, input=asked | {"amount": factory.money(1)})
    assert other["__typename"] == "RequestKeyReused"
    async with gift_cards_stay(database):
        low = await pay(till, card, 10_00)
        assert low["__typename"] == "GiftCardBalanceTooLow"
        assert (low["shortBy"], low["usable"]) == ({"amount": 1}, {"amount": 9_99})
        euro = await pay(till, card, 1, amount={"amount": 1, "currency": "EUR"})
        assert euro["__typename"] == "WrongCurrency"
    rest = await paid(till, card, 9_99)
    assert split_of(rest) == (8_33, 1_66)
    async with gift_cards_stay(database):
        assert (await pay(till, card, 1))["__typename"] == "GiftCardUsedUp"
        assert (await refund(till, card))["refusedState"] == "USED"
    voided = await till.as_staff(factory.VOID, id=second["payment"]["id"], key="v")
    assert (voided["payment"]["state"], left_on(voided)) == ("VOIDED", (83_33, 16_67))
    same = await till.as_staff(factory.VOID, id=second["payment"]["id"], key="v")
    assert same["replayed"]
    twice = await till.as_staff(factory.VOID, id=second["payment"]["id"], key="w")
    assert twice["__typename"] == "GiftCardPaymentVoided"
    lines = await till.as_member(factory.LINES, id=card["id"])
    amounts = [edge["node"]["amount"]["amount"] for edge in lines["edges"]]
    assert sum(amounts) == 83_33 + 16_67
    assert await database.scan(ledger.check) == []


async def test_each_state_refuses_in_its_own_words(database: Database, now: datetime) -> None:
    """GFT-4, GFT-5: frozen, expired, refunded, not yet sold, and used up is told elsewhere."""
    till = await counter(database, now)
    product = await product_of(till, validDays=30)
    card = await sold(till, product)
    frozen = await till.as_staff(factory.FREEZE, id=card["id"])
    assert frozen["state"] == "FROZEN"
    async with gift_cards_stay(database):
        assert (await pay(till, card, 1))["__typename"] == "GiftCardFrozen"
        shown = await till.as_member(factory.SHOW, id=card["id"])
        assert shown["__typename"] == "GiftCardFrozen"
    assert (await till.as_staff(factory.RESTORE, id=card["id"]))["state"] == "ACTIVE"
    await paid(till, card, 60_00)
    # Its time runs out, and its value goes by the duty of all lots.
    later = await factory.after(till, days=30)
    async with gift_cards_stay(database):
        gone = await pay(later, card, 1)
        assert gone["__typename"] == "GiftCardExpired"
        assert (await refund(later, card))["refusedState"] == "EXPIRED"
        turned = await later.as_staff(factory.FREEZE, id=card["id"])
        assert turned["current"] == "EXPIRED"
    found = await later.as_staff(factory.LIST, id=product["id"], state="EXPIRED")
    assert [edge["node"]["id"] for edge in found["edges"]] == [card["id"]]
    assert (await later.as_staff(factory.LIST, id=product["id"], state="ACTIVE"))["edges"] == []
    assert len(await database.run(ledger.expire_due, now=later.now)) == 2
    assert left_on(await later.as_member(factory.ONE_OF_MINE, id=card["id"])) == (0, 0)
    other = await sold(till, product)
    refunded = await refund(till, other)
    assert refunded["card"]["refundedAmount"] == {"amount": 100_00}
    async with gift_cards_stay(database):
        assert (await pay(till, other, 1))["__typename"] == "GiftCardRefunded"
        assert (await refund(till, other))["refusedState"] == "REFUNDED"
    assert await database.scan(ledger.check) == []


async def test_what_comes_back_after_its_time_expires_again(
    database: Database, now: datetime
) -> None:
    """GFT-4: a void after the end gives back, and the end takes again, visibly."""
    till = await counter(database, now)
    card = await sold(till, await product_of(till, validDays=30))
    whole = await paid(till, card, 120_00)
    later = await factory.after(till, days=31)
    voided = await later.as_staff(factory.VOID, id=whole["payment"]["id"], key="v")
    assert left_on(voided) == (0, 0)
    lines = await later.as_member(factory.LINES, id=card["id"])
    causes = [edge["node"]["cause"] for edge in lines["edges"]]
    assert sorted(causes[:4]) == ["EXPIRE", "EXPIRE"] + ["GIFT_CARD_SPEND_REVERSAL"] * 2
    assert await database.scan(ledger.check) == []


async def test_a_partly_used_card_pays_out_the_cash_that_is_left(
    database: Database, now: datetime
) -> None:
    """GFT-5: 180 paid for 200, half used: 90 goes back, the gift goes nowhere; frozen ones too."""
    till = await counter(database, now)
    product = await product_of(till)
    card = await sold(till, product, 200_00)
    assert card["price"] == {"amount": 180_00}
    half = await paid(till, card, 100_00)
    assert split_of(half) == (90_00, 10_00)
    await till.as_staff(factory.FREEZE, id=card["id"])
    cashier = await refund(till, card, requestKey="r")
    assert cashier["card"]["refundedAmount"] == {"amount": 90_00}
    assert (cashier["card"]["state"], left_on(cashier["card"])) == ("REFUNDED", (0, 0))
    assert cashier["card"]["refundMethod"] == {"code": "cash"}
    assert (await refund(till, card, requestKey="r"))["replayed"]
    async with gift_cards_stay(database):
        voided = await till.as_staff(factory.VOID, id=half["payment"]["id"], key="v")
        assert voided["__typename"] == "GiftCardRefunded"
    assert await database.scan(ledger.check) == []


async def test_a_wrong_number_or_key_gets_one_answer_and_counts(
    database: Database, now: datetime
) -> None:
    """GFT-4, style rule 19: number, key, somebody else's, code that is over; 30 tries an hour at a
    till."""
    till = await counter(database, now)
    card = await sold(till, await product_of(till))
    wrong_key = "0" * 10 if card["key"] != "0" * 10 else "1" * 10
    before = card["number"][:-1] + str((int(card["number"][-1]) + 1) % 10)
    answers = [
        await till.as_member(factory.LOOK, number=number, key=key)
        for number, key in (
            (card["number"], wrong_key),
            (before, card["key"]),
            ("4000000000000002", card["key"]),
            (card["number"], "12"),
            ("", ""),
        )
    ]
    friend = await database.run(factory.a_friend, till, now=now)
    answers.append(
        await till.as_member(
            factory.BIND, member_id=friend.id, number=card["number"], key=card["key"]
        )
    )
    answers.append(await pay(till, card | {"key": wrong_key}, 1))
    assert {(a["__typename"], a["message"]) for a in answers} == {
        ("GiftCardRefused", "This number or key is not right.")
    }
    right = await till.as_member(
        factory.LOOK, number=f" {card['number'][:4]}-{card['number'][4:]} ", key=card["key"]
    )
    assert (right["state"], left_on(right)) == ("ACTIVE", (100_00, 20_00))
    never = await pay(till, card, 1, card={"code": "123456789012345678"})
    assert (never["__typename"], never["message"]) == CODE_REFUSED
    # Two of these were at the till: then it takes none, right or wrong, and another one does.
    for _ in range(30 - 2):
        refused = await pay(till, card | {"key": wrong_key}, 1)
        assert refused["__typename"] == "GiftCardRefused"
    async with gift_cards_stay(database):
        assert await pay(till, card | {"key": wrong_key}, 1) == "TOO_MANY_REQUESTS"
        assert await pay(till, card, 1) == "TOO_MANY_REQUESTS"
    await paid(till, card, 1, terminalId=till.other_terminal_id)
    later = await factory.after(till, hours=1)
    assert (await paid(later, card, 1))["replayed"] is False


@dataclass(frozen=True)
class From(Counter):
    """A counter whose members are online at another address."""

    address: str = ""

    def context(self, principal: Principal | None) -> Context:
        return replace(super().context(principal), client_address=self.address)


async def test_who_only_knows_a_number_keeps_its_holder_from_nothing(
    database: Database, now: datetime
) -> None:
    """GFT-4: ten accounts at two addresses have the 100 tries at a number; its holder has their
    own ten beside these, and a till takes the key. A card in nobody's account waits for an hour."""
    till = await counter(database, now)
    card = await sold(till, await product_of(till))
    plastic = await product_of(till, kind="PHYSICAL")
    row = await database.run(factory.printed, product_id=plastic["id"], key="87654321", now=now)
    await sold(till, plastic, number=row.number, memberId=None)
    printed = {"number": row.number, "key": "87654321"}

    def online(last: int) -> Counter:
        return From(database, till.shop, till.signer, now, address=f"198.51.100.{last}")

    async def look(at: Counter, number: str, key: str, who: Any = None) -> Any:
        return await at.as_member(factory.LOOK, member_id=who, number=number, key=key)

    for last in range(4):
        number = (card, printed)[last // 2]["number"]
        for _ in range(5):
            stranger = await database.run(factory.a_friend, till, now=now)
            for _ in range(10):
                wrong = await look(online(last), number, "00000000", stranger.id)
                assert wrong["__typename"] == "GiftCardRefused"
            eleventh = await look(online(last), number, "00000000", stranger.id)
            assert eleventh == "TOO_MANY_REQUESTS"
    late = await database.run(factory.a_friend, till, now=now)
    for each in (card, printed):
        refused = await look(online(9), each["number"], each["key"], late.id)
        assert refused == "TOO_MANY_REQUESTS"
    for _ in range(9):
        assert (await look(till, card["number"], "00000000"))["__typename"] == "GiftCardRefused"
    assert left_on(await look(till, card["number"], card["key"])) == (100_00, 20_00)
    assert (await look(till, card["number"], "00000000"))["__typename"] == "GiftCardRefused"
    assert await look(till, card["number"], card["key"]) == "TOO_MANY_REQUESTS"
    for each in (card, printed):
        assert split_of(await paid(till, each, 12_00)) == (10_00, 2_00)
    later = await factory.after(till, hours=1)
    bound = await later.as_member(factory.BIND, member_id=late.id, **printed)
    assert left_on(bound) == (90_00, 18_00)


async def test_the_holders_code_pays_once(database: Database, now: datetime) -> None:
    """GFT-4: what the page shows works for two minutes, once; a replay answers all the same."""
    till = await counter(database, now)
    card = await sold(till, await product_of(till))
    shown = await till.as_member(factory.SHOW, id=card["id"])
    assert (len(shown["value"]), shown["svg"][:4]) == (18, "<svg")
    asked = a_payment(till, card, 12_00, card={"code": shown["value"]})
    assert split_of(await till.as_staff(factory.PAY, input=asked)) == (10_00, 2_00)
    assert (await till.as_staff(factory.PAY, input=asked))["replayed"]
    used = await pay(till, card, 1, card={"code": shown["value"]})
    assert (used["__typename"], used["message"]) == CODE_REFUSED
    again = await till.as_member(factory.SHOW, id=card["id"])
    late = await factory.after(till, minutes=2)
    over = await pay(late, card, 1, card={"code": again["value"]})
    assert (over["__typename"], over["message"]) == CODE_REFUSED
    friend = await database.run(factory.a_friend, till, now=now)
    strange = await till.as_member(factory.SHOW, member_id=friend.id, id=card["id"])
    assert strange["__typename"] == "GiftCardNotFound"


async def test_a_printed_card_is_activated_at_the_till_and_bound_by_its_key(
    database: Database, now: datetime
) -> None:
    """GFT-1, GFT-4: sold once by its number; its key is nowhere to be read."""
    till = await counter(database, now)
    product = await product_of(till, kind="PHYSICAL", buyerFields={"name": "REQUIRED"})
    row = await database.run(factory.printed, product_id=product["id"], key="87654321", now=now)
    card = {"number": row.number, "key": "87654321"}
    async with gift_cards_stay(database):
        assert (await pay(till, card, 1))["__typename"] == "GiftCardNotActive"
        asked = factory.a_sale(till, product, number=row.number, memberId=None)
        missing = await till.as_staff(factory.SELL, input=asked)
        assert (missing["__typename"], missing["field"]) == ("BuyerFieldMissing", "name")
        without = await till.as_staff(factory.SELL, input=asked | {"number": None})
        assert without == "BAD_USER_INPUT"
    asked |= {"buyer": {"name": "王小明"}}
    answer = await till.as_staff(factory.SELL, who=till.shop.cashier, input=asked)
    assert answer["card"]["state"] == "ACTIVE", answer
    assert (await till.as_staff(factory.SELL, who=till.shop.cashier, input=asked))["replayed"]
    async with gift_cards_stay(database):
        other = asked | {"requestKey": "another"}
        assert (await till.as_staff(factory.SELL, input=other))[
            "__typename"
        ] == "GiftCardNotForSale"
        beyond = asked | {"requestKey": "b", "face": 10_00}
        assert (await till.as_staff(factory.SELL, input=beyond))["__typename"] == (
            "GiftCardAmountNotOffered"
        )
    bound = await till.as_member(factory.BIND, number=card["number"], key=card["key"])
    assert (bound["__typename"], bound["key"], left_on(bound)) == (
        "OwnGiftCard", None, (100_00, 20_00)
    )  # fmt: skip
    found = await till.as_staff(factory.FIND, number=row.number)
    assert found["holderId"] == type_id("mem", till.shop.member.id)


async def test_a_card_pays_where_it_was_sold_for(database: Database, now: datetime) -> None:
    """GFT-1: its stores are those of its product when it was sold."""
    till = await counter(database, now)
    store = type_id("node", till.shop.store.id)
    card = await sold(till, await product_of(till, scope={"includedNodeIds": [store]}))
    async with gift_cards_stay(database):
        elsewhere = await pay(till, card, 1, terminalId=till.other_terminal_id)
        assert (elsewhere["__typename"], elsewhere["reason"]) == ("NotAvailable", "WRONG_STORE")
        tea = await database.run(employee, node=till.shop.places.tea_store, role="cashier", now=now)
        assert await till.as_staff(factory.PAY, who=tea, input=a_payment(till, card, 1)) == (
            "FORBIDDEN"
        )
    await paid(till, card, 1)


async def test_a_card_moves_into_stored_value(database: Database, now: datetime) -> None:
    """GFT-4: cash to cash without an end, gift to bonus with its own; caps hold (TOP-11)."""
    till = await counter(database, now)
    product = await product_of(till)
    card = await sold(till, product)
    await paid(till, card, 60_00)
    asked = {"id": card["id"], "cardId": till.card_id, "requestKey": "m"}
    moved = await till.as_member(factory.MOVE, input=asked)
    assert (moved["cash"], moved["bonus"]) == ({"amount": 50_00}, {"amount": 10_00})
    assert (moved["giftCard"]["state"], left_on(moved["giftCard"])) == ("USED", (0, 0))
    assert (await till.as_member(factory.MOVE, input=asked))["replayed"]
    own = till.shop.card.id
    assert (await account(database, own, AccountKind.CASH)).balance == 50_00
    assert (await account(database, own, AccountKind.BONUS)).balance == 10_00
    # When the gift's time is over, the cash stays.
    await database.run(ledger.expire_due, now=now + timedelta(days=365))
    assert (await account(database, own, AccountKind.CASH)).balance == 50_00
    assert (await account(database, own, AccountKind.BONUS)).balance == 0
    fixed = await sold(till, await product_of(till, canMove=False))
    large = await sold(till, product, 1_000_00)
    async with gift_cards_stay(database):
        refused = await till.as_member(
            factory.MOVE, input=asked | {"id": fixed["id"], "requestKey": "n"}
        )
        assert refused["__typename"] == "GiftCardNotMovable"
        capped = await till.as_member(
            factory.MOVE, input=asked | {"id": large["id"], "requestKey": "o"}
        )
        assert capped["__typename"] == "CardCapReached"
        used = await till.as_member(factory.MOVE, input=asked | {"requestKey": "p"})
        assert used["__typename"] == "GiftCardUsedUp"


async def test_a_card_is_recharged_at_a_till(database: Database, now: datetime) -> None:
    """GFT-1: by the values it was sold with; a used-up one works again, for as long as anew."""
    till = await counter(database, now)
    card = await sold(till, await product_of(till, validDays=30))
    await paid(till, card, 120_00)
    later = await factory.after(till, days=10)
    asked = {
        "terminalId": till.terminal_id, "number": card["number"], "face": 200_00,
        "methodCode": "cash", "requestKey": "r",
    }  # fmt: skip
    done = await later.as_staff(factory.RECHARGE, input=asked)
    assert (done["price"], left_on(done)) == ({"amount": 180_00}, (180_00, 20_00))
    assert datetime.fromisoformat(done["expiresAt"]) == later.now + timedelta(days=30)
    assert (await later.as_staff(factory.RECHARGE, input=asked))["replayed"]
    assert split_of(await paid(later, card, 100_00)) == (90_00, 10_00)
    rigid = await sold(till, await product_of(till, canRecharge=False))
    async with gift_cards_stay(database):
        refused = await till.as_staff(
            factory.RECHARGE, input=asked | {"number": rigid["number"], "requestKey": "s"}
        )
        assert refused["__typename"] == "GiftCardNotRechargeable"
        voucher = await till.as_staff(
            factory.RECHARGE, input=asked | {"methodCode": "nothing", "requestKey": "t"}
        )
        assert voucher["__typename"] == "PaymentMethodUnknown"


async def test_an_account_is_closed_with_what_is_on_its_gift_cards(
    database: Database, now: datetime
) -> None:
    """IDN-8: value on an electronic card is given up knowingly; its key is forgotten."""
    till = await counter(database, now)
    card = await sold(till, await product_of(till))
    async with gift_cards_stay(database):
        left = await till.as_member(factory.CLOSE, key="a", forfeit=False)
        assert left["__typename"] == "BalanceLeft"
    closed = await till.as_member(factory.CLOSE, key="b", forfeit=True)
    assert closed["__typename"] == "MemberClosed"
    found = await till.as_staff(factory.FIND, id=card["id"])
    assert (found["state"], found["holderId"], left_on(found)) == ("USED", None, (0, 0))
    (row,) = await every(database, factory.all_cards)
    assert row.key is None
    assert await database.scan(ledger.check) == []
    assert await database.scan(checking.check) == []


async def test_of_two_payments_of_the_last_yuan_one_is_made(
    database: Database, now: datetime
) -> None:
    """GFT-4: two tills at once; and a payment beside a refund: one of them finds the other done."""
    till = await counter(database, now)
    product = await product_of(till)
    actor = await till.context(till.shop.owner.principal).actor()

    def paying_(card: Any, amount: int) -> Any:
        return call(
            paying.pay, actor, terminal_id=till.shop.terminal.id,
            proof=proving.ByKey(card["number"], card["key"]),
            bill=paying.Bill(amount=Money(amount, "CNY"), order_number="A-1"),
            request_key=new_id().hex, now=now,
        )  # fmt: skip

    card = await sold(till, product)
    found = await beside(
        database, paying_(card, 120_00), before=lock_accounts, second=paying_(card, 120_00)
    )
    refusals = [each for each in found if isinstance(each, Exception)]
    assert len(refusals) == 1
    other = await sold(till, product)
    refunding = call(
        keeping.refund, actor, gift_card_id=uuid_of(other), method_code="cash", reason="r",
        request_key="r", now=now,
    )  # fmt: skip
    found = await beside(database, paying_(other, 120_00), before=lock_accounts, second=refunding)
    assert len([each for each in found if isinstance(each, Exception)]) == 1
    for check in (ledger.check, checking.check):
        assert await database.scan(check) == []
