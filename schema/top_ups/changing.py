"""Ordering, selling, cancelling and giving back top-ups (TOP-7, TOP-8)."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.core.ids import parse_type_id
from app.core.texts import checked_text
from app.gateways.payments.protocol import Prepared
from app.models import payments as payment_rows
from app.services import organisation, payments
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
from schema.problems import Problem, shown_as
from schema.purchases import PaymentMethodUnknown, WrongCurrency
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
from schema.top_ups.orders import PaymentScene, RefundRoute, TopUp, TopUpState

METHOD_CODE_CHARS_MAX = organisation.CODE_CHARS_MAX


@strawberry.type(description="A name and its value.")
class PaymentParameter:
    name: str = strawberry.field(description="The name.")
    value: str = strawberry.field(description="The value.")


@strawberry.type(
    description="How the page goes on to have it paid. What the page says of it proves nothing:"
    " the top-up is paid when its state says so."
)
class PaymentPrepared:
    reference: str = strawberry.field(description="What the provider calls our order number.")
    provider: str = strawberry.field(description="The provider.")
    scene: PaymentScene = strawberry.field(description="How it is paid.")
    parameters: list[PaymentParameter] = strawberry.field(
        description="JSAPI: the arguments of WeChat's dialog. Otherwise `url`, where to go."
    )
    expires_at: datetime = strawberry.field(description="Until when it can be paid.")

    @classmethod
    def of(cls, payment: payment_rows.Payment, prepared: Prepared) -> Self:
        given = prepared.parameters.items()
        return cls(
            reference=payment.reference,
            provider=prepared.provider,
            scene=prepared.scene,
            parameters=[PaymentParameter(name=name, value=value) for name, value in given],
            expires_at=payment.expires_at,
        )


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
    def of(cls, placed: orders.Placed, prepared: Prepared | None) -> Self:
        return cls(
            order=TopUp.of(placed.order),
            payment=PaymentPrepared.of(placed.payment, prepared) if prepared else None,
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


@strawberry.type(
    description="The provider does not take the payment. The top-up waits: ask again with the same"
    " request key."
)
class PaymentUnavailable(Problem):
    provider: str = strawberry.field(description="The provider.")
    may_work_later: bool = strawberry.field(
        description="Whether it is worth trying again; if not, another way to pay is needed."
    )

    @classmethod
    def of(cls, error: payments.PaymentUnavailable) -> Self:
        return cls(message=str(error), provider=error.provider, may_work_later=error.may_work_later)


@strawberry.type(description="Inside WeChat only members can pay who signed in with WeChat.")
class PayerUnknown(Problem): ...


@strawberry.type(description="Only what stands on the card can be given back, and once.")
class TopUpNotRefundable(Problem):
    state: TopUpState = strawberry.field(description="Where it stands.")

    @classmethod
    def of(cls, error: refunds.TopUpNotRefundable) -> Self:
        return cls(message=str(error), state=error.state)


@strawberry.type(description="It was not paid through a provider: only OFFLINE is left.")
class NoOriginalRoute(Problem): ...


@strawberry.type(description="Something of what it brought was used: only OFFLINE is left.")
class BalanceHasMoved(Problem): ...


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


def checked_method_code(code: str) -> str:
    """A payment method's code as it can be one; raises `BadInput`."""
    return checked_text("methodCode", code, at_most=METHOD_CODE_CHARS_MAX)


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
    shown_as(PaymentUnavailable, payments.PaymentUnavailable),
    shown_as(PayerUnknown, payments.PayerUnknown),
    shown_as(TopUpNotRefundable, refunds.TopUpNotRefundable),
    shown_as(NoOriginalRoute, refunds.NoOriginalRoute),
    shown_as(BalanceHasMoved, refunds.BalanceHasMoved),
]
