"""Operations as the product runs them, beneath HTTP: each document is parsed and checked once."""

from functools import cache
from typing import Any

from graphql import ExecutionResult
from strawberry import Schema

from app.edge.engine import Engine
from app.edge.failures import OperationRefused
from app.edge.limits import Limits
from schema.context import Context

CACHED_CHARACTERS = 400_000
"""The documents of several test files: to check one takes ten times as long as to run it."""


async def execute(
    schema: Schema, document: str, variables: dict[str, Any], context: Context
) -> ExecutionResult:
    """What the product answers, refused variables as errors; a wrong document is a wrong test."""
    engine = _engine(schema)
    prepared = engine.prepare(document)
    try:
        return await engine.execute(prepared, variables, context)
    except OperationRefused as refused:
        return ExecutionResult(errors=list(refused.errors))


@cache
def _engine(schema: Schema) -> Engine:
    return Engine(schema, Limits(cached_characters=CACHED_CHARACTERS), hide_suggestions=False)
