"""IDN-8: a member takes their data along, and closes their account."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlmodel import col, select

from app.core.db import Database, statement
from app.models.cards import Card, CardStatus
from app.models.ledger import Account, AccountKind
from app.models.members import Member, MemberStatus
from app.models.sessions import Session
from app.services import ledger
from schema.context import Principal
from tests.factories.identities import ANNA, MINI_PROGRAM, js_code
from tests.factories.member_cards import a_card, adjust
from tests.factories.members import WITH_WECHAT, Server, a_server
from tests.factories.reading import every
from tests.factories.small_world import a_scheme

pytestmark = pytest.mark.anyio

EXPORT = "{ memberExport }"
CLOSE = """mutation ($key: String!, $forfeit: Boolean!) {
  memberClose(input: {requestKey: $key, forfeitBalances: $forfeit}) { __typename
    ... on MemberClosed { id closedAt }
    ... on BalanceLeft { balances { kind unit amount } } } }"""
ME = "{ me { id name sessions { id } } }"
UPDATE = """mutation { memberUpdate(input: {name: "王小明", birthday: "1990-05-20"}) {
  __typename } }"""
CONSENT = """mutation { consentDecide(input: {purpose: "sms", version: "1", isGiven: true}) {
  id } }"""
BIND = """mutation ($appId: String!, $jsCode: String!) {
  identityBindWechat(input: {appId: $appId, jsCode: $jsCode}) {
    __typename ... on MergeOffered { ticket } } }"""
MERGE = "mutation ($ticket: String!) { memberMerge(input: {ticket: $ticket}) { __typename } }"

all_members = statement(select(Member).order_by(col(Member.id)), into=Member)
all_cards = statement(select(Card), into=Card)
all_accounts = statement(select(Account), into=Account)
all_sessions = statement(select(Session), into=Session)


@pytest.fixture
async def server(database: Database) -> AsyncIterator[Server]:
    async with a_server(database) as server:
        yield server


async def a_full_member(server: Server) -> Principal:
    """Named, consenting, with a card that holds 70 points and 5 yuan."""
    member = await server.signed_in_by_phone("+8613800000001")
    await server.ask(UPDATE, member)
    await server.ask(CONSENT, member)
    now = server.clock.now
    scheme = await server.database.run(a_scheme, group=server.group, now=now)
    await server.database.run(
        a_card, member_id=member.id, scheme=scheme, points=70, cash=5_00, now=now
    )
    return member


async def everything(database: Database) -> tuple[list[Member], list[Card], list[Account]]:
    return (
        await every(database, all_members),
        await every(database, all_cards),
        await every(database, all_accounts),
    )


async def test_the_export_holds_everything(server: Server) -> None:
    member = await a_full_member(server)
    document = await server.ask(EXPORT, member)
    assert document["isComplete"] is True
    (record,) = document["records"]
    assert (record["name"], record["birthday"]) == ("王小明", "1990-05-20")
    assert [i["value"] for i in document["identities"]] == ["+8613800000001"]
    assert [c["purpose"] for c in document["consents"]] == ["sms"]
    assert [s["method"] for s in document["sessions"]] == ["sms"]
    assert [s["name"] for s in document["schemes"]] == ["Regular card"]
    balances = {a["kind"]: a["balance"] for a in document["accounts"]}
    assert balances == {"CASH": 500, "BONUS": 0, "POINTS": 70, "GROWTH": 0}
    assert sorted(m["amount"] for m in document["movements"]) == [70, 500]
    assert sorted(lot["remaining"] for lot in document["lots"]) == [70, 500]
    assert await server.ask(EXPORT) == "UNAUTHENTICATED"


async def test_the_export_of_a_merged_member_holds_both_records(server: Server) -> None:
    member = await a_full_member(server)
    await server.ask(WITH_WECHAT, appId=MINI_PROGRAM, jsCode=js_code(server.state, ANNA))
    offer = await server.ask(BIND, member, appId=MINI_PROGRAM, jsCode=js_code(server.state, ANNA))
    await server.ask(MERGE, member, ticket=offer["ticket"])
    document = await server.ask(EXPORT, member)
    assert [record["status"] for record in document["records"]] == ["ACTIVE", "MERGED"]
    assert len(document["merges"]) == 1
    kinds = {identity["kind"] for identity in document["identities"]}
    assert kinds == {"PHONE", "WECHAT_OPENID", "WECHAT_UNIONID"}


async def test_value_holds_a_closure_back_until_it_is_given_up(server: Server) -> None:
    member = await a_full_member(server)
    before = await everything(server.database)
    refused = await server.ask(CLOSE, member, key="k1", forfeit=False)
    assert refused["__typename"] == "BalanceLeft"
    assert {(b["kind"], b["unit"], b["amount"]) for b in refused["balances"]} == {
        ("CASH", "CNY", 500),
        ("POINTS", "POINTS", 70),
    }
    assert await everything(server.database) == before
    closed = await server.ask(CLOSE, member, key="k1", forfeit=True)
    assert closed["__typename"] == "MemberClosed"
    assert closed["closedAt"] is not None


async def test_a_closed_account_forgets_who_it_was(server: Server) -> None:
    member = await a_full_member(server)
    closed = await server.ask(CLOSE, member, key="k1", forfeit=True)
    (record,), (card,), accounts = await everything(server.database)
    assert record.status is MemberStatus.CLOSED
    assert (record.name, record.birthday, record.region, record.attributes) == (None,) * 3 + ({},)
    assert card.status is CardStatus.EXPIRED
    assert {account.balance for account in accounts} == {0}
    assert await server.database.scan(ledger.check) == []
    # The access token lives some minutes longer and does nothing any more.
    for document in (ME, EXPORT, UPDATE):
        assert await server.ask(document, member) == "UNAUTHENTICATED"
    assert await server.ask(CLOSE, member, key="k1", forfeit=True) == closed
    assert await server.ask(CLOSE, member, key="k2", forfeit=True) == "UNAUTHENTICATED"


async def test_a_closed_account_forgets_what_its_devices_were_called(server: Server) -> None:
    """SEC-4: those of a record that was merged into it too."""
    member = await a_full_member(server)
    await server.ask(WITH_WECHAT, appId=MINI_PROGRAM, jsCode=js_code(server.state, ANNA))
    offer = await server.ask(BIND, member, appId=MINI_PROGRAM, jsCode=js_code(server.state, ANNA))
    await server.ask(MERGE, member, ticket=offer["ticket"])
    named = {row.device for row in await every(server.database, all_sessions)}
    assert named == {"", "iPhone"}
    await server.ask(CLOSE, member, key="k1", forfeit=True)
    assert {row.device for row in await every(server.database, all_sessions)} == {""}


async def test_a_debt_holds_a_closure_back_whatever_is_given_up(server: Server) -> None:
    """Points that were spent and then refunded are owed: only staff can clear that."""
    member = await a_full_member(server)
    (card,) = await every(server.database, all_cards)
    await server.database.run(adjust, card.id, AccountKind.POINTS, -100, server.clock.now)
    before = await everything(server.database)
    for forfeit in (False, True):
        refused = await server.ask(CLOSE, member, key=f"k{forfeit}", forfeit=forfeit)
        assert refused["__typename"] == "BalanceLeft"
        assert {(b["kind"], b["amount"]) for b in refused["balances"]} == {
            ("CASH", 500),
            ("POINTS", -30),
        }
    assert await everything(server.database) == before
    await server.database.run(adjust, card.id, AccountKind.POINTS, 30, server.clock.now)
    closed = await server.ask(CLOSE, member, key="k3", forfeit=True)
    assert closed["__typename"] == "MemberClosed"
    assert await server.database.scan(ledger.check) == []


async def test_a_closed_members_phone_registers_afresh(server: Server) -> None:
    member = await a_full_member(server)
    old_id = (await server.ask(ME, member))["id"]
    await server.ask(CLOSE, member, key="k1", forfeit=True)
    server.clock.advance(minutes=1)
    fresh = await server.signed_in_by_phone("+8613800000001")
    me: dict[str, Any] = await server.ask(ME, fresh)
    assert me["id"] != old_id
    assert (me["name"], len(me["sessions"])) == (None, 1)


async def test_closing_with_another_input_under_the_same_key_is_refused(server: Server) -> None:
    member = await server.signed_in_by_phone("+8613800000001")
    await server.ask(CLOSE, member, key="k1", forfeit=True)
    other = await server.ask(CLOSE, member, key="k1", forfeit=False)
    assert other == {"__typename": "RequestKeyReused"}
    assert await server.ask(CLOSE, member, key="", forfeit=False) == "BAD_USER_INPUT"
