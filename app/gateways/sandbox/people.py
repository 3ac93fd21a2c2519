"""Whom a tester can be: the demo's members, staff and partners, as the app describes them."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

TOTP_STEP_S = 30
TOTP_DIGITS = 6


@dataclass(frozen=True)
class WeChatAccount:
    app_id: str
    openid: str


@dataclass(frozen=True)
class Person:
    """`key` is what URLs and `login_hint` use; OpenIDs that are not given are derived from it."""

    key: str
    name: str
    phone: str | None = None
    email: str | None = None
    wechat: tuple[WeChatAccount, ...] = ()
    unionid: str | None = None

    def openid(self, app_id: str) -> str:
        for account in self.wechat:
            if account.app_id == app_id:
                return account.openid
        return "o" + hashlib.sha256(f"{app_id}:{self.key}".encode()).hexdigest()[:27]


@dataclass(frozen=True)
class StaffLogin:
    name: str
    email: str
    password: str = field(repr=False)
    totp_secret: str | None = field(default=None, repr=False)
    """Base32, as authenticator apps take it."""


@dataclass(frozen=True)
class PartnerLogin:
    name: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Directory:
    people: Sequence[Person] = ()
    staff: Sequence[StaffLogin] = ()
    partners: Sequence[PartnerLogin] = ()

    def person(self, key: str) -> Person | None:
        return next((person for person in self.people if person.key == key), None)


def totp_code(secret: str, at: datetime) -> str:
    """What an authenticator app shows now: RFC 6238 with SHA-1, 6 digits, 30 seconds."""
    padded = secret.upper() + "=" * (-len(secret) % 8)
    # Shorter keys than RFC 4226 asks for do occur in testers' hands; the sandbox judges nobody.
    key = base64.b32decode(padded)
    sha1 = SHA1()  # noqa: S303 (authenticator apps know no other hash)
    totp = TOTP(key, TOTP_DIGITS, sha1, TOTP_STEP_S, enforce_key_length=False)
    return totp.generate(int(at.timestamp())).decode()
