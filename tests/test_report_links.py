"""Reports as spreadsheets and pages, behind links that work once (FIN-2)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from io import BytesIO
from typing import Any

import httpx2
import pytest
import python_calamine
from sqlmodel import col, select

from app.core.db import Database, Transaction, statement
from app.core.errors import Unauthenticated
from app.models.gift_cards import GiftCardKind
from app.models.ledger import AccountKind
from app.models.operations import AuditRecord
from app.models.staff import Permission
from app.models.top_ups import TopUpSource
from app.services import organisation, partners, sessions
from app.services.links import SignedIn
from app.services.reports.downloads import Asked, ReportFormat, ReportKind, link, use
from app.services.tickets import TicketRefused
from resolvers.root import admin_schema
from tests.factories.adjustments import set_rules
from tests.factories.back_office import ISSUER
from tests.factories.cards import Counter, counter
from tests.factories.gift_card_office import CREATE_BATCH, a_batch, a_gift_card_product
from tests.factories.gift_cards import product_of, sold
from tests.factories.ledger import nothing_moves
from tests.factories.partners import partner, principal_of
from tests.factories.reading import every
from tests.factories.reports import (
    COMPLIANCE,
    LINK,
    POINTS,
    STORED_VALUE,
    TOP_UPS,
    a_link,
    credited,
    owing,
)
from tests.factories.running import Live, a_running_app
from tests.factories.spendings import Payer, another_card

pytestmark = pytest.mark.anyio

GONE = "This link has expired or was already used. Ask for a new one."
HEAD_LINES = 7
"""Of a sheet: title, group, node, period, made at, by whom, an empty line."""

Sheets = dict[str, list[dict[str, Any]]]

downloads_recorded = statement(
    select(AuditRecord).where(col(AuditRecord.action) == "report.download"), into=AuditRecord
)


@pytest.fixture
async def running(database: Database, database_url: str) -> AsyncIterator[Live]:
    async with a_running_app(database, database_url) as live:
        yield live


async def path_of(live: Live, report: str, as_what: str = "EXCEL", /, **more: Any) -> str:
    """Where a report can be fetched, without the host that the product calls its own."""
    asked = a_link(live.till, report, as_what, **more)
    url = (await live.as_staff(LINK, input=asked))["url"]
    assert url.startswith(f"{ISSUER}/reports/")
    return str(url.removeprefix(ISSUER))


async def fetch(live: Live, path: str) -> httpx2.Response:
    answer = await live.http.get(path)
    assert answer.status_code == 200, answer.text
    return answer


def sheets_of(answer: httpx2.Response) -> Sheets:
    """Each sheet's rows and totals by what stands above them, in English."""
    book = python_calamine.load_workbook(BytesIO(answer.content))
    found = {}
    for name in book.sheet_names:
        lines = book.get_sheet_by_name(name).to_python(skip_empty_area=False)[HEAD_LINES:]
        titles = [english(str(title)) for title in lines[0]]
        rows = (line for line in lines[1:] if any(cell != "" for cell in line[1:]))
        found[english(name)] = [dict(zip(titles, row, strict=True)) for row in rows]
    return found


def english(words: str) -> str:
    """The half of a label after the Chinese one."""
    return words.partition(" ")[2]


def major(money: Any) -> float:
    """Minor units of CNY as a sheet shows them."""
    return float(money["amount"]) / 100


async def busy(live: Live) -> Payer:
    """A scheme in which things have happened just now."""
    till = live.till
    payer = await till.database.run(
        lambda tx: another_card(tx, till, points_cost_per_thousand=12_34)
    )
    await payer.put(123_45)
    await payer.put_bonus(6_78)
    await payer.put_points(1_001)
    await payer.paid(23_45)
    await payer.held(50_00)
    now = till.now
    await till.database.run(owing, card=till.shop.card, kind=AccountKind.CASH, amount=9_99, now=now)
    return payer


