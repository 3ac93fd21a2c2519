"""What one request may cost before it runs: every limit has a name here, and one walk checks them.

The walk visits each selection set once. A fragment's cost is remembered, so fragments that spread
fragments cost the walk no more than their text, however large they unfold.
"""

from dataclasses import dataclass
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
)

from app.edge.failures import VALIDATION_FAILED, OperationRefused

LIMIT_EXCEEDED = "DOCUMENT_LIMIT_EXCEEDED"

# Introspection nests deeper than any query of ours; graphql-core's MaxIntrospectionDepthRule
# bounds it by what is expensive there, so it does not count here.
_INTROSPECTION = frozenset({"__schema", "__type"})

# Python's stack, not a client's budget: far below the recursion limit, above any introspection.
_MAX_NESTING = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may send. Document limits count fragments as often as they are spread."""

    body_bytes: int = 65_536
    body_seconds: float = 10.0
    json_depth: int = 16
    tokens: int = 2_000
    depth: int = 16
    """Selection sets inside each other, those of fragments included."""
    # Validation compares fields pairwise: 500 keep the worst document near 0.1 s.
    fields: int = 500
    aliases: int = 30
    directives: int = 30
    root_mutation_fields: int = 5
    cached_documents: int = 256
    # A parsed document takes some 200 bytes a character: 20 MB at the most.
    cached_characters: int = 100_000
    socket_operations: int = 20
    socket_init_seconds: float = 10.0
    # Time for a sign-in or two; who is signed in has as long as their token.
    socket_anonymous_seconds: float = 60.0
    socket_id_characters: int = 128


class Cost(NamedTuple):
    """What a selection set selects, everything beneath it included."""

    depth: int
    fields: int
    own_fields: int
    """The fields of this level alone, through fragments."""
    aliases: int
    directives: int


def check_document(document: DocumentNode, limits: Limits) -> OperationDefinitionNode:
    """Return the document's one operation, or raise `OperationRefused`."""
    operations = [
        definition
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
    ]
    if len(operations) != 1:
        message = "A document must hold exactly one operation."
        raise OperationRefused(LIMIT_EXCEEDED, [GraphQLError(message, operations[1:2])])
    operation = operations[0]
    walk = _Walk(document)
    # Fragments that nobody spreads are validated too, so they are held to the same limits.
    for name, fragment in walk.fragments.items():
        _check_cost(walk.fragment(name, 1), fragment, limits)
    cost = walk.selections(operation.selection_set, 1)
    directives = cost.directives + len(operation.directives or ())
    for variable in operation.variable_definitions or ():
        directives += len(variable.directives or ())
    _check_cost(cost._replace(directives=directives), operation, limits)
    if (
        operation.operation is OperationType.MUTATION
        and cost.own_fields > limits.root_mutation_fields
    ):
        _refuse(operation, f"calls more than {limits.root_mutation_fields} mutations")
    return operation


def _check_cost(
    cost: Cost, node: OperationDefinitionNode | FragmentDefinitionNode, limits: Limits
) -> None:
    # The messages name the limit, never the cost, which may have hundreds of digits.
    if cost.depth > limits.depth:
        _refuse(node, f"nests more than {limits.depth} levels")
    if cost.fields > limits.fields:
        _refuse(node, f"selects more than {limits.fields} fields")
    if cost.aliases > limits.aliases:
        _refuse(node, f"uses more than {limits.aliases} aliases")
    if cost.directives > limits.directives:
        _refuse(node, f"uses more than {limits.directives} directives")


def _refuse(node: OperationDefinitionNode | FragmentDefinitionNode, what: str) -> None:
    raise OperationRefused(LIMIT_EXCEEDED, [GraphQLError(f"The document {what}.", node)])


class _Walk:
    def __init__(self, document: DocumentNode) -> None:
        self.fragments: dict[str, FragmentDefinitionNode] = {}
        self._costs: dict[str, Cost] = {}
        self._open: set[str] = set()
        for definition in document.definitions:
            if isinstance(definition, FragmentDefinitionNode):
                name = definition.name.value
                if name in self.fragments:
                    # The walk would see only one of the two.
                    message = f"There can be only one fragment named '{name}'."
                    raise OperationRefused(VALIDATION_FAILED, [GraphQLError(message, definition)])
                self.fragments[name] = definition

    def selections(self, selection_set: SelectionSetNode, nesting: int) -> Cost:
        if nesting > _MAX_NESTING:
            message = "The document nests too deeply."
            raise OperationRefused(LIMIT_EXCEEDED, [GraphQLError(message, selection_set)])
        depth = fields = own_fields = aliases = directives = 0
        for selection in selection_set.selections:
            directives += len(selection.directives or ())
            if isinstance(selection, FieldNode):
                fields += 1
                own_fields += 1
                aliases += selection.alias is not None
                if selection.selection_set is None:
                    continue
                below = self.selections(selection.selection_set, nesting + 1)
                below = below._replace(own_fields=0)
                if selection.name.value in _INTROSPECTION:
                    below = below._replace(depth=0)
            elif isinstance(selection, FragmentSpreadNode):
                below = self.fragment(selection.name.value, nesting + 1)
            else:
                assert isinstance(selection, InlineFragmentNode)
                below = self.selections(selection.selection_set, nesting + 1)
            depth = max(depth, below.depth)
            fields += below.fields
            own_fields += below.own_fields
            aliases += below.aliases
            directives += below.directives
        return Cost(depth + 1, fields, own_fields, aliases, directives)

    def fragment(self, name: str, nesting: int) -> Cost:
        if name in self._costs:
            return self._costs[name]
        definition = self.fragments.get(name)
        if definition is None:
            return Cost(0, 0, 0, 0, 0)  # validation says so, with its place
        if name in self._open:
            message = f"Cannot spread fragment '{name}' within itself."
            raise OperationRefused(VALIDATION_FAILED, [GraphQLError(message, definition)])
        self._open.add(name)
        cost = self.selections(definition.selection_set, nesting)
        self._open.remove(name)
        cost = cost._replace(directives=cost.directives + len(definition.directives or ()))
        self._costs[name] = cost
        return cost
