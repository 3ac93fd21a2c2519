"""Rules of tiers as they are released, the runs that follow, and what cards show of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlmodel import col, select

from app.core.db import Transaction, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.jobs.worker import Worker
from app.models.cards import Card
from app.models.tiers import TierRun
from app.services import members, tiers
from tests.factories.cards import Counter, the_card
from tests.factories.member_cards import a_card
from tests.factories.staff import employee

RELEASE = """mutation ($input: TierRulesReleaseInput!) { tierRulesRelease(input: $input) {
  __typename
  ... on TierRulesReleased {
    scheme {
      tiers { id name level growthFrom condition windowMonths
              tasks { kind eventKey atLeast windowMonths } }
      tierRules { areComputed version growthRate growthUnit { amount }
                  growthOnly { id name } growthExcept { id name } onGrowthChange afterExpiry
                  validity { rule months } recalculation { months day } } }
    run { id cause state numberOfCards numberDone numberChanged } }
  ... on EditedMeanwhile { currentVersion }
  ... on TierRulesLocked { run { id state } }
  ... on TierInUse { tierId }
} }"""
SET_TIER = """mutation ($input: CardTierSetInput!) { cardTierSet(input: $input) {
  __typename ... on Card { tier { name } } ... on CardNotUsable { status } } }"""
CARD = """query ($id: ID!) { card(id: $id) { tier { name } balances { growth } } }"""
PROGRESS = """query ($id: ID!) { card(id: $id) { tierProgress {
  tier { name } growthNeeded growthGained expiresAt
  tasks { kind eventKey atLeast reached } } } }"""
CHANGES = """query ($id: ID!, $first: Int! = 20, $after: String) { card(id: $id) {
  tierChanges(first: $first, after: $after) {
    pageInfo { hasNextPage endCursor }
    edges { node { cardId from { name } to { name } cause changedAt } } } } }"""
GAINED = """query ($id: ID!, $from: DateTime!, $to: DateTime!) {
  card(id: $id) { growthGained(from: $from, to: $to) } }"""
TIERS = """query ($id: ID!) { scheme(id: $id) {
  tiers { id name } tierRules { areComputed version } tierRun { id } } }"""
RUN = """query ($id: ID!) { tierRun(id: $id) {
  cause state numberOfCards numberDone numberChanged finishedAt } }"""
CREATE = """mutation ($input: TierCreateInput!) { tierCreate(input: $input) {
  __typename ... on Tier { level } ... on TierRulesLocked { run { id state } } } }"""

HALF_A_YEAR = {"rule": "DAY_AFTER_MONTHS", "months": 6}
SHANGHAI_MIDNIGHT = datetime(2027, 3, 1, 16, 0, tzinfo=UTC)
"""Half a year after 1 September 2026, the time of the tests, at the end of that day."""

ACCUMULATED = (("Green", 0), ("Silver", 100), ("Gold", 1_000))
"""Names of tiers and the growth they begin at, by all that was accumulated."""

runs = statement(select(TierRun).order_by(col(TierRun.id)), into=TierRun)


def a_tier(name: str, growth_from: int = 0, /, **more: Any) -> dict[str, Any]:
    return {"name": name, "growthFrom": growth_from} | more


def in_window(name: str, growth_from: int, months: int, /, **more: Any) -> dict[str, Any]:
    """A tier for growth of the last months."""
    return a_tier(name, growth_from, condition="WINDOW", windowMonths=months, **more)


def not_by_growth(name: str, /, **more: Any) -> dict[str, Any]:
    return a_tier(name, 0, condition="NONE", **more)


async def rules(till: Counter, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Rules for the shop's scheme: 10 growth for each 10.00, for good, unless said otherwise.

    Steps are above Green, the tier there is; those named as one there is are that one.
    """
    scheme = await till.as_staff(TIERS, id=scheme_id(till))
    ids = {tier["name"]: tier["id"] for tier in scheme["tiers"]}
    wanted = [a_tier("Green"), *(steps or [a_tier(*step) for step in ACCUMULATED[1:]])]
    given: dict[str, Any] = {
        "schemeId": scheme_id(till),
        "expectedVersion": scheme["tierRules"]["version"],
        "growthUnit": 1_000,
        "growthRate": 10,
        "validity": {"rule": "PERMANENT"},
        "tiers": [{"id": ids.get(tier["name"])} | tier for tier in wanted],
    }
    return given | more


