"""gift cards: what is sold, the cards, and their value in the ledger"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

OF_GIFT_CARD = sa.text("gift_card_id IS NOT NULL")
OF_PRODUCT = sa.text("gift_card_product_id IS NOT NULL")


def upgrade() -> None:
    _make_tables()
    _let_accounts_be_gift_cards()


def _make_tables() -> None:
    op.create_table(
        "gift_card_products",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("perspective_id", sa.Uuid(), nullable=False),
        sa.Column("scope_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("designs", sa.Text(), nullable=False),
        sa.Column("denominations", sa.Text(), nullable=False),
        sa.Column("custom_amount", sa.Text(), nullable=True),
        sa.Column("buyer_name", sa.String(length=32), nullable=False),
        sa.Column("buyer_phone", sa.String(length=32), nullable=False),
        sa.Column("buyer_email", sa.String(length=32), nullable=False),
        sa.Column("buyer_card_number", sa.String(length=32), nullable=False),
        sa.Column("valid_days", sa.Integer(), nullable=True),
        sa.Column("claim_days", sa.Integer(), nullable=False),
        sa.Column("can_recharge", sa.Boolean(), nullable=False),
        sa.Column("can_move", sa.Boolean(), nullable=False),
        sa.Column("description", sa.String(length=2000), nullable=True),
        sa.Column("agreement", sa.String(length=10000), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("claim_days > 0", name=op.f("ck_gift_card_products_claim_days")),
        sa.CheckConstraint(
            "valid_days IS NULL OR valid_days > 0", name=op.f("ck_gift_card_products_valid_days")
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["nodes.id"], name=op.f("fk_gift_card_products_group_id")
        ),
        sa.ForeignKeyConstraint(
            ["perspective_id"], ["nodes.id"], name=op.f("fk_gift_card_products_perspective_id")
        ),
        sa.ForeignKeyConstraint(
            ["scope_id"], ["scopes.id"], name=op.f("fk_gift_card_products_scope_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gift_card_products")),
    )
    with op.batch_alter_table("gift_card_products", schema=None) as batch_op:
        batch_op.create_index("ix_gift_card_products_group", ["group_id", "id"], unique=False)

    op.create_table(
        "gift_cards",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("number", sa.String(length=16), nullable=False),
        sa.Column("key_index", sa.String(length=64), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("code_index", sa.String(length=64), nullable=True),
        sa.Column("code_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("holder_id", sa.Uuid(), nullable=True),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        sa.Column("store_id", sa.Uuid(), nullable=True),
        sa.Column("terminal_id", sa.Uuid(), nullable=True),
        sa.Column("payment_method_id", sa.Uuid(), nullable=True),
        sa.Column("scope_id", sa.Uuid(), nullable=True),
        sa.Column("terms", sa.Text(), nullable=True),
        sa.Column("design", sa.String(length=64), nullable=True),
        sa.Column("face", sa.BigInteger(), nullable=False),
        sa.Column("cash", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refunded_cash", sa.BigInteger(), nullable=True),
        sa.Column("refund_method_id", sa.Uuid(), nullable=True),
        sa.Column("refund_reason", sa.String(length=200), nullable=True),
        sa.CheckConstraint(
            "(state = 'INACTIVE') = (activated_at IS NULL)", name=op.f("ck_gift_cards_activated")
        ),
        sa.CheckConstraint("cash >= 0 AND face >= cash", name=op.f("ck_gift_cards_face")),
        sa.ForeignKeyConstraint(["group_id"], ["nodes.id"], name=op.f("fk_gift_cards_group_id")),
        sa.ForeignKeyConstraint(
            ["holder_id"], ["members.id"], name=op.f("fk_gift_cards_holder_id")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_gift_cards_order_id")),
        sa.ForeignKeyConstraint(
            ["payment_method_id"],
            ["payment_methods.id"],
            name=op.f("fk_gift_cards_payment_method_id"),
        ),
        sa.ForeignKeyConstraint(
            ["product_id"], ["gift_card_products.id"], name=op.f("fk_gift_cards_product_id")
        ),
        sa.ForeignKeyConstraint(
            ["refund_method_id"],
            ["payment_methods.id"],
            name=op.f("fk_gift_cards_refund_method_id"),
        ),
        sa.ForeignKeyConstraint(["scope_id"], ["scopes.id"], name=op.f("fk_gift_cards_scope_id")),
        sa.ForeignKeyConstraint(["store_id"], ["nodes.id"], name=op.f("fk_gift_cards_store_id")),
        sa.ForeignKeyConstraint(
            ["terminal_id"], ["terminals.id"], name=op.f("fk_gift_cards_terminal_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gift_cards")),
        sa.UniqueConstraint("code_index", name=op.f("uq_gift_cards_code_index")),
    )
    with op.batch_alter_table("gift_cards", schema=None) as batch_op:
        batch_op.create_index("ix_gift_cards_group", ["group_id", "id"], unique=False)
        batch_op.create_index("ix_gift_cards_holder", ["holder_id", "id"], unique=False)
        batch_op.create_index("ix_gift_cards_order", ["order_id"], unique=False)
        batch_op.create_index("ix_gift_cards_product", ["product_id", "id"], unique=False)
        batch_op.create_index("uq_gift_cards_number", ["group_id", "number"], unique=True)

    op.create_table(
        "gift_card_buyers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        sa.Column("gift_card_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("card_number", sa.Text(), nullable=True),
        sa.Column("receiver_phone", sa.Text(), nullable=True),
        sa.Column("greeting", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(order_id IS NULL) <> (gift_card_id IS NULL)",
            name=op.f("ck_gift_card_buyers_one_sale"),
        ),
        sa.ForeignKeyConstraint(
            ["gift_card_id"], ["gift_cards.id"], name=op.f("fk_gift_card_buyers_gift_card_id")
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_gift_card_buyers_order_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gift_card_buyers")),
        sa.UniqueConstraint("gift_card_id", name=op.f("uq_gift_card_buyers_gift_card_id")),
        sa.UniqueConstraint("order_id", name=op.f("uq_gift_card_buyers_order_id")),
    )
    op.create_table(
        "gift_card_gifts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("gift_card_id", sa.Uuid(), nullable=False),
        sa.Column("buyer_id", sa.Uuid(), nullable=False),
        sa.Column("code_index", sa.String(length=64), nullable=False),
        sa.Column("greeting", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("deliver_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_by_id", sa.Uuid(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'CLAIMED') = (claimed_at IS NOT NULL)",
            name=op.f("ck_gift_card_gifts_claimed"),
        ),
        sa.ForeignKeyConstraint(
            ["buyer_id"], ["members.id"], name=op.f("fk_gift_card_gifts_buyer_id")
        ),
        sa.ForeignKeyConstraint(
            ["claimed_by_id"], ["members.id"], name=op.f("fk_gift_card_gifts_claimed_by_id")
        ),
        sa.ForeignKeyConstraint(
            ["gift_card_id"], ["gift_cards.id"], name=op.f("fk_gift_card_gifts_gift_card_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gift_card_gifts")),
        sa.UniqueConstraint("code_index", name=op.f("uq_gift_card_gifts_code_index")),
        sa.UniqueConstraint("gift_card_id", name=op.f("uq_gift_card_gifts_gift_card_id")),
    )
    with op.batch_alter_table("gift_card_gifts", schema=None) as batch_op:
        batch_op.create_index("ix_gift_card_gifts_buyer", ["buyer_id", "id"], unique=False)
        batch_op.create_index(
            "ix_gift_card_gifts_waiting",
            ["deliver_at"],
            unique=False,
            sqlite_where=sa.text("state = 'WAITING'"),
            postgresql_where=sa.text("state = 'WAITING'"),
        )
        batch_op.create_index(
            "ix_gift_card_gifts_open",
            ["expires_at"],
            unique=False,
            sqlite_where=sa.text("state = 'OPEN'"),
            postgresql_where=sa.text("state = 'OPEN'"),
        )

    op.create_table(
        "gift_card_moves",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("gift_card_id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("cash", sa.BigInteger(), nullable=False),
        sa.Column("bonus", sa.BigInteger(), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["card_id"], ["cards.id"], name=op.f("fk_gift_card_moves_card_id")),
        sa.ForeignKeyConstraint(
            ["gift_card_id"], ["gift_cards.id"], name=op.f("fk_gift_card_moves_gift_card_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["nodes.id"], name=op.f("fk_gift_card_moves_group_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gift_card_moves")),
    )
    with op.batch_alter_table("gift_card_moves", schema=None) as batch_op:
        batch_op.create_index("ix_gift_card_moves_card", ["gift_card_id", "id"], unique=False)

    op.create_table(
        "gift_card_payments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("gift_card_id", sa.Uuid(), nullable=False),
        sa.Column("terminal_id", sa.Uuid(), nullable=False),
        sa.Column("store_id", sa.Uuid(), nullable=False),
        sa.Column("order_number", sa.String(length=64), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("cash", sa.BigInteger(), nullable=False),
        sa.Column("bonus", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'VOIDED') = (voided_at IS NOT NULL)",
            name=op.f("ck_gift_card_payments_voided"),
        ),
        sa.CheckConstraint(
            "cash >= 0 AND bonus >= 0 AND cash + bonus > 0",
            name=op.f("ck_gift_card_payments_parts"),
        ),
        sa.ForeignKeyConstraint(
            ["gift_card_id"], ["gift_cards.id"], name=op.f("fk_gift_card_payments_gift_card_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["nodes.id"], name=op.f("fk_gift_card_payments_group_id")
        ),
        sa.ForeignKeyConstraint(
            ["store_id"], ["nodes.id"], name=op.f("fk_gift_card_payments_store_id")
        ),
        sa.ForeignKeyConstraint(
            ["terminal_id"], ["terminals.id"], name=op.f("fk_gift_card_payments_terminal_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gift_card_payments")),
    )
    with op.batch_alter_table("gift_card_payments", schema=None) as batch_op:
        batch_op.create_index("ix_gift_card_payments_card", ["gift_card_id", "id"], unique=False)
        batch_op.create_index(
            "ix_gift_card_payments_order", ["store_id", "order_number"], unique=False
        )

    op.create_table(
        "gift_card_recharges",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("gift_card_id", sa.Uuid(), nullable=False),
        sa.Column("terminal_id", sa.Uuid(), nullable=False),
        sa.Column("store_id", sa.Uuid(), nullable=False),
        sa.Column("payment_method_id", sa.Uuid(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("face", sa.BigInteger(), nullable=False),
        sa.Column("cash", sa.BigInteger(), nullable=False),
        sa.Column("recharged_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("cash > 0 AND face >= cash", name=op.f("ck_gift_card_recharges_face")),
        sa.ForeignKeyConstraint(
            ["gift_card_id"], ["gift_cards.id"], name=op.f("fk_gift_card_recharges_gift_card_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["nodes.id"], name=op.f("fk_gift_card_recharges_group_id")
        ),
        sa.ForeignKeyConstraint(
            ["payment_method_id"],
            ["payment_methods.id"],
            name=op.f("fk_gift_card_recharges_payment_method_id"),
        ),
        sa.ForeignKeyConstraint(
            ["store_id"], ["nodes.id"], name=op.f("fk_gift_card_recharges_store_id")
        ),
        sa.ForeignKeyConstraint(
            ["terminal_id"], ["terminals.id"], name=op.f("fk_gift_card_recharges_terminal_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gift_card_recharges")),
    )
    with op.batch_alter_table("gift_card_recharges", schema=None) as batch_op:
        batch_op.create_index("ix_gift_card_recharges_card", ["gift_card_id", "id"], unique=False)


def _let_accounts_be_gift_cards() -> None:
    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("gift_card_id", sa.Uuid(), nullable=True))
        batch_op.alter_column("card_id", existing_type=sa.Uuid(), nullable=True)
        batch_op.create_unique_constraint(
            batch_op.f("uq_accounts_gift_card_id_kind"), ["gift_card_id", "kind"]
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_accounts_one_card"), "(card_id IS NULL) <> (gift_card_id IS NULL)"
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_accounts_gift_card_id"), "gift_cards", ["gift_card_id"], ["id"]
        )

    with op.batch_alter_table("entries", schema=None) as batch_op:
        batch_op.add_column(sa.Column("gift_card_id", sa.Uuid(), nullable=True))
        batch_op.create_index(
            "ix_entries_gift_card",
            ["gift_card_id", "id"],
            unique=False,
            sqlite_where=OF_GIFT_CARD,
            postgresql_where=OF_GIFT_CARD,
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_entries_gift_card_id"), "gift_cards", ["gift_card_id"], ["id"]
        )

    with op.batch_alter_table("postings", schema=None) as batch_op:
        batch_op.add_column(sa.Column("gift_card_product_id", sa.Uuid(), nullable=True))
        batch_op.alter_column("scheme_id", existing_type=sa.Uuid(), nullable=True)
        batch_op.create_index(
            "ix_postings_gift_card_product",
            ["gift_card_product_id", "recorded_at"],
            unique=False,
            sqlite_where=OF_PRODUCT,
            postgresql_where=OF_PRODUCT,
        )
        batch_op.create_index(
            "ix_postings_gift_cards",
            ["group_id", "id"],
            unique=False,
            sqlite_where=OF_PRODUCT,
            postgresql_where=OF_PRODUCT,
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_postings_of_some_card"),
            "scheme_id IS NOT NULL OR gift_card_product_id IS NOT NULL",
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_postings_gift_card_product_id"),
            "gift_card_products",
            ["gift_card_product_id"],
            ["id"],
        )
