"""Buying coupon packs online (CPN-7)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services.coupons import pack_buying
from auth import paying
from auth.permissions import IsMember
from schema.context import Info
from schema.coupons.pack_sales import (
    PAYMENT_DESCRIPTION,
    CouponPackOffer,
    CouponPackOrderInput,
    CouponPackOrderResult,
)
from schema.orders import OrderPlaced


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsMember],
        description="The coupon packs that the member can buy online, oldest first; at most 200."
        " Null if there is no such store.",
    )
    async def coupon_pack_offers(
        self,
        info: Info,
        store_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="At which store, `node_…`; null is at none."),
        ] = None,
    ) -> list[CouponPackOffer] | None:
        found = await info.context.read(
            pack_buying.offers,
            member_id=info.context.member_id,
            store_id=None if store_id is None else parse_type_id("node", store_id),
            now=info.context.now,
        )
        return None if found is None else [CouponPackOffer.of(each) for each in found]


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Order coupon packs: they can be paid for 15 minutes, and their coupons are"
        " the member's once the provider says so; what is free is theirs at once.",
    )
    async def coupon_pack_order(
        self,
        info: Info,
        input: Annotated[
            CouponPackOrderInput, strawberry.argument(description="What to buy, and how.")
        ],
    ) -> CouponPackOrderResult:
        online = paying.online(
            info.context,
            provider=input.provider,
            scene=input.scene,
            return_url=input.return_url,
            store_id=None if input.store_id is None else parse_type_id("node", input.store_id),
        )
        begun = await paying.pay(
            info.context,
            pack_buying.place,
            online=online,
            description=PAYMENT_DESCRIPTION,
            choice=input.choice(),
            request_key=input.request_key,
        )
        return OrderPlaced.of(begun.placed, begun.prepared)
