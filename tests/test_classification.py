"""SEC-1: privacy from the first column: each was looked at, and what is secret is encrypted."""

from sqlmodel import SQLModel

import app.models  # noqa: F401  # fills the metadata
from app.core.personal import Personal
from app.models.classification import PLAIN, SENSITIVE, Sensitivity


def test_every_column_is_classified_once() -> None:
    declared = {(table, column) for table, columns in PLAIN.items() for column in columns.split()}
    sensitive = {(table, column) for table, columns in SENSITIVE.items() for column in columns}
    existing = {
        (table.name, column.key)
        for table in SQLModel.metadata.tables.values()
        for column in table.columns
    }
    assert not declared & sensitive, "classified twice"
    assert not existing - declared - sensitive, "nobody said whether these are personal"
    assert not (declared | sensitive) - existing, "these columns are gone"


def test_what_is_declared_encrypted_is() -> None:
    encrypted = {
        (table.name, column.key)
        for table in SQLModel.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, Personal)
    }
    assert encrypted == {
        (table, column)
        for table, columns in SENSITIVE.items()
        for column, sensitivity in columns.items()
        if sensitivity is Sensitivity.ENCRYPTED
    }


def test_an_encrypted_value_is_bound_to_its_own_column() -> None:
    """Moved to another column it does not open."""
    for table in SQLModel.metadata.tables.values():
        for column in table.columns:
            if isinstance(column.type, Personal):
                assert column.type.context == f"{table.name}.{column.key}"
