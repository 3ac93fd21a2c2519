"""Access tokens: signed JWTs that live for minutes and are checked without a database (IDN-6).

They follow RFC 9068 (`typ: at+jwt`). One audience for each endpoint: a member's token is worth
nothing at the admin endpoint, and the other way round. `SigningKeys` is what a process knows of the
key table; the signer and the verifier share one.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from app.core.db import Database
from app.core.errors import BadInput, Unauthenticated
from app.core.ids import new_id, parse_type_id, type_id
from app.models.sessions import PrincipalKind
from app.services import signing_keys
from app.services.signing_keys import ALGORITHM
from schema.context import AccessToken, Principal

MEMBER_AUDIENCE = "member"
ADMIN_AUDIENCE = "admin"
TOKEN_TYPE = "at+jwt"  # noqa: S105  # a media type

PREFIXES = {PrincipalKind.MEMBER: "mem", PrincipalKind.STAFF: "stf", PrincipalKind.PARTNER: "cli"}
KINDS = {prefix: kind for kind, prefix in PREFIXES.items()}
AUDIENCES = {
    PrincipalKind.MEMBER: MEMBER_AUDIENCE,
    PrincipalKind.STAFF: ADMIN_AUDIENCE,
    PrincipalKind.PARTNER: ADMIN_AUDIENCE,
}

TOKEN_CHARS_MAX = 4_096
VERIFIED_MAX = 10_000
"""Verified tokens that are remembered, some kilobytes each."""

RELOAD_PAUSE = timedelta(seconds=5)
"""However many tokens name unknown keys, the key table is read no more often than this."""

KEYS_FRESH = timedelta(minutes=1)
"""How old a signer's knowledge of the keys may be: far less than a new key waits to sign."""

LEEWAY = timedelta(seconds=5)
"""How far the clocks of two servers may differ."""

_REFUSED = "This access token is not valid, or not any more."
# Its default refuses the headers it does not know; ours are all registered ones.
_REGISTRY = JWSRegistry(algorithms=[ALGORITHM])


class UnknownKey(Unauthenticated):
    """Signed with a key this process has not heard of: perhaps a new one."""


@dataclass(frozen=True, slots=True)
class _Key:
    key: ECKey
    active_from: datetime


