"""CRD-1, CRD-2, CRD-3, CRD-7: schemes, and the cards members hold."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.core.db import Database, Transaction
from app.core.ids import new_id, parse_type_id, type_id
from app.models.cards import Card, CardStatus, Scheme
from app.models.members import Member
from app.models.staff import Permission
from app.services import cards, ledger, members
from app.services.cards import STAFF_CHANGES
from resolvers.root import admin_schema, member_schema
from tests.factories.cards import Counter, a_scheme, a_terminal, a_tier, counter, the_card
from tests.factories.executing import execute
from tests.factories.ledger import account, nothing_moves
from tests.factories.organisation import places
from tests.factories.partners import partner, principal_of
from tests.factories.purchases import record
from tests.factories.staff import employee

pytestmark = pytest.mark.anyio

SCHEMES = "{ schemes { id name tiers { level name } } }"
SCHEME = "query ($id: ID!) { scheme(id: $id) { name perspective { name } } }"
CREATE = """mutation ($input: SchemeCreateInput!) { schemeCreate(input: $input) {
  __typename ... on Scheme { id name currency pointsUnit { amount currency } pointsRate
    validDays isOpenToJoin coversAllStores } ... on Problem { message } } }"""
UPDATE = """mutation ($input: SchemeUpdateInput!) { schemeUpdate(input: $input) {
  __typename ... on Scheme { name validDays isOpenToJoin } } }"""
STORES = """mutation ($input: SchemeUpdateInput!) { schemeUpdate(input: $input) {
  __typename ... on Scheme { coversAllStores stores { id } } } }"""
STORES_OF = "query ($id: ID!) { scheme(id: $id) { stores { id } } }"
TIER = """mutation ($input: TierCreateInput!) { tierCreate(input: $input) {
  __typename ... on Tier { level name growthFrom } } }"""
JOIN = """mutation ($scheme: ID!) { cardJoin(input: {schemeId: $scheme}) {
  __typename ... on Card { id number status tier { name } scheme { id } expiresAt
    balances { points cash { amount currency } } mergedNumbers } } }"""
MINE = "{ cards { id status balances { points } } }"
ONE = "query ($id: ID!) { card(id: $id) { id status } }"
LOST = """mutation ($id: ID!) { cardReportLost(input: {cardId: $id}) {
  __typename ... on Card { status } ... on CardStatusUnchangeable { status } } }"""
STATUS = """mutation ($id: ID!, $status: CardStatus!, $reason: String! = "As asked") {
  cardStatusChange(input: {cardId: $id, status: $status, reason: $reason}) {
    __typename ... on Card { status } ... on CardStatusUnchangeable { status } } }"""
STAFF_CARD = """query ($id: ID!) { card(id: $id) {
  number status holder { id name phone } issuingStore { name } } }"""
BY_NUMBER = "query ($number: String!) { cardByNumber(number: $number) { id } }"
OPEN = """mutation ($terminal: ID!, $member: ID!, $scheme: ID!) {
  cardOpen(input: {terminalId: $terminal, memberId: $member, schemeId: $scheme}) {
    __typename ... on Card { id issuingStore { name } } } }"""


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


def rules(perspective_id: Any, **more: Any) -> dict[str, Any]:
    return {
        "perspectiveId": type_id("node", perspective_id),
        "name": "Gold club",
        "currency": "CNY",
        "deductionRule": "PROPORTIONAL",
        "consumptionVerification": "SMS",
        "pointsUnit": 100,
        "pointsRate": 2,
    } | more


async def a_member(tx: Transaction, till: Counter) -> Member:
    return await members.create(tx, group_id=till.shop.places.group.id, name=None, now=till.now)


async def set_status(tx: Transaction, card: Card, status: CardStatus) -> None:
    await tx.changed(
        cards.change_status, card_id=card.id, from_status=card.status, to_status=status
    )


# CRD-1: schemes


async def test_a_scheme_is_made_and_gets_tiers(till: Counter) -> None:
    """CRD-1: what was asked for is what is there, and members can join once it has a tier."""
    made = await till.as_staff(CREATE, input=rules(till.shop.places.group.id, validDays=30))
    scheme_id = made.pop("id")
    assert made == {
        "__typename": "Scheme",
        "name": "Gold club",
        "currency": "CNY",
        "pointsUnit": {"amount": 100, "currency": "CNY"},
        "pointsRate": 2,
        "validDays": 30,
        "isOpenToJoin": True,
        "coversAllStores": True,
    }
    joinable = await till.as_member(SCHEMES)
    assert scheme_id not in [each["id"] for each in joinable]
    assert await till.as_member(JOIN, scheme=scheme_id) == {"__typename": "SchemeHasNoTier"}
    for level, growth in ((1, 0), (2, 500)):
        tier = {"schemeId": scheme_id, "name": f"Tier {level}", "growthFrom": growth}
        assert await till.as_staff(TIER, input=tier) == {
            "__typename": "Tier", "level": level, "name": f"Tier {level}", "growthFrom": growth,
        }  # fmt: skip
    joined = await till.as_member(JOIN, scheme=scheme_id)
    assert joined["tier"] == {"name": "Tier 1"}
    assert joined["expiresAt"] == (till.now + timedelta(days=30)).isoformat()
    shown = next(each for each in await till.as_member(SCHEMES) if each["id"] == scheme_id)
    assert [tier["level"] for tier in shown["tiers"]] == [1, 2]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 121),
        ("name", "a\x00b"),
        ("currency", "XXX"),
        ("pointsUnit", 0),
        ("pointsUnit", 2**63 - 1),
        ("pointsRate", -1),
        ("pointsRate", 10_001),
        ("validDays", 0),
        ("validDays", 2**31 - 1),
        ("perspectiveId", "node_x"),
    ],
)
async def test_a_scheme_that_cannot_be_is_refused(till: Counter, field: str, value: Any) -> None:
    async with nothing_moves(till.database):
        asked = rules(till.shop.places.group.id) | {field: value}
        assert await till.as_staff(CREATE, input=asked) == "BAD_USER_INPUT"


async def test_two_schemes_of_a_perspective_cannot_share_a_name(till: Counter) -> None:
    group_id = till.shop.places.group.id
    made = await till.as_staff(CREATE, input=rules(group_id))
    async with nothing_moves(till.database):
        taken = await till.as_staff(CREATE, input=rules(group_id))
        assert taken["__typename"] == "SchemeNameTaken"
        change = {
            "id": type_id("sch", till.shop.scheme.id), "name": "Gold club", "pointsUnit": 1,
            "pointsRate": 1, "deductionRule": "CASH_FIRST", "consumptionVerification": "NONE",
            "isOpenToJoin": False,
        }  # fmt: skip
        assert await till.as_staff(UPDATE, input=change) == {"__typename": "SchemeNameTaken"}
    # Its own name is no obstacle, and under another perspective it is free.
    kept = change | {"id": made["id"]}
    assert (await till.as_staff(UPDATE, input=kept))["isOpenToJoin"] is False
    other = await till.as_staff(CREATE, input=rules(till.shop.places.tea.id))
    assert other["__typename"] == "Scheme"
    closed = await till.as_member(JOIN, scheme=made["id"])
    assert closed == {"__typename": "SchemeClosed"}


async def test_named_stores_must_lie_below_the_perspective(till: Counter) -> None:
    found = till.shop.places
    async with nothing_moves(till.database):
        for store_id in (found.tea_store.id, found.coffee.id, new_id()):
            asked = rules(found.coffee.id, storeIds=[type_id("node", store_id)])
            refused = await till.as_staff(CREATE, input=asked)
            assert refused["__typename"] == "NodeNotFound"


async def test_the_stores_of_a_scheme_are_replaced(till: Counter) -> None:
    """CRD-1: what is given is the whole set, null is all; at once it holds at the till."""
    found = till.shop.places
    coffee, tea = (type_id("node", n.id) for n in (found.coffee_store, found.tea_store))
    change = rules(found.group.id, name="Regular", id=type_id("sch", till.shop.scheme.id))
    del change["perspectiveId"], change["currency"]
    change["isOpenToJoin"] = True

    async def update(*given: str, **more: Any) -> Any:
        return await till.as_staff(STORES, input=change | {"storeIds": list(given)} | more)

    assert await update(coffee, tea, coffee) == {
        "__typename": "Scheme", "coversAllStores": False,
        "stores": [{"id": each} for each in sorted([coffee, tea])],
    }  # fmt: skip
    assert (await update(tea))["stores"] == [{"id": tea}]
    async with nothing_moves(till.database):
        assert await record(till, 200) == {"__typename": "NotAtThisStore"}
        for wrong in (type_id("node", found.coffee.id), type_id("node", new_id())):
            assert await update(coffee, wrong) == {"__typename": "NodeNotFound"}
        assert await update("node_") == "BAD_USER_INPUT"
    assert (await record(till, 200, terminalId=till.other_terminal_id))["pointsEarned"] == 4
    assert (await update())["stores"] == []
    both = await asyncio.gather(update(coffee), update(tea))
    assert {len(each["stores"]) for each in both} == {1}
    last = await till.as_staff(STORES_OF, id=change["id"])
    assert last["stores"] in [each["stores"] for each in both]
    assert await update(storeIds=None) == {
        "__typename": "Scheme", "coversAllStores": True, "stores": [],
    }  # fmt: skip
    assert (await record(till, 200))["pointsEarned"] == 4


async def test_named_stores_are_shown_where_the_asker_works(till: Counter) -> None:
    """ORG-1: a brand's marketer does not learn of another's stores; a member of none."""
    found = till.shop.places
    coffee, tea = (type_id("node", n.id) for n in (found.coffee_store, found.tea_store))
    made = await till.as_staff(CREATE, input=rules(found.group.id, storeIds=[coffee, tea]))
    marketer = await till.database.run(employee, node=found.coffee, role="marketer", now=till.now)
    shown = await till.as_staff(STORES_OF, who=marketer, id=made["id"])
    assert shown == {"stores": [{"id": coffee}]}
    nested = "query ($id: ID!) { card(id: $id) { scheme { stores { id } } } }"
    # A partner that reads cards does not read schemes through them.
    reader = await till.database.run(
        partner, node=found.coffee, scopes=[Permission.CARDS_READ], now=till.now
    )
    principal = principal_of(reader.client, now=till.now)
    answer = await till.ask(admin_schema, nested, principal, {"id": till.card_id})
    assert answer == "FORBIDDEN"
    assert "stores" not in member_schema.get_type_by_name("Scheme").fields  # type: ignore[union-attr]


async def test_tiers_rise(till: Counter) -> None:
    scheme_id = type_id("sch", till.shop.scheme.id)
    async with nothing_moves(till.database):
        for growth in (0, -1):
            tier = {"schemeId": scheme_id, "name": "Silver", "growthFrom": growth}
            assert await till.as_staff(TIER, input=tier) == "BAD_USER_INPUT"
        tier = {"schemeId": type_id("sch", new_id()), "name": "Silver", "growthFrom": 1}
        assert await till.as_staff(TIER, input=tier) == {"__typename": "SchemeNotFound"}


async def test_staff_see_schemes_above_and_below_their_nodes_only(till: Counter) -> None:
    """ORG-1: a coffee cashier's brand and group, but nothing of the tea brand's."""
    found = till.shop.places
    of_coffee = await till.database.run(a_scheme, perspective=found.coffee, now=till.now)
    of_tea = await till.database.run(a_scheme, perspective=found.tea, now=till.now)
    marketer = await till.database.run(
        employee, node=found.coffee_store, role="marketer", now=till.now
    )
    seen = await till.as_staff(SCHEMES, who=marketer)
    assert {each["id"] for each in seen} == {
        type_id("sch", till.shop.scheme.id), type_id("sch", of_coffee.id),
    }  # fmt: skip
    of_other = type_id("sch", of_tea.id)
    assert await till.as_staff(SCHEME, who=marketer, id=of_other) is None
    assert (await till.as_staff(SCHEME, id=of_other))["perspective"] == {"name": "Tea"}
    # To see is not to change: the group's scheme is above this store.
    async with nothing_moves(till.database):
        tier = {
            "schemeId": type_id("sch", till.shop.scheme.id), "name": "Silver", "growthFrom": 9,
        }  # fmt: skip
        assert await till.as_staff(TIER, who=marketer, input=tier) == "FORBIDDEN"


# CRD-2: one card of a scheme


async def test_a_member_holds_one_card_of_a_scheme(till: Counter) -> None:
    """CRD-2: joining again gives the same card; another scheme gives another."""
    scheme_id = type_id("sch", till.shop.scheme.id)
    joined = await till.as_member(JOIN, scheme=scheme_id)
    assert joined["id"] == till.card_id
    other = await till.database.run(a_scheme, perspective=till.shop.places.tea, now=till.now)
    second = await till.as_member(JOIN, scheme=type_id("sch", other.id))
    assert [card["id"] for card in await till.as_member(MINE)] == [till.card_id, second["id"]]
    assert second["balances"] == {"points": 0, "cash": {"amount": 0, "currency": "CNY"}}
    assert second["mergedNumbers"] == []


async def test_two_joins_at_once_give_one_card(till: Counter) -> None:
    """CRD-2: whichever commits first, both get its card, with four accounts."""
    member = await till.database.run(a_member, till)
    scheme_id = type_id("sch", till.shop.scheme.id)
    joined = await asyncio.gather(
        *(till.as_member(JOIN, member_id=member.id, scheme=scheme_id) for _ in range(8))
    )
    assert len({card["id"] for card in joined}) == 1
    card_id = parse_type_id("card", joined[0]["id"])
    assert len(await till.database.read(ledger.accounts_of_cards, [card_id])) == 4


async def test_joining_what_is_not_there_is_refused(till: Counter) -> None:
    other_group = await till.database.run(places, now=till.now)
    elsewhere = await till.database.run(a_scheme, perspective=other_group.group, now=till.now)
    async with nothing_moves(till.database):
        for scheme_id in (type_id("sch", new_id()), type_id("sch", elsewhere.id)):
            assert await till.as_member(JOIN, scheme=scheme_id) == {"__typename": "SchemeNotFound"}
        assert await till.as_member(JOIN, scheme="sch_1") == "BAD_USER_INPUT"
        assert await till.as_member(JOIN, scheme=till.card_id) == "BAD_USER_INPUT"


async def test_somebody_elses_card_is_not_there(till: Counter) -> None:
    stranger = await till.database.run(a_member, till)
    async with nothing_moves(till.database):
        assert await till.as_member(ONE, member_id=stranger.id, id=till.card_id) is None
        assert await till.as_member(MINE, member_id=stranger.id) == []
        refused = await till.as_member(LOST, member_id=stranger.id, id=till.card_id)
        assert refused == {"__typename": "CardNotFound"}
        assert await till.as_member(ONE, member_id=new_id(), id=till.card_id) == "UNAUTHENTICATED"
        assert await till.as_member(MINE, member_id=new_id()) == "UNAUTHENTICATED"


# CRD-3: status


@pytest.mark.parametrize("was", [s for s in CardStatus if s is not CardStatus.MERGED])
@pytest.mark.parametrize("wanted", list(CardStatus))
async def test_staff_change_a_status_where_the_rules_allow_it(
    till: Counter, was: CardStatus, wanted: CardStatus
) -> None:
    """CRD-3: nothing is deleted; expired and refunded are nobody's to set or to take back."""
    card = till.shop.card
    await till.database.run(set_status, card, was)
    changed = await till.as_staff(STATUS, id=till.card_id, status=wanted.value)
    after = (await till.database.read(the_card, card.id)).status
    if (was, wanted) in STAFF_CHANGES:
        assert changed == {"__typename": "Card", "status": wanted.value}
        assert after is wanted
    else:
        assert changed == {"__typename": "CardStatusUnchangeable", "status": was.value}
        assert after is was


