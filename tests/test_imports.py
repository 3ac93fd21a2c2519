"""Spreadsheets of printed gift cards: what lands, what comes back and why (GFT-5, MEM-2, MEM-3)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, func, select

from app.core.db import Database, statement
from app.core.ids import parse_type_id, type_id
from app.models.gift_cards import GiftCard, GiftCardKind, GiftCardState
from app.models.imports import Import, ImportPart
from app.models.operations import AuditRecord
from app.services import imports, retention
from app.services.gift_cards import numbers
from app.services.import_kinds import KINDS
from tests.factories.back_office import ISSUER
from tests.factories.gift_card_office import (
    IMPORTS,
    KEY,
    NUMBER,
    ONE_IMPORT,
    REASON,
    REFUSED_LINK,
    a_gift_card_product,
    a_key,
    a_number,
    a_sheet,
    bring_in,
    corrected,
    rows_of,
    work,
)
from tests.factories.races import beside, call
from tests.factories.reading import every, one
from tests.factories.running import Live, a_running_app
from tests.factories.staff import employee

pytestmark = pytest.mark.anyio

all_cards = statement(select(GiftCard).order_by(col(GiftCard.number)), into=GiftCard)
all_parts = statement(select(ImportPart).order_by(col(ImportPart.position)), into=ImportPart)
how_many_imports = statement(select(func.count()).select_from(Import), into=int)
downloads_recorded = statement(
    select(AuditRecord).where(col(AuditRecord.action) == "import.download"), into=AuditRecord
)


@pytest.fixture
async def live(database: Database, database_url: str) -> AsyncIterator[Live]:
    async with a_running_app(database, database_url) as running:
        yield running


async def landed(live: Live, product: Any, data: bytes, **more: Any) -> Any:
    """What came of a spreadsheet once it was worked off."""
    answer = await bring_in(live, product, data, **more)
    assert answer.status_code == 201, answer.text
    await work(live.till, datetime.now(UTC))
    return answer.json()["id"], await live.as_staff(ONE_IMPORT, id=answer.json()["id"])


async def refused_file(live: Live, import_id: str) -> bytes:
    link = await live.as_staff(REFUSED_LINK, id=import_id)
    assert link["__typename"] == "DownloadLink", link
    answer = await live.http.get(link["url"].removeprefix(ISSUER))
    assert answer.status_code == 200
    return bytes(answer.content)


def counted(rows: int, landed: int, repeated: int, failed: int) -> dict[str, Any]:
    return {
        "state": "DONE", "numberOfRows": rows, "numberLanded": landed, "numberRepeated": repeated,
        "numberFailed": failed,
    }  # fmt: skip


async def test_good_rows_land_and_bad_ones_come_back_to_be_corrected(live: Live) -> None:
    """GFT-5, MEM-2: each bad row says why; corrected, the same file is brought in again."""
    product = await a_gift_card_product(live.till)
    other = await a_gift_card_product(live.till)
    await landed(live, other, a_sheet([a_number(90), a_key(90)]))
    wrong_digit = a_number(1)[:-1] + str((int(a_number(1)[-1]) + 1) % 10)
    bad: list[tuple[list[Any], str]] = [
        ([wrong_digit, a_key(1)], "The number needs 16 digits"),
        (["12345", a_key(1)], "The number needs 16 digits"),
        ([a_number(2), "12"], "The key needs 8 to 12 digits"),
        ([a_number(2), "abcdefghij"], "The key needs 8 to 12 digits"),
        ([a_number(2), ""], f"{KEY}: 不能为空"),
        (["", a_key(2)], f"{NUMBER}: 不能为空"),
        ([int(a_number(2)), a_key(2)], "lost digits as a number"),
        ([a_number(2), 1234567890], "a number loses its first zeros"),
        ([a_number(2), "=A1"], "is a formula"),
        ([a_number(2), "9" * 501], "is too long"),
        ([a_number(90), a_key(90)], "another gift card product"),
        ([a_number(3), a_key(4)], "there already, with another key"),
    ]
    good = [[a_number(3), a_key(3)], [a_number(4)[:4] + " " + a_number(4)[4:], a_key(4)]]
    data = a_sheet(*good, [a_number(3), a_key(3)], *(row for row, _ in bad))
    import_id, found = await landed(live, product, data)
    assert found == counted(15, 2, 1, 12)
    returned = await refused_file(live, import_id)
    head, *rows = rows_of(returned)
    assert head == [NUMBER, KEY, REASON]
    assert len(rows) == len(bad)
    for (number, key, reason), (brought, why) in zip(rows, bad, strict=True):
        assert why in reason
        assert number == str(brought[0])
        assert key in (str(brought[1])[:500], "7")
    assert [card.number for card in await every(live.till.database, all_cards)] == sorted(
        [a_number(90), a_number(3), a_number(4)]
    )

    again = corrected(corrected(returned, 3, 1, a_key(2)), 12, 0, a_number(5))
    second_id, found = await landed(live, product, again, name="again.xlsx")
    # The row whose number was no text has become a text on the way, and repeats the third.
    assert found == counted(12, 2, 1, 9)
    third_id, found = await landed(live, product, again, name="again.xlsx")
    assert found == counted(12, 0, 3, 9)

    cards = {card.number: card for card in await every(live.till.database, all_cards)}
    assert set(cards) == {a_number(serial) for serial in (2, 3, 4, 5, 90)}
    for serial, key in ((2, a_key(2)), (3, a_key(3)), (4, a_key(4)), (5, a_key(4))):
        card = cards[a_number(serial)]
        assert card.key is None
        assert card.key_index == numbers.key_index(card.number, key)
        assert (card.product_id, card.kind) == (product.id, GiftCardKind.PHYSICAL)
        assert (card.state, card.currency) == (GiftCardState.INACTIVE, "CNY")
    history = await live.as_staff(IMPORTS, first=2)
    newest, earlier = [edge["node"] for edge in history["edges"]]
    assert history["pageInfo"]["hasNextPage"]
    assert (newest["id"], earlier["id"]) == (third_id, second_id)
    owner = live.till.shop.owner.staff
    assert newest["operator"] == {"id": type_id("stf", owner.id), "name": owner.name}
    assert (newest["fileName"], newest["perspective"]) == ("again.xlsx", {"name": "Regulars"})
    assert newest["finishedAt"] is not None


async def test_the_template_brings_itself_in(live: Live) -> None:
    """MEM-2: what is downloaded explains its columns, and is taken back once it is filled in."""
    answer = await live.http.get("/imports/gift-card-numbers/template.xlsx")
    assert answer.status_code == 200
    assert rows_of(answer.content) == [[NUMBER, KEY]]
    product = await a_gift_card_product(live.till)
    refused = await bring_in(live, product, answer.content)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["extensions"] == {"code": "SpreadsheetEmpty"}
    filled = corrected(a_sheet([a_number(1), ""]), 1, 1, a_key(1))
    _, found = await landed(live, product, filled)
    assert found == counted(1, 1, 0, 0)


async def test_a_worker_that_dies_between_parts_is_taken_over(live: Live) -> None:
    """Every part is worked off once, however often its job begins."""
    till, product = live.till, await a_gift_card_product(live.till)
    rows = [[a_number(serial), a_key(serial)] for serial in range(imports.PART_ROWS * 2 + 1)]
    answer = await bring_in(live, product, a_sheet(*rows, [a_number(0), a_key(1)]))
    import_id = parse_type_id("imp", answer.json()["id"])
    work_on: Any = {"import_id": import_id, "now": till.now}
    # Killed after its effect, before anybody heard of it: the job begins again, beside another.
    await till.database.run(imports.work_on, KINDS, **work_on)
    running = await live.as_staff(ONE_IMPORT, id=answer.json()["id"])
    assert (running["state"], running["numberLanded"]) == ("RUNNING", imports.PART_ROWS)
    refused = await live.as_staff(REFUSED_LINK, id=answer.json()["id"])
    assert refused["__typename"] == "ImportRunning"
    twice = call(imports.work_on, KINDS, **work_on)
    await beside(till.database, twice, before=imports.next_part, second=twice)
    await work(till, datetime.now(UTC))
    found = await live.as_staff(ONE_IMPORT, id=answer.json()["id"])
    assert found == counted(len(rows) + 1, len(rows), 0, 1)
    assert len(await every(till.database, all_cards)) == len(rows)
    # What landed is kept nowhere else: keys are worth money.
    assert [part.rows for part in await every(till.database, all_parts)][:2] == ["[]", "[]"]


async def test_two_files_with_one_number_bring_it_in_once(live: Live) -> None:
    till, product = live.till, await a_gift_card_product(live.till)
    ids = []
    for key in (a_key(1), a_key(2)):
        answer = await bring_in(live, product, a_sheet([a_number(1), key]))
        ids.append(parse_type_id("imp", answer.json()["id"]))
    first, second = (
        call(imports.work_on, KINDS, import_id=import_id, now=till.now) for import_id in ids
    )
    await beside(till.database, first, before=imports.end_part, second=second)
    (card,) = await every(till.database, all_cards)
    assert card.key_index == numbers.key_index(card.number, a_key(1))
    states = [await live.as_staff(ONE_IMPORT, id=type_id("imp", each)) for each in ids]
    assert [(each["numberLanded"], each["numberFailed"]) for each in states] == [(1, 0), (0, 1)]


async def test_what_is_no_such_spreadsheet_is_refused_whole(live: Live) -> None:
    """A CSV under another name, a wrong header, the wrong product, nobody: nothing is kept."""
    till = live.till
    printed = await a_gift_card_product(till)
    electronic = await a_gift_card_product(till, GiftCardKind.ELECTRONIC)
    good = a_sheet([a_number(1), a_key(1)])
    nothing = type_id("gcp", till.shop.card.id)
    for product, data, status, told in (
        (printed, b"number,key\n1,2", 422, {"code": "NotASpreadsheet"}),
        (printed, a_sheet(["1", "2"], head=["Colour", KEY]), 422,
            {"code": "HeaderWrong", "missing": [NUMBER], "unknown": ["colour"], "repeated": []}),
        (printed, b"x" * 5_000_001, 413,
            {"code": "SpreadsheetTooLarge", "what": "bytes", "limit": 5_000_000}),
        (electronic, good, 422, {"code": "GiftCardNotPrinted"}),
        (nothing, good, 404, {"code": "GiftCardProductNotFound"}),
        ("gcp_x", good, 400, {"code": "BAD_USER_INPUT"}),
    ):  # fmt: skip
        answer = await bring_in(live, product, data)
        assert answer.status_code == status, answer.text
        assert answer.json()["errors"][0]["extensions"] == told
    cashier = await live.staff_token(till.shop.cashier)
    assert (await bring_in(live, printed, good, token=cashier)).status_code == 403
    assert (await bring_in(live, printed, good, token="Bearer x")).status_code == 401
    member = await live.member_token()
    assert (await bring_in(live, printed, good, token=member)).status_code == 401
    owner = await live.staff_token(till.shop.owner)
    path = f"/imports/gift-card-numbers?subject={type_id('gcp', printed.id)}"
    bare = await live.http.post(path, headers={"Authorization": owner}, content=good)
    assert bare.status_code == 400
    assert await one(till.database, how_many_imports) == 0
    assert await every(till.database, all_cards) == []


async def test_only_who_may_sees_and_fetches_what_was_refused(live: Live, now: Any) -> None:
    """A link opens once, for who made it, as long as they may; after a month the rows are gone."""
    till = live.till
    product = await a_gift_card_product(till, at=till.shop.places.coffee)
    import_id, _ = await landed(live, product, a_sheet([a_number(1), "1"]))
    good_id, _ = await landed(live, product, a_sheet([a_number(1), a_key(1)]))
    tea = await till.database.run(
        employee, node=till.shop.places.tea, role="marketer", now=till.now
    )
    assert (await till.as_staff(IMPORTS, who=tea))["edges"] == []
    assert await till.as_staff(ONE_IMPORT, who=tea, id=import_id) is None
    for who, asked, refusal in (
        (tea, import_id, "ImportNotFound"),
        (None, type_id("imp", till.shop.card.id), "ImportNotFound"),
        (None, good_id, "NoRefusedRows"),
    ):
        refused = await till.as_staff(REFUSED_LINK, who=who, id=asked)
        assert refused["__typename"] == refusal
    assert await till.as_staff(IMPORTS, who=till.shop.cashier) == "FORBIDDEN"

    path = (await live.as_staff(REFUSED_LINK, id=import_id))["url"].removeprefix(ISSUER)
    assert (await live.http.head(path)).status_code == 405
    assert (await live.http.get(path)).status_code == 200
    assert (await live.http.get(path)).status_code == 404
    (record,) = await every(till.database, downloads_recorded)
    assert record.object_id == parse_type_id("imp", import_id)

    later = till.now + timedelta(days=31)
    assert await till.database.run(retention.forget, table="import_parts", now=later) == 2
    gone = await live.as_staff(REFUSED_LINK, id=import_id)
    assert gone["__typename"] == "NoRefusedRows"
    assert (await live.as_staff(ONE_IMPORT, id=import_id))["numberFailed"] == 1
