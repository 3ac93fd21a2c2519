"""Data access: statements written once, compiled once, run on the driver's own connection.

See docs/decisions/0002-statements-on-the-driver.md for what this replaces and what it costs.
"""

from app.core.db.database import Database, Work, open_database
from app.core.db.statements import (
    STATEMENTS,
    Statement,
    any_of,
    changed_copy,
    every_column,
    if_given,
    light,
    statement,
    upsert,
    values_of,
)
from app.core.db.transaction import ConstraintViolated, Transaction, TransientFailure
from app.core.db.types import Bytes, Choice, Json, UtcDateTime

__all__ = [
    "STATEMENTS",
    "Bytes",
    "Choice",
    "ConstraintViolated",
    "Database",
    "Json",
    "Statement",
    "Transaction",
    "TransientFailure",
    "UtcDateTime",
    "Work",
    "any_of",
    "changed_copy",
    "every_column",
    "if_given",
    "light",
    "open_database",
    "statement",
    "upsert",
    "values_of",
]
