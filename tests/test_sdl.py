"""EVT-3: the schemas are published, described throughout, and break nobody by accident."""

from pathlib import Path

import pytest
from graphql import GraphQLSchema, build_schema, find_breaking_changes, is_introspection_type
from graphql.type import (
    is_enum_type,
    is_input_object_type,
    is_interface_type,
    is_object_type,
    is_specified_scalar_type,
)

from resolvers.root import admin_schema, member_schema

SCHEMA_FOLDER = Path(__file__).parent.parent / "schema"
SCHEMAS = {"member": member_schema, "admin": admin_schema}

both = pytest.mark.parametrize("name", SCHEMAS)


@both
def test_the_committed_sdl_is_the_schema(name: str) -> None:
    """`make schema` writes it; the difference is reviewed like code."""
    committed = (SCHEMA_FOLDER / f"{name}.graphql").read_text()
    assert committed == SCHEMAS[name].as_str() + "\n", "run `make schema` and review the difference"


@both
def test_nothing_published_is_broken(name: str) -> None:
    """`schema/published/` holds what clients were promised; only a release changes it."""
    published = build_schema((SCHEMA_FOLDER / "published" / f"{name}.graphql").read_text())
    breaking = find_breaking_changes(published, build_schema(SCHEMAS[name].as_str()))
    assert [change.description for change in breaking] == []


@both
def test_everything_has_a_description(name: str) -> None:
    schema = build_schema(SCHEMAS[name].as_str())
    assert undescribed(schema) == []


def undescribed(schema: GraphQLSchema) -> list[str]:
    missing = []
    for type_name, kind in schema.type_map.items():
        if is_introspection_type(kind) or is_specified_scalar_type(kind):
            continue
        if not kind.description:
            missing.append(type_name)
        if is_object_type(kind) or is_interface_type(kind):
            for field_name, field in kind.fields.items():
                if not field.description:
                    missing.append(f"{type_name}.{field_name}")
                missing += [
                    f"{type_name}.{field_name}({argument_name})"
                    for argument_name, argument in field.args.items()
                    if not argument.description
                ]
        if is_input_object_type(kind):
            missing += [f"{type_name}.{n}" for n, f in kind.fields.items() if not f.description]
        if is_enum_type(kind):
            missing += [f"{type_name}.{n}" for n, v in kind.values.items() if not v.description]
    return missing


def test_the_check_for_breaking_changes_can_fail() -> None:
    before = build_schema("type Query { a: Int b: Int }")
    after = build_schema("type Query { a: Int }")
    assert find_breaking_changes(before, after)
