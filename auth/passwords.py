"""Passwords and PINs as argon2id hashes, computed in threads: never inside a transaction."""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.core.errors import BadInput
from app.core.personal import index_of

PASSWORD_CHARS_MIN = 12
PASSWORD_CHARS_MAX = 128

# OWASP's second recommendation for argon2id (19 MiB, two passes): some 20 ms.
PASSWORDS = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# A six-digit PIN falls to any hash that can be computed in reasonable time. What protects it is
# that tries are counted, and, against who has the database alone, that the index key goes into the
# hash and is not in the database. It is asked for at the till, so it takes a third of the time.
PINS = PasswordHasher(time_cost=1, memory_cost=12 * 1024, parallelism=1)

PIN_CONTEXT = "cards.pin_hash"

HASHES_AT_ONCE = 4
"""Memory and processors are for other requests too. argon2 lets go of the interpreter's lock."""

_threads = ThreadPoolExecutor(HASHES_AT_ONCE, thread_name_prefix="argon2")


async def hash_password(password: str) -> str:
    """A hash to store; raises `BadInput` for a password too short or too long."""
    if not PASSWORD_CHARS_MIN <= len(password) <= PASSWORD_CHARS_MAX:
        raise BadInput(
            f"password must have {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters."
        )
    return await _hash(PASSWORDS, password)


async def password_is_right(password: str, stored: str | None) -> bool:
    """Whether it is the password; with nothing stored, as slow and always wrong.

    So the time an answer takes does not tell whether an account exists.
    """
    # Nobody has a longer one, and hashing it would cost what its sender likes.
    return await _is_right(PASSWORDS, password[:PASSWORD_CHARS_MAX], stored)


async def hash_pin(pin: str) -> str:
    """A hash to store, of a PIN whose form was checked before."""
    return await _hash(PINS, _peppered(pin))


async def pin_is_right(pin: str, stored: str | None) -> bool:
    """Whether it is the PIN; with nothing stored, as slow and always wrong."""
    return await _is_right(PINS, _peppered(pin), stored)


def _peppered(pin: str) -> str:
    """The PIN under the index key. What is not ASCII is no PIN, and half a surrogate no text."""
    return index_of(pin[:PASSWORD_CHARS_MAX] if pin.isascii() else "", PIN_CONTEXT)


async def _hash(hasher: PasswordHasher, secret: str) -> str:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, hasher.hash, _bytes(secret))


async def _is_right(hasher: PasswordHasher, secret: str, stored: str | None) -> bool:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, _verify, hasher, _bytes(secret), stored)


def _verify(hasher: PasswordHasher, secret: bytes, stored: str | None) -> bool:
    try:
        hasher.verify(stored or _dummy(hasher), secret)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


@cache
def _dummy(hasher: PasswordHasher) -> str:
    """A hash of what nobody knows, with the parameters that real ones have."""
    return hasher.hash(secrets.token_bytes(32))


def _bytes(secret: str) -> bytes:
    # A client may send half a surrogate pair; hashing must not be what fails on it.
    return secret.encode("utf-8", "surrogatepass")
