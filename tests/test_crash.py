"""FIN-1: a server that is killed under load, again and again, loses nothing it said had happened.

Every acknowledged operation is there once, every other at most once and once after its retry, and
the books are right.
"""

import asyncio
from collections import Counter as Tally
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, func, select, update

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id
from app.models.adjustments import Adjustment
from app.models.cards import ConsumptionVerification, Scheme
from app.models.coupons import Coupon
from app.models.gift_cards import GiftCard, GiftCardPayment
from app.models.ledger import AccountKind
from app.models.packages import OwnedPackage
from app.models.purchases import Purchase
from app.models.spendings import Spending
from app.models.top_ups import TopUpOrder
from app.services import ledger, spendings
from app.services.gift_cards import checking
from tests.factories import gift_cards
from tests.factories.adjustments import PROPOSE, propose, set_rules
from tests.factories.cards import Counter, counter
from tests.factories.crashing import Load, Mortal, Operation
from tests.factories.ledger import account
from tests.factories.packages import SELL as SELL_PACKAGE
from tests.factories.packages import a_sale, goods, package_of
from tests.factories.purchases import RECORD, a_bill
from tests.factories.reading import one
from tests.factories.spendings import CHARGE, VOID
from tests.factories.top_up_plans import plan_of

pytestmark = pytest.mark.anyio

DEATHS = 20
CLIENTS = 6
GIFT_POINTS = 7
REPEATED = 7
"""Each so many-th operation is sent once more at the end."""

SELL = """mutation ($input: TopUpSellInput!) { topUpSell(input: $input) { __typename
  ... on TopUpSold { replayed order { id amount { amount } bonus { amount } points } } } }"""

prove_nothing = statement(
    update(Scheme)
    .where(col(Scheme.id) == bindparam("scheme_id"))
    .values(consumption_verification=ConsumptionVerification.NONE)
)


def _number(table: Any) -> Any:
    return statement(select(func.count()).select_from(table), into=int)


THERE = {
    "purchase": _number(Purchase),
    "adjustment": _number(Adjustment),
    "charge": _number(Spending),
    "top_up": _number(TopUpOrder),
    "package": _number(OwnedPackage),
    "gift_card": _number(GiftCard),
    "gift_payment": _number(GiftCardPayment),
}
coupons_given = _number(Coupon)
points_earned = statement(select(func.coalesce(func.sum(Purchase.points_earned), 0)), into=int)


@dataclass
class Shop:
    """What clients ask for, drawn by chance; what was charged may be voided later."""

    till: Counter
    plan_id: str
    package: Any
    product: Any
    card: Any
    """A gift card that pays."""
    charged: list[str] = field(default_factory=list)

    def operation(self, random: Random) -> Operation:
        makers = [
            self.purchase, self.adjustment, self.charge, self.charge, self.top_up, self.void,
            self.sold_package,
            self.gift_card, self.gift_payment,
        ]  # fmt: skip
        return random.choice(makers)(random)

    def purchase(self, random: Random) -> Operation:
        bill = a_bill(self.till, random.randrange(200, 2_000))
        return Operation("purchase", RECORD, bill | {"occurredAt": datetime.now(UTC).isoformat()})

    def adjustment(self, random: Random) -> Operation:
        asked = {
            "cardId": self.till.card_id,
            "kind": random.choice(["CASH", "BONUS", "POINTS"]),
            "amount": random.randrange(1, 500),
            "reason": "Counted again",
            "requestKey": new_id().hex,
        }
        return Operation("adjustment", PROPOSE, asked)

    def charge(self, random: Random) -> Operation:
        asked = {
            "terminalId": self.till.terminal_id,
            "cardId": self.till.card_id,
            "kind": "STORED_VALUE",
            "amount": {"amount": random.randrange(1, 300), "currency": "CNY"},
            "orderNumber": new_id().hex,
            "requestKey": new_id().hex,
        }
        return Operation("charge", CHARGE, asked)

    def top_up(self, _random: Random) -> Operation:
        asked = {
            "terminalId": self.till.terminal_id,
            "cardId": self.till.card_id,
            "planId": self.plan_id,
            "step": 0,
            "amount": {"amount": 100_00, "currency": "CNY"},
            "methodCode": "cash",
            "requestKey": new_id().hex,
        }
        return Operation("top_up", SELL, asked)

    def sold_package(self, _random: Random) -> Operation:
        return Operation("package", SELL_PACKAGE, a_sale(self.till, self.package))

    def void(self, random: Random) -> Operation:
        if not self.charged:
            return self.charge(random)
        spending_id = self.charged.pop(random.randrange(len(self.charged)))
        asked = {"spendingId": spending_id, "reason": "Wrong table", "requestKey": new_id().hex}
        return Operation("void", VOID, asked)

    def gift_card(self, _random: Random) -> Operation:
        return Operation("gift_card", gift_cards.SELL, gift_cards.a_sale(self.till, self.product))

    def gift_payment(self, random: Random) -> Operation:
        asked = gift_cards.a_payment(self.till, self.card, random.randrange(1, 300))
        return Operation("gift_payment", gift_cards.PAY, asked)

    def heard(self, operation: Operation, answer: Any) -> None:
        if operation.name == "charge":
            self.charged.append(answer["spending"]["id"])


