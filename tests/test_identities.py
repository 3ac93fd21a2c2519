"""IDN-2, IDN-4, IDN-5: identities are bound with proof, and two records become one."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import SQLModel, select

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, type_id
from app.gateways.sandbox.state import WeChatUser
from app.services import ledger, sessions
from app.services.members import RECENT_SIGN_IN
from resolvers.root import admin_schema
from schema.context import Principal
from tests.factories.identities import ANNA, BEN, MINI_PROGRAM, js_code, phone_code
from tests.factories.ledger import nothing_moves
from tests.factories.member_cards import a_card
from tests.factories.members import WITH_WECHAT, Server, a_server
from tests.factories.organisation import places
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
    elsewhere = await server.database.run(places, now=now)
    foreign_owner = await server.database.run(employee, node=elsewhere.group, now=now)
    async with nothing_moves(server.database):
        for asker, wanted in (
            (foreign_owner.principal, merge_id),
            (owner.principal, type_id("mrg", new_id())),
        ):
            answer = await server.ask(UNDO, asker, schema=admin_schema, id=wanted)
            assert answer == {"__typename": "MergeNotFound"}
    assert len(await identities_of(server, by_email)) == 3
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


RESERVE = """query ($card: ID!) { memberCodeReserve(cardId: $card, minutes: 5) { __typename } }"""
SET_PIN = """mutation ($card: ID!, $code: String!) { cardSetPin(input: {
  cardId: $card, phone: "+8613800000001", code: $code, pin: "280517"}) { __typename } }"""
LOST = "mutation ($card: ID!) { cardReportLost(input: {cardId: $card}) { __typename } }"
JOIN = "mutation ($scheme: ID!) { cardJoin(input: {schemeId: $scheme}) { __typename } }"
CLOSE = """mutation { memberClose(input: {requestKey: "k", forfeitBalances: true}) {
  __typename } }"""
UPDATE = """mutation { memberUpdate(input: {region: "x"}) { __typename } }"""
CONSENT = """mutation { consentDecide(input: {purpose: "sms", version: "1", isGiven: true}) {
  id } }"""

NOT_THE_MEMBERS = {"jobs", "provider_tokens"}
EVERYTHING = [
    statement(select(table))  # type: ignore[call-overload]  # a table, where it knows classes
    for table in SQLModel.metadata.sorted_tables
    if table.name not in NOT_THE_MEMBERS
]


async def everything(tx: Transaction) -> list[Any]:
    return [sorted(map(repr, await tx.all(rows))) for rows in EVERYTHING]


async def what_a_thief_would_do(
    server: Server, victim: Principal
) -> list[tuple[str, dict[str, Any]]]:
    """Everything a member can write, each such that it would work; what is known by proofs of
    the thief's own, and the offer of a merge."""
    server.clock.advance(minutes=1)  # a phone is sent one code a minute
    now = server.clock.now
    scheme = await server.database.run(a_scheme, group=server.group, now=now)
    other = await server.database.run(a_scheme, group=server.group, now=now, name="Another card")
    card = await server.database.run(a_card, member_id=victim.id, scheme=scheme, now=now)
    await server.ask(WITH_WECHAT, appId=MINI_PROGRAM, jsCode=js_code(server.state, ANNA))
    offer = await server.ask(
        BIND_WECHAT, victim, appId=MINI_PROGRAM, jsCode=js_code(server.state, ANNA)
    )
    email = await server.code("EMAIL", "thief@regulars.example", "BIND")
    phone = await server.code("SMS", "+8613800000009", "BIND")
    pin = await server.code("SMS", "+8613800000001", "CARD_PIN")
    own = (await server.ask(IDENTITIES, victim))["identities"]
    on_card = {"card": type_id("card", card.id)}
    bens = {"appId": MINI_PROGRAM, "jsCode": js_code(server.state, BEN)}
    bens_phone = {"appId": MINI_PROGRAM, "phoneCode": phone_code(server.state, BEN)}
    return [
        (BIND_PHONE, {"phone": "+8613800000009", "code": phone}),
        (BIND_EMAIL, {"email": "thief@regulars.example", "code": email}),
        (BIND_WECHAT, bens),
        (BIND_WECHAT_PHONE, bens_phone),
        (UNBIND, {"id": own[0]["id"]}),
        (MERGE, {"ticket": offer["ticket"]}),
        (CLOSE, {}),
        (RESERVE, on_card),
        (SET_PIN, on_card | {"code": pin}),
        (LOST, on_card),
        (JOIN, {"scheme": type_id("sch", other.id)}),
        (UPDATE, {}),
        (CONSENT, {}),
    ]


TAKE_OVERS = 7
"""The first of them decide whose account it is."""


async def test_a_revoked_sessions_token_changes_nothing(server: Server) -> None:
    """IDN-6: it can be read with for the minutes it has left, and that is all."""
    victim = await server.signed_in_by_phone("+8613800000001")
    deeds = await what_a_thief_would_do(server, victim)
    assert victim.session_id is not None
    await server.database.run(
        sessions.revoke, session_id=victim.session_id, why="by_owner", now=server.clock.now
    )
    before = await server.database.scan(everything)
    for document, variables in deeds:
        assert await server.ask(document, victim, **variables) == "UNAUTHENTICATED", document
    assert await server.database.scan(everything) == before
    assert (await server.ask(IDENTITIES, victim))["identities"]


async def test_a_token_of_another_members_session_changes_nothing(server: Server) -> None:
    """As a token of a merged record, whose session was not taken along."""
    victim = await server.signed_in_by_phone("+8613800000001")
    other = await server.signed_in_by_phone("+8613800000002")
    deeds = await what_a_thief_would_do(server, victim)
    mixed = replace(victim, session_id=other.session_id)
    before = await server.database.scan(everything)
    for document, variables in deeds:
        assert await server.ask(document, mixed, **variables) == "UNAUTHENTICATED", document
    assert await server.database.scan(everything) == before


async def test_what_decides_whose_account_it_is_needs_a_recent_sign_in(server: Server) -> None:
    """IDN-6: a copied token that is refreshed for days takes no account over."""
    start = server.clock.now
    victim = await server.signed_in_by_phone("+8613800000001")
    server.clock.now = start + timedelta(minutes=26)
    deeds = await what_a_thief_would_do(server, victim)
    server.clock.now = start + RECENT_SIGN_IN + timedelta(seconds=1)
    before = await server.database.scan(everything)
    for document, variables in deeds[:TAKE_OVERS]:
        answer = await server.ask(document, victim, **variables)
        assert answer["__typename"] == "SignInAgain", document
    assert await server.database.scan(everything) == before
    server.clock.now = start + RECENT_SIGN_IN
    document, variables = deeds[0]  # its code is not used up
    answer = await server.ask(document, victim, **variables)
    assert answer["__typename"] == "IdentityBound"


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
