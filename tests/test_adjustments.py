"""CRD-4, CRD-6, TOP-11: what the back office changes by hand, by whom, and within which limits."""

import asyncio
from typing import Any

import pytest

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.models.identities import IdentityKind
from app.models.ledger import AccountKind
from app.models.staff import Permission
from app.services import identities, ledger
from app.services.identities import Proof
from resolvers.root import admin_schema
from tests.factories.adjustments import (
    NO_LIMITS,
    PROPOSE,
    REFUND_CARD,
    RULES_SET,
    decide,
    propose,
    refund_card,
    set_rules,
)
from tests.factories.cards import Counter, a_scheme, counter, the_card
from tests.factories.ledger import account, nothing_moves
from tests.factories.member_cards import a_card, adjust
from tests.factories.organisation import places
from tests.factories.partners import partner, principal_of
from tests.factories.staff import Employee, employee

pytestmark = pytest.mark.anyio


@pytest.fixture
async def till(database: Database, now: Any) -> Counter:
    return await counter(database, now)


async def finance(till: Counter) -> Employee:
    return await till.database.run(
        employee, node=till.shop.places.group, role="finance", now=till.now
    )


async def balance(till: Counter, kind: AccountKind) -> int:
    return (await account(till.database, till.shop.card.id, kind)).balance


async def test_staff_add_and_take_each_kind_of_value(till: Counter) -> None:
    """CRD-6: with a reason, at once below the limit, and on record with who did it."""
    for kind, amount, left in (("CASH", 500, 300), ("BONUS", 90, 1), ("POINTS", 40, 39)):
        added = await propose(till, kind, amount)
        assert added["adjustment"]["state"] == "APPLIED"
        taken = await propose(till, kind, left - amount)
        assert taken["adjustment"]["amount"] == left - amount
        assert await balance(till, AccountKind(kind)) == left
    lines = await till.as_staff(
        "query ($id: ID!) { card(id: $id) { ledger(first: 1) { edges { node { cause } } } } }",
        id=till.card_id,
    )
    assert lines["ledger"]["edges"][0]["node"] == {"cause": "ADJUST"}
    log = await till.as_staff(
        """{ auditRecords(first: 1, filter: {action: "adjustment.propose"}) {
          edges { node { actorId details } } } }"""
    )
    (record,) = [edge["node"] for edge in log["edges"]]
    assert record["actorId"] == type_id("stf", till.shop.owner.principal.id)
    assert "Counted again" in str(record["details"])
    assert await till.database.scan(ledger.check) == []


async def test_above_the_limit_a_second_person_decides(till: Counter) -> None:
    """CRD-6: the defaults are 1,000.00 and 10,000 points; nothing moves before."""
    await set_rules(till, adjustmentApprovalAbove=100_000, pointsApprovalAbove=10_000)
    second = await finance(till)
    at_limit = await propose(till, "CASH", 100_000)
    assert at_limit["adjustment"]["state"] == "APPLIED"
    waits = await propose(till, "CASH", 100_001)
    proposed = waits["adjustment"]
    assert proposed["state"] == "PROPOSED"
    assert await balance(till, AccountKind.CASH) == 100_000
    async with nothing_moves(till.database):
        own = await decide(till, proposed["id"], True, who=till.shop.owner)
        assert own == {"__typename": "SecondPersonNeeded"}
    approved = await decide(till, proposed["id"], True, who=second)
    assert approved["state"] == "APPLIED"
    assert approved["decidedById"] == type_id("stf", second.principal.id)
    assert await balance(till, AccountKind.CASH) == 200_001
    async with nothing_moves(till.database):
        again = await decide(till, proposed["id"], True, who=second)
        assert again == {"__typename": "AdjustmentDecided", "state": "APPLIED"}
    points = (await propose(till, "POINTS", 10_001))["adjustment"]
    assert points["state"] == "PROPOSED"
    rejected = await decide(till, points["id"], False, who=till.shop.owner)
    assert rejected["state"] == "REJECTED"
    assert await balance(till, AccountKind.POINTS) == 0


async def test_two_who_approve_at_once_move_it_once(till: Counter) -> None:
    await set_rules(till, adjustmentApprovalAbove=100_000)
    others = [await finance(till) for _ in range(2)]
    proposed = (await propose(till, "CASH", 150_000))["adjustment"]
    answers = await asyncio.gather(
        *(decide(till, proposed["id"], True, who=other) for other in others * 4)
    )
    assert sorted(a["__typename"] for a in answers) == ["Adjustment"] + ["AdjustmentDecided"] * 7
    assert await balance(till, AccountKind.CASH) == 150_000