async def test_a_member_can_report_a_card_lost_and_no_more(till: Counter) -> None:
    """CRD-3: finding it again is for staff to believe."""
    assert (await till.as_member(LOST, id=till.card_id))["status"] == "LOST"
    again = await till.as_member(LOST, id=till.card_id)
    assert again == {"__typename": "CardStatusUnchangeable", "status": "LOST"}
    found = await till.as_staff(STATUS, id=till.card_id, status="NORMAL")
    assert found["status"] == "NORMAL"


@pytest.mark.parametrize("status", ["LOST", "FROZEN", "EXPIRED", "REFUNDED"])
async def test_a_card_that_is_not_normal_earns_nothing_and_keeps_what_it_has(
    till: Counter, status: str
) -> None:
    """CRD-3: a lost or frozen card neither spends nor earns; its balances stay."""
    await record(till, 1_000)
    await till.database.run(set_status, till.shop.card, CardStatus(status))
    async with nothing_moves(till.database):
        refused = await record(till, 1_000)
        assert refused == {"__typename": "CardNotUsable", "status": status}
    assert (await account(till.database, till.shop.card.id)).balance == 5
    shown = await till.as_member(MINE)
    assert shown == [{"id": till.card_id, "status": status, "balances": {"points": 5}}]


async def test_a_card_whose_time_is_over_is_expired_whatever_the_row_says(till: Counter) -> None:
    """CRD-1: N days from its issue, to the second."""
    scheme = await till.database.run(
        a_scheme, perspective=till.shop.places.group, now=till.now, valid_days=1
    )
    before = till.later(seconds=1 - 86_400)
    card = await before.as_member(JOIN, scheme=type_id("sch", scheme.id))
    assert (await record(till, 200, cardId=card["id"]))["pointsEarned"] == 1
    over = till.later(seconds=1)
    assert (await over.as_member(ONE, id=card["id"]))["status"] == "EXPIRED"
    async with nothing_moves(till.database):
        refused = await record(over, 200, cardId=card["id"])
        assert refused == {"__typename": "CardNotUsable", "status": "EXPIRED"}


