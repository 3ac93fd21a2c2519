"""A member's cards (CRD-2, CRD-3)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services import cards, schemes
from auth import consumption
from auth.permissions import IsMember
from auth.sessions import bearer
from schema.cards import (
    CardJoinInput,
    CardJoinResult,
    CardReportLostInput,
    CardReportLostResult,
    OwnCard,
)
from schema.consumption import CardSetPinInput, CardSetPinResult
from schema.context import Info
from schema.schemes import OpenScheme


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsMember], description="The schemes a member can open a card of."
    )
    async def schemes(self, info: Info) -> list[OpenScheme]:
        rows = await info.context.read(schemes.joinable, group_id=info.context.group_id)
        return [OpenScheme.of(row) for row in rows]

    @strawberry.field(
        permission_classes=[IsMember], description="The member's cards, oldest first."
    )
    async def cards(self, info: Info) -> list[OwnCard]:
        rows = await info.context.read(cards.of_signed_in, member_id=info.context.member_id)
        return [OwnCard.of(row, info.context.now) for row in rows]

    @strawberry.field(
        permission_classes=[IsMember],
        description="One of the member's cards; the id of a merged one finds what it became.",
    )
    async def card(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The card, `card_…`.")],
    ) -> OwnCard | None:
        row = await info.context.read(
            cards.own_or_none,
            member_id=info.context.member_id,
            card_id=parse_type_id("card", id),
        )
        return OwnCard.of(row, info.context.now) if row else None


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Open a card of a scheme. One the member has already is the answer.",
    )
    async def card_join(
        self,
        info: Info,
        input: Annotated[CardJoinInput, strawberry.argument(description="The scheme.")],
    ) -> CardJoinResult:
        row = await info.context.run(
            cards.join,
            bearer=bearer(info.context),
            scheme_id=parse_type_id("sch", input.scheme_id),
            now=info.context.now,
        )
        return OwnCard.of(row, info.context.now)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Report a card lost: it stops at once. Staff find it again.",
    )
    async def card_report_lost(
        self,
        info: Info,
        input: Annotated[CardReportLostInput, strawberry.argument(description="Which card.")],
    ) -> CardReportLostResult:
        row = await info.context.run(
            cards.report_lost,
            bearer=bearer(info.context),
            card_id=parse_type_id("card", input.card_id),
            now=info.context.now,
        )
        return OwnCard.of(row, info.context.now)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Set a card's PIN, proven by a code that was sent for CARD_PIN; it unlocks.",
    )
    async def card_set_pin(
        self,
        info: Info,
        input: Annotated[CardSetPinInput, strawberry.argument(description="PIN and proof.")],
    ) -> CardSetPinResult:
        row = await consumption.set_pin(
            info.context,
            card_id=parse_type_id("card", input.card_id),
            phone=input.phone,
            code=input.code,
            pin=input.pin,
        )
        return OwnCard.of(row, info.context.now)
