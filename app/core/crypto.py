"""Personal data at rest: encryption, blind indexes and masks (SEC-1, SEC-2).

A token reads `v1:key id:nonce:ciphertext`, the last two in base64url without padding. The version
names the algorithm: v1 is AES-256-GCM, v2 is SM4-GCM. A keyring opens both whatever it writes,
so changing the algorithm is a rotation like changing the key.

Nonces are 96 random bits, which NIST SP 800-38D allows for 2^32 encryptions under one key: make a
new key active long before that many values were written.
"""

import base64
import hashlib
import hmac
import os
import re
import unicodedata
from binascii import b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Algorithm = Literal["aes-gcm", "sm4-gcm"]

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
INDEX_BYTES: Final = 16  # 128 bits: no collision by chance among any number of people

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


class DecryptionFailed(Exception):
    """A stored value that no key opens: altered, moved to another column, or its key is gone.

    Nobody outside can cause this, so it is neither a refusal nor a client's mistake.
    """


@dataclass(frozen=True, slots=True)
class _Suite:
    """What a token's version stands for."""

    version: str
    cipher: type[algorithms.AES] | type[algorithms.SM4]
    cipher_key_bytes: int
    hash: hashes.HashAlgorithm


_SUITES: Final[Mapping[Algorithm, _Suite]] = {
    "aes-gcm": _Suite("v1", algorithms.AES, 32, hashes.SHA256()),
    "sm4-gcm": _Suite("v2", algorithms.SM4, 16, hashes.SM3()),
}


class Keyring:
    """Encrypts with the active key, decrypts with any it holds.

    `encryption_keys` maps a key id (letters, digits, `_`, `-`) to 32 random bytes. `index_key`
    cannot rotate without rebuilding the blind indexes, and neither can the algorithm.
    Raises `ValueError` for keys that cannot serve.
    """

    def __init__(
        self,
        encryption_keys: Mapping[str, bytes],
        active: str,
        index_key: bytes,
        algorithm: Algorithm = "aes-gcm",
    ) -> None:
        for key_id, key in encryption_keys.items():
            if not _KEY_ID.fullmatch(key_id):
                raise ValueError(f"encryption key id {key_id!r} is not 1–32 of A–Z a–z 0–9 _ -")
            if len(key) != KEY_BYTES:
                raise ValueError(f"encryption key {key_id!r} must have {KEY_BYTES} bytes")
        if active not in encryption_keys:
            raise ValueError(f"the active encryption key {active!r} is not among the keys")
        if len(index_key) != KEY_BYTES:
            raise ValueError(f"the index key must have {KEY_BYTES} bytes")
        self._suite = _SUITES[algorithm]
        self._active = active
        self._ciphers = {
            (suite.version, key_id): suite.cipher(
                _derived(key, suite, "encryption", suite.cipher_key_bytes)
            )
            for suite in _SUITES.values()
            for key_id, key in encryption_keys.items()
        }
        # In one call it takes a quarter of the time that the steps do; for SM4 there is no such.
        aes = self._ciphers[self._suite.version, active]
        self._aes = AESGCM(aes.key) if isinstance(aes, algorithms.AES) else None
        self._index = HMAC(
            _derived(index_key, self._suite, "blind index", KEY_BYTES), self._suite.hash
        )

    def encrypt(self, text: str, *, context: str) -> str:
        """A token that only `decrypt` with the same context (`"members.name"`) opens."""
        version = self._suite.version
        nonce = os.urandom(NONCE_BYTES)
        authenticated = _authenticated(version, self._active, context)
        if self._aes is not None:
            sealed = self._aes.encrypt(nonce, text.encode(), authenticated)
        else:
            cipher = Cipher(self._ciphers[version, self._active], modes.GCM(nonce))
            sealing = cipher.encryptor()
            sealing.authenticate_additional_data(authenticated)
            sealed = sealing.update(text.encode()) + sealing.finalize() + sealing.tag
        return f"{version}:{self._active}:{_base64(nonce)}:{_base64(sealed)}"

    def decrypt(self, token: str, *, context: str) -> str:
        """The text that was encrypted, or `DecryptionFailed`."""
        version, key_id, nonce, sealed = _parts(token)
        algorithm = self._ciphers.get((version, key_id))
        if algorithm is None:
            raise DecryptionFailed(f"no key {key_id!r} of version {version!r}")
        opening = Cipher(algorithm, modes.GCM(nonce, sealed[-TAG_BYTES:])).decryptor()
        opening.authenticate_additional_data(_authenticated(version, key_id, context))
        try:
            return (opening.update(sealed[:-TAG_BYTES]) + opening.finalize()).decode()
        except InvalidTag as error:
            raise DecryptionFailed(f"not what was written to {context}") from error

    def blind_index(self, value: str, *, context: str) -> str:
        """32 hex characters that equal values of a column share, to find one without decrypting.

        Normalise the value first: this compares, it does not judge.
        """
        mac = self._index.copy()
        mac.update(_frame_of(context) + _framed(value))
        return mac.finalize()[:INDEX_BYTES].hex()

    def needs_rotation(self, token: str) -> bool:
        """True where encrypting anew would use another key or algorithm."""
        version, key_id, _nonce, _sealed = _parts(token)
        return (version, key_id) != (self._suite.version, self._active)


