"""Enums of the models as the schema's: the members are theirs, the words are ours."""

from collections.abc import Mapping
from enum import StrEnum

import strawberry


def describe(
    choices: type[StrEnum], description: str, words: Mapping[str, str], *, name: str | None = None
) -> None:
    """Make a StrEnum an enum of the schema, with a description of it and of each value by name.

    Its own name is the schema's, unless `name` says more than a domain needs to say to itself.

    Do it in one module, and import the enum from there, or a field that meets it before gets one
    without descriptions.
    """
    strawberry.enum(choices, name=name, description=description)
    for value in choices.__strawberry_definition__.values:  # type: ignore[attr-defined]
        value.description = words[value.name]
