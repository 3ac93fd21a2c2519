"""How Alembic runs here: synchronously, in whatever thread called it, on a driver it can use.

`app.migrations.run` gives the connection; nothing is read from alembic.ini but the folder.
"""

from alembic import context
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


def _render_item(kind: str, item: object, _autogen: object) -> str | bool:
    """Our column types are written as what they are in the database."""
    names = {"UtcDateTime": "sa.DateTime(timezone=True)", "Json": "sa.Text()"}
    names |= {"Personal": "sa.Text()", "Choice": "sa.String(length=32)"}
    names |= {"AutoString": None}  # type: ignore[dict-item]
    if kind != "type":
        return False
    if type(item).__name__ == "AutoString":
        length = getattr(item, "length", None)
        return f"sa.String(length={length})" if length else "sa.String()"
    return names.get(type(item).__name__) or False


migrate(context.config.attributes["connection"])
