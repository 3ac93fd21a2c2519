"""MEM-4, MEM-7: staff write members down and correct them; IDN-2: what they write is no proof."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from app.core.db import Database, Transaction, statement
from app.core.ids import parse_type_id, type_id
from app.models.cards import ConsumptionVerification
from app.models.identities import IdentityKind
from app.models.members import Member
from app.models.operations import AuditRecord
from app.services import consumption, identities, members, merges, sign_in
from app.services.identities import Bound, LastIdentity, Proof
from app.services.members import ProfileChange
from app.services.merges import MergeOffer
from app.services.sign_in import Asking
from app.services.tickets import TicketRefused
from tests.factories.cards import Counter, a_scheme, a_terminal, counter
from tests.factories.ledger import nothing_moves
from tests.factories.member_records import (
    a_customer,
    a_member,
    members_found,
    node_id,
)
from tests.factories.organisation import places
from tests.factories.races import INSERT, beside, call
from tests.factories.reading import every
from tests.factories.sessions import a_bearer
from tests.factories.staff import Employee, employee

pytestmark = pytest.mark.anyio

DEFINE = """mutation { memberAttributeDefine(input: {key: "shoes", name: "x", kind: NUMBER}) {
  __typename } }"""
UPDATE = """mutation ($input: MemberUpdateInput!) { memberUpdate(input: $input) { __typename
  ... on Member { name gender birthday region attributes { key value }
    contacts { kind masked } }
  ... on ContactTaken { memberId } } }"""
OWN_BIRTHDAY = """mutation { memberUpdate(input: {birthday: "1991-01-01"}) { __typename
  ... on Member { birthday } } }"""
UNMASK = """mutation ($id: ID!) { memberUnmask(input: {memberId: $id, reason: "x"}) {
  ... on MemberUnmasked { birthday identities { kind value isProven } } } }"""
PROFILE = """query ($id: ID!) { member(id: $id) { name identities { kind masked }
  contacts { kind masked } cards { number } } }"""

PHONE = Proof(IdentityKind.PHONE, "+8613800000021")
EMAIL = Proof(IdentityKind.EMAIL, "anna@example.com")
WECHAT = Proof(IdentityKind.WECHAT_OPENID, "openid-1", "wx1")

acts = statement(select(AuditRecord).order_by(col(AuditRecord.id)), into=AuditRecord)
all_members = statement(select(Member).order_by(col(Member.id)), into=Member)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def hired(till: Counter, node: Any, role: str) -> Employee:
    return await till.database.run(employee, node=node, role=role, now=till.now)


async def signed_in(till: Counter, *proofs: Proof) -> sign_in.SignedIn:
    asking = Asking(till.shop.places.group.id, "", "", till.now, timedelta(days=60))
    return await till.database.run(
        sign_in.with_proofs, asking=asking, proofs=proofs, method="sms", name="Somebody"
    )


async def test_a_customer_needs_a_name_or_a_phone(till: Counter) -> None:
    """MEM-4."""
    named = await a_customer(till, name=" Anna  Lee ")
    assert (named["name"], named["contacts"], named["cards"]) == ("A*** L***", [], [])
    by_phone = await a_customer(till, phone="13800000021")
    assert (by_phone["name"], by_phone["identities"]) == (None, [])
    assert by_phone["contacts"] == [{"kind": "PHONE", "masked": "138****0021"}]
    too_little: list[dict[str, Any]] = [{}, {"email": "anna@example.com"}, {"name": ""}]
    invalid: list[dict[str, Any]] = [{"phone": "12"}, {"name": "Anna", "email": "anna"}]
    async with nothing_moves(till.database):
        for given in (*too_little, {"phone": "13800000022", "name": "\0"}):
            assert await a_customer(till, **given) == "BAD_USER_INPUT"
        for given in invalid:
            assert await a_customer(till, **given) == {"__typename": "TargetInvalid"}


async def test_a_customer_is_written_down_with_a_whole_profile(till: Counter) -> None:
    await till.as_staff(DEFINE)
    profile: dict[str, Any] = {"name": "王小明", "gender": "MALE", "birthday": "1990-05-20"}
    profile |= {"region": "上海", "attributes": [{"key": "shoes", "number": 43}]}
    store = till.shop.places.coffee_store
    made = await a_customer(till, **profile, storeId=node_id(store))
    assert made["birthday"] == "****-05-20"
    assert (made["gender"], made["region"]) == ("MALE", "上海")
    assert made["attributes"] == [{"key": "shoes", "value": "43"}]
    assert made["recruitmentStore"] == {"name": store.name}
    async with nothing_moves(till.database):
        unknown = await a_customer(till, name="x", attributes=[{"key": "hat", "text": "x"}])
        assert unknown == {"__typename": "UnknownAttribute", "key": "hat"}
        assert await a_customer(till, name="x", birthday="1800-01-01") == "BAD_USER_INPUT"


async def test_a_member_gets_a_card_from_the_store_that_recruits_them(till: Counter) -> None:
    """MEM-4, CRD-7."""
    store = till.shop.places.tea_store
    made = await a_member(till, name="Anna", phone="13800000021", storeId=node_id(store))
    (card,) = made["cards"]
    assert card["scheme"] == {"id": type_id("sch", till.shop.scheme.id)}
    assert card["issuingStore"] == made["recruitmentStore"] == {"name": store.name}
    online = await a_member(till, phone="13800000022")
    assert [card["issuingStore"] for card in online["cards"]] == [None]
    assert await a_member(till, name="Anna") == "BAD_USER_INPUT"  # without a phone
    recorded = [(act.action, act.node_id) for act in await every(till.database, acts)]
    assert recorded == [
        ("member.create", store.id),
        ("card.open", store.id),
        ("member.create", None),
        ("card.open", None),
    ]


async def make_schemes(tx: Transaction, till: Counter) -> tuple[str, str]:
    at = till.shop.places
    tierless = await a_scheme(tx, perspective=at.group, now=till.now, has_tier=False)
    tea = await a_scheme(tx, perspective=at.tea, now=till.now)
    return type_id("sch", tierless.id), type_id("sch", tea.id)


async def test_where_no_card_can_be_given_nobody_is_written_down(till: Counter) -> None:
    tierless, tea = await till.database.run(make_schemes, till)
    foreign = await till.database.run(places, now=till.now)
    at = till.shop.places
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"schemeId": tierless}, "SchemeHasNoTier"),
        ({"schemeId": type_id("sch", foreign.group.id)}, "SchemeNotFound"),
        ({"schemeId": tea, "storeId": node_id(at.coffee_store)}, "NotAtThisStore"),
        ({"storeId": node_id(foreign.coffee_store)}, "NodeNotFound"),
        ({"storeId": node_id(at.coffee)}, "NodeNotFound"),  # a brand is no store
        ({"phone": "12"}, "TargetInvalid"),
    ]
    async with nothing_moves(till.database):
        for given, refusal in refusals:
            answer = await a_member(till, **{"phone": "13800000021"} | given)
            assert answer == {"__typename": refusal}


async def test_adding_members_needs_its_permissions_there(till: Counter) -> None:
    """ORG-1, ORG-2: to write needs `members:write`, to give a card `cards:issue`, where it is."""
    at = till.shop.places
    marketer = await hired(till, at.group, "marketer")
    in_tea = await hired(till, at.tea_store, "support")
    coffee, tea = node_id(at.coffee_store), node_id(at.tea_store)
    async with nothing_moves(till.database):
        assert await a_customer(till, who=till.shop.cashier, name="x") == "FORBIDDEN"
        assert await a_member(till, who=marketer, phone="13800000021") == "FORBIDDEN"
        # The scheme is the group's: without a store it is given there.
        assert await a_member(till, who=in_tea, phone="13800000021") == "FORBIDDEN"
        elsewhere = {"phone": "13800000021", "storeId": coffee}
        assert await a_member(till, who=in_tea, **elsewhere) == "FORBIDDEN"
        assert await a_customer(till, who=in_tea, **elsewhere) == "FORBIDDEN"
    made = await a_member(till, who=in_tea, phone="13800000021", storeId=tea)
    assert made["__typename"] == "Member"


async def test_a_phone_is_written_down_once(till: Counter) -> None:
    """IDN-3: whether staff wrote it down or its owner proved it."""
    anna = await a_customer(till, name="Anna", phone="13800000021")
    owner = await signed_in(till, Proof(IdentityKind.PHONE, "+8613800000022"))
    async with nothing_moves(till.database):
        for phone, member_id in (
            ("+86 138 0000 0021", anna["id"]),
            ("13800000022", type_id("mem", owner.member.id)),
        ):
            taken = {"__typename": "ContactTaken", "memberId": member_id}
            assert await a_customer(till, name="Ben", phone=phone) == taken
            assert await a_member(till, name="Ben", phone=phone) == taken


async def test_two_who_write_the_same_phone_down_at_once_make_one_record(till: Counter) -> None:
    """IDN-3: on both databases the unique index decides, and the other is told whose it is."""
    both = await asyncio.gather(
        *(a_member(till, name=name, phone="13800000021") for name in ("Anna", "Anna Lee"))
    )
    made, taken = sorted(both, key=lambda answer: answer["__typename"], reverse=True)
    assert taken == {"__typename": "ContactTaken", "memberId": made["id"]}
    assert len(await every(till.database, all_members)) == 2


@pytest.mark.parametrize("first", ["staff", "member"])
async def test_a_sign_in_beside_the_writing_down_makes_one_record(
    till: Counter, first: str
) -> None:
    """IDN-3: whoever is first, the phone is one person's."""
    group = till.shop.places.group
    actor = till.shop.owner.actor
    asking = Asking(group.id, "", "", till.now, timedelta(days=60))
    calls = [
        call(written, actor, till.now),
        call(sign_in.with_proofs, asking=asking, proofs=[PHONE], method="sms"),
    ]
    begins, follows = calls if first == "staff" else reversed(calls)
    await beside(till.database, begins, before=INSERT, second=follows)
    assert len(await every(till.database, all_members)) == 2
    (phone,) = await till.database.read(identities.find, group_id=group.id, proofs=[PHONE])
    assert phone.is_proven


