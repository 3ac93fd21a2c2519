"""Top-up plans, drafted and sold through the admin API (TOP-2…TOP-5, TOP-10)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlmodel import select

from app.core.db import Database, Transaction, light, statement
from app.core.ids import parse_type_id, type_id
from app.models.cards import Card
from app.models.scopes import Channel, Scope, ScopeAudience, ScopePlace
from app.models.top_ups import TopUpOrder, TopUpSource, TopUpState
from tests.factories.cards import Counter
from tests.factories.ledger import nothing_moves
from tests.factories.reading import every

PLAN = """fragment plan on TopUpPlan { id kind state name currency version stockLeft
  isVisible firstOnly firstTopUpBonus { bonusBasisPoints pointsBasisPoints }
  grantedTier { name } grantedMonths limitPerMember spendingItems spendingNodeIds
  sameDayShareBasisPoints bonusOnTheDay bonusValidDays triggerAmount { amount currency } rounding
  agreement description coverUrl createdAt changedAt perspective { name }
  steps { __typename
    ... on TopUpFixedStep { amount { amount currency } bonus { amount } points }
    ... on TopUpRangeStep { amountFrom { amount } amountTo { amount } bonusBasisPoints
      pointsBasisPoints }
    ... on TopUpCustomStep { amountFrom { amount } amountTo { amount } bonusFrom { amount }
      bonusTo { amount } pointsFrom pointsTo }
    ... on TopUpDiscountStep { timesBasisPoints bonusBasisPoints }
    ... on TopUpGiftStep { timesBasisPoints bonusBasisPoints pointsBasisPoints } }
  scope { channels includedNodeIds excludedNodeIds includedStoreGroupIds excludedStoreGroupIds
    schemeIds tierIds tagIds forStudents
    schedule { timeZone startsAt endsAt recurrence { kind days lastDay } window { start end }
      dates { date windows { start end } } } } }"""
EDITED = "... on EditedMeanwhile { currentVersion } ... on PlanNotEditable { state }"
MOVED = "... on PlanStateUnchangeable { current }"


def _mutation(name: str, refusals: str) -> str:
    answer = f"__typename ...plan ... on Problem {{ message }} {refusals}"
    document = f"{name}(input: $input) {{ {answer} }}"
    return f"mutation ($input: {name[0].upper()}{name[1:]}Input!) {{ {document} }} {PLAN}"


CREATE = _mutation("topUpPlanCreate", "")
UPDATE = _mutation("topUpPlanUpdate", EDITED)
SET_STOCK = _mutation("topUpPlanSetStock", EDITED)
ACTIVATE = _mutation(
    "topUpPlanActivate", MOVED + " ... on CustomPlanExists { planId name store { name } }"
)
DEACTIVATE = _mutation("topUpPlanDeactivate", MOVED)
ARCHIVE = _mutation("topUpPlanArchive", MOVED)
ONE = "query ($id: ID!) { topUpPlan(id: $id) { ...plan } } " + PLAN
LIST = """query ($first: Int = 20, $after: String, $state: PlanState, $kind: TopUpPlanKind,
    $search: String, $under: ID) {
  topUpPlans(first: $first, after: $after, state: $state, kind: $kind, search: $search,
    perspectiveId: $under) { edges { node { id name } } pageInfo { hasNextPage endCursor } } }"""

_tables: list[Any] = [Scope, ScopePlace, ScopeAudience]
_rows = [statement(select(table).order_by(table.id), into=table) for table in _tables]


def fixed(amount: int, bonus: int = 0, points: int = 0) -> dict[str, Any]:
    return {"fixed": {"amount": amount, "bonus": bonus, "points": points}}


def ranging(amount_from: int, amount_to: int, bonus: int = 0, points: int = 0) -> dict[str, Any]:
    """A range; shares in basis points."""
    shares = {"bonusBasisPoints": bonus, "pointsBasisPoints": points}
    return {"range": {"amountFrom": amount_from, "amountTo": amount_to} | shares}


def custom(
    amounts: tuple[int, int], bonus: tuple[int, int] = (0, 0), points: tuple[int, int] = (0, 0)
) -> dict[str, Any]:
    return {
        "custom": {
            "amountFrom": amounts[0],
            "amountTo": amounts[1],
            "bonusFrom": bonus[0],
            "bonusTo": bonus[1],
            "pointsFrom": points[0],
            "pointsTo": points[1],
        }
    }


STEPS = {
    "PACKAGE": fixed(100_00, 10_00, 50),
    "CUSTOM": custom((50_00, 500_00), (0, 50_00)),
    "SMART": {"discount": {"timesBasisPoints": 12_000, "bonusBasisPoints": 800}},
}


def a_plan(counter: Counter, kind: str = "PACKAGE", /, **more: Any) -> dict[str, Any]:
    """A plan of the whole group, in CNY: pay 100.00, get 10.00 and 50 points."""
    plan: dict[str, Any] = {
        "perspectiveId": type_id("node", counter.shop.places.group.id),
        "kind": kind,
        "currency": "CNY",
        "name": "Pay 100, get 110",
        "steps": [STEPS[kind]],
    }
    smart = {"rounding": "TENTH"} if kind == "SMART" else {}
    return plan | smart | more


def an_edit(plan: dict[str, Any], given: dict[str, Any], /, **more: Any) -> dict[str, Any]:
    """What changes a plan that was made of `given`, in its present version."""
    fixed_for_good = {"perspectiveId", "kind", "currency", "stock"}
    kept = {name: value for name, value in given.items() if name not in fixed_for_good}
    return kept | {"id": plan["id"], "expectedVersion": plan["version"]} | more


async def draft(counter: Counter, kind: str = "PACKAGE", /, **more: Any) -> Any:
    """A plan that nobody can buy yet, as the mutation answers it."""
    made = await counter.as_staff(CREATE, input=a_plan(counter, kind, **more))
    assert isinstance(made, dict), made
    assert made["__typename"] == "TopUpPlan", made
    return made


async def plan_of(counter: Counter, kind: str = "PACKAGE", /, **more: Any) -> Any:
    """A plan on sale, as the mutation answers it."""
    made = await draft(counter, kind, **more)
    active = await counter.as_staff(ACTIVATE, input={"id": made["id"]})
    assert active["__typename"] == "TopUpPlan", active
    return active


async def an_order(
    tx: Transaction,
    *,
    card: Card,
    plan_id: str | None = None,
    state: TopUpState = TopUpState.CREDITED,
    now: datetime,
) -> TopUpOrder:
    """A top-up that was made before, without what it brought."""
    order = light(TopUpOrder)(
        group_id=card.group_id,
        card_id=card.id,
        member_id=card.member_id,
        plan_id=None if plan_id is None else parse_type_id("plan", plan_id),
        source=TopUpSource.PLAN,
        channel=Channel.POS,
        currency="CNY",
        amount=100_00,
        bonus=0,
        points=0,
        terms={},
        state=state,
        created_at=now,
    )
    await tx.insert(order)
    return order


@asynccontextmanager
async def plans_stay(database: Database) -> AsyncIterator[None]:
    """What happens within is refused: nothing is different afterwards, scopes included."""
    before = [await every(database, rows) for rows in _rows]
    async with nothing_moves(database):
        yield
    assert [await every(database, rows) for rows in _rows] == before
