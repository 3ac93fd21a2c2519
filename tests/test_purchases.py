"""PTS-1, FIN-1: bills are recorded once, refunded once, and refused without a trace."""

import asyncio
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlmodel import func, select

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.models.purchases import Purchase, PurchaseRefund
from app.models.staff import Permission
from app.services import cards, ledger, members
from app.services.purchases import REFUNDS_MAX, new_refund
from resolvers.root import admin_schema
from tests.factories.cards import Counter, a_scheme, counter
from tests.factories.executing import execute
from tests.factories.ledger import account, nothing_moves
from tests.factories.member_cards import a_card
from tests.factories.member_codes import CODE
from tests.factories.organisation import places
from tests.factories.partners import partner, principal_of
from tests.factories.purchases import RECORD, REFUND, a_bill, purchase_of, record, refund
from tests.factories.reading import one
from tests.factories.staff import employee

pytestmark = pytest.mark.anyio

PURCHASE = """query ($id: ID!) { purchase(id: $id) {
  orderNumber cardId total { amount currency } tax { amount } net { amount } refunded { amount }
  pointsEarned pointsTakenBack occurredAt recordedAt store { name }
  payments { methodCode methodName amount { amount currency } isNetReceipt }
  refunds { amount { amount } pointsTaken reason } } }"""
EXISTS = "query ($id: ID!) { purchase(id: $id) { id } }"
LIST = """query ($id: ID!, $first: Int!, $after: String) { card(id: $id) {
  purchases(first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { total { amount } } } } } }"""

purchases_there = statement(select(func.count()).select_from(Purchase), into=int)
refunds_there = statement(select(func.count()).select_from(PurchaseRefund), into=int)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def test_what_was_recorded_is_what_is_read(till: Counter) -> None:
    """The member and the store read the same."""
    then = till.now - timedelta(hours=3)
    purchase_id = await purchase_of(
        till,
        1_090,
        payments={"cash": 545, "voucher": 545},
        taxAmount=90,
        occurredAt="2026-09-01T17:00:00+08:00",
        orderNumber=" A-1 ",
    )
    await refund(till, purchase_id, 90)
    read = await till.as_member(PURCHASE, id=purchase_id)
    assert read == {
        "orderNumber": "A-1",
        "cardId": till.card_id,
        "total": {"amount": 1_090, "currency": "CNY"},
        "tax": {"amount": 90},
        "net": {"amount": 500},
        "refunded": {"amount": 90},
        "pointsEarned": 2,
        # 500 × 90 ÷ 1090 = 41.3: 459 are left, worth 2.
        "pointsTakenBack": 0,
        "occurredAt": then.isoformat(),
        "recordedAt": till.now.isoformat(),
        "store": {"name": till.shop.store.name},
        "payments": [
            {
                "methodCode": code,
                "methodName": code.title(),
                "amount": {"amount": 545, "currency": "CNY"},
                "isNetReceipt": is_net,
            }
            for code, is_net in (("cash", True), ("voucher", False))
        ],
        "refunds": [{"amount": {"amount": 90}, "pointsTaken": 0, "reason": "Cold coffee"}],
    }
    assert await till.as_staff(PURCHASE, who=till.shop.cashier, id=purchase_id) == read


async def test_purchases_are_read_by_those_concerned(till: Counter) -> None:
    """ORG-1: the member whose card it is, and staff of the store."""
    purchase_id = await purchase_of(till, 100, terminalId=till.other_terminal_id)
    stranger = await till.database.run(
        members.create, group_id=till.shop.places.group.id, name=None, now=till.now
    )
    assert await till.as_member(EXISTS, id=purchase_id) == {"id": purchase_id}
    assert await till.as_member(EXISTS, member_id=stranger.id, id=purchase_id) is None
    assert await till.as_staff(EXISTS, id=purchase_id) == {"id": purchase_id}
    assert await till.as_staff(EXISTS, who=till.shop.cashier, id=purchase_id) is None
    assert await till.as_staff(EXISTS, id=type_id("pur", new_id())) is None
    assert await till.as_staff(EXISTS, id="pur_") == "BAD_USER_INPUT"


async def test_a_cards_purchases_come_in_pages(till: Counter) -> None:
    for total in (100, 200, 300):
        await record(till, total)
    first = (await till.as_member(LIST, id=till.card_id, first=2))["purchases"]
    assert first["totalCount"] == 3
    assert [edge["node"]["total"]["amount"] for edge in first["edges"]] == [300, 200]
    after = first["pageInfo"]["endCursor"]
    last = (await till.as_staff(LIST, id=till.card_id, first=2, after=after))["purchases"]
    assert [edge["node"]["total"]["amount"] for edge in last["edges"]] == [100]
    assert last["pageInfo"]["hasNextPage"] is False