async def written(tx: Transaction, actor: Any, now: datetime) -> None:
    member = await members.create(tx, group_id=actor.group_id, name="Anna", now=now)
    await identities.claim(tx, member=member, contacts=[PHONE], now=now)


async def test_staff_correct_a_birthday_as_often_as_it_takes(till: Counter) -> None:
    """MEM-7, IDN-8: the member's own one change is left to them."""
    member_id = type_id("mem", till.shop.member.id)
    for birthday in ("1990-05-20", "1990-05-21"):
        changed = await till.as_staff(UPDATE, input={"memberId": member_id, "birthday": birthday})
        assert changed["birthday"] == f"****{birthday[4:]}"
    assert (await till.as_member(OWN_BIRTHDAY))["birthday"] == "1991-01-01"
    assert (await till.as_member(OWN_BIRTHDAY))["__typename"] == "Member"  # the same again
    corrected = {"memberId": member_id, "birthday": "1990-05-22", "name": "李雷", "region": "上海"}
    changed = await till.as_staff(UPDATE, input=corrected)
    assert (changed["birthday"], changed["name"], changed["region"]) == (
        "****-05-22",
        "李*",
        "上海",
    )
    assert await members_found(till, name="李雷") == [member_id]
    *_, act = await every(till.database, acts)
    assert (act.action, act.object_id) == ("member.update", till.shop.member.id)
    assert act.details == {"fields": ["birthday", "name", "region"]}


