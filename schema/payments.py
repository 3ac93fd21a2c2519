"""Payments through providers, whatever they are for (TOP-7)."""

from datetime import datetime
from typing import Self

import strawberry

from app.gateways.payments.protocol import PaymentScene, Prepared
from app.models import payments as payment_rows
from app.models.payments import PaymentRefundStatus, PaymentStatus, RefundRoute
from app.services import payments
from schema.context import Info
from schema.enums import describe
from schema.problems import Problem, shown_as

__all__ = [
    "HANDLERS",
    "NoOriginalRoute",
    "PayerUnknown",
    "PaymentParameter",
    "PaymentPrepared",
    "PaymentScene",
    "PaymentUnavailable",
    "ProviderPayment",
    "RefundRoute",
]

describe(
    RefundRoute,
    "By which way money goes back.",
    {
        "ORIGINAL": "By the provider it was paid through.",
        "OFFLINE": "Over the counter.",
    },
)
describe(
    PaymentStatus,
    "Where a provider's payment stands.",
    {
        "OPEN": "It can be paid.",
        "PAID": "It was paid, and that stays so when it goes back.",
        "CLOSED": "It can be paid no more.",
    },
)
describe(
    PaymentRefundStatus,
    "Where money stands that goes back to its payer.",
    {
        "PENDING": "It is on its way.",
        "SUCCEEDED": "It arrived.",
        "FAILED": "The provider did not send it.",
    },
)
describe(
    PaymentScene,
    "How a page has its member pay.",
    {
        "JSAPI": "By WeChat's own dialog, on a page or in a mini-program inside WeChat.",
        "H5": "By opening WeChat from a phone's browser.",
        "PAGE": "On the provider's own page.",
    },
)


@strawberry.type(description="A payment through a provider, of whatever was ordered.")
class ProviderPayment:
    provider: str = strawberry.field(description="The provider's name.")
    reference: str = strawberry.field(description="What the provider calls our order number.")
    status: PaymentStatus = strawberry.field(description="Where it stands.")
    paid_at: datetime | None = strawberry.field(description="When it was paid, if it was.")
    row: strawberry.Private[payment_rows.Payment]

    @classmethod
    def of(cls, row: payment_rows.Payment) -> Self:
        return cls(
            provider=row.provider,
            reference=row.reference,
            status=row.status,
            paid_at=row.paid_at,
            row=row,
        )

    @strawberry.field(description="Where its money stands if it goes back; null if it does not.")
    async def refund_status(self, info: Info) -> PaymentRefundStatus | None:
        refund = await info.context.loaders.payment_refund.load(self.row.id)
        return None if refund is None else refund.status


@strawberry.type(description="A name and its value.")
class PaymentParameter:
    name: str = strawberry.field(description="The name.")
    value: str = strawberry.field(description="The value.")


@strawberry.type(
    description="How the page goes on to have it paid. What the page says of it proves nothing:"
    " it is paid when the order's state says so."
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
    def of_placed(
        cls, payment: payment_rows.Payment | None, prepared: Prepared | None
    ) -> Self | None:
        """Null where nothing is left to be paid."""
        if payment is None or prepared is None:
            return None
        given = prepared.parameters.items()
        return cls(
            reference=payment.reference,
            provider=prepared.provider,
            scene=prepared.scene,
            parameters=[PaymentParameter(name=name, value=value) for name, value in given],
            expires_at=payment.expires_at,
        )


@strawberry.type(
    description="The provider does not take the payment. The order waits: ask again with the same"
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


@strawberry.type(description="It was not paid through a provider: only OFFLINE is left.")
class NoOriginalRoute(Problem): ...


HANDLERS = [
    shown_as(PaymentUnavailable, payments.PaymentUnavailable),
    shown_as(PayerUnknown, payments.PayerUnknown),
    shown_as(NoOriginalRoute, payments.NoOriginalRoute),
]
