"""orders"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "orders",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("perspective_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=True),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("store_id", sa.Uuid(), nullable=True),
        sa.Column("terminal_id", sa.Uuid(), nullable=True),
        sa.Column("payment_method_id", sa.Uuid(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refund_route", sa.String(length=32), nullable=True),
        sa.Column("refunded_amount", sa.BigInteger(), nullable=True),
        sa.Column("refund_method_id", sa.Uuid(), nullable=True),
        sa.Column("refund_reason", sa.String(length=200), nullable=True),
        sa.CheckConstraint(
            "quantity > 0 AND amount >= 0 AND points >= 0", name=op.f("ck_orders_amounts")
        ),
        sa.CheckConstraint(
            "refunded_amount IS NULL OR (refunded_amount >= 0 AND refunded_amount <= amount)",
            name=op.f("ck_orders_refunded"),
        ),
        sa.ForeignKeyConstraint(["card_id"], ["cards.id"], name=op.f("fk_orders_card_id")),
        sa.ForeignKeyConstraint(["group_id"], ["nodes.id"], name=op.f("fk_orders_group_id")),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name=op.f("fk_orders_member_id")),
        sa.ForeignKeyConstraint(
            ["payment_method_id"], ["payment_methods.id"], name=op.f("fk_orders_payment_method_id")
        ),
        sa.ForeignKeyConstraint(
            ["perspective_id"], ["nodes.id"], name=op.f("fk_orders_perspective_id")
        ),
        sa.ForeignKeyConstraint(
            ["refund_method_id"], ["payment_methods.id"], name=op.f("fk_orders_refund_method_id")
        ),
        sa.ForeignKeyConstraint(["store_id"], ["nodes.id"], name=op.f("fk_orders_store_id")),
        sa.ForeignKeyConstraint(
            ["terminal_id"], ["terminals.id"], name=op.f("fk_orders_terminal_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
    )
    op.create_index("ix_orders_group", "orders", ["group_id", "id"])
    op.create_index("ix_orders_member", "orders", ["member_id", "id"])
    op.create_index("ix_orders_member_product", "orders", ["member_id", "product_id"])
    op.create_index("ix_orders_product", "orders", ["product_id", "id"])
    op.create_index(
        "ix_orders_pending",
        "orders",
        ["expires_at"],
        sqlite_where=sa.text("state = 'PENDING'"),
        postgresql_where=sa.text("state = 'PENDING'"),
    )
