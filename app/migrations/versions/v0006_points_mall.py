"""points mall"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mall_items",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("perspective_id", sa.Uuid(), nullable=False),
        sa.Column("scope_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=True),
        sa.Column("product_count", sa.Integer(), nullable=False),
        sa.Column("product_rule", sa.Integer(), nullable=True),
        sa.Column("product_face", sa.BigInteger(), nullable=True),
        sa.Column("can_be_picked_up", sa.Boolean(), nullable=False),
        sa.Column("can_be_shipped", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("description", sa.String(length=2000), nullable=True),
        sa.Column("category", sa.String(length=48), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("file_ids", sa.Text(), nullable=False),
        sa.Column("price_points", sa.BigInteger(), nullable=False),
        sa.Column("price_amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("stock_left", sa.BigInteger(), nullable=True),
        sa.Column("limit_per_member", sa.Integer(), nullable=True),
        sa.Column("is_listed", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "stock_left IS NULL OR stock_left >= 0", name=op.f("ck_mall_items_stock")
        ),
        sa.CheckConstraint("price_points >= 0", name=op.f("ck_mall_items_points")),
        sa.CheckConstraint(
            "(price_amount IS NULL) = (currency IS NULL)"
            " AND (price_amount IS NULL OR price_amount > 0)",
            name=op.f("ck_mall_items_money"),
        ),
        sa.CheckConstraint(
            "(kind = 'PHYSICAL') = (product_id IS NULL)", name=op.f("ck_mall_items_product")
        ),
        sa.CheckConstraint(
            "(kind = 'PHYSICAL') = (can_be_picked_up OR can_be_shipped)",
            name=op.f("ck_mall_items_ways"),
        ),
        sa.ForeignKeyConstraint(["group_id"], ["nodes.id"], name=op.f("fk_mall_items_group_id")),
        sa.ForeignKeyConstraint(
            ["perspective_id"], ["nodes.id"], name=op.f("fk_mall_items_perspective_id")
        ),
        sa.ForeignKeyConstraint(["scope_id"], ["scopes.id"], name=op.f("fk_mall_items_scope_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mall_items")),
    )
    op.create_index("ix_mall_items_group", "mall_items", ["group_id", "id"])
    op.create_index(
        "ix_mall_items_shelf",
        "mall_items",
        ["group_id", "position", "id"],
        sqlite_where=sa.text("is_listed = 1"),
        postgresql_where=sa.text("is_listed"),
    )
    op.create_table(
        "fulfilments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("perspective_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("way", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("store_id", sa.Uuid(), nullable=True),
        sa.Column("pick_up_code", sa.Text(), nullable=True),
        sa.Column("pick_up_code_index", sa.String(length=64), nullable=True),
        sa.Column("recipient", sa.Text(), nullable=True),
        sa.Column("carrier", sa.String(length=64), nullable=True),
        sa.Column("tracking_number", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("shipped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(way = 'PICK_UP') = (store_id IS NOT NULL)", name=op.f("ck_fulfilments_store")
        ),
        sa.CheckConstraint(
            "(pick_up_code IS NULL) = (pick_up_code_index IS NULL)",
            name=op.f("ck_fulfilments_pick_up_code"),
        ),
        sa.ForeignKeyConstraint(["group_id"], ["nodes.id"], name=op.f("fk_fulfilments_group_id")),
        sa.ForeignKeyConstraint(
            ["item_id"], ["mall_items.id"], name=op.f("fk_fulfilments_item_id")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name=op.f("fk_fulfilments_member_id")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_fulfilments_order_id")),
        sa.ForeignKeyConstraint(
            ["perspective_id"], ["nodes.id"], name=op.f("fk_fulfilments_perspective_id")
        ),
        sa.ForeignKeyConstraint(["store_id"], ["nodes.id"], name=op.f("fk_fulfilments_store_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fulfilments")),
        sa.UniqueConstraint("order_id", name=op.f("uq_fulfilments_order_id")),
        sa.UniqueConstraint("pick_up_code_index", name=op.f("uq_fulfilments_pick_up_code_index")),
    )
    op.create_index("ix_fulfilments_group", "fulfilments", ["group_id", "order_id"])
    op.create_index("ix_fulfilments_item", "fulfilments", ["item_id", "order_id"])
    op.create_index("ix_fulfilments_member", "fulfilments", ["member_id", "state"])
    op.create_index("ix_fulfilments_store", "fulfilments", ["store_id", "order_id"])
