"""packages"""

import sqlalchemy as sa
from alembic import op


revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agreements",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("perspective_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["nodes.id"], name=op.f("fk_agreements_group_id")),
        sa.ForeignKeyConstraint(
            ["perspective_id"], ["nodes.id"], name=op.f("fk_agreements_perspective_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agreements")),
    )
    with op.batch_alter_table("agreements", schema=None) as batch_op:
        batch_op.create_index("ix_agreements_group", ["group_id", "id"], unique=False)

    op.create_table(
        "package_settings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("validity_rule", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["nodes.id"], name=op.f("fk_package_settings_group_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_package_settings")),
        sa.UniqueConstraint("group_id", name=op.f("uq_package_settings_group_id")),
    )
    op.create_table(
        "agreement_acceptances",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("agreement_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["agreement_id"], ["agreements.id"], name=op.f("fk_agreement_acceptances_agreement_id")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name=op.f("fk_agreement_acceptances_member_id")
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_agreement_acceptances_order_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agreement_acceptances")),
        sa.UniqueConstraint(
            "order_id", "agreement_id", name=op.f("uq_agreement_acceptances_order_id_agreement_id")
        ),
    )
    with op.batch_alter_table("agreement_acceptances", schema=None) as batch_op:
        batch_op.create_index("ix_agreement_acceptances_member", ["member_id", "id"], unique=False)

    op.create_table(
        "agreement_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("agreement_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("body", sa.String(length=50000), nullable=False),
        sa.Column("published_by_id", sa.Uuid(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["agreement_id"], ["agreements.id"], name=op.f("fk_agreement_versions_agreement_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agreement_versions")),
        sa.UniqueConstraint(
            "agreement_id", "version", name=op.f("uq_agreement_versions_agreement_id_version")
        ),
    )
    op.create_table(
        "packages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("perspective_id", sa.Uuid(), nullable=False),
        sa.Column("scope_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("tag", sa.String(length=40), nullable=True),
        sa.Column("description", sa.String(length=2000), nullable=True),
        sa.Column("cover_file_id", sa.Uuid(), nullable=True),
        sa.Column("icon_file_id", sa.Uuid(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("contents", sa.Text(), nullable=False),
        sa.Column("purchase_agreement_id", sa.Uuid(), nullable=True),
        sa.Column("terms_agreement_id", sa.Uuid(), nullable=True),
        sa.Column("faq_agreement_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["cover_file_id"], ["files.id"], name=op.f("fk_packages_cover_file_id")
        ),
        sa.ForeignKeyConstraint(
            ["faq_agreement_id"], ["agreements.id"], name=op.f("fk_packages_faq_agreement_id")
        ),
        sa.ForeignKeyConstraint(["group_id"], ["nodes.id"], name=op.f("fk_packages_group_id")),
        sa.ForeignKeyConstraint(
            ["icon_file_id"], ["files.id"], name=op.f("fk_packages_icon_file_id")
        ),
        sa.ForeignKeyConstraint(
            ["perspective_id"], ["nodes.id"], name=op.f("fk_packages_perspective_id")
        ),
        sa.ForeignKeyConstraint(
            ["purchase_agreement_id"],
            ["agreements.id"],
            name=op.f("fk_packages_purchase_agreement_id"),
        ),
        sa.ForeignKeyConstraint(["scope_id"], ["scopes.id"], name=op.f("fk_packages_scope_id")),
        sa.ForeignKeyConstraint(
            ["terms_agreement_id"], ["agreements.id"], name=op.f("fk_packages_terms_agreement_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_packages")),
    )
    with op.batch_alter_table("packages", schema=None) as batch_op:
        batch_op.create_index("ix_packages_group", ["group_id", "id"], unique=False)

    op.create_table(
        "owned_packages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("package_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("store_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("price_reason", sa.String(length=32), nullable=False),
        sa.Column("is_first", sa.Boolean(), nullable=False),
        sa.Column("renews_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("bought_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("remind_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_owned_packages_period")),
        sa.ForeignKeyConstraint(["card_id"], ["cards.id"], name=op.f("fk_owned_packages_card_id")),
        sa.ForeignKeyConstraint(
            ["group_id"], ["nodes.id"], name=op.f("fk_owned_packages_group_id")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name=op.f("fk_owned_packages_member_id")
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_owned_packages_order_id")
        ),
        sa.ForeignKeyConstraint(
            ["package_id"], ["packages.id"], name=op.f("fk_owned_packages_package_id")
        ),
        sa.ForeignKeyConstraint(
            ["renews_id"], ["owned_packages.id"], name=op.f("fk_owned_packages_renews_id")
        ),
        sa.ForeignKeyConstraint(
            ["store_id"], ["nodes.id"], name=op.f("fk_owned_packages_store_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_owned_packages")),
        sa.UniqueConstraint("order_id", name=op.f("uq_owned_packages_order_id")),
    )
    with op.batch_alter_table("owned_packages", schema=None) as batch_op:
        batch_op.create_index("ix_owned_packages_card", ["card_id", "package_id"], unique=False)
        batch_op.create_index("ix_owned_packages_member", ["member_id", "id"], unique=False)
        batch_op.create_index("ix_owned_packages_package", ["package_id", "id"], unique=False)
        batch_op.create_index(
            "ix_owned_packages_remind",
            ["remind_at"],
            unique=False,
            sqlite_where=sa.text("remind_at IS NOT NULL"),
            postgresql_where=sa.text("remind_at IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_owned_packages_running",
            ["ends_at"],
            unique=False,
            sqlite_where=sa.text("state = 'RUNNING'"),
            postgresql_where=sa.text("state = 'RUNNING'"),
        )
        batch_op.create_index(
            "ix_owned_packages_waiting",
            ["starts_at"],
            unique=False,
            sqlite_where=sa.text("state = 'WAITING'"),
            postgresql_where=sa.text("state = 'WAITING'"),
        )
        batch_op.create_index(
            "uq_owned_packages_one_renewal",
            ["renews_id"],
            unique=True,
            sqlite_where=sa.text("renews_id IS NOT NULL AND state <> 'REFUNDED'"),
            postgresql_where=sa.text("renews_id IS NOT NULL AND state <> 'REFUNDED'"),
        )

    with op.batch_alter_table("schemes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("opening_pack_id", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("opening_package_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("schemes", schema=None) as batch_op:
        batch_op.drop_column("opening_package_id")
        batch_op.drop_column("opening_pack_id")

    with op.batch_alter_table("owned_packages", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_owned_packages_one_renewal",
            sqlite_where=sa.text("renews_id IS NOT NULL AND state <> 'REFUNDED'"),
            postgresql_where=sa.text("renews_id IS NOT NULL AND state <> 'REFUNDED'"),
        )
        batch_op.drop_index(
            "ix_owned_packages_waiting",
            sqlite_where=sa.text("state = 'WAITING'"),
            postgresql_where=sa.text("state = 'WAITING'"),
        )
        batch_op.drop_index(
            "ix_owned_packages_running",
            sqlite_where=sa.text("state = 'RUNNING'"),
            postgresql_where=sa.text("state = 'RUNNING'"),
        )
        batch_op.drop_index(
            "ix_owned_packages_remind",
            sqlite_where=sa.text("remind_at IS NOT NULL"),
            postgresql_where=sa.text("remind_at IS NOT NULL"),
        )
        batch_op.drop_index("ix_owned_packages_package")
        batch_op.drop_index("ix_owned_packages_member")
        batch_op.drop_index("ix_owned_packages_card")

    op.drop_table("owned_packages")
    with op.batch_alter_table("packages", schema=None) as batch_op:
        batch_op.drop_index("ix_packages_group")

    op.drop_table("packages")
    op.drop_table("agreement_versions")
    with op.batch_alter_table("agreement_acceptances", schema=None) as batch_op:
        batch_op.drop_index("ix_agreement_acceptances_member")

    op.drop_table("agreement_acceptances")
    op.drop_table("package_settings")
    with op.batch_alter_table("agreements", schema=None) as batch_op:
        batch_op.drop_index("ix_agreements_group")

    op.drop_table("agreements")