def asked_of(live: Live) -> dict[str, Any]:
    link = a_link(live.till, "STORED_VALUE")
    return {"at": link["perspectiveId"], "from": link["from"], "to": link["to"]}


async def test_the_stored_value_sheet_holds_the_numbers_of_the_api(running: Live) -> None:
    """FIN-2: as numbers, in major units, with real sums below."""
    await busy(running)
    report = await running.as_staff(STORED_VALUE, **asked_of(running), byStore=True)
    answer = await fetch(running, await path_of(running, "STORED_VALUE"))
    sheets = sheets_of(answer)
    assert list(sheets) == ["Balances", "Movements", "By store", "Held"]
    *rows, total = sheets["Balances"]
    wanted = [
        {
            "Scheme": each["scheme"]["name"],
            "Currency": "CNY",
            "Account": label,
            "Opening": major(flow["opening"]),
            "Added": major(flow["added"]),
            "Taken": major(flow["taken"]),
            "Closing": major(flow["closing"]),
            "Cards with a balance": flow["cardsWithBalance"],
            "On cards": major(flow["onCards"]),
            "Owed": major(flow["owed"]),
        }
        for each in report["schemes"]
        for label, flow in (("本金 Cash", each["cash"]), ("赠送金 Bonus", each["bonus"]))
    ]
    assert rows == wanted
    assert (total["Scheme"], total["Currency"], total["Account"]) == ("合计 Total", "CNY", "")
    for name in ("Opening", "Added", "Taken", "Closing", "On cards", "Owed"):
        assert round(total[name] * 100) == sum(round(row[name] * 100) for row in wanted), name
    # 123.45 + 6.78 − 23.45 − 50.00 − 9.99
    assert (total["Closing"], total["Owed"]) == (46.79, 9.99)
    moved = {
        (row["Scheme"], row["Account"], row["Store"], row["Movement"]): (row["Added"], row["Taken"])
        for row in sheets["By store"][:-1]
    }
    for each in report["schemes"]:
        for label, part in (("本金 Cash", "cash"), ("赠送金 Bonus", "bonus")):
            for line in each[part]["byStore"]:
                store = line["store"]["name"] if line["store"] else "无 None"
                key = (each["scheme"]["name"], label, store, POSTING_WORDS[line["kind"]])
                assert moved.pop(key) == (major(line["added"]), major(line["taken"]))
    assert moved == {}
    assert sheets["Held"][-1]["Closing"] == 50.0


POSTING_WORDS = {
    "AUTHORISE": "预授权 Authorised",
    "SPEND": "消费 Spent",
    "TOP_UP": "充值 Topped up",
    "TOP_UP_REFUND": "充值退款 Top-up refunded",
}


async def test_the_points_sheet_holds_the_numbers_of_the_api(running: Live) -> None:
    """PTS-8."""
    payer = await busy(running)
    report = await running.as_staff(POINTS, **asked_of(running))
    sheets = sheets_of(await fetch(running, await path_of(running, "POINTS_LIABILITY")))
    (wanted,) = [each for each in report["schemes"] if each["onCards"]]
    (row,) = [row for row in sheets["Points"] if row["Scheme"] == payer.scheme.name]
    assert {name: row[name] for name in ("Opening", "Issued", "Spent", "Closing", "On cards")} == {
        "Opening": wanted["opening"],
        "Issued": wanted["issued"],
        "Spent": wanted["spent"],
        "Closing": wanted["closing"],
        "On cards": wanted["onCards"],
    }
    # 1,001 × 12.34 ÷ 1,000 = 12.35234
    assert (row["Cost of 1,000"], row["Cost"], row["Currency"]) == (12.34, 12.35, "CNY")
    assert major(wanted["cost"]) == 12.35
    assert sheets["By expiry month"] == [
        {"Scheme": name, "Expires in": month, "Points": 1001.0, "Currency": "CNY", "Cost": 12.35}
        for name, month in ((payer.scheme.name, "永久 Never"), ("合计 Total", ""))
    ]


