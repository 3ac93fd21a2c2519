"""Numbers and keys of gift cards: random, so that neither tells anything of the next."""

import secrets
from datetime import timedelta
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Transaction, any_of, statement
from app.core.personal import index_of
from app.models.gift_cards import GiftCard
from app.services import cards

NUMBER_DIGITS = 16
"""The last is the Luhn digit (ISO/IEC 7812-1)."""
KEY_DIGITS_MIN, KEY_DIGITS_MAX = 8, 12
KEY_DIGITS = 10
CODE_DIGITS = 18
CODE_LIFE = timedelta(minutes=2)
_SERIAL_FIRST, _SERIAL_LAST = 10**14, 10**15 - 1
_TRIES_MAX = 8
GIFT_CODE_CHARS = 16
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""32 letters and digits that nobody takes for one another."""

numbers_taken = statement(
    select(GiftCard.number).where(
        col(GiftCard.group_id) == bindparam("group_id"),
        any_of(col(GiftCard.number), "numbers"),
    ),
    into=str,
)


async def free_numbers(tx: Transaction, *, group_id: UUID, how_many: int) -> list[str]:
    """New numbers that the group does not have. They are as many as asked for, all different."""
    found: set[str] = set()
    for _ in range(_TRIES_MAX):
        if len(found) == how_many:
            break
        drawn = {
            cards.number_of(_SERIAL_FIRST + secrets.randbelow(_SERIAL_LAST - _SERIAL_FIRST))
            for _ in range(how_many - len(found))
        }
        found |= drawn - set(await tx.all(numbers_taken, group_id=group_id, numbers=list(drawn)))
    assert len(found) == how_many, "hardly any of 900 million million numbers is taken"
    return list(found)


def new_key() -> str:
    """A key for a new card."""
    return "".join(secrets.choice("0123456789") for _ in range(KEY_DIGITS))


def new_code() -> str:
    """What a holder's page shows a till."""
    return "".join(secrets.choice("0123456789") for _ in range(CODE_DIGITS))


def is_number(number: str) -> bool:
    """Whether these are 16 digits of which the last checks the others."""
    is_digits = len(number) == NUMBER_DIGITS and number.isascii() and number.isdigit()
    return is_digits and number[0] != "0" and cards.number_of(int(number[:-1])) == number


def is_key(key: str) -> bool:
    return KEY_DIGITS_MIN <= len(key) <= KEY_DIGITS_MAX and key.isascii() and key.isdigit()


def key_index(number: str, key: str) -> str:
    """The keyed hash of a card's key: two cards with one key have two."""
    return index_of(f"{number}:{key}", "gift_cards.key")


def code_index(code: str) -> str:
    return index_of(code, "gift_cards.code")


def plain(text: str) -> str:
    """What somebody typed or scanned, without the blanks and dashes it is printed with.

    Nothing where other than ASCII is left: no number, key or code has it.
    """
    kept = "".join(c for c in text[:64] if c not in " -\u00a0")
    return kept if kept.isascii() else ""


def gift_code(gift_id: UUID) -> str:
    """The code by which a gift is claimed; nobody without the index key can find it out."""
    number = int(index_of(gift_id.hex, "gift_card_gifts.secret"), 16)
    return "".join(_ALPHABET[number >> 5 * at & 31] for at in range(GIFT_CODE_CHARS))


def gift_code_index(code: str) -> str:
    return index_of(plain(code).upper(), "gift_card_gifts.code")
