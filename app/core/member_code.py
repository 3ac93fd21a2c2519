"""The member code: 18 digits that change every minute, computed and never stored (QRC-1, QRC-2).

A code is the digit 8 — a till's scanner thus tells it from WeChat Pay codes (10–15…) and Alipay
codes (16–30…) — and 17 digits: a keyed permutation of the card's nine-digit serial number and an
eight-digit tag. The tag is a MAC over the serial and the minute ("step"), so a code says nothing
about the member, and a guessed one is accepted with probability 2 in 10^8 at most (for each key
that opens codes), if a card with that serial exists at all. Once only: the caller stores the last
step used per card.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final, NamedTuple

SERIALS: Final = 10**9
TAGS: Final = 10**8
CODE_DIGITS: Final = 18
LEADING_DIGIT: Final = "8"

STEP: Final = timedelta(minutes=1)
GRACE_S: Final = 10
MAX_RESERVE_MINUTES: Final = 30
MAX_KEYS: Final = 4

_GRACE: Final = timedelta(seconds=GRACE_S)
_SECOND: Final = timedelta(seconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# FF1 does ten; they cost half a microsecond each.
_ROUNDS: Final = 10
# 128 bits reduced to at most 2^30 values: the bias is below 2^-98.
_DIGEST_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class MemberCodeKey:
    """32 to 64 random bytes under a name.

    To rotate without a refused scan, give the new key to every server as inactive first, then
    make it active everywhere, then remove the old one.
    """

    key_id: str
    secret: bytes = field(repr=False)
    active: bool = True
    """False while some server may not know the key yet: opened with, not issued with."""


class OpenedCode(NamedTuple):
    """A code that is genuine and of this minute; whether it was used before, the card knows."""

    serial: int
    step: int


class ReservedCode(NamedTuple):
    """A code for one minute, `valid_until` excluded."""

    code: str
    valid_from: datetime
    valid_until: datetime


class Permutation:
    """A keyed bijection on pairs: `left` below `left_size`, `right` below `right_size`.

    The alternating Feistel network of NIST SP 800-38G (FF1) over two moduli instead of one radix,
    with keyed BLAKE2b as the round function.
    """

    def __init__(self, secret: bytes, *, left_size: int, right_size: int) -> None:
        assert 0 < left_size <= 2**32
        assert 0 < right_size <= 2**32
        self._left_size = left_size
        self._right_size = right_size
        # Keyed once; a round copies the state, which is much cheaper than keying anew.
        self._rounds = [_keyed(secret, b"member code %d" % n) for n in range(_ROUNDS)]

    def forward(self, left: int, right: int) -> tuple[int, int]:
        """Where the pair goes."""
        rounds = iter(self._rounds)
        for even, odd in zip(rounds, rounds, strict=True):
            left = (left + _number(even, right.to_bytes(4))) % self._left_size
            right = (right + _number(odd, left.to_bytes(4))) % self._right_size
        return left, right

    def backward(self, left: int, right: int) -> tuple[int, int]:
        """Where the pair came from."""
        rounds = reversed(self._rounds)
        for odd, even in zip(rounds, rounds, strict=True):
            right = (right - _number(odd, left.to_bytes(4))) % self._right_size
            left = (left - _number(even, right.to_bytes(4))) % self._left_size
        return left, right


class _Cipher:
    """What one key does: codes from serial and step, and back."""

    def __init__(self, key: MemberCodeKey) -> None:
        self._permutation = Permutation(key.secret, left_size=SERIALS, right_size=TAGS)
        self._mac = _keyed(key.secret, b"member code tag")

    def code(self, serial: int, step: int) -> str:
        left, right = self._permutation.forward(serial, self._tag(serial, step))
        return f"{LEADING_DIGIT}{left * TAGS + right:017d}"

    def opened(self, number: int, steps: Sequence[int]) -> OpenedCode | None:
        serial, tag = self._permutation.backward(*divmod(number, TAGS))
        shown = tag.to_bytes(4)
        for step in steps:
            if hmac.compare_digest(shown, self._tag(serial, step).to_bytes(4)):
                return OpenedCode(serial, step)
        return None

    def _tag(self, serial: int, step: int) -> int:
        return _number(self._mac, serial.to_bytes(4) + step.to_bytes(8)) % TAGS


class MemberCodes:
    """Issues codes with the newest active key and opens those of any key; `keys` newest first.

    Raises `ValueError` for keys that cannot serve.
    """

    def __init__(self, keys: Sequence[MemberCodeKey]) -> None:
        if not 1 <= len(keys) <= MAX_KEYS:
            raise ValueError(f"between 1 and {MAX_KEYS} member code keys are needed")
        if len({key.key_id for key in keys}) < len(keys):
            raise ValueError("two member code keys have the same id")
        for key in keys:
            if not 32 <= len(key.secret) <= 64:
                raise ValueError(f"member code key {key.key_id!r} must have 32 to 64 bytes")
        ciphers = [(key, _Cipher(key)) for key in keys]
        self._ciphers = [cipher for _key, cipher in ciphers]
        issuing = next((cipher for key, cipher in ciphers if key.active), None)
        if issuing is None:
            raise ValueError("no member code key is active")
        self._issuing = issuing

    @staticmethod
    def step_at(now: datetime) -> int:
        """Whole minutes since 1970."""
        return (now - _EPOCH) // STEP

    @staticmethod
    def valid_until(step: int) -> datetime:
        """When the next code takes over; the grace on top of it is not for showing."""
        return _EPOCH + (step + 1) * STEP

    @staticmethod
    def seconds_left(now: datetime) -> int:
        """Seconds until the next code, rounded up: 60 as the minute begins, never 0 (QRC-4)."""
        return -(((now - _EPOCH) % STEP - STEP) // _SECOND)

    def code_for(self, serial: int, step: int) -> str:
        """The 18 digits that the card with this serial number shows in this step."""
        assert 0 <= serial < SERIALS
        return self._issuing.code(serial, step)

    def open(self, code: str, *, now: datetime) -> OpenedCode | None:
        """Serial and step of a genuine code of this minute, or None for any other text at all.

        For `GRACE_S` after the minute turned, the code of the minute before is taken too.
        """
        if len(code) != CODE_DIGITS or code[0] != LEADING_DIGIT:
            return None
        # `isdigit` alone would let other scripts' digits through, which `int` reads as well.
        if not (code.isascii() and code.isdigit()):
            return None
        number = int(code[1:])
        step, into_step = divmod(now - _EPOCH, STEP)
        steps = (step, step - 1) if into_step < _GRACE else (step,)
        for cipher in self._ciphers:
            opened = cipher.opened(number, steps)
            if opened is not None:
                return opened
        return None

    def reserve(self, serial: int, now: datetime, minutes: int) -> list[ReservedCode]:
        """The codes of this minute and those after it, for a page without network (QRC-4)."""
        assert 1 <= minutes <= MAX_RESERVE_MINUTES
        first = self.step_at(now)
        return [
            ReservedCode(
                self.code_for(serial, step), self.valid_until(step - 1), self.valid_until(step)
            )
            for step in range(first, first + minutes)
        ]


def _keyed(secret: bytes, purpose: bytes) -> blake2b:
    """A MAC of its own for each purpose: BLAKE2's personalisation separates them."""
    return blake2b(key=secret, person=purpose, digest_size=_DIGEST_BYTES)


def _number(keyed: blake2b, message: bytes) -> int:
    mac = keyed.copy()
    mac.update(message)
    return int.from_bytes(mac.digest())
