"""Phone numbers and e-mail addresses in the one form under which they are stored and found."""

import re
import unicodedata
from typing import Final

import phonenumbers

from app.core.errors import DomainError

# Limits come before any parsing, so hostile input costs nothing.
MAX_PHONE_CHARS: Final = 40
MAX_EMAIL_CHARS: Final = 254
_MAX_LOCAL_CHARS: Final = 64

# Digits of any script and what people write between them. Letters stay out, because the library
# would read them as keys (1-800-FLOWERS) or as an extension that E.164 then drops in silence.
_PHONE = re.compile(r"\+?[\d ().\-\u2010-\u2015]+")
# The unquoted form of RFC 5321 with a domain of at least two labels; every repetition is bounded
# by a character it cannot itself match, so matching takes linear time.
_EMAIL = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)


class InvalidPhone(DomainError):
    """Not a number that can be called in the region it claims. The number itself is not echoed."""


class InvalidEmail(DomainError):
    """Not an address that mail can be sent to. The address itself is not echoed."""


def normal_phone(text: str, default_region: str = "CN") -> str:
    """The number in E.164 (`+8613812341234`); raises `InvalidPhone`.

    `default_region` (ISO 3166) applies where the text has no country code.
    """
    if len(text) > MAX_PHONE_CHARS:
        raise InvalidPhone("The phone number is too long.")
    written = unicodedata.normalize("NFKC", text).strip()
    if not _PHONE.fullmatch(written):
        raise InvalidPhone("The phone number has characters that no number has.")
    try:
        number = phonenumbers.parse(written, default_region)
    except phonenumbers.NumberParseException as error:
        raise InvalidPhone("This is not a phone number.") from error
    if not phonenumbers.is_valid_number(number):
        raise InvalidPhone("This phone number does not exist.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def normal_email(text: str) -> str:
    """The address trimmed, NFKC and in lower case; raises `InvalidEmail`.

    Lower case for the local part too: no provider in use tells A@ from a@, and one person must
    stay one record. Only ASCII remains, so no look-alike letters either; a domain in another
    script is written in its `xn--` form.
    """
    if len(text) > MAX_EMAIL_CHARS:
        raise InvalidEmail("The e-mail address is too long.")
    address = unicodedata.normalize("NFKC", text).strip().lower()
    local, _at, _domain = address.partition("@")
    if len(address) > MAX_EMAIL_CHARS or len(local) > _MAX_LOCAL_CHARS:
        raise InvalidEmail("The e-mail address is too long.")
    if not _EMAIL.fullmatch(address):
        raise InvalidEmail("This is not an e-mail address.")
    return address
