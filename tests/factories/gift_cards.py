"""Gift cards: sold through the admin API, held, given and used through both (GFT-1…GFT-7)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import col, select

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.models.gift_cards import (
    GiftCard,
    GiftCardGift,
    GiftCardKind,
    GiftCardPayment,
    GiftCardProduct,
)
from app.models.members import Member
from app.models.orders import Order
from app.services import members
from app.services.gift_cards import holding, numbers, products
from tests.factories.cards import Counter
from tests.factories.ledger import nothing_moves
from tests.factories.reading import every
from tests.factories.staff import employee

PRODUCT = """fragment product on GiftCardProduct { id kind state name currency version validDays
  claimDays canRecharge canMove description agreement designs { id url } perspective { name }
  denominations { face { amount } price { amount } gift { amount } }
  customAmount { faceFrom { amount } faceTo { amount } discountFrom { amount } discount { amount }
    eachTime }
  buyerFields { name phone email cardNumber } scope { channels includedNodeIds } }"""
_BALANCE = "balance { cash { amount } gift { amount } total { amount currency } }"
_CARD = (
    f"id number kind state name face {{ amount }} price {{ amount }} gift {{ amount }} {_BALANCE}"
)
OWN = (
    f"fragment own on OwnGiftCard {{ {_CARD} key greeting canMove expiresAt design {{ id url }} }}"
)
SOLD = f"""fragment sold on SoldGiftCard {{ {_CARD} holderId orderId method {{ code }}
  refundedAmount {{ amount }} refundReason refundMethod {{ code }} activatedAt expiresAt }}"""
PROBLEMS = "... on Problem { message }"
LIMITED = """... on CardCapReached { limit { amount } room { amount } }
  ... on DayLimitReached { limit { amount } room { amount } }
  ... on OrderTooLarge { limit { amount } } ... on RealNameNeeded { limit { amount } }"""
PAID = f"""{{ __typename {PROBLEMS}
  ... on GiftCardPaid {{ replayed cardNumber {_BALANCE} payment {{ id state orderNumber
    amount {{ amount }} cash {{ amount }} gift {{ amount }} voidedAt }} }}"""


def _edit(name: str, given: str | None = None) -> str:
    kind = given or name[0].upper() + name[1:]
    return f"""mutation ($input: {kind}Input!) {{ {name}(input: $input) {{ __typename ...product
      {PROBLEMS} {"... on EditedMeanwhile { currentVersion }" if "Update" in name else ""} }} }}
      {PRODUCT}"""


CREATE = _edit("giftCardProductCreate")
UPDATE = _edit("giftCardProductUpdate")
COPY = _edit("giftCardProductCopy")
ACTIVATE = _edit("giftCardProductActivate", "GiftCardProductMove")
DEACTIVATE = _edit("giftCardProductDeactivate", "GiftCardProductMove")
ARCHIVE = _edit("giftCardProductArchive", "GiftCardProductMove")
SELL = f"""mutation ($input: GiftCardSellInput!) {{ giftCardSell(input: $input) {{ __typename
  ... on GiftCardSold {{ replayed card {{ ...sold }} }} {PROBLEMS} {LIMITED}
  ... on TransferNeeded {{ limit {{ amount }} }}
  ... on BuyerFieldMissing {{ field }} ... on NotAvailable {{ reason availableFrom }}
  ... on GiftCardAmountNotOffered {{ faces {{ amount }} most {{ amount }} }} }} }}
  {SOLD}"""
ORDER = f"""mutation ($input: GiftCardOrderInput!) {{ giftCardOrder(input: $input) {{ __typename
  {PROBLEMS} {LIMITED} ... on BuyerFieldMissing {{ field }}
  ... on OrderPlaced {{ replayed order {{ id kind quantity state amount {{ amount }}
    payment {{ provider reference status refundStatus }} }} }} }} }}"""
MINE = f"""query ($order: ID) {{ giftCards(orderId: $order) {{ edges {{ node {{ ...own }} }} }} }}
  {OWN}"""
ONE_OF_MINE = f"query ($id: ID!) {{ giftCard(id: $id) {{ ...own }} }} {OWN}"
LINES = """query ($id: ID!) { giftCardLines(id: $id) { edges { node { cause account
  amount { amount } store { name } } } } }"""
GIFTS = """{ giftCardGifts { edges { node { id state code greeting deliverAt expiresAt claimedAt
  face { amount } design { id } } } } }"""
CLAIM = f"""mutation ($code: String!) {{ giftCardClaim(input: {{code: $code}}) {{ __typename
  ... on GiftCardClaimed {{ replayed card {{ ...own }} }} {PROBLEMS} }} }} {OWN}"""
LOOK = f"""mutation ($number: String!, $key: String!) {{
  giftCardBalance(input: {{number: $number, key: $key}}) {{ __typename {PROBLEMS}
    ... on GiftCardLookedUp {{ state {_BALANCE} }} }} }}"""
BIND = f"""mutation ($number: String!, $key: String!) {{
  giftCardBind(input: {{number: $number, key: $key}}) {{ __typename ...own {PROBLEMS} }} }} {OWN}"""
SHOW = f"""mutation ($id: ID!) {{ giftCardCodeShow(input: {{id: $id}}) {{ __typename
  ... on GiftCardCode {{ value expiresAt svg }} {PROBLEMS} }} }}"""
MOVE = f"""mutation ($input: GiftCardMoveToStoredValueInput!) {{
  giftCardMoveToStoredValue(input: $input) {{ __typename {PROBLEMS}
    ... on GiftCardMoved {{ replayed cardId cash {{ amount }} bonus {{ amount }}
      giftCard {{ ...own }} }} }} }} {OWN}"""
PAY = f"""mutation ($input: GiftCardPayInput!) {{ giftCardPay(input: $input) {PAID}
  ... on GiftCardBalanceTooLow {{ shortBy {{ amount }} usable {{ amount }} }}
  ... on NotAvailable {{ reason }} ... on GiftCardExpired {{ expiredAt }} }} }}"""
VOID = f"""mutation ($id: ID!, $key: String!) {{
  giftCardPayVoid(input: {{id: $id, requestKey: $key}}) {PAID} }} }}"""
RECHARGE = f"""mutation ($input: GiftCardRechargeInput!) {{ giftCardRecharge(input: $input) {{
  __typename {PROBLEMS} {LIMITED} ... on TransferNeeded {{ limit {{ amount }} }}
  ... on GiftCardRecharged {{ replayed expiresAt {_BALANCE}
    face {{ amount }} price {{ amount }} }} }} }}"""
FREEZE, RESTORE = (
    f"""mutation ($id: ID!) {{ {name}(input: {{id: $id, reason: "Lost"}}) {{ __typename ...sold
  {PROBLEMS} ... on GiftCardStateUnchangeable {{ current }} }} }} {SOLD}"""
    for name in ("giftCardFreeze", "giftCardRestore")
)
REFUND = f"""mutation ($input: GiftCardRefundInput!) {{ giftCardRefund(input: $input) {{ __typename
  ... on GiftCardRefundDone {{ replayed card {{ ...sold }} }} {PROBLEMS}
  ... on GiftCardNotRefundable {{ refusedState: state }} }} }} {SOLD}"""
CLOSE = """mutation ($key: String!, $forfeit: Boolean!) {
  memberClose(input: {requestKey: $key, forfeitBalances: $forfeit}) { __typename } }"""
FIND = f"""query ($number: String, $id: ID) {{ giftCard(number: $number, id: $id) {{ ...sold }} }}
  {SOLD}"""
LIST = """query ($id: ID!, $state: GiftCardState) { giftCards(productId: $id, state: $state) {
  edges { node { id state } } } }"""
PRODUCTS = f"query {{ giftCardProducts {{ edges {{ node {{ ...product }} }} }} }} {PRODUCT}"
OFFERS = f"""query ($store: ID) {{ giftCardProducts(storeId: $store) {{ obstacle availableFrom
  product {{ ...product }} }} }} {PRODUCT}"""

_tables: list[Any] = [GiftCardProduct, GiftCard, GiftCardGift, GiftCardPayment, Order]
_rows = [statement(select(table).order_by(table.id), into=table) for table in _tables]
all_cards = statement(select(GiftCard).order_by(col(GiftCard.id)), into=GiftCard)


def money(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "CNY"}


def a_product(counter: Counter, /, **more: Any) -> dict[str, Any]:
    """Of the whole group, in CNY: worth 120.00 for 100.00, or any value with 20 off 200."""
    product: dict[str, Any] = {
        "perspectiveId": type_id("node", counter.shop.places.group.id),
        "kind": "ELECTRONIC",
        "currency": "CNY",
        "name": "Coffee gift card",
        "denominations": [{"face": 120_00, "price": 100_00}],
        "customAmount": {
            "faceFrom": 50_00, "faceTo": 1_000_00, "discountFrom": 200_00, "discount": 20_00
        },
        "validDays": 365,
        "canMove": True,
        "canRecharge": True,
    }  # fmt: skip
    return product | more


async def product_of(counter: Counter, /, **more: Any) -> Any:
    """A product on sale, as the mutation answers it."""
    made = await counter.as_staff(CREATE, input=a_product(counter, **more))
    assert made["__typename"] == "GiftCardProduct", made
    return await counter.as_staff(ACTIVATE, input={"id": made["id"]})


def a_sale(counter: Counter, product: Any, face: int = 120_00, /, **more: Any) -> dict[str, Any]:
    """What a till asks: an electronic card for the counter's member, paid in cash."""
    asked: dict[str, Any] = {
        "terminalId": counter.terminal_id,
        "productId": product["id"],
        "face": face,
        "memberId": type_id("mem", counter.shop.member.id),
        "methodCode": "cash",
        "requestKey": new_id().hex,
    }
    return asked | more


