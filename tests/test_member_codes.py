"""QRC-1 to QRC-4: a code is shown, opened once, and worth nothing a minute later."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.core.member_code import MemberCodes
from app.models.cards import CardStatus, CodeScan
from app.services import cards, limits, member_codes, members, signing_keys
from resolvers.root import admin_schema
from tests.factories.cards import (
    SETTINGS,
    Counter,
    a_scheme,
    a_terminal,
    counter,
    the_card,
)
from tests.factories.ledger import nothing_moves
from tests.factories.member_codes import CODE, RESOLVE, drawn, freeze, pixels_of, scanned
from tests.factories.organisation import places
from tests.factories.partners import partner, principal_of
from tests.factories.purchases import record
from tests.factories.reading import every
from tests.factories.staff import employee

pytestmark = pytest.mark.anyio

IMAGES = """query ($card: ID!) { memberCode(cardId: $card) {
  ... on MemberCode { value svg png } } }"""
ON_CARD = """{ cards { code { __typename ... on MemberCode { value }
  ... on CardNotUsable { status message } } } }"""
RESERVE = """query ($card: ID!, $minutes: Int!) {
  memberCodeReserve(cardId: $card, minutes: $minutes) {
    __typename
    ... on MemberCodeReserve { codes { value validFrom validUntil } signature } } }"""
scans = statement(
    select(CodeScan).where(col(CodeScan.card_id) == bindparam("card_id")), into=CodeScan
)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now + timedelta(seconds=20))


async def shown(till: Counter) -> str:
    code = await till.as_member(CODE, card=till.card_id)
    return str(code["value"])


async def resolve(
    till: Counter, code: str, *, terminal: str | None = None, key: str | None = None, **more: Any
) -> Any:
    return await till.as_staff(
        RESOLVE,
        terminal=terminal or till.terminal_id,
        code=code,
        key=key or new_id().hex,
        **more,
    )


# QRC-1, QRC-4: what the page shows


async def test_the_page_gets_value_countdown_and_the_digits_in_groups(till: Counter) -> None:
    """QRC-4: 20 seconds into the minute, 40 are left."""
    code = await till.as_member(CODE, card=till.card_id)
    value = code["value"]
    assert value.isdigit()
    assert (len(value), value[0]) == (18, "8")
    assert code["formatted"].replace(" ", "") == value
    assert [len(group) for group in code["formatted"].split(" ")] == [4, 4, 4, 4, 2]
    assert code["validUntil"] == "2026-09-01T12:01:00+00:00"
    assert code["secondsLeft"] == 40
    assert await till.as_member(ON_CARD) == [{"code": {"__typename": "MemberCode", "value": value}}]
    assert await shown(till.later(seconds=39)) == value
    assert await shown(till.later(seconds=40)) != value


async def test_the_images_scan_as_the_value(till: Counter) -> None:
    """QRC-4: SVG and PNG, read by a scanner of another make."""
    for minutes in range(3):
        code = await till.later(minutes=minutes).as_member(IMAGES, card=till.card_id)
        png = base64.b64decode(code["png"].removeprefix("data:image/png;base64,"))
        assert scanned(pixels_of(png)) == code["value"]
        assert scanned(drawn(code["svg"])) == code["value"]


async def test_reserved_codes_are_those_shown_later_and_signed_for_the_device(
    till: Counter,
) -> None:
    """QRC-4: a page without network shows what it would have been given."""
    found = await till.as_member(RESERVE, card=till.card_id, minutes=30)
    codes = found["codes"]
    assert len(codes) == 30
    for minute in (0, 1, 29):
        then = till.later(minutes=minute)
        code = await then.as_member(CODE, card=till.card_id)
        assert codes[minute]["value"] == code["value"]
        assert codes[minute]["validUntil"] == code["validUntil"]
    for before, after in pairwise(codes):
        assert before["validUntil"] == after["validFrom"]
    later = till.later(minutes=29)
    assert (await resolve(later, codes[29]["value"]))["card"]["id"] == till.card_id
    claims = await claims_of(till, found["signature"])
    assert claims["sid"] == type_id("ses", till.shop.member.id)
    assert claims["card"] == till.card_id
    assert [code for code, _, _ in claims["codes"]] == [each["value"] for each in codes]
    assert datetime.fromtimestamp(claims["exp"], UTC).isoformat() == codes[-1]["validUntil"]


async def claims_of(till: Counter, signature: str) -> dict[str, Any]:
    """What the JWS says, checked with the published key set as a device would."""
    rows = await till.database.run(signing_keys.published, now=till.now)
    keys = KeySet.import_key_set({"keys": [orjson.loads(row.private_jwk) for row in rows]})
    decoded = jwt.decode(signature, keys, algorithms=[signing_keys.ALGORITHM])
    assert decoded.header["typ"] == "member-codes+jwt"
    return decoded.claims


@pytest.mark.parametrize("minutes", [0, -1, 31, 2**31 - 1])
async def test_a_reserve_is_short(till: Counter, minutes: int) -> None:
    asked = await till.as_member(RESERVE, card=till.card_id, minutes=minutes)
    assert asked == "BAD_USER_INPUT"


@pytest.mark.parametrize("status", ["LOST", "FROZEN", "EXPIRED", "REFUNDED"])
async def test_a_card_that_is_not_normal_shows_no_code(till: Counter, status: str) -> None:
    """QRC-2: refused with its reason."""
    await till.database.run(freeze, till.shop.card, CardStatus(status))
    refused = {"__typename": "CardNotUsable", "status": status}
    assert await till.as_member(CODE, card=till.card_id) == refused
    message = f"This card is {status.lower()} and cannot be used."
    assert await till.as_member(ON_CARD) == [{"code": refused | {"message": message}}]
    reserve = await till.as_member(RESERVE, card=till.card_id, minutes=5)
    assert reserve["__typename"] == "CardNotUsable"


async def test_nobody_is_shown_the_code_of_anothers_card(till: Counter) -> None:
    stranger = await till.database.run(stranger_of, till)
    asked: list[tuple[str, dict[str, Any]]] = [(CODE, {}), (RESERVE, {"minutes": 5})]
    for document, more in asked:
        refused = await till.as_member(document, member_id=stranger, card=till.card_id, **more)
        assert refused == {"__typename": "CardNotFound"}
        assert await till.as_member(document, card="card_", **more) == "BAD_USER_INPUT"
        gone = await till.as_member(document, card=type_id("card", new_id()), **more)
        assert gone == {"__typename": "CardNotFound"}


async def stranger_of(tx: Transaction, till: Counter) -> Any:
    made = await members.create(tx, group_id=till.shop.places.group.id, name=None, now=till.now)
    return made.id


# QRC-1, QRC-3: what the till gets


async def test_one_call_answers_card_tier_and_balances(till: Counter) -> None:
    """QRC-3: all a till asks for; the holder masked."""
    await record(till, 1_000)
    resolved = await resolve(till, await shown(till), who=till.shop.cashier)
    assert resolved["replayed"] is False
    assert resolved["card"] == {
        "id": till.card_id,
        "number": till.shop.card.number,
        "status": "NORMAL",
        "tier": {"name": "Green", "level": 1},
        "scheme": {"name": till.shop.scheme.name},
        "holder": {"name": "王**", "phone": None},
        "balances": {"points": 5, "cash": {"amount": 0, "currency": "CNY"}},
    }
    (scan,) = await every(till.database, scans, card_id=till.shop.card.id)
    assert type_id("scan", scan.id) == resolved["scanId"]
    assert (scan.terminal_id, scan.scanned_at) == (till.shop.terminal.id, till.now)


async def test_a_code_opens_once_however_often_it_is_sent(till: Counter) -> None:
    """QRC-1: 1,000 replays, 0 accepted."""
    code = await shown(till)
    first = await resolve(till, code)
    assert first["__typename"] == "MemberCodeResolved"
    async with nothing_moves(till.database):
        for _ in range(20):
            answers = await asyncio.gather(*(resolve(till, code) for _ in range(50)))
            assert {answer["__typename"] for answer in answers} == {"MemberCodeRefused"}


async def test_a_code_at_two_terminals_in_one_instant_opens_once(till: Counter) -> None:
    """QRC-1: whoever comes first."""
    for minute in range(5):
        then = till.later(minutes=minute)
        code = await shown(then)
        answers = await asyncio.gather(
            *(
                resolve(then, code, terminal=terminal)
                for terminal in (till.terminal_id, till.other_terminal_id) * 4
            )
        )
        names = [answer["__typename"] for answer in answers]
        assert sorted(names) == ["MemberCodeRefused"] * 7 + ["MemberCodeResolved"]
    assert len(await every(till.database, scans, card_id=till.shop.card.id)) == 5


async def test_a_request_sent_again_is_answered_again_even_when_the_minute_is_over(
    till: Counter,
) -> None:
    """QRC-3: a till that lost the answer asks once more; the code is used up for others."""
    code = await shown(till)
    first = await resolve(till, code, key="lost answer")
    late = till.later(minutes=5)
    async with nothing_moves(till.database):
        again = await resolve(late, code, key="lost answer")
        assert again == first | {"replayed": True}
        other = await shown(late)
        assert (await resolve(late, other, key="lost answer"))["__typename"] == "RequestKeyReused"
        elsewhere = await resolve(late, code, key="lost answer", terminal=till.other_terminal_id)
        assert elsewhere["__typename"] == "RequestKeyReused"
    assert (await resolve(late, other))["__typename"] == "MemberCodeResolved"


async def test_a_scan_of_long_ago_answers_nothing(till: Counter) -> None:
    """QRC-3: what is answered is the card as it is now, and that is for ten minutes."""
    code = await shown(till)
    first = await resolve(till, code, key="k")
    await record(till, 1_000)
    soon = await resolve(till.later(minutes=9, seconds=59), code, key="k")
    assert (soon["replayed"], soon["scanId"]) == (True, first["scanId"])
    assert soon["card"]["balances"]["points"] == 5
    async with nothing_moves(till.database):
        for late in (till.later(minutes=10), till.later(hours=11)):
            refused = await resolve(late, code, key="k")
            assert refused["__typename"] == "MemberCodeRefused"


async def test_the_same_request_at_once_opens_the_code_once(till: Counter) -> None:
    code = await shown(till)
    answers = await asyncio.gather(*(resolve(till, code, key="twice") for _ in range(8)))
    assert {answer["scanId"] for answer in answers} == {answers[0]["scanId"]}
    assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 7


@pytest.mark.parametrize(
    ("seconds", "accepted"), [(39, True), (40, True), (49, True), (50, False), (100, False)]
)
async def test_a_screenshot_is_worth_nothing_a_minute_later(
    till: Counter, seconds: int, accepted: bool
) -> None:
    """QRC-1: shown at 12:00:20, good until 12:01:00 and for 10 seconds of grace."""
    code = await shown(till)
    answer = await resolve(till.later(seconds=seconds), code)
    assert (answer["__typename"] == "MemberCodeResolved") is accepted


async def test_no_older_code_opens_after_a_newer_one(till: Counter) -> None:
    """QRC-1: within the grace the minute before is good only until its successor was used."""
    code = await shown(till)
    turned = till.later(seconds=41)
    assert (await resolve(turned, await shown(turned)))["__typename"] == "MemberCodeResolved"
    async with nothing_moves(till.database):
        assert (await resolve(turned, code))["__typename"] == "MemberCodeRefused"


@pytest.mark.parametrize(
    "code",
    [
        "", "8", "8" * 18, "8" * 19, "9" + "1" * 17, "８" * 18, "8\x00" + "1" * 16, "x" * 5_000,
        "8123 4567 8901 2345 67",
    ],
)  # fmt: skip
async def test_what_is_no_code_is_refused_with_the_one_message(till: Counter, code: str) -> None:
    """QRC-2, style rule 19."""
    async with nothing_moves(till.database):
        assert await resolve(till, code) == {
            "__typename": "MemberCodeRefused",
            "message": "This code is not valid. Ask the member to show the current one.",
        }


async def test_wrong_codes_are_limited_per_terminal(till: Counter) -> None:
    """QRC-2: the 31st guess within ten minutes is not looked at, nor is a right code."""
    async with nothing_moves(till.database):
        for guess in range(30):
            answer = await resolve(till, f"8{guess:017d}")
            assert answer["__typename"] == "MemberCodeRefused"
        assert await resolve(till, "8" * 18) == "TOO_MANY_REQUESTS"
        assert await resolve(till, await shown(till)) == "TOO_MANY_REQUESTS"
    other = await resolve(till, await shown(till), terminal=till.other_terminal_id)
    assert other["__typename"] == "MemberCodeResolved"
    later = till.later(minutes=10)
    assert (await resolve(later, await shown(later)))["__typename"] == "MemberCodeResolved"


async def test_guesses_made_at_once_all_count(till: Counter) -> None:
    """QRC-2: the limit is exact, however many connections guess."""
    answers = await asyncio.gather(*(resolve(till, f"8{i:017d}") for i in range(60)))
    refused = [answer for answer in answers if answer != "TOO_MANY_REQUESTS"]
    assert len(refused) == 30
    assert {answer["__typename"] for answer in refused} == {"MemberCodeRefused"}
    assert await resolve(till, "8" * 18) == "TOO_MANY_REQUESTS"


async def test_right_codes_count_for_nothing(till: Counter) -> None:
    """A busy till is not a guessing one: only what is wrong stays counted."""
    for minute in range(3):
        then = till.later(minutes=minute)
        await resolve(then, f"8{minute:017d}")
        assert (await resolve(then, await shown(then)))["__typename"] == "MemberCodeResolved"
    counted = await till.database.read(
        limits.seen,
        subject=f"wrong-member-codes:{till.shop.terminal.id}",
        window=member_codes.WRONG_CODES_WINDOW,
        now=till.now,
    )
    assert counted == 3


@pytest.mark.parametrize("status", ["LOST", "FROZEN", "EXPIRED", "REFUNDED"])
async def test_a_frozen_cards_code_is_refused_with_its_reason(till: Counter, status: str) -> None:
    """QRC-2, CRD-3: also one that was shown before it froze; unfrozen, it still works."""
    code = await shown(till)
    await till.database.run(freeze, till.shop.card, CardStatus(status))
    async with nothing_moves(till.database):
        refused = await resolve(till, code)
        assert refused == {"__typename": "CardNotUsable", "status": status}
    row = await till.database.read(the_card, till.shop.card.id)
    assert row.last_code_step == 0


async def test_a_code_is_opened_only_where_its_card_is_used(till: Counter) -> None:
    """QRC-3, CRD-1: a tea card at a coffee till."""
    of_tea = await till.database.run(a_scheme, perspective=till.shop.places.tea, now=till.now)
    card = await till.database.run(
        cards.open_card, member=till.shop.member, scheme=of_tea, store_id=None, now=till.now
    )
    code = SETTINGS.member_codes.code_for(card.serial, MemberCodes.step_at(till.now))
    async with nothing_moves(till.database):
        assert (await resolve(till, code))["__typename"] == "NotAtThisStore"
    there = await resolve(till, code, terminal=till.other_terminal_id)
    assert there["__typename"] == "MemberCodeResolved"


async def test_another_groups_till_opens_nothing(till: Counter) -> None:
    """QRC-3: neither with its own terminal nor with ours; ours not at theirs."""
    foreign = await till.database.run(places, now=till.now)
    stranger = await till.database.run(employee, node=foreign.group, now=till.now)
    terminal = await till.database.run(a_terminal, store=foreign.coffee_store, now=till.now)
    terminal_id = type_id("term", terminal.id)
    code = await shown(till)
    async with nothing_moves(till.database):
        refused = await resolve(till, code, who=stranger, terminal=terminal_id)
        assert refused["__typename"] == "MemberCodeRefused"
        assert await resolve(till, code, who=stranger) == "FORBIDDEN"
        assert await resolve(till, code, terminal=terminal_id) == "FORBIDDEN"
        away = await resolve(till, code, who=till.shop.cashier, terminal=till.other_terminal_id)
        assert away == "FORBIDDEN"
        gone = await resolve(till, code, terminal=type_id("term", new_id()))
        assert gone == {"__typename": "TerminalNotFound"}
        assert await resolve(till, code, terminal="term_x") == "BAD_USER_INPUT"


@pytest.mark.parametrize("key", ["x" * 65, "a\x00b", "é", "a\nb"])
async def test_a_request_key_is_short_and_printable(till: Counter, key: str) -> None:
    async with nothing_moves(till.database):
        assert await resolve(till, await shown(till), key=key) == "BAD_USER_INPUT"


async def test_a_partner_resolves_within_its_scopes_and_stores(till: Counter) -> None:
    """QRC-3, EVT-1: a till system with codes:resolve at the coffee store."""
    client = await till.database.run(partner, node=till.shop.store, now=till.now)
    principal = principal_of(client.client, now=till.now)
    asked = {"terminal": till.terminal_id, "code": await shown(till), "key": "k"}
    resolved = await till.ask(admin_schema, RESOLVE, principal, asked)
    assert resolved["card"]["id"] == till.card_id
    away = asked | {"terminal": till.other_terminal_id, "key": "l"}
    assert await till.ask(admin_schema, RESOLVE, principal, away) == "FORBIDDEN"
    assert parse_type_id("scan", resolved["scanId"])


async def test_a_used_code_is_never_refused_as_a_guess(till: Counter) -> None:
    """What a member shows twice does not lock the till."""
    code = await shown(till)
    await resolve(till, code)
    for _ in range(member_codes.WRONG_CODES_MAX + 1):
        assert (await resolve(till, code))["__typename"] == "MemberCodeRefused"