async def test_an_adjustment_is_made_once(till: Counter) -> None:
    answers = await asyncio.gather(*(propose(till, "CASH", 70, requestKey="k") for _ in range(16)))
    assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 15
    assert await balance(till, AccountKind.CASH) == 70
    async with nothing_moves(till.database):
        reused = await propose(till, "CASH", 71, requestKey="k")
        assert reused == {"__typename": "RequestKeyReused"}


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"amount": 0}, "BAD_USER_INPUT"),
        ({"amount": 2**63 - 1}, "BAD_USER_INPUT"),
        ({"amount": -(2**63)}, "BAD_USER_INPUT"),
        ({"amount": -71}, {"__typename": "NotEnoughValue", "kind": "CASH", "shortBy": 1}),
        ({"kind": "GROWTH"}, "BAD_USER_INPUT"),
        ({"reason": ""}, "BAD_USER_INPUT"),
        ({"reason": "x" * 201}, "BAD_USER_INPUT"),
        ({"requestKey": ""}, "BAD_USER_INPUT"),
        ({"cardId": "card_1"}, "BAD_USER_INPUT"),
        ({"cardId": type_id("card", new_id())}, {"__typename": "CardNotFound"}),
    ],
)
async def test_what_cannot_be_adjusted_moves_nothing(
    till: Counter, change: dict[str, Any], answer: Any
) -> None:
    await propose(till, "CASH", 70)
    async with nothing_moves(till.database):
        assert await propose(till, "CASH", 1, **change) == answer


async def test_never_at_a_till_nor_by_a_partner(till: Counter) -> None:
    """CRD-6: back office only, whatever a partner's scopes say."""
    scopes = {Permission.ADJUSTMENTS_WRITE, Permission.CARDS_REFUND}
    made = await till.database.run(
        partner, node=till.shop.places.group, scopes=scopes, now=till.now
    )
    machine = principal_of(made.client, now=till.now)
    asked = {
        "cardId": till.card_id,
        "kind": "CASH",
        "amount": 1,
        "reason": "No",
        "requestKey": "k",
    }
    paid_out = {"cardId": till.card_id, "methodCode": "cash", "reason": "No", "requestKey": "k"}
    foreign = await till.database.run(places, now=till.now)
    stranger = await till.database.run(employee, node=foreign.group, now=till.now)
    async with nothing_moves(till.database):
        assert await propose(till, "CASH", 1, who=till.shop.cashier) == "FORBIDDEN"
        by_machine = await till.ask(admin_schema, PROPOSE, machine, {"input": asked})
        assert by_machine == "FORBIDDEN"
        by_machine = await till.ask(admin_schema, REFUND_CARD, machine, {"input": paid_out})
        assert by_machine == "FORBIDDEN"
        assert await propose(till, "CASH", 1, who=stranger) == {"__typename": "CardNotFound"}


async def test_what_is_owed_is_paid_first_and_staff_can_clear_it(till: Counter) -> None:
    """CRD-6: a debt of points is cleared by adding as many."""

    card_id = till.shop.card.id
    await till.database.run(adjust, card_id, AccountKind.POINTS, -30, till.now)
    assert (await account(till.database, card_id)).debt == 30
    await propose(till, "POINTS", 30)
    cleared = await account(till.database, card_id)
    assert (cleared.balance, cleared.debt) == (0, 0)


# Refunding a card


async def test_a_refunded_card_pays_its_cash_out_and_ends(till: Counter) -> None:
    """CRD-4: cash paid out, bonus voided, card closed, all of it on record."""
    await propose(till, "CASH", 12_345)
    await propose(till, "BONUS", 678)
    await propose(till, "POINTS", 90)
    refunded = await refund_card(till, requestKey="r")
    assert refunded == {
        "__typename": "CardRefunded",
        "replayed": False,
        "paidOut": {"amount": 12_345},
        "voidedBonus": {"amount": 678},
        "voidedPoints": 90,
        "card": {
            "status": "REFUNDED",
            "balances": {
                "cash": {"amount": 0},
                "bonus": {"amount": 0},
                "points": 0,
                "pointsDebt": 0,
            },
        },
    }
    async with nothing_moves(till.database):
        again = await refund_card(till, requestKey="r")
        assert (again["replayed"], again["paidOut"]) == (True, {"amount": 12_345})
        assert await refund_card(till) == {"__typename": "CardAlreadyRefunded"}
        assert await propose(till, "CASH", 1) == {
            "__typename": "CardNotUsable",
            "status": "REFUNDED",
        }


async def test_after_a_refund_the_member_can_open_another_card(till: Counter) -> None:
    """CRD-2: one card of a scheme in hand; a refunded one is not."""
    await refund_card(till)
    joined = await till.as_member(
        "mutation ($id: ID!) { cardJoin(input: {schemeId: $id}) { ... on Card { id status } } }",
        id=type_id("sch", till.shop.scheme.id),
    )
    assert joined["status"] == "NORMAL"
    assert joined["id"] != till.card_id
    assert (await till.database.read(the_card, joined["id"])).id != till.shop.card.id


