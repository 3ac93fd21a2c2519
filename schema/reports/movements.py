"""Value over a period: opening, what came and went, closing (FIN-2)."""

from typing import Any, Self

import strawberry

from app.models.ledger import PostingKind
from app.services.reports.movements import Flow, Movement
from schema.context import Info
from schema.organisation import Node
from schema.scalars import Long, Money


@strawberry.type(description="What postings of one kind moved.")
class ValueMovement:
    kind: PostingKind = strawberry.field(description="Why value moved.")
    added: Money = strawberry.field(description="What came.")
    taken: Money = strawberry.field(description="What went.")

    @classmethod
    def of(cls, found: Movement, currency: str) -> Self:
        return cls(
            kind=found.kind,
            added=Money.of(found.added, currency),
            taken=Money.of(found.taken, currency),
        )


@strawberry.type(description="What postings of one kind moved at one store.")
class StoreValueMovement(ValueMovement):
    found: strawberry.Private[Movement]

    @classmethod
    def of(cls, found: Movement, currency: str) -> Self:
        return cls(
            kind=found.kind,
            added=Money.of(found.added, currency),
            taken=Money.of(found.taken, currency),
            found=found,
        )

    @strawberry.field(description="The store; null for what happened at none.")
    async def store(self, info: Info) -> Node | None:
        if self.found.store_id is None:
            return None
        return Node.of(await info.context.loaders.node.load(self.found.store_id))


@strawberry.type(description="Stored value over a period: opening + added − taken = closing.")
class ValueFlow:
    opening: Money = strawberry.field(description="What there was at the midnight that begins it.")
    added: Money = strawberry.field(description="What came in all.")
    taken: Money = strawberry.field(description="What went in all.")
    closing: Money = strawberry.field(description="What there was at the midnight that ends it.")
    movements: list[ValueMovement] = strawberry.field(
        description="What came and went, by why; at most one for each kind."
    )
    by_store: list[StoreValueMovement] | None = strawberry.field(
        description="The same store by store; null unless asked for with `byStore`."
    )

    @classmethod
    def of(cls, flow: Flow, currency: str, **more: Any) -> Self:
        at_stores = flow.by_store
        return cls(
            opening=Money.of(flow.opening, currency),
            added=Money.of(flow.added, currency),
            taken=Money.of(flow.taken, currency),
            closing=Money.of(flow.closing, currency),
            movements=[ValueMovement.of(each, currency) for each in flow.movements],
            by_store=None
            if at_stores is None
            else [StoreValueMovement.of(each, currency) for each in at_stores],
            **more,
        )


@strawberry.type(description="One kind of stored value on cards over a period.")
class CardValueFlow(ValueFlow):
    cards_with_balance: Long = strawberry.field(
        description="At the closing: on how many cards there was some."
    )
    on_cards: Money = strawberry.field(
        description="At the closing: what those held. Less `owed` it is the closing."
    )
    owed: Money = strawberry.field(description="At the closing: what other cards owed.")

    @classmethod
    def of(cls, flow: Flow, currency: str, **more: Any) -> Self:
        return super().of(
            flow,
            currency,
            cards_with_balance=Long(flow.cards),
            on_cards=Money.of(flow.on_cards, currency),
            owed=Money.of(flow.owed, currency),
            **more,
        )
