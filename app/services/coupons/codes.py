"""Coupons' codes: 20 digits nobody can guess, shown to their holder alone (CPN-3)."""

import secrets
from typing import Final

from app.core.personal import index_of

CODE_DIGITS: Final = 20
"""An even number, which Code 128 writes two to a symbol; 10²⁰ of them, of which even a billion
coupons are one in a hundred billion."""
CODE_CHARS_READ_MAX: Final = 40
SHOWN_TO_STAFF: Final = 4


def new_code() -> str:
    """Random digits for a new coupon."""
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"


def normal_code(code: str) -> str:
    """A code as it is kept: without blanks and dashes; what is none is ''."""
    if len(code) > CODE_CHARS_READ_MAX:
        return ""
    digits = "".join(c for c in code if c not in " -\u00a0")
    is_code = len(digits) == CODE_DIGITS and digits.isascii() and digits.isdigit()
    return digits if is_code else ""


def code_index_of(code: str) -> str:
    """The blind index under which a code is found."""
    return index_of(code, "coupons.code_index")


def masked_code(code: str) -> str:
    """What those may see of it who do not hold the coupon: its last four digits."""
    return "*" * (CODE_DIGITS - SHOWN_TO_STAFF) + code[-SHOWN_TO_STAFF:]
