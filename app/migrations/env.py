"""How Alembic runs here: synchronously, in whatever thread called it, on a driver it can use.

`app.migrations.run` gives the connection; nothing is read from alembic.ini but the folder.
"""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection
from sqlmodel import SQLModel

import app.models  # noqa: F401  # fills the metadata


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        render_item=_render_item,
    )
    with context.begin_transaction():
        context.run_migrations()


def _render_item(kind: str, item: Any, _autogen: AutogenContext) -> str | Literal[False]:
    """Our column types are written as what they are in the database."""
    if kind != "type":
        return False
    match type(item).__name__:
        case "UtcDateTime":
            return "sa.DateTime(timezone=True)"
        case "Json" | "Personal":
            return "sa.Text()"
        case "Choice":
            return "sa.String(length=32)"
        case "AutoString":
            return f"sa.String(length={item.length})" if item.length else "sa.String()"
    return False


migrate(context.config.attributes["connection"])
