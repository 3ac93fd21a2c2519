"""The back office of gift cards: bulk orders, keys once, lists, exports, sums (GFT-5…GFT-7)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, func, select

from app.core.db import Database, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.models.gift_card_batches import GiftCardBatchCard
from app.models.gift_cards import GiftCard, GiftCardKind, GiftCardProductState
from app.models.ledger import Account
from app.models.operations import AuditRecord
from app.services import ledger
from app.services.gift_cards import batches, numbers, products
from app.services.links import SignedIn
from tests.factories.back_office import ISSUER
from tests.factories.cards import counter
from tests.factories.gift_card_office import (
    BATCHES,
    CREATE_BATCH,
    EXPORT_LINK,
    EXPORTS,
    KEYS_LINK,
    NUMBER,
    ONE_BATCH,
    REFUND,
    REPORT,
    SOLD,
    TRANSACTIONS,
    VOID,
    a_batch,
    a_gift_card_product,
    a_key,
    a_number,
    a_sheet,
    bring_in,
    exported,
    keys_of,
    made_batch,
    pay,
    rows_of,
    work,
)
from tests.factories.ledger import nothing_moves
from tests.factories.races import beside, call
from tests.factories.reading import every, one
from tests.factories.reports import LINK, a_link, by_kind
from tests.factories.running import Live, a_running_app
from tests.factories.staff import employee

pytestmark = pytest.mark.anyio

ELECTRONIC = GiftCardKind.ELECTRONIC
all_cards = statement(select(GiftCard).order_by(col(GiftCard.id)), into=GiftCard)
keys_beside = statement(select(GiftCardBatchCard), into=GiftCardBatchCard)
accounts = statement(select(Account).where(col(Account.gift_card_id).is_not(None)), into=Account)
exports_recorded = statement(
    select(func.count()).where(col(AuditRecord.action) == "gift_card_batch.export_keys"), into=int
)


@pytest.fixture
async def live(database: Database, database_url: str) -> AsyncIterator[Live]:
    async with a_running_app(database, database_url) as running:
        yield running


def soon() -> datetime:
    """Late enough for every job that was written down."""
    return datetime.now(UTC) + timedelta(seconds=1)


async def test_a_company_buys_cards_whose_keys_leave_once(live: Live) -> None:
    """GFT-7: N cards, one invoice; the amount is divided to the last fen, and the keys pay."""
    till = live.till
    product = await a_gift_card_product(till, ELECTRONIC)
    asked = a_batch(product, invoiceNumber="INV-7")
    created = await till.as_staff(CREATE_BATCH, input=asked)
    assert created["batch"]["state"] == "MAKING"
    early = await till.as_staff(KEYS_LINK, id=created["batch"]["id"])
    assert (early["__typename"], early["numberMade"]) == ("GiftCardBatchNotReady", 0)
    await work(till, soon())
    batch = await till.as_staff(ONE_BATCH, id=created["batch"]["id"])
    assert batch == {
        "id": created["batch"]["id"], "state": "READY", "buyerCompany": "Hongqiao Trading",
        "buyerRegistration": None, "invoiceNumber": "INV-7", "numberOfCards": 3,
        "numberMade": 3, "face": {"amount": 100_00},
        "amount": {"amount": 250_00, "currency": "CNY"}, "gift": {"amount": 50_00},
        "finishedAt": batch["finishedAt"], "keysExportedAt": None,
        "product": {"name": "Lantern festival"}, "method": {"code": "cash"},
        "operator": {"name": till.shop.owner.staff.name}, "keysExportedBy": None,
    }  # fmt: skip
    again = await till.as_staff(CREATE_BATCH, input=asked)
    assert (again["replayed"], again["batch"]["id"]) == (True, batch["id"])
    cards = await every(till.database, all_cards)
    assert sorted(card.cash for card in cards) == [83_33, 83_33, 83_34]
    assert {(card.face, card.key, numbers.is_number(card.number)) for card in cards} == {
        (100_00, None, True)
    }

    keys = await keys_of(live, batch)
    assert set(keys) == {card.number for card in cards}
    for card in cards:
        assert card.key_index == numbers.key_index(card.number, keys[card.number])
    assert {row.key for row in await every(till.database, keys_beside)} == {None}
    done = await till.as_staff(ONE_BATCH, id=batch["id"])
    assert done["keysExportedBy"] == {"name": till.shop.owner.staff.name}
    refused = await till.as_staff(KEYS_LINK, id=batch["id"])
    assert refused["__typename"] == "GiftCardKeysExported"
    assert refused["exportedAt"] == done["keysExportedAt"]
    number, key = next(iter(keys.items()))
    paid = await pay(till, number, key, 100_00)
    assert paid["balance"] == {"total": {"amount": 0}}
    assert await till.database.scan(ledger.check) == []


async def test_keys_are_exported_once_whoever_is_faster(live: Live) -> None:
    """Two links in the same instant: one file leaves, the other never does."""
    till = live.till
    batch = await made_batch(till, await a_gift_card_product(till, ELECTRONIC), soon())
    signed_in = SignedIn(session_id=till.shop.owner.session_id, scopes=())
    batch_id = parse_type_id("gcb", batch["id"])
    now = datetime.now(UTC)
    prepared = []
    for _ in range(2):
        secret = await till.database.run(
            batches.keys_link, till.shop.owner.actor, batch_id=batch_id, signed_in=signed_in,
            now=now,
        )  # fmt: skip
        prepared.append(await till.database.run(batches.prepare, secret=secret, now=now))
    one_file, other_file = (call(batches.hand_out, each, now=now) for each in prepared)
    outcomes = await beside(till.database, one_file, before=batches.forget_keys, second=other_file)
    assert {type(outcome) for outcome in outcomes} == {type(None), batches.GiftCardKeysExported}
    assert await one(till.database, exports_recorded) == 1

    # A link that was made before is worth nothing afterwards.
    other = await made_batch(till, await a_gift_card_product(till, ELECTRONIC), soon())
    links = [await live.as_staff(KEYS_LINK, id=other["id"]) for _ in range(2)]
    paths = [link["url"].removeprefix(ISSUER) for link in links]
    assert (await live.http.head(paths[0])).status_code == 405
    assert [(await live.http.get(path)).status_code for path in (*paths, paths[0])] == [
        200, 404, 404,
    ]  # fmt: skip


async def test_only_who_may_orders_in_bulk_and_takes_keys(database: Database, now: Any) -> None:
    """Making and exporting are two permissions; what is wrong makes nothing."""
    till = await counter(database, now)
    product = await a_gift_card_product(till, ELECTRONIC)
    printed = await a_gift_card_product(till)
    group = till.shop.places.group
    marketer, finance, coffee = [
        await database.run(employee, node=node, role=role, now=now)
        for node, role in (
            (group, "marketer"), (group, "finance"), (till.shop.places.coffee, "finance"),
        )
    ]  # fmt: skip
    batch = await made_batch(till, product, now + timedelta(seconds=1), invoiceNumber="INV-1")
    async with nothing_moves(database):
        for wrong, answer in (
            ({"numberOfCards": 0}, "BAD_USER_INPUT"),
            ({"numberOfCards": 10_001}, "BAD_USER_INPUT"),
            ({"amount": {"amount": 300_01, "currency": "CNY"}}, "BAD_USER_INPUT"),
            ({"amount": {"amount": 2, "currency": "CNY"}}, "BAD_USER_INPUT"),
            ({"amount": {"amount": 250_00, "currency": "EUR"}}, "BAD_USER_INPUT"),
            ({"buyerCompany": " "}, "BAD_USER_INPUT"),
            ({"invoiceNumber": "x" * 65}, "BAD_USER_INPUT"),
            ({"productId": type_id("gcp", printed.id)}, "BAD_USER_INPUT"),
            ({"productId": type_id("gcp", new_id())}, "GiftCardProductNotFound"),
            ({"face": {"amount": 9_99, "currency": "CNY"}}, "GiftCardAmountNotOffered"),
            ({"methodCode": "barter"}, "PaymentMethodUnknown"),
            ({"invoiceNumber": "INV-1"}, "InvoiceAlreadyUsed"),
        ):
            refused = await till.as_staff(CREATE_BATCH, input=a_batch(product, **wrong))
            assert refused == answer or refused["__typename"] == answer, wrong
        asked = a_batch(product)
        for who in (marketer, finance, till.shop.cashier):
            assert await till.as_staff(CREATE_BATCH, who=who, input=asked) == "FORBIDDEN"
        await work(till, now + timedelta(seconds=1))
    assert await till.as_staff(KEYS_LINK, who=marketer, id=batch["id"]) == "FORBIDDEN"
    elsewhere = await till.as_staff(KEYS_LINK, who=coffee, id=batch["id"])
    assert elsewhere["__typename"] == "GiftCardBatchNotFound"
    assert (await till.as_staff(BATCHES, who=coffee))["edges"] == []
    linked = await till.as_staff(KEYS_LINK, who=finance, id=batch["id"])
    assert linked["__typename"] == "DownloadLink"
    (listed,) = (await till.as_staff(BATCHES, product=type_id("gcp", product.id)))["edges"]
    assert listed["node"]["id"] == batch["id"]
    move = {"product_id": product.id, "state": GiftCardProductState.INACTIVE, "now": now}
    await database.run(products.move, till.shop.owner.actor, **move)
    refused = await till.as_staff(CREATE_BATCH, input=a_batch(product))
    assert refused["__typename"] == "GiftCardNotOnSale"


async def test_a_worker_that_dies_makes_no_card_twice(database: Database, now: Any) -> None:
    till = await counter(database, now)
    product = await a_gift_card_product(till, ELECTRONIC)
    number = batches.PART_CARDS + 1
    face = {"amount": 10_00, "currency": "CNY"}
    asked = a_batch(product, face=face, numberOfCards=number, amount=None)
    created = await till.as_staff(CREATE_BATCH, input=asked)
    batch_id = parse_type_id("gcb", created["batch"]["id"])
    # Killed after its effect, before anybody heard of it: the job begins again, beside another.
    twice = call(batches.work_on, batch_id=batch_id, now=now)
    await beside(database, twice, before=batches.count_made, second=twice)
    await work(till, now + timedelta(seconds=1))
    batch = await till.as_staff(ONE_BATCH, id=created["batch"]["id"])
    assert (batch["state"], batch["numberMade"]) == ("READY", number)
    assert batch["amount"]["amount"] == number * 10_00
    cards = await every(database, all_cards)
    assert len({card.number for card in cards}) == len(cards) == number
    assert sum(card.cash for card in cards) == number * 10_00
    assert await database.scan(ledger.check) == []


async def a_busy_product(live: Live) -> tuple[Any, dict[str, str]]:
    """Three cards of a bulk order, of which some paid, got it back, or were refunded; one printed
    that nobody bought.
    """
    till = live.till
    product = await a_gift_card_product(till, ELECTRONIC)
    keys = await keys_of(live, await made_batch(till, product, soon()))
    first, second, third = sorted(keys)
    for number, amount in ((first, 30_01), (second, 100_00), (third, 40_00)):
        assert (await pay(till, number, keys[number], amount))["__typename"] == "GiftCardPaid"
    back = await pay(till, first, keys[first], 20_00)
    voided = await till.as_staff(VOID, id=back["payment"]["id"], key=new_id().hex)
    assert voided["__typename"] == "GiftCardPaid"
    cards = {card.number: card for card in await every(till.database, all_cards)}
    asked = {
        "id": type_id("gc", cards[third].id), "methodCode": "cash", "reason": "Wrong card",
        "requestKey": new_id().hex,
    }  # fmt: skip
    refunded = await till.as_staff(REFUND, input=asked)
    assert refunded["__typename"] == "GiftCardRefundDone", refunded
    printed = await a_gift_card_product(till, name="Printed")
    await bring_in(live, printed, a_sheet([a_number(1), a_key(1)]))
    await work(till, soon())
    return product, keys


def amounts(rows: Any, key: str) -> int:
    return sum(int(row[key]["amount"]) for row in rows)


async def on_accounts(database: Database) -> dict[str, int]:
    """What all gift cards hold by their accounts."""
    found = {"CASH": 0, "BONUS": 0}
    for account in await every(database, accounts):
        found[account.kind] += account.balance
    return found


async def test_transactions_add_up_to_the_balances(live: Live) -> None:
    """GFT-6, FIN-2: in the list, in the export, in the report: opening + movements = closing =
    what the ledger says.
    """
    till = live.till
    product, _ = await a_busy_product(live)
    held = await on_accounts(till.database)
    assert held["CASH"] > 0
    page = await live.as_staff(TRANSACTIONS)
    lines = [edge["node"] for edge in page["edges"]]
    assert sorted(line["kind"] for line in lines) == sorted(
        ["ACTIVATION"] * 3 + ["CONSUMPTION"] * 4 + ["CONSUMPTION_RETURN", "REFUND"]
    )
    assert (amounts(lines, "cash"), amounts(lines, "gift")) == (held["CASH"], held["BONUS"])
    (total,) = page["sums"]
    assert total == {
        "currency": "CNY", "cash": {"amount": held["CASH"]}, "gift": {"amount": held["BONUS"]},
        "amount": {"amount": held["CASH"] + held["BONUS"]},
    }  # fmt: skip
    first = await live.as_staff(TRANSACTIONS, first=4)
    rest = await live.as_staff(TRANSACTIONS, first=100, after=first["pageInfo"]["endCursor"])
    assert [edge["node"]["id"] for edge in first["edges"] + rest["edges"]] == [
        line["id"] for line in lines
    ]
    for filters, number in (
        ({"kind": "CONSUMPTION"}, 4),
        ({"giftCardId": lines[0]["giftCardId"]}, 3),
        ({"storeId": type_id("node", till.shop.store.id)}, 5),
        ({"storeId": type_id("node", till.shop.places.tea_store.id)}, 0),
        ({"productId": type_id("gcp", new_id())}, 0),
        ({"before": till.now.isoformat()}, 0),
        ({"from": till.now.isoformat(), "productId": type_id("gcp", product.id)}, 9),
    ):
        found = await live.as_staff(TRANSACTIONS, filter=filters)
        assert len(found["edges"]) == number, filters
        shown = sum(amounts([edge["node"]], "amount") for edge in found["edges"])
        assert sum(each["amount"]["amount"] for each in found["sums"]) == shown

    asked = a_link(till, "GIFT_CARDS")
    days = {"at": asked["perspectiveId"], "from": asked["from"], "to": asked["to"]}
    report = await live.as_staff(REPORT, **days)
    (found,) = [each for each in report["products"] if each["productName"] == "Lantern festival"]
    assert (found["sold"], found["refunded"], found["outstanding"]) == (3, 1, 1)
    for part, kind, paid in (("cash", "CASH", 250_00), ("gift", "BONUS", 50_00)):
        flow = found[part]
        assert flow["opening"]["amount"] == 0
        assert flow["closing"]["amount"] == held[kind]
        assert flow["added"]["amount"] - flow["taken"]["amount"] == held[kind]
        assert by_kind(flow["movements"])["GIFT_CARD_ACTIVATE"] == (paid, 0)
    empty = [each for each in report["products"] if each["productName"] == "Printed"]
    assert [(each["sold"], each["cash"]["closing"]) for each in empty] == [(0, {"amount": 0})]
    later = await live.as_staff(
        REPORT, **(days | {"from": asked["to"], "to": f"{till.now.year + 2}-01-01"})
    )
    (after,) = [each for each in later["products"] if each["productId"] == found["productId"]]
    assert after["cash"]["opening"] == found["cash"]["closing"]
    assert after["sold"] == 0

    link = await live.as_staff(LINK, input=asked)
    sheet = await live.http.get(link["url"].removeprefix(ISSUER))
    sales = rows_of(sheet.content, "礼品卡产品 Product")
    assert sales[1][:5] == ["Lantern festival", "CNY", 3.0, 250.0, 50.0]
    assert sales[1][5:] == [1.0, 1.0, held["CASH"] / 100, held["BONUS"] / 100]


async def test_lists_leave_as_spreadsheets_and_are_remembered(live: Live) -> None:
    """GFT-5, GFT-6: page after page, with opening, sums and closing; who took which is listed."""
    till = live.till
    _, keys = await a_busy_product(live)
    held = await on_accounts(till.database)
    perspective = type_id("node", till.shop.places.group.id)
    period = {"from": f"{till.now.year}-01-01", "to": f"{till.now.year + 1}-01-01"}
    asked = {"kind": "TRANSACTIONS", "perspectiveId": perspective, **period}
    data = await exported(live, await live.as_staff(EXPORT_LINK, input=asked))
    head, *rows = rows_of(data, "时间 At")
    cash, gift = head.index("本金 Cash"), head.index("赠送 Gift value")
    *lines, total, closing = rows
    assert len(lines) == 9
    for position, kind in ((cash, "CASH"), (gift, "BONUS")):
        assert round(sum(line[position] for line in lines), 2) == held[kind] / 100
        assert total[position] == held[kind] / 100
        assert closing[position] == held[kind] / 100
    assert (total[0], closing[0]) == ("合计 Total", "期末 Closing")
    next_year = asked | {"from": period["to"], "to": f"{till.now.year + 2}-01-01"}
    data = await exported(live, await live.as_staff(EXPORT_LINK, input=next_year))
    _, opening, closing = rows_of(data, "时间 At")
    assert (opening[0], opening[cash]) == ("期初 Opening", held["CASH"] / 100)
    assert closing[cash] == opening[cash]

    of_cards = {"kind": "CARDS", "perspectiveId": perspective, "state": "USED"}
    data = await exported(live, await live.as_staff(EXPORT_LINK, input=of_cards))
    _, used, _ = rows_of(data, NUMBER)
    assert used[0] == sorted(keys)[1]
    every_card = {"kind": "CARDS", "perspectiveId": perspective}
    data = await exported(live, await live.as_staff(EXPORT_LINK, input=every_card))
    head, *cards, total = rows_of(data, NUMBER)
    assert len(cards) == 4
    assert total[head.index("本金余额 Cash left")] == held["CASH"] / 100
    (card,) = [card for card in cards if card[0] == min(keys)]
    assert card[head.index("状态 State")] == "正常 Active"

    history = await live.as_staff(EXPORTS)
    newest, of_used, *_ = [edge["node"] for edge in history["edges"]]
    assert (newest["kind"], newest["numberOfRows"], of_used["numberOfRows"]) == ("CARDS", 4, 1)
    assert '"state":"USED"' in of_used["filters"]
    assert newest["operator"] == {"name": till.shop.owner.staff.name}
    assert newest["perspective"] == {"name": "Regulars"}

    link = await live.as_staff(EXPORT_LINK, input=asked)
    path = link["url"].removeprefix(ISSUER)
    assert (await live.http.get(path)).status_code == 200
    assert (await live.http.get(path)).status_code == 404
    for wrong in (
        {"from": None, "to": None}, {"to": None}, {"state": "USED"}, {"to": "1999-01-01"},
        {"kind": "CARDS", "transactionKind": "REFUND"},
    ):  # fmt: skip
        assert await till.as_staff(EXPORT_LINK, input=asked | wrong) == "BAD_USER_INPUT"
    gone = asked | {"perspectiveId": type_id("node", new_id())}
    assert (await till.as_staff(EXPORT_LINK, input=gone))["__typename"] == "NodeNotFound"
    cashier = till.shop.cashier
    assert await till.as_staff(EXPORT_LINK, who=cashier, input=asked) == "FORBIDDEN"


async def test_cards_are_listed_where_the_asker_may_read_them(live: Live) -> None:
    """GFT-5, ORG-1: by state now, kind, product, place, order and time; page after page."""
    till = live.till
    product, keys = await a_busy_product(live)
    first, second, third = sorted(keys)

    async def found(who: Any = None, **filters: Any) -> list[str]:
        page = await till.as_staff(SOLD, who=who, filter=filters)
        return sorted(edge["node"]["number"] for edge in page["edges"])

    (batch,) = (await till.as_staff(BATCHES))["edges"]
    assert await found() == sorted([*keys, a_number(1)])
    assert await found(state="ACTIVE") == [first]
    assert await found(state="USED") == [second]
    assert await found(state="REFUNDED") == [third]
    assert await found(state="INACTIVE") == [a_number(1)]
    assert await found(kind="PHYSICAL") == [a_number(1)]
    assert await found(productId=type_id("gcp", product.id)) == [first, second, third]
    assert await found(batchId=batch["node"]["id"], state="ACTIVE") == [first]
    assert await found(storeId=type_id("node", till.shop.store.id)) == []
    assert await found(soldFrom=till.now.isoformat()) == [first, second, third]
    assert await found(soldBefore=till.now.isoformat()) == []
    over = till.later(days=366)
    owner = await till.database.run(employee, node=till.shop.places.group, now=over.now)
    listed = await over.as_staff(SOLD, who=owner, filter={"state": "EXPIRED"})
    assert [edge["node"]["number"] for edge in listed["edges"]] == [first]
    tea = await till.database.run(
        employee, node=till.shop.places.tea, role="marketer", now=till.now
    )
    assert await found(tea) == []
    page = await till.as_staff(SOLD, first=3)
    rest = await till.as_staff(SOLD, first=3, after=page["pageInfo"]["endCursor"])
    assert [len(each["edges"]) for each in (page, rest)] == [3, 1]
    assert await till.as_staff(SOLD, filter={"soldFrom": "2026-01-01T00:00:00"}) == "BAD_USER_INPUT"
