"""benefits"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "campaigns",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("perspective_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("only_as_member_benefit", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["nodes.id"], name=op.f("fk_campaigns_group_id")),
        sa.ForeignKeyConstraint(
            ["perspective_id"], ["nodes.id"], name=op.f("fk_campaigns_perspective_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
        sa.UniqueConstraint(
            "perspective_id", "name", name=op.f("uq_campaigns_perspective_id_name")
        ),
    )
    with op.batch_alter_table("campaigns", schema=None) as batch_op:
        batch_op.create_index("ix_campaigns_group", ["group_id", "id"], unique=False)

    op.create_table(
        "benefits",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("perspective_id", sa.Uuid(), nullable=False),
        sa.Column("scope_id", sa.Uuid(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("brief", sa.String(length=200), nullable=False),
        sa.Column("description", sa.String(length=2000), nullable=True),
        sa.Column("icon_file_id", sa.Uuid(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("restrictions", sa.Text(), nullable=False),
        sa.Column("multiplies_points", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("operator_kind", sa.String(length=32), nullable=False),
        sa.Column("operator_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(kind = 'MARKETING' OR kind = 'PROMOTIONAL') = (campaign_id IS NOT NULL)",
            name=op.f("ck_benefits_campaign"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_benefits_campaign_id")
        ),
        sa.ForeignKeyConstraint(["group_id"], ["nodes.id"], name=op.f("fk_benefits_group_id")),
        sa.ForeignKeyConstraint(
            ["icon_file_id"], ["files.id"], name=op.f("fk_benefits_icon_file_id")
        ),
        sa.ForeignKeyConstraint(
            ["perspective_id"], ["nodes.id"], name=op.f("fk_benefits_perspective_id")
        ),
        sa.ForeignKeyConstraint(["scope_id"], ["scopes.id"], name=op.f("fk_benefits_scope_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_benefits")),
    )
    with op.batch_alter_table("benefits", schema=None) as batch_op:
        batch_op.create_index(
            "ix_benefits_active",
            ["group_id", "multiplies_points"],
            unique=False,
            sqlite_where=sa.text("state = 'ACTIVE'"),
            postgresql_where=sa.text("state = 'ACTIVE'"),
        )
        batch_op.create_index(batch_op.f("ix_benefits_campaign_id"), ["campaign_id"], unique=False)
        batch_op.create_index("ix_benefits_group", ["group_id", "id"], unique=False)

    op.create_table(
        "benefit_grants",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("benefit_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("multiplies_points", sa.Boolean(), nullable=False),
        sa.Column("extended_days", sa.Integer(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "ends_at IS NULL OR ends_at > starts_at", name=op.f("ck_benefit_grants_time")
        ),
        sa.ForeignKeyConstraint(
            ["benefit_id"], ["benefits.id"], name=op.f("fk_benefit_grants_benefit_id")
        ),
        sa.ForeignKeyConstraint(["card_id"], ["cards.id"], name=op.f("fk_benefit_grants_card_id")),
        sa.ForeignKeyConstraint(
            ["group_id"], ["nodes.id"], name=op.f("fk_benefit_grants_group_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_benefit_grants")),
        sa.UniqueConstraint(
            "source_id",
            "source",
            "benefit_id",
            name=op.f("uq_benefit_grants_source_id_source_benefit_id"),
        ),
    )
    with op.batch_alter_table("benefit_grants", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_benefit_grants_card_id"), ["card_id"], unique=False)

    with op.batch_alter_table("purchases", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("points_multiplier_bp", sa.Integer(), server_default="10000", nullable=False)
        )

    with op.batch_alter_table("top_up_plans", schema=None) as batch_op:
        batch_op.add_column(sa.Column("gifts", sa.Text(), server_default="[]", nullable=False))
        batch_op.add_column(
            sa.Column("first_gifts", sa.Text(), server_default="[]", nullable=False)
        )
        batch_op.add_column(
            sa.Column("benefit_ids", sa.Text(), server_default="[]", nullable=False)
        )
        batch_op.add_column(sa.Column("benefit_days", sa.Integer(), nullable=True))
