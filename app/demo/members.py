"""Makes members: the demo's thousand and the million of a measurement, by one generator.

What a member has: a name, gender and region, often a birthday; a phone and an OpenID of the
mini-program, some an e-mail address; and one card with its four accounts, numbered and dated by
when they joined. The first `Plan.regulars` of them come often, six purchases each on average, and
one in four of those brought stored value and growth from the system before. Of everybody after
them three in four have not bought anything yet, one in five has once or twice, and one in twenty
ten times. A purchase has its payments, and the posting, entries and lot of its points.

The rows of one member lie together on the disk, which is kinder to a cache than a year of real
life. Apart from nonces and keyed hashes everything follows from the plan: the same seed and day
give the same people with the same ids.

Made to run more than 20,000 times a second, beside a database on the same two cores: a row is a
tuple of cells that its database takes as they are (`Form`), what many rows share is made once
(`Form.run`), and a row's id is the stem of its moment and member with a counter as its last byte.
The words of enumerations stand here themselves, since importing the models takes longer than
making ten thousand members; the tests read all of it back through the services.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Protocol

from app.core.crypto import Keyring
from app.core.money import points_for, proportion_half_up
from app.core.texts import normal_name
from app.demo.people import CAST, Character, someone

BLOCK_MEMBERS = 2_000
SPAN_DAYS = 540
"""How long ago the first member joined."""

DAY_US = 86_400_000_000
OPENS_US, OPEN_FOR_US = 2 * 3_600_000_000, 11 * 3_600_000_000
"""Stores open at 10:00 for eleven hours; Shanghai is eight hours ahead of UTC."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SERIAL_FIRST, SERIALS = 100_000_000, 900_000_000
SERIAL_STEP = 612_342_347
"""Has no factor in common with `SERIALS`, so no serial comes twice."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "members": (
        "id", "name", "name_index", "gender", "birthday", "region", "recruitment_store_id",
        "joined_at", "group_id", "status", "birthday_edits", "attributes",
    ),
    "identities": (
        "id", "member_id", "value", "value_index", "proven_at", "group_id", "kind", "issuer",
    ),
    "cards": (
        "id", "member_id", "serial", "number", "issuing_store_id", "issued_at", "expires_at",
        "group_id", "scheme_id", "tier_id", "status", "has_absorbed", "last_code_step",
        "pin_failures", "growth_tier_id",
    ),
    "accounts": ("id", "card_id", "balance", "kind", "unit", "debt", "is_closed"),
    "purchases": (
        "id", "card_id", "order_number", "total_amount", "tax_amount", "net_amount",
        "points_earned", "occurred_at", "recorded_at", "store_id", "terminal_id", "group_id",
        "currency", "refunded_amount", "points_unit", "points_rate", "points_taken_back",
    ),
    "purchase_payments": ("id", "purchase_id", "amount", "payment_method_id", "is_net_receipt"),
    "postings": (
        "id", "cause_id", "store_id", "occurred_at", "recorded_at", "group_id", "kind",
        "cause_kind", "scheme_id", "actor_kind", "actor_id",
    ),
    "entries": (
        "id", "posting_id", "card_id", "account_id", "amount", "balance_after",
        "system_account", "unit",
    ),
    "lots": ("id", "account_id", "origin_id", "amount", "remaining", "earned_at"),
}  # fmt: skip
"""The tables a member has rows in, parents before children. Other columns get their defaults."""

OFTEN = (1, 2, 3, 4, 6, 8, 10, 14)
SELDOM = (0,) * 15 + (1, 1, 1, 2, 10)
BROUGHT_SHARE = 0.25

Cell = Any
Row = tuple[Cell, ...]
Rows = dict[str, list[Row]]


class Form(Protocol):
    """How one database wants its cells."""

    null: Cell
    last: tuple[Cell, ...]
    """The 256 last bytes of an id, to be added to a stem."""

    def stem(self, first_15_bytes: bytes, /) -> Cell: ...
    def uuid(self, raw: bytes, /) -> Cell: ...
    def text(self, value: str, /) -> Cell: ...
    def int4(self, value: int, /) -> Cell: ...
    def int8(self, value: int, /) -> Cell: ...
    def moment(self, since_epoch_us: int, /) -> Cell: ...
    def boolean(self, value: bool, /) -> Cell: ...
    def run(self, *cells: Cell) -> Row:
        """Neighbouring cells that many rows share, as they go into a row."""


@dataclass(frozen=True, slots=True)
class StorePlan:
    """A store as the generator needs it; ids are UUIDs' 16 bytes here and below."""

    id: bytes
    terminals: tuple[bytes, ...]
    code: str


