"""Ordering, selling, cancelling and giving back top-ups (TOP-7, TOP-8)."""

from typing import Annotated, Self

import strawberry

from app.core.ids import parse_type_id
from app.gateways.payments.protocol import Prepared
from app.models.top_ups import TopUpOrder
from app.services.payments import Placed
from app.services.top_ups import buying, orders, refunds
from schema.card_status import CardNotFound, CardNotUsable
from schema.compliance import (
    CardCapReached,
    DayLimitReached,
    OrderTooLarge,
    PersonCapReached,
    RealNameNeeded,
    TransferNeeded,
)
from schema.ledger import BalanceTooLarge, NotEnoughValue
from schema.organisation import NodeNotFound, TerminalNotFound
from schema.payment_methods import PaymentMethodUnknown, checked_method_code
from schema.payments import (
    NoOriginalRoute,
    PayerUnknown,
    PaymentPrepared,
    PaymentScene,
    PaymentUnavailable,
    RefundRoute,
)
from schema.problems import Problem, shown_as
from schema.purchases import WrongCurrency
from schema.requests import RequestKeyReused
from schema.scalars import MoneyInput
from schema.schemes import NotAtThisStore
from schema.scopes import NotAvailable
from schema.top_up_plans import (
    AmountOutsideRange,
    FirstTopUpOnly,
    LimitReached,
    PlanNotOnSale,
    SoldOut,
    TopUpPlanNotFound,
)
from schema.top_ups.orders import TopUp, TopUpState

PAYMENT_DESCRIPTION = "会员充值 Top-up {money}"
"""What who pays reads at the provider."""


@strawberry.type(description="The top-up is ordered and can be paid for 15 minutes.")
class TopUpOrdered:
    order: TopUp = strawberry.field(description="The top-up.")
    payment: PaymentPrepared | None = strawberry.field(
        description="How to pay; null where an earlier request led to what is paid or over."
    )
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had ordered it."
    )

    @classmethod
    def of(cls, placed: Placed[TopUpOrder], prepared: Prepared | None) -> Self:
        return cls(
            order=TopUp.of(placed.order),
            payment=PaymentPrepared.of_placed(placed.payment, prepared),
            replayed=placed.is_replay,
        )


@strawberry.type(description="The card is topped up.")
class TopUpSold:
    order: TopUp = strawberry.field(description="The top-up.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had sold it."
    )

    @classmethod
    def of(cls, sold: orders.Sold) -> Self:
        return cls(order=TopUp.of(sold.order), replayed=sold.is_replay)


@strawberry.type(description="What the top-up brought has left the card.")
class TopUpRefunded:
    order: TopUp = strawberry.field(
        description="The top-up; its payment says whether the money has arrived."
    )
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had refunded it."
    )

    @classmethod
    def of(cls, refunded: refunds.Refunded) -> Self:
        return cls(order=TopUp.of(refunded.order), replayed=refunded.is_replay)


@strawberry.type(description="There is no such top-up, or it is somebody else's.")
class TopUpNotFound(Problem): ...


@strawberry.type(description="The payment method cannot buy stored value.")
class MethodCannotTopUp(Problem):
    method_code: str = strawberry.field(description="The method's code.")

    @classmethod
    def of(cls, error: orders.MethodCannotTopUp) -> Self:
        return cls(message=str(error), method_code=error.method_code)


@strawberry.type(description="The member has as many unpaid top-ups as one may have at once.")
class TooManyOpenTopUps(Problem): ...


@strawberry.type(description="The top-up does not wait to be paid.")
class TopUpNotOpen(Problem):
    state: TopUpState = strawberry.field(description="Where it stands.")

    @classmethod
    def of(cls, error: orders.TopUpNotOpen) -> Self:
        return cls(message=str(error), state=error.state)


@strawberry.type(description="Only what stands on the card can be given back, and once.")
class TopUpNotRefundable(Problem):
    state: TopUpState = strawberry.field(description="Where it stands.")

    @classmethod
    def of(cls, error: refunds.TopUpNotRefundable) -> Self:
        return cls(message=str(error), state=error.state)


@strawberry.type(description="Something of what it brought was used: only OFFLINE is left.")
class BalanceHasMoved(Problem): ...


@strawberry.type(
    description="A coupon that came with the top-up was used, so that not all of it can go back."
)
class GiftUsed(Problem):
    used: int = strawberry.field(description="How many coupons of it were used.")

    @classmethod
    def of(cls, error: refunds.GiftUsed) -> Self:
        return cls(message=str(error), used=error.used)


_REQUEST_KEY = "1 to 64 characters the page makes up: sent again, it answers the same."


@strawberry.input(description="A top-up to order and to pay online.")
class TopUpOrderInput:
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    plan_id: strawberry.ID = strawberry.field(description="The plan, `plan_…`.")
    step: int = strawberry.field(description="Which of its steps, counted from 0.")
    amount: MoneyInput = strawberry.field(description="What to pay; a fixed step takes its own.")
    store_id: strawberry.ID | None = strawberry.field(
        default=None, description="At which store, `node_…`, for plans of certain stores."
    )
    provider: str = strawberry.field(description="A name of `paymentProviders`.")
    scene: PaymentScene = strawberry.field(description="One of its scenes.")
    return_url: str = strawberry.field(
        description="Where the provider's page leads afterwards, paid or not: a path of ours, or a"
        " page of an allowed origin."
    )
    request_key: str = strawberry.field(description=_REQUEST_KEY)

    def choice(self) -> buying.Choice:
        """What is bought; raises `BadInput`."""
        return _choice(self)


