"""Members' cards, as tills and the back office handle them (CRD-2, CRD-3, CRD-7)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services import card_records, cards
from auth.permissions import Needs
from schema.card_records import Filter
from schema.cards import (
    Card,
    CardOpenInput,
    CardOpenResult,
    CardStatusChangeInput,
    CardStatusChangeResult,
)
from schema.context import Info
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after

Reads = Needs(Permission.CARDS_READ)
Issues = Needs(Permission.CARDS_ISSUE)
Writes = Needs(Permission.CARDS_WRITE)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="One card, or null if the asker may not see it. The id of a merged one finds"
        " what it became.",
    )
    async def card(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The card, `card_…`.")],
    ) -> Card | None:
        row = await info.context.read(
            cards.seen_by, await info.context.actor(), card_id=parse_type_id("card", id)
        )
        return Card.of(row, info.context.now) if row else None

    @strawberry.field(
        permission_classes=[Reads], description="The card with this printed number, or null."
    )
    async def card_by_number(
        self,
        info: Info,
        number: Annotated[str, strawberry.argument(description="The ten digits.")],
    ) -> Card | None:
        row = await info.context.read(
            cards.seen_by_number, await info.context.actor(), number=number
        )
        return Card.of(row, info.context.now) if row else None

    @strawberry.field(
        permission_classes=[Reads, Needs(Permission.MEMBERS_READ)],
        description="The cards of schemes made where the asker holds `cards:read`, above or below;"
        " the newest first. Merged cards are left out.",
    )
    async def cards(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        filter: Filter = None,
    ) -> Connection[Card]:
        found = await info.context.read(
            card_records.search,
            await info.context.actor(),
            wanted=filter.wanted() if filter else None,
            before=row_after(after),
            limit=page_limit(first),
            now=info.context.now,
        )
        return Connection[Card].of(
            found.cards,
            first,
            lambda row: Card.of(row, info.context.now),
            looked_until=found.looked_until,
        )


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Issues],
        description="Open a card for a member at a till. One they have already is the answer.",
    )
    async def card_open(
        self,
        info: Info,
        input: Annotated[CardOpenInput, strawberry.argument(description="For whom and where.")],
    ) -> CardOpenResult:
        issued = await info.context.run(
            cards.open_at_terminal,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.terminal_id),
            member_id=parse_type_id("mem", input.member_id),
            scheme_id=parse_type_id("sch", input.scheme_id),
            now=info.context.now,
        )
        return Card.of(issued.card, info.context.now)

    @strawberry.mutation(
        permission_classes=[Writes], description="Freeze, unfreeze or find a card, with a reason."
    )
    async def card_status_change(
        self,
        info: Info,
        input: Annotated[CardStatusChangeInput, strawberry.argument(description="The status.")],
    ) -> CardStatusChangeResult:
        row = await info.context.run(
            cards.set_status,
            await info.context.actor(),
            card_id=parse_type_id("card", input.card_id),
            status=input.status,
            reason=input.reason,
            now=info.context.now,
        )
        return Card.of(row, info.context.now)
