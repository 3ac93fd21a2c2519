"""What the back office does to cards by hand."""

from typing import Any

from app.core.ids import new_id
from tests.factories.cards import Counter
from tests.factories.staff import Employee

PROPOSE = """mutation ($input: AdjustmentProposeInput!) { adjustmentPropose(input: $input) {
  __typename
  ... on AdjustmentProposed { replayed adjustment { id state amount unit kind reason } }
  ... on NotEnoughValue { kind shortBy }
  ... on CardCapReached { limit { amount } room { amount } }
  ... on PersonCapReached { limit { amount } room { amount } }
  ... on CardNotUsable { status }
} }"""
DECIDE = """mutation ($id: ID!, $yes: Boolean!) {
  adjustmentDecide(input: {adjustmentId: $id, isApproved: $yes}) {
    __typename
    ... on Adjustment { state decidedById }
    ... on AdjustmentDecided { state }
    ... on NotEnoughValue { shortBy }
  } }"""
REFUND_CARD = """mutation ($input: CardRefundInput!) { cardRefund(input: $input) {
  __typename
  ... on CardRefunded { replayed paidOut { amount } voidedBonus { amount } voidedPoints
    card { status balances { cash { amount } bonus { amount } points pointsDebt } } }
} }"""
RULES_SET = """mutation ($input: GroupRulesSetInput!) { groupRulesSet(input: $input) {
  __typename registeredCardCap personCap companyTransferFrom adjustmentApprovalAbove } }"""
NO_LIMITS: dict[str, Any] = {
    "currency": "CNY",
    "registeredCardCap": None,
    "unregisteredCardCap": None,
    "personCap": None,
    "orderMax": None,
    "dayMax": None,
    "realNameFrom": None,
    "transferFrom": None,
    "adjustmentApprovalAbove": None,
    "pointsApprovalAbove": None,
}


async def propose(
    counter: Counter, kind: str, amount: int, /, *, who: Employee | None = None, **more: Any
) -> Any:
    """Propose an adjustment of the shop's card, as the owner unless somebody else is named."""
    asked: dict[str, Any] = {
        "cardId": counter.card_id,
        "kind": kind,
        "amount": amount,
        "reason": "Counted again",
        "requestKey": new_id().hex,
    }
    return await counter.as_staff(PROPOSE, who=who, input=asked | more)


async def decide(counter: Counter, adjustment_id: str, yes: bool, /, *, who: Employee) -> Any:
    return await counter.as_staff(DECIDE, who=who, id=adjustment_id, yes=yes)


async def refund_card(counter: Counter, /, *, who: Employee | None = None, **more: Any) -> Any:
    asked: dict[str, Any] = {
        "cardId": counter.card_id,
        "methodCode": "cash",
        "reason": "Moves away",
        "requestKey": new_id().hex,
    }
    return await counter.as_staff(REFUND_CARD, who=who, input=asked | more)


async def set_rules(counter: Counter, **limits: int | None) -> Any:
    """Lift all limits in yuan but these; `companyTransferFrom` stays unless it is given."""
    return await counter.as_staff(RULES_SET, input=NO_LIMITS | limits)
