"""student ids"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "institutions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("is_accepted", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["nodes.id"], name=op.f("fk_institutions_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_institutions")),
        sa.UniqueConstraint("group_id", "name", name=op.f("uq_institutions_group_id_name")),
    )
    op.create_table(
        "institution_domains",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("domain", sa.String(length=253), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["nodes.id"], name=op.f("fk_institution_domains_group_id")
        ),
        sa.ForeignKeyConstraint(
            ["institution_id"],
            ["institutions.id"],
            name=op.f("fk_institution_domains_institution_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_institution_domains")),
        sa.UniqueConstraint(
            "group_id", "domain", name=op.f("uq_institution_domains_group_id_domain")
        ),
    )
    with op.batch_alter_table("institution_domains", schema=None) as batch_op:
        batch_op.create_index(
            "ix_institution_domains_institution", ["institution_id"], unique=False
        )

    op.create_table(
        "student_id_settings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("node_id", sa.Uuid(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("methods", sa.Text(), nullable=False),
        sa.Column("validity_months", sa.Integer(), nullable=False),
        sa.Column("page_title", sa.String(length=120), nullable=False),
        sa.Column("page_text", sa.String(length=10000), nullable=False),
        sa.Column("cover_file_id", sa.Uuid(), nullable=True),
        sa.Column("user_group_name", sa.String(length=64), nullable=True),
        sa.Column("tag_id", sa.Uuid(), nullable=True),
        sa.Column("gift_rule", sa.String(length=32), nullable=False),
        sa.Column("gifts", sa.Text(), nullable=False),
        sa.Column("reminder_days", sa.Text(), nullable=False),
        sa.Column("submissions_a_day", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "submissions_a_day > 0", name=op.f("ck_student_id_settings_submissions")
        ),
        sa.CheckConstraint("validity_months > 0", name=op.f("ck_student_id_settings_validity")),
        sa.ForeignKeyConstraint(
            ["cover_file_id"], ["files.id"], name=op.f("fk_student_id_settings_cover_file_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["nodes.id"], name=op.f("fk_student_id_settings_group_id")
        ),
        sa.ForeignKeyConstraint(
            ["node_id"], ["nodes.id"], name=op.f("fk_student_id_settings_node_id")
        ),
        sa.ForeignKeyConstraint(
            ["tag_id"], ["tags.id"], name=op.f("fk_student_id_settings_tag_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_student_id_settings")),
        sa.UniqueConstraint("node_id", name=op.f("uq_student_id_settings_node_id")),
    )
    with op.batch_alter_table("student_id_settings", schema=None) as batch_op:
        batch_op.create_index("ix_student_id_settings_tag", ["tag_id"], unique=False)

    op.create_table(
        "student_identities",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("identity_index", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["nodes.id"], name=op.f("fk_student_identities_group_id")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name=op.f("fk_student_identities_member_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_student_identities")),
        sa.UniqueConstraint(
            "identity_index", "group_id", name=op.f("uq_student_identities_identity_index_group_id")
        ),
    )
    with op.batch_alter_table("student_identities", schema=None) as batch_op:
        batch_op.create_index("ix_student_identities_member", ["member_id"], unique=False)

    op.create_table(
        "student_verifications",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("node_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("method", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("institution", sa.String(length=200), nullable=False),
        sa.Column("identity", sa.Text(), nullable=True),
        sa.Column("identity_index", sa.String(length=64), nullable=True),
        sa.Column("student_name", sa.Text(), nullable=True),
        sa.Column("card_file_id", sa.Uuid(), nullable=True),
        sa.Column("verifier_event", sa.String(length=128), nullable=True),
        sa.Column("answer_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("note", sa.String(length=200), nullable=True),
        sa.Column("is_renewal", sa.Boolean(), nullable=False),
        sa.Column("gifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("remind_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reminder_days", sa.Text(), nullable=False),
        sa.Column("tag_id", sa.Uuid(), nullable=True),
        sa.Column("member_tag_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "(approved_at IS NULL) = (valid_until IS NULL)"
            " AND (state <> 'APPROVED' OR approved_at IS NOT NULL)",
            name=op.f("ck_student_verifications_approval"),
        ),
        sa.ForeignKeyConstraint(
            ["card_file_id"], ["files.id"], name=op.f("fk_student_verifications_card_file_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["nodes.id"], name=op.f("fk_student_verifications_group_id")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name=op.f("fk_student_verifications_member_id")
        ),
        sa.ForeignKeyConstraint(
            ["node_id"], ["nodes.id"], name=op.f("fk_student_verifications_node_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_student_verifications")),
        sa.UniqueConstraint("verifier_event", name=op.f("uq_student_verifications_verifier_event")),
    )
    with op.batch_alter_table("student_verifications", schema=None) as batch_op:
        batch_op.create_index(
            "ix_student_verifications_approved_at", ["group_id", "approved_at"], unique=False
        )
        batch_op.create_index(
            "ix_student_verifications_ended_at", ["group_id", "ended_at"], unique=False
        )
        batch_op.create_index(
            "ix_student_verifications_ending",
            ["valid_until"],
            unique=False,
            sqlite_where=sa.text("state = 'APPROVED'"),
            postgresql_where=sa.text("state = 'APPROVED'"),
        )
        batch_op.create_index("ix_student_verifications_group", ["group_id", "id"], unique=False)
        batch_op.create_index(
            "ix_student_verifications_identity", ["group_id", "identity_index"], unique=False
        )
        batch_op.create_index("ix_student_verifications_member", ["member_id", "id"], unique=False)
        batch_op.create_index(
            "ix_student_verifications_reminding",
            ["remind_at"],
            unique=False,
            sqlite_where=sa.text("state = 'APPROVED' AND remind_at IS NOT NULL"),
            postgresql_where=sa.text("state = 'APPROVED' AND remind_at IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_student_verifications_state", ["group_id", "state", "id"], unique=False
        )
        batch_op.create_index(
            "ix_student_verifications_waiting",
            ["answer_until"],
            unique=False,
            sqlite_where=sa.text("state = 'SUBMITTED'"),
            postgresql_where=sa.text("state = 'SUBMITTED'"),
        )
        batch_op.create_index(
            "uq_student_verifications_submitted",
            ["member_id"],
            unique=True,
            sqlite_where=sa.text("state = 'SUBMITTED'"),
            postgresql_where=sa.text("state = 'SUBMITTED'"),
        )

    with op.batch_alter_table("scopes", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("for_students", sa.Boolean(), server_default=sa.false(), nullable=False)
        )
