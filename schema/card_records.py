"""Cards as the back office lists them (CRD-5)."""

from datetime import datetime
from typing import Annotated

import strawberry

from app.services.card_records import CardFilter
from schema.card_status import CardStatus
from schema.member_records import BalanceFilterInput, row_id


@strawberry.input(
    name="CardFilter", description="Which cards to show: those for which all of it holds."
)
class CardFilterInput:
    number: str | None = strawberry.field(
        default=None,
        description="The number printed on it; that of a merged card finds what it became.",
    )
    holder_name: str | None = strawberry.field(
        default=None,
        description="The holder's whole name; width, case and blanks make no difference.",
    )
    phone: str | None = strawberry.field(
        default=None, description="The holder's phone number, whole."
    )
    status: CardStatus | None = strawberry.field(default=None, description="Of this status now.")
    scheme_id: strawberry.ID | None = strawberry.field(
        default=None, description="Of this scheme, `sch_…`."
    )
    tier_id: strawberry.ID | None = strawberry.field(
        default=None, description="Of this tier, `tier_…`."
    )
    issuing_store_id: strawberry.ID | None = strawberry.field(
        default=None, description="Issued by this store, `node_…`."
    )
    balance: BalanceFilterInput | None = strawberry.field(
        default=None, description="That holds so much."
    )
    expires_before: datetime | None = strawberry.field(
        default=None, description="Whose time ends before this moment."
    )

    def wanted(self) -> CardFilter:
        """The filter, its ids read; raises `BadInput`."""
        return CardFilter(
            number=self.number,
            holder_name=self.holder_name,
            phone=self.phone,
            status=self.status,
            scheme_id=row_id("sch", self.scheme_id),
            tier_id=row_id("tier", self.tier_id),
            issuing_store_id=row_id("node", self.issuing_store_id),
            balance=self.balance.range() if self.balance else None,
            expires_before=self.expires_before,
        )


Filter = Annotated[
    CardFilterInput | None,
    strawberry.argument(
        description="Which to show. Where few fit, a page may hold fewer than `first`, or none,"
        " though more follow: while `hasNextPage` says so, go on from `endCursor`."
    ),
]
