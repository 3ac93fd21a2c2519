"""Which lots pay a bill, each as far as its restriction lets it (TOP-1, TOP-9).

Pure: lots and a bill in, how much each lot pays out. Amounts are in minor units, or in points.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, NamedTuple, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from app.models.cards import DeductionRule
from app.models.ledger import Lot
from app.services.ledger.sheet import Taken
from app.services.ledger.splitting import split

NO_LIMIT = 2**63
"""More than any balance: to draw all there is."""


class Origin(NamedTuple):
    """What came on one account by one posting, and with one restriction.

    A merge and a return after it make more lots of it; for what may be spent today it stays one.
    """

    account_id: UUID
    posting_id: UUID


@dataclass(frozen=True, slots=True)
class SameDay:
    """On this date, in this time zone, at most `usable` of what came may be spent in all."""

    date: date
    time_zone: str
    usable: int

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        return cls(date.fromisoformat(kept["date"]), kept["time_zone"], kept["usable"])

    def holds_at(self, now: datetime) -> bool:
        return now.astimezone(ZoneInfo(self.time_zone)).date() == self.date


@dataclass(frozen=True, slots=True, kw_only=True)
class Restriction:
    """What a lot may be spent for, where and when; None is not restricted (TOP-9)."""

    items: frozenset[str] | None = None
    """Only for a bill's lines of these."""
    nodes: frozenset[UUID] | None = None
    """Only at or below these."""
    day: SameDay | None = None

    @classmethod
    def of(cls, kept: Mapping[str, Any] | None) -> Self:
        """A restriction as a lot keeps it."""
        items, nodes, day = ((kept or {}).get(name) for name in ("items", "nodes", "day"))
        return cls(
            items=None if items is None else frozenset(items),
            nodes=None if nodes is None else frozenset(UUID(node) for node in nodes),
            day=None if day is None else SameDay.of(day),
        )

    def kept(self) -> dict[str, Any] | None:
        """As a lot keeps it."""
        kept: dict[str, Any] = {}
        if self.items is not None:
            kept["items"] = sorted(self.items)
        if self.nodes is not None:
            kept["nodes"] = sorted(str(node) for node in self.nodes)
        if self.day is not None:
            kept["day"] = {
                "date": self.day.date.isoformat(),
                "time_zone": self.day.time_zone,
                "usable": self.day.usable,
            }
        return kept or None


