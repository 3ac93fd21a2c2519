"""BEN-2: what benefits give for a bill, by restrictions, birthdays and member days."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.core.birthdays import BirthdayPeriod, kept_around
from app.core.db import Database
from app.core.ids import new_id, type_id
from app.models.ledger import AccountKind
from app.services import benefits
from tests.factories.benefits import (
    ACTIVATE,
    DISCOUNT,
    DOUBLE,
    FOR,
    LIST,
    a_cart,
    active,
    asked,
    benefits_stay,
    born,
    draft,
    gives,
    obstacles,
    perk,
)
from tests.factories.cards import Counter, a_tier, counter
from tests.factories.spendings import bring

pytestmark = pytest.mark.anyio

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    """12:00 in UTC on Tuesday 1 September 2026: 20:00 in the shop."""
    return await counter(database, now)


def in_shanghai(*moment: int) -> datetime:
    """A moment on the wall of the shop: year, month, day, and as exactly as one likes."""
    year, month, day, *rest = moment
    hour, minute = (*rest, 0, 0)[:2]
    return datetime(year, month, day, hour, minute, tzinfo=SHANGHAI)


def utc(*moment: int) -> str:
    return in_shanghai(*moment).astimezone(UTC).isoformat()


async def test_ben_2_prices_shares_and_points_are_computed_from_the_bill(till: Counter) -> None:
    """The scheme gives a point for each whole 2.00."""
    prices = [{"itemId": "LATTE", "price": 15_00}, {"itemId": "TEA", "price": 30_00}]
    await active(
        till,
        {"memberPricing": {"prices": prices}},
        currency="CNY",
        restrictions={"excludedCategoryIds": ["sale"]},
    )
    await active(till, DISCOUNT, restrictions={"excludedItemIds": ["CAKE"]})
    await active(till, {"pointsMultiplier": {"multiplierBasisPoints": 15_000}})
    bill = {
        "currency": "CNY",
        "lines": [
            {"itemId": "LATTE", "quantity": 2, "amount": 40_00},
            {"itemId": "LATTE", "quantity": 1, "amount": 20_00, "categoryId": "sale"},
            {"itemId": "TEA", "amount": 25_00},  # the member's price is no advantage
            {"itemId": "CAKE", "amount": 9_99},
            {"itemId": "SUGAR", "amount": 3},
        ],
    }
    # 95.02 in all. Two lattes for 30.00 instead of 40.00; 20 % of 85.03 is 17.006;
    # 47 points × 1.5 = 70.5.
    assert await gives(till, bill=bill) == {
        "memberPricing": (10_00, 0),
        "memberDiscount": (17_01, 0),
        "pointsMultiplier": (0, 23),
    }
    # Never more than is outstanding; points are those of what is left to pay.
    assert await gives(till, bill=bill | {"outstanding": 10_01}) == {
        "memberPricing": (10_00, 0),
        "memberDiscount": (10_01, 0),
        "pointsMultiplier": (0, 2),
    }
    assert await obstacles(till, bill=a_cart(("CAKE", 10_00))) == {
        "memberPricing": ("NOTHING_ON_THE_BILL", None),
        "memberDiscount": ("NOTHING_ON_THE_BILL", None),
    }
    without = await asked(till, as_staff=True)
    assert [each["gives"] for each in without["holding"]] == [None, None, None]
    for wrong in (
        {"bill": {"currency": "CNY", "lines": []}},
        {"bill": bill | {"currency": "HKD"}},
        {"bill": bill | {"outstanding": 95_03}},
        {"bill": a_cart(("A", -1))},
        {"at": (till.now + timedelta(days=401)).isoformat()},
    ):
        assert await asked(till, **wrong) == "BAD_USER_INPUT"
    stranger = type_id("card", new_id())
    assert await till.as_member(FOR, cardId=stranger, context={"channel": "POS"}) is None
    assert await till.as_staff(FOR, cardId=stranger, context={"channel": "POS"}) is None
    assert await asked(till, storeId=type_id("node", new_id())) is None


async def test_ben_2_stored_value_below_an_amount_the_bill_or_what_is_left_of_it(
    till: Counter,
) -> None:
    await active(till, DISCOUNT, name="a", currency="CNY", restrictions={"storedValueFrom": 50_00})
    await active(till, DISCOUNT, name="b", restrictions={"coversOutstanding": True})
    await active(till, DISCOUNT, name="c", restrictions={"coversDiscounted": True})
    bill = a_cart(("LATTE", 60_00))
    assert await obstacles(till, bill=bill) == {
        "a": ("STORED_VALUE_BELOW_AMOUNT", 50_00),
        "b": ("STORED_VALUE_BELOW_OUTSTANDING", 60_00),
        "c": ("STORED_VALUE_BELOW_DISCOUNTED", 48_00),
    }
    assert list(await obstacles(till)) == ["a"]  # no bill: only the amount can be judged
    for kind, amount, left in (
        (AccountKind.CASH, 47_99, {"a": 2_01, "b": 12_01, "c": 1}),
        (AccountKind.BONUS, 1, {"a": 2_00, "b": 12_00}),
        (AccountKind.BONUS, 2_00, {"b": 10_00}),
        (AccountKind.CASH, 10_00, {}),
    ):
        await till.database.run(bring, till.shop.card, kind, amount, now=till.now)
        found = await obstacles(till, bill=bill)
        assert {name: short for name, (_, short) in found.items()} == left
    # What is paid already does not count.
    assert await obstacles(till, bill=a_cart(("X", 200_00), outstanding=60_00)) == {}


async def test_ben_2_a_birthday_is_the_day_its_calendar_week_or_its_month(till: Counter) -> None:
    for period in ("DAY", "WEEK", "MONTH"):
        await active(till, {"birthday": {"period": period, "perk": perk(1_000)}}, name=period)
    member_id = till.shop.member.id
    unknown = dict.fromkeys(("DAY", "WEEK", "MONTH"), ("BIRTHDAY_UNKNOWN", None))
    assert await obstacles(till) == unknown
    # Tomorrow, Wednesday 2 September; the week began on Monday, 31 August.
    await till.database.run(born, member_id=member_id, on="1990-09-02")
    assert await obstacles(till) == {"DAY": ("NOT_OPEN", utc(2026, 9, 2))}
    last, after = utc(2026, 9, 2, 23, 59), utc(2026, 9, 3)
    assert await obstacles(till, at=last) == {}
    assert await obstacles(till, at=after) == {"DAY": ("NOT_OPEN", utc(2027, 9, 2))}
    assert await obstacles(till, at=utc(2026, 9, 6, 23, 59)) == {
        "DAY": ("NOT_OPEN", utc(2027, 9, 2))
    }
    assert await obstacles(till, at=utc(2026, 9, 7)) == {
        "DAY": ("NOT_OPEN", utc(2027, 9, 2)),
        "WEEK": ("NOT_OPEN", utc(2027, 8, 30)),
    }
    assert await obstacles(till, at=utc(2026, 8, 30, 23, 59)) == {
        "DAY": ("NOT_OPEN", utc(2026, 9, 2)),
        "WEEK": ("NOT_OPEN", utc(2026, 8, 31)),
        "MONTH": ("NOT_OPEN", utc(2026, 9, 1)),
    }
    assert (await gives(till, at=last, bill=a_cart(("A", 10_00))))["DAY"] == (1_00, 0)


@pytest.mark.parametrize(
    ("birthday", "period", "at", "begin", "end"),
    [
        # A common year: 28 February, and the month of birth.
        ("2000-02-29", "DAY", (2027, 2, 28, 12), (2027, 2, 28), (2027, 3, 1)),
        ("2000-02-29", "DAY", (2027, 3, 1), (2028, 2, 29), (2028, 3, 1)),
        ("2000-02-29", "DAY", (2028, 2, 28, 12), (2028, 2, 29), (2028, 3, 1)),
        ("2000-02-29", "WEEK", (2027, 2, 22), (2027, 2, 22), (2027, 3, 1)),
        ("2000-02-29", "MONTH", (2027, 2, 1), (2027, 2, 1), (2027, 3, 1)),
        # A week that reaches into the year before, and one into the year after.
        ("1990-01-01", "WEEK", (2026, 12, 30), (2026, 12, 28), (2027, 1, 4)),
        ("1990-12-31", "WEEK", (2027, 1, 3, 23), (2026, 12, 28), (2027, 1, 4)),
        ("1990-12-31", "WEEK", (2027, 1, 4), (2027, 12, 27), (2028, 1, 3)),
        ("1990-12-31", "MONTH", (2027, 1, 1), (2027, 12, 1), (2028, 1, 1)),
    ],
)
def test_ben_2_birthdays_at_the_edges_of_months_and_years(
    birthday: str, period: str, at: tuple[int], begin: tuple[int], end: tuple[int]
) -> None:
    born_on = datetime.fromisoformat(birthday).date()
    kept = kept_around(born_on, BirthdayPeriod(period), at=in_shanghai(*at), zone=SHANGHAI)
    assert kept == (in_shanghai(*begin), in_shanghai(*end))


async def test_ben_2_a_member_day_goes_by_its_schedule_over_midnight(till: Counter) -> None:
    silver = await till.database.run(a_tier, scheme=till.shop.scheme, level=2, name="Silver")
    green = till.shop.card.tier_id
    await active(
        till,
        {
            "memberDay": {
                "schedule": {
                    "timeZone": "Asia/Shanghai",
                    "recurrence": {"kind": "WEEKLY", "days": [5]},
                    "window": {"start": "22:00", "end": "02:00"},
                },
                "perk": perk(1_000, 20_000),
                "tierPerks": [
                    {"tierId": type_id("tier", silver.id), "perk": perk(5_000)},
                ],
            }
        },
    )
    friday, next_friday = utc(2026, 9, 4, 22), utc(2026, 9, 11, 22)
    closed = ("NOT_OPEN", friday)
    assert await obstacles(till) == {"memberDay": closed}
    assert await obstacles(till, at=utc(2026, 9, 4, 1)) == {"memberDay": closed}  # Thursday's night
    bill = a_cart(("A", 50_00))
    for moment in (friday, utc(2026, 9, 5, 1, 59)):
        # 10 % off, and of the 45.00 that are left 22 points twice.
        assert await gives(till, at=moment, bill=bill) == {"memberDay": (5_00, 22)}
    assert await obstacles(till, at=utc(2026, 9, 5, 2)) == {"memberDay": ("NOT_OPEN", next_friday)}
    made = await till.as_staff(LIST, search="memberDay")
    assert len(made["edges"]) == 1
    perked = benefits.details.TierPerk(green, benefits.details.Perk(discount_bp=3_000))
    day = benefits.details.Birthday(
        period=BirthdayPeriod.DAY, perk=benefits.details.Perk(), tier_perks=(perked,)
    )
    assert benefits.details.perk_for(day, green).discount_bp == 3_000
    assert benefits.details.perk_for(day, silver.id).discount_bp == 0


async def test_ben_2_another_currency_or_a_card_that_cannot_be_used_holds_nothing(
    till: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = {"memberPricing": {"prices": [{"itemId": "LATTE", "price": 1}]}}
    await active(till, prices, currency="HKD")
    await active(till, DISCOUNT)
    assert await obstacles(till) == {"memberPricing": ("WRONG_CURRENCY", None)}
    freeze = """mutation ($input: CardStatusChangeInput!) {
      cardStatusChange(input: $input) { __typename } }"""
    frozen = {"cardId": till.card_id, "status": "FROZEN", "reason": "Lost and found"}
    assert await till.as_staff(freeze, input=frozen) == {"__typename": "Card"}
    assert await obstacles(till) == {
        "memberPricing": ("CARD_NOT_USABLE", None),
        "memberDiscount": ("CARD_NOT_USABLE", None),
    }
    # As many are active as a group can have.
    monkeypatch.setattr(benefits.editing, "ACTIVE_MAX", 2)
    made = await draft(till, DOUBLE)
    async with benefits_stay(till.database):
        refused = await till.as_staff(ACTIVATE, input={"id": made["id"]})
        assert refused["__typename"] == "TooManyActiveBenefits"
