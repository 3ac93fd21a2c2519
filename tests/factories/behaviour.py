"""Points' rules, events and what they earn, as the back office and members see them."""

from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.jobs.worker import Worker
from tests.factories.cards import Counter
from tests.factories.staff import employee

SET_RULES = """mutation ($input: PointsRulesSetInput!) { pointsRulesSet(input: $input) {
  __typename ... on Scheme { pointsRules {
    expiry { rule count }
    payment { points worth { amount currency } shareBasisPoints amountMax { amount } pointsMin }
    costPerThousand { amount currency }
    decay { afterMonths basisPoints }
    abnormal { above blocksEarning blocksSpending mailTo } } } } }"""
SET_RULE = """mutation ($input: BehaviourRuleSetInput!) { behaviourRuleSet(input: $input) {
  __typename ... on BehaviourRule {
    eventKey name points growth timesPerDay timesPerMonth timesEver isActive
    streak { days points } } } }"""
HAPPENED = """__typename ... on EventRecorded { replayed
  event { id eventKey businessDate streakDays occurredAt }
  earnings { cardId outcome points streakPoints growth } }"""
CHECK_IN = f"mutation {{ checkIn {{ {HAPPENED} }} }}"
RECORD = f"""mutation ($input: MemberEventRecordInput!) {{
  memberEventRecord(input: $input) {{ {HAPPENED} }} }}"""
EXPIRING = """query ($id: ID!, $days: Int!) { card(id: $id) {
  expiringPoints(withinDays: $days) { amount expiresAt } } }"""
CASES = """query ($scheme: ID!, $isOpen: Boolean, $first: Int! = 20, $after: String) {
  pointsCases(schemeId: $scheme, isOpen: $isOpen, first: $first, after: $after) {
    pageInfo { hasNextPage endCursor }
    edges { node { id businessDate points threshold isOpen clearedAt clearingReason
      card { id } } } } }"""


async def set_points_rules(till: Counter, /, **rules: Any) -> Any:
    """Give the shop's scheme rules, permanent points unless said otherwise."""
    asked: dict[str, Any] = {
        "schemeId": type_id("sch", till.shop.scheme.id),
        "expiry": {"rule": "PERMANENT"},
    }
    return await till.as_staff(SET_RULES, input=asked | rules)


async def set_behaviour_rule(till: Counter, event_key: str, /, **rule: Any) -> Any:
    """Say what an event earns on the shop's scheme's cards."""
    asked: dict[str, Any] = {
        "schemeId": type_id("sch", till.shop.scheme.id),
        "eventKey": event_key,
        "name": event_key.title(),
    }
    return await till.as_staff(SET_RULE, input=asked | rule)


async def check_in(till: Counter, **who: Any) -> Any:
    return await till.as_member(CHECK_IN, **who)


async def record_event(till: Counter, event_key: str, /, who: Any = None, **more: Any) -> Any:
    """Tell what the shop's member did just now."""
    asked: dict[str, Any] = {
        "memberId": type_id("mem", till.shop.member.id),
        "eventKey": event_key,
        "externalId": new_id().hex,
        "occurredAt": till.now.isoformat(),
    }
    return await till.as_staff(RECORD, who=who, input=asked | more)


async def expiring(till: Counter, card_id: str | None = None, days: int = 366) -> Any:
    """What the member sees that expires within so many days."""
    found = await till.as_member(EXPIRING, id=card_id or till.card_id, days=days)
    if isinstance(found, str):
        return found
    return [
        (each["amount"], datetime.fromisoformat(each["expiresAt"]))
        for each in found["expiringPoints"]
    ]


async def cases(till: Counter, is_open: bool | None = None) -> list[Any]:
    """The cases of the shop's scheme, newest first."""
    scheme = type_id("sch", till.shop.scheme.id)
    found = await till.as_staff(CASES, scheme=scheme, isOpen=is_open)
    return [edge["node"] for edge in found["edges"]]


async def moved_to(till: Counter, when: datetime) -> Counter:
    """The same shop at another time, with an owner who is signed in then."""
    owner = await till.database.run(employee, node=till.shop.places.group, now=when)
    return replace(till, now=when, shop=replace(till.shop, owner=owner))


async def work(database: Database, at: datetime, outside: Any = None) -> int:
    """Do everything that is due at a moment; how many jobs that were."""
    return await Worker(database, cast("Any", outside), clock=lambda: at).drain()