async def test_a_card_is_paid_out_once_whoever_asks(till: Counter) -> None:
    await propose(till, "CASH", 1_000)
    answers = await asyncio.gather(*(refund_card(till) for _ in range(8)))
    made = [answer for answer in answers if answer["__typename"] == "CardRefunded"]
    assert len(made) == 1
    assert await till.database.scan(ledger.check) == []


async def test_a_method_nobody_knows_pays_nothing_out(till: Counter) -> None:
    async with nothing_moves(till.database):
        refused = await refund_card(till, methodCode="barter")
        assert refused == {"__typename": "PaymentMethodUnknown"}


# Caps


async def test_a_card_holds_what_the_law_allows(till: Counter) -> None:
    """TOP-11: ¥1,000 while nobody knows whose it is, ¥5,000 once name and phone are known."""
    await set_rules(till, registeredCardCap=500_000, unregisteredCardCap=100_000)
    await propose(till, "CASH", 99_000)
    async with nothing_moves(till.database):
        assert await propose(till, "CASH", 1_001) == {
            "__typename": "CardCapReached",
            "limit": {"amount": 100_000},
            "room": {"amount": 1_000},
        }
    await till.database.run(
        identities.bind,
        member=till.shop.member,
        proof=Proof(IdentityKind.PHONE, "+8613812345678"),
        now=till.now,
    )
    await propose(till, "CASH", 401_000)
    assert await balance(till, AccountKind.CASH) == 500_000
    async with nothing_moves(till.database):
        refused = await propose(till, "CASH", 1)
        assert refused["room"] == {"amount": 0}


async def test_the_laws_limits_hold_until_a_group_sets_its_own(till: Counter) -> None:
    """TOP-11: in minor units, shown to staff and changed by those who may."""
    shown = await till.as_staff(
        """{ groupRules(currency: "CNY") { registeredCardCap unregisteredCardCap realNameFrom
          transferFrom companyTransferFrom personCap orderMax dayMax adjustmentApprovalAbove
          pointsApprovalAbove } }"""
    )
    assert shown == {
        "registeredCardCap": 500_000,
        "unregisteredCardCap": 100_000,
        "realNameFrom": 1_000_000,
        "transferFrom": 5_000_000,
        "companyTransferFrom": 500_000,
        "personCap": None,
        "orderMax": None,
        "dayMax": None,
        "adjustmentApprovalAbove": 100_000,
        "pointsApprovalAbove": 10_000,
    }
    changed = await set_rules(till, personCap=700, adjustmentApprovalAbove=5)
    assert changed == {
        "__typename": "GroupRules",
        "registeredCardCap": None,
        "personCap": 700,
        "companyTransferFrom": 500_000,
        "adjustmentApprovalAbove": 5,
    }
    # A client that does not know of it leaves it as it is; null lifts it.
    for given, kept in (
        ({"companyTransferFrom": 7}, 7),
        ({}, 7),
        ({"companyTransferFrom": None}, None),
    ):
        assert (await set_rules(till, **given))["companyTransferFrom"] == kept
    async with nothing_moves(till.database):
        negative = NO_LIMITS | {"dayMax": -1}
        assert await till.as_staff(RULES_SET, input=negative) == "BAD_USER_INPUT"
        nowhere = NO_LIMITS | {"currency": "XXX"}
        assert await till.as_staff(RULES_SET, input=nowhere) == "BAD_USER_INPUT"
        refused = await till.as_staff(RULES_SET, who=till.shop.cashier, input=NO_LIMITS)
        assert refused == "FORBIDDEN"


async def test_a_persons_cards_count_together(till: Counter) -> None:
    """TOP-11: the cap per person looks at all their cards."""

    other = await till.database.run(a_scheme, perspective=till.shop.places.group, now=till.now)
    await till.database.run(
        a_card, member_id=till.shop.member.id, scheme=other, cash=600, now=till.now
    )
    await set_rules(till, personCap=1_000)
    await propose(till, "CASH", 400)
    async with nothing_moves(till.database):
        assert await propose(till, "CASH", 1) == {
            "__typename": "PersonCapReached",
            "limit": {"amount": 1_000},
            "room": {"amount": 0},
        }


async def test_a_document_is_recorded_masked_and_encrypted(till: Counter) -> None:
    """TOP-11, SEC-1: who is behind large sums."""
    recorded = await till.as_staff(
        """mutation ($id: ID!) { realNameRecord(input: {memberId: $id, name: "王小明",
          documentKind: ID_CARD, documentNumber: "11010519491231002X"}) {
          ... on RealName { name documentKind documentNumber } } }""",
        id=type_id("mem", till.shop.member.id),
    )
    assert recorded == {
        "name": "王**",
        "documentKind": "ID_CARD",
        "documentNumber": "**************002X",
    }