PURCHASES = """
  purchases(first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { orderNumber } } }"""
LEDGER = """
  ledger(first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { amount store { name } } } }"""
HISTORY_OF = f"""query ($id: ID!, $first: Int! = 20, $after: String) {{
  card(id: $id) {{ {PURCHASES} {LEDGER} }} }}"""
BY_CODE = """mutation (
  $terminal: ID!, $code: String!, $key: String!, $first: Int! = 20, $after: String) {
  memberCodeResolve(input: {terminalId: $terminal, code: $code, requestKey: $key}) {
    ... on MemberCodeResolved { card { WHAT } } } }"""


def orders_of(card: Any) -> tuple[int, list[str]]:
    found = card["purchases"]
    return found["totalCount"], [edge["node"]["orderNumber"] for edge in found["edges"]]


def amounts_of(card: Any) -> tuple[int, list[int]]:
    found = card["ledger"]
    return found["totalCount"], [edge["node"]["amount"] for edge in found["edges"]]


async def drinks_of_two_brands(till: Counter) -> None:
    """Coffee earns 1 and 3, tea 2 and 4; a thousand came online."""
    for number, total in ((1, 200), (2, 400), (3, 600), (4, 800)):
        terminal = till.terminal_id if number % 2 else till.other_terminal_id
        await record(till, total, terminalId=terminal, orderNumber=str(number))
    await till.database.run(
        a_card, member_id=till.shop.member.id, scheme=till.shop.scheme, points=1_000, now=till.now
    )


async def test_a_cards_history_is_read_where_the_asker_works(till: Counter) -> None:
    """ORG-1: through a card no more is seen than directly, in lists, pages and counts."""
    await drinks_of_two_brands(till)
    for ask in (till.as_member, till.as_staff):
        card = await ask(HISTORY_OF, id=till.card_id)
        assert orders_of(card) == (4, ["4", "3", "2", "1"])
        assert amounts_of(card) == (5, [1_000, 4, 3, 2, 1])
    cashier = till.shop.cashier
    card = await till.as_staff(HISTORY_OF, who=cashier, id=till.card_id)
    assert orders_of(card) == (2, ["3", "1"])
    assert amounts_of(card) == (2, [3, 1])
    for kind, number in (("purchases", orders_of), ("ledger", amounts_of)):
        page = await till.as_staff(HISTORY_OF, who=cashier, id=till.card_id, first=1)
        assert page[kind]["pageInfo"]["hasNextPage"] is True
        after = page[kind]["pageInfo"]["endCursor"]
        rest = await till.as_staff(HISTORY_OF, who=cashier, id=till.card_id, first=1, after=after)
        assert rest[kind]["pageInfo"]["hasNextPage"] is False
        assert number(rest)[1] in (["1"], [1])
    of_brand = await till.database.run(
        employee, node=till.shop.places.tea, role="support", now=till.now
    )
    card = await till.as_staff(HISTORY_OF, who=of_brand, id=till.card_id)
    assert (orders_of(card), amounts_of(card)) == ((2, ["4", "2"]), (2, [4, 2]))


async def test_what_a_cards_scheme_belongs_to_sees_what_happened_at_no_store(
    till: Counter,
) -> None:
    """ORG-1: the coffee store's own scheme is its cashier's, whatever came online included."""
    scheme = await till.database.run(a_scheme, perspective=till.shop.store, now=till.now)
    card = await till.database.run(
        a_card, member_id=till.shop.member.id, scheme=scheme, points=7, now=till.now
    )
    shown = await till.as_staff(HISTORY_OF, who=till.shop.cashier, id=type_id("card", card.id))
    assert amounts_of(shown) == (1, [7])


