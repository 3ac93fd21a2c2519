"""IDN-8: a member takes their data along, and closes their account."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import col, select, update

from app.core.db import Database, Transaction, light, statement
from app.models.adjustments import Adjustment, AdjustmentState
from app.models.behaviour import MemberEvent, Notice
from app.models.cards import Card, CardStatus
from app.models.compliance import DocumentKind, RealName
from app.models.ledger import Account, AccountKind, Posting
from app.models.members import Member, MemberStatus, MemberTag
from app.models.organisation import Node, NodeKind
from app.models.payments import Payment, PaymentPurpose
from app.models.scopes import Channel
from app.models.sessions import Session
from app.models.spendings import Spending, SpendingKind, SpendingState
from app.models.tiers import TierCause, TierChange
from app.models.top_ups import TopUpOrder, TopUpSource, TopUpState
from app.services import ledger, members, organisation, tags
from schema.context import Principal
from tests.factories.identities import ANNA, MINI_PROGRAM, js_code
from tests.factories.ledger import nothing_moves
from tests.factories.member_cards import a_card, adjust
from tests.factories.members import WITH_WECHAT, Server, a_server
from tests.factories.reading import every
from tests.factories.small_world import a_scheme

pytestmark = pytest.mark.anyio

EXPORT = "{ memberExport }"
CLOSE = """mutation ($key: String!, $forfeit: Boolean!) {
  memberClose(input: {requestKey: $key, forfeitBalances: $forfeit}) { __typename
    ... on MemberClosed { id closedAt }
    ... on BalanceLeft { balances { kind unit amount } }
    ... on BillOpen { until } ... on TopUpPending { until } } }"""
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
all_tags_on = statement(select(MemberTag), into=MemberTag)
all_notices = statement(select(Notice), into=Notice)
all_events = statement(select(MemberEvent), into=MemberEvent)
all_names = statement(select(RealName), into=RealName)
all_postings = statement(select(Posting), into=Posting)
all_nodes = statement(select(Node), into=Node)
end_bills = statement(update(Spending).values(state=SpendingState.VOIDED))
cancel_orders = statement(update(TopUpOrder).values(state=TopUpState.CANCELLED))


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


async def a_full_life(tx: Transaction, member_id: UUID, card: Card, now: datetime) -> None:
    """What other parts of the product write down about a member; a second record of theirs."""
    node_id = card.group_id
    about: dict[str, Any] = {"group_id": node_id, "member_id": member_id}
    other = members.new_member(
        group_id=node_id, status=MemberStatus.MERGED, merged_into_id=member_id, joined_at=now
    )
    tag = tags.new_tag(group_id=node_id, name="VIP", created_at=now)
    await tx.insert(other, tag)
    order = light(TopUpOrder)(
        **about, card_id=card.id, source=TopUpSource.PLAN, channel=Channel.ONLINE, currency="CNY",
        amount=100_00, bonus=0, points=0, terms={}, state=TopUpState.CREDITED, created_at=now,
    )  # fmt: skip
    payment = light(Payment)(
        group_id=node_id, reference="R1", provider="stripe", purpose=PaymentPurpose.TOP_UP,
        order_id=order.id, amount=100_00, currency="CNY", created_at=now, expires_at=now,
    )  # fmt: skip
    adjustment = light(Adjustment)(
        group_id=node_id, card_id=card.id, account_kind=AccountKind.POINTS, unit="POINTS",
        amount=5, reason="sorry", state=AdjustmentState.APPLIED, proposed_by_id=member_id,
        proposed_at=now,
    )  # fmt: skip
    change = light(TierChange)(
        card_id=card.id, from_tier_id=card.tier_id, to_tier_id=card.tier_id,
        cause=TierCause.RELEASE, changed_at=now,
    )  # fmt: skip
    name = light(RealName)(
        member_id=member_id, name="王小明", document_kind=DocumentKind.ID_CARD,
        document_number="11010519491231002X", document_index="x", recorded_by_id=member_id,
        recorded_at=now,
    )  # fmt: skip
    await tx.insert(order, payment, adjustment, change, name)
    for owner_id in (member_id, other.id):
        of_owner = about | {"member_id": owner_id}
        await tx.insert(
            tags.new_member_tag(member_id=owner_id, tag_id=tag.id, tagged_at=now),
            light(Notice)(
                **of_owner, kind="hello", unique_key="1", details={"n": 1}, created_at=now
            ),
            *(
                light(MemberEvent)(
                    **of_owner, event_key="check_in", source="crm", external_id=f"wang-{n}",
                    business_date=now.date(), occurred_at=now,
                )
                for n in (1, 2)
            ),
        )  # fmt: skip


async def live_fully(server: Server, member: Principal) -> Card:
    (card,) = await every(server.database, all_cards)
    await server.database.run(a_full_life, member.id, card, server.clock.now)
    return card


async def test_the_export_holds_what_was_stored_and_what_was_told(server: Server) -> None:
    """IDN-8, SEC-4: top-ups, adjustments, tiers, tags, events, notices and the real name."""
    member = await a_full_member(server)
    card = await live_fully(server, member)
    document = await server.ask(EXPORT, member)
    assert [t["name"] for t in document["tags"]] == ["VIP", "VIP"]
    assert {e["externalId"] for e in document["events"]} == {"wang-1", "wang-2"}
    assert [n["details"] for n in document["notices"]] == [{"n": 1}] * 2
    assert [n["documentNumber"] for n in document["realNames"]] == ["11010519491231002X"]
    assert [(t["amount"], t["cardId"]) for t in document["topUps"]] == [(100_00, str(card.id))]
    assert [p["provider"] for p in document["topUpPayments"]] == ["stripe"]
    assert [(a["amount"], a["reason"]) for a in document["adjustments"]] == [(5, "sorry")]
    assert [t["cause"] for t in document["tierChanges"]] == ["RELEASE"]
    assert [i["isProven"] for i in document["identities"]] == [True]
    for kind in ("spendings", "spendingRefunds", "cardRefunds", "tierGrants", "pointsCases"):
        assert document[kind] == []


async def test_a_closed_account_forgets_tags_notices_and_others_ids(server: Server) -> None:
    """SEC-4: of records that were merged into it too; who showed a document stays on record."""
    member = await a_full_member(server)
    await live_fully(server, member)
    await server.ask(CLOSE, member, key="k1", forfeit=True)
    for forgotten in (all_tags_on, all_notices):
        assert await every(server.database, forgotten) == []
    events = await every(server.database, all_events)
    assert len(events) == 4
    assert not any("wang" in event.external_id for event in events)
    assert {row.name_index for row in await every(server.database, all_members)} == {None}
    assert [row.name for row in await every(server.database, all_names)] == ["王小明"]


async def test_an_open_bill_holds_a_closure_back(server: Server) -> None:
    """What it holds would find nothing to come back to."""
    member = await a_full_member(server)
    (card,) = await every(server.database, all_cards)
    now = server.clock.now

    async def hold(tx: Transaction) -> None:
        """A row is enough: what was taken from the card is not there for anybody to expire."""
        (posting_id,) = [row.id for row in await tx.all(all_postings)][:1]
        store = await a_node_of(tx, card)
        terminal = organisation.new_terminal(store_id=store.id, name="T1", created_at=now)
        await tx.insert(terminal)
        await tx.insert(
            light(Spending)(
                group_id=card.group_id, card_id=card.id, kind=SpendingKind.STORED_VALUE,
                state=SpendingState.AUTHORISED, store_id=store.id, terminal_id=terminal.id,
                order_number="1", currency="CNY", amount=1_00, cash=1_00, posting_id=posting_id,
                made_at=now, expires_at=now + timedelta(days=7),
            )
        )  # fmt: skip

    await server.database.run(hold)
    async with nothing_moves(server.database):
        refused = await server.ask(CLOSE, member, key="k1", forfeit=True)
    until = (now + timedelta(days=7)).isoformat()
    assert refused == {"__typename": "BillOpen", "until": until}
    await server.database.run(lambda tx: tx.changed(end_bills))
    closed = await server.ask(CLOSE, member, key="k1", forfeit=True)
    assert closed["__typename"] == "MemberClosed"


async def a_node_of(tx: Transaction, card: Card) -> Node:
    nodes = await tx.all(all_nodes)
    return next(n for n in nodes if n.kind is NodeKind.STORE and n.group_id == card.group_id)


async def test_a_top_up_that_waits_to_be_paid_holds_a_closure_back(server: Server) -> None:
    """TOP-7: its money may be on the way."""
    member = await a_full_member(server)
    (card,) = await every(server.database, all_cards)
    now = server.clock.now
    order = light(TopUpOrder)(
        group_id=card.group_id, card_id=card.id, member_id=member.id, source=TopUpSource.PLAN,
        channel=Channel.ONLINE, currency="CNY", amount=100_00, bonus=0, points=0, terms={},
        state=TopUpState.PENDING, created_at=now, expires_at=now + timedelta(minutes=30),
    )  # fmt: skip
    await server.database.run(lambda tx: tx.insert(order))
    async with nothing_moves(server.database):
        refused = await server.ask(CLOSE, member, key="k1", forfeit=True)
    until = (now + timedelta(minutes=30)).isoformat()
    assert refused == {"__typename": "TopUpPending", "until": until}
    await server.database.run(lambda tx: tx.changed(cancel_orders))
    closed = await server.ask(CLOSE, member, key="k1", forfeit=True)
    assert closed["__typename"] == "MemberClosed"
