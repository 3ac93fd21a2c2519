"""The keys that sign access tokens, and their rotation (IDN-6).

A new key is published before it signs, so that whoever keeps the JWKS for a while knows it in
time; an old one is published until the last token it signed has expired.
"""

from datetime import datetime, timedelta

import orjson
from joserfc.jwk import ECKey
from sqlalchemy import bindparam, or_
from sqlmodel import col, select, update

from app.core.db import Transaction, light, statement
from app.models.sessions import SigningKey

CURVE = "P-256"
ALGORITHM = "ES256"
PUBLISH_AHEAD = timedelta(minutes=10)
"""More than processes and partners keep the JWKS."""

KEY_LIFE = timedelta(days=30)
TOKEN_LIFE_MAX = timedelta(hours=1)
"""Longer than anything we sign lives: an old key stays published for as long."""
KEYS_MAX = 20
"""Published at once: rotating faster than tokens expire is a mistake."""

published_keys = statement(
    select(SigningKey)
    .where(or_(col(SigningKey.retired_at).is_(None), col(SigningKey.retired_at) > bindparam("now")))
    .order_by(col(SigningKey.active_from).desc(), col(SigningKey.id).desc())
    .limit(KEYS_MAX),
    into=SigningKey,
)
retire_keys = statement(
    update(SigningKey)
    .where(col(SigningKey.retired_at).is_(None))
    .values(retired_at=bindparam("moment"))
)
new_signing_key = light(SigningKey)


async def published(tx: Transaction, *, now: datetime) -> list[SigningKey]:
    """The keys of the JWKS, the newest first."""
    return await tx.all(published_keys, now=now)


async def ensure(tx: Transaction, *, now: datetime) -> None:
    """Make a first key that signs at once, if there is none.

    Two processes that start at once may make two: both are published, so nothing breaks.
    """
    if not await published(tx, now=now):
        await tx.insert(_fresh_key(active_from=now))


async def rotate(tx: Transaction, *, now: datetime, token_life: timedelta) -> SigningKey:
    """Publish a new key that signs from `PUBLISH_AHEAD` on, and let the older ones run out.

    `token_life` is the longest that any token lives.
    """
    key = _fresh_key(active_from=now + PUBLISH_AHEAD)
    await tx.changed(retire_keys, moment=key.active_from + token_life + PUBLISH_AHEAD)
    await tx.insert(key)
    return key


async def rotate_when_due(tx: Transaction, *, now: datetime, token_life: timedelta) -> bool:
    """Rotate if the newest key has signed for `KEY_LIFE`; a job calls this. Whether it did.

    Two workers at the same moment may rotate twice, which costs one key more and nothing else.
    """
    keys = await published(tx, now=now)
    if not keys or now < keys[0].active_from + KEY_LIFE:
        return False
    await rotate(tx, now=now, token_life=token_life)
    return True


def _fresh_key(active_from: datetime) -> SigningKey:
    key = ECKey.generate_key(CURVE, auto_kid=True)
    assert key.kid is not None
    private_jwk = orjson.dumps(key.as_dict(private=True)).decode()
    return new_signing_key(kid=key.kid, private_jwk=private_jwk, active_from=active_from)