async def test_the_top_up_sheets_hold_the_numbers_of_the_api(running: Live) -> None:
    """TOP-10: and the list of orders all of them, with their sums."""
    till = running.till
    shop = till.shop
    for amount, source in ((100_50, TopUpSource.PLAN), (20_00, TopUpSource.BATCH)):
        await till.database.run(
            credited,
            card=shop.card,
            scheme=shop.scheme,
            amount=amount,
            bonus=5_05,
            points=7,
            source=source,
            store_id=shop.store.id if source is TopUpSource.PLAN else None,
            now=till.now,
        )
    statistics = await running.as_staff(TOP_UPS, **asked_of(running), by="STORE")
    sheets = sheets_of(await fetch(running, await path_of(running, "TOP_UPS")))
    assert list(sheets) == ["Day", "Store", "Plan", "Payment method"]
    (at_store, at_none) = statistics["lines"]
    assert [
        (row["Store"], row["Source"], row["Orders"], row["Paid"], row["Bonus"], row["Points"])
        for row in sheets["Store"]
    ] == [
        ("Coffee at the station", "销售 Sold", 1, major(at_store["sold"]["paid"]), 5.05, 7),
        ("无 None", "批量 Batches", 1, major(at_none["batches"]["paid"]), 5.05, 7),
        ("合计 Total", "销售 Sold", 1, 100.5, 5.05, 7),
        ("合计 Total", "批量 Batches", 1, 20.0, 5.05, 7),
    ]
    (orders,) = sheets_of(await fetch(running, await path_of(running, "TOP_UP_ORDERS"))).values()
    assert [
        (row["Card number"], row["Source"], row["Store"], row["Paid"], row["Bonus"], row["Points"])
        for row in orders
    ] == [
        (shop.card.number, "方案 Plan", "Coffee at the station", 100.5, 5.05, 7),
        (shop.card.number, "批量 Batch", "", 20.0, 5.05, 7),
        ("", "", "", 120.5, 10.1, 14),
    ]


async def test_the_compliance_sheet_names_who_is_above_a_cap(running: Live) -> None:
    """TOP-11."""
    payer = await busy(running)
    await payer.put(1_000_00)
    report = await running.as_staff(COMPLIANCE, **asked_of(running))
    (card,) = report["currencies"][0]["cards"]
    sheets = sheets_of(await fetch(running, await path_of(running, "COMPLIANCE")))
    assert sheets["Cards above the cap"] == [
        {
            "Card number": card["cardNumber"],
            "Holder": "王**",
            "Registered": "否 No",
            "Currency": "CNY",
            "Cash": major(card["balance"]),
            "Cap": 1_000.0,
        }
    ]
    limits = {row["Limit"]: row["Amount"] for row in sheets["Limits"]}
    assert limits["单位转账起点 Company transfer from"] == 5_000.0
    assert limits["记名卡余额上限 Registered card cap"] == 5_000.0
    assert limits["个人余额上限 Person cap"] == "无 None"


