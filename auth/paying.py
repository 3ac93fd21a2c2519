"""Paying online: an order in one transaction, then the provider, outside of any (TOP-7).

What is ordered and not yet paid can be asked for again with the same request key: the provider
gives another way into the same payment.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from app.core.errors import BadInput
from app.core.money import Money
from app.gateways.errors import (
    GatewayError,
    ProviderLimitExceeded,
    ProviderRefused,
)
from app.gateways.payments.protocol import (
    AlreadyPaid,
    PaymentGateway,
    PaymentOrder,
    PaymentScene,
    Prepared,
)
from app.models.identities import IdentityKind
from app.models.payments import PaymentStatus
from app.services import identities, members, settlements
from app.services.payments import Online, PayerUnknown, PaymentUnavailable, Placed
from auth.sessions import bearer
from auth.web import safe_return_to
from schema.context import Context

T = TypeVar("T")

Place = Callable[..., Coroutine[Any, Any, Placed[T]]]
"""Takes `bearer`, `online` and `now`; called again with the same request key it finds the same."""


class Begun(NamedTuple, Generic[T]):
    """An order, and how the page goes on to pay it; None where nothing is left to be paid."""

    placed: Placed[T]
    prepared: Prepared | None


def providers(context: Context) -> list[PaymentGateway]:
    """The providers through which members can pay, by name."""
    return sorted(context.outside.payments.values(), key=lambda gateway: gateway.name)


def online(
    context: Context, *, provider: str, scene: PaymentScene, return_url: str, store_id: UUID | None
) -> Online:
    """How a member wants to pay. The provider's page leads back to a page of ours or of an allowed
    origin; raises `BadInput` for another, and for a provider or scene that is not offered here.
    """
    gateway = context.outside.payments.get(provider)
    if gateway is None or scene not in gateway.scenes:
        raise BadInput("Nobody can pay by this provider in this scene.")
    url = safe_return_to(return_url, context.settings)
    if url is None:
        raise BadInput("returnUrl is neither a path of ours nor of an allowed origin.")
    if url.startswith("/"):
        url = context.settings.public_url.rstrip("/") + url
    return Online(provider=provider, scene=scene, return_url=url, store_id=store_id)


async def pay(
    context: Context,
    place: Place[T],
    *,
    online: Online,
    description: str,
    **asked: Any,
) -> Begun[T]:
    """Place an order with a service and prepare its payment; the payer reads `description`, in
    which `{money}` stands for the amount.

    Raises `PayerUnknown`, `PaymentUnavailable`, and what the service raises.
    """
    gateway = context.outside.payments[online.provider]
    openid = await _openid(context) if online.scene == PaymentScene.JSAPI else None
    asked |= {"bearer": bearer(context), "online": online, "now": context.now}
    placed = await context.run(place, **asked)
    payment = placed.payment
    if (
        payment is None
        or payment.status is not PaymentStatus.OPEN
        or context.now >= payment.expires_at
    ):
        return Begun(placed, None)
    money = Money(payment.amount, payment.currency)
    try:
        prepared = await gateway.prepare(
            PaymentOrder(
                reference=payment.reference,
                amount=payment.amount,
                currency=payment.currency,
                description=description.format(money=money),
                expires_at=payment.expires_at,
                scene=PaymentScene(online.scene),
                payer_openid=openid,
                # Of a network of IPv6, which is what limits count by, its first address.
                client_address=context.client_address.partition("/")[0],
                return_url=online.return_url,
            )
        )
    except AlreadyPaid:
        await _learn(context, payment.reference, gateway)
        paid = await context.run(place, **asked)
        return Begun(paid._replace(is_replay=placed.is_replay), None)
    except GatewayError as error:
        raise _unavailable(error, gateway) from error
    return Begun(placed, prepared)


async def _openid(context: Context) -> str:
    """Who pays, at the app that WeChat Pay is set up with; raises `PayerUnknown`."""
    member = await context.read(members.signed_in, context.member_id)
    app_id = context.settings.wechat_pay.app_id
    for identity in await context.read(identities.of_member, member_id=member.id):
        if identity.kind is IdentityKind.WECHAT_OPENID and identity.issuer == app_id:
            return identity.value
    raise PayerUnknown


async def _learn(context: Context, reference: str, gateway: PaymentGateway) -> None:
    """It was paid before its news came: learn it now."""
    try:
        state = await gateway.query(reference)
    except GatewayError as error:
        raise _unavailable(error, gateway) from error
    await context.run(settlements.payment_is, provider=gateway.name, state=state, now=context.now)


def _unavailable(error: GatewayError, gateway: PaymentGateway) -> PaymentUnavailable:
    is_refusal = isinstance(error, ProviderRefused)
    may_work_later = not is_refusal or isinstance(error, ProviderLimitExceeded)
    return PaymentUnavailable(gateway.name, may_work_later=may_work_later)