async def release(till: Counter, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Release rules (`rules`) and recompute all cards by them."""
    released: dict[str, Any] = await till.as_staff(RELEASE, input=await rules(till, *steps, **more))
    assert released["__typename"] == "TierRulesReleased", released
    await do_jobs(till)
    return released


async def begun(till: Counter, *steps: dict[str, Any], **more: Any) -> UUID:
    """A run that was begun and has done nothing yet."""
    released = await till.as_staff(RELEASE, input=await rules(till, *steps, **more))
    assert released["__typename"] == "TierRulesReleased", released
    return parse_type_id("trun", released["run"]["id"])


async def two_more_tiers(till: Counter) -> None:
    """Silver and Gold in a scheme that only records."""
    for name, growth_from in ACCUMULATED[1:]:
        given = {"schemeId": scheme_id(till), "name": name, "growthFrom": growth_from}
        assert (await till.as_staff(CREATE, input=given))["__typename"] == "Tier"


def scheme_id(till: Counter) -> str:
    return type_id("sch", till.shop.scheme.id)


async def do_jobs(till: Counter) -> None:
    """All work that is due at the counter's time."""
    worker = Worker(till.database, cast("Any", None), clock=lambda: till.now)
    await worker.drain()


async def do_routines(till: Counter) -> None:
    """What is due at set times up to the counter's time, and the work that follows."""
    worker = Worker(till.database, cast("Any", None), clock=lambda: till.now)
    await worker.begin_routines()
    await worker.drain()


async def expire(till: Counter) -> int:
    """End what is over at the counter's time; how much that was."""
    count = 0
    while ended := await till.database.run(tiers.expire_due, now=till.now):
        count += ended
    return count


async def standing(till: Counter, card_id: str | None = None) -> tuple[str, int]:
    """A card's tier and growth, as staff see them."""
    card = await till.as_staff(CARD, id=card_id or till.card_id)
    return card["tier"]["name"], card["balances"]["growth"]


async def changes(till: Counter, card_id: str | None = None) -> list[tuple[str, str, str]]:
    """How a card's tier changed, oldest first: from, to, why."""
    card = await till.as_staff(CHANGES, id=card_id or till.card_id)
    nodes = [edge["node"] for edge in card["tierChanges"]["edges"]]
    return [(n["from"]["name"], n["to"]["name"], n["cause"]) for n in reversed(nodes)]


async def progress(till: Counter, card_id: str | None = None) -> Any:
    card = await till.as_member(PROGRESS, id=card_id or till.card_id)
    return card["tierProgress"]


async def set_tier(till: Counter, name: str | None, /, **more: Any) -> Any:
    """Write the shop's card's tier by its name; what the mutation answers."""
    scheme = await till.as_staff(TIERS, id=scheme_id(till))
    ids = {tier["name"]: tier["id"] for tier in scheme["tiers"]}
    who = more.pop("who", None)
    given = {"cardId": till.card_id, "tierId": ids[name] if name else None, "reason": "A promise"}
    return await till.as_staff(SET_TIER, who=who, input=given | more)


async def tier_id(till: Counter, name: str) -> UUID:
    scheme = await till.as_staff(TIERS, id=scheme_id(till))
    return next(
        parse_type_id("tier", tier["id"]) for tier in scheme["tiers"] if tier["name"] == name
    )


async def row(till: Counter) -> Card:
    """The shop's card as it is now."""
    return await till.database.read(the_card, till.shop.card.id)


async def at(till: Counter, moment: datetime) -> Counter:
    """The same counter at that moment, with an owner who signed in then."""
    group = till.shop.places.group
    owner = await till.database.run(employee, node=group, now=moment)
    return replace(till, now=moment, shop=replace(till.shop, owner=owner))


async def later(till: Counter, **duration: float) -> Counter:
    return await at(till, till.now + timedelta(**duration))


async def more_cards(till: Counter, growth: list[int]) -> list[str]:
    """Cards of others, with so much growth each; their ids in the order they were opened."""
    return [await till.database.run(card_with, till, amount) for amount in growth]


async def card_with(tx: Transaction, till: Counter, growth: int) -> str:
    member = await members.create(tx, group_id=till.shop.places.group.id, name=None, now=till.now)
    card = await a_card(tx, member_id=member.id, scheme=till.shop.scheme, now=till.now)
    if growth:
        await earn(tx, till, card, growth)
    return type_id("card", card.id)


async def earn(tx: Transaction, till: Counter, card: Card, amount: int) -> None:
    await tiers.earn_growth(
        tx, card=card, scheme=till.shop.scheme, amount=amount, cause_kind="test",
        cause_id=new_id(), actor_kind=till.shop.owner.actor.kind, actor_id=None, store_id=None,
        occurred_at=till.now, now=till.now,
    )  # fmt: skip