def key_id_of(token: str) -> str:
    """The id of the key that encrypted the token; raises `DecryptionFailed` if it is no token."""
    return _parts(token)[1]


def fingerprint(data: bytes) -> str:
    """SHA-256 in 64 hex characters: to recognise data, not to hide what can be guessed."""
    return hashlib.sha256(data).hexdigest()


def constant_time_equal(one: str | bytes, other: str | bytes) -> bool:
    """Equality of secrets, in a time that does not tell how much of them agrees."""
    return hmac.compare_digest(_bytes(one), _bytes(other))


def masked_phone(phone: str) -> str:
    """`+8613812341234` as `138****1234`; other countries keep their code: `+852****4567` (SEC-2).

    A number too short to hide anything between its ends is hidden whole.
    """
    digits = phone.removeprefix("+86") if phone.startswith("+86") else phone.removeprefix("+")
    if len(digits) < 7:
        return "*" * len(digits)
    plus = "+" if phone.startswith("+") and not phone.startswith("+86") else ""
    tail_chars = 4 if len(digits) >= 11 else 2
    hidden = "*" * (len(digits) - 3 - tail_chars)
    return f"{plus}{digits[:3]}{hidden}{digits[-tail_chars:]}"


def masked_email(email: str) -> str:
    """`wang@example.com` as `w***@example.com`; the stars do not tell the length (SEC-2)."""
    local, at, domain = email.rpartition("@")
    first = local[0] if len(local) > 1 else ""
    return f"{first}***{at}{domain}" if at else "***"


def masked_name(name: str) -> str:
    """王小明 as 王**, John Smith as J*** S*** (SEC-2).

    Scripts without capitals write a name as one word, family name first: one star for each
    character after the first, at most three. A name of one character is hidden whole.
    """
    words = unicodedata.normalize("NFC", name).split()
    together = "".join(words)
    if len(together) < 2:
        return "*" * len(together)
    if together[0].isupper() or together[0].islower():
        return " ".join(f"{word[0]}***" for word in words)
    return together[0] + "*" * min(len(together) - 1, 3)


def _derived(key: bytes, suite: _Suite, purpose: str, length_bytes: int) -> bytes:
    """A subkey by HKDF, so that no two purposes or algorithms ever share key bytes."""
    info = f"regulars {suite.version} {purpose}".encode()
    return HKDF(suite.hash, length_bytes, salt=None, info=info).derive(key)


@lru_cache(maxsize=256)  # a key and context for each personal column
def _authenticated(version: str, key_id: str, context: str) -> bytes:
    return _framed(version, key_id, context)


@lru_cache(maxsize=256)
def _frame_of(context: str) -> bytes:
    return _framed(context)


def _framed(*parts: str) -> bytes:
    """The parts with their lengths, so that no two lists of parts give the same bytes."""
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4) + part for part in encoded)


def _parts(token: str) -> tuple[str, str, bytes, bytes]:
    """Version, key id, nonce, ciphertext with its tag."""
    try:
        version, key_id, nonce, sealed = token.split(":")
        parts = (version, key_id, _from_base64(nonce), _from_base64(sealed))
    except ValueError as error:
        raise DecryptionFailed("not a token") from error
    if len(parts[2]) != NONCE_BYTES or len(parts[3]) < TAG_BYTES:
        raise DecryptionFailed("not a token")
    return parts


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=").decode()


def _from_base64(text: str) -> bytes:
    padded = text + "=" * (-len(text) % 4)
    return base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)


def _bytes(value: str | bytes) -> bytes:
    # A client may send lone surrogates; comparing must not be what fails on them.
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
