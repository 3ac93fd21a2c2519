"""Identifiers: UUIDv7 in the database, TypeID (`card_01h455vb4pex5vsknk084sn02q`) at the edge.

Format: TypeID specification v0.3 (https://github.com/jetify-com/typeid), always with a prefix.
"""

import re
from functools import lru_cache
from uuid import UUID

from uuid_utils.compat import uuid7

from app.core.errors import BadInput

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_PREFIX = re.compile(r"[a-z](?:[a-z_]{0,61}[a-z])?")
# The suffix holds 130 bits for 128: a first character above 7 would overflow.
_SUFFIX = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}")
_MAX_ECHO_CHARS = 40

SMALLEST_ID, LARGEST_ID = UUID(int=0), UUID(int=2**128 - 1)
"""The ends of every list that goes by ids."""

# Ten bits a look-up: thirteen look-ups make the 26 characters.
_PAIRS = tuple(high + low for high in _CROCKFORD for low in _CROCKFORD)
_SHIFTS = tuple(range(120, -1, -10))
# int(…, 32) decodes in C, but its digits run 0–9a–v.
_TO_PYTHON_BASE32 = str.maketrans(_CROCKFORD, "0123456789abcdefghijklmnopqrstuv")


def new_id() -> UUID:
    """A UUIDv7: unique, and in the order of its creation, which keeps index inserts local."""
    return uuid7()


def type_id(prefix: str, id: UUID) -> str:  # noqa: A002 -- the word the callers and the schema use
    """The id as clients see it: prefix, underscore, 26 characters of Crockford base 32."""
    _assert_prefix(prefix)
    number = id.int
    return prefix + "_" + "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def parse_type_id(prefix: str, text: str) -> UUID:
    """The UUID in `text`, or `BadInput` with one message for whatever is wrong with it."""
    _assert_prefix(prefix)
    suffix = text[len(prefix) + 1 :]
    if not text.startswith(prefix + "_") or not _SUFFIX.fullmatch(suffix):
        raise BadInput(f"Not an id of the form {prefix}_…: {text[:_MAX_ECHO_CHARS]!r}")
    return UUID(int=int(suffix.translate(_TO_PYTHON_BASE32), 32))


def any_type_id(text: str) -> UUID:
    """The UUID in an id of any kind, for a search over all of them; raises `BadInput`."""
    prefix = text.rpartition("_")[0]
    if not _PREFIX.fullmatch(prefix):
        raise BadInput(f"Not an id: {text[:_MAX_ECHO_CHARS]!r}")
    return parse_type_id(prefix, text)


@lru_cache(maxsize=256)
def _assert_prefix(prefix: str) -> None:
    """Prefixes are ours, so a bad one is our mistake; checked once each."""
    assert _PREFIX.fullmatch(prefix), f"not a TypeID prefix: {prefix!r}"