class SigningKeys:
    """The published keys, as they were when the table was read last."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_kid: dict[str, _Key] = {}
        self._loaded_at: datetime | None = None
        self._loading = asyncio.Lock()

    async def start(self, now: datetime) -> None:
        """Make the first key if there is none, and read the table."""
        await self._database.run(signing_keys.ensure, now=now)
        await self.reload(now)

    async def reload(self, now: datetime) -> None:
        # By `run`: a replica may not have heard of a key that has just been made.
        rows = await self._database.run(signing_keys.published, now=now)
        self._by_kid = {
            row.kid: _Key(ECKey.import_key(orjson.loads(row.private_jwk)), row.active_from)
            for row in rows
        }
        self._loaded_at = now

    async def reload_unless_fresh(self, now: datetime, at_most: timedelta) -> None:
        """Read the table if the last time was longer ago than this."""
        async with self._loading:
            if self._loaded_at is None or now - self._loaded_at >= at_most:
                await self.reload(now)

    def known(self, kid: str) -> ECKey | None:
        found = self._by_kid.get(kid)
        return found.key if found else None

    def signing(self, now: datetime) -> ECKey:
        """The newest key that may sign."""
        active = [known for known in self._by_kid.values() if known.active_from <= now]
        assert active, "call start first"
        return max(active, key=lambda known: known.active_from).key

    def jwks(self) -> dict[str, Any]:
        """The public halves, as a JSON Web Key Set."""
        use = {"use": "sig", "alg": ALGORITHM}
        return {"keys": [known.key.as_dict(private=False) | use for known in self._by_kid.values()]}


class TokenSigner:
    """Makes access tokens with the current key."""

    def __init__(self, keys: SigningKeys, *, issuer: str, life: timedelta) -> None:
        self._keys = keys
        self._issuer = issuer
        self._life = life

    async def sign(
        self,
        *,
        kind: PrincipalKind,
        principal_id: UUID,
        group_id: UUID,
        session_id: UUID | None = None,
        scopes: Sequence[str] = (),
        client_id: str | None = None,
        now: datetime,
    ) -> AccessToken:
        await self._keys.reload_unless_fresh(now, KEYS_FRESH)
        key = self._keys.signing(now)
        expires_at = (now + self._life).replace(microsecond=0)
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": AUDIENCES[kind],
            "sub": type_id(PREFIXES[kind], principal_id),
            "group": type_id("node", group_id),
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
            "jti": new_id().hex,
        }
        if session_id is not None:
            claims["sid"] = type_id("ses", session_id)
        if client_id is not None:
            claims |= {"client_id": client_id, "scope": " ".join(scopes)}
        header = {"alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": key.kid}
        return AccessToken(jwt.encode(header, claims, key, registry=_REGISTRY), expires_at)

    async def sign_statement(
        self, claims: dict[str, Any], *, media_type: str, now: datetime
    ) -> str:
        """A compact JWS over claims of ours; its `typ` keeps it from passing for a token."""
        assert media_type != TOKEN_TYPE
        await self._keys.reload_unless_fresh(now, KEYS_FRESH)
        key = self._keys.signing(now)
        header = {"alg": ALGORITHM, "typ": media_type, "kid": key.kid}
        return jwt.encode(header, {"iss": self._issuer, **claims}, key, registry=_REGISTRY)


class TokenVerifier:
    """Tells whom an access token speaks for."""

    def __init__(self, keys: SigningKeys, *, issuer: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._verified: OrderedDict[tuple[str, str], Principal] = OrderedDict()

    async def principal(self, token: str, *, audience: str, now: datetime) -> Principal:
        """Verify; for a key unknown so far, read the key table once and try again.

        Raises `Unauthenticated`.
        """
        try:
            return self.verify(token, audience=audience, now=now)
        except UnknownKey:
            # Again also if it was not read here: somebody else may just have read it.
            await self._keys.reload_unless_fresh(now, RELOAD_PAUSE)
            return self.verify(token, audience=audience, now=now)

    def verify(self, token: str, *, audience: str, now: datetime) -> Principal:
        """Verify with the keys at hand: no database, and for a token seen before no signature.

        Raises `Unauthenticated`.
        """
        seen = self._verified.get((audience, token))
        if seen is not None:
            if seen.expires_at + LEEWAY <= now:
                del self._verified[audience, token]
                raise Unauthenticated(_REFUSED)
            return seen
        principal = self._principal(self._claims(token), audience, now)
        self._verified[audience, token] = principal
        if len(self._verified) > VERIFIED_MAX:
            self._verified.popitem(last=False)
        return principal

    def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > TOKEN_CHARS_MAX:
            raise Unauthenticated(_REFUSED)
        try:
            decoded = jwt.decode(token, self._key_of, registry=_REGISTRY)
        except (JoseError, ValueError):
            raise Unauthenticated(_REFUSED) from None
        if decoded.header.get("typ") != TOKEN_TYPE:
            raise Unauthenticated(_REFUSED)
        return decoded.claims

    def _key_of(self, guest: Any) -> ECKey:
        kid = guest.headers().get("kid")
        key = self._keys.known(kid) if isinstance(kid, str) else None
        if key is None:
            raise UnknownKey(_REFUSED)
        return key

    def _principal(self, claims: dict[str, Any], audience: str, now: datetime) -> Principal:
        """The claims as a principal, or `Unauthenticated`: ours, for here, and still alive.

        The signature has been checked, so what is malformed is a mistake of ours, not an attack;
        it is refused all the same.
        """
        try:
            expires_at = datetime.fromtimestamp(claims["exp"], UTC)
            issued_at = datetime.fromtimestamp(claims["iat"], UTC)
            kind = KINDS[claims["sub"].partition("_")[0]]
            is_meant = (
                claims["iss"] == self._issuer
                and claims["aud"] == audience == AUDIENCES[kind]
                and issued_at - LEEWAY <= now < expires_at + LEEWAY
            )
            if not is_meant:
                raise Unauthenticated(_REFUSED)
            return Principal(
                kind=kind,
                id=parse_type_id(PREFIXES[kind], claims["sub"]),
                group_id=parse_type_id("node", claims["group"]),
                session_id=parse_type_id("ses", claims["sid"]) if "sid" in claims else None,
                scopes=frozenset(claims.get("scope", "").split()),
                expires_at=expires_at,
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, BadInput):
            raise Unauthenticated(_REFUSED) from None