@strawberry.input(description="A top-up that is paid at a till.")
class TopUpSellInput:
    terminal_id: strawberry.ID = strawberry.field(description="The till, `term_…`.")
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    plan_id: strawberry.ID = strawberry.field(description="The plan, `plan_…`.")
    step: int = strawberry.field(description="Which of its steps, counted from 0.")
    amount: MoneyInput = strawberry.field(description="What is paid; a fixed step takes its own.")
    method_code: str = strawberry.field(description="The payment method's code.")
    request_key: str = strawberry.field(description=_REQUEST_KEY)

    def choice(self) -> buying.Choice:
        """What is bought; raises `BadInput`."""
        return _choice(self)


def _choice(given: TopUpOrderInput | TopUpSellInput) -> buying.Choice:
    return buying.Choice(
        card_id=parse_type_id("card", given.card_id),
        plan_id=parse_type_id("plan", given.plan_id),
        step=given.step,
        amount=given.amount.value(),
    )


@strawberry.input(description="An unpaid top-up to give up.")
class TopUpCancelInput:
    id: strawberry.ID = strawberry.field(description="The top-up, `top_…`.")


@strawberry.input(description="A top-up to give back, whole.")
class TopUpRefundInput:
    id: strawberry.ID = strawberry.field(description="The top-up, `top_…`.")
    route: RefundRoute = strawberry.field(
        description="ORIGINAL only if it was paid through a provider and nothing of it has moved."
    )
    method_code: str | None = strawberry.field(
        default=None, description="OFFLINE: the payment method by which it is paid out."
    )
    reason: str = strawberry.field(description="Why, 1 to 200 characters; the member sees it.")
    request_key: str = strawberry.field(description=_REQUEST_KEY)

    def wish(self) -> refunds.Wish:
        """How it shall go back; raises `BadInput`."""
        code = self.method_code
        return refunds.Wish(
            route=self.route,
            reason=self.reason,
            method_code=None if code is None else checked_method_code(code),
        )


TopUpOrderResult = Annotated[
    TopUpOrdered
    | CardNotFound
    | CardNotUsable
    | NodeNotFound
    | NotAtThisStore
    | TopUpPlanNotFound
    | WrongCurrency
    | PlanNotOnSale
    | NotAvailable
    | FirstTopUpOnly
    | LimitReached
    | SoldOut
    | AmountOutsideRange
    | CardCapReached
    | PersonCapReached
    | OrderTooLarge
    | DayLimitReached
    | RealNameNeeded
    | TooManyOpenTopUps
    | MethodCannotTopUp
    | PayerUnknown
    | PaymentUnavailable
    | RequestKeyReused,
    strawberry.union("TopUpOrderResult", description="The order, or why there is none."),
]
TopUpSellResult = Annotated[
    TopUpSold
    | TerminalNotFound
    | CardNotFound
    | CardNotUsable
    | NotAtThisStore
    | TopUpPlanNotFound
    | WrongCurrency
    | PlanNotOnSale
    | NotAvailable
    | FirstTopUpOnly
    | LimitReached
    | SoldOut
    | AmountOutsideRange
    | PaymentMethodUnknown
    | MethodCannotTopUp
    | CardCapReached
    | PersonCapReached
    | OrderTooLarge
    | DayLimitReached
    | RealNameNeeded
    | TransferNeeded
    | BalanceTooLarge
    | RequestKeyReused,
    strawberry.union("TopUpSellResult", description="The top-up, or why there is none."),
]
TopUpCancelResult = Annotated[
    TopUp | TopUpNotFound | TopUpNotOpen,
    strawberry.union("TopUpCancelResult", description="The top-up as it is now, or why not."),
]
TopUpRefundResult = Annotated[
    TopUpRefunded
    | TopUpNotFound
    | TopUpNotRefundable
    | NoOriginalRoute
    | BalanceHasMoved
    | GiftUsed
    | NotEnoughValue
    | PaymentMethodUnknown
    | BalanceTooLarge
    | RequestKeyReused,
    strawberry.union("TopUpRefundResult", description="The top-up as it is now, or why not."),
]

HANDLERS = [
    shown_as(TopUpNotFound, orders.TopUpNotFound),
    shown_as(MethodCannotTopUp, orders.MethodCannotTopUp),
    shown_as(TooManyOpenTopUps, orders.TooManyOpenTopUps),
    shown_as(TopUpNotOpen, orders.TopUpNotOpen),
    shown_as(TopUpNotRefundable, refunds.TopUpNotRefundable),
    shown_as(BalanceHasMoved, refunds.BalanceHasMoved),
    shown_as(GiftUsed, refunds.GiftUsed),
]