async def test_a_partner_reads_no_more_through_a_scan(till: Counter) -> None:
    """EVT-1, QRC-3: scopes and stores hold for what is nested, too."""
    await drinks_of_two_brands(till)

    minutes = count()

    async def by_code(what: str, *scopes: Permission) -> Any:
        client = await till.database.run(
            partner, node=till.shop.store, scopes=[Permission.CODES_RESOLVE, *scopes], now=till.now
        )
        then = till.later(minutes=next(minutes))
        code = (await then.as_member(CODE, card=till.card_id))["value"]
        asked = {"terminal": till.terminal_id, "code": code, "key": "k"}
        principal = principal_of(client.client, now=then.now)
        document = BY_CODE.replace("WHAT", what)
        found = await then.ask(admin_schema, document, principal, asked)
        return found["card"] if isinstance(found, dict) else found

    assert await by_code(PURCHASES) == "FORBIDDEN"
    assert await by_code(PURCHASES, Permission.CARDS_READ) == "FORBIDDEN"
    assert await by_code(LEDGER) == "FORBIDDEN"
    # Of a scheme of the whole group, a store sees nothing but what happened in it.
    assert amounts_of(await by_code(LEDGER, Permission.CARDS_READ)) == (0, [])
    card = await by_code(PURCHASES + LEDGER, Permission.PURCHASES_READ)
    assert orders_of(card) == (2, ["3", "1"])
    assert amounts_of(card) == (2, [3, 1])


# Exactly once


async def test_a_request_sent_again_is_answered_again(till: Counter) -> None:
    """The same key and input: the first answer. With another input: refused."""
    bill = a_bill(till, 1_000)
    first = await till.as_staff(RECORD, input=bill)
    assert first["replayed"] is False
    async with nothing_moves(till.database):
        again = await till.as_staff(RECORD, input=bill)
        assert again == first | {"replayed": True}
        # The same moment, written with another offset, is the same input.
        moved = bill | {"occurredAt": "2026-09-01T20:00:00+08:00"}
        assert await till.as_staff(RECORD, input=moved) == first | {"replayed": True}
        for change in (
            {"orderNumber": "another"},
            {"terminalId": till.other_terminal_id},
            {"cardId": type_id("card", new_id())},
            {"taxAmount": 1},
            {"occurredAt": (till.now - timedelta(seconds=1)).isoformat()},
            {"payments": [{"methodCode": "card", "amount": 1_000}]},
        ):
            reused = await till.as_staff(RECORD, input=bill | change)
            assert reused == {"__typename": "RequestKeyReused"}, change
    other = await till.as_staff(RECORD, who=till.shop.cashier, input=bill | {"orderNumber": "B"})
    assert other["replayed"] is False, "a key is its principal's own"


async def test_sixteen_requests_with_one_key_at_once_record_one_purchase(till: Counter) -> None:
    """Issue 2: the same key in flight waits, then answers the same."""
    bill = a_bill(till, 1_000)
    answers = await asyncio.gather(*(till.as_staff(RECORD, input=bill) for _ in range(16)))
    assert {answer["purchase"]["id"] for answer in answers} == {answers[0]["purchase"]["id"]}
    assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 15
    assert await one(till.database, purchases_there) == 1
    assert (await account(till.database, till.shop.card.id)).balance == 5
    assert await till.database.scan(ledger.check) == []


async def test_an_order_number_is_recorded_once_in_a_store(till: Counter) -> None:
    """Whatever the key, one at a time or at once; another store may use the number, too."""
    purchase_id = await purchase_of(till, 1_000, orderNumber="A-1")
    async with nothing_moves(till.database):
        taken = await record(till, 1_000, orderNumber="A-1")
        assert taken == {"__typename": "OrderNumberTaken", "purchaseId": purchase_id}
    await purchase_of(till, 1_000, orderNumber="A-1", terminalId=till.other_terminal_id)
    answers = await asyncio.gather(*(record(till, 1_000, orderNumber="A-2") for _ in range(8)))
    names = sorted(answer["__typename"] for answer in answers)
    assert names == ["OrderNumberTaken"] * 7 + ["PurchaseRecorded"]
    assert (await account(till.database, till.shop.card.id)).balance == 15


async def test_different_purchases_at_once_all_count(till: Counter) -> None:
    """FIN-1: no update is lost."""
    await asyncio.gather(*(record(till, 1_000) for _ in range(24)))
    assert (await account(till.database, till.shop.card.id)).balance == 24 * 5
    assert await till.database.scan(ledger.check) == []


# Bad bills


