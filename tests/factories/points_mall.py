"""A mall: items on its shelf, and members who redeem them (MAL-1…MAL-3)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import col, select

from app.core.db import Database, Transaction, light, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.models.coupons import Coupon
from app.models.files import File, FileKind, FileState
from app.models.ledger import AccountKind, Lot
from app.models.orders import Order
from app.models.points_mall import Fulfilment, MallItem
from app.models.sessions import PrincipalKind
from tests.factories.cards import Counter
from tests.factories.ledger import account, nothing_moves
from tests.factories.reading import every
from tests.factories.spendings import bring, lots_of_account
from tests.factories.staff import Employee

_ITEM = """fragment item on MallItem { id kind name description category position pricePoints
  price { amount currency } stockLeft limitPerMember canBePickedUp canBeShipped isListed version
  createdAt changedAt perspective { name } images { url width height }
  coupons { templateId packId count } packageId giftCardProductId giftCardFace
  scope { channels schemeIds tierIds includedNodeIds } }"""
_ORDER = """fragment order on Order { id kind title quantity state points amount { amount currency }
  expiresAt paidAt endedAt refundRoute refundReason refundedAmount { amount }
  payment { provider reference status refundStatus } }"""
_REDEMPTION = (
    """fragment redemption on MallOrder { itemId images { url } order { ...order }
  fulfilment { way state pickUpCode carrier trackingNumber readyAt shippedAt endedAt
    store { name } recipient { name phone address } } }"""
    + _ORDER
)


def _edit(name: str) -> str:
    answer = "__typename ...item ... on Problem { message } ... on EditedMeanwhile"
    body = f"{name}(input: $input) {{ {answer} {{ currentVersion }} ... on ShelfFull {{ limit }} }}"
    if name != "mallItemSetListed":
        body = body.replace(" ... on ShelfFull { limit }", "")
    if name == "mallItemCreate":
        body = body.replace(" ... on EditedMeanwhile { currentVersion }", "")
    return f"mutation ($input: {name[0].upper()}{name[1:]}Input!) {{ {body} }} {_ITEM}"


CREATE = _edit("mallItemCreate")
UPDATE = _edit("mallItemUpdate")
SET_STOCK = _edit("mallItemSetStock")
SET_LISTED = _edit("mallItemSetListed")
ITEM = f"query ($id: ID!) {{ mallItem(id: $id) {{ ...item }} }} {_ITEM}"
ITEMS = """query ($first: Int = 20, $after: String, $kind: MallItemKind, $listed: Boolean,
    $category: String, $search: String, $under: ID) {
  mallItems(first: $first, after: $after, kind: $kind, isListed: $listed, category: $category,
    search: $search, perspectiveId: $under) {
    edges { node { id name } } pageInfo { hasNextPage endCursor } } }"""
SHELF = """query ($first: Int = 20, $after: String, $card: ID, $store: ID, $mall: ID,
    $category: String) {
  mallItems(first: $first, after: $after, cardId: $card, storeId: $store, perspectiveId: $mall,
    category: $category) {
    edges { node { itemId kind name category pricePoints price { amount currency } stockLeft
      leftForMember obstacle availableFrom images { url } coupons { count } } }
    pageInfo { hasNextPage endCursor } } }"""
OFFER = """query ($id: ID!, $card: ID, $store: ID) {
  mallItem(id: $id, cardId: $card, storeId: $store) {
    name obstacle availableFrom leftForMember stockLeft } }"""
ORDER = (
    """mutation ($input: MallOrderInput!) { mallOrder(input: $input) { __typename
  ... on OrderPlaced { replayed order { ...order } payment { reference provider } }
  ... on Problem { message } ... on MallItemSoldOut { left }
  ... on MallItemLimitReached { limit leftForMember } ... on NotAvailable { reason availableFrom }
  ... on NotEnoughPoints { missingPoints usablePoints } ... on CardNotUsable { status }
  ... on MallPriceChanged { pricePoints price { amount currency } }
  ... on PaymentNeeded { amount { amount } } } }"""
    + _ORDER
)
CANCEL = (
    """mutation ($id: ID!) { mallOrderCancel(input: {id: $id}) { __typename ...redemption
  ... on Problem { message } ... on FulfilmentNotOpen { fulfilmentState way } } }"""
    + _REDEMPTION
)
CANCEL_BY_STAFF = (
    """mutation ($input: MallOrderCancelByStaffInput!) { mallOrderCancel(input: $input) {
  __typename ... on MallOrderCancelled { replayed mallOrder { ...redemption } }
  ... on Problem { message } ... on FulfilmentNotOpen { fulfilmentState way }
  ... on RedemptionUsed { used } ... on OrderNotRefundable { state } } }"""
    + _REDEMPTION
)
_FULFILLED = """{ __typename ...redemption ... on Problem { message }
  ... on FulfilmentNotOpen { fulfilmentState way } }"""
READY = f"""mutation ($id: ID!) {{ mallOrderMarkReady(input: {{id: $id}}) {_FULFILLED} }}
  {_REDEMPTION}"""
SHIP = f"""mutation ($input: MallOrderShipInput!) {{ mallOrderShip(input: $input) {_FULFILLED} }}
  {_REDEMPTION}"""
DELIVERED = f"""mutation ($id: ID!) {{ mallOrderMarkDelivered(input: {{id: $id}}) {_FULFILLED} }}
  {_REDEMPTION}"""
HAND_OVER = (
    """mutation ($terminal: ID!, $code: String!) {
  mallOrderHandOver(input: {terminalId: $terminal, code: $code}) { __typename ...redemption
    ... on Problem { message } } }"""
    + _REDEMPTION
)
SHOW_RECIPIENT = """mutation ($id: ID!) { mallOrderShowRecipient(input: {id: $id}) { __typename
  ... on MallRecipient { name phone address } ... on Problem { message } } }"""
ONE = f"query ($id: ID!) {{ mallOrder(id: $id) {{ ...redemption }} }} {_REDEMPTION}"
OWN = f"""query ($first: Int = 20, $after: String) {{ mallOrders(first: $first, after: $after) {{
  edges {{ node {{ ...redemption }} }} pageInfo {{ hasNextPage endCursor }} }} }} {_REDEMPTION}"""
LIST = f"""query ($first: Int = 20, $after: String, $state: FulfilmentState, $way: FulfilmentWay,
    $store: ID, $item: ID) {{
  mallOrders(first: $first, after: $after, state: $state, way: $way, storeId: $store,
    itemId: $item) {{
    edges {{ node {{ ...redemption }} }} pageInfo {{ hasNextPage endCursor }} }} }} {_REDEMPTION}"""

RECIPIENT = {"name": "王小明", "phone": "+8613812341234", "address": "上海市静安区南京西路 1 号"}

_tables: list[Any] = [MallItem, Fulfilment, Order, Coupon]
_rows = [statement(select(table).order_by(table.id), into=table) for table in _tables]
_items = statement(select(MallItem).order_by(col(MallItem.id)), into=MallItem)


async def a_picture(tx: Transaction, /, *, group_id: UUID, now: datetime, **more: Any) -> File:
    """A public image of the group that was uploaded."""
    given: dict[str, Any] = {
        "group_id": group_id,
        "kind": FileKind.PUBLIC_IMAGE,
        "state": FileState.STORED,
        "content_type": "image/webp",
        "bytes": 1_000,
        "width": 640,
        "height": 480,
        "sha256": new_id().hex * 2,
        "storage_key": new_id().hex,
        "uploader_kind": PrincipalKind.STAFF,
        "uploader_id": new_id(),
        "created_at": now,
    }
    file = light(File)(**(given | more))
    await tx.insert(file)
    return file


async def a_picture_of(till: Counter) -> str:
    """The id of a picture of the counter's group, as clients say it."""
    group = till.shop.places.group
    file = await till.database.run(a_picture, group_id=group.id, now=till.now)
    return type_id("file", file.id)


