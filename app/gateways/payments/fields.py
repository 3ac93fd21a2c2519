"""Reads what a provider's documentation promises in a JSON object, and says what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from app.gateways.errors import ProviderUnavailable
from app.gateways.http import json_object

E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True)
class Fields:
    """An object of an answer or notification; every method raises ProviderUnavailable."""

    values: Mapping[str, Any]
    provider: str

    @classmethod
    def parse(cls, body: bytes, provider: str) -> "Fields":
        return cls(json_object(body, provider=provider), provider)

    def text(self, name: str) -> str:
        value = self.values.get(name)
        if not isinstance(value, str) or not value:
            raise self.lacks(name)
        return value

    def choice(self, name: str, among: type[E]) -> E:
        """One of the values of an enumeration."""
        try:
            return among(self.text(name))
        except ValueError as error:
            raise self.lacks(name) from error

    def number(self, name: str) -> int:
        """A whole number from zero on."""
        value = self.values.get(name)
        if type(value) is not int or value < 0:
            raise self.lacks(name)
        return value

    def object(self, name: str) -> "Fields":
        value = self.values.get(name)
        if not isinstance(value, dict):
            raise self.lacks(name)
        return Fields(value, self.provider)

    def objects(self, name: str) -> "list[Fields]":
        value = self.values.get(name)
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise self.lacks(name)
        return [Fields(entry, self.provider) for entry in value]

    def time(self, name: str) -> datetime:
        """RFC 3339, with its zone."""
        try:
            at = datetime.fromisoformat(self.text(name))
        except ValueError as error:
            raise self.lacks(name) from error
        if at.tzinfo is None:
            raise self.lacks(name)
        return at

    def epoch(self, name: str) -> datetime:
        """Seconds since 1970."""
        try:
            return datetime.fromtimestamp(self.number(name), UTC)
        except (OverflowError, OSError, ValueError) as error:
            raise self.lacks(name) from error

    def lacks(self, name: str) -> ProviderUnavailable:
        return ProviderUnavailable(f"no usable {name} in the answer", provider=self.provider)
