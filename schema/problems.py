"""Refusals as types: each is a member of its mutation's union, with fields a page can use."""

from typing import Any, Self

import strawberry

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


def shown_as(problem: type[Problem], *errors: type[DomainError]) -> Any:
    """An exception handler that answers these refusals with this problem."""

    class Handler(strawberry.ExceptionHandler):  # type: ignore[type-arg]
        exception_type = errors
        error_type = problem

        def handle(self, exception: DomainError, *, field: Any, info: Any) -> Problem:
            return problem.of(exception)

    return Handler()