async def test_a_status_change_needs_its_reason_and_its_permission(till: Counter) -> None:
    foreign = await till.database.run(places, now=till.now)
    stranger = await till.database.run(employee, node=foreign.group, now=till.now)
    support = await till.database.run(
        employee, node=till.shop.places.coffee, role="support", now=till.now
    )
    frozen: dict[str, Any] = {"id": till.card_id, "status": "FROZEN"}
    async with nothing_moves(till.database):
        for reason in ("", " ", "x" * 201, "a\x00b"):
            assert await till.as_staff(STATUS, **frozen, reason=reason) == "BAD_USER_INPUT"
        assert await till.as_staff(STATUS, who=till.shop.cashier, **frozen) == "FORBIDDEN"
        # The scheme is the group's: freezing its cards is not for one brand.
        assert await till.as_staff(STATUS, who=support, **frozen) == "FORBIDDEN"
        refused = await till.as_staff(STATUS, who=stranger, **frozen)
        assert refused == {"__typename": "CardNotFound"}
        missing = await till.as_staff(STATUS, id=type_id("card", new_id()), status="FROZEN")
        assert missing == {"__typename": "CardNotFound"}


async def test_staff_find_cards_of_schemes_they_work_with(till: Counter) -> None:
    """ORG-1, SEC-2: by id or number, the holder masked; another brand's is not there."""
    shown = await till.as_staff(STAFF_CARD, who=till.shop.cashier, id=till.card_id)
    assert shown == {
        "number": till.shop.card.number,
        "status": "NORMAL",
        "holder": {"id": type_id("mem", till.shop.member.id), "name": "王**", "phone": None},
        "issuingStore": None,
    }
    number = till.shop.card.number
    assert await till.as_staff(BY_NUMBER, number=number) == {"id": till.card_id}
    for wrong in ("", "x", number[:-1], "1" * 10, "٠" * 10, "1\x0011111111", "9" * 30):
        assert await till.as_staff(BY_NUMBER, number=wrong) is None
    of_tea = await till.database.run(a_scheme, perspective=till.shop.places.tea, now=till.now)
    card = await till.as_member(JOIN, scheme=type_id("sch", of_tea.id))
    assert await till.as_staff(STAFF_CARD, who=till.shop.cashier, id=card["id"]) is None
    foreign = await till.database.run(places, now=till.now)
    stranger = await till.database.run(employee, node=foreign.group, now=till.now)
    assert await till.as_staff(STAFF_CARD, who=stranger, id=till.card_id) is None
    assert await till.as_staff(BY_NUMBER, who=stranger, number=number) is None