def paying(**payments: int) -> dict[str, Any]:
    return {"payments": [{"methodCode": code, "amount": a} for code, a in payments.items()]}


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (paying(cash=999), {"__typename": "PaymentsDoNotAddUp", "shortBy": 1}),
        (paying(cash=999, card=2), {"__typename": "PaymentsDoNotAddUp", "shortBy": -1}),
        (paying(), {"__typename": "PaymentsDoNotAddUp", "shortBy": 1_000}),
        (paying(shells=1_000), {"__typename": "PaymentMethodUnknown", "code": "shells"}),
        (paying(**{"a\x00b": 1_000}), "BAD_USER_INPUT"),
        (paying(**{"x" * 33: 1_000}), "BAD_USER_INPUT"),
        (paying(cash=1_001, card=-1), "BAD_USER_INPUT"),
        (paying(cash=1_000, card=0), "BAD_USER_INPUT"),
        ({"payments": [{"methodCode": "cash", "amount": 1}] * 21}, "BAD_USER_INPUT"),
        # A sum that GraphQL's 64 bits could not carry is never made.
        (paying(cash=2**63 - 1, card=2**63 - 1), "BAD_USER_INPUT"),
        (paying(cash=10**11 + 1), "BAD_USER_INPUT"),
        (paying(cash=10**11), {"__typename": "PaymentsDoNotAddUp", "shortBy": 1_000 - 10**11}),
        ({"total": {"amount": 10**11 + 1, "currency": "CNY"}}, "BAD_USER_INPUT"),
        (
            {"total": {"amount": 1_000, "currency": "USD"}},
            {"__typename": "WrongCurrency", "expected": "CNY"},
        ),
        ({"total": {"amount": 1_000, "currency": "cny"}}, "BAD_USER_INPUT"),
        ({"total": {"amount": 1_000, "currency": "\x00"}}, "BAD_USER_INPUT"),
        ({"total": {"amount": -1_000, "currency": "CNY"}}, "BAD_USER_INPUT"),
        ({"total": {"amount": 2**63 - 1, "currency": "CNY"}}, "BAD_USER_INPUT"),
        ({"taxAmount": -1}, "BAD_USER_INPUT"),
        ({"taxAmount": 1_001}, "BAD_USER_INPUT"),
        ({"orderNumber": ""}, "BAD_USER_INPUT"),
        ({"orderNumber": "x" * 65}, "BAD_USER_INPUT"),
        ({"orderNumber": "a\x00b"}, "BAD_USER_INPUT"),
        ({"requestKey": ""}, "BAD_USER_INPUT"),
        ({"requestKey": "x" * 65}, "BAD_USER_INPUT"),
        ({"requestKey": "a\x00b"}, "BAD_USER_INPUT"),
        ({"occurredAt": "2026-07-31T00:00:00Z"}, "BAD_USER_INPUT"),
        ({"occurredAt": "2026-09-01T12:05:01Z"}, "BAD_USER_INPUT"),
        ({"cardId": "card_1"}, "BAD_USER_INPUT"),
        ({"terminalId": "term_1"}, "BAD_USER_INPUT"),
        ({"cardId": type_id("card", new_id())}, {"__typename": "CardNotFound"}),
        ({"terminalId": type_id("term", new_id())}, {"__typename": "TerminalNotFound"}),
    ],
)
async def test_a_bill_that_cannot_be_is_refused_and_leaves_no_trace(
    till: Counter, change: dict[str, Any], answer: Any
) -> None:
    async with nothing_moves(till.database):
        assert await till.as_staff(RECORD, input=a_bill(till, 1_000) | change) == answer
    member = await till.database.read(members.living, till.shop.member.id)
    assert member.recruitment_store_id is None


@pytest.mark.parametrize(
    "change",
    [
        {"total": {"amount": 2**63, "currency": "CNY"}},
        {"total": {"amount": 10.5, "currency": "CNY"}},
        {"total": {"amount": "1000", "currency": "CNY"}},
        {"total": {"amount": True, "currency": "CNY"}},
        {"total": None},
        {"taxAmount": 2**80},
        {"occurredAt": "2026-09-01T12:00:00"},
        {"occurredAt": "yesterday"},
        {"occurredAt": "0001-01-01T00:00:00+14:00"},
        {"occurredAt": 1_788_264_000},
        {"orderNumber": 7.5},
    ],
)
async def test_values_of_the_wrong_type_never_reach_a_service(
    till: Counter, change: dict[str, Any]
) -> None:
    """The edge answers these with 400 before anything runs."""
    async with nothing_moves(till.database):
        context = till.context(till.shop.owner.principal)
        result = await execute(
            admin_schema, RECORD, {"input": a_bill(till, 1_000) | change}, context
        )
        assert result.errors
        assert result.data is None


