"""Buying packages online, and what the member owns of them (BEN-5…BEN-9)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.packages import OwnedState
from app.services.packages import buying, listing
from auth import paying
from auth.permissions import IsMember
from schema.context import Info
from schema.orders import OrderPlaced
from schema.packages.buying import PackageOffer, PackageOrderInput, PackageOrderResult
from schema.packages.owned import OwnedPackage
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsMember],
        description="What the member can buy online for a card, or to open a card of a scheme,"
        " oldest package first; at most 200. Null if there is no such card, scheme or store.",
    )
    async def package_offers(
        self,
        info: Info,
        card_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="The card, `card_…`.")
        ] = None,
        scheme_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Instead of a card, the scheme, `sch_…`."),
        ] = None,
        store_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="At which store, `node_…`; null is at none."),
        ] = None,
    ) -> list[PackageOffer] | None:
        found = await info.context.read(
            listing.offers,
            member_id=info.context.member_id,
            card_id=parse_type_id("card", card_id) if card_id else None,
            scheme_id=parse_type_id("sch", scheme_id) if scheme_id else None,
            store_id=parse_type_id("node", store_id) if store_id else None,
            now=info.context.now,
        )
        return None if found is None else [PackageOffer.of(each) for each in found]

    @strawberry.field(
        permission_classes=[IsMember], description="The member's packages, newest first."
    )
    async def owned_packages(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        state: Annotated[
            OwnedState | None, strawberry.argument(description="Only in this state; null is any.")
        ] = None,
    ) -> Connection[OwnedPackage]:
        rows = await info.context.read(
            listing.owned,
            member_id=info.context.member_id,
            state=state,
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[OwnedPackage].of(rows, first, OwnedPackage.of)

    @strawberry.field(
        permission_classes=[IsMember], description="One of the member's packages, or null."
    )
    async def owned_package(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The package, `own_…`.")],
    ) -> OwnedPackage | None:
        row = await info.context.read(
            listing.own, member_id=info.context.member_id, owned_id=parse_type_id("own", id)
        )
        return OwnedPackage.of(row) if row else None


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Order a package: it can be paid for 15 minutes, and is on the card once the"
        " provider says so. What is free is on it at once.",
    )
    async def package_order(
        self,
        info: Info,
        input: Annotated[
            PackageOrderInput, strawberry.argument(description="What to buy, and how.")
        ],
    ) -> PackageOrderResult:
        online = paying.online(
            info.context,
            provider=input.provider,
            scene=input.scene,
            return_url=input.return_url,
            store_id=None if input.store_id is None else parse_type_id("node", input.store_id),
        )
        begun = await paying.pay(
            info.context,
            buying.place,
            online=online,
            description="Package {money}",
            choice=input.choice(),
            request_key=input.request_key,
        )
        return OrderPlaced.of(begun.placed, begun.prepared)