async def test_the_compliance_sheet_names_gift_cards_and_who_bought_many(running: Live) -> None:
    """TOP-11: as the report says it, number for number."""
    till = running.till
    await set_rules(till)
    product = await product_of(till, denominations=[{"face": 1_200_00, "price": 1_000_00}])
    await sold(till, product, 1_200_00)
    bulk = await a_gift_card_product(till, GiftCardKind.ELECTRONIC)
    await till.as_staff(CREATE_BATCH, input=a_batch(bulk, buyerRegistration="91310000MA1FL0XX0X"))
    await set_rules(
        till,
        unregisteredCardCap=1_000_00,
        realNameFrom=1_000_00,
        orderMax=999_99,
        companyTransferFrom=200_00,
    )
    report = await running.as_staff(COMPLIANCE, **asked_of(running))
    (currency,) = report["currencies"]
    (card,) = currency["giftCards"]
    sale, batch = currency["giftCardPurchases"]
    sheets = sheets_of(await fetch(running, await path_of(running, "COMPLIANCE")))
    assert sheets["Gift cards above the cap"] == [
        {
            "Card number": card["cardNumber"],
            "Holder": "王**",
            "Currency": "CNY",
            "Balance": 1_200.0,
            "Cap": 1_000.0,
        }
    ]
    purchases = sheets["Large gift card purchases"]
    assert [
        (row["Id"], row["Kind"], row["Card number"], row["Buyer"], row["Amount"])
        for row in purchases
    ] == [
        (sale["id"], "收银台售卡 Sold at a till", card["cardNumber"], "王**", 1_000.0),
        (batch["id"], "单位批量 Company, in bulk", "", "Hongqiao Trading", 250.0),
    ]
    assert [
        (row["Transfer needed"], row["Payment method"], row["Above the most"]) for row in purchases
    ] == [("否 No", "Cash", "是 Yes"), ("是 Yes", "Cash", "否 No")]


async def test_a_sheet_says_what_it_is_of_whom_and_when(running: Live) -> None:
    link = a_link(running.till, "STORED_VALUE")
    answer = await fetch(running, await path_of(running, "STORED_VALUE"))
    book = python_calamine.load_workbook(BytesIO(answer.content))
    lines = book.get_sheet_by_index(0).to_python()[: HEAD_LINES - 1]
    period = f"{link['from']} 00:00 – {link['to']} 00:00, Asia/Shanghai"
    heads = [(line[0], line[1]) for line in lines]
    assert heads[:4] == [
        ("储值余额报表 Stored value · 余额 Balances", ""),
        ("集团 Group", "Regulars"),
        ("视角 Perspective", "Regulars"),
        ("期间 Period", period),
    ]
    assert heads[4][0] == "生成时间 Made at"
    assert heads[5] == ("生成人 Made by", "王小明")
    assert answer.headers["content-type"] == (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    )
    assert int(answer.headers["content-length"]) == len(answer.content)
    days = f"{link['from']}_{link['to']}"
    assert answer.headers["content-disposition"] == (
        f'attachment; filename="stored-value_{days}.xlsx"; '
        "filename*=UTF-8''%E5%82%A8%E5%80%BC%E4%BD%99%E9%A2%9D%E6%8A%A5%E8%A1%A8%20"
        f"Stored%20value%20Regulars%20{days}.xlsx"
    )
    require_private(answer)


def require_private(answer: httpx2.Response) -> None:
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_page_escapes_what_people_typed(running: Live) -> None:
    """FIN-2: a store called <script>; the page runs nothing and asks for nothing."""
    till = running.till
    name = "<script>alert('1')</script> & \"Co\""
    await till.database.run(
        organisation.update_node,
        till.shop.owner.actor,
        node_id=till.shop.store.id,
        name=name,
        time_zone=None,
        now=till.now,
    )
    await busy(running)
    answer = await fetch(running, await path_of(running, "STORED_VALUE", "PAGE"))
    page = answer.text
    assert name not in page
    assert "<script" not in page
    assert f"<td>{name}</td>" in unescape(page)
    for shown in ("123.45", "46.79", "期初 Opening", "预授权占用 Held", "王小明", "Asia/Shanghai"):
        assert shown in page, shown
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; ")
    require_private(answer)


