"""How bills can be paid in a group: its payment methods (PTS-1, TOP-8, TOP-11)."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, bindparam
from sqlmodel import col, func, select

from app.core.db import Transaction, any_of, every_column, light, statement, upsert, values_of
from app.core.errors import DomainError
from app.core.texts import checked_text
from app.models.organisation import PaymentMethod
from app.models.staff import Permission
from app.services import audit, organisation
from app.services.actors import Actor

CODE_CHARS_MAX = 32
NAME_CHARS_MAX = 64
PROVIDER_CHARS_MAX = 32
PAYMENT_METHODS_MAX = 200

methods_by_code = statement(
    select(PaymentMethod).where(
        col(PaymentMethod.group_id) == bindparam("group_id"),
        any_of(col(PaymentMethod.code), "codes"),
    ),
    into=PaymentMethod,
)
methods_by_id = statement(
    select(PaymentMethod).where(any_of(col(PaymentMethod.id), "ids")), into=PaymentMethod
)
method_by_provider = statement(
    select(PaymentMethod)
    .where(
        col(PaymentMethod.group_id) == bindparam("group_id"),
        col(PaymentMethod.provider) == bindparam("provider"),
    )
    .order_by(col(PaymentMethod.code))
    .limit(1),
    into=PaymentMethod,
)
methods_of_group = statement(
    select(PaymentMethod)
    .where(col(PaymentMethod.group_id) == bindparam("group_id"))
    .order_by(col(PaymentMethod.code))
    .limit(PAYMENT_METHODS_MAX),
    into=PaymentMethod,
)
# What a save does not mention stays as it is.
save_method = upsert(
    lambda insert: (
        (saved := insert(PaymentMethod).values(every_column(PaymentMethod)))
        .on_conflict_do_update(
            index_elements=["group_id", "code"],
            set_={
                "name": saved.excluded.name,
                "is_net_receipt": saved.excluded.is_net_receipt,
                "can_pay_top_up": func.coalesce(
                    bindparam("given_can_pay_top_up", type_=Boolean()),
                    col(PaymentMethod.can_pay_top_up),
                ),
                "moves_by_transfer": func.coalesce(
                    bindparam("given_moves_by_transfer", type_=Boolean()),
                    col(PaymentMethod.moves_by_transfer),
                ),
                "provider": func.nullif(
                    func.coalesce(
                        bindparam("given_provider", type_=PaymentMethod.__table__.c.provider.type),  # type: ignore[attr-defined]
                        col(PaymentMethod.provider),
                    ),
                    "",
                ),
            },
        )
        .returning(*PaymentMethod.__table__.columns)  # type: ignore[attr-defined]
    ),
    into=PaymentMethod,
)
new_method = light(PaymentMethod)


class PaymentMethodUnknown(DomainError):
    """A payment method the group does not have."""

    def __init__(self, payment_code: str) -> None:
        self.payment_code = payment_code
        super().__init__(f"There is no payment method {payment_code[:32]!r}.")


async def of_code(tx: Transaction, *, group_id: UUID, code: str) -> PaymentMethod:
    """A group's payment method by its code; raises `PaymentMethodUnknown`."""
    return (await of_codes(tx, group_id=group_id, codes={code}))[code]


async def of_codes(
    tx: Transaction, *, group_id: UUID, codes: Collection[str]
) -> dict[str, PaymentMethod]:
    """A group's payment methods by their codes; raises `PaymentMethodUnknown`."""
    found = await tx.all(methods_by_code, group_id=group_id, codes=sorted(codes))
    methods = {method.code: method for method in found}
    for code in sorted(codes):
        if code not in methods:
            raise PaymentMethodUnknown(code)
    return methods


async def of_provider(tx: Transaction, *, group_id: UUID, provider: str) -> PaymentMethod | None:
    """The payment method that stands for a provider in a group, if one does."""
    return await tx.one(method_by_provider, group_id=group_id, provider=provider)


async def by_ids(tx: Transaction, ids: list[UUID]) -> dict[UUID, PaymentMethod]:
    return {row.id: row for row in await tx.all(methods_by_id, ids=ids)}


async def of_group(tx: Transaction, actor: Actor) -> list[PaymentMethod]:
    """How bills can be paid in the actor's group, by code."""
    actor.require_any(Permission.ORGANISATION_READ)
    return await tx.all(methods_of_group, group_id=actor.group_id)


async def save(
    tx: Transaction,
    actor: Actor,
    *,
    code: str,
    name: str,
    is_net_receipt: bool,
    can_pay_top_up: bool | None = None,
    moves_by_transfer: bool | None = None,
    provider: str | None = None,
    now: datetime,
) -> PaymentMethod:
    """Add a payment method or change the one with this code (PTS-1, TOP-8, TOP-11).

    None leaves a value as it is; a new method pays top-ups, moves by no transfer and belongs to no
    provider, as an empty `provider` says too. Purchases keep what a method was on their day.
    """
    actor.require(Permission.ORGANISATION_WRITE, await organisation.node(tx, actor.group_id))
    if provider:
        provider = checked_text("provider", provider, at_most=PROVIDER_CHARS_MAX)
    method = new_method(
        group_id=actor.group_id,
        code=checked_text("code", code, at_most=CODE_CHARS_MAX),
        name=checked_text("name", name, at_most=NAME_CHARS_MAX),
        is_net_receipt=is_net_receipt,
        can_pay_top_up=can_pay_top_up is not False,
        moves_by_transfer=moves_by_transfer is True,
        provider=provider or None,
    )
    saved = await tx.one(
        save_method,
        **values_of(method),
        given_can_pay_top_up=can_pay_top_up,
        given_moves_by_transfer=moves_by_transfer,
        given_provider=provider,
    )
    assert saved is not None
    await audit.record(
        tx, actor, "payment_method.save", object_kind="payment_method", object_id=saved.id,
        node_id=actor.group_id, now=now, code=saved.code, is_net_receipt=is_net_receipt,
        can_pay_top_up=saved.can_pay_top_up, moves_by_transfer=saved.moves_by_transfer,
        provider=saved.provider,
    )  # fmt: skip
    return saved
