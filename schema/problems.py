"""Refusals as types: each is a member of its mutation's union, with fields a page can use."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import strawberry
from strawberry.extensions import FieldExtension
from strawberry.extensions.field_extension import AsyncExtensionResolver, SyncExtensionResolver
from strawberry.types.field import StrawberryField
from strawberry.types.union import StrawberryUnion

from app.core.errors import DomainError
from app.services import versions


@strawberry.interface(description="A refusal the app should show, not a failure to log.")
class Problem:
    message: str = strawberry.field(description="What to tell the person, in a sentence.")

    @classmethod
    def of(cls, error: Any) -> Self:
        return cls(message=str(error))


@strawberry.type(description="Somebody saved another version after the one this edit began with.")
class EditedMeanwhile(Problem):
    current_version: int = strawberry.field(description="The version that stands now.")

    @classmethod
    def of(cls, error: versions.EditedMeanwhile) -> Self:
        return cls(message=str(error), current_version=error.current_version)


class Shown(NamedTuple):
    """Refusals, and the problem that answers them."""

    problem: type[Problem]
    errors: tuple[type[DomainError], ...]


def shown_as(problem: type[Problem], *errors: type[DomainError]) -> Shown:
    """Answer these refusals with this problem, wherever a field's union has it."""
    return Shown(problem, errors)


class Refusals(FieldExtension):
    """Answers a field's refusals with those of its union's members that show them. Root fields have
    it from `resolvers.root`; another field that may refuse names it itself.

    Strawberry's own exception handlers do the same, and compare each of a schema's fields with each
    handler when it is built: seconds of every start.
    """

    def __init__(self, shown: Iterable[Shown]) -> None:
        self._problems = {error: each.problem for each in shown for error in each.errors}
        self._of_field: dict[type[DomainError], type[Problem]] = {}

    def apply(self, field: StrawberryField) -> None:
        members = field.type.types if isinstance(field.type, StrawberryUnion) else ()
        self._of_field = {
            error: problem for error, problem in self._problems.items() if problem in members
        }

    async def resolve_async(
        self, next_: AsyncExtensionResolver, source: Any, info: Any, **kwargs: Any
    ) -> Any:
        try:
            return await next_(source, info, **kwargs)
        except DomainError as refusal:
            return self._problem(refusal)

    def resolve(self, next_: SyncExtensionResolver, source: Any, info: Any, **kwargs: Any) -> Any:
        try:
            return next_(source, info, **kwargs)
        except DomainError as refusal:
            return self._problem(refusal)

    def _problem(self, refusal: DomainError) -> Problem:
        """Raises the refusal itself where no member of the union shows it."""
        for kind in type(refusal).__mro__:
            if problem := self._of_field.get(kind):
                return problem.of(refusal)
        raise refusal