async def an_item(till: Counter, /, **more: Any) -> dict[str, Any]:
    """What makes a cup for 100 points, which is picked up or shipped; 10 of them."""
    cup: dict[str, Any] = {
        "perspectiveId": type_id("node", till.shop.places.group.id),
        "name": "A cup",
        "fileIds": more.pop("fileIds", None) or [await a_picture_of(till)],
        "pricePoints": 100,
        "stock": 10,
    }
    is_thing = not {"coupons", "package", "giftCard"} & more.keys()
    ways = {"canBePickedUp": True, "canBeShipped": True} if is_thing else {}
    return cup | ways | more


def an_edit(item: dict[str, Any], given: dict[str, Any], /, **more: Any) -> dict[str, Any]:
    """What changes an item that was made of `given`, in its present version."""
    fixed_for_good = {"perspectiveId", "coupons", "stock"}
    kept = {name: value for name, value in given.items() if name not in fixed_for_good}
    return kept | {"id": item["id"], "expectedVersion": item["version"]} | more


async def made(till: Counter, /, **more: Any) -> Any:
    """An item that nobody finds yet, as the mutation answers it."""
    item = await till.as_staff(CREATE, input=await an_item(till, **more))
    assert isinstance(item, dict), item
    assert item["__typename"] == "MallItem", item
    return item


