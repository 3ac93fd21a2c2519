"""What members own of packages, and how packages sell (BEN-7, BEN-9)."""

from datetime import datetime
from typing import Self

import strawberry

from app.core.ids import type_id
from app.models import packages as rows
from app.models.packages import OwnedState, PriceReason
from app.services.packages import listing, selling
from app.services.packages.terms import Terms
from schema.context import Info
from schema.enums import describe
from schema.orders import Order
from schema.organisation import Node
from schema.packages.agreements import AgreementAcceptance
from schema.packages.contents import PackageContent
from schema.packages.packages import package_id_of
from schema.packages.rules import PackageDuration
from schema.problems import Problem, shown_as
from schema.scalars import Long, Money

describe(
    OwnedState,
    "Where a package stands that somebody bought.",
    {
        "WAITING": "It begins later: tomorrow, or when the one it renews ends.",
        "RUNNING": "Its benefits hold.",
        "ENDED": "Its time is over.",
        "REFUNDED": "It was given back.",
    },
)


@strawberry.type(description="A package as it was bought: later edits of it change nothing.")
class OwnedPackage:
    id: strawberry.ID = strawberry.field(description="Its id, `own_…`.")
    package_id: strawberry.ID = strawberry.field(description="The package, `pkg_…`.")
    name: str = strawberry.field(description="What it was called.")
    state: OwnedState = strawberry.field(description="Where it stands.")
    price: Money = strawberry.field(description="What was paid.")
    price_reason: PriceReason = strawberry.field(description="Which price that was.")
    is_first: bool = strawberry.field(description="Whether it was the member's first.")
    is_renewal: bool = strawberry.field(description="Whether it was bought before another ended.")
    duration: PackageDuration = strawberry.field(description="How long it lasts.")
    bought_at: datetime = strawberry.field(description="When it was paid.")
    starts_at: datetime = strawberry.field(description="When it begins.")
    ends_at: datetime = strawberry.field(description="The first moment without it.")
    ended_at: datetime | None = strawberry.field(
        description="When it was over or given back; null before that."
    )
    row: strawberry.Private[rows.OwnedPackage]
    terms: strawberry.Private[Terms]

    @classmethod
    def of(cls, row: rows.OwnedPackage) -> Self:
        terms = Terms.from_document(row.terms)
        return cls(
            id=strawberry.ID(type_id("own", row.id)),
            package_id=package_id_of(row.package_id),
            name=row.name,
            state=row.state,
            price=Money.of(row.price, row.currency),
            price_reason=row.price_reason,
            is_first=row.is_first,
            is_renewal=terms.is_renewal,
            duration=PackageDuration.of(terms.duration),
            bought_at=row.bought_at,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            ended_at=row.ended_at,
            row=row,
            terms=terms,
        )

    @strawberry.field(description="What came with it.")
    def contents(self) -> list[PackageContent]:
        return [PackageContent.of(each) for each in self.terms.contents]

    @strawberry.field(description="The card it is on today, `card_…`.")
    async def card_id(self, info: Info) -> strawberry.ID:
        card = await info.context.loaders.living_card.load(self.row.card_id)
        return strawberry.ID(type_id("card", card.id))

    @strawberry.field(description="Who bought it, `mem_…`; that may have been merged since.")
    def member_id(self) -> strawberry.ID:
        return strawberry.ID(type_id("mem", self.row.member_id))

    @strawberry.field(description="The order that brought it.")
    async def order(self, info: Info) -> Order:
        return Order.of(await info.context.loaders.order.load(self.row.order_id))

    @strawberry.field(description="What its buyer accepted.")
    async def acceptances(self, info: Info) -> list[AgreementAcceptance]:
        found = await info.context.loaders.acceptances.load(self.row.order_id)
        return [AgreementAcceptance.of(each) for each in found]


@strawberry.type(description="How a package sold.")
class PackageSales:
    sold: Long = strawberry.field(description="How many were paid, those given back included.")
    refunded: Long = strawberry.field(description="How many of these were given back.")
    revenue: Money = strawberry.field(description="What was paid, less what went back.")
    buyers: Long = strawberry.field(description="How many members bought it.")

    @classmethod
    def of(cls, sales: listing.Sales, currency: str) -> Self:
        return cls(
            sold=Long(sales.sold),
            refunded=Long(sales.refunded),
            revenue=Money.of(sales.revenue, currency),
            buyers=Long(sales.buyers),
        )


@strawberry.type(description="How a package sold in a store, or online at none.")
class PackageStoreSales:
    sales: PackageSales = strawberry.field(description="How it sold there.")
    found: strawberry.Private[listing.SalesFound]

    @classmethod
    def of(cls, found: listing.SalesFound) -> Self:
        return cls(sales=PackageSales.of(found.sales, found.currency), found=found)

    @strawberry.field(description="The store; null for what was sold at none.")
    async def store(self, info: Info) -> Node | None:
        store_id = self.found.sales.store_id
        return Node.of(await info.context.loaders.node.load(store_id)) if store_id else None


@strawberry.type(description="A voucher that came with the package was used: refund it offline.")
class VoucherUsed(Problem):
    used: int = strawberry.field(description="How many were used.")

    @classmethod
    def of(cls, error: selling.VoucherUsed) -> Self:
        return cls(message=str(error), used=error.used)


@strawberry.type(description="The package has ended: refund it offline.")
class PackageOver(Problem):
    ended_at: datetime = strawberry.field(description="When.")

    @classmethod
    def of(cls, error: selling.PackageOver) -> Self:
        return cls(message=str(error), ended_at=error.ended_at)


@strawberry.type(description="The package was renewed: the renewal is refunded first.")
class RenewedAlready(Problem):
    renewal_id: strawberry.ID = strawberry.field(description="The renewal, `own_…`.")

    @classmethod
    def of(cls, error: selling.RenewedAlready) -> Self:
        return cls(message=str(error), renewal_id=strawberry.ID(type_id("own", error.renewal_id)))


HANDLERS = [
    shown_as(VoucherUsed, selling.VoucherUsed),
    shown_as(PackageOver, selling.PackageOver),
    shown_as(RenewedAlready, selling.RenewedAlready),
]
