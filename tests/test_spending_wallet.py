"""TOP-1, TOP-9: which lots pay a bill, how it is divided between the balances, and what of it goes
back, to the minor unit."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from fractions import Fraction
from itertools import chain, combinations
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.ids import new_id
from app.core.money import split_by_largest_remainder
from app.models.cards import DeductionRule
from app.models.ledger import Lot
from app.models.spendings import Spending, SpendingKind, SpendingState
from app.services.ledger.sheet import new_lot
from app.services.ledger.splitting import proportional_refund, split
from app.services.spendings.charging import new_spending
from app.services.spendings.splitting import Share, share_of
from app.services.spendings.wallet import (
    NO_LIMIT,
    Basket,
    Circumstances,
    Line,
    Origin,
    Restriction,
    SameDay,
    Wallet,
    choose,
    choose_points,
    restricted_today,
)

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
STORE, BRAND, OTHER = new_id(), new_id(), new_id()
HERE = Circumstances(place=frozenset({STORE, BRAND}), now=NOW)
TODAY = {"date": "2026-09-01", "time_zone": "Asia/Shanghai"}
CASH, BONUS = new_id(), new_id()

balances = st.integers(0, 10**12)
rules = st.sampled_from(DeductionRule)


def lot(amount: int, account_id: UUID = CASH, **restriction: Any) -> Lot:
    return new_lot(
        account_id=account_id,
        origin_id=new_id(),
        amount=amount,
        remaining=amount,
        earned_at=NOW,
        restriction=restriction or None,
    )


def here(lines: dict[str, int] | None = None, **more: Any) -> Circumstances:
    shown = [Line(item, amount) for item, amount in (lines or {}).items()]
    return Circumstances(place=HERE.place, now=more.pop("now", NOW), lines=shown, **more)


def amounts(lots: Sequence[Lot], amount: int, circumstances: Circumstances) -> list[int]:
    """How much of an amount each lot pays."""
    wallet = Wallet(circumstances)
    wallet.draw(lots, amount)
    drawn = {part.lot.id: part.amount for part in wallet.drawn_from(lots)}
    return [drawn.get(each.id, 0) for each in lots]


# One balance


def test_lots_pay_in_the_order_they_come_and_those_that_do_not_fit_wait() -> None:
    lots = [lot(30), lot(50, nodes=[str(OTHER)]), lot(100, nodes=[str(BRAND)]), lot(100)]
    assert amounts(lots, 20, HERE) == [20, 0, 0, 0]
    assert amounts(lots, 150, HERE) == [30, 0, 100, 20]
    assert Wallet(HERE).draw(lots, NO_LIMIT) == 230


def test_on_its_day_a_lot_pays_no_more_than_its_share() -> None:
    """TOP-4: less what was spent of it before, and all of it once the day is over."""
    top_up = lot(100_00, day=TODAY | {"usable": 50_00})
    origin = Origin(CASH, top_up.origin_id)
    assert restricted_today([top_up, lot(1)], NOW) == {origin}
    assert amounts([top_up], 80_00, here()) == [50_00]
    assert amounts([top_up], 80_00, here(spent_before={origin: 20_00})) == [30_00]
    assert amounts([top_up], 80_00, here(spent_before={origin: 60_00})) == [0]
    # In Shanghai, it is the second at 16:00 UTC.
    last, first = datetime(2026, 9, 1, 15, 59, 59, tzinfo=UTC), datetime(2026, 9, 1, 16, tzinfo=UTC)
    assert amounts([top_up], 80_00, here(now=last)) == [50_00]
    assert amounts([top_up], 80_00, here(now=first)) == [80_00]
    assert restricted_today([top_up], first) == set()


def test_lots_of_one_top_up_share_what_may_be_spent_today() -> None:
    """A merge and a return after it make several lots of what was one."""
    one = lot(60, day=TODAY | {"usable": 50})
    other = one._replace(id=new_id(), remaining=40)  # type: ignore[attr-defined]
    assert amounts([one, other], 80, here()) == [50, 0]
    spent = {Origin(CASH, one.origin_id): 10}
    assert amounts([one._replace(remaining=30), other], 80, here(spent_before=spent)) == [30, 10]  # type: ignore[attr-defined]


def test_a_lot_for_certain_items_pays_their_lines_only() -> None:
    """TOP-3: also where several lots are for the same ones."""
    lots = [lot(100, items=["tea"]), lot(100, items=["tea", "cake"]), lot(100)]
    assert amounts(lots, 200, here({"tea": 30, "cake": 20, "hat": 150})) == [30, 20, 100]
    assert amounts(lots, 100, here({"tea": 130})) == [100, 0, 0]
    assert amounts(lots, 100, here()) == [0, 0, 100]
    assert amounts([lot(100, items=[])], 100, here({"tea": 100})) == [0]


def test_lines_of_one_item_count_together() -> None:
    twice = Circumstances(place=HERE.place, now=NOW, lines=[Line("tea", 5), Line("tea", 7)])
    assert amounts([lot(100, items=["tea"])], 100, twice) == [12]


def test_who_can_pay_another_line_makes_room() -> None:
    """The lot for both items comes first, and must not stand in the way of the one for tea."""
    lots = [lot(50, items=["cake", "tea"]), lot(50, items=["tea"])]
    assert amounts(lots, 100, here({"tea": 50, "cake": 50})) == [50, 50]
    chained = [lot(10, items=[a, b]) for a, b in ("ab", "bc", "cd")] + [lot(10, items=["a"])]
    assert amounts(chained, 40, here(dict.fromkeys("abcd", 10))) == [10, 10, 10, 10]


def test_restrictions_of_a_lot_all_hold() -> None:
    limits: dict[str, Any] = {
        "items": ["tea"], "nodes": [str(STORE)], "day": TODAY | {"usable": 40},
    }  # fmt: skip
    assert amounts([lot(100, **limits)], 90, here({"tea": 60})) == [40]
    assert amounts([lot(100, **limits)], 90, here({"tea": 30})) == [30]
    elsewhere = limits | {"nodes": [str(OTHER)]}
    assert amounts([lot(100, **elsewhere)], 90, here({"tea": 60})) == [0]


def test_a_restriction_is_kept_as_it_was() -> None:
    whole = Restriction(
        items=frozenset({"tea"}),
        nodes=frozenset({STORE}),
        day=SameDay(date(2026, 9, 1), "Asia/Shanghai", 50_00),
    )
    assert whole.kept() == {
        "items": ["tea"],
        "nodes": [str(STORE)],
        "day": {"date": "2026-09-01", "time_zone": "Asia/Shanghai", "usable": 50_00},
    }
    assert Restriction.of(whole.kept()) == whole
    assert Restriction().kept() is None
    assert Restriction.of(None) == Restriction()


items = st.sampled_from("abcd")


@given(
    st.dictionaries(items, st.integers(1, 20)),
    st.lists(st.tuples(st.frozensets(items), st.integers(1, 20)), max_size=6),
)
def test_payers_of_a_basket_pay_as_much_as_any_assignment_could(
    lines: dict[str, int], payers: list[tuple[frozenset[str], int]]
) -> None:
    """Whatever their order, and none more than it has: the cut that bounds every flow is met."""
    for order in (payers, payers[::-1]):
        basket = Basket([Line(item, amount) for item, amount in lines.items()])
        paid = [basket.pay(may, has) for may, has in order]
        assert all(0 <= part <= has for part, (_, has) in zip(paid, order, strict=True))
        assert sum(paid) == largest_flow(lines, payers)
        assert paid[:1] == [min(has, sum(lines.get(i, 0) for i in may)) for may, has in order[:1]]


def largest_flow(lines: dict[str, int], payers: list[tuple[frozenset[str], int]]) -> int:
    """By the smallest cut: what payers have who can pay beyond some lines, and those lines."""
    subsets = chain.from_iterable(combinations(lines, n) for n in range(len(lines) + 1))
    return min(
        sum(lines[item] for item in cut)
        + sum(has for may, has in payers if not (may & lines.keys()) <= set(cut))
        for cut in subsets
    )


# Two balances


def parts(
    rule: DeductionRule,
    amount: int,
    cash: Sequence[Lot],
    bonus: Sequence[Lot],
    circumstances: Circumstances = HERE,
) -> tuple[int, int, int]:
    """What may be used, and what cash and bonus pay."""
    chosen = choose(cash=cash, bonus=bonus, amount=amount, rule=rule, circumstances=circumstances)
    paid = [sum(part.amount for part in taken) for taken in (chosen.cash, chosen.bonus)]
    return chosen.usable, paid[0], paid[1]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (DeductionRule.CASH_FIRST, (10_00, 0)),
        (DeductionRule.BONUS_FIRST, (5_00, 5_00)),
        (DeductionRule.PROPORTIONAL, (8_57, 1_43)),
    ],
)
def test_a_bill_is_divided_by_what_may_be_used(
    rule: DeductionRule, expected: tuple[int, int]
) -> None:
    """TOP-1: 30.00 and 5.00, whatever else is on the card for another place."""
    cash = [lot(7_00), lot(99_00, nodes=[str(OTHER)]), lot(23_00)]
    bonus = [lot(99_00, BONUS, items=["hat"]), lot(5_00, BONUS)]
    assert parts(rule, 10_00, cash, bonus) == (35_00, *expected)
    assert parts(rule, 35_00, cash, bonus) == (35_00, 30_00, 5_00)
    assert parts(rule, 35_01, cash, bonus) == (35_00, 0, 0)


@pytest.mark.parametrize("rule", DeductionRule)
def test_where_both_balances_want_one_line_the_other_pays_the_rest(rule: DeductionRule) -> None:
    """TOP-9: 60 of tea; cash and bonus for tea only, and free cash."""
    cash, bonus = [lot(50, items=["tea"]), lot(30)], [lot(50, BONUS, items=["tea"])]
    tea = here({"tea": 60})
    usable, from_cash, from_bonus = parts(rule, 90, cash, bonus, tea)
    assert (usable, from_cash + from_bonus) == (90, 90)
    expected = {
        DeductionRule.CASH_FIRST: (80, 10),
        DeductionRule.BONUS_FIRST: (40, 50),
        # 80 ÷ 130 × 90 = 55.4 in cash: 50 of them for tea, which leaves 10 for the bonus.
        DeductionRule.PROPORTIONAL: (80, 10),
    }
    assert (from_cash, from_bonus) == expected[rule]
    assert parts(rule, 91, cash, bonus, tea) == (90, 0, 0)


lots_of_any_kind = st.lists(
    st.tuples(
        st.integers(1, 40),
        st.none() | st.frozensets(items, min_size=1),
        st.none() | st.sampled_from([STORE, OTHER]),
        st.none() | st.integers(0, 40),
    ),
    max_size=4,
)


def made(account_id: UUID, drawn: list[tuple[Any, ...]]) -> list[Lot]:
    found = []
    for amount, for_items, node, usable in drawn:
        limits: dict[str, Any] = {}
        if for_items is not None:
            limits["items"] = sorted(for_items)
        if node is not None:
            limits["nodes"] = [str(node)]
        if usable is not None:
            limits["day"] = TODAY | {"usable": usable}
        found.append(lot(amount, account_id, **limits))
    return found


@given(
    lots_of_any_kind, lots_of_any_kind, st.dictionaries(items, st.integers(1, 30)), rules, st.data()
)
def test_whatever_the_restrictions_a_bill_is_paid_if_it_can_be(
    cash: list[Any], bonus: list[Any], lines: dict[str, int], rule: DeductionRule, data: Any
) -> None:
    """TOP-9: exactly, from lots that may pay it, and no lot more than it may."""
    lots = (made(CASH, cash), made(BONUS, bonus))
    usable, *_ = parts(rule, NO_LIMIT, *lots, here(lines))
    amount = data.draw(st.integers(1, usable + 1))
    chosen = choose(
        cash=lots[0], bonus=lots[1], amount=amount, rule=rule, circumstances=here(lines)
    )
    taken = [*chosen.cash, *chosen.bonus]
    assert sum(part.amount for part in taken) == (amount if amount <= usable else 0)
    for part in taken:
        limits = part.lot.restriction or {}
        assert 0 < part.amount <= part.lot.remaining
        assert part.amount <= limits.get("day", {}).get("usable", NO_LIMIT)
        assert limits.get("nodes", [str(STORE)]) == [str(STORE)]
    for_items = [(frozenset(limits["items"]), part.amount) for part in taken
                 if (limits := part.lot.restriction or {}) and "items" in limits]  # fmt: skip
    assert largest_flow(lines, for_items) == sum(paid for _, paid in for_items)


def test_points_are_no_money_for_certain_items() -> None:
    """PTS-6."""
    lots = [
        lot(10, items=["tea"]),
        lot(20, nodes=[str(OTHER)]),
        lot(30, nodes=[str(STORE)]),
        lot(5),
    ]
    chosen = choose_points(lots, points=32, circumstances=here({"tea": 10}))
    assert chosen.usable == 35
    assert [(part.lot, part.amount) for part in chosen.cash] == [(lots[2], 30), (lots[3], 2)]
    assert choose_points(lots, points=36, circumstances=HERE).cash == []


# Dividing by the rule


@pytest.mark.parametrize(
    ("amount", "cash", "bonus", "rule", "parts"),
    [
        (10_00, 30_00, 5_00, DeductionRule.CASH_FIRST, (10_00, 0)),
        (32_00, 30_00, 5_00, DeductionRule.CASH_FIRST, (30_00, 2_00)),
        (10_00, 30_00, 5_00, DeductionRule.BONUS_FIRST, (5_00, 5_00)),
        (4_00, 30_00, 5_00, DeductionRule.BONUS_FIRST, (0, 4_00)),
        # 857.14… and 142.85… minor units.
        (10_00, 30_00, 5_00, DeductionRule.PROPORTIONAL, (8_57, 1_43)),
        (128_00, 120_00, 8_00, DeductionRule.PROPORTIONAL, (120_00, 8_00)),
        (100_00, 120_00, 8_00, DeductionRule.PROPORTIONAL, (93_75, 6_25)),
        # Half a minor unit each: the cash part is rounded up, the bonus part is the rest.
        (1, 50, 50, DeductionRule.PROPORTIONAL, (1, 0)),
        (3, 50, 50, DeductionRule.PROPORTIONAL, (2, 1)),
        (1, 49, 51, DeductionRule.PROPORTIONAL, (0, 1)),
        (1, 1, 1, DeductionRule.PROPORTIONAL, (1, 0)),
        (5, 5, 0, DeductionRule.PROPORTIONAL, (5, 0)),
        (5, 0, 5, DeductionRule.PROPORTIONAL, (0, 5)),
        *((0, 30_00, 5_00, rule, (0, 0)) for rule in DeductionRule),
        *((0, 0, 0, rule, (0, 0)) for rule in DeductionRule),
        *((35_00, 30_00, 5_00, rule, (30_00, 5_00)) for rule in DeductionRule),
    ],
)
def test_a_spend_is_split_by_the_scheme_s_rule(
    amount: int, cash: int, bonus: int, rule: DeductionRule, parts: tuple[int, int]
) -> None:
    """TOP-1."""
    assert split(amount, cash=cash, bonus=bonus, rule=rule) == parts


@given(balances, balances, st.data(), rules)
def test_a_split_adds_up_and_leaves_no_balance_below_zero(
    cash: int, bonus: int, data: st.DataObject, rule: DeductionRule
) -> None:
    """TOP-1."""
    amount = data.draw(st.integers(0, cash + bonus))
    cash_part, bonus_part = split(amount, cash=cash, bonus=bonus, rule=rule)
    assert cash_part + bonus_part == amount
    assert 0 <= cash_part <= cash
    assert 0 <= bonus_part <= bonus
    match rule:
        case DeductionRule.CASH_FIRST:
            assert bonus_part == 0 or cash_part == cash
        case DeductionRule.BONUS_FIRST:
            assert cash_part == 0 or bonus_part == bonus
        case DeductionRule.PROPORTIONAL if amount:
            exact = Fraction(cash * amount, cash + bonus)
            assert abs(cash_part - exact) <= Fraction(1, 2)
            fair = split_by_largest_remainder(amount, [cash, bonus])
            assert [cash_part, bonus_part] == fair


@pytest.mark.parametrize(
    ("amount", "cash", "bonus"), [(36, 30, 5), (-1, 30, 5), (1, -1, 5), (1, 5, -1)]
)
@pytest.mark.parametrize("rule", DeductionRule)
def test_a_spend_the_balances_do_not_cover_is_our_mistake(
    amount: int, cash: int, bonus: int, rule: DeductionRule
) -> None:
    with pytest.raises(AssertionError):
        split(amount, cash=cash, bonus=bonus, rule=rule)


def returned(amount_total: int, cash_total: int, steps: list[int]) -> list[tuple[int, int]]:
    """The cash and bonus parts of returns one after the other."""
    parts, before = [], 0
    for amount in steps:
        cash_part = proportional_refund(
            amount_total=amount_total,
            cash_total=cash_total,
            returned_before=before,
            amount=amount,
        )
        parts.append((cash_part, amount - cash_part))
        before += amount
    return parts


def test_a_spend_returned_in_parts_ends_at_its_own_split() -> None:
    """TOP-1: 10.00 were 8.57 in cash and 1.43 in bonus."""
    assert returned(10_00, 8_57, [10_00]) == [(8_57, 1_43)]
    assert returned(10_00, 8_57, [3_33, 3_33, 3_34]) == [(2_85, 48), (2_86, 47), (2_86, 48)]
    # The half of a minor unit goes to the cash first, and is then missing there.
    assert returned(2, 1, [1, 1]) == [(1, 0), (0, 1)]
    assert returned(5, 5, [2, 3]) == [(2, 0), (3, 0)]
    assert returned(5, 0, [2, 3]) == [(0, 2), (0, 3)]


@given(
    st.lists(st.integers(1, 10**9), min_size=1, max_size=8).flatmap(
        lambda steps: st.tuples(st.just(steps), st.permutations(steps), st.integers(0, sum(steps)))
    )
)
def test_returns_in_any_order_add_up_to_the_spend(
    case: tuple[list[int], list[int], int],
) -> None:
    """TOP-1: no part is negative, and at every point the rest is split as the whole was."""
    steps, otherwise, cash_total = case
    amount_total = sum(steps)
    for order in (steps, otherwise):
        cash_returned = amount_returned = 0
        for cash_part, bonus_part in returned(amount_total, cash_total, order):
            assert cash_part >= 0
            assert bonus_part >= 0
            cash_returned += cash_part
            amount_returned += cash_part + bonus_part
            exact = Fraction(cash_total * amount_returned, amount_total)
            assert abs(cash_returned - exact) <= Fraction(1, 2)
            at_once = returned(amount_total, cash_total, [amount_returned])
            assert at_once == [(cash_returned, amount_returned - cash_returned)]
        assert (amount_returned, cash_returned) == (amount_total, cash_total)


@pytest.mark.parametrize(
    ("amount_total", "cash_total", "returned_before", "amount"),
    [(10, 11, 0, 1), (10, -1, 0, 1), (10, 5, -1, 1), (10, 5, 0, 0), (10, 5, 5, 6), (0, 0, 0, 1)],
)
def test_a_return_that_cannot_be_is_our_mistake(
    amount_total: int, cash_total: int, returned_before: int, amount: int
) -> None:
    with pytest.raises(AssertionError):
        proportional_refund(
            amount_total=amount_total,
            cash_total=cash_total,
            returned_before=returned_before,
            amount=amount,
        )


# Giving back a spending


def a_spending(**more: Any) -> Spending:
    made_before: dict[str, Any] = {
        "group_id": new_id(),
        "card_id": new_id(),
        "kind": SpendingKind.STORED_VALUE,
        "state": SpendingState.CAPTURED,
        "store_id": STORE,
        "terminal_id": new_id(),
        "order_number": "1",
        "currency": "CNY",
        "posting_id": new_id(),
        "made_at": NOW,
    }
    return new_spending(**made_before | more)


def returned_in_steps(spending: Spending, steps: list[int]) -> list[Share]:
    shares = []
    for amount in steps:
        share = share_of(spending, amount)
        shares.append(share)
        spending = spending._replace(  # type: ignore[attr-defined]
            returned_amount=spending.returned_amount + amount,
            returned_cash=spending.returned_cash + share.cash,
            returned_bonus=spending.returned_bonus + share.bonus,
            returned_points=spending.returned_points + share.points,
        )
    return shares


def test_points_are_rounded_down_until_the_last_return() -> None:
    """PTS-6: 10 points paid 3.33."""
    paid = a_spending(kind=SpendingKind.POINTS, amount=3_33, points=10)
    shares = returned_in_steps(paid, [1_00, 1_00, 1_00, 33])
    assert [share.points for share in shares] == [3, 3, 3, 1]
    assert {(share.cash, share.bonus) for share in shares} == {(0, 0)}
    worthless = returned_in_steps(a_spending(kind=SpendingKind.POINTS, amount=3, points=1), [1, 2])
    assert [share.points for share in worthless] == [0, 1]


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=8), st.data())
def test_whatever_the_steps_a_spending_comes_back_whole(steps: list[int], data: Any) -> None:
    """TOP-9, PTS-6: no part negative, the sum exact."""
    amount = sum(steps)
    cash = data.draw(st.integers(0, amount))
    stored = a_spending(amount=amount, cash=cash, bonus=amount - cash)
    shares = returned_in_steps(stored, steps)
    assert [share.cash + share.bonus for share in shares] == steps
    assert min(min(share) for share in shares) >= 0
    assert sum(share.cash for share in shares) == cash
    points = data.draw(st.integers(1, 10**9))
    shares = returned_in_steps(
        a_spending(kind=SpendingKind.POINTS, amount=amount, points=points), steps
    )
    assert min(min(share) for share in shares) >= 0
    assert sum(share.points for share in shares) == points
