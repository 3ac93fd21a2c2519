"""What is asked: the two operations that are measured, as a client sends them."""

from datetime import datetime
from uuid import UUID

import orjson

from app.core.ids import type_id
from bench.load import UNIQUE

LEDGER_LINES = 10

MEMBER_HOME = """query MemberHome {
  me { id name joinedAt }
  cards {
    id number status
    tier { id level name }
    balances { cash { amount currency } bonus { amount currency } points growth pointsDebt }
    ledger(first: 10) {
      edges { node { id kind cause amount unit balanceAfter occurredAt } }
      pageInfo { hasNextPage endCursor }
    }
    code {
      __typename
      ... on MemberCode { value formatted validUntil secondsLeft }
      ... on CardNotUsable { message }
    }
  }
}"""

PURCHASE_RECORD = """mutation Record($input: PurchaseRecordInput!) {
  purchaseRecord(input: $input) {
    __typename
    ... on PurchaseRecorded { pointsEarned replayed purchase { id total { amount currency } } }
    ... on Problem { message }
  }
}"""

AMOUNT = 12_800
TAX_AMOUNT = 700


def home_body() -> str:
    return orjson.dumps({"query": MEMBER_HOME}).decode()


def purchase_input(
    *, terminal_id: UUID, card_id: UUID, currency: str, method: str, occurred_at: datetime
) -> dict[str, object]:
    """A bill of one payment; `UNIQUE` stands for its order number and request key."""
    return {
        "terminalId": type_id("term", terminal_id),
        "cardId": type_id("card", card_id),
        "orderNumber": UNIQUE,
        "total": {"amount": AMOUNT, "currency": currency},
        "taxAmount": TAX_AMOUNT,
        "payments": [{"methodCode": method, "amount": AMOUNT}],
        "occurredAt": occurred_at.isoformat(),
        "requestKey": UNIQUE,
    }


def purchase_body(given: dict[str, object]) -> str:
    return orjson.dumps({"query": PURCHASE_RECORD, "variables": {"input": given}}).decode()
