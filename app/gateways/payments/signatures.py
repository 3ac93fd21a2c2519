"""What the providers' signatures share: a timestamp near now, and Stripe's HMAC header.

Page: docs.stripe.com/webhooks/signature. The sandbox's own provider signs in the same way.
"""

import hmac
from datetime import datetime

from app.gateways.payments.protocol import NOTIFICATION_TOLERANCE_S

SIGNATURES_MAX = 5
"""Two while a secret is rolled; the rest of a longer header is not looked at."""


class SignatureRefused(Exception):
    """Not signed by the provider, or too long ago; the text says which."""


def check_age(timestamp: str, now: datetime) -> None:
    """That a timestamp in seconds lies within the tolerance around now; raises SignatureRefused."""
    # Ten digits last until the year 2286; int() would also take spaces, signs and underscores.
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 10):
        raise SignatureRefused("no timestamp")
    if abs(now.timestamp() - int(timestamp)) > NOTIFICATION_TOLERANCE_S:
        raise SignatureRefused("timestamp out of tolerance")


def hmac_header(secret: str, payload: bytes, now: datetime) -> str:
    """`t=…,v1=…`: HMAC-SHA256 under the secret of the timestamp, a dot and the payload."""
    timestamp = str(int(now.timestamp()))
    return f"t={timestamp},v1={_hmac(secret, timestamp, payload)}"


def check_hmac_header(header: str, payload: bytes, secret: str, now: datetime) -> None:
    """That one of the header's signatures is right, and its age; raises SignatureRefused."""
    parts = [part.partition("=") for part in header.split(",")]
    timestamp = next((value for name, _, value in parts if name == "t"), "")
    check_age(timestamp, now)
    expected = _hmac(secret, timestamp, payload).encode()
    given = [value.encode() for name, _, value in parts if name == "v1"][:SIGNATURES_MAX]
    if not any(hmac.compare_digest(expected, signature) for signature in given):
        raise SignatureRefused("signature")


def _hmac(secret: str, timestamp: str, payload: bytes) -> str:
    return hmac.digest(secret.encode(), f"{timestamp}.".encode() + payload, "sha256").hex()