async def test_who_may_not_correct_a_member_changes_nothing(till: Counter) -> None:
    member_id = type_id("mem", till.shop.member.id)
    foreign = await till.database.run(places, now=till.now)
    stranger = await hired(till, foreign.group, "owner")
    change = {"memberId": member_id, "name": "x"}
    async with nothing_moves(till.database):
        assert await till.as_staff(UPDATE, who=till.shop.cashier, input=change) == "FORBIDDEN"
        unknown = {"__typename": "MemberNotFound"}
        assert await till.as_staff(UPDATE, who=stranger, input=change) == unknown
        nobody = change | {"memberId": "mem_00000000000000000000000000"}
        assert await till.as_staff(UPDATE, input=nobody) == unknown
        for bad in ({"birthday": "2999-01-01"}, {"name": ""}, {"region": "x" * 121}):
            assert await till.as_staff(UPDATE, input=change | bad) == "BAD_USER_INPUT"


async def test_contacts_are_corrected_until_somebody_signs_in(till: Counter) -> None:
    """IDN-2: from then on it takes a proof."""
    anna = await a_customer(till, name="Anna", phone="13800000020")
    ben = await a_customer(till, name="Ben", phone="13800000029")
    change = {"memberId": anna["id"], "phone": "13800000021", "email": "anna@example.com"}
    changed = await till.as_staff(UPDATE, input=change)
    assert {contact["masked"] for contact in changed["contacts"]} == {
        "138****0021",
        "a***@example.com",
    }
    assert await members_found(till, phone="13800000020") == []
    async with nothing_moves(till.database):
        taken = await till.as_staff(UPDATE, input=change | {"phone": "13800000029"})
        assert taken == {"__typename": "ContactTaken", "memberId": ben["id"]}
    await signed_in(till, PHONE)
    async with nothing_moves(till.database):
        refused = await till.as_staff(UPDATE, input=change | {"phone": "13800000028"})
        assert refused == {"__typename": "ContactIsTheirs"}


