"""A shop with one member, and everything that moves value there, to ask of a server that dies."""

from collections import Counter as Tally
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from sqlalchemy import bindparam
from sqlmodel import col, func, select, update

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, parse_type_id
from app.models.cards import ConsumptionVerification, Scheme
from app.models.coupons import Coupon, CouponState, CouponTemplate
from app.models.gift_card_batches import GiftCardBatchCard
from app.models.gift_cards import GiftCard, GiftCardKind, GiftCardProduct
from app.models.ledger import Account, AccountKind
from app.models.points_mall import MallItem
from app.models.sessions import PrincipalKind
from app.services.gift_cards.pricing import CustomAmount
from tests.factories import coupons, gift_card_office, gift_cards, points_mall
from tests.factories.adjustments import PROPOSE, propose, set_rules
from tests.factories.cards import Counter, counter
from tests.factories.crashing import Operation
from tests.factories.ledger import account
from tests.factories.packages import SELL as SELL_PACKAGE
from tests.factories.packages import a_sale, goods, package_of
from tests.factories.purchases import RECORD, a_bill
from tests.factories.reading import every, one
from tests.factories.spendings import CHARGE, VOID
from tests.factories.top_up_plans import plan_of

CASH = 10_000_000
POINTS = 1_000_000
"""What the member's card begins with."""
FACE = 100_000_00
"""What the gift card that pays begins with."""
STOCK = 1_000
"""Pieces of the mall's item, and coupons of the template, before the first is gone."""
IN_HAND = 100
"""Coupons the member begins with, whose codes the till can ask for."""
GIFT_POINTS = 7
SOLD_FACE = 120_00
LOCK_MINUTES = 120
BEGUN = Tally(
    CASH=CASH,
    POINTS=POINTS,
    GIFTS=FACE,
    PAYING=FACE,
    gift_cards=1,
    coupons=IN_HAND,
    coupons_left=STOCK - IN_HAND,
    pieces_left=STOCK,
)
"""What `standing` tells before anybody asks."""

SELL = """mutation ($input: TopUpSellInput!) { topUpSell(input: $input) { __typename
  ... on TopUpSold { replayed order { id amount { amount } bonus { amount } points } } } }"""


def number_of(table: Any, *conditions: Any) -> Any:
    """How many rows of a table there are, of those that meet the conditions."""
    return statement(select(func.count()).select_from(table).where(*conditions), into=int)


def _sum(column: Any, *conditions: Any) -> Any:
    return statement(select(func.sum(column)).where(*conditions), into=int)


COUNTED = {
    "GIFTS": _sum(Account.balance, col(Account.gift_card_id).is_not(None)),
    "coupons": number_of(Coupon),
    "coupons_used": number_of(Coupon, col(Coupon.state) == CouponState.USED),
    "coupons_left": _sum(CouponTemplate.stock_left),
    "pieces_left": _sum(MallItem.stock_left),
    "gift_cards": number_of(GiftCard),
    "bulk_cards": number_of(GiftCardBatchCard),
}
prove_nothing = statement(
    update(Scheme)
    .where(col(Scheme.id) == bindparam("scheme_id"))
    .values(consumption_verification=ConsumptionVerification.NONE)
)
codes_of_template = statement(
    select(Coupon.code).where(col(Coupon.template_id) == bindparam("template_id")), into=str
)


