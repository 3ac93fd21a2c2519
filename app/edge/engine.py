"""From a document's text to its result: parse, limit, validate once; then execute.

`Schema.execute` builds an extension runner, a middleware manager and several context managers per
request and parses and validates unless extensions prevent it: about 1 ms for 120 fields beside the
0.4 ms of execution. Exception handlers, permissions and field extensions live in the resolvers that
Strawberry gave graphql-core's schema, so building the executor directly keeps all of them. What it
leaves out are schema extensions and operation directives: the constructor refuses a schema that
has any.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass
from typing import Any, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    create_source_event_stream,
    map_source_to_response_event,
    parse,
    specified_rules,
    validate,
)
from graphql.execution import Executor
from strawberry import Schema
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from app.core.errors import BadInput
from app.edge.failures import PARSE_FAILED, VALIDATION_FAILED, OperationRefused
from app.edge.limits import Limits, check_document

_RULES = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document that passed the limits and validation; shared by all requests that send it."""

    document: DocumentNode
    operation: OperationDefinitionNode

    @property
    def kind(self) -> OperationType:
        return self.operation.operation


class Engine:
    """One schema, ready to run documents that strangers send."""

    def __init__(self, schema: Schema, limits: Limits, *, hide_suggestions: bool) -> None:
        assert not schema.extensions, "schema extensions would not run; see the module's docstring"
        assert not schema.directives, "operation directives would not run"
        assert not schema.config.enable_experimental_incremental_execution
        self._schema = schema._schema
        # Strawberry's own executor class: it gives resolvers Strawberry's `info`.
        self._executor_class: type[Executor[Any]] = schema.execution_context_class
        self._limits = limits
        self._hide_suggestions = hide_suggestions
        self._cache: OrderedDict[str, Prepared] = OrderedDict()
        self._cached_characters = 0

    def prepare(self, text: str, operation_name: str | None = None) -> Prepared:
        """Parse, limit and validate a document, or take it from the cache.

        Raises `OperationRefused`, and `BadInput` when the operation has another name.
        """
        prepared = self._cache.get(text)
        if prepared is None:
            prepared = self._prepare(text)
            self._remember(text, prepared)
        else:
            self._cache.move_to_end(text)
        if operation_name:
            name = prepared.operation.name
            if name is None or name.value != operation_name:
                raise BadInput("The document holds no operation of that name.")
        return prepared

    async def execute(
        self, prepared: Prepared, variables: dict[str, Any] | None, context: object
    ) -> ExecutionResult:
        """Run a query or mutation; raises `OperationRefused` when the variables do not fit."""
        result = self._executor(prepared, variables, context).execute_operation()
        if isinstance(result, ExecutionResult):
            return result
        return await cast("Awaitable[ExecutionResult]", result)

    async def subscribe(
        self, prepared: Prepared, variables: dict[str, Any] | None, context: object
    ) -> AsyncGenerator[ExecutionResult, None] | ExecutionResult:
        """The stream of a subscription, or the errors that kept it from starting."""
        executor = self._executor(prepared, variables, context)
        source = create_source_event_stream(executor)
        if optimized_is_awaitable(source):
            source = await cast("Awaitable[Any]", source)
        if isinstance(source, ExecutionResult):
            return source
        return map_source_to_response_event(executor, cast("Any", source))

    def _executor(
        self, prepared: Prepared, variables: dict[str, Any] | None, context: object
    ) -> Executor[Any]:
        executor = self._executor_class.build(
            self._schema,
            prepared.document,
            context_value=context,
            raw_variable_values=variables,
            is_awaitable=cast("Any", optimized_is_awaitable),
            hide_suggestions=self._hide_suggestions,
        )
        if isinstance(executor, list):
            raise OperationRefused(BadInput.code, executor)
        return executor

    def _prepare(self, text: str) -> Prepared:
        try:
            document = parse(
                text,
                max_lexical_tokens=self._limits.tokens,
                max_comments=self._limits.tokens,
                # An empty selection is no GraphQL yet, and a subscription without a field
                # has nothing to subscribe to.
                allow_empty_selection_sets=False,
            )
        except GraphQLError as error:
            raise OperationRefused(PARSE_FAILED, [error]) from None
        operation = check_document(document, self._limits)
        errors = validate(self._schema, document, _RULES, hide_suggestions=self._hide_suggestions)
        if errors:
            if self._hide_suggestions:
                _strip_suggestions(errors)
            raise OperationRefused(VALIDATION_FAILED, errors)
        return Prepared(document, operation)

    def _remember(self, text: str, prepared: Prepared) -> None:
        self._cache[text] = prepared
        self._cached_characters += len(text)
        while (
            len(self._cache) > self._limits.cached_documents
            or self._cached_characters > self._limits.cached_characters
        ):
            oldest, _ = self._cache.popitem(last=False)
            self._cached_characters -= len(oldest)


def _strip_suggestions(errors: list[GraphQLError]) -> None:
    # `hide_suggestions` spares their computation; one rule (ScalarLeafs) does not know it.
    for error in errors:
        error.message = error.message.partition(" Did you mean ")[0]
