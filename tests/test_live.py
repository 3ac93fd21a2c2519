"""QRC-3: the member's page learns of the scan and of the payment at once.

A whole server on a port of its own, spoken to as a phone and a till do: graphql-transport-ws on
one side, HTTP on the other.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from websockets.asyncio.client import connect

from app.core.db import Database, Transaction
from app.core.ids import new_id, type_id
from app.models.cards import CardStatus
from app.models.members import Member, MemberStatus
from app.services import members
from tests.factories.cards import SETTINGS, Counter
from tests.factories.member_codes import drawn, freeze, pixels_of, scanned
from tests.factories.purchases import RECORD, REFUND, a_bill
from tests.factories.running import EVENTS, PROTOCOL, Live, Page, a_running_app

pytestmark = pytest.mark.anyio


@pytest.fixture
async def running(database: Database, database_url: str) -> AsyncIterator[Live]:
    async with a_running_app(database, database_url) as live:
        yield live


async def test_the_page_hears_of_the_scan_and_of_the_payment(running: Live) -> None:
    """QRC-3: in their order, each with the object as it is then."""
    shop = running.till.shop
    async with running.page() as page:
        scanned = await running.scan()
        event = await page.event()
        assert event == {
            "__typename": "CodeScanned",
            "at": event["at"],
            "scanId": scanned["scanId"],
            "storeName": shop.store.name,
            "terminalName": shop.terminal.name,
        }
        purchase_id = await running.record(1_000)
        event = await page.event()
        assert event == {
            "__typename": "PurchaseRecorded",
            "at": event["at"],
            "purchase": {
                "id": purchase_id, "pointsEarned": 5, "total": {"amount": 1_000}, "refunds": [],
            },
        }  # fmt: skip
        reasons = []
        for reason in ("Cold", "Late"):
            asked = {
                "purchaseId": purchase_id,
                "amount": {"amount": 400, "currency": "CNY"},
                "reason": reason,
                "requestKey": new_id().hex,
            }
            await running.as_staff(REFUND, input=asked)
            reasons.append({"reason": reason})
            event = await page.event()
            assert event["__typename"] == "PurchaseRefunded"
            # Nothing is remembered from the event before.
            assert event["purchase"] == {
                "id": purchase_id,
                "refunded": {"amount": 400 * len(reasons)},
                "refunds": reasons,
            }


async def test_nobody_hears_of_what_was_refused_or_is_anothers(running: Live) -> None:
    """QRC-3: an event is told after the commit, to its member only."""
    till = running.till
    stranger = await till.database.run(
        members.create, group_id=till.shop.places.group.id, name=None, now=till.now
    )
    async with running.page() as page, running.page(stranger.id) as other:
        bill = a_bill(till, 1_000)
        refused = await running.as_staff(
            RECORD, input=bill | {"payments": [{"methodCode": "cash", "amount": 1}]}
        )
        assert refused["__typename"] == "PaymentsDoNotAddUp"
        await running.as_staff(RECORD, input=bill)
        assert (await page.event())["__typename"] == "PurchaseRecorded"
        replayed = await running.as_staff(RECORD, input=bill)
        assert replayed["replayed"] is True
        assert await page.hears_nothing()
        assert await other.hears_nothing()


async def test_a_merged_members_page_hears_of_the_survivors_cards(running: Live) -> None:
    """IDN-4: an old token still speaks for the same person."""
    merged = await running.till.database.run(a_merged_member, running.till)
    async with running.page(merged.id) as page:
        purchase_id = await running.record()
        event = await page.event()
        assert (event["__typename"], event["purchase"]["id"]) == ("PurchaseRecorded", purchase_id)


async def test_news_crosses_processes(running: Live) -> None:
    """QRC-3: the till's request was served by another process than the page."""
    if running.till.database.dialect_name == "sqlite":
        pytest.skip("SQLite is for one process")
    async with running.page() as page:
        # The test's own connections: to the server they are another process.
        recorded = await running.till.as_staff(RECORD, input=a_bill(running.till, 1_000))
        assert (await page.event())["purchase"]["id"] == recorded["purchase"]["id"]


async def test_who_is_not_signed_in_hears_nothing(running: Live) -> None:
    address = f"ws://{running.address}/graphql"
    async with connect(address, subprotocols=[PROTOCOL], proxy=None) as opened:
        page = Page(opened)
        await page.send({"type": "connection_init"})
        assert await page.receive() == {"type": "connection_ack"}
        await page.send({"id": "1", "type": "subscribe", "payload": {"query": EVENTS}})
        refused = await page.receive()
        assert refused["type"] == "error"
        assert refused["payload"][0]["extensions"] == {"code": "UNAUTHENTICATED"}


async def test_the_code_is_served_as_an_image(running: Live) -> None:
    """QRC-4: SVG and PNG for the bearer of the member's token, never kept by a cache."""
    token = {"Authorization": await running.member_token()}
    path = f"/codes/{running.till.card_id}"
    svg = await running.http.get(f"{path}.svg", headers=token)
    assert svg.headers["content-type"] == "image/svg+xml"
    assert svg.headers["cache-control"] == "no-store"
    png = await running.http.get(f"{path}.png", headers=token)
    assert png.headers["content-type"] == "image/png"
    # A minute may turn between two requests, so: a code of this one or of the one before.
    step = SETTINGS.member_codes.step_at(datetime.now(UTC))
    serial = running.till.shop.card.serial
    current = {SETTINGS.member_codes.code_for(serial, at) for at in (step - 1, step)}
    assert scanned(pixels_of(png.content)) in current
    assert scanned(drawn(svg.text)) in current


async def test_images_are_refused_as_everything_else_is(running: Live) -> None:
    till = running.till
    token = {"Authorization": await running.member_token()}
    path = f"/codes/{till.card_id}.svg"
    refused = [
        (await running.http.get(path), 401, "UNAUTHENTICATED"),
        (await running.http.get("/codes/x.png", headers=token), 400, "BAD_USER_INPUT"),
        (
            await running.http.get(f"/codes/{type_id('card', new_id())}.svg", headers=token),
            404,
            "CardNotFound",
        ),
    ]
    await till.database.run(freeze, till.shop.card, CardStatus.FROZEN)
    refused.append((await running.http.get(path, headers=token), 409, "CardNotUsable"))
    for answer, status, code in refused:
        assert answer.status_code == status
        assert answer.json()["errors"][0]["extensions"]["code"] == code
    assert (await running.http.post(path, headers=token)).status_code == 405


async def a_merged_member(tx: Transaction, till: Counter) -> Member:
    merged = members.new_member(
        group_id=till.shop.places.group.id,
        status=MemberStatus.MERGED,
        merged_into_id=till.shop.member.id,
        joined_at=till.now,
    )
    await tx.insert(merged)
    return merged
