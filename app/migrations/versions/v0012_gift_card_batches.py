"""gift cards in bulk, and what was exported of them"""

import sqlalchemy as sa
from alembic import op


revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gift_card_batches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("perspective_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("buyer_company", sa.String(length=120), nullable=False),
        sa.Column("invoice_number", sa.String(length=64), nullable=False),
        sa.Column("payment_method_id", sa.Uuid(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("face", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("number_of_cards", sa.Integer(), nullable=False),
        sa.Column("number_made", sa.Integer(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("operator_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("keys_exported_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("keys_exported_by_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "(keys_exported_at IS NULL) = (keys_exported_by_id IS NULL)",
            name=op.f("ck_gift_card_batches_exported"),
        ),
        sa.CheckConstraint(
            "(state = 'READY') = (finished_at IS NOT NULL)",
            name=op.f("ck_gift_card_batches_finished"),
        ),
        sa.CheckConstraint("amount >= 0 AND face > 0", name=op.f("ck_gift_card_batches_amounts")),
        sa.CheckConstraint(
            "number_of_cards > 0 AND number_made <= number_of_cards",
            name=op.f("ck_gift_card_batches_numbers"),
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["nodes.id"], name=op.f("fk_gift_card_batches_group_id")
        ),
        sa.ForeignKeyConstraint(
            ["keys_exported_by_id"],
            ["staff.id"],
            name=op.f("fk_gift_card_batches_keys_exported_by_id"),
        ),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["staff.id"], name=op.f("fk_gift_card_batches_operator_id")
        ),
        sa.ForeignKeyConstraint(
            ["payment_method_id"],
            ["payment_methods.id"],
            name=op.f("fk_gift_card_batches_payment_method_id"),
        ),
        sa.ForeignKeyConstraint(
            ["perspective_id"], ["nodes.id"], name=op.f("fk_gift_card_batches_perspective_id")
        ),
        sa.ForeignKeyConstraint(
            ["product_id"],
            ["gift_card_products.id"],
            name=op.f("fk_gift_card_batches_product_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gift_card_batches")),
        sa.UniqueConstraint(
            "group_id",
            "invoice_number",
            "product_id",
            "face",
            name=op.f("uq_gift_card_batches_group_id_invoice_number_product_id_face"),
        ),
    )
    with op.batch_alter_table("gift_card_batches", schema=None) as batch_op:
        batch_op.create_index("ix_gift_card_batches_group", ["group_id", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_gift_card_batches_product_id"), ["product_id"], unique=False
        )

    op.create_table(
        "gift_card_batch_cards",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("gift_card_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["gift_card_batches.id"], name=op.f("fk_gift_card_batch_cards_batch_id")
        ),
        sa.ForeignKeyConstraint(
            ["gift_card_id"], ["gift_cards.id"], name=op.f("fk_gift_card_batch_cards_gift_card_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gift_card_batch_cards")),
        sa.UniqueConstraint(
            "batch_id", "position", name=op.f("uq_gift_card_batch_cards_batch_id_position")
        ),
        sa.UniqueConstraint("gift_card_id", name=op.f("uq_gift_card_batch_cards_gift_card_id")),
    )
    op.create_table(
        "gift_card_exports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("perspective_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("filters", sa.Text(), nullable=False),
        sa.Column("number_of_rows", sa.Integer(), nullable=True),
        sa.Column("operator_kind", sa.String(length=16), nullable=False),
        sa.Column("operator_id", sa.Uuid(), nullable=False),
        sa.Column("exported_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["nodes.id"], name=op.f("fk_gift_card_exports_group_id")
        ),
        sa.ForeignKeyConstraint(
            ["perspective_id"], ["nodes.id"], name=op.f("fk_gift_card_exports_perspective_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gift_card_exports")),
    )
    with op.batch_alter_table("gift_card_exports", schema=None) as batch_op:
        batch_op.create_index("ix_gift_card_exports_group", ["group_id", "id"], unique=False)