@pytest.mark.parametrize("as_what", ["EXCEL", "PAGE"])
async def test_a_link_works_once_and_what_it_gave_is_recorded(
    running: Live, database: Database, as_what: str
) -> None:
    """FIN-2, SEC-3: a preview by HEAD does not use it up."""
    path = await path_of(running, "POINTS_LIABILITY", as_what)
    assert (await running.http.head(path)).status_code == 405
    assert (await running.http.post(path)).status_code == 405
    assert await every(database, downloads_recorded) == []
    await fetch(running, path)
    again = await running.http.get(path)
    assert (again.status_code, again.text) == (404, GONE)
    require_private(again)
    (record,) = await every(database, downloads_recorded)
    owner = running.till.shop.owner
    link = a_link(running.till, "POINTS_LIABILITY")
    assert (record.actor_id, record.node_id) == (
        owner.staff.id,
        running.till.shop.places.group.id,
    )
    assert record.details == {
        "report": "POINTS_LIABILITY",
        "format": as_what,
        "from_day": link["from"],
        "to_day": link["to"],
    }


async def test_what_is_no_link_says_nothing_more(running: Live) -> None:
    for path in ("/reports/unknown", "/reports/%00", "/reports/" + "a" * 2_000):
        answer = await running.http.get(path)
        assert (answer.status_code, answer.text) == (404, GONE), path


async def test_a_link_is_worth_nothing_once_its_owner_has_left(
    running: Live, database: Database
) -> None:
    """ORG-2: the session is over."""
    path = await path_of(running, "STORED_VALUE")
    owner = running.till.shop.owner
    await database.run(
        sessions.revoke_all, principal_id=owner.staff.id, why="test", now=datetime.now(UTC)
    )
    answer = await running.http.get(path)
    assert (answer.status_code, answer.text) == (404, GONE)
    assert await every(database, downloads_recorded) == []


async def linked(tx: Transaction, till: Counter, now: datetime) -> str:
    """The secret of a link to the group's stored value."""
    owner = till.shop.owner
    asked = Asked(
        kind=ReportKind.STORED_VALUE,
        format=ReportFormat.PAGE,
        perspective_id=till.shop.places.group.id,
        from_day=now.date(),
        to_day=now.date(),
    )
    signed_in = SignedIn(session_id=owner.session_id, scopes=())
    return await link(tx, owner.actor, asked=asked, signed_in=signed_in, now=now)


async def test_a_link_lives_for_five_minutes(database: Database, now: datetime) -> None:
    till = await counter(database, now)
    asked = a_link(till, "STORED_VALUE")
    answer = await till.as_staff(LINK, input=asked)
    assert answer["expiresAt"] == (now + timedelta(minutes=5)).isoformat()
    secret = await database.run(linked, till, now)
    with pytest.raises(TicketRefused):
        await database.run(use, secret=secret, now=now + timedelta(minutes=5))
    opened = await database.run(
        use, secret=secret, now=now + timedelta(minutes=5) - timedelta(microseconds=1)
    )
    assert opened.made_by == "王小明"


async def test_a_list_of_any_length_is_no_page(database: Database, now: datetime) -> None:
    till = await counter(database, now)
    async with nothing_moves(database):
        asked = a_link(till, "TOP_UP_ORDERS", "PAGE")
        assert await till.as_staff(LINK, input=asked) == "BAD_USER_INPUT"


async def test_a_partners_link_is_looked_at_again_like_anybodys(
    database: Database, now: datetime
) -> None:
    """EVT-1: while its client is on, and holds the scope."""
    till = await counter(database, now)
    group = till.shop.places.group
    added = await database.run(partner, node=group, scopes=[Permission.REPORTS_READ], now=now)
    principal = principal_of(added.client, now=now)
    asked = a_link(till, "STORED_VALUE")

    async def secret() -> str:
        answer = await till.ask(admin_schema, LINK, principal, {"input": asked})
        return str(answer["url"]).rpartition("/")[2]

    opened = await database.run(use, secret=await secret(), now=now)
    assert (opened.made_by, opened.about.perspective.id) == ("Till Systems Ltd", group.id)
    left = await secret()
    await database.run(
        partners.deactivate, till.shop.owner.actor, partner_id=added.client.id, now=now
    )
    with pytest.raises(Unauthenticated):
        await database.run(use, secret=left, now=now)
