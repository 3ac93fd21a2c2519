"""Codes that top a card up once (TOP-6)."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.core.ids import parse_type_id, type_id
from app.models import top_ups as rows
from app.services.top_ups import codes
from app.services.top_ups.codes import Generated
from schema.card_status import CardNotFound, CardNotUsable
from schema.compliance import (
    CardCapReached,
    DayLimitReached,
    OrderTooLarge,
    PersonCapReached,
    RealNameNeeded,
)
from schema.ledger import BalanceTooLarge
from schema.organisation import NodeNotFound, StoreGroupNotFound, TerminalNotFound
from schema.problems import Problem, shown_as
from schema.requests import RequestKeyReused
from schema.scalars import Long, Money
from schema.scopes import AudienceNotFound, ScopeInput
from schema.top_up_plans import AmountOutsideRange, TopUpPlanNotFound, plan_id_of
from schema.top_ups import TopUp


@strawberry.type(description="Codes that were made together.")
class RechargeCodeBatch:
    id: strawberry.ID = strawberry.field(description="Its id, `rcb_…`.")
    plan_id: strawberry.ID = strawberry.field(description="The plan, `plan_…`.")
    amount: Money = strawberry.field(description="The cash each brings.")
    bonus: Money = strawberry.field(description="The bonus each brings.")
    points: Long = strawberry.field(description="The points each brings.")
    scenario: str = strawberry.field(description="What they were made for.")
    number_of_codes: int = strawberry.field(description="How many were made.")
    number_redeemed: int = strawberry.field(description="How many were redeemed.")
    expires_at: datetime = strawberry.field(description="Until when they work.")
    revoked_at: datetime | None = strawberry.field(description="When they were revoked.")
    created_at: datetime = strawberry.field(description="When they were made.")

    @classmethod
    def of(cls, row: rows.RechargeCodeBatch) -> Self:
        return cls(
            id=strawberry.ID(type_id("rcb", row.id)),
            plan_id=plan_id_of(row.plan_id),
            amount=Money.of(row.amount, row.currency),
            bonus=Money.of(row.bonus, row.currency),
            points=Long(row.points),
            scenario=row.scenario,
            number_of_codes=row.number_of_codes,
            number_redeemed=row.number_redeemed,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            created_at=row.created_at,
        )


@strawberry.type(description="Codes that can be handed out. Nothing shows them again.")
class RechargeCodesGenerated:
    batch: RechargeCodeBatch = strawberry.field(description="What they are.")
    codes: list[str] = strawberry.field(
        description="16 letters and digits each; only this answer and its repetition show them."
    )
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had made them."
    )

    @classmethod
    def of(cls, generated: Generated) -> Self:
        return cls(
            batch=RechargeCodeBatch.of(generated.batch),
            codes=generated.codes,
            replayed=generated.is_replay,
        )


@strawberry.type(description="The card is topped up, the code used.")
class RechargeCodeRedeemed:
    top_up: TopUp = strawberry.field(description="What it brought.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had redeemed it."
    )

    @classmethod
    def of(cls, redeemed: codes.Redeemed) -> Self:
        return cls(top_up=TopUp.of(redeemed.order), replayed=redeemed.is_replay)


@strawberry.type(
    description="The code cannot be redeemed here: nobody learns why. Too many tries end for an"
    " hour."
)
class RechargeCodeRefused(Problem): ...


@strawberry.type(description="There is no such batch of codes.")
class CodeBatchNotFound(Problem): ...


_REQUEST_KEY = "1 to 64 characters the page makes up: sent again, it answers the same."


@strawberry.input(description="Codes to make for a step of a plan.")
class RechargeCodesGenerateInput:
    plan_id: strawberry.ID = strawberry.field(description="The plan, `plan_…`; not a smart one.")
    step: int = strawberry.field(description="Which of its steps, counted from 0.")
    amount: Long = strawberry.field(
        description="The cash each brings, in minor units; a fixed step takes its own."
    )
    number: int = strawberry.field(description="How many, 1 to 1,000.")
    scenario: str = strawberry.field(description="What they are for, 1 to 120 characters.")
    expires_at: datetime = strawberry.field(
        description="Until when they work; within the next three years."
    )
    scope: ScopeInput = strawberry.field(
        default_factory=ScopeInput, description="Where, when and for whom they work."
    )
    request_key: str = strawberry.field(description=_REQUEST_KEY)

    def wanted(self) -> codes.Wanted:
        """What to make; raises `BadInput`."""
        return codes.Wanted(
            plan_id=parse_type_id("plan", self.plan_id),
            step=self.step,
            amount=self.amount,
            number=self.number,
            scenario=self.scenario,
            expires_at=self.expires_at,
            scope=self.scope.rules(),
        )


@strawberry.input(description="A code to redeem on one of the member's cards.")
class RechargeCodeRedeemInput:
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    code: str = strawberry.field(description="The code; blanks and dashes do not matter.")
    request_key: str = strawberry.field(description=_REQUEST_KEY)


@strawberry.input(description="A code somebody brings to a till.")
class RechargeCodeRedeemAtTerminalInput:
    terminal_id: strawberry.ID = strawberry.field(description="The till, `term_…`.")
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    code: str = strawberry.field(description="The code; blanks and dashes do not matter.")
    request_key: str = strawberry.field(description=_REQUEST_KEY)


RechargeCodesGenerateResult = Annotated[
    RechargeCodesGenerated
    | TopUpPlanNotFound
    | AmountOutsideRange
    | NodeNotFound
    | StoreGroupNotFound
    | AudienceNotFound
    | RequestKeyReused,
    strawberry.union("RechargeCodesGenerateResult", description="The codes, or why none."),
]
RechargeCodesRevokeResult = Annotated[
    RechargeCodeBatch | CodeBatchNotFound,
    strawberry.union("RechargeCodesRevokeResult", description="The batch as it is now."),
]
RechargeCodeRedeemResult = Annotated[
    RechargeCodeRedeemed
    | RechargeCodeRefused
    | CardNotFound
    | CardNotUsable
    | CardCapReached
    | PersonCapReached
    | OrderTooLarge
    | DayLimitReached
    | RealNameNeeded
    | BalanceTooLarge
    | RequestKeyReused,
    strawberry.union("RechargeCodeRedeemResult", description="What it brought, or why nothing."),
]
RechargeCodeRedeemAtTerminalResult = Annotated[
    RechargeCodeRedeemed
    | RechargeCodeRefused
    | TerminalNotFound
    | CardNotFound
    | CardNotUsable
    | CardCapReached
    | PersonCapReached
    | OrderTooLarge
    | DayLimitReached
    | RealNameNeeded
    | BalanceTooLarge
    | RequestKeyReused,
    strawberry.union(
        "RechargeCodeRedeemAtTerminalResult", description="What it brought, or why nothing."
    ),
]

HANDLERS = [
    shown_as(RechargeCodeRefused, codes.RechargeCodeRefused),
    shown_as(CodeBatchNotFound, codes.CodeBatchNotFound),
]
