"""PTS-4 to PTS-9: a scheme's rules of points, who sees them, what they cost."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlmodel import col, select

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, type_id
from app.core.money import Money
from app.models.cards import ConsumptionVerification, DeductionRule, Scheme
from app.models.operations import AuditRecord, Routine
from app.services import points, purchases, schemes
from tests.factories.behaviour import set_points_rules
from tests.factories.cards import Counter, counter
from tests.factories.ledger import nothing_moves
from tests.factories.purchases import record
from tests.factories.reading import every

pytestmark = pytest.mark.anyio

AS_MEMBER = """query ($id: ID!) { card(id: $id) { scheme { pointsRules {
  expiry { rule count }
  payment { points worth { amount currency } shareBasisPoints amountMax { amount } pointsMin }
} } } }"""
AS_STAFF = """query ($id: ID!) { card(id: $id) { scheme { pointsRules {
  decay { afterMonths } abnormal { above mailTo } } } } }"""

routines_of = statement(select(Routine).order_by(col(Routine.name)), into=Routine)
acts = statement(select(AuditRecord), into=AuditRecord)
EVERYTHING: dict[str, Any] = {
    "expiry": {"rule": "MONTHLY", "count": 12},
    "payment": {
        "points": 100,
        "worth": 150,
        "shareBasisPoints": 5_000,
        "amountMax": 2_000,
        "pointsMin": 200,
    },
    "costPerThousand": 900,
    "decay": {"afterMonths": 6, "basisPoints": 1_000},
    "abnormal": {
        "above": 500,
        "blocksEarning": True,
        "blocksSpending": True,
        "mailTo": ["Risk@Regulars.example", "risk@regulars.example", "boss@regulars.example"],
    },
}

NONSENSE: list[dict[str, Any]] = [
    {"expiry": {"rule": "MONTHLY", "count": 121}},
    {"expiry": {"rule": "DAILY", "count": -1}},
    {"expiry": {"rule": "ROLLING", "count": 121}},
    {"expiry": {"rule": "YEARLY", "count": 21}},
    {"expiry": {"rule": "NEVER"}},
    {"payment": {"points": 0, "worth": 1}},
    {"payment": {"points": 1, "worth": 0}},
    {"payment": {"points": 1_000_000_001, "worth": 1}},
    {"payment": {"points": 1, "worth": 100_000_000_001}},
    {"payment": {"points": 1, "worth": 1, "shareBasisPoints": 0}},
    {"payment": {"points": 1, "worth": 1, "shareBasisPoints": 10_001}},
    {"payment": {"points": 1, "worth": 1, "amountMax": 0}},
    {"payment": {"points": 1, "worth": 1, "pointsMin": -1}},
    {"costPerThousand": -1},
    {"decay": {"afterMonths": 0, "basisPoints": 1}},
    {"decay": {"afterMonths": 121, "basisPoints": 1}},
    {"decay": {"afterMonths": 1, "basisPoints": 0}},
    {"decay": {"afterMonths": 1, "basisPoints": 10_001}},
    {"abnormal": {"above": 0}},
    {"abnormal": {"above": 10**15 + 1}},
    {"abnormal": {"above": 1, "mailTo": ["nobody"]}},
    {"abnormal": {"above": 1, "mailTo": ["a@b.example\r\nBcc: c@d.example"]}},
    {"abnormal": {"above": 1, "mailTo": [f"{n}@regulars.example" for n in range(11)]}},
    {"schemeId": "sch_nonsense"},
]


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def routines(till: Counter) -> dict[str, datetime]:
    """When what is due next."""
    return {row.name: row.next_due_at for row in await every(till.database, routines_of)}


async def test_rules_are_set_and_seen_by_those_they_concern(till: Counter) -> None:
    """PTS-4 to PTS-9."""
    answer = await set_points_rules(till, **EVERYTHING)
    payment = {
        "points": 100,
        "worth": {"amount": 150, "currency": "CNY"},
        "shareBasisPoints": 5_000,
        "amountMax": {"amount": 2_000},
        "pointsMin": 200,
    }
    assert answer == {
        "__typename": "Scheme",
        "pointsRules": {
            "expiry": {"rule": "MONTHLY", "count": 12},
            "payment": payment,
            "costPerThousand": {"amount": 900, "currency": "CNY"},
            "decay": {"afterMonths": 6, "basisPoints": 1_000},
            "abnormal": {
                "above": 500,
                "blocksEarning": True,
                "blocksSpending": True,
                "mailTo": ["risk@regulars.example", "boss@regulars.example"],
            },
        },
    }
    seen = await till.as_member(AS_MEMBER, id=till.card_id)
    expiry = {"rule": "MONTHLY", "count": 12}
    assert seen["scheme"]["pointsRules"] == {"expiry": expiry, "payment": payment}
    # Who knows the limit of a day can stay below it.
    seen = await till.as_staff(AS_STAFF, id=till.card_id, who=till.shop.cashier)
    rules = seen["scheme"]["pointsRules"]
    assert rules == {"decay": {"afterMonths": 6}, "abnormal": None}
    actions = [row.action for row in await every(till.database, acts)]
    assert actions.count("scheme.points_rules") == 1


async def test_what_is_left_out_is_off(till: Counter) -> None:
    """PTS-4 to PTS-9: the new rules replace those of before, routines with them."""
    await set_points_rules(till, **EVERYTHING)
    shanghai = {
        "points.decay": datetime(2026, 9, 30, 16, tzinfo=UTC),
        "points.remind": datetime(2026, 9, 2, 1, tzinfo=UTC),
        "points.report_abnormal": datetime(2026, 9, 1, 16, tzinfo=UTC),
    }
    assert await routines(till) == shanghai
    answer = await set_points_rules(till)
    assert answer["pointsRules"] == {
        "expiry": {"rule": "PERMANENT", "count": 0},
        "payment": None,
        "costPerThousand": {"amount": 0, "currency": "CNY"},
        "decay": None,
        "abnormal": None,
    }
    # What was earned under the rule of before still expires, and its holder is told.
    assert set(await routines(till)) == {"points.remind"}


async def test_a_permanent_scheme_schedules_nothing(till: Counter) -> None:
    await set_points_rules(till, abnormal={"above": 10})
    assert await routines(till) == {}


@pytest.mark.parametrize("rule", ["PERMANENT", "WITH_TIER"])
async def test_a_rule_without_a_count_keeps_none(till: Counter, rule: str) -> None:
    answer = await set_points_rules(till, expiry={"rule": rule, "count": 77})
    assert answer["pointsRules"]["expiry"] == {"rule": rule, "count": 0}


async def test_nonsense_is_refused(till: Counter) -> None:
    async with nothing_moves(till.database):
        for rules in NONSENSE:
            assert await set_points_rules(till, **rules) == "BAD_USER_INPUT", rules


async def test_only_who_may_change_the_scheme_sets_its_rules(till: Counter) -> None:
    """ORG-2."""
    query = (
        "mutation ($input: PointsRulesSetInput!) { pointsRulesSet(input: $input) { __typename } }"
    )
    asked = {"schemeId": type_id("sch", new_id()), "expiry": {"rule": "PERMANENT"}}
    async with nothing_moves(till.database):
        assert await till.as_staff(query, input=asked) == {"__typename": "SchemeNotFound"}
        own = asked | {"schemeId": type_id("sch", till.shop.scheme.id)}
        refused = await till.as_staff(query, input=own, who=till.shop.cashier)
        assert refused == "FORBIDDEN"


class Counting:
    """A transaction that counts its statements."""

    def __init__(self, tx: Transaction) -> None:
        self.tx, self.number = tx, 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.tx, name)
        if name in {"all", "one", "changed", "insert"}:
            self.number += 1
        return method  # type: ignore[no-any-return]


async def statements_of_a_purchase(till: Counter) -> int:
    async def work(tx: Transaction) -> int:
        counting = Counting(tx)
        bill = purchases.Bill(
            order_number=new_id().hex,
            total=Money(1_000, "CNY"),
            tax_amount=0,
            payments=[purchases.Payment("cash", 1_000)],
            occurred_at=till.now,
        )
        await purchases.record(
            counting,
            actor,
            terminal_id=till.shop.terminal.id,
            card_id=till.shop.card.id,
            bill=bill,
            request_key=new_id().hex,
            now=till.now,
        )
        return counting.number

    actor = till.shop.owner.actor
    return await till.database.run(work)


async def test_permanent_points_cost_a_purchase_no_statement_more(till: Counter) -> None:
    """PTS-4: what a scheme does not use, its purchases do not pay for."""
    await record(till, 1_000)
    before = await statements_of_a_purchase(till)
    await set_points_rules(till, payment={"points": 1, "worth": 1}, decay=EVERYTHING["decay"])
    assert await statements_of_a_purchase(till) == before
    await set_points_rules(till, expiry={"rule": "WITH_TIER"})
    assert await statements_of_a_purchase(till) == before + 1
    await set_points_rules(till, expiry={"rule": "DAILY", "count": 1})
    assert await statements_of_a_purchase(till) == before + 1


def worth_of(points_each: int, worth_each: int) -> Scheme:
    return schemes.new_scheme(
        group_id=new_id(),
        perspective_id=new_id(),
        name="Regulars",
        currency="CNY",
        deduction_rule=DeductionRule.CASH_FIRST,
        consumption_verification=ConsumptionVerification.NONE,
        points_unit=100,
        points_rate=1,
        created_at=datetime(2026, 9, 1, tzinfo=UTC),
        points_worth_points=points_each,
        points_worth_amount=worth_each,
    )


@pytest.mark.parametrize(
    ("points_each", "worth_each", "number", "worth"),
    [
        (100, 150, 100, 150),
        (100, 150, 1, 1),
        (100, 150, 0, 0),
        (3, 1, 2, 0),
        (3, 1, 3, 1),
        (0, 0, 1_000_000, 0),
    ],
)
def test_points_are_worth_what_the_rule_says_rounded_down(
    points_each: int, worth_each: int, number: int, worth: int
) -> None:
    """PTS-6: nothing where the scheme has no rule."""
    assert points.worth(worth_of(points_each, worth_each), number) == worth


@pytest.mark.parametrize(
    ("points_each", "worth_each", "amount", "number"),
    [(100, 150, 150, 100), (100, 150, 1, 1), (100, 150, 151, 101), (3, 1, 2, 6), (1, 7, 8, 2)],
)
def test_a_bill_needs_as_many_points_as_pay_it(
    points_each: int, worth_each: int, amount: int, number: int
) -> None:
    """PTS-6: rounded up, so that nobody pays with less."""
    scheme = worth_of(points_each, worth_each)
    assert points.needed(scheme, amount) == number
    assert points.worth(scheme, number) >= amount > points.worth(scheme, number - 1)