# CRD-7: recruitment store and card-issuing store


async def recruiting_store(till: Counter, member: Member | None = None) -> Any:
    found = await till.database.read(members.living, (member or till.shop.member).id)
    return found.recruitment_store_id


async def test_the_first_consumption_recruits_and_no_later_one_changes_it(till: Counter) -> None:
    """CRD-7: a member who joined online has no recruitment store until then."""
    assert await recruiting_store(till) is None
    await record(till, 100, terminalId=till.other_terminal_id)
    assert await recruiting_store(till) == till.shop.places.tea_store.id
    await record(till, 100)
    assert await recruiting_store(till) == till.shop.places.tea_store.id


async def test_a_refused_consumption_recruits_nobody(till: Counter) -> None:
    refused = await record(till, 100, payments={"cash": 99})
    assert refused == {"__typename": "PaymentsDoNotAddUp", "shortBy": 1}
    assert await recruiting_store(till) is None


async def test_a_card_opened_at_a_till_is_the_stores_and_recruits(till: Counter) -> None:
    """CRD-7: the issuing store belongs to the card, the recruitment store to the person."""
    member = await till.database.run(a_member, till)
    asked: dict[str, Any] = {
        "terminal": till.terminal_id,
        "member": type_id("mem", member.id),
        "scheme": type_id("sch", till.shop.scheme.id),
    }
    opened = await till.as_staff(OPEN, **asked)
    assert opened["issuingStore"] == {"name": till.shop.store.name}
    assert await recruiting_store(till, member) == till.shop.store.id
    again = await till.as_staff(OPEN, **asked | {"terminal": till.other_terminal_id})
    assert again == opened
    other = await till.database.run(a_scheme, perspective=till.shop.places.tea, now=till.now)
    second = await till.as_staff(
        OPEN, **asked | {"terminal": till.other_terminal_id, "scheme": type_id("sch", other.id)}
    )
    assert second["issuingStore"] == {"name": till.shop.places.tea_store.name}
    assert await recruiting_store(till, member) == till.shop.store.id


