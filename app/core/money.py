"""Money in integer minor units, and the roundings that the rules ask for. No float anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import total_ordering
from typing import Final

from app.core.errors import BadInput

MIN_AMOUNT: Final = -(2**63)
MAX_AMOUNT: Final = 2**63 - 1
BASIS_POINTS: Final = 10_000


class CurrencyMismatch(BadInput):
    """Two currencies in one sum: nothing here converts."""


class UnknownCurrency(BadInput):
    """Not an active ISO 4217 code with a minor unit."""


class AmountOutOfRange(BadInput):
    """More than a 64-bit integer holds, which is what the database and GraphQL carry."""


# ISO 4217, active codes as of 2026 by the digits of their minor unit. Metals, test and basket
# codes (XAU, XTS, XDR …) have no minor unit and are left out.
_CODES_BY_EXPONENT: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD "
        "CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP "
        "GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK "
        "LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO "
        "NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS "
        "SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST "
        "XAD XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
MINOR_UNIT_DIGITS: Final = {
    code: digits for digits, codes in _CODES_BY_EXPONENT.items() for code in codes.split()
}
"""Digits behind the decimal point by currency code: CNY 2, JPY 0, KWD 3."""


@total_ordering
@dataclass(frozen=True, slots=True)
class Money:
    """`amount` in minor units (分, cents) of an ISO 4217 `currency`.

    Raises `UnknownCurrency` or `AmountOutOfRange`; sums, differences and comparisons of two
    currencies raise `CurrencyMismatch`. Equality does not raise: they are just not equal.
    """

    amount: int
    currency: str

    def __post_init__(self) -> None:
        assert type(self.amount) is int, "a float or bool is our mistake"
        if self.currency not in MINOR_UNIT_DIGITS:
            raise UnknownCurrency(f"unknown currency: {self.currency[:8]!r}")
        if not MIN_AMOUNT <= self.amount <= MAX_AMOUNT:
            raise AmountOutOfRange(f"the amount in {self.currency} is out of range")

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount, self.currency)

    def __mul__(self, times: int) -> "Money":
        return Money(self.amount * times, self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.amount < self._same(other)

    def __bool__(self) -> bool:
        return self.amount != 0

    def __str__(self) -> str:
        """The amount in major units and the code: `12.30 CNY`. For logs, not for pages."""
        digits = MINOR_UNIT_DIGITS[self.currency]
        sign = "-" if self.amount < 0 else ""
        figures = str(abs(self.amount)).rjust(digits + 1, "0")
        point = len(figures) - digits
        fraction = f".{figures[point:]}" if digits else ""
        return f"{sign}{figures[:point]}{fraction} {self.currency}"

    def _same(self, other: "Money") -> int:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} do not mix")
        return other.amount


def split_by_largest_remainder(amount: int, weights: Sequence[int]) -> list[int]:
    """`amount` split in proportion to the weights: the parts add up to it exactly.

    Each part is its exact share rounded down or up; the units left over go to the largest
    remainders, the earlier one first among equals. A weight of zero gets nothing.
    """
    total = sum(weights)
    assert amount >= 0
    assert total > 0
    assert min(weights) >= 0
    shares = [divmod(amount * weight, total) for weight in weights]
    parts = [share for share, _remainder in shares]
    # Sorting is stable, so equal remainders stay in the order of the weights.
    by_remainder = sorted(range(len(shares)), key=lambda index: -shares[index][1])
    for index in by_remainder[: amount - sum(parts)]:
        parts[index] += 1
    return parts


def proportion_half_up(amount: int, numerator: int, denominator: int) -> int:
    """`amount` × numerator ÷ denominator, the half rounded up."""
    assert amount >= 0
    assert numerator >= 0
    assert denominator > 0
    return (2 * amount * numerator + denominator) // (2 * denominator)


def percent(amount: int, basis_points: int) -> int:
    """A share given in basis points (1250 is 12.5 %), the half rounded up."""
    return proportion_half_up(amount, basis_points, BASIS_POINTS)


def points_for(net_amount: int, unit: int, rate: int, multiplier_bp: int = BASIS_POINTS) -> int:
    """Points earned by one transaction: floor(amount ÷ unit) × rate, times a benefit's multiplier
    in basis points and rounded down once more (PTS-1).

    `net_amount` and `unit` are in minor units of one currency.
    """
    assert net_amount >= 0
    assert unit > 0
    assert rate >= 0
    assert multiplier_bp >= BASIS_POINTS
    return net_amount // unit * rate * multiplier_bp // BASIS_POINTS
