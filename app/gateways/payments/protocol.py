"""What every provider of payments does for this product, in this product's words (TOP-7).

A payment is known by our `reference` alone, a refund by its own; amounts are minor units of an ISO
4217 currency. What a page says about its own payment proves nothing: paid is what a verified
notification or `query` calls paid.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from enum import StrEnum
from typing import NamedTuple, Protocol

from app.gateways.errors import GatewayError, ProviderRefused

REFERENCE_MAX_LENGTH = 32
"""What WeChat Pay takes as out_trade_no; letters, digits, `_` and `-`."""
REFUND_REFERENCE_MAX_LENGTH = 64
NOTIFICATION_MAX_BYTES = 64 * 1024
NOTIFICATION_TOLERANCE_S = 300
"""How far a notification's own timestamp may lie from now, either way; both ends are within."""


class PaymentScene(StrEnum):
    JSAPI = "JSAPI"
    """A page or mini-program inside WeChat, which calls WeChat's own payment dialog."""
    H5 = "H5"
    """A phone's browser, which opens WeChat."""
    PAGE = "PAGE"
    """The provider's own page."""


@dataclass(frozen=True)
class PaymentOrder:
    """What is to be paid, by whom, until when. Two calls for one `reference` must agree in all."""

    reference: str
    amount: int
    """Minor units, above zero."""
    currency: str
    description: str
    """What the payer reads; cut where the provider allows less."""
    expires_at: datetime
    scene: PaymentScene
    payer_openid: str | None
    """Who pays, at the app the gateway is configured with; JSAPI alone needs it."""
    client_address: str
    """The payer's IP address, which WeChat compares in the H5 scene."""
    return_url: str
    """Where the provider's page leads afterwards, paid or not."""


@dataclass(frozen=True)
class Prepared:
    """What the page hands on: the arguments of WeChat's dialog in the JSAPI scene (appId,
    timeStamp, nonceStr, package, signType, paySign), else `url`, where it sends the browser.
    """

    provider: str
    scene: PaymentScene
    parameters: Mapping[str, str]


class PaymentStatus(StrEnum):
    OPEN = "OPEN"
    """Not paid, and still may be."""
    PAID = "PAID"
    """Paid, and that stays so when it is refunded later."""
    CLOSED = "CLOSED"
    """Closed or expired without payment; it cannot be paid any more."""
    FAILED = "FAILED"
    """The payer's bank or the provider refused; it cannot be paid any more."""


@dataclass(frozen=True)
class PaymentState:
    """`amount`, `currency` and `paid_at` where it is PAID; the caller compares them to its own."""

    reference: str
    status: PaymentStatus
    transaction_id: str | None = None
    amount: int | None = None
    currency: str | None = None
    paid_at: datetime | None = None


class RefundStatus(StrEnum):
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    """The money did not go back and will not by itself: somebody has to see to it."""


@dataclass(frozen=True)
class RefundState:
    reference: str
    payment_reference: str
    status: RefundStatus
    refund_id: str | None
    amount: int
    currency: str
    succeeded_at: datetime | None = None


@dataclass(frozen=True)
class Notification:
    """One verified message of a provider; with neither payment nor refund it needs no act.

    `id` is the provider's name of the message, the same however often it is sent: the provider
    repeats what was not acknowledged, and whoever recorded an original may send it again within
    the tolerance, so the service takes each id once.
    """

    id: str
    provider: str
    payment: PaymentState | None = None
    refund: RefundState | None = None


class BillLineKind(StrEnum):
    PAYMENT = "PAYMENT"
    REFUND = "REFUND"


@dataclass(frozen=True)
class BillLine:
    """What the provider says it moved: `transaction_id` and `reference` are those of the payment,
    or of the refund in its line. `amount` is above zero for both.
    """

    transaction_id: str
    reference: str
    kind: BillLineKind
    amount: int
    currency: str
    at: datetime


class Acknowledgement(NamedTuple):
    """The answer after which a provider sends a notification no more."""

    status: int
    body: bytes
    content_type: str


class OrderUnknown(ProviderRefused):
    """The provider never heard of this payment or refund, so no money moved under its reference.

    Not a status: "closed" would promise that it cannot be paid any more, but a `prepare` under way
    may still make it.
    """


class AlreadyPaid(ProviderRefused):
    """It was paid before it could be closed: `query` tells how much."""


class AmountUnsupported(ProviderRefused):
    """The provider does not take this currency, or not this amount of it."""


class SceneUnsupported(ProviderRefused):
    """The provider has no such way to pay, or the order lacks what it needs for it."""


class RefundRefused(ProviderRefused):
    """This refund will not be made: too much, too late, not paid, or no balance to take it from."""


class BillNotReady(ProviderRefused):
    """The provider is still writing this day's bill: ask again later."""


class NotificationRefused(GatewayError):
    """Not a message of the provider to us, as far as can be proven. Its sender learns only that;
    `reason` is for the log.
    """

    def __init__(self, reason: str, *, provider: str) -> None:
        super().__init__(f"{provider}: notification refused: {reason}")
        self.provider = provider
        self.reason = reason


class PaymentGateway(Protocol):
    """One provider. Every method raises ProviderUnavailable when there was no usable answer, and
    ProviderRefused (ProviderLimitExceeded among them) for a no that has no name of its own here.

    `prepare`, `close` and `refund` may be called again with the same arguments after any outcome:
    nothing is ordered, paid or paid back twice.
    """

    @property
    def name(self) -> str:
        """What addresses and rows call the provider: `wechat_pay`, `stripe`, `sandbox`."""

    @property
    def scenes(self) -> frozenset[PaymentScene]:
        """The ways to pay that `prepare` takes here."""

    @property
    def acknowledgement(self) -> Acknowledgement:
        """What it expects once a notification was taken; a status from 400 on makes it repeat."""

    @property
    def bill_zone(self) -> tzinfo:
        """In which its days begin and end."""

    async def prepare(self, order: PaymentOrder) -> Prepared:
        """Order the payment; raises AmountUnsupported, SceneUnsupported."""

    async def query(self, reference: str) -> PaymentState:
        """How the payment stands at the provider; raises OrderUnknown."""

    async def close(self, reference: str) -> None:
        """Make it unpayable. Nothing happens when it is closed already or unknown.

        Raises AlreadyPaid.
        """

    async def refund(
        self,
        *,
        reference: str,
        payment_reference: str,
        amount: int,
        total: int,
        currency: str,
        reason: str,
    ) -> RefundState:
        """Pay back `amount` of a payment of `total`; `reference` names this refund for good.

        SUCCEEDED may come later, by notification or `query_refund`. Raises OrderUnknown where the
        payment is unknown, RefundRefused.
        """

    async def query_refund(self, reference: str, payment_reference: str) -> RefundState:
        """How the refund stands at the provider; raises OrderUnknown."""

    async def read_notification(self, headers: Mapping[str, str], body: bytes) -> Notification:
        """What a request to our notification address says, once all of it is proven.

        `body` is as it arrived, byte by byte. Signature, age within NOTIFICATION_TOLERANCE_S, and
        that it is meant for our account are checked here; that amounts are those of the order is
        the caller's. Raises NotificationRefused.
        """

    async def bill(self, day: date) -> list[BillLine]:
        """All that moved on one of the provider's days, in its order; raises BillNotReady."""