async def test_a_cashier_issues_cards_and_cannot_change_their_status(till: Counter) -> None:
    """MEM-8, EVT-1: at their own store; to issue is a permission apart from `cards:write`."""
    member = await till.database.run(a_member, till)
    asked: dict[str, Any] = {
        "terminal": till.terminal_id,
        "member": type_id("mem", member.id),
        "scheme": type_id("sch", till.shop.scheme.id),
    }
    cashier = till.shop.cashier

    async def by_partner(permission: Permission) -> Any:
        client = await till.database.run(
            partner, node=till.shop.store, scopes=[permission], now=till.now
        )
        principal = principal_of(client.client, now=till.now)
        return await till.ask(admin_schema, OPEN, principal, asked)

    async with nothing_moves(till.database):
        away = asked | {"terminal": till.other_terminal_id}
        assert await till.as_staff(OPEN, who=cashier, **away) == "FORBIDDEN"
        assert await by_partner(Permission.CARDS_WRITE) == "FORBIDDEN"
    opened = await till.as_staff(OPEN, who=cashier, **asked)
    assert opened["issuingStore"] == {"name": till.shop.store.name}
    assert await by_partner(Permission.CARDS_ISSUE) == opened
    frozen = {"id": opened["id"], "status": "FROZEN"}
    assert await till.as_staff(STATUS, who=cashier, **frozen) == "FORBIDDEN"


