"""Top-ups as members and those who work here read them (TOP-7)."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Self

import strawberry

from app.core.ids import type_id
from app.models import top_ups as rows
from app.models.scopes import Channel
from app.models.top_ups import TopUpSource, TopUpState
from app.services.top_ups import listing
from schema.context import Info
from schema.coupons import Gift
from schema.enums import describe
from schema.loaders import History, HistoryPage
from schema.organisation import Node
from schema.pages import Connection, page_limit, row_after
from schema.payment_methods import PaymentMethod
from schema.payments import PaymentScene, ProviderPayment, RefundRoute
from schema.scalars import Long, Money
from schema.top_up_plans import (
    gifts_shown,
    plan_id_of,
)

__all__ = [
    "PaymentScene",
    "RefundRoute",
    "TopUp",
    "TopUpConnection",
    "TopUpPayment",
    "TopUpSource",
    "TopUpState",
]

describe(
    TopUpSource,
    "Where a top-up came from.",
    {
        "PLAN": "Bought by a plan.",
        "SMART": "An offer made for a bill.",
        "CODE": "A recharge code.",
        "BATCH": "A list of the back office.",
    },
)
describe(
    TopUpState,
    "Where a top-up stands.",
    {
        "PENDING": "It waits to be paid.",
        "CREDITED": "What it brings is on the card.",
        "CANCELLED": "Never paid in time, or its money went back.",
        "REFUNDED": "Given back whole.",
    },
)


@strawberry.type(description="A payment through a provider.")
class TopUpPayment(ProviderPayment): ...


@strawberry.type(description="A top-up of a card.")
class TopUp:
    id: strawberry.ID = strawberry.field(description="Its id, `top_…`.")
    card_id: strawberry.ID = strawberry.field(
        description="The card it was made for, `card_…`; that may have been merged since."
    )
    source: TopUpSource = strawberry.field(description="Where it came from.")
    channel: Channel = strawberry.field(description="Where it was made.")
    state: TopUpState = strawberry.field(description="Where it stands.")
    amount: Money = strawberry.field(description="What is paid, and comes as cash.")
    bonus: Money = strawberry.field(description="What comes as bonus.")
    points: Long = strawberry.field(description="The points that come with it.")
    gifts: list[Gift] = strawberry.field(description="The coupons and packs that come with it.")
    is_first: bool = strawberry.field(description="Whether it was made as the member's first.")
    created_at: datetime = strawberry.field(description="When it was made.")
    expires_at: datetime | None = strawberry.field(
        description="Until when it can be paid online; null if it was paid at once."
    )
    credited_at: datetime | None = strawberry.field(description="When it reached the card.")
    ended_at: datetime | None = strawberry.field(description="When it was cancelled or given back.")
    refund_route: RefundRoute | None = strawberry.field(description="How it was given back.")
    refund_reason: str | None = strawberry.field(
        description="Why it was given back, as staff wrote it; the member sees it."
    )
    row: strawberry.Private[rows.TopUpOrder]

    @classmethod
    def of(cls, row: rows.TopUpOrder) -> Self:
        return cls(
            id=strawberry.ID(type_id("top", row.id)),
            card_id=strawberry.ID(type_id("card", row.card_id)),
            source=row.source,
            channel=row.channel,
            state=row.state,
            amount=Money.of(row.amount, row.currency),
            bonus=Money.of(row.bonus, row.currency),
            points=Long(row.points),
            gifts=gifts_shown(row.terms.get("gifts", ())),
            is_first=row.is_first,
            created_at=row.created_at,
            expires_at=row.expires_at,
            credited_at=row.credited_at,
            ended_at=row.ended_at,
            refund_route=row.refund_route,
            refund_reason=row.refund_reason,
            row=row,
        )

    @strawberry.field(description="The plan it was made by, `plan_…`; null if by none.")
    def plan_id(self) -> strawberry.ID | None:
        return None if self.row.plan_id is None else plan_id_of(self.row.plan_id)

    @strawberry.field(description="What the plan is called now; null if there is none.")
    async def plan_name(self, info: Info) -> str | None:
        if self.row.plan_id is None:
            return None
        return (await info.context.loaders.top_up_plan.load(self.row.plan_id)).name

    @strawberry.field(description="At which store; null if at none.")
    async def store(self, info: Info) -> Node | None:
        if self.row.store_id is None:
            return None
        return Node.of(await info.context.loaders.node.load(self.row.store_id))

    @strawberry.field(description="How it was paid; null where the group has no method for that.")
    async def method(self, info: Info) -> PaymentMethod | None:
        return await PaymentMethod.load(info, self.row.payment_method_id)

    @strawberry.field(description="How an offline refund was paid out; null otherwise.")
    async def refund_method(self, info: Info) -> PaymentMethod | None:
        return await PaymentMethod.load(info, self.row.refund_method_id)

    @strawberry.field(description="Its payment through a provider; null if there is none.")
    async def payment(self, info: Info) -> TopUpPayment | None:
        found = await info.context.loaders.top_up_payment.load(self.row.id)
        return None if found is None else TopUpPayment.of(found)


@strawberry.type(description="A page of top-ups.")
class TopUpConnection(Connection[TopUp]):
    count: strawberry.Private[Callable[[], Awaitable[int]]]

    @classmethod
    async def load(cls, info: Info, history: History, first: int, after: str | None) -> Self:
        """A card's."""
        page = HistoryPage(history, row_after(after), page_limit(first))
        found = await info.context.loaders.top_ups.load(page)

        async def count() -> int:
            return await info.context.read(listing.history.number, **history._asdict())

        return cls.of(found, first, TopUp.of, count=count)

    @classmethod
    async def search(
        cls, info: Info, wanted: listing.Wanted, first: int, after: str | None
    ) -> Self:
        """Those that the actor may see."""
        actor = await info.context.actor()
        found = await info.context.read(
            listing.page,
            actor,
            wanted=wanted,
            before=row_after(after),
            limit=page_limit(first),
        )

        async def count() -> int:
            return await info.context.read(listing.number, actor, wanted=wanted)

        return cls.of(found, first, TopUp.of, count=count)

    @strawberry.field(
        description="How many of them the asker may see in all. Counted only when asked for."
    )
    async def total_count(self) -> int:
        return await self.count()
