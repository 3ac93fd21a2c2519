"""TypeID as its specification v0.3 has it, and UUIDv7."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadInput
from app.core.ids import new_id, parse_type_id, type_id

VALID = [
    # The specification's valid.yml; its vectors without a prefix stand here with "mem".
    ("mem", "mem_00000000000000000000000000", UUID(int=0)),
    ("mem", "mem_00000000000000000000000001", UUID(int=1)),
    ("mem", "mem_0000000000000000000000000a", UUID(int=10)),
    ("mem", "mem_0000000000000000000000000g", UUID(int=16)),
    ("mem", "mem_00000000000000000000000010", UUID(int=32)),
    ("mem", "mem_7zzzzzzzzzzzzzzzzzzzzzzzzz", UUID(int=2**128 - 1)),
    (
        "prefix",
        "prefix_0123456789abcdefghjkmnpqrs",
        UUID("0110c853-1d09-52d8-d73e-1194e95b5f19"),
    ),
    (
        "prefix",
        "prefix_01h455vb4pex5vsknk084sn02q",
        UUID("01890a5d-ac96-774b-bcce-b302099a8057"),
    ),
    ("pre_fix", "pre_fix_00000000000000000000000000", UUID(int=0)),
]

INVALID = [
    # What the specification's invalid.yml refuses, read as an id with the prefix "prefix".
    "PREFIX_00000000000000000000000000",
    "12345_00000000000000000000000000",
    "pre.fix_00000000000000000000000000",
    "préfix_00000000000000000000000000",
    "  prefix_00000000000000000000000000",
    "_00000000000000000000000000",
    "_",
    "prefix_1234567890123456789012345",
    "prefix_123456789012345678901234567",
    "prefix_1234567890123456789012345 ",
    "prefix_0123456789ABCDEFGHJKMNPQRS",
    "prefix_123456789-123456789-123456",
    "prefix_ooooooiiiiiiuuuuuuulllllll",
    "prefix_i23456789ol23456789oi23456",
    "prefix_123456789-0123456789-0123456",
    "prefix_8zzzzzzzzzzzzzzzzzzzzzzzzz",
    "_prefix_00000000000000000000000000",
    "prefix__00000000000000000000000000",
    # And ours: another type's id, nothing, no separator, digits and line ends only Python likes.
    "card_00000000000000000000000000",
    "",
    "prefix",
    "prefix_",
    "prefix00000000000000000000000000",
    "prefix_00000000000000000000000000\n",
    "prefix_0000000000000000000000000٣",
    "prefix_0000000000000_000000000000",
    "prefix_0000000000000000000000000\ud800",
]


@pytest.mark.parametrize(("prefix", "text", "uuid"), VALID)
def test_the_specifications_valid_ids_read_and_write(prefix: str, text: str, uuid: UUID) -> None:
    assert type_id(prefix, uuid) == text
    assert parse_type_id(prefix, text) == uuid


@pytest.mark.parametrize("text", INVALID)
def test_malformed_foreign_and_overflowing_ids_are_bad_input(text: str) -> None:
    with pytest.raises(BadInput, match=r"^Not an id of the form prefix_…: "):
        parse_type_id("prefix", text)


def test_the_refusal_echoes_at_most_forty_characters() -> None:
    with pytest.raises(BadInput) as refusal:
        parse_type_id("mem", "x" * 1_000_000)
    assert str(refusal.value) == f"Not an id of the form mem_…: '{'x' * 40}'"


@given(st.uuids(), st.from_regex(r"[a-z]([a-z_]{0,61}[a-z])?", fullmatch=True))
def test_every_uuid_returns_from_its_text(uuid: UUID, prefix: str) -> None:
    assert parse_type_id(prefix, type_id(prefix, uuid)) == uuid


@given(st.text())
def test_any_other_text_is_bad_input(text: str) -> None:
    with pytest.raises(BadInput):
        parse_type_id("mem", text)


def test_ids_and_their_texts_sort_as_they_were_made() -> None:
    ids = [new_id() for _ in range(1_000)]
    assert ids == sorted(set(ids))
    assert all(one.version == 7 for one in ids)
    texts = [type_id("mem", one) for one in ids]
    assert texts == sorted(texts)


@pytest.mark.parametrize("prefix", ["", "_a", "a_", "Mem", "m2", "a" * 64])
def test_a_prefix_outside_the_specification_is_our_mistake(prefix: str) -> None:
    with pytest.raises(AssertionError):
        type_id(prefix, UUID(int=0))