async def test_a_card_cannot_be_opened_where_it_is_not_used(till: Counter) -> None:
    """CRD-1: nor for somebody of another group, nor at a till that is not there."""
    foreign = await till.database.run(places, now=till.now)
    foreign_terminal = await till.database.run(a_terminal, store=foreign.coffee_store, now=till.now)
    of_tea: Scheme = await till.database.run(
        a_scheme, perspective=till.shop.places.tea, now=till.now
    )
    bare = await till.database.run(
        a_scheme, perspective=till.shop.places.group, now=till.now, has_tier=False
    )
    outsider = await till.database.run(
        members.create, group_id=foreign.group.id, name=None, now=till.now
    )
    asked: dict[str, Any] = {
        "terminal": till.terminal_id,
        "member": type_id("mem", till.shop.member.id),
        "scheme": type_id("sch", till.shop.scheme.id),
    }
    async with nothing_moves(till.database):
        for change, answer in (
            ({"scheme": type_id("sch", of_tea.id)}, "NotAtThisStore"),
            ({"scheme": type_id("sch", bare.id)}, "SchemeHasNoTier"),
            ({"scheme": type_id("sch", new_id())}, "SchemeNotFound"),
            ({"member": type_id("mem", outsider.id)}, "MemberNotFound"),
            ({"member": type_id("mem", new_id())}, "MemberNotFound"),
            ({"terminal": type_id("term", new_id())}, "TerminalNotFound"),
        ):
            assert await till.as_staff(OPEN, **asked | change) == {"__typename": answer}
        away = asked | {"terminal": type_id("term", foreign_terminal.id)}
        assert await till.as_staff(OPEN, **away) == "FORBIDDEN"