class Line(NamedTuple):
    """A line of a bill: what was bought, and how much of it this card is to pay."""

    item_id: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What restrictions look at: where and when a bill is paid, and for what."""

    place: frozenset[UUID]
    """The store and what it lies below."""
    now: datetime
    lines: Sequence[Line] = ()
    spent_before: Mapping[Origin, int] = field(default_factory=dict)
    """What was spent so far of what is restricted today."""


class Chosen(NamedTuple):
    """What each lot pays. Nothing if `usable`, all that may be used here and now, is too little."""

    usable: int
    cash: list[Taken]
    bonus: list[Taken]


def restricted_today(lots: Iterable[Lot], now: datetime) -> set[Origin]:
    """What the lots came by, as far as only a share of it may be spent today."""
    return {
        Origin(lot.account_id, lot.origin_id)
        for lot in lots
        if (day := Restriction.of(lot.restriction).day) and day.holds_at(now)
    }


def choose(
    *,
    cash: Sequence[Lot],
    bonus: Sequence[Lot],
    amount: int,
    rule: DeductionRule,
    circumstances: Circumstances,
) -> Chosen:
    """Which lots pay a bill by the scheme's deduction rule; lots come in their spending order.

    The rule divides the bill by what of each balance may be used for it. Where both want the same
    lines of a bill, so that one balance cannot pay its part, the other pays the rest.
    """
    usable_cash = Wallet(circumstances).draw(cash, NO_LIMIT)
    usable_bonus = Wallet(circumstances).draw(bonus, NO_LIMIT)
    both = Wallet(circumstances)
    usable = both.draw(cash, NO_LIMIT) + both.draw(bonus, NO_LIMIT)
    if usable < amount:
        return Chosen(usable, [], [])
    cash_part, bonus_part = split(amount, cash=usable_cash, bonus=usable_bonus, rule=rule)
    first, second, part = cash, bonus, cash_part
    if rule is DeductionRule.BONUS_FIRST:
        first, second, part = bonus, cash, bonus_part
    wallet = Wallet(circumstances)
    drawn = wallet.draw(first, part)
    drawn += wallet.draw(second, amount - drawn)
    drawn += wallet.draw(first, amount - drawn)
    assert drawn == amount, "what is drawn step by step is all that can be"
    return Chosen(usable, wallet.drawn_from(cash), wallet.drawn_from(bonus))


def choose_points(lots: Sequence[Lot], *, points: int, circumstances: Circumstances) -> Chosen:
    """Which lots of points pay. Those for certain items pay nothing: points buy no lines."""
    circumstances = replace(circumstances, lines=())
    usable = Wallet(circumstances).draw(lots, NO_LIMIT)
    if usable < points:
        return Chosen(usable, [], [])
    wallet = Wallet(circumstances)
    wallet.draw(lots, points)
    return Chosen(usable, wallet.drawn_from(lots), [])


class Wallet:
    """Lots that pay one bill. What was drawn from a lot stays drawn."""

    def __init__(self, circumstances: Circumstances) -> None:
        self._circumstances = circumstances
        self._basket = Basket(circumstances.lines)
        self._drawn: Counter[UUID] = Counter()
        self._drawn_of: Counter[Origin] = Counter(circumstances.spent_before)

    def draw(self, lots: Iterable[Lot], amount: int) -> int:
        """Draw up to an amount, lot after lot; how much that was. A lot that does not fit waits."""
        drawn = 0
        for lot in lots:
            if drawn == amount:
                break
            part = self._from_lot(lot, amount - drawn)
            self._drawn[lot.id] += part
            self._drawn_of[Origin(lot.account_id, lot.origin_id)] += part
            drawn += part
        return drawn

    def drawn_from(self, lots: Iterable[Lot]) -> list[Taken]:
        """How much of each lot pays, without those that do not."""
        return [Taken(lot, self._drawn[lot.id]) for lot in lots if self._drawn[lot.id]]

    def _from_lot(self, lot: Lot, at_most: int) -> int:
        at_most = min(at_most, lot.remaining - self._drawn[lot.id])
        if lot.restriction is None:
            return at_most
        restriction = Restriction.of(lot.restriction)
        if restriction.nodes is not None and not restriction.nodes & self._circumstances.place:
            return 0
        if restriction.day is not None and restriction.day.holds_at(self._circumstances.now):
            spent = self._drawn_of[Origin(lot.account_id, lot.origin_id)]
            at_most = min(at_most, max(0, restriction.day.usable - spent))
        if restriction.items is not None:
            return self._basket.pay(restriction.items, at_most)
        return at_most


class Basket:
    """A bill's lines, as far as lots that pay only for certain items have not paid them.

    Who pays which line is never final: where all lines of a lot are paid, another lot that paid
    them and has other lines left makes room. So lots drawn one after the other pay as much as any
    assignment of lots to lines could (augmenting paths of a maximum flow). Lots for the same items
    are one payer.
    """

    def __init__(self, lines: Iterable[Line]) -> None:
        self._left: Counter[str] = Counter()
        for line in lines:
            self._left[line.item_id] += line.amount
        self._items = frozenset(self._left)
        self._paid: dict[frozenset[str], Counter[str]] = {}

    def pay(self, items: frozenset[str], at_most: int) -> int:
        """Pay lines of these items; how much they took."""
        payer = items & self._items
        self._paid.setdefault(payer, Counter())
        paid = 0
        # Each path uses up the amount, a line or a payer's part of one. Shortest first, their
        # number is bounded by payers × lines, whatever the amounts are.
        while paid < at_most and (path := self._path(payer)):
            paid += self._shift(path, at_most - paid)
        return paid

    def _path(self, payer: frozenset[str]) -> list[tuple[frozenset[str], str]]:
        """Who pays which line more, from the payer to a line with something left.

        Each payer after the first pays less of the line before its own. Empty where nothing can be
        paid any more.
        """
        came_from: dict[frozenset[str], tuple[frozenset[str], str] | None] = {payer: None}
        queue = deque([payer])
        while queue:
            each = queue.popleft()
            for item in sorted(each):
                if self._left[item] > 0:
                    return self._steps_to(each, item, came_from)
                for other, paid in self._paid.items():
                    if other not in came_from and paid[item] > 0:
                        came_from[other] = (each, item)
                        queue.append(other)
        return []

    def _steps_to(
        self,
        last: frozenset[str],
        item: str,
        came_from: dict[frozenset[str], tuple[frozenset[str], str] | None],
    ) -> list[tuple[frozenset[str], str]]:
        steps = [(last, item)]
        while step := came_from[steps[-1][0]]:
            steps.append(step)
        return steps[::-1]

    def _shift(self, path: list[tuple[frozenset[str], str]], at_most: int) -> int:
        """Pay along a path as much as each step of it allows; how much that is."""
        given_up = [(path[i + 1][0], item) for i, (_, item) in enumerate(path[:-1])]
        _, last_item = path[-1]
        amount = min(at_most, self._left[last_item])
        amount = min([amount, *(self._paid[payer][item] for payer, item in given_up)])
        for payer, item in given_up:
            self._paid[payer][item] -= amount
        for payer, item in path:
            self._paid[payer][item] += amount
        self._left[last_item] -= amount
        return amount
