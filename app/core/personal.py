"""Columns of personal data and secrets: encrypted on the way in, opened on the way out (SEC-1).

A process has one keyring, set at its start. What must be found again gets a blind index in a
column beside it: `index_of(value, "identities.value")`.
"""

from sqlalchemy import Dialect, Text, TypeDecorator

from app.core.crypto import Keyring

_keyring: Keyring | None = None


def use_keyring(keyring: Keyring) -> None:
    """Set the keys of this process."""
    global _keyring  # column types are made long before settings are read
    _keyring = keyring


def keyring() -> Keyring:
    assert _keyring is not None, "call use_keyring first"
    return _keyring


def index_of(value: str, context: str) -> str:
    """The blind index under which an encrypted value is found; `context` names its column."""
    return keyring().blind_index(value, context=context)


class Personal(TypeDecorator[str]):
    """Text encrypted at rest, bound to its column so that it cannot be moved to another."""

    impl = Text
    cache_ok = True

    def __init__(self, context: str) -> None:
        super().__init__()
        self.context = context

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else keyring().encrypt(value, context=self.context)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else keyring().decrypt(value, context=self.context)
