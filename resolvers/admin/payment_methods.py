"""How bills can be paid, as the back office keeps it (PTS-1, TOP-8, TOP-11)."""

from typing import Annotated

import strawberry

from app.models.staff import Permission
from app.services import payment_methods
from auth.permissions import Needs
from schema.context import Info
from schema.payment_methods import PaymentMethod, PaymentMethodSaveInput


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Needs(Permission.ORGANISATION_READ)],
        description="How bills can be paid in this group, by code; at most"
        f" {payment_methods.PAYMENT_METHODS_MAX}.",
    )
    async def payment_methods(self, info: Info) -> list[PaymentMethod]:
        rows = await info.context.read(payment_methods.of_group, await info.context.actor())
        return [PaymentMethod.of(row) for row in rows]


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Needs(Permission.ORGANISATION_WRITE)],
        description="Add a payment method to the group, or change the one with this code."
        " Purchases keep what it was on their day.",
    )
    async def payment_method_save(
        self,
        info: Info,
        input: Annotated[
            PaymentMethodSaveInput, strawberry.argument(description="The payment method.")
        ],
    ) -> PaymentMethod:
        row = await info.context.run(
            payment_methods.save,
            await info.context.actor(),
            code=input.code,
            name=input.name,
            is_net_receipt=input.is_net_receipt,
            can_pay_top_up=input.can_pay_top_up,
            moves_by_transfer=input.moves_by_transfer,
            provider=input.provider,
            now=info.context.now,
        )
        return PaymentMethod.of(row)
