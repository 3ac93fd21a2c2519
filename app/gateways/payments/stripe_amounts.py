"""Amounts as Stripe counts them: docs.stripe.com/currencies, "Zero-decimal currencies" and
"Special cases". Ours are ISO 4217 minor units (`app.core.money`), which differ in a few currencies.
"""

from typing import Final

from app.core.money import MINOR_UNIT_DIGITS
from app.gateways.errors import ProviderUnavailable
from app.gateways.payments.protocol import AmountUnsupported

PROVIDER = "stripe"

# UGX is in the page's list, too, but among its special cases: it takes two decimals, both zero.
_ZERO_DECIMAL: Final = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF"}
    | {"XOF", "XPF"}
)
_LAST_DIGIT_ZERO: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""The three-decimal currencies that Stripe takes, in steps of ten."""
_UNITS: Final = {0: 1, 2: 100, 3: 1000}
"""Units in one of the currency, by digits behind the decimal point."""


def to_stripe(amount: int, currency: str) -> int:
    """Our minor units in Stripe's; raises AmountUnsupported where that would round."""
    ours, theirs = _units(currency)
    converted, rest = divmod(amount * theirs, ours)
    if rest or (currency in _LAST_DIGIT_ZERO and converted % 10):
        raise AmountUnsupported("amount", f"finer than Stripe's {currency}", provider=PROVIDER)
    return converted


def from_stripe(amount: int, currency: str) -> int:
    """Stripe's units in ours; raises ProviderUnavailable where that would round."""
    try:
        ours, theirs = _units(currency)
    except AmountUnsupported as error:
        raise ProviderUnavailable("unknown currency in the answer", provider=PROVIDER) from error
    converted, rest = divmod(amount * ours, theirs)
    if rest:
        raise ProviderUnavailable("amount between two of ours", provider=PROVIDER)
    return converted


def _units(currency: str) -> tuple[int, int]:
    """Units in one of the currency, here and at Stripe."""
    digits = MINOR_UNIT_DIGITS.get(currency)
    if digits not in _UNITS or (digits == 3 and currency not in _LAST_DIGIT_ZERO):
        raise AmountUnsupported("currency", f"{currency[:3]!r} is not taken", provider=PROVIDER)
    return _UNITS[digits], _UNITS[0 if currency in _ZERO_DECIMAL else max(digits, 2)]