async def test_a_bill_of_nothing_earns_nothing(till: Counter) -> None:
    """Zero is a bill like any other, and cannot be refunded."""
    recorded = await record(till, 0)
    assert recorded["pointsEarned"] == 0
    async with nothing_moves(till.database):
        refused = await refund(till, recorded["purchase"]["id"], 1)
        assert refused["refundable"] == {"amount": 0, "currency": "CNY"}


async def test_a_bill_is_recorded_where_the_card_is_used(till: Counter) -> None:
    """CRD-1, ORG-1: by staff of that store and with a card of the group."""
    found = till.shop.places
    of_tea = await till.database.run(a_scheme, perspective=found.tea, now=till.now)
    tea_card = await till.database.run(
        cards.open_card, member=till.shop.member, scheme=of_tea, store_id=None, now=till.now
    )
    foreign = await till.database.run(places, now=till.now)
    stranger = await till.database.run(employee, node=foreign.group, now=till.now)
    bill = a_bill(till, 1_000)
    at_tea = bill | {"terminalId": till.other_terminal_id}
    async with nothing_moves(till.database):
        away = await till.as_staff(RECORD, input=bill | {"cardId": type_id("card", tea_card.id)})
        assert away == {"__typename": "NotAtThisStore"}
        assert await till.as_staff(RECORD, who=stranger, input=bill) == "FORBIDDEN"
        assert await till.as_staff(RECORD, who=till.shop.cashier, input=at_tea) == "FORBIDDEN"


async def test_a_scheme_can_name_its_stores(till: Counter) -> None:
    """CRD-1: applicable stores, one by one."""
    group_id, store_id = till.shop.places.group.id, till.shop.places.tea_store.id
    made = await till.as_staff(
        """mutation ($node: ID!, $store: ID!) { schemeCreate(input: {perspectiveId: $node,
          name: "Tea only", currency: "CNY", deductionRule: CASH_FIRST, pointsUnit: 100,
          consumptionVerification: NONE, pointsRate: 1, storeIds: [$store]}) {
          ... on Scheme { id coversAllStores } } }""",
        node=type_id("node", group_id),
        store=type_id("node", store_id),
    )
    assert made["coversAllStores"] is False
    await till.as_staff(
        """mutation ($id: ID!) { tierCreate(input: {schemeId: $id, name: "One", growthFrom: 0}) {
          __typename } }""",
        id=made["id"],
    )
    joined = await till.as_member(
        "mutation ($id: ID!) { cardJoin(input: {schemeId: $id}) { ... on Card { id } } }",
        id=made["id"],
    )
    here = await record(till, 100, cardId=joined["id"])
    assert here == {"__typename": "NotAtThisStore"}
    there = await record(till, 100, cardId=joined["id"], terminalId=till.other_terminal_id)
    assert there["pointsEarned"] == 1


# Refunds


async def test_a_refund_is_made_once(till: Counter) -> None:
    """The same key: the first answer; 16 at once make one; another input is refused."""
    purchase_id = await purchase_of(till, 1_000)
    answers = await asyncio.gather(
        *(refund(till, purchase_id, 400, requestKey="r-1") for _ in range(16))
    )
    assert {answer["refund"]["id"] for answer in answers} == {answers[0]["refund"]["id"]}
    assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 15
    assert await one(till.database, refunds_there) == 1
    async with nothing_moves(till.database):
        reused = await refund(till, purchase_id, 401, requestKey="r-1")
        assert reused == {"__typename": "RequestKeyReused"}
    assert (await account(till.database, till.shop.card.id)).balance == 3