@dataclass(kw_only=True)
class Shop:
    """What clients ask for, drawn by chance; what one operation brought another may use later."""

    till: Counter
    plan_id: str
    package: Any
    product: Any
    bulk: GiftCardProduct
    """What companies buy."""
    card: Any
    """A gift card that pays, and is recharged."""
    item: Any
    """What the mall has."""
    template: Any
    codes: list[str]
    """Of coupons that no bill has."""
    held: list[dict[str, Any]] = field(default_factory=list)
    """The locks of coupons that were not used yet, as they were asked for."""
    charged: list[str] = field(default_factory=list)
    """Spendings that may be voided."""
    sold: list[str] = field(default_factory=list)
    """Gift cards that may become stored value."""

    def operation(self, random: Random) -> Operation:
        makers = [
            self.purchase, self.adjustment, self.charge, self.charge, self.top_up, self.void,
            self.sold_package, self.coupons, self.coupon_lock, self.coupon_use, self.mall_order,
            self.gift_card, self.gift_payment, self.gift_recharge, self.gift_move, self.gift_batch,
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

    def void(self, random: Random) -> Operation:
        if not self.charged:
            return self.charge(random)
        asked = {
            "spendingId": drawn(random, self.charged),
            "reason": "Wrong table",
            "requestKey": new_id().hex,
        }
        return Operation("void", VOID, asked)

    def sold_package(self, _random: Random) -> Operation:
        return Operation("package", SELL_PACKAGE, a_sale(self.till, self.package))

    def coupons(self, random: Random) -> Operation:
        asked = {
            "cardId": self.till.card_id,
            "gift": {"templateId": self.template["id"], "count": random.randrange(1, 4)},
            "requestKey": new_id().hex,
        }
        return Operation("coupons", coupons.ISSUE, asked)

    def coupon_lock(self, _random: Random) -> Operation:
        asked = self._a_coupon(self.codes.pop(), new_id().hex)
        return Operation("coupon_lock", coupons.LOCK, asked | {"minutes": LOCK_MINUTES})

    def coupon_use(self, random: Random) -> Operation:
        """For the bill that holds it."""
        if not self.held:
            return self.coupon_lock(random)
        lock = drawn(random, self.held)
        asked = self._a_coupon(lock["code"], lock["orderNumber"])
        return Operation("coupon_use", coupons.USE, asked)

    def _a_coupon(self, code: str, order_number: str) -> dict[str, Any]:
        return coupons.at_till(self.till, {"code": {"value": code}}, orderNumber=order_number)

    def mall_order(self, random: Random) -> Operation:
        asked = points_mall.a_wish(self.till, self.item, quantity=random.randrange(1, 4))
        return Operation("mall_order", points_mall.ORDER, asked, PrincipalKind.MEMBER)

    def gift_card(self, _random: Random) -> Operation:
        asked = gift_cards.a_sale(self.till, self.product, SOLD_FACE)
        return Operation("gift_card", gift_cards.SELL, asked)

    def gift_payment(self, random: Random) -> Operation:
        asked = gift_cards.a_payment(self.till, self.card, random.randrange(1, 300))
        return Operation("gift_payment", gift_cards.PAY, asked)

    def gift_recharge(self, random: Random) -> Operation:
        asked = {
            "terminalId": self.till.terminal_id,
            "number": self.card["number"],
            "face": random.choice([SOLD_FACE, random.randrange(1_00, 500_00)]),
            "methodCode": "cash",
            "requestKey": new_id().hex,
        }
        return Operation("gift_recharge", gift_cards.RECHARGE, asked)

    def gift_move(self, random: Random) -> Operation:
        if not self.sold:
            return self.gift_card(random)
        asked = {
            "id": drawn(random, self.sold),
            "cardId": self.till.card_id,
            "requestKey": new_id().hex,
        }
        return Operation("gift_move", gift_cards.MOVE, asked, PrincipalKind.MEMBER)

    def gift_batch(self, random: Random, cards: int | None = None) -> Operation:
        # Cards of 4.00, so that a thousand of them may be paid in cash.
        asked = gift_card_office.a_batch(
            self.bulk,
            face={"amount": 4_00, "currency": "CNY"},
            numberOfCards=cards or random.randrange(1, 150),
            amount=None,
        )
        return Operation("gift_batch", gift_card_office.CREATE_BATCH, asked)

    def heard(self, operation: Operation, answer: Any) -> None:
        match operation.name:
            case "charge":
                self.charged.append(answer["spending"]["id"])
            case "coupon_lock":
                self.held.append(operation.input)
            case "gift_card":
                self.sold.append(answer["card"]["id"])


def drawn(random: Random, some: list[Any]) -> Any:
    """One of some, which is then not among them."""
    return some.pop(random.randrange(len(some)))


def brought(operation: Operation, answer: Any) -> Tally[str]:
    """What an operation adds to each of what `standing` tells."""
    asked = operation.input
    match operation.name:
        case "purchase":
            return Tally(POINTS=answer["pointsEarned"])
        case "adjustment":
            return Tally({asked["kind"]: asked["amount"]})
        case "charge" | "void":
            sign = -1 if operation.name == "charge" else 1
            cash, bonus = (answer["spending"][part]["amount"] for part in ("cash", "bonus"))
            return Tally(CASH=sign * cash, BONUS=sign * bonus)
        case "top_up":
            order = answer["order"]
            bonus = order["bonus"]["amount"]
            return Tally(CASH=order["amount"]["amount"], BONUS=bonus, POINTS=order["points"])
        case "package":
            return Tally(POINTS=GIFT_POINTS, coupons=1)
        case "coupons":
            count = asked["gift"]["count"]
            return Tally(coupons=count, coupons_left=-count)
        case "coupon_use":
            return Tally(coupons_used=1)
        case "mall_order":
            pieces = asked["quantity"]
            return Tally(POINTS=-pieces * asked["pricePoints"], pieces_left=-pieces)
        case "gift_card":
            return Tally(GIFTS=asked["face"], gift_cards=1)
        case "gift_payment":
            spent = asked["amount"]["amount"]
            return Tally(GIFTS=-spent, PAYING=-spent)
        case "gift_recharge":
            return Tally(GIFTS=asked["face"], PAYING=asked["face"])
        case "gift_move":
            cash, bonus = (answer[part]["amount"] for part in ("cash", "bonus"))
            return Tally(CASH=cash, BONUS=bonus, GIFTS=-cash - bonus)
        case "gift_batch":
            cards = asked["numberOfCards"]
            return Tally(GIFTS=cards * asked["face"]["amount"], gift_cards=cards, bulk_cards=cards)
    return Tally()


async def standing(shop: Shop) -> Tally[str]:
    """What the shop has: CASH, BONUS and POINTS on the member's card, GIFTS on all gift cards,
    PAYING on the one that pays, and how many there are of what is counted."""
    database, card_id = shop.till.database, shop.till.shop.card.id
    kinds = (AccountKind.CASH, AccountKind.BONUS, AccountKind.POINTS)
    paying = await shop.till.as_staff(gift_cards.FIND, number=shop.card["number"])
    return Tally(
        {kind.value: (await account(database, card_id, kind)).balance for kind in kinds}
        | {name: await one(database, counted) or 0 for name, counted in COUNTED.items()}
        | {"PAYING": int(paying["balance"]["total"]["amount"])}
    )


async def a_shop(database: Database) -> Shop:
    till = await counter(database, datetime.now(UTC))
    await set_rules(till)

    async def prepare(tx: Transaction) -> None:
        await tx.changed(prove_nothing, scheme_id=till.shop.scheme.id)

    await database.run(prepare)
    await propose(till, "CASH", CASH)
    await propose(till, "POINTS", POINTS)
    some = await goods(till)
    gifts = [some.gift(f"{which}_PURCHASE_GIFT", GIFT_POINTS) for which in ("FIRST", "REPEAT")]
    custom = {"faceFrom": 1_00, "faceTo": FACE}
    product = await gift_cards.product_of(till, customAmount=custom)
    template = await coupons.template_of(till, stock=STOCK)
    await coupons.issued(till, template, count=IN_HAND)
    template_id = parse_type_id("ctpl", template["id"])
    return Shop(
        till=till,
        plan_id=(await plan_of(till))["id"],
        package=await package_of(till, contents=gifts),
        product=product,
        bulk=await gift_card_office.a_gift_card_product(
            till, GiftCardKind.ELECTRONIC, custom_amount=CustomAmount(1_00, 1_000_00)
        ),
        card=await gift_cards.sold(till, product, FACE),
        item=await points_mall.listed(till, stock=STOCK),
        template=template,
        codes=await every(database, codes_of_template, template_id=template_id),
    )