async def listed(till: Counter, /, **more: Any) -> Any:
    """An item on the shelf, as the mutation answers it."""
    item = await made(till, **more)
    return await set_listed(till, item)


async def set_listed(till: Counter, item: Any, is_listed: bool = True) -> Any:
    asked = {"id": item["id"], "expectedVersion": item["version"], "isListed": is_listed}
    changed = await till.as_staff(SET_LISTED, input=asked)
    assert changed["__typename"] == "MallItem", changed
    return changed


def a_wish(till: Counter, item: Any, /, **more: Any) -> dict[str, Any]:
    """A piece at the item's price, picked up at the coffee store unless it is no thing."""
    wish: dict[str, Any] = {
        "cardId": till.card_id,
        "itemId": item["id"],
        "pricePoints": item["pricePoints"],
        "price": item["price"],
        "requestKey": new_id().hex,
    }
    if item["kind"] == "PHYSICAL" and "recipient" not in more:
        wish["storeId"] = type_id("node", till.shop.store.id)
    return wish | more


async def order(till: Counter, item: Any, /, *, by: UUID | None = None, **more: Any) -> Any:
    """Redeem a piece; what the mutation answers."""
    return await till.as_member(ORDER, member_id=by, input=a_wish(till, item, **more))


async def ordered(till: Counter, item: Any, /, **more: Any) -> Any:
    """The order of a piece that was redeemed."""
    answer = await order(till, item, **more)
    assert isinstance(answer, dict), answer
    assert answer["__typename"] == "OrderPlaced", answer
    return answer["order"]


async def own(till: Counter, of: Any, /, *, by: UUID | None = None) -> Any:
    """A redemption as its member sees it."""
    return await till.as_member(ONE, member_id=by, id=of["id"])


async def code_of(till: Counter, of: Any) -> str:
    """The pick-up code that the member is shown."""
    code: str = (await own(till, of))["fulfilment"]["pickUpCode"]
    return code


async def cancel_by_staff(
    till: Counter, of: Any, /, *, who: Employee | None = None, **more: Any
) -> Any:
    asked = {"id": of["id"], "reason": "Broken in the store room", "requestKey": new_id().hex}
    return await till.as_staff(CANCEL_BY_STAFF, who=who, input=asked | more)


async def give_points(till: Counter, points: int, /, *, days: float | None = None) -> Lot:
    """Points on the shop's card, which expire in so many days."""
    return await till.database.run(
        bring, till.shop.card, AccountKind.POINTS, points, days=days, now=till.now
    )


async def points_of(till: Counter) -> int:
    return (await account(till.database, till.shop.card.id)).balance


async def lots(till: Counter) -> list[tuple[int, Any]]:
    """What remains of each lot of points, in the order they came, and until when."""
    of = await account(till.database, till.shop.card.id)
    found = await every(till.database, lots_of_account, account_id=of.id)
    return [(lot.remaining, lot.expires_at) for lot in found]


async def stock_of(till: Counter, item: Any) -> int | None:
    item_id = parse_type_id("mall", item["id"])
    (found,) = [row for row in await every(till.database, _items) if row.id == item_id]
    return found.stock_left


@asynccontextmanager
async def mall_stays(database: Database) -> AsyncIterator[None]:
    """What happens within is refused: nothing is different afterwards, and the books are right."""
    before = [await every(database, rows) for rows in _rows]
    async with nothing_moves(database):
        yield
    assert [await every(database, rows) for rows in _rows] == before