async def sold(counter: Counter, product: Any, face: int = 120_00, /, **more: Any) -> Any:
    """A card that was sold at the till, as its holder sees it."""
    answer = await counter.as_staff(SELL, input=a_sale(counter, product, face, **more))
    assert answer["__typename"] == "GiftCardSold", answer
    card = answer["card"]
    if more.get("number"):
        return card
    return await counter.as_member(ONE_OF_MINE, id=card["id"])


def a_payment(counter: Counter, card: Any, amount: int, /, **more: Any) -> dict[str, Any]:
    """What a till asks: a part of a bill, by number and key."""
    asked: dict[str, Any] = {
        "terminalId": counter.terminal_id,
        "card": {"key": {"number": card["number"], "key": card["key"]}},
        "amount": money(amount),
        "orderNumber": "A-1",
        "requestKey": new_id().hex,
    }
    return asked | more


async def pay(counter: Counter, card: Any, amount: int, /, **more: Any) -> Any:
    return await counter.as_staff(PAY, input=a_payment(counter, card, amount, **more))


async def paid(counter: Counter, card: Any, amount: int, /, **more: Any) -> Any:
    answer = await pay(counter, card, amount, **more)
    assert answer["__typename"] == "GiftCardPaid", answer
    return answer


async def refund(counter: Counter, card: Any, /, **more: Any) -> Any:
    asked = {
        "id": card["id"], "methodCode": "cash", "reason": "Not liked", "requestKey": new_id().hex
    }  # fmt: skip
    return await counter.as_staff(REFUND, input=asked | more)


