"""what a company buys: from which sum on by transfer, and which company it is"""

import sqlalchemy as sa
from alembic import op


revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("gift_card_batches", schema=None) as batch_op:
        batch_op.add_column(sa.Column("buyer_registration", sa.String(length=40), nullable=True))

    with op.batch_alter_table("group_rules", schema=None) as batch_op:
        batch_op.add_column(sa.Column("company_transfer_from", sa.BigInteger(), nullable=True))

    # What held companies until now goes on holding them; for yuan the law says 5,000 at most.
    op.execute("UPDATE group_rules SET company_transfer_from = transfer_from")
    op.execute(
        "UPDATE group_rules SET company_transfer_from = 500000 WHERE currency = 'CNY'"
        " AND (transfer_from IS NULL OR transfer_from > 500000)"
    )
