"""Gift cards as tables: the report, and the lists that are exported (FIN-2, GFT-5, GFT-6)."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from app.core.db import Transaction
from app.core.ids import type_id
from app.core.money import Money
from app.core.tables import Cell, Column, Document, Row, Table
from app.models.gift_card_batches import GiftCardExportKind
from app.models.gift_cards import GiftCardKind, GiftCardState
from app.models.ledger import PostingKind
from app.services import organisation
from app.services.gift_cards.batches import Key, Prepared
from app.services.gift_cards.exports import Opened
from app.services.gift_cards.sold import SoldCard
from app.services.gift_cards.transactions import (
    KINDS,
    GiftCardTransaction,
    GiftCardTransactionKind,
    Sum,
)
from app.services.reports import words
from app.services.reports.fields import (
    ID_CHARS,
    MOMENT_CHARS,
    NAME_CHARS,
    Field,
    local,
    money_of,
    row_of,
    summed,
    table_of,
)
from app.services.reports.gift_cards import GiftCardValue, ProductValue
from app.services.reports.movements import Flow, Movement

PRODUCT = "礼品卡产品 Product"
NUMBER = "卡号 Number"
KEY = "卡密 Key"
FACE = "面值 Face value"
PAID = "实付 Cash value"
GIFT = "赠送 Gift value"
EXPIRES = "有效期至 Expires at"
TITLES = {
    GiftCardExportKind.CARDS: "礼品卡列表 Gift cards",
    GiftCardExportKind.TRANSACTIONS: "礼品卡交易明细 Gift card transactions",
}
STATES = {
    GiftCardState.INACTIVE: "未激活 Not sold",
    GiftCardState.ACTIVE: "正常 Active",
    GiftCardState.FROZEN: "已冻结 Frozen",
    GiftCardState.USED: "已用完 Used up",
    GiftCardState.EXPIRED: "已过期 Expired",
    GiftCardState.REFUNDED: "已退款 Refunded",
}
CARD_KINDS = {
    GiftCardKind.ELECTRONIC: "电子卡 Electronic",
    GiftCardKind.PHYSICAL: "实体卡 Physical",
}
TRANSACTIONS = {
    GiftCardTransactionKind.ACTIVATION: "激活 Activation",
    GiftCardTransactionKind.RECHARGE: "充值 Recharge",
    GiftCardTransactionKind.CONSUMPTION: "消费 Consumption",
    GiftCardTransactionKind.CONSUMPTION_RETURN: "消费撤销 Consumption returned",
    GiftCardTransactionKind.REFUND: "退款 Refund",
    GiftCardTransactionKind.MOVE: "转入储值 Moved into stored value",
    GiftCardTransactionKind.EXPIRY: "过期 Expiry",
}


class _Part(NamedTuple):
    """What was paid, or what was given, of one product's cards."""

    value: ProductValue
    label: str
    flow: Flow


class _Moved(NamedTuple):
    part: _Part
    movement: Movement
    store_name: str


class _Listed(NamedTuple):
    """A line of an export, and whose wall its moments hang on."""

    row: Any
    opened: Opened


def _sold(each: ProductValue, flow: Flow) -> Money:
    added = flow.of_kinds([PostingKind.GIFT_CARD_ACTIVATE])
    return Money(added, each.product.currency)


def _closing(of: Callable[[ProductValue], Flow]) -> Callable[[Any], Cell]:
    return money_of(lambda each: of(each).closing, lambda each: each.product.currency)


SALES = (
    Field(PRODUCT, lambda each: each.product.name, NAME_CHARS),
    Field(words.CURRENCY, lambda each: each.product.currency),
    summed("售出张数 Cards sold", lambda each: each.sold),
    summed(PAID, lambda each: _sold(each, each.cash)),
    summed(GIFT, lambda each: _sold(each, each.bonus)),
    summed("退款张数 Cards refunded", lambda each: each.refunded),
    summed("未用完张数 Cards outstanding", lambda each: each.outstanding),
    summed("未用本金 Cash outstanding", _closing(lambda each: each.cash)),
    summed("未用赠送 Gift outstanding", _closing(lambda each: each.bonus)),
)


