"""imports of spreadsheets"""

import sqlalchemy as sa
from alembic import op


revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("perspective_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("number_of_rows", sa.Integer(), nullable=False),
        sa.Column("number_landed", sa.Integer(), nullable=False),
        sa.Column("number_repeated", sa.Integer(), nullable=False),
        sa.Column("number_failed", sa.Integer(), nullable=False),
        sa.Column("operator_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["group_id"], ["nodes.id"], name=op.f("fk_imports_group_id")),
        sa.ForeignKeyConstraint(["operator_id"], ["staff.id"], name=op.f("fk_imports_operator_id")),
        sa.ForeignKeyConstraint(
            ["perspective_id"], ["nodes.id"], name=op.f("fk_imports_perspective_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
    )
    with op.batch_alter_table("imports", schema=None) as batch_op:
        batch_op.create_index("ix_imports_group", ["group_id", "id"], unique=False)

    op.create_table(
        "import_parts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("is_waiting", sa.Boolean(), nullable=False),
        sa.Column("rows", sa.Text(), nullable=False),
        sa.Column("number_failed", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], ["imports.id"], name=op.f("fk_import_parts_import_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_parts")),
        sa.UniqueConstraint(
            "import_id", "position", name=op.f("uq_import_parts_import_id_position")
        ),
    )
    with op.batch_alter_table("import_parts", schema=None) as batch_op:
        batch_op.create_index(
            "ix_import_parts_waiting",
            ["import_id", "position"],
            unique=False,
            sqlite_where=sa.text("is_waiting"),
            postgresql_where=sa.text("is_waiting"),
        )
