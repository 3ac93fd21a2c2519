"""How bills can be paid in a group (PTS-1, TOP-8, TOP-11)."""

from typing import Self
from uuid import UUID

import strawberry

from app.core.ids import type_id
from app.core.texts import checked_text
from app.models import organisation as rows
from app.services import payment_methods
from schema.context import Info
from schema.problems import Problem, shown_as


@strawberry.type(description="A way to pay a bill.")
class PaymentMethod:
    id: strawberry.ID = strawberry.field(description="Its id, `pm_…`.")
    code: str = strawberry.field(description="The code that purchases name it by.")
    name: str = strawberry.field(description="What people call it.")
    is_net_receipt: bool = strawberry.field(description="Whether what it pays earns points.")
    can_pay_top_up: bool = strawberry.field(
        description="Whether it can buy stored value, as vouchers of other platforms cannot."
    )
    moves_by_transfer: bool = strawberry.field(
        description="Whether it leaves a trace at a bank, as large sums must."
    )
    provider: str | None = strawberry.field(
        description="The provider of online payments it stands for; null for none."
    )

    @classmethod
    def of(cls, row: rows.PaymentMethod) -> Self:
        return cls(
            id=strawberry.ID(type_id("pm", row.id)),
            code=row.code,
            name=row.name,
            is_net_receipt=row.is_net_receipt,
            can_pay_top_up=row.can_pay_top_up,
            moves_by_transfer=row.moves_by_transfer,
            provider=row.provider,
        )

    @classmethod
    async def load(cls, info: Info, method_id: UUID | None) -> Self | None:
        """The method of an order; null where it has none."""
        if method_id is None:
            return None
        return cls.of(await info.context.loaders.payment_method.load(method_id))


@strawberry.type(description="The group has no such payment method.")
class PaymentMethodUnknown(Problem):
    code: str = strawberry.field(description="The code that was given.")

    @classmethod
    def of(cls, error: payment_methods.PaymentMethodUnknown) -> Self:
        return cls(message=str(error), code=error.payment_code)


@strawberry.input(description="A payment method to add, or to change by its code.")
class PaymentMethodSaveInput:
    code: str = strawberry.field(description="The code purchases name it by, 1 to 32 characters.")
    name: str = strawberry.field(description="What people call it, 1 to 64 characters.")
    is_net_receipt: bool = strawberry.field(description="Whether what it pays earns points.")
    can_pay_top_up: bool | None = strawberry.field(
        default=None,
        description="Whether it can buy stored value. Null leaves it as it is; a new one can.",
    )
    moves_by_transfer: bool | None = strawberry.field(
        default=None,
        description="Whether it leaves a trace at a bank. Null leaves it as it is; a new one does"
        " not.",
    )
    provider: str | None = strawberry.field(
        default=None,
        description="The provider of online payments it stands for, 1 to 32 characters. Null leaves"
        " it as it is, an empty text is none.",
    )


def checked_method_code(code: str) -> str:
    """A payment method's code as it can be one; raises `BadInput`."""
    return checked_text("methodCode", code, at_most=payment_methods.CODE_CHARS_MAX)


HANDLERS = [shown_as(PaymentMethodUnknown, payment_methods.PaymentMethodUnknown)]