async def printed(tx: Transaction, /, *, product_id: str, key: str, now: datetime) -> GiftCard:
    """A printed card of a product that nobody bought yet."""
    product = (await products.by_ids(tx, [parse_type_id("gcp", product_id)])).popitem()[1]
    (number,) = await numbers.free_numbers(tx, group_id=product.group_id, how_many=1)
    card = holding.new_gift_card(
        group_id=product.group_id,
        product_id=product.id,
        kind=GiftCardKind.PHYSICAL,
        number=number,
        key_index=numbers.key_index(number, key),
        currency=product.currency,
        created_at=now,
    )
    await tx.insert(card)
    return card


async def after(counter: Counter, /, **duration: float) -> Counter:
    """The same counter when time has passed, and its owner has signed in again."""
    later = counter.later(**duration)
    owner = await later.database.run(employee, node=later.shop.places.group, now=later.now)
    return replace(later, shop=replace(later.shop, owner=owner))


async def a_friend(tx: Transaction, counter: Counter, /, *, now: datetime) -> Member:
    return await members.create(tx, group_id=counter.shop.places.group.id, name="李雷", now=now)


def split_of(answer: Any) -> tuple[int, int]:
    """The cash and the gift part of a payment."""
    payment = answer["payment"]
    return payment["cash"]["amount"], payment["gift"]["amount"]


def left_on(card: Any) -> tuple[int, int]:
    """What is on a card: cash and gift."""
    return card["balance"]["cash"]["amount"], card["balance"]["gift"]["amount"]


def uuid_of(card: Any) -> UUID:
    return parse_type_id("gc", card["id"])


@asynccontextmanager
async def gift_cards_stay(database: Database) -> AsyncIterator[None]:
    """What happens within is refused: nothing is different afterwards."""
    before = [await every(database, rows) for rows in _rows]
    async with nothing_moves(database):
        yield
    assert [await every(database, rows) for rows in _rows] == before
