"""Time-based one-time passwords (RFC 6238), as every authenticator app computes them."""

import base64
import hmac
import os
from datetime import datetime
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

STEP_S = 30
DIGITS = 6
STEPS_AROUND = 1
"""A step before and after is accepted: clocks differ, and people type."""

SECRET_BYTES = 20


def new_secret() -> str:
    """160 random bits in base32, the length RFC 4226 recommends."""
    return base64.b32encode(os.urandom(SECRET_BYTES)).decode()


def code_at(secret: str, moment: datetime) -> str:
    """The code an authenticator shows at that moment."""
    return _generator(secret).generate(int(moment.timestamp())).decode()


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The step whose code this is, or None. Whoever accepts it must not accept it again."""
    generator = _generator(secret)
    current = int(now.timestamp()) // STEP_S
    given = code.encode("utf-8", "surrogatepass")
    found = None
    for step in range(current - STEPS_AROUND, current + STEPS_AROUND + 1):
        if hmac.compare_digest(generator.generate(step * STEP_S), given):
            found = step
    return found


def provisioning_uri(secret: str, *, account: str, issuer: str) -> str:
    """What an authenticator app reads from a QR code (the Key URI format)."""
    label = quote(f"{issuer}:{account}")
    return f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': issuer})}"


def _generator(secret: str) -> TOTP:
    # SHA-1 is what authenticator apps assume; its collisions do not matter to an HMAC.
    return TOTP(base64.b32decode(secret), DIGITS, SHA1(), STEP_S)  # noqa: S303
