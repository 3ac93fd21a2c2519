"""QRC-1 and QRC-2: a code of 18 digits for one minute, that nobody can guess or reuse later."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.core.member_code import (
    MAX_RESERVE_MINUTES,
    SERIALS,
    TAGS,
    MemberCodeKey,
    MemberCodes,
    OpenedCode,
    Permutation,
    ReservedCode,
)

MINUTE = timedelta(minutes=1)
MICROSECOND = timedelta(microseconds=1)
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOW = NOON + timedelta(seconds=30)

OLD = MemberCodeKey("2026-01", b"o" * 32)
NEW = MemberCodeKey("2026-07", b"n" * 32)
CODES = MemberCodes([OLD])
STEP = CODES.step_at(NOW)

serials = st.integers(0, SERIALS - 1)
steps = st.integers(0, 10**9)


@pytest.mark.parametrize(
    ("left_size", "right_size"), [(1, 1), (2, 1), (2, 2), (10, 7), (100, 100), (1_000, 9)]
)
def test_the_permutation_hits_every_pair_once(left_size: int, right_size: int) -> None:
    permutation = Permutation(b"k" * 32, left_size=left_size, right_size=right_size)
    pairs = [(left, right) for left in range(left_size) for right in range(right_size)]
    assert sorted(permutation.forward(*pair) for pair in pairs) == pairs
    assert [permutation.backward(*permutation.forward(*pair)) for pair in pairs] == pairs


@given(serials, st.integers(0, TAGS - 1))
@example(0, 0)
@example(SERIALS - 1, TAGS - 1)
def test_the_permutation_of_all_codes_returns(serial: int, tag: int) -> None:
    permutation = Permutation(b"k" * 32, left_size=SERIALS, right_size=TAGS)
    left, right = permutation.forward(serial, tag)
    assert 0 <= left < SERIALS
    assert 0 <= right < TAGS
    assert permutation.backward(left, right) == (serial, tag)
    assert permutation.forward(*permutation.backward(serial, tag)) == (serial, tag)


@given(serials, steps)
@example(0, 0)
@example(SERIALS - 1, 0)
def test_a_code_opens_to_its_card_in_its_minute(serial: int, step: int) -> None:
    code = CODES.code_for(serial, step)
    now = CODES.valid_until(step) - MICROSECOND
    assert len(code) == 18
    assert code.startswith("8")
    assert CODES.open(code, now=now) == OpenedCode(serial, step)


def test_a_code_dies_ten_seconds_after_its_minute_to_the_microsecond() -> None:
    code = CODES.code_for(123_456_789, STEP)
    opened = OpenedCode(123_456_789, STEP)
    turn = NOON + MINUTE
    assert CODES.open(code, now=NOON - MICROSECOND) is None
    assert CODES.open(code, now=NOON) == opened
    assert CODES.open(code, now=turn) == opened
    assert CODES.open(code, now=turn + timedelta(seconds=10) - MICROSECOND) == opened
    assert CODES.open(code, now=turn + timedelta(seconds=10)) is None
    assert CODES.open(code, now=turn + MINUTE) is None
    assert CODES.open(code, now=turn + MINUTE + MICROSECOND) is None


def test_a_screenshot_of_another_minute_is_refused() -> None:
    code = CODES.code_for(123_456_789, STEP)
    for minutes in (*range(-60, 0), *range(1, 61), 60 * 24, 60 * 24 * 365):
        assert CODES.open(code, now=NOW + minutes * MINUTE) is None


def test_a_million_random_codes_open_nothing() -> None:
    # At the turn of a minute, when two steps are accepted; 0.02 hits are expected, the seed is set.
    numbers = random.Random(1)
    now = NOON + timedelta(seconds=5)
    guesses = (f"8{numbers.randrange(10**17):017d}" for _ in range(10**6))
    assert [guess for guess in guesses if CODES.open(guess, now=now)] == []


def test_a_code_with_any_digit_changed_is_refused() -> None:
    code = CODES.code_for(123_456_789, STEP)
    for position in range(18):
        for digit in set("0123456789") - {code[position]}:
            altered = code[:position] + digit + code[position + 1 :]
            assert CODES.open(altered, now=NOW) is None


CODE = CODES.code_for(1, STEP)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8",
        CODE[:-1],
        CODE + "0",
        " " + CODE,
        CODE + "\n",
        "+" + CODE[1:],
        "-" + CODE[1:],
        CODE[:8] + "_" + CODE[9:],
        CODE[:8] + " " + CODE[9:],
        CODE[:-1] + "٣",
        CODE[:-1] + "²",
        CODE.translate(str.maketrans("0123456789", "０１２３４５６７８９")),
        "\ud800" * 18,
        "8" * 10_000_000,
    ],
)
def test_a_text_that_is_no_code_is_refused_in_silence(text: str) -> None:
    assert CODES.open(text, now=NOW) is None


@given(st.one_of(st.text(), st.text(min_size=18, max_size=18), st.from_regex(r"\A8\d{17}\Z")))
def test_no_text_raises(text: str) -> None:
    assert CODES.open(text, now=NOW) is None


def test_keys_rotate_without_a_refused_scan() -> None:
    announced = MemberCodes([MemberCodeKey(NEW.key_id, NEW.secret, active=False), OLD])
    rotated = MemberCodes([NEW, OLD])
    old_code, new_code = CODES.code_for(7, STEP), rotated.code_for(7, STEP)
    assert announced.code_for(7, STEP) == old_code != new_code
    for codes in (announced, rotated):
        assert codes.open(old_code, now=NOW) == OpenedCode(7, STEP)
        assert codes.open(new_code, now=NOW) == OpenedCode(7, STEP)
    assert CODES.open(new_code, now=NOW) is None
    assert MemberCodes([NEW]).open(old_code, now=NOW) is None


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [OLD, MemberCodeKey(OLD.key_id, NEW.secret)],
        [MemberCodeKey("short", b"x" * 31)],
        [MemberCodeKey("long", b"x" * 65)],
        [MemberCodeKey("idle", b"x" * 32, active=False)],
        [MemberCodeKey(str(n), b"x" * 32) for n in range(5)],
    ],
)
def test_keys_that_cannot_serve_are_refused(keys: list[MemberCodeKey]) -> None:
    with pytest.raises(ValueError, match="key"):
        MemberCodes(keys)


def test_a_key_does_not_print_its_secret() -> None:
    assert "ooo" not in repr(OLD)


def chi_square(codes: list[str], position: int) -> float:
    counts = Counter(code[position] for code in codes)
    expected = len(codes) / 10
    return sum((counts[digit] - expected) ** 2 / expected for digit in "0123456789")


# The chi-square of nine degrees of freedom exceeds this once in a million.
CHI_SQUARE_LIMIT = 45.1


@pytest.mark.parametrize("neighbours", ["serials", "steps"])
def test_the_codes_of_neighbours_look_like_chance(neighbours: str) -> None:
    if neighbours == "serials":
        codes = [CODES.code_for(serial, STEP) for serial in range(20_000)]
    else:
        codes = [CODES.code_for(1, step) for step in range(STEP, STEP + 20_000)]
    # One card's tags are drawn from 10^8, so two of 20,000 minutes may well share a code.
    assert len(set(codes)) > 19_990
    for position in range(1, 18):
        assert chi_square(codes, position) < CHI_SQUARE_LIMIT
    # Two unrelated codes agree in a tenth of their 17 free digits: 1.7 on average.
    agreeing = [
        sum(a == b for a, b in zip(one[1:], other[1:], strict=True))
        for one, other in pairwise(codes)
    ]
    assert 1.67 < sum(agreeing) / len(agreeing) < 1.73
    # And the differences of neighbours are no pattern either.
    assert len({int(other) - int(one) for one, other in pairwise(codes)}) > 19_990


def test_the_countdown_runs_from_sixty_to_one() -> None:
    assert CODES.valid_until(STEP) == NOON + MINUTE
    assert CODES.seconds_left(NOON) == 60
    assert CODES.seconds_left(NOON + MICROSECOND) == 60
    assert CODES.seconds_left(NOON + timedelta(seconds=1)) == 59
    assert CODES.seconds_left(NOON + timedelta(seconds=59)) == 1
    assert CODES.seconds_left(NOON + MINUTE - MICROSECOND) == 1


def test_a_reserve_holds_the_codes_of_this_minute_and_the_next() -> None:
    reserve = CODES.reserve(42, NOW, 3)
    assert reserve == [
        ReservedCode(CODES.code_for(42, STEP + n), NOON + n * MINUTE, NOON + (n + 1) * MINUTE)
        for n in range(3)
    ]
    for n, reserved in enumerate(reserve):
        assert CODES.open(reserved.code, now=reserved.valid_from) == OpenedCode(42, STEP + n)


@pytest.mark.parametrize("minutes", [0, -1, MAX_RESERVE_MINUTES + 1])
def test_a_reserve_is_short(minutes: int) -> None:
    with pytest.raises(AssertionError):
        CODES.reserve(42, NOW, minutes)


@pytest.mark.parametrize("serial", [-1, SERIALS])
def test_a_serial_has_nine_digits(serial: int) -> None:
    with pytest.raises(AssertionError):
        CODES.code_for(serial, STEP)