async def test_no_more_is_refunded_than_was_paid(till: Counter) -> None:
    """In parts, at once, whatever the order."""
    purchase_id = await purchase_of(till, 1_000)
    answers = await asyncio.gather(*(refund(till, purchase_id, 300) for _ in range(8)))
    made = [each for each in answers if each["__typename"] == "PurchaseRefunded"]
    assert len(made) == 3
    async with nothing_moves(till.database):
        refused = await refund(till, purchase_id, 101)
        left = {"amount": 100, "currency": "CNY"}
        assert refused == {"__typename": "RefundTooLarge", "refundable": left}
    last = await refund(till, purchase_id, 100)
    assert last["purchase"]["refunded"] == {"amount": 1_000}
    assert [each["amount"]["amount"] for each in last["purchase"]["refunds"]] == [300] * 3 + [100]
    assert (await account(till.database, till.shop.card.id)).balance == 0
    assert await till.database.scan(ledger.check) == []


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"amount": {"amount": 0, "currency": "CNY"}}, "BAD_USER_INPUT"),
        ({"amount": {"amount": -1, "currency": "CNY"}}, "BAD_USER_INPUT"),
        ({"amount": {"amount": 1, "currency": "XXX"}}, "BAD_USER_INPUT"),
        (
            {"amount": {"amount": 1, "currency": "USD"}},
            {"__typename": "WrongCurrency", "expected": "CNY"},
        ),
        (
            {"amount": {"amount": 2**63 - 1, "currency": "CNY"}},
            {"__typename": "RefundTooLarge", "refundable": {"amount": 1_000, "currency": "CNY"}},
        ),
        ({"reason": ""}, "BAD_USER_INPUT"),
        ({"reason": "x" * 201}, "BAD_USER_INPUT"),
        ({"reason": "a\x00b"}, "BAD_USER_INPUT"),
        ({"requestKey": ""}, "BAD_USER_INPUT"),
        ({"purchaseId": "pur_1"}, "BAD_USER_INPUT"),
        ({"purchaseId": type_id("pur", new_id())}, {"__typename": "PurchaseNotFound"}),
    ],
)
async def test_a_refund_that_cannot_be_is_refused_and_leaves_no_trace(
    till: Counter, change: dict[str, Any], answer: Any
) -> None:
    purchase_id = await purchase_of(till, 1_000)
    async with nothing_moves(till.database):
        assert await refund(till, purchase_id, 100, **change) == answer


async def many_refunds(tx: Transaction, till: Counter, purchase_id: str, number: int) -> None:
    of = parse_type_id("pur", purchase_id)
    await tx.insert(
        *(
            new_refund(
                purchase_id=of, amount=1, points_taken=0, reason="Spilt", refunded_at=till.now
            )
            for _ in range(number)
        )
    )


async def test_a_purchase_is_refunded_so_often_and_no_more(till: Counter) -> None:
    """So that all refunds of one can be shown."""
    purchase_id = await purchase_of(till, 1_000)
    await till.database.run(many_refunds, till, purchase_id, REFUNDS_MAX - 1)
    last = await refund(till, purchase_id, 1, requestKey="last")
    assert len(last["purchase"]["refunds"]) == REFUNDS_MAX
    async with nothing_moves(till.database):
        assert await refund(till, purchase_id, 1) == {"__typename": "TooManyRefunds"}
        assert (await refund(till, purchase_id, 1, requestKey="last"))["replayed"] is True


async def test_no_purchase_hides_the_refunds_of_another(till: Counter) -> None:
    """Each shows all of its own, however many those beside it have."""
    purchase_ids = [await purchase_of(till, 1_000) for _ in range(4)]
    for purchase_id in purchase_ids[:3]:
        await till.database.run(many_refunds, till, purchase_id, REFUNDS_MAX)
    await refund(till, purchase_ids[3], 1)
    shown = await till.as_member(
        """query ($id: ID!) { card(id: $id) {
          purchases { edges { node { refunds { id } } } } } }""",
        id=till.card_id,
    )
    nodes = [edge["node"] for edge in shown["purchases"]["edges"]]
    assert [len(node["refunds"]) for node in nodes] == [1, *[REFUNDS_MAX] * 3]


async def test_refunding_needs_its_own_permission(till: Counter) -> None:
    purchase_id = await purchase_of(till, 1_000)
    foreign = await till.database.run(places, now=till.now)
    stranger = await till.database.run(employee, node=foreign.group, now=till.now)
    asked = {
        "purchaseId": purchase_id,
        "amount": {"amount": 1, "currency": "CNY"},
        "reason": "No",
        "requestKey": "k",
    }
    async with nothing_moves(till.database):
        assert await till.as_staff(REFUND, who=till.shop.cashier, input=asked) == "FORBIDDEN"
        refused = await till.as_staff(REFUND, who=stranger, input=asked)
        assert refused == {"__typename": "PurchaseNotFound"}


async def test_a_frozen_card_gives_back_what_a_refund_takes(till: Counter) -> None:
    """CRD-3: what was given for nothing is nobody's, whatever the card's status."""
    purchase_id = await purchase_of(till, 1_000)
    await till.as_staff(
        """mutation ($id: ID!) { cardStatusChange(input: {cardId: $id, status: FROZEN,
          reason: "Suspicious"}) { __typename } }""",
        id=till.card_id,
    )
    assert (await refund(till, purchase_id, 1_000))["refund"]["pointsTaken"] == 5
    assert (await account(till.database, till.shop.card.id)).balance == 0
    assert await till.database.scan(ledger.check) == []