def _part_money(amount: Callable[[Flow], int]) -> Callable[[Any], Cell]:
    return money_of(lambda each: amount(each.flow), lambda each: each.value.product.currency)


BALANCES = (
    Field(PRODUCT, lambda each: each.value.product.name, NAME_CHARS),
    Field(words.CURRENCY, lambda each: each.value.product.currency),
    Field(words.ACCOUNT, lambda each: each.label),
    summed(words.OPENING, _part_money(lambda flow: flow.opening)),
    summed(words.ADDED, _part_money(lambda flow: flow.added)),
    summed(words.TAKEN, _part_money(lambda flow: flow.taken)),
    summed(words.CLOSING, _part_money(lambda flow: flow.closing)),
)


def _moved_money(amount: Callable[[Movement], int]) -> Callable[[Any], Cell]:
    return money_of(
        lambda each: amount(each.movement), lambda each: each.part.value.product.currency
    )


MOVEMENTS = (
    Field(PRODUCT, lambda each: each.part.value.product.name, NAME_CHARS),
    Field(words.CURRENCY, lambda each: each.part.value.product.currency),
    Field(words.ACCOUNT, lambda each: each.part.label),
    Field(words.KIND, lambda each: words.POSTINGS[each.movement.kind], NAME_CHARS),
    summed(words.ADDED, _moved_money(lambda movement: movement.added)),
    summed(words.TAKEN, _moved_money(lambda movement: movement.taken)),
    summed(words.NET, _moved_money(lambda movement: movement.net)),
)
STORE_MOVEMENTS = (
    Field(words.STORE, lambda each: each.store_name, NAME_CHARS),
    *MOVEMENTS,
)


def _moment(title: str, moment: Callable[[Any], Any]) -> Field:
    return Field(title, lambda each: local(moment(each.row), each.opened.zone), MOMENT_CHARS)


def _row_money(amount: Callable[[Any], int | None]) -> Callable[[Any], Cell]:
    def cell(each: _Listed) -> Cell:
        found = amount(each.row)
        return None if found is None else Money(found, each.row.currency)

    return cell


CARDS = (
    Field(NUMBER, lambda each: each.row.number, MOMENT_CHARS),
    Field(PRODUCT, lambda each: each.row.product_name, NAME_CHARS),
    Field("卡类型 Kind", lambda each: CARD_KINDS[each.row.kind]),
    Field("状态 State", lambda each: STATES[each.row.state]),
    Field(words.CURRENCY, lambda each: each.row.currency),
    summed(FACE, _row_money(lambda row: row.face)),
    summed(PAID, _row_money(lambda row: row.cash)),
    summed(GIFT, _row_money(lambda row: row.face - row.cash)),
    summed("本金余额 Cash left", _row_money(lambda row: row.cash_left)),
    summed("赠送余额 Gift left", _row_money(lambda row: row.bonus_left)),
    _moment("售出时间 Sold at", lambda row: row.activated_at),
    Field(words.STORE, lambda each: each.row.store_name, NAME_CHARS),
    Field("支付方式 Payment method", lambda each: each.row.method_name, NAME_CHARS),
    Field(
        "订单 Order",
        lambda each: each.row.order_id and type_id("ord", each.row.order_id),
        ID_CHARS,
    ),
    _moment(EXPIRES, lambda row: row.expires_at),
    _moment("退款时间 Refunded at", lambda row: row.ended_at),
    Field("退款金额 Refunded", _row_money(lambda row: row.refunded_cash)),
)
LINES = (
    _moment("时间 At", lambda row: row.recorded_at),
    Field("交易 Transaction", lambda each: type_id("gct", each.row.id), ID_CHARS),
    Field("类型 Kind", lambda each: TRANSACTIONS[KINDS[each.row.kind]], NAME_CHARS),
    Field(NUMBER, lambda each: each.row.number, MOMENT_CHARS),
    Field(PRODUCT, lambda each: each.row.product_name, NAME_CHARS),
    Field(words.STORE, lambda each: each.row.store_name, NAME_CHARS),
    Field(words.CURRENCY, lambda each: each.row.currency),
    summed(words.CASH, _row_money(lambda row: row.cash)),
    summed(GIFT, _row_money(lambda row: row.bonus)),
)
FIELDS: dict[GiftCardExportKind, Sequence[Field]] = {
    GiftCardExportKind.CARDS: CARDS,
    GiftCardExportKind.TRANSACTIONS: LINES,
}