@dataclass(frozen=True, slots=True)
class SchemePlan:
    """A scheme, the stores where it is used, and its tiers as (id, growth from)."""

    id: bytes
    currency: str
    points_unit: int
    points_rate: int
    valid_days: int | None
    tiers: tuple[tuple[bytes, int], ...]
    stores: tuple[StorePlan, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the members follow from; plain data, so that processes can be sent it."""

    group_id: bytes
    schemes: tuple[SchemePlan, ...]
    earning_methods: tuple[bytes, ...]
    other_methods: tuple[bytes, ...]
    cashier_id: bytes
    app_id: str
    members: int
    regulars: int
    seed: int
    ends_us: int
    """History ends at this midnight (UTC), in microseconds since 1970."""

    @property
    def blocks(self) -> range:
        return range(-(-self.members // BLOCK_MEMBERS))


def end_of_history(now: datetime) -> int:
    """The midnight before yesterday, so that opening hours after it are over as well."""
    days = (now - EPOCH) // timedelta(days=1)
    return (days - 1) * DAY_US


@dataclass(frozen=True, slots=True)
class _Store:
    """A store's cells: its id, and for each terminal what a purchase there says of the place."""

    id: Cell
    code: str
    terminals: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class _Scheme:
    """A scheme's cells: what cards, purchases and postings of it share."""

    plan: SchemePlan
    stores: tuple[_Store, ...]
    cards: tuple[Row, ...]
    purchase: Row
    earning: Row
    opening: Row
    cash: Row
    bonus: Row
    cash_unit: Row
    cash_brought: Row


_VERSION_AND_VARIANT = 0x70_00_80_00_00_00_00_00_00
_RANDOM_BITS = 0x0F_FF_3F_FF_FF_FF_FF_FF_FF
_MEMBER, _PHONE, _OPENID, _EMAIL, _CARD, _CASH, _BONUS, _POINTS, _GROWTH = range(9)
_FIRST_FREE = 9
"""The last bytes of the ids that every member has; what they did is counted from there."""


class Generator:
    """Makes the rows of a plan's blocks in the form that one database wants."""

    def __init__(self, plan: Plan, keyring: Keyring, form: Form) -> None:
        self.plan, self.keyring, self.form = plan, keyring, form
        text, uuid, int8 = form.text, form.uuid, form.int8
        zero, no = int8(0), form.boolean(False)
        self.group_id = uuid(plan.group_id)
        self.person = form.run(self.group_id, text("ACTIVE"), form.int4(0), text("{}"))
        self.words = {word: text(word) for word in ("FEMALE", "MALE")}
        self.phone = form.run(self.group_id, text("PHONE"), text(""))
        self.openid = form.run(self.group_id, text("WECHAT_OPENID"), text(plan.app_id))
        self.email = form.run(self.group_id, text("EMAIL"), text(""))
        self.points = form.run(text("POINTS"), text("POINTS"), zero, no)
        self.growth = form.run(text("GROWTH"), text("GROWTH"), zero, no)
        self.points_unit = form.run(form.null, text("POINTS"))
        self.growth_unit = form.run(form.null, text("GROWTH"))
        self.points_issued = form.run(text("points_issued"), text("POINTS"))
        self.growth_brought = form.run(text("adjustments"), text("GROWTH"))
        yes = form.boolean(True)
        self.earning_methods = [form.run(uuid(method), yes) for method in plan.earning_methods]
        self.other_methods = [form.run(uuid(method), no) for method in plan.other_methods]
        self.schemes = [self._scheme(scheme) for scheme in plan.schemes]
        self.rows: Rows = {}
        self.name_indexes: dict[str, Cell] = {}

    def _scheme(self, plan: SchemePlan) -> _Scheme:
        form, text, uuid = self.form, self.form.text, self.form.uuid
        zero, no = form.int8(0), form.boolean(False)
        scheme_id, currency = uuid(plan.id), text(plan.currency)
        rule = (form.int8(plan.points_unit), form.int8(plan.points_rate))
        return _Scheme(
            plan=plan,
            stores=tuple(
                _Store(
                    uuid(s.id), s.code, tuple(form.run(uuid(s.id), uuid(t)) for t in s.terminals)
                )
                for s in plan.stores
            ),
            cards=tuple(
                form.run(
                    self.group_id, scheme_id, uuid(tier), text("NORMAL"), no, zero, form.int4(0),
                    uuid(tier) if level else form.null,  # growth reached it; the lowest is none
                )
                for level, (tier, _growth_from) in enumerate(plan.tiers)
            ),
            purchase=form.run(self.group_id, currency, zero, *rule, zero),
            earning=form.run(
                self.group_id, text("EARN"), text("purchase"), scheme_id, text("STAFF"),
                uuid(self.plan.cashier_id),
            ),
            opening=form.run(
                self.group_id, text("ADJUST"), text("opening_balance"), scheme_id,
                text("SYSTEM"), form.null,
            ),
            cash=form.run(text("CASH"), currency, zero, no),
            bonus=form.run(text("BONUS"), currency, zero, no),
            cash_unit=form.run(form.null, currency),
            cash_brought=form.run(text("adjustments"), currency),
        )  # fmt: skip

    def block(self, number: int) -> Rows:
        """The rows of one block's members, by table."""
        rng = Random(f"{self.plan.seed}:{number}")  # noqa: S311  # made-up people, no secrets
        first = number * BLOCK_MEMBERS
        last = min(first + BLOCK_MEMBERS, self.plan.members)
        noise = rng.randbytes(9 * (last - first))
        self.rows = defaultdict(list)
        for index in range(first, last):
            at = 9 * (index - first)
            self._member(rng, index, noise[at : at + 9])
        return self.rows

    def _member(self, rng: Random, index: int, noise: bytes) -> None:
        plan, form, random = self.plan, self.form, rng.random
        tail = (int.from_bytes(noise) & _RANDOM_BITS | _VERSION_AND_VARIANT).to_bytes(9)
        raw_us = plan.ends_us - SPAN_DAYS * DAY_US * (plan.members - index) // plan.members
        joined_us = in_opening_hours(raw_us)
        joined_at = form.moment(joined_us)
        stem = form.stem((joined_us // 1_000).to_bytes(6) + tail)
        scheme = self.schemes[index % len(self.schemes)]
        home = scheme.stores[int(random() * len(scheme.stores))]
        is_regular = index < plan.regulars
        counts = OFTEN if is_regular else SELDOM
        count = counts[int(random() * len(counts))]

        character = CAST[index] if index < len(CAST) else someone(rng, index)
        self._person(character, stem, joined_at, home.id if count else form.null)
        card_id = stem + form.last[_CARD]
        counter = _FIRST_FREE
        cash = growth = 0
        if is_regular and random() < BROUGHT_SHARE:
            cash, growth = 1_000 + 1_000 * int(random() * 60), 1 + int(random() * 3_000)
            counter = self._opening(scheme, stem, joined_at, cash, growth)
        self._card(scheme, index, stem, joined_us, joined_at, home.id, growth)
        points = 0
        for turn in range(count):
            at_us = raw_us + int((turn + random()) * (plan.ends_us - raw_us) / count)
            counter, points = self._purchase(
                rng, scheme, home, stem, tail, card_id, at_us, counter, points,
                f"{index:07d}{turn:02d}",
            )  # fmt: skip
        int8, last, accounts = form.int8, form.last, self.rows["accounts"]
        accounts.append((stem + last[_CASH], card_id, int8(cash), *scheme.cash))
        accounts.append((stem + last[_BONUS], card_id, int8(0), *scheme.bonus))
        accounts.append((stem + last[_POINTS], card_id, int8(points), *self.points))
        accounts.append((stem + last[_GROWTH], card_id, int8(growth), *self.growth))

    def _person(self, character: Character, stem: Cell, joined_at: Cell, store: Cell) -> None:
        text, null, last = self.form.text, self.form.null, self.form.last
        encrypt, blind_index = self.keyring.encrypt, self.keyring.blind_index
        name, gender, birthday, region, phone, openid, email, _key = character
        member_id = stem + last[_MEMBER]
        self.rows["members"].append((
            member_id,
            text(encrypt(name, context="members.name")), self._name_index(name),
            self.words[gender] if gender else null,
            text(encrypt(birthday, context="members.birthday")) if birthday else null,
            text(region), store, joined_at, *self.person,
        ))  # fmt: skip
        for number, shared, prefix, value in (
            (_PHONE, self.phone, "PHONE\n\n", phone),
            (_OPENID, self.openid, f"WECHAT_OPENID\n{self.plan.app_id}\n", openid),
            (_EMAIL, self.email, "EMAIL\n\n", email),
        ):
            if value:
                self.rows["identities"].append((
                    stem + last[number], member_id,
                    text(encrypt(value, context="identities.value")),
                    text(blind_index(prefix + value, context="identities.value")),
                    joined_at, *shared,
                ))  # fmt: skip

    def _name_index(self, name: str) -> Cell:
        """Names come again and again; what finds them is made once each."""
        found = self.name_indexes.get(name)
        if found is None:
            index = self.keyring.blind_index(normal_name(name), context="members.name")
            found = self.name_indexes[name] = self.form.text(index)
        return found

    def _card(
        self,
        scheme: _Scheme,
        index: int,
        stem: Cell,
        joined_us: int,
        joined_at: Cell,
        store: Cell,
        growth: int,
    ) -> None:
        form, plan = self.form, scheme.plan
        tier = sum(growth_from <= growth for _, growth_from in plan.tiers) - 1
        serial = SERIAL_FIRST + (index * SERIAL_STEP + self.plan.seed) % SERIALS
        expires_us = joined_us + plan.valid_days * DAY_US if plan.valid_days else None
        self.rows["cards"].append((
            stem + form.last[_CARD], stem + form.last[_MEMBER], form.int4(serial),
            form.text(card_number(serial)), store, joined_at,
            form.moment(expires_us) if expires_us else form.null, *scheme.cards[tier],
        ))  # fmt: skip

    def _opening(self, scheme: _Scheme, stem: Cell, joined_at: Cell, cash: int, growth: int) -> int:
        """What the card held in the system before, as one posting; the next free id."""
        form, last = self.form, self.form.last
        null, card_id, posting_id = form.null, stem + last[_CARD], stem + last[_FIRST_FREE]
        self.rows["postings"].append(
            (posting_id, card_id, null, joined_at, joined_at, *scheme.opening)
        )
        counter = _FIRST_FREE
        for account, amount, system_side, own_side in (
            (_CASH, cash, scheme.cash_brought, scheme.cash_unit),
            (_GROWTH, growth, self.growth_brought, self.growth_unit),
        ):
            account_id, given = stem + last[account], form.int8(amount)
            self.rows["entries"] += (
                (
                    stem + last[counter + 1], posting_id, null, null, form.int8(-amount), null,
                    *system_side,
                ),
                (
                    stem + last[counter + 2], posting_id, card_id, account_id, given, given,
                    *own_side,
                ),
            )  # fmt: skip
            self.rows["lots"].append(
                (stem + last[counter + 3], account_id, posting_id, given, given, joined_at)
            )
            counter += 3
        return counter + 1

    def _purchase(
        self, rng: Random, scheme: _Scheme, home: _Store, joined_stem: Cell, tail: bytes,
        card_id: Cell, raw_us: int, counter: int, points: int, bill: str,
    ) -> tuple[int, int]:  # fmt: skip
        """One purchase with its payments and points; the next free id and the new balance."""
        form, plan, random = self.form, scheme.plan, rng.random
        int8, last = form.int8, form.last
        occurred_us = in_opening_hours(raw_us)
        occurred_at = form.moment(occurred_us)
        stem = form.stem((occurred_us // 1_000).to_bytes(6) + tail)
        is_home = random() < 0.7
        store = home if is_home else scheme.stores[int(random() * len(scheme.stores))]
        total = 1_800 + 100 * int(random() * 240)
        tax = proportion_half_up(total, 6, 106)
        counted = total if random() < 0.9 else int(random() * 3) * 900
        net = counted - proportion_half_up(tax, counted, total) if counted else 0
        earned = points_for(net, plan.points_unit, plan.points_rate)
        purchase_id = stem + last[counter]
        self.rows["purchases"].append((
            purchase_id, card_id, form.text(f"{store.code}-{bill}"), int8(total), int8(tax),
            int8(net), int8(earned), occurred_at, occurred_at,
            *store.terminals[int(random() * len(store.terminals))], *scheme.purchase,
        ))  # fmt: skip
        for methods, amount in (
            (self.earning_methods, counted),
            (self.other_methods, total - counted),
        ):
            if amount:
                counter += 1
                method = methods[int(random() * len(methods))]
                self.rows["purchase_payments"].append(
                    (stem + last[counter], purchase_id, int8(amount), *method)
                )
        if not earned:
            return counter + 1, points
        posting_id, account_id = stem + last[counter + 1], joined_stem + last[_POINTS]
        points, null, given = points + earned, form.null, int8(earned)
        self.rows["postings"].append(
            (posting_id, purchase_id, store.id, occurred_at, occurred_at, *scheme.earning)
        )
        self.rows["entries"] += (
            (
                stem + last[counter + 2], posting_id, null, null, int8(-earned), null,
                *self.points_issued,
            ),
            (
                stem + last[counter + 3], posting_id, card_id, account_id, given, int8(points),
                *self.points_unit,
            ),
        )  # fmt: skip
        self.rows["lots"].append(
            (stem + last[counter + 4], account_id, posting_id, given, given, occurred_at)
        )
        return counter + 5, points


def blocks(maker: Generator, share: int, of: int) -> Iterator[Rows]:
    """Every `of`-th block of the plan, from block `share` on: one process's part."""
    for number in maker.plan.blocks[share::of]:
        yield maker.block(number)


def in_opening_hours(raw_us: int) -> int:
    """The moment pressed into its day's opening hours, which keeps the order of moments."""
    since_midnight_us = raw_us % DAY_US
    return raw_us - since_midnight_us + OPENS_US + since_midnight_us * OPEN_FOR_US // DAY_US


def _luhn_sums(doubled_first: bool) -> tuple[int, ...]:
    """For every three digits, what they add to a Luhn sum (ISO/IEC 7812-1)."""
    doubles = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
    sums = []
    for number in range(1_000):
        outer = (number // 100, number % 10)
        inner = number // 10 % 10
        if doubled_first:
            sums.append(doubles[outer[0]] + doubles[outer[1]] + inner)
        else:
            sums.append(outer[0] + outer[1] + doubles[inner])
    return tuple(sums)


_OUTER_DOUBLED, _INNER_DOUBLED = _luhn_sums(True), _luhn_sums(False)


def card_number(serial: int) -> str:
    """What `services.cards.number_of` gives for a nine-digit serial, at a fifth of its time."""
    total = (
        _OUTER_DOUBLED[serial // 1_000_000]
        + _INNER_DOUBLED[serial // 1_000 % 1_000]
        + _OUTER_DOUBLED[serial % 1_000]
    )
    return f"{serial}{-total % 10}"
