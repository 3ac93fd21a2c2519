"""Reports as tables: what a spreadsheet and a page show of them, number for number (FIN-2)."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from app.core.db import Transaction
from app.core.ids import type_id
from app.core.money import Money
from app.core.tables import Cell, Column, Document, Row, Table
from app.models.cards import Scheme
from app.services import organisation
from app.services.reports import (
    beyond,
    compliance,
    coupon_tables,
    coupons,
    gift_card_tables,
    gift_cards,
    points,
    stored_value,
    top_ups,
    words,
)
from app.services.reports.downloads import Opened, ReportKind
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
from app.services.reports.movements import Flow, Movement
from app.services.reports.subjects import Subject

TITLES = {
    ReportKind.STORED_VALUE: "储值余额报表 Stored value",
    ReportKind.POINTS_LIABILITY: "积分负债报表 Points liability",
    ReportKind.TOP_UPS: "充值统计 Top-up statistics",
    ReportKind.TOP_UP_ORDERS: "充值订单 Top-up orders",
    ReportKind.GIFT_CARDS: "礼品卡报表 Gift cards",
    ReportKind.COUPONS: "优惠券成本报表 Coupon costs",
    ReportKind.COMPLIANCE: "预付卡合规报表 Prepaid card compliance",
}


class _Account(NamedTuple):
    """One kind of stored value of a scheme."""

    scheme: Scheme
    label: str
    flow: Flow


class _Moved(NamedTuple):
    account: _Account
    movement: Movement
    store_name: str


class _Sourced(NamedTuple):
    """A line of statistics, of one source."""

    line: top_ups.Line
    source: str
    figures: top_ups.Figures


class _Ruled(NamedTuple):
    """Something beyond a limit, and the currency it is in."""

    row: Any
    currency: str
    about: Subject


class _Ordered(NamedTuple):
    row: top_ups.OrderRow
    scheme_name: str
    about: Subject


def _account_money(amount: Callable[[Any], int]) -> Callable[[Any], Cell]:
    return money_of(amount, lambda each: each.scheme.currency)


BALANCES = (
    Field(words.SCHEME, lambda each: each.scheme.name, NAME_CHARS),
    Field(words.CURRENCY, lambda each: each.scheme.currency),
    Field(words.ACCOUNT, lambda each: each.label),
    summed(words.OPENING, _account_money(lambda each: each.flow.opening)),
    summed(words.ADDED, _account_money(lambda each: each.flow.added)),
    summed(words.TAKEN, _account_money(lambda each: each.flow.taken)),
    summed(words.CLOSING, _account_money(lambda each: each.flow.closing)),
    # A card may have both cash and bonus: these numbers do not add up to cards.
    Field(words.CARDS, lambda each: each.flow.cards),
    summed(words.ON_CARDS, _account_money(lambda each: each.flow.on_cards)),
    summed(words.OWED, _account_money(lambda each: each.flow.owed)),
)
HELD = BALANCES[:2] + BALANCES[3:7]


def _moved_money(amount: Callable[[Movement], int]) -> Callable[[Any], Cell]:
    return money_of(lambda each: amount(each.movement), lambda each: each.account.scheme.currency)


MOVEMENTS = (
    Field(words.SCHEME, lambda each: each.account.scheme.name, NAME_CHARS),
    Field(words.CURRENCY, lambda each: each.account.scheme.currency),
    Field(words.ACCOUNT, lambda each: each.account.label),
    Field(words.KIND, lambda each: words.POSTINGS[each.movement.kind], NAME_CHARS),
    summed(words.ADDED, _moved_money(lambda movement: movement.added)),
    summed(words.TAKEN, _moved_money(lambda movement: movement.taken)),
    summed(words.NET, _moved_money(lambda movement: movement.net)),
)
STORE_MOVEMENTS = (
    *MOVEMENTS[:3],
    Field(words.STORE, lambda each: each.store_name or words.NONE, NAME_CHARS),
    *MOVEMENTS[3:],
)


def _change(name: str) -> Field:
    return summed(words.POINTS[name], lambda each: each.changed_by(name))


POINTS = (
    Field(words.SCHEME, lambda each: each.scheme.name, NAME_CHARS),
    summed(words.OPENING, lambda each: each.flow.opening),
    *(_change(name) for name in points.KINDS),
    summed(words.CLOSING, lambda each: each.flow.closing),
    Field(words.CARDS, lambda each: each.flow.cards),
    summed(words.ON_CARDS, lambda each: each.flow.on_cards),
    summed(words.OWED, lambda each: each.flow.owed),
    summed(words.HELD, lambda each: each.held.closing),
    Field(words.CURRENCY, lambda each: each.scheme.currency),
    Field(
        "每千分成本 Cost of 1,000",
        _account_money(lambda each: each.scheme.points_cost_per_thousand),
    ),
    summed("成本 Cost", lambda each: each.cost),
)
MONTHS = (
    Field(words.SCHEME, lambda each: each[0].name, NAME_CHARS),
    Field("到期月份 Expires in", lambda each: _month(each[1])),
    summed("积分 Points", lambda each: each[1].points),
    Field(words.CURRENCY, lambda each: each[0].currency),
    summed("成本 Cost", lambda each: each[1].cost),
)


def _figure_money(amount: Callable[[top_ups.Figures], int]) -> Callable[[Any], Cell]:
    return money_of(lambda each: amount(each.figures), lambda each: each.line.currency)


STATISTICS = (
    Field("来源 Source", lambda each: each.source),
    Field(words.CURRENCY, lambda each: each.line.currency),
    Field("笔数 Orders", lambda each: each.figures.orders),
    Field("实付 Paid", _figure_money(lambda figures: figures.paid)),
    Field("赠送金 Bonus", _figure_money(lambda figures: figures.bonus)),
    Field("积分 Points", lambda each: each.figures.points),
    Field("已退笔数 Refunded orders", lambda each: each.figures.refunded_orders),
    Field("已退金额 Refunded", _figure_money(lambda figures: figures.refunded)),
)
SOURCES: tuple[tuple[str, Callable[[top_ups.Line], top_ups.Figures]], ...] = (
    ("销售 Sold", lambda line: line.sold),
    ("批量 Batches", lambda line: line.batches),
    ("充值码 Codes", lambda line: line.codes),
)


def _ruled_money(amount: Callable[[Any], int]) -> Callable[[Any], Cell]:
    return money_of(lambda each: amount(each.row), lambda each: each.currency)


def _moment(title: str, moment: Callable[[Any], Any]) -> Field:
    return Field(title, lambda each: local(moment(each.row), each.about.period.zone), MOMENT_CHARS)


_HOLDER = Field(words.HOLDER, lambda each: each.row.holder)
_CURRENCY = Field(words.CURRENCY, lambda each: each.currency)
_CASH = Field(words.CASH, _ruled_money(lambda row: row.balance))
_CAP = Field("上限 Cap", _ruled_money(lambda row: row.cap))
_AMOUNT = Field(words.AMOUNT, _ruled_money(lambda row: row.amount))
CARDS_ABOVE = (
    Field(words.CARD_NUMBER, lambda each: each.row.number),
    _HOLDER,
    Field("记名 Registered", lambda each: words.yes(each.row.is_registered)),
    _CURRENCY,
    _CASH,
    _CAP,
)
PERSONS_ABOVE = (
    Field("会员 Member", lambda each: type_id("mem", each.row.member_id), ID_CHARS),
    _HOLDER,
    Field("卡数 Cards", lambda each: each.row.cards),
    _CURRENCY,
    _CASH,
    _CAP,
)
_ASKED_FOR = (
    _CURRENCY,
    _AMOUNT,
    Field("须实名 Real name needed", lambda each: words.yes(each.row.needs_real_name)),
    _moment("实名登记时间 Real name recorded", lambda row: row.real_name_recorded_at),
    Field("须转账 Transfer needed", lambda each: words.yes(each.row.needs_transfer)),
    Field(
        "支付方式 Payment method",
        lambda each: each.row.method_name or each.row.provider or words.NONE,
        NAME_CHARS,
    ),
    Field("可追溯 Leaves a trace", lambda each: words.yes(each.row.leaves_trace)),
    Field("超单笔上限 Above the most", lambda each: words.yes(each.row.is_above_most)),
)
LARGE_ORDERS = (
    Field("订单 Order", lambda each: type_id("top", each.row.order_id), ID_CHARS),
    _moment("到账时间 Credited at", lambda row: row.credited_at),
    Field(words.CARD_NUMBER, lambda each: each.row.card_number),
    _HOLDER,
    *_ASKED_FOR,
)
GIFT_CARDS_ABOVE = (
    Field(words.CARD_NUMBER, lambda each: each.row.number, NAME_CHARS),
    _HOLDER,
    _CURRENCY,
    Field("余额 Balance", _ruled_money(lambda row: row.balance)),
    _CAP,
)
LARGE_PURCHASES = (
    Field("编号 Id", lambda each: each.row.id, ID_CHARS),
    Field("类型 Kind", lambda each: words.PURCHASES[each.row.kind], NAME_CHARS),
    _moment("购买时间 Bought at", lambda row: row.bought_at),
    Field(words.CARD_NUMBER, lambda each: each.row.card_number, NAME_CHARS),
    Field("购卡人 Buyer", lambda each: each.row.buyer, NAME_CHARS),
    *_ASKED_FOR,
)
EXPIRING = (
    Field(words.CARD_NUMBER, lambda each: each.row.card_number),
    _HOLDER,
    _CURRENCY,
    _AMOUNT,
    _moment("到期 Expires at", lambda row: row.expires_at),
)


def _order_money(amount: Callable[[top_ups.OrderRow], int]) -> Callable[[Any], Cell]:
    return money_of(lambda each: amount(each.row), lambda each: each.row.currency)


ORDERS = (
    _moment("到账时间 Credited at", lambda row: row.credited_at),
    Field("订单 Order", lambda each: type_id("top", each.row.id), ID_CHARS),
    Field(words.SCHEME, lambda each: each.scheme_name, NAME_CHARS),
    Field(words.CARD_NUMBER, lambda each: each.row.card_number),
    Field("来源 Source", lambda each: words.SOURCES[each.row.source]),
    Field("渠道 Channel", lambda each: words.CHANNELS[each.row.channel]),
    Field("充值方案 Plan", lambda each: each.row.plan_name, NAME_CHARS),
    Field(words.STORE, lambda each: each.row.store_name, NAME_CHARS),
    Field("支付方式 Payment method", lambda each: each.row.method_name, NAME_CHARS),
    Field("支付渠道 Provider", lambda each: each.row.provider),
    Field(words.CURRENCY, lambda each: each.row.currency),
    summed("实付 Paid", _order_money(lambda row: row.amount)),
    summed("赠送金 Bonus", _order_money(lambda row: row.bonus)),
    summed("积分 Points", lambda each: each.row.points),
    Field("状态 State", lambda each: words.STATES[each.row.state]),
    _moment("退款时间 Refunded at", lambda row: row.ended_at),
    Field(
        "退款方式 Refunded by",
        lambda each: words.ROUTES[each.row.refund_route] if each.row.refund_route else None,
    ),
)


async def document(tx: Transaction, opened: Opened) -> Document:
    """A report with all its tables; of a list of orders only the head. For `Database.scan`."""
    about = opened.about
    tables: list[Table] = []
    match opened.asked.kind:
        case ReportKind.STORED_VALUE:
            tables = await _stored_value(tx, await stored_value.of(tx, about, by_store=True))
        case ReportKind.POINTS_LIABILITY:
            tables = _points(await points.of(tx, about))
        case ReportKind.TOP_UPS:
            for grouping in top_ups.Grouping:
                tables.append(_statistics(await top_ups.of(tx, about, grouping=grouping)))
        case ReportKind.COMPLIANCE:
            tables = _compliance(await compliance.of(tx, about))
        case ReportKind.GIFT_CARDS:
            tables = await gift_card_tables.of_report(
                tx, await gift_cards.of(tx, about, by_store=True)
            )
        case ReportKind.COUPONS:
            for by in coupons.CouponGrouping:
                tables.append(coupon_tables.of_report(await coupons.of(tx, about, grouping=by)))
        case ReportKind.TOP_UP_ORDERS:
            tables = [table_of(TITLES[ReportKind.TOP_UP_ORDERS], ORDERS, ())]
    return Document(title=TITLES[opened.asked.kind], facts=_facts(opened), tables=tables)


def order_rows(page: Iterable[top_ups.OrderRow], scheme_name: str, about: Subject) -> list[Row]:
    """Lines of the list of orders."""
    return [row_of(ORDERS, _Ordered(row, scheme_name, about)) for row in page]


def _facts(opened: Opened) -> list[tuple[str, str]]:
    about, period = opened.about, opened.about.period
    made_at = about.made_at.astimezone(period.zone)
    return [
        ("集团 Group", opened.group.name),
        ("视角 Perspective", about.perspective.name),
        ("期间 Period", f"{period.from_day} 00:00 – {period.to_day} 00:00, {period.zone.key}"),
        ("生成时间 Made at", f"{made_at:%Y-%m-%d %H:%M:%S}, {period.zone.key}"),
        ("生成人 Made by", opened.made_by),
    ]


async def _stored_value(tx: Transaction, value: stored_value.StoredValue) -> list[Table]:
    accounts = [
        _Account(each.scheme, label, flow)
        for each in value.schemes
        for label, flow in ((words.CASH, each.cash), (words.BONUS, each.bonus))
    ]
    held = [_Account(each.scheme, words.HELD, each.held) for each in value.schemes]
    moved = [_Moved(each, movement, "") for each in accounts for movement in each.flow.movements]
    return [
        table_of(
            "余额 Balances",
            BALANCES,
            accounts,
            "期初 + 增加 − 减少 = 期末 = 卡上余额 − 欠款。 "
            "Opening + added − taken = closing = on cards − owed.",
        ),
        table_of("变动 Movements", MOVEMENTS, moved),
        table_of("门店变动 By store", STORE_MOVEMENTS, await _at_stores(tx, accounts)),
        table_of(
            words.HELD,
            HELD,
            held,
            "已从卡上扣下、账单尚未确定。 Taken from cards for bills that are not final.",
        ),
    ]


async def _at_stores(tx: Transaction, accounts: Sequence[_Account]) -> list[_Moved]:
    moved = [(each, movement) for each in accounts for movement in each.flow.by_store or ()]
    ids: set[UUID] = {each.store_id for _, each in moved if each.store_id is not None}
    stores = await organisation.nodes(tx, list(ids))
    names = {store_id: store.name for store_id, store in stores.items()}
    found = [
        _Moved(account, movement, names[movement.store_id] if movement.store_id else "")
        for account, movement in moved
    ]
    # Sorting is stable: within a store they stay in the order of their kinds.
    return sorted(found, key=lambda each: (str(each.account.scheme.id), each.store_name))


def _points(liability: points.PointsLiability) -> list[Table]:
    months = [(each.scheme, left) for each in liability.schemes for left in each.months or ()]
    is_told = liability.about.is_until_now
    return [
        table_of(
            "积分 Points",
            POINTS,
            liability.schemes,
            "期初 + 各项变动 = 期末 = 卡上余额 − 欠款；成本按卡上余额计。 "
            "Opening + all changes = closing = on cards − owed; the cost is of what is on cards.",
        ),
        table_of(
            "到期月份 By expiry month",
            MONTHS,
            months,
            "" if is_told else "仅适用于截至当前的期间。 Told of a period that reaches to now.",
        ),
    ]


def _month(left: points.Expiring) -> str:
    return "永久 Never" if left.month is None else f"{left.month:%Y-%m}"


def _statistics(found: top_ups.Statistics) -> Table:
    label = words.GROUPINGS[found.grouping]
    fields = (Field(label, lambda each: line_name(each.line), NAME_CHARS), *STATISTICS)
    totals = (Field(label, lambda each: words.TOTAL), *STATISTICS)
    return Table(
        title=f"按{label}",
        columns=[Column(field.title, field.width) for field in fields],
        rows=[row_of(fields, each) for each in _by_source(found.lines)],
        totals=[row_of(totals, each) for each in _by_source(found.totals)],
    )


def _by_source(lines: Iterable[top_ups.Line]) -> list[_Sourced]:
    every = (_Sourced(line, label, of(line)) for line in lines for label, of in SOURCES)
    return [each for each in every if each.figures.orders]


def line_name(line: top_ups.Line) -> Cell:
    """What a line of statistics is called."""
    if line.day is not None:
        return line.day
    named = line.store or line.plan or line.method
    if named is None:
        return line.provider or words.NONE
    return f"{named.name} ({line.provider})" if line.provider else named.name


def _compliance(found: compliance.Compliance) -> list[Table]:
    about, limits = found.about, (Column("限额 Limit", ID_CHARS), Column(words.CURRENCY))

    def beyond(title: str, fields: Sequence[Field], name: str) -> Table:
        lists = [(each.rules.currency, getattr(each, name)) for each in found.currencies]
        things = [_Ruled(row, currency, about) for currency, of in lists for row in of.rows]
        return table_of(title, fields, things, _how_many(of.how_many for _, of in lists))

    return [
        Table(
            title="限额 Limits",
            columns=(*limits, Column(words.AMOUNT)),
            rows=[
                (label, each.rules.currency, _limit(each.rules.currency, getattr(each.rules, name)))
                for each in found.currencies
                for name, label in words.LIMITS.items()
            ],
        ),
        beyond("超限卡 Cards above the cap", CARDS_ABOVE, "cards"),
        beyond("超限个人 Persons above the cap", PERSONS_ABOVE, "persons"),
        beyond("大额充值 Large top-ups", LARGE_ORDERS, "orders"),
        beyond("超限礼品卡 Gift cards above the cap", GIFT_CARDS_ABOVE, "gift_cards"),
        beyond("大额购卡 Large gift card purchases", LARGE_PURCHASES, "purchases"),
        table_of(
            "会过期的本金 Cash that expires",
            EXPIRING,
            [_Ruled(row, row.currency, about) for row in found.expiring.rows],
            _how_many([found.expiring.how_many]),
        ),
    ]


def _limit(currency: str, amount: int | None) -> Cell:
    return words.NONE if amount is None else Money(amount, currency)


def _how_many(numbers: Iterable[int]) -> str:
    total = sum(numbers)
    return f"共 {total:,} 条，最多列出 {beyond.ROWS_MAX:,} 条。 {total:,} in all."