async def test_who_proves_what_staff_wrote_down_is_that_member(till: Counter) -> None:
    """IDN-3: with the card and the name they were given; nobody is there twice."""
    anna = await a_member(till, name="Anna Lee", phone="13800000021", email="anna@example.com")
    found = await signed_in(till, PHONE)
    assert (type_id("mem", found.member.id), found.is_new) == (anna["id"], False)
    assert found.merge_offer is None
    shown = await till.as_staff(PROFILE, id=anna["id"])
    assert shown["name"] == "A*** L***"
    assert shown["identities"] == [{"kind": "PHONE", "masked": "138****0021"}]
    assert shown["contacts"] == [{"kind": "EMAIL", "masked": "a***@example.com"}]
    assert [card["number"] for card in shown["cards"]] == [anna["cards"][0]["number"]]
    unmasked = await till.as_staff(UNMASK, id=anna["id"])
    assert unmasked["identities"] == [
        {"kind": "PHONE", "value": "+8613800000021", "isProven": True},
        {"kind": "EMAIL", "value": "anna@example.com", "isProven": False},
    ]
    assert (await signed_in(till, PHONE)).member.id == found.member.id


async def test_a_claim_of_somebodys_record_gives_way_to_a_proof(till: Counter) -> None:
    """What staff wrote down beside it opens nobody's account to its owner, and binds nobody."""
    anna = await a_member(till, name="Anna", phone="13800000021", email="anna@example.com")
    await signed_in(till, PHONE)
    other = await signed_in(till, EMAIL)
    assert other.is_new
    assert type_id("mem", other.member.id) != anna["id"]
    assert other.merge_offer is None
    shown = await till.as_staff(PROFILE, id=anna["id"])
    assert (shown["identities"][0]["kind"], shown["contacts"]) == ("PHONE", [])


async def test_a_member_binds_what_was_written_down_for_them(till: Counter) -> None:
    await a_member(till, name="Anna", phone="13800000021", email="anna@example.com")
    found = await signed_in(till, PHONE)
    bearer = await till.database.run(a_bearer, found.member.id, now=till.now)
    bound = await till.database.run(sign_in.bind, bearer=bearer, proofs=[EMAIL], now=till.now)
    assert isinstance(bound, Bound)
    owned = await till.database.read(identities.of_member, member_id=found.member.id)
    assert [(each.kind, each.is_proven) for each in owned] == [
        (IdentityKind.PHONE, True),
        (IdentityKind.EMAIL, True),
    ]


