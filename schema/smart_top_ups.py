"""Offers made when a bill exceeds the balance (TOP-5)."""

from datetime import datetime
from typing import Annotated, Any, Self

import strawberry

from app.models.top_ups import TopUpPlan
from app.services.top_ups import smart
from schema.card_status import CardNotFound, CardNotUsable
from schema.compliance import (
    CardCapReached,
    DayLimitReached,
    OrderTooLarge,
    PersonCapReached,
    RealNameNeeded,
    TransferNeeded,
)
from schema.coupons import Gift
from schema.ledger import BalanceTooLarge
from schema.organisation import NodeNotFound, TerminalNotFound
from schema.payment_methods import PaymentMethodUnknown
from schema.payments import PayerUnknown, PaymentScene, PaymentUnavailable
from schema.problems import Problem, shown_as
from schema.purchases import WrongCurrency
from schema.requests import RequestKeyReused
from schema.scalars import Long, Money, MoneyInput
from schema.schemes import NotAtThisStore
from schema.top_up_plans import SoldOut, gifts_shown, plan_id_of
from schema.top_ups import (
    MethodCannotTopUp,
    TooManyOpenTopUps,
    TopUpOrdered,
    TopUpSold,
)


@strawberry.type(description="A top-up that would let the bill be paid.")
class SmartTopUpOffer:
    amount: Money = strawberry.field(description="What to pay.")
    bonus: Money = strawberry.field(description="What comes on top.")
    points: Long = strawberry.field(description="The points that come with it.")
    gifts: list[Gift] = strawberry.field(
        description="The coupons and packs that come with it, a first top-up's included."
    )

    @classmethod
    def of(cls, offer: dict[str, Any], plan: TopUpPlan) -> Self:
        first = plan.first_gifts if offer["is_first"] else []
        return cls(
            amount=Money.of(offer["amount"], plan.currency),
            bonus=Money.of(offer["bonus"], plan.currency),
            points=Long(offer["points"]),
            gifts=gifts_shown([*plan.gifts, *first]),
        )


@strawberry.type(description="Offers for one bill, good for five minutes.")
class SmartTopUpQuote:
    token: str = strawberry.field(
        description="What takes one of the offers: signed by us, for this card and bill, once."
    )
    plan_id: strawberry.ID = strawberry.field(description="The plan they come from, `plan_…`.")
    plan_name: str = strawberry.field(description="What people call the plan.")
    agreement: str | None = strawberry.field(description="What a member agrees to by buying it.")
    bill: Money = strawberry.field(description="The bill they were made for.")
    shortage: Money = strawberry.field(description="What the balance lacks for it.")
    offers: list[SmartTopUpOffer] = strawberry.field(
        description="At most 9; `offer` counts them from 0."
    )
    expires_at: datetime = strawberry.field(description="Until when they are good.")

    @classmethod
    def of(cls, quoted: smart.Quoted) -> Self:
        row, plan = quoted.quote, quoted.plan
        return cls(
            token=quoted.token,
            plan_id=plan_id_of(plan.id),
            plan_name=plan.name,
            agreement=plan.agreement,
            bill=Money.of(row.bill_amount, row.currency),
            shortage=Money.of(row.shortage, row.currency),
            offers=[SmartTopUpOffer.of(offer, plan) for offer in row.offers],
            expires_at=row.expires_at,
        )


@strawberry.type(description="The balance pays the bill already.")
class BillCovered(Problem): ...


@strawberry.type(description="No offer fits this bill, card and place now.")
class NoSmartOffer(Problem): ...


@strawberry.type(description="Not a quote of ours, used, replaced by a later one, or too old.")
class QuoteRefused(Problem): ...


_REQUEST_KEY = "1 to 64 characters the page makes up: sent again, it answers the same."
_TOKEN = "The quote's `token`."  # noqa: S105  # the description of a field
_OFFER = "Which of its offers, counted from 0."


@strawberry.input(description="A bill that a member's balance does not cover.")
class SmartTopUpQuoteInput:
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    bill: MoneyInput = strawberry.field(description="The bill.")
    store_id: strawberry.ID | None = strawberry.field(
        default=None, description="At which store, `node_…`, for plans of certain stores."
    )


@strawberry.input(description="A bill at a till that the card does not cover.")
class SmartTopUpQuoteAtTerminalInput:
    terminal_id: strawberry.ID = strawberry.field(description="The till, `term_…`.")
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    bill: MoneyInput = strawberry.field(description="The bill.")


@strawberry.input(description="An offer to take and to pay online.")
class SmartTopUpOrderInput:
    token: str = strawberry.field(description=_TOKEN)
    offer: int = strawberry.field(description=_OFFER)
    provider: str = strawberry.field(description="A name of `paymentProviders`.")
    scene: PaymentScene = strawberry.field(description="One of its scenes.")
    return_url: str = strawberry.field(
        description="Where the provider's page leads afterwards, paid or not: a path of ours, or a"
        " page of an allowed origin."
    )
    request_key: str = strawberry.field(description=_REQUEST_KEY)


@strawberry.input(description="An offer that is paid at the till it was made at.")
class SmartTopUpSellInput:
    terminal_id: strawberry.ID = strawberry.field(description="The till, `term_…`.")
    token: str = strawberry.field(description=_TOKEN)
    offer: int = strawberry.field(description=_OFFER)
    method_code: str = strawberry.field(description="The payment method's code.")
    request_key: str = strawberry.field(description=_REQUEST_KEY)


SmartTopUpQuoteResult = Annotated[
    SmartTopUpQuote
    | CardNotFound
    | CardNotUsable
    | NodeNotFound
    | NotAtThisStore
    | WrongCurrency
    | BillCovered
    | NoSmartOffer
    | SoldOut,
    strawberry.union("SmartTopUpQuoteResult", description="The offers, or why there are none."),
]
SmartTopUpQuoteAtTerminalResult = Annotated[
    SmartTopUpQuote
    | TerminalNotFound
    | CardNotFound
    | CardNotUsable
    | NotAtThisStore
    | WrongCurrency
    | BillCovered
    | NoSmartOffer
    | SoldOut,
    strawberry.union(
        "SmartTopUpQuoteAtTerminalResult", description="The offers, or why there are none."
    ),
]
SmartTopUpOrderResult = Annotated[
    TopUpOrdered
    | QuoteRefused
    | CardNotUsable
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
    strawberry.union("SmartTopUpOrderResult", description="The order, or why there is none."),
]
SmartTopUpSellResult = Annotated[
    TopUpSold
    | TerminalNotFound
    | QuoteRefused
    | CardNotUsable
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
    strawberry.union("SmartTopUpSellResult", description="The top-up, or why there is none."),
]

HANDLERS = [
    shown_as(BillCovered, smart.BillCovered),
    shown_as(NoSmartOffer, smart.NoSmartOffer),
    shown_as(QuoteRefused, smart.QuoteRefused),
]
