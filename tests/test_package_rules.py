"""BEN-5, BEN-7: what a package costs whom, and when it begins and ends."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.core.errors import BadInput
from app.models.packages import DurationUnit, PriceReason, ValidityRule
from app.services.packages import rules
from app.services.packages.rules import Duration, History, LimitedPrice, Period, SalesRule

SHANGHAI, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")
THREE_DAYS = Duration(3, DurationUnit.DAYS)
NOW = datetime(2025, 10, 3, 4, 0, tzinfo=UTC)
OCTOBER = LimitedPrice(139_00, datetime(2025, 10, 1, tzinfo=UTC), datetime(2025, 10, 8, tzinfo=UTC))

NEW = History(has_bought=False, is_running=False)
FORMER = History(has_bought=True, is_running=False)
OWNER = History(has_bought=True, is_running=True)
GIVEN = History(has_bought=False, is_running=True)


def at(day: int, hour: int, zone: ZoneInfo = SHANGHAI, month: int = 12) -> datetime:
    return datetime(2025, month, day, hour, tzinfo=zone)


def a_rule(**prices: int | LimitedPrice) -> SalesRule:
    return SalesRule(duration=THREE_DAYS, original=199_00, **prices)  # type: ignore[arg-type]


LADDER = a_rule(
    first_purchase=159_00, repeat_purchase=179_00, early_renewal=169_00, limited=OCTOBER
)


@pytest.mark.parametrize(
    ("history", "days_later", "amount", "reason"),
    [
        (NEW, 0, 139_00, PriceReason.LIMITED_TIME),
        (NEW, 7, 159_00, PriceReason.FIRST_PURCHASE),
        (FORMER, 7, 179_00, PriceReason.REPEAT_PURCHASE),
        (OWNER, 7, 169_00, PriceReason.EARLY_RENEWAL),
        (OWNER, 0, 139_00, PriceReason.LIMITED_TIME),
        (GIVEN, 7, 159_00, PriceReason.FIRST_PURCHASE),
    ],
)
def test_ben_5_the_lowest_price_that_applies_is_offered_and_named(
    history: History, days_later: int, amount: int, reason: PriceReason
) -> None:
    offered = rules.price_of(LADDER, history, NOW + timedelta(days=days_later))
    assert offered == (amount, reason)


def test_ben_5_a_price_that_is_not_lower_is_not_named() -> None:
    dear = a_rule(first_purchase=250_00, repeat_purchase=199_00, early_renewal=0)
    assert rules.price_of(dear, NEW, NOW) == (199_00, PriceReason.ORIGINAL)
    assert rules.price_of(dear, FORMER, NOW) == (199_00, PriceReason.ORIGINAL)
    assert rules.price_of(dear, OWNER, NOW) == (0, PriceReason.EARLY_RENEWAL)


def test_ben_5_a_limited_price_has_its_start_and_not_its_end() -> None:
    for moment, reason in (
        (OCTOBER.starts_at - timedelta(seconds=1), PriceReason.ORIGINAL),
        (OCTOBER.starts_at, PriceReason.LIMITED_TIME),
        (OCTOBER.ends_at - timedelta(seconds=1), PriceReason.LIMITED_TIME),
        (OCTOBER.ends_at, PriceReason.ORIGINAL),
    ):
        assert rules.price_of(a_rule(limited=OCTOBER), NEW, moment).reason is reason


@pytest.mark.parametrize(
    ("rule", "begins", "ends"),
    [
        # 3 days bought on Dec 8 at 23:00.
        (ValidityRule.IMMEDIATE, at(8, 23), at(11, 23)),
        (ValidityRule.FROM_PURCHASE_DATE, at(8, 23), at(11, 0)),
        (ValidityRule.FROM_NEXT_DAY, at(9, 0), at(12, 0)),
    ],
)
def test_ben_7_three_days_bought_on_dec_8_at_23(
    rule: ValidityRule, begins: datetime, ends: datetime
) -> None:
    """The end is the first instant without it: Dec 10 23:59:59.999… is Dec 11 00:00."""
    bought = rules.period(rule, THREE_DAYS, bought_at=at(8, 23), zone=SHANGHAI)
    assert bought == Period(begins, ends)
    assert bought.ends_at.utcoffset() == timedelta(0)
    renewed = rules.period(
        rule, THREE_DAYS, bought_at=at(9, 12), zone=SHANGHAI, follows=bought.ends_at
    )
    assert renewed == Period(ends, ends + timedelta(days=3))


@pytest.mark.parametrize(
    ("rule", "ends"),
    [
        (ValidityRule.IMMEDIATE, at(14, 23)),
        (ValidityRule.FROM_PURCHASE_DATE, at(14, 0)),
        (ValidityRule.FROM_NEXT_DAY, at(15, 0)),
    ],
)
def test_ben_7_a_renewal_begins_when_the_current_one_ends_though_the_rule_changed(
    rule: ValidityRule, ends: datetime
) -> None:
    renewed = rules.period(rule, THREE_DAYS, bought_at=at(9, 12), zone=SHANGHAI, follows=at(11, 23))
    assert renewed == Period(at(11, 23), ends)


def test_ben_7_days_are_those_of_the_zone_and_months_those_of_the_calendar() -> None:
    month = Duration(1, DurationUnit.MONTHS)

    def ends(rule: ValidityRule, bought_at: datetime, zone: ZoneInfo = SHANGHAI) -> datetime:
        return rules.period(rule, month, bought_at=bought_at, zone=zone).ends_at

    assert ends(ValidityRule.IMMEDIATE, at(31, 9, month=1)) == at(28, 9, month=2)
    # January 31 to February 28, both included: neither a day less nor one of March.
    assert ends(ValidityRule.FROM_PURCHASE_DATE, at(31, 9, month=1)) == at(1, 0, month=3)
    assert ends(ValidityRule.FROM_PURCHASE_DATE, at(15, 9, month=1)) == at(15, 0, month=2)
    assert ends(ValidityRule.FROM_NEXT_DAY, at(15, 9, month=1)) == at(16, 0, month=2)
    # Over the change of the clocks it is the same time on the wall, 23 or 25 hours a day.
    spring = at(8, 23, NEW_YORK, month=3)
    found = rules.period(ValidityRule.IMMEDIATE, THREE_DAYS, bought_at=spring, zone=NEW_YORK)
    assert found.ends_at == at(11, 23, NEW_YORK, month=3)
    assert found.ends_at - found.starts_at == timedelta(hours=71)


def test_ben_5_a_sales_rule_reads_back_as_it_was_written() -> None:
    for rule in (LADDER, a_rule()):
        assert SalesRule.from_document(rule.document()) == rule


def test_ben_5_five_sales_rules_and_no_sixth() -> None:
    rules.require_rules([a_rule()] * 5)
    with pytest.raises(rules.TooManySalesRules) as refused:
        rules.require_rules([a_rule()] * 6)
    assert (refused.value.given, refused.value.at_most) == (6, 5)
    backwards = LimitedPrice(1, OCTOBER.ends_at, OCTOBER.starts_at)
    for wrong in (
        [],
        [a_rule(first_purchase=-1)],
        [a_rule(early_renewal=rules.PRICE_MAX + 1)],
        [a_rule(limited=backwards)],
        [SalesRule(duration=Duration(0, DurationUnit.DAYS), original=1)],
        [SalesRule(duration=Duration(121, DurationUnit.MONTHS), original=1)],
    ):
        with pytest.raises(BadInput):
            rules.require_rules(wrong)