async def test_a_card_shows_the_tier_it_has(till: Counter) -> None:
    await till.database.run(a_tier, scheme=till.shop.scheme, level=2, name="Silver")
    member = await till.database.run(a_member, till)
    joined = await till.as_member(
        JOIN, member_id=member.id, scheme=type_id("sch", till.shop.scheme.id)
    )
    assert joined["tier"] == {"name": "Green"}


HOME = """{
  me { name }
  cards {
    number status tier { name } balances { points growth } code { __typename }
    ledger(first: 10) { edges { node { cause amount balanceAfter } } } } }"""


async def test_the_members_home_asks_the_database_once_a_level(
    till: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 2: member; cards; tiers, balances, movements. However many cards there are."""
    for perspective in (till.shop.places.coffee, till.shop.places.tea):
        scheme = await till.database.run(a_scheme, perspective=perspective, now=till.now)
        await till.as_member(JOIN, scheme=type_id("sch", scheme.id))
    await record(till, 1_000)
    asked = []
    read = till.database.read

    async def counted(work: Any, /, *args: Any, **kwargs: Any) -> Any:
        asked.append(work.__name__)
        return await read(work, *args, **kwargs)

    monkeypatch.setattr(till.database, "read", counted)
    context = till.context(till.member(till.shop.member.id))
    result = await execute(member_schema, HOME, {}, context)
    assert not result.errors
    assert result.data is not None
    assert len(result.data["cards"]) == 3
    assert len(asked) == 5, asked
