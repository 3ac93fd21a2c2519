"""SEC-1 and SEC-2: encryption at rest, blind indexes, masks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.crypto import (
    Algorithm,
    DecryptionFailed,
    Keyring,
    constant_time_equal,
    fingerprint,
    key_id_of,
    masked_email,
    masked_name,
    masked_phone,
)

OLD, NEW, INDEX = b"o" * 32, b"n" * 32, b"i" * 32
BOTH: list[Algorithm] = ["aes-gcm", "sm4-gcm"]


def keyring(algorithm: Algorithm = "aes-gcm", *, active: str = "2026-01") -> Keyring:
    return Keyring({"2026-01": OLD, "2026-07": NEW}, active, INDEX, algorithm)


AES, SM4 = keyring("aes-gcm"), keyring("sm4-gcm")


@given(st.text(), st.sampled_from([AES, SM4]))
def test_what_was_encrypted_returns(text: str, keys: Keyring) -> None:
    assert keys.decrypt(keys.encrypt(text, context="members.name"), context="members.name") == text


@pytest.mark.parametrize(("keys", "version"), [(AES, "v1"), (SM4, "v2")])
def test_a_token_names_algorithm_and_key_and_never_repeats(keys: Keyring, version: str) -> None:
    tokens = {keys.encrypt("王小明", context="members.name") for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.startswith(f"{version}:2026-01:") for token in tokens)
    assert all(len(token.split(":")[2]) == 16 for token in tokens)


@pytest.mark.parametrize("keys", [AES, SM4])
def test_a_value_moved_to_another_column_does_not_open(keys: Keyring) -> None:
    token = keys.encrypt("王小明", context="members.name")
    with pytest.raises(DecryptionFailed):
        keys.decrypt(token, context="members.email")


@pytest.mark.parametrize("keys", [AES, SM4])
def test_a_token_altered_in_any_byte_does_not_open(keys: Keyring) -> None:
    token = keys.encrypt("secret", context="c")
    for position in range(len(token) - 1):  # the last character carries bits that are padding
        altered = (
            token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        )
        with pytest.raises(DecryptionFailed):
            keys.decrypt(altered, context="c")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "v1",
        "v1:2026-01::",
        "v1:2026-01:AAAA:AAAA",
        "v3:a:b:c",
        "v1:2026-01:é:é",
        "a:b:c:d:e",
        "x" * 9999,
    ],
)
def test_what_is_no_token_fails_as_one(token: str) -> None:
    with pytest.raises(DecryptionFailed):
        AES.decrypt(token, context="c")


@given(st.text())
def test_no_text_opens_or_fails_otherwise(token: str) -> None:
    with pytest.raises(DecryptionFailed):
        AES.decrypt(token, context="c")


def test_keys_rotate_and_old_values_stay_readable() -> None:
    old_token = AES.encrypt("secret", context="c")
    rotated = keyring(active="2026-07")
    assert rotated.decrypt(old_token, context="c") == "secret"
    assert rotated.needs_rotation(old_token)
    new_token = rotated.encrypt("secret", context="c")
    assert key_id_of(old_token) == "2026-01"
    assert key_id_of(new_token) == "2026-07"
    assert not rotated.needs_rotation(new_token)
    assert rotated.blind_index("a", context="c") == AES.blind_index("a", context="c")

    without_old = Keyring({"2026-07": NEW}, "2026-07", INDEX)
    with pytest.raises(DecryptionFailed, match="no key '2026-01'"):
        without_old.decrypt(old_token, context="c")


def test_a_keys_id_given_to_another_key_opens_nothing() -> None:
    token = AES.encrypt("secret", context="c")
    with pytest.raises(DecryptionFailed):
        Keyring({"2026-01": NEW}, "2026-01", INDEX).decrypt(token, context="c")


def test_the_algorithm_changes_like_a_key() -> None:
    token = AES.encrypt("secret", context="c")
    assert SM4.decrypt(token, context="c") == "secret"
    assert SM4.needs_rotation(token)
    assert not SM4.needs_rotation(SM4.encrypt("secret", context="c"))


@pytest.mark.parametrize("algorithm", BOTH)
def test_a_blind_index_is_equal_for_equal_values_of_one_column_only(algorithm: Algorithm) -> None:
    keys, same_keys = keyring(algorithm), keyring(algorithm, active="2026-07")
    index = keys.blind_index("+8613812341234", context="members.phone")
    assert index == same_keys.blind_index("+8613812341234", context="members.phone")
    assert len(index) == 32
    assert set(index) <= set("0123456789abcdef")
    others = {
        keys.blind_index("+8613812341235", context="members.phone"),
        keys.blind_index("+8613812341234", context="members.email"),
        keys.blind_index("e+8613812341234", context="members.phon"),
        Keyring({"a": OLD}, "a", b"j" * 32, algorithm).blind_index(
            "+8613812341234", context="members.phone"
        ),
    }
    assert len(others | {index}) == 5


def test_the_two_algorithms_index_differently() -> None:
    assert AES.blind_index("a", context="c") != SM4.blind_index("a", context="c")


@pytest.mark.parametrize(
    ("keys", "active", "index_key"),
    [
        ({}, "a", INDEX),
        ({"a": OLD}, "b", INDEX),
        ({"a": OLD[:31]}, "a", INDEX),
        ({"a": OLD}, "a", INDEX[:16]),
        ({"a:b": OLD}, "a:b", INDEX),
        ({"": OLD}, "", INDEX),
    ],
)
def test_keys_that_cannot_serve_are_refused(
    keys: dict[str, bytes], active: str, index_key: bytes
) -> None:
    with pytest.raises(ValueError, match="key"):
        Keyring(keys, active, index_key)


def test_a_keyring_does_not_print_its_keys() -> None:
    assert "oooo" not in repr(AES)


@pytest.mark.parametrize(
    ("phone", "masked"),
    [
        ("+8613812341234", "138****1234"),
        ("13812341234", "138****1234"),
        ("+85291234567", "+852****4567"),
        ("+12125550123", "+121****0123"),
        ("+2901234", "+290**34"),
        ("123456", "******"),
        ("", ""),
    ],
)
def test_a_phone_number_is_masked(phone: str, masked: str) -> None:
    assert masked_phone(phone) == masked


@pytest.mark.parametrize(
    ("email", "masked"),
    [
        ("wang.xiaoming@example.com", "w***@example.com"),
        ("a@example.com", "***@example.com"),
        ("@example.com", "***@example.com"),
        ("no address", "***"),
        ("", "***"),
    ],
)
def test_an_email_address_is_masked(email: str, masked: str) -> None:
    assert masked_email(email) == masked


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("王小明", "王**"),
        ("王五", "王*"),
        ("王 小明", "王**"),
        ("欧阳小明", "欧***"),
        ("迪丽热巴·迪力木拉提", "迪***"),
        ("王", "*"),
        ("John Smith", "J*** S***"),
        ("Éva", "É***"),
        ("J", "*"),
        ("김철수", "김**"),
        ("  ", ""),
        ("", ""),
    ],
)
def test_a_name_is_masked(name: str, masked: str) -> None:
    assert masked_name(name) == masked


def test_a_fingerprint_is_sha_256_in_hex() -> None:
    assert fingerprint(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_secrets_compare_as_text_or_bytes_of_any_kind() -> None:
    assert constant_time_equal("密码", "密码")
    assert constant_time_equal("a", b"a")
    assert not constant_time_equal("a", "b")
    assert not constant_time_equal("a", "aa")
    assert not constant_time_equal("\ud800", "a")
