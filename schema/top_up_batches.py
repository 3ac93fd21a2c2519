"""Lists of cards topped up by the back office (CRD-6)."""

from datetime import datetime
from typing import Annotated, Any, Self

import strawberry

from app.core.ids import type_id
from app.models import top_ups as rows
from app.models.top_ups import BatchRowState, BatchState
from app.services.top_ups import batches
from schema.context import Info
from schema.enums import describe
from schema.organisation import NodeNotFound
from schema.pages import Connection
from schema.payment_methods import PaymentMethodUnknown
from schema.requests import RequestKeyReused
from schema.scalars import CurrencyCode, Long, Money
from schema.top_ups import MethodCannotTopUp

describe(
    BatchState,
    "Whether a list was worked through.",
    {"RUNNING": "Rows are being credited.", "DONE": "Every row was credited or failed."},
)
describe(
    BatchRowState,
    "What became of a row.",
    {
        "WAITING": "Its turn has not come.",
        "CREDITED": "The card is topped up.",
        "FAILED": "It could not be: `problem` says why.",
    },
)


@strawberry.type(description="One card of a list.")
class TopUpBatchRow:
    position: int = strawberry.field(description="Its place in the list, from 1.")
    card_number: str = strawberry.field(description="The card's number, as it was given.")
    amount: Money = strawberry.field(description="The cash it gets.")
    bonus: Money = strawberry.field(description="The bonus it gets.")
    points: Long = strawberry.field(description="The points it gets.")
    state: BatchRowState = strawberry.field(description="What became of it.")
    problem: str | None = strawberry.field(
        description="Why it failed: the name of a problem, such as CardNotFound."
    )
    top_up_id: strawberry.ID | None = strawberry.field(description="The top-up, `top_…`.")

    @classmethod
    def of(cls, row: rows.TopUpBatchRow, currency: str) -> Self:
        return cls(
            position=row.position,
            card_number=row.card_number,
            amount=Money.of(row.amount, currency),
            bonus=Money.of(row.bonus, currency),
            points=Long(row.points),
            state=row.state,
            problem=row.problem,
            top_up_id=strawberry.ID(type_id("top", row.order_id)) if row.order_id else None,
        )


@strawberry.type(description="A list of cards to top up.")
class TopUpBatch:
    id: strawberry.ID = strawberry.field(description="Its id, `tub_…`.")
    state: BatchState = strawberry.field(description="Whether it was worked through.")
    currency: CurrencyCode = strawberry.field(description="The currency of its amounts.")
    reason: str = strawberry.field(description="Why.")
    number_of_rows: int = strawberry.field(description="How many rows it has.")
    number_credited: int = strawberry.field(description="How many cards are topped up.")
    number_failed: int = strawberry.field(description="How many could not be.")
    created_at: datetime = strawberry.field(description="When it was given.")
    finished_at: datetime | None = strawberry.field(description="When its last row was done.")
    row: strawberry.Private[rows.TopUpBatch]

    @classmethod
    def of(cls, row: rows.TopUpBatch) -> Self:
        return cls(
            id=strawberry.ID(type_id("tub", row.id)),
            state=row.state,
            currency=CurrencyCode(row.currency),
            reason=row.reason,
            number_of_rows=row.number_of_rows,
            number_credited=row.number_credited,
            number_failed=row.number_failed,
            created_at=row.created_at,
            finished_at=row.finished_at,
            row=row,
        )

    @strawberry.field(description="Its rows in their order, all or those in a state; at most 500.")
    async def rows(
        self,
        info: Info,
        state: Annotated[
            BatchRowState | None, strawberry.argument(description="In this state only.")
        ] = None,
    ) -> list[TopUpBatchRow]:
        found = await info.context.read(batches.rows_of, batch_id=self.row.id, state=state)
        return [TopUpBatchRow.of(each, self.row.currency) for each in found]


@strawberry.type(description="A page of lists, newest first.")
class TopUpBatchConnection(Connection[TopUpBatch]): ...


@strawberry.type(description="The list is being worked through.")
class TopUpBatchCreated:
    batch: TopUpBatch = strawberry.field(description="The list.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had given it."
    )

    @classmethod
    def of(cls, created: batches.Created) -> Self:
        return cls(batch=TopUpBatch.of(created.batch), replayed=created.is_replay)


@strawberry.input(description="A card and what it gets.")
class TopUpBatchRowInput:
    card_number: str = strawberry.field(description="The ten digits printed on it.")
    amount: Long = strawberry.field(default=Long(0), description="Cash, in minor units.")
    bonus: Long = strawberry.field(default=Long(0), description="Bonus, in minor units.")
    points: Long = strawberry.field(default=Long(0), description="Points.")


@strawberry.input(description="A list of cards to top up.")
class TopUpBatchCreateInput:
    perspective_id: strawberry.ID = strawberry.field(
        description="Whose cards, `node_…`: of schemes made there or below."
    )
    method_code: str = strawberry.field(description="The payment method's code.")
    currency: CurrencyCode = strawberry.field(description="The currency of all amounts.")
    rows: list[TopUpBatchRowInput] = strawberry.field(description="1 to 500 cards.")
    reason: str = strawberry.field(description="Why, 1 to 200 characters; it is recorded.")
    request_key: str = strawberry.field(
        description="1 to 64 characters the asker makes up: sent again, it answers the same."
    )

    def listed(self) -> list[batches.Row]:
        return [batches.Row(r.card_number, r.amount, r.bonus, r.points) for r in self.rows]


TopUpBatchCreateResult = Annotated[
    TopUpBatchCreated | NodeNotFound | PaymentMethodUnknown | MethodCannotTopUp | RequestKeyReused,
    strawberry.union("TopUpBatchCreateResult", description="The list, or why there is none."),
]

HANDLERS: list[Any] = []
