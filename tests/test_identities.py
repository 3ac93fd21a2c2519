"""IDN-2, IDN-4, IDN-5: identities are bound with proof, and two records become one."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.core.db import Database
from app.gateways.sandbox.state import WeChatUser
from app.services import ledger
from resolvers.root import admin_schema
from schema.context import Principal
from tests.factories.identities import ANNA, BEN, MINI_PROGRAM, js_code, phone_code
from tests.factories.member_cards import a_card
from tests.factories.members import WITH_WECHAT, Server, a_server
from tests.factories.small_world import a_scheme
from tests.factories.staff import employee

pytestmark = pytest.mark.anyio

BOUND = """__typename ... on IdentityBound { identity { id kind value masked } }
  ... on MergeOffered { ticket preview { identities cards { schemeName otherNumber tierName
    balances { kind unit amount } } } }
  ... on Problem { message }"""
BIND_PHONE = f"""mutation ($phone: String!, $code: String!) {{
  identityBindPhone(input: {{phone: $phone, code: $code}}) {{ {BOUND} }} }}"""
BIND_EMAIL = f"""mutation ($email: String!, $code: String!) {{
  identityBindEmail(input: {{email: $email, code: $code}}) {{ {BOUND} }} }}"""
BIND_WECHAT = f"""mutation ($appId: String!, $jsCode: String!) {{
  identityBindWechat(input: {{appId: $appId, jsCode: $jsCode}}) {{ {BOUND} }} }}"""
BIND_WECHAT_PHONE = f"""mutation ($appId: String!, $phoneCode: String!) {{
  identityBindWechatPhone(input: {{appId: $appId, phoneCode: $phoneCode}}) {{ {BOUND} }} }}"""
UNBIND = """mutation ($id: ID!) { identityUnbind(input: {identityId: $id}) { __typename } }"""
MERGE = """mutation ($ticket: String!) { memberMerge(input: {ticket: $ticket}) {
  __typename ... on MembersMerged { member { id identities { kind } } merge { id survivorId } }
  ... on MergeImpossible { reason } } }"""
IDENTITIES = "{ me { id identities { id kind value masked } } }"
UNDO = """mutation ($id: ID!) { mergeUndo(input: {mergeId: $id}) {
  __typename ... on MergeUndone { notReturned { kind unit amount } }
  ... on MergeNotUndoable { reason } } }"""
MERGES = "query ($id: ID!) { merges(memberId: $id) { id undoneAt } }"


@pytest.fixture
async def server(database: Database) -> AsyncIterator[Server]:
    async with a_server(database) as server:
        yield server


async def identities_of(server: Server, principal: Principal) -> list[tuple[str, str]]:
    me = await server.ask(IDENTITIES, principal)
    return [(identity["kind"], identity["masked"]) for identity in me["identities"]]


async def test_an_email_members_phone_needs_its_code(server: Server) -> None:
    """IDN-2: neither a wrong code nor one for another purpose proves a phone."""
    member = await server.signed_in_by_email("anna@regulars.example")
    for_sign_in = await server.code("SMS", "+8613800000001")
    refused = await server.ask(BIND_PHONE, member, phone="+8613800000001", code=for_sign_in)
    assert refused["__typename"] == "CodeRefused"
    assert await identities_of(server, member) == [("EMAIL", "a***@regulars.example")]
    server.clock.advance(minutes=1)
    code = await server.code("SMS", "+8613800000001", "BIND")
    bound = await server.ask(BIND_PHONE, member, phone="138 0000 0001", code=code)
    assert bound["identity"]["value"] == "+8613800000001"
    assert bound["identity"]["masked"] == "138****0001"


async def test_a_new_phone_replaces_the_old_one(server: Server) -> None:
    member = await server.signed_in_by_phone("+8613800000001")
    code = await server.code("SMS", "+8613800000002", "BIND")
    await server.ask(BIND_PHONE, member, phone="+8613800000002", code=code)
    assert await identities_of(server, member) == [("PHONE", "138****0002")]


async def test_wechats_phone_code_proves_a_phone(server: Server) -> None:
    started = await server.ask(WITH_WECHAT, appId=MINI_PROGRAM, jsCode=js_code(server.state, ANNA))
    member = await server.principal(started)
    code = phone_code(server.state, ANNA)
    bound = await server.ask(BIND_WECHAT_PHONE, member, appId=MINI_PROGRAM, phoneCode=code)
    assert bound["identity"]["kind"] == "PHONE"
    replay = await server.ask(BIND_WECHAT_PHONE, member, appId=MINI_PROGRAM, phoneCode=code)
    assert replay["__typename"] == "CodeRefused"
    calls = server.state.calls["wechat.stable_token"]
    assert calls == 1  # the access token is kept in the database
    again = phone_code(server.state, ANNA)
    await server.ask(BIND_WECHAT_PHONE, member, appId=MINI_PROGRAM, phoneCode=again)
    assert server.state.calls["wechat.stable_token"] == calls


async def test_the_last_identity_stays(server: Server) -> None:
    member = await server.signed_in_by_phone("+8613800000001")
    (own,) = (await server.ask(IDENTITIES, member))["identities"]
    assert await server.ask(UNBIND, member, id=own["id"]) == {"__typename": "LastIdentity"}
    other = await server.signed_in_by_phone("+8613800000002")
    (others,) = (await server.ask(IDENTITIES, other))["identities"]
    foreign = await server.ask(UNBIND, member, id=others["id"])
    assert foreign == {"__typename": "IdentityNotFound"}
    await server.ask(BIND_WECHAT, member, appId=MINI_PROGRAM, jsCode=js_code(server.state, ANNA))
    assert await server.ask(UNBIND, member, id=own["id"]) == {"__typename": "IdentityUnbound"}
    assert await server.ask(UNBIND, member, id="idn_x") == "BAD_USER_INPUT"
    assert await server.ask(UNBIND, None, id=own["id"]) == "UNAUTHENTICATED"


async def offered(server: Server) -> tuple[Principal, Principal, dict[str, Any]]:
    """Anna by e-mail and Anna by WeChat, each with a card, and the offer to become one."""
    now = server.clock.now
    by_email = await server.signed_in_by_email("anna@regulars.example")
    started = await server.ask(WITH_WECHAT, appId=MINI_PROGRAM, jsCode=js_code(server.state, ANNA))
    by_wechat = await server.principal(started)
    scheme = await server.database.run(a_scheme, group=server.group, now=now)
    for member, points, cash in ((by_email, 70, 0), (by_wechat, 30, 5_00)):
        await server.database.run(
            a_card, member_id=member.id, scheme=scheme, points=points, cash=cash, now=now
        )
    offer = await server.ask(
        BIND_WECHAT, by_email, appId=MINI_PROGRAM, jsCode=js_code(server.state, ANNA)
    )
    return by_email, by_wechat, offer


async def test_what_belongs_to_somebody_else_is_offered_as_a_merge(server: Server) -> None:
    by_email, _, offer = await offered(server)
    assert offer["__typename"] == "MergeOffered"
    (card,) = offer["preview"]["cards"]
    assert card["otherNumber"] is not None
    assert {(b["kind"], b["amount"]) for b in card["balances"]} == {
        ("CASH", 500),
        ("BONUS", 0),
        ("POINTS", 100),
        ("GROWTH", 0),
    }
    assert len(offer["preview"]["identities"]) == 2
    assert await identities_of(server, by_email) == [("EMAIL", "a***@regulars.example")]


async def test_a_confirmed_merge_is_done_once_and_undone_by_staff(server: Server) -> None:
    by_email, by_wechat, offer = await offered(server)
    stranger = await server.signed_in_by_phone("+8613800000005")
    foreign = await server.ask(MERGE, stranger, ticket=offer["ticket"])
    assert foreign["__typename"] == "TicketRefused"
    merged = await server.ask(MERGE, by_email, ticket=offer["ticket"])
    assert merged["__typename"] == "MembersMerged"
    assert len(merged["member"]["identities"]) == 3
    again = await server.ask(MERGE, by_email, ticket=offer["ticket"])
    assert again["__typename"] == "TicketRefused"
    # The merged record's token and id lead to who lives on.
    assert (await server.ask(IDENTITIES, by_wechat))["id"] == merged["member"]["id"]
    assert await server.database.scan(ledger.check) == []
    now = server.clock.now
    owner = await server.database.run(employee, node=server.group, now=now)
    cashier = await server.database.run(employee, node=server.group, role="cashier", now=now)
    merge_id = merged["merge"]["id"]
    for asker, code in ((cashier.principal, "FORBIDDEN"), (None, "UNAUTHENTICATED")):
        assert await server.ask(UNDO, asker, schema=admin_schema, id=merge_id) == code
    undone = await server.ask(UNDO, owner.principal, schema=admin_schema, id=merge_id)
    assert undone == {"__typename": "MergeUndone", "notReturned": []}
    twice = await server.ask(UNDO, owner.principal, schema=admin_schema, id=merge_id)
    assert twice["__typename"] == "MergeNotUndoable"
    listed = await server.ask(
        MERGES, owner.principal, schema=admin_schema, id=merged["member"]["id"]
    )
    assert [(m["id"], m["undoneAt"] is not None) for m in listed] == [(merge_id, True)]
    assert len(await identities_of(server, by_wechat)) == 2
    assert await server.database.scan(ledger.check) == []


async def test_a_sign_in_whose_proofs_touch_two_records_offers_the_merge(server: Server) -> None:
    """IDN-3: the UnionID decides who signs in; the OpenID's other owner is offered."""
    ben_without_union = js_code(server.state, BEN)
    first = await server.ask(WITH_WECHAT, appId=MINI_PROGRAM, jsCode=ben_without_union)
    by_union = await server.ask(WITH_WECHAT, appId=MINI_PROGRAM, jsCode=js_code(server.state, ANNA))
    both = server.state.wechat_login_codes.issue(
        WeChatUser(MINI_PROGRAM, BEN.openid(MINI_PROGRAM), "uANNA")
    )
    started = await server.ask(WITH_WECHAT, appId=MINI_PROGRAM, jsCode=both)
    assert started["member"]["id"] == by_union["member"]["id"] != first["member"]["id"]
    ticket = started["mergeOffer"]["ticket"]
    merged = await server.ask(MERGE, await server.principal(started), ticket=ticket)
    assert merged["__typename"] == "MembersMerged"
