"""What every table shares: time-ordered keys and names for constraints."""

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from app.core.ids import new_id

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Row(SQLModel):
    """A table whose key is a UUIDv7, so that keys sort by creation."""

    id: UUID = Field(default_factory=new_id, primary_key=True)


def Long(**kwargs: Any) -> Any:  # noqa: N802  # a field like SQLModel's Field
    """A 64-bit integer: minor units, points, growth."""
    return Field(sa_type=BigInteger, **kwargs)