async def of_report(tx: Transaction, found: GiftCardValue) -> list[Table]:
    """The report's tables, number for number (FIN-2)."""
    parts = [
        _Part(each, label, flow)
        for each in found.products
        for label, flow in ((words.CASH, each.cash), (GIFT, each.bonus))
    ]
    moved = [_Moved(each, movement, "") for each in parts for movement in each.flow.movements]
    return [
        table_of(
            "销售 Sales",
            SALES,
            found.products,
            "赠送 = 面值 − 实付。 Gift value = face value − cash value.",
        ),
        table_of(
            "余额 Balances",
            BALANCES,
            parts,
            "期初 + 增加 − 减少 = 期末。 Opening + added − taken = closing.",
        ),
        table_of("变动 Movements", MOVEMENTS, moved),
        table_of("门店变动 By store", STORE_MOVEMENTS, await _at_stores(tx, parts)),
    ]


async def _at_stores(tx: Transaction, parts: Sequence[_Part]) -> list[_Moved]:
    moved = [(each, movement) for each in parts for movement in each.flow.by_store or ()]
    ids: set[UUID] = {each.store_id for _, each in moved if each.store_id is not None}
    stores = await organisation.nodes(tx, list(ids))
    found = [
        _Moved(part, movement, stores[movement.store_id].name if movement.store_id else "")
        for part, movement in moved
    ]
    return sorted(found, key=lambda each: (str(each.part.value.product.id), each.store_name))


def document_of(opened: Opened) -> Document:
    """The head of an exported list."""
    asked, made_at = opened.asked, local(opened.export.exported_at, opened.zone)
    title = TITLES[asked.kind]
    period = f"{asked.from_day} 00:00 – {asked.to_day} 00:00, {opened.zone.key}"
    fields = FIELDS[asked.kind]
    return Document(
        title=title,
        facts=[
            ("集团 Group", opened.group.name),
            ("视角 Perspective", opened.perspective.name),
            ("期间 Period", words.NONE if asked.from_day is None else period),
            ("生成时间 Made at", f"{made_at:%Y-%m-%d %H:%M:%S}, {opened.zone.key}"),
            ("生成人 Made by", opened.made_by),
        ],
        tables=[Table(title=title, columns=[Column(each.title, each.width) for each in fields])],
    )


def rows_of(opened: Opened, page: Iterable[SoldCard] | Iterable[GiftCardTransaction]) -> list[Row]:
    """Lines of an exported list."""
    fields = FIELDS[opened.asked.kind]
    return [row_of(fields, _Listed(row, opened)) for row in page]


def balance_rows(label: str, sums: Iterable[Sum]) -> list[Row]:
    """What all cards held at a moment, below or above the lines between two: one row a currency."""
    blank: list[Cell] = [None] * (len(LINES) - 4)
    return [
        [label, *blank, each.currency, Money(each.cash, each.currency),
         Money(each.bonus, each.currency)]
        for each in sums
    ]  # fmt: skip


def keys_document(prepared: Prepared) -> Document:
    """The keys of a bulk order, for its buyer (GFT-7)."""
    batch = prepared.batch
    return Document(
        title="礼品卡卡密 Gift card keys",
        facts=[
            (PRODUCT, prepared.product_name),
            ("购买企业 Buyer", batch.buyer_company),
            ("发票号 Invoice", batch.invoice_number),
            ("导出人 Exported by", prepared.made_by),
        ],
        tables=[
            Table(
                title="卡密 Keys",
                columns=[
                    Column(NUMBER, NAME_CHARS, is_typed_in=True),
                    Column(KEY, NAME_CHARS, is_typed_in=True),
                    Column(FACE),
                    Column(EXPIRES, MOMENT_CHARS),
                ],
                rows=[_key_row(each, prepared.zone) for each in prepared.keys],
                note="卡密仅导出一次。 The keys are exported once: keep this file safe.",
            )
        ],
    )


def _key_row(each: Key, zone: ZoneInfo) -> Row:
    return [each.number, each.key, Money(each.face, each.currency), local(each.expires_at, zone)]