@pytest.fixture
async def shop(database: Database, now: datetime) -> Shop:
    till = await counter(database, datetime.now(UTC))
    await set_rules(till)

    async def prepare(tx: Transaction) -> None:
        await tx.changed(prove_nothing, scheme_id=till.shop.scheme.id)

    await database.run(prepare)
    await propose(till, "CASH", 10_000_000)
    some = await goods(till)
    gifts = [some.gift(f"{which}_PURCHASE_GIFT", GIFT_POINTS) for which in ("FIRST", "REPEAT")]
    package = await package_of(till, contents=gifts)
    custom = {"faceFrom": 1_00, "faceTo": 100_000_00}
    product = await gift_cards.product_of(till, customAmount=custom)
    card = await gift_cards.sold(till, product, 100_000_00)
    return Shop(till, (await plan_of(till))["id"], package, product, card)


@pytest.fixture
async def server(database_url: str, shop: Shop, tmp_path: Path) -> AsyncIterator[Mortal]:
    server = Mortal(tmp_path, database_url, shop.till)
    yield server
    await server.end()


def brought(operation: Operation, answer: Any) -> dict[str, int]:
    """What an operation did to each balance."""
    match operation.name:
        case "adjustment":
            return {operation.input["kind"]: operation.input["amount"]}
        case "top_up":
            order = answer["order"]
            return {
                "CASH": order["amount"]["amount"],
                "BONUS": order["bonus"]["amount"],
                "POINTS": order["points"],
            }
        case "package":
            return {"POINTS": GIFT_POINTS}
        case "charge" | "void":
            sign = -1 if operation.name == "charge" else 1
            spending = answer["spending"]
            return {kind: sign * spending[kind.lower()]["amount"] for kind in ("CASH", "BONUS")}
    return {}


async def test_a_server_killed_twenty_times_keeps_its_word(
    database: Database, server: Mortal, shop: Shop
) -> None:
    load = Load(server, shop.operation, shop.heard, seed=7)
    await load.run(deaths=DEATHS, clients=CLIENTS)
    await server.start()
    await load.settle()
    done = list(load.answered)
    tally = Tally(operation.name for operation, _ in done)
    assert set(tally) == {*THERE, "void"}
    assert sum(tally.values()) > 5 * DEATHS

    there = {name: await one(database, number) for name, number in THERE.items()}
    first = {"adjustment": 1, "gift_card": 1}  # that the shop began with
    assert there == {name: tally[name] + first.get(name, 0) for name in THERE}
    assert await one(database, coupons_given) == tally["package"]
    expected = Tally(CASH=10_000_000, POINTS=await one(database, points_earned) or 0)
    for operation, answer in done:
        expected.update(brought(operation, answer))
    card_id = shop.till.shop.card.id
    for kind in (AccountKind.CASH, AccountKind.BONUS, AccountKind.POINTS):
        assert (await account(database, card_id, kind)).balance == expected[kind.value]
    spent = sum(
        operation.input["amount"]["amount"]
        for operation, _ in done
        if operation.name == "gift_payment"
    )
    card = await shop.till.as_staff(gift_cards.FIND, number=shop.card["number"])
    assert card["balance"]["total"]["amount"] == 100_000_00 - spent
    for check in (ledger.check, spendings.check, checking.check):
        assert await database.scan(check) == []

    async with server.client() as ask:
        again = await asyncio.gather(*(ask(operation) for operation, _ in done[::REPEATED]))
    assert all(answer["replayed"] for answer in again)
    assert {name: await one(database, number) for name, number in THERE.items()} == there