async def test_a_claim_keeps_nobody_signed_in(till: Counter) -> None:
    """The only proof stays, whatever is written down beside it."""
    await a_member(till, name="Anna", phone="13800000021", email="anna@example.com")
    found = await signed_in(till, PHONE)
    bearer = await till.database.run(a_bearer, found.member.id, now=till.now)
    owned = await till.database.read(identities.of_member, member_id=found.member.id)
    phone = next(each for each in owned if each.kind is IdentityKind.PHONE)
    with pytest.raises(LastIdentity):
        await till.database.run(
            identities.unbind, bearer=bearer, identity_id=phone.id, now=till.now
        )


async def test_who_joined_otherwise_is_offered_the_record_with_their_phone(till: Counter) -> None:
    """IDN-4: their WeChat made a record, staff made one with their phone; both become one."""
    anna = await a_member(till, name="Anna", phone="13800000021")
    mine = await signed_in(till, WECHAT)
    bearer = await till.database.run(a_bearer, mine.member.id, now=till.now)
    offer = await till.database.run(sign_in.bind, bearer=bearer, proofs=[PHONE], now=till.now)
    assert isinstance(offer, MergeOffer)
    await till.database.run(merges.merge, bearer=bearer, ticket=offer.ticket, now=till.now)
    owned = await till.database.read(identities.of_member, member_id=mine.member.id)
    assert {(each.kind, each.is_proven) for each in owned} == {
        (IdentityKind.WECHAT_OPENID, True),
        (IdentityKind.PHONE, True),
    }
    living = await till.database.read(members.living, parse_type_id("mem", anna["id"]))
    assert living.id == mine.member.id


async def test_an_offer_of_a_claim_ends_when_somebody_signs_in_to_it(till: Counter) -> None:
    await a_member(till, name="Anna", phone="13800000021", email="anna@example.com")
    mine = await signed_in(till, WECHAT)
    bearer = await till.database.run(a_bearer, mine.member.id, now=till.now)
    offer = await till.database.run(sign_in.bind, bearer=bearer, proofs=[EMAIL], now=till.now)
    assert isinstance(offer, MergeOffer)
    await signed_in(till, PHONE)
    async with nothing_moves(till.database):
        with pytest.raises(TicketRefused):
            await till.database.run(merges.merge, bearer=bearer, ticket=offer.ticket, now=till.now)


async def test_no_code_to_pay_with_goes_to_a_phone_nobody_proved(till: Counter) -> None:
    """CRD-8."""

    async def prepare(tx: Transaction) -> tuple[str, Any]:
        at = till.shop.places
        scheme = await a_scheme(
            tx, perspective=at.group, now=till.now,
            consumption_verification=ConsumptionVerification.SMS,
        )  # fmt: skip
        return type_id("sch", scheme.id), await a_terminal(tx, store=at.coffee_store, now=till.now)

    scheme_id, terminal = await till.database.run(prepare)
    anna = await a_member(till, name="Anna", phone="13800000021", schemeId=scheme_id)
    asked: dict[str, Any] = {
        "terminal_id": terminal.id,
        "card_id": parse_type_id("card", anna["cards"][0]["id"]),
        "address": "",
        "now": till.now,
    }
    actor = till.shop.owner.actor
    async with nothing_moves(till.database):
        with pytest.raises(consumption.NoPhone):
            await till.database.run(consumption.send_code, actor, **asked)
    await signed_in(till, PHONE)
    assert await till.database.run(consumption.send_code, actor, **asked)


async def test_a_profile_that_staff_began_is_the_members_to_finish(till: Counter) -> None:
    anna = await a_customer(till, name="Anna", phone="13800000021", birthday="1990-05-20")
    found = await signed_in(till, PHONE)
    bearer = members.Bearer(found.member.id, found.session.session.id)
    change = ProfileChange(birthday=datetime(1990, 5, 21, tzinfo=till.now.tzinfo).date())
    member = await till.database.run(
        members.change_profile, bearer=bearer, change=change, now=till.now
    )
    assert (member.birthday, member.birthday_edits) == ("1990-05-21", 1)
    assert type_id("mem", member.id) == anna["id"]
