"""find what was merged into a record by an index of the few that were merged"""

import sqlalchemy as sa
from alembic import op


revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("cards", "members"):
        name = f"ix_{table}_merged_into_id"
        op.drop_index(name, table_name=table)
        is_merged = sa.text("merged_into_id IS NOT NULL")
        op.create_index(
            name, table, ["merged_into_id"], sqlite_where=is_merged, postgresql_where=is_merged
        )
