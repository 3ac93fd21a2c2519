"""Bills, as tills report them."""

from typing import Any

from app.core.ids import new_id
from tests.factories.cards import Counter

RECORD = """mutation ($input: PurchaseRecordInput!) { purchaseRecord(input: $input) {
  __typename
  ... on PurchaseRecorded { pointsEarned replayed purchase { id net { amount currency } } }
  ... on OrderNumberTaken { purchaseId }
  ... on PaymentMethodUnknown { code }
  ... on PaymentsDoNotAddUp { shortBy }
  ... on WrongCurrency { expected }
  ... on CardNotUsable { status }
} }"""
REFUND = """mutation ($input: PurchaseRefundInput!) { purchaseRefund(input: $input) {
  __typename
  ... on PurchaseRefunded {
    replayed refund { id amount { amount } pointsTaken }
    purchase { refunded { amount } pointsTakenBack refunds { amount { amount } } } }
  ... on RefundTooLarge { refundable { amount currency } }
  ... on WrongCurrency { expected }
} }"""


def a_bill(
    counter: Counter, total: int, /, payments: dict[str, int] | None = None, **more: Any
) -> dict[str, Any]:
    """A bill paid in cash unless it says otherwise; the till is of the coffee store."""
    paid = {"cash": total} if payments is None and total else payments or {}
    bill: dict[str, Any] = {
        "terminalId": counter.terminal_id,
        "cardId": counter.card_id,
        "orderNumber": new_id().hex,
        "total": {"amount": total, "currency": "CNY"},
        "taxAmount": 0,
        "payments": [{"methodCode": code, "amount": amount} for code, amount in paid.items()],
        "occurredAt": counter.now.isoformat(),
        "requestKey": new_id().hex,
    }
    return bill | more


async def record(counter: Counter, total: int, /, **more: Any) -> Any:
    """Record a bill; what the mutation answers."""
    return await counter.as_staff(RECORD, input=a_bill(counter, total, **more))


async def purchase_of(counter: Counter, total: int, /, **more: Any) -> str:
    """The id of a purchase that was recorded."""
    recorded = await record(counter, total, **more)
    assert recorded["__typename"] == "PurchaseRecorded", recorded
    return str(recorded["purchase"]["id"])


async def refund(counter: Counter, purchase_id: str, amount: int, /, **more: Any) -> Any:
    """Refund a part of a purchase; what the mutation answers."""
    asked: dict[str, Any] = {
        "purchaseId": purchase_id,
        "amount": {"amount": amount, "currency": "CNY"},
        "reason": "Cold coffee",
        "requestKey": new_id().hex,
    }
    return await counter.as_staff(REFUND, input=asked | more)
