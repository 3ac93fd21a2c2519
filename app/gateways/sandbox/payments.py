"""What the sandbox's providers of payments share: orders, refunds, and letters to the product.

A letter is a notification as one provider writes and signs it; `forge` spoils it in one way, for
tests of who receives it.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from app.gateways.errors import ProviderUnavailable
from app.gateways.http import create_http, fetch

MAX_PAYMENTS = 10_000
MAX_REFUNDS = 10_000
MAX_LETTER_TIMES = 20
LETTER_TIMEOUT_S = 5.0
FORGED_AGE_S = 301
"""One more than any of the providers tolerates."""

PaymentProvider = Literal["wechat_pay", "stripe", "sandbox"]
Forge = Literal["signature", "body", "timestamp", "future", "serial", "amount", "currency", "owner"]
"""Signed by a stranger; altered afterwards; too old; of the future; by an unknown key; well signed
about another amount, another currency, or for another merchant."""
PAYMENT_PROVIDERS: tuple[PaymentProvider, ...] = get_args(PaymentProvider)
FORGES: tuple[Forge, ...] = get_args(Forge)


@dataclass(kw_only=True)
class SandboxPayment:
    provider: PaymentProvider
    reference: str
    amount: int
    currency: str
    description: str
    expires_at: datetime
    notify_url: str
    return_url: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What one provider alone keeps."""
    status: Literal["OPEN", "PAID", "CLOSED"] = "OPEN"
    paid_at: datetime | None = None
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    """In the address of its page."""
    number: str = field(default_factory=lambda: _digits(20))
    """Of which each provider makes its own ids."""

    def can_be_paid(self, now: datetime) -> bool:
        return self.status == "OPEN" and now < self.expires_at


@dataclass(kw_only=True)
class SandboxRefund:
    provider: PaymentProvider
    reference: str
    payment: SandboxPayment
    amount: int
    reason: str
    created_at: datetime
    notify_url: str
    details: Mapping[str, Any] = field(default_factory=dict)
    status: Literal["PENDING", "SUCCEEDED", "FAILED"] = "PENDING"
    succeeded_at: datetime | None = None
    number: str = field(default_factory=lambda: _digits(20))


@dataclass(frozen=True)
class Letter:
    url: str
    headers: Mapping[str, str]
    body: bytes


Subject = SandboxPayment | SandboxRefund
LetterWriter = Callable[[Subject, Forge | None], Letter]


class PaymentDesk:
    """All payments and refunds of the sandbox; the oldest fall out."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._payments: OrderedDict[tuple[str, str], SandboxPayment] = OrderedDict()
        self._refunds: OrderedDict[tuple[str, str], SandboxRefund] = OrderedDict()
        self.writers: dict[PaymentProvider, LetterWriter] = {}
        self.holds_refunds = False
        """Whether refunds wait for a tester instead of succeeding at once."""

    def open(self, payment: SandboxPayment) -> SandboxPayment:
        self._payments[payment.provider, payment.reference] = payment
        if len(self._payments) > MAX_PAYMENTS:
            self._payments.popitem(last=False)
        return payment

    def payment(self, provider: PaymentProvider, reference: str) -> SandboxPayment | None:
        return self._payments.get((provider, reference))

    def payments(self, provider: PaymentProvider | None = None) -> list[SandboxPayment]:
        """Newest first."""
        newest_first = reversed(self._payments.values())
        return [payment for payment in newest_first if provider in (None, payment.provider)]

    def payment_of_page(self, token: str) -> SandboxPayment | None:
        return next((paid for paid in self._payments.values() if paid.token == token), None)

    def pay(self, payment: SandboxPayment) -> bool:
        """Whether it is paid now; it is not when it was closed or its time is over."""
        if payment.can_be_paid(self._clock()):
            payment.status, payment.paid_at = "PAID", self._clock()
        return payment.status == "PAID"

    def ask_back(self, refund: SandboxRefund) -> bool:
        """Take a new refund down; False when more was asked back than was paid."""
        payment = refund.payment
        if payment.status != "PAID" or refund.amount > payment.amount - self.refunded(payment):
            return False
        self._refunds[refund.provider, refund.reference] = refund
        if len(self._refunds) > MAX_REFUNDS:
            self._refunds.popitem(last=False)
        return True

    def refund(self, provider: PaymentProvider, reference: str) -> SandboxRefund | None:
        return self._refunds.get((provider, reference))

    def refunds(self, provider: PaymentProvider | None = None) -> list[SandboxRefund]:
        """Newest first."""
        newest_first = reversed(self._refunds.values())
        return [refund for refund in newest_first if provider in (None, refund.provider)]

    def refunded(self, payment: SandboxPayment) -> int:
        """What of a payment went back or is on its way."""
        return sum(
            refund.amount
            for refund in self._refunds.values()
            if refund.payment is payment and refund.status != "FAILED"
        )

    def settle(self, refund: SandboxRefund, *, succeeds: bool = True) -> None:
        """End a refund that is pending."""
        if refund.status != "PENDING":
            return
        if succeeds:
            refund.status, refund.succeeded_at = "SUCCEEDED", self._clock()
        else:
            refund.status = "FAILED"

    async def settle_at_once(self, refund: SandboxRefund) -> None:
        """Unless refunds are held: let it succeed, and say so."""
        if not self.holds_refunds:
            self.settle(refund)
            await self.notify(refund)

    async def notify(
        self, subject: Subject, *, times: int = 1, forge: Forge | None = None
    ) -> list[int | None]:
        """Send the letter about a payment or refund; the product's answers, None where none came.

        Repeated ones are the same to the byte, as whoever recorded one would send them.
        """
        letter = self.writers[subject.provider](subject, forge)
        if not letter.url:
            return []
        async with create_http(timeout_s=LETTER_TIMEOUT_S) as http:
            answers: list[int | None] = []
            for _ in range(min(times, MAX_LETTER_TIMES)):
                try:
                    answer = await fetch(
                        http,
                        "POST",
                        letter.url,
                        provider="product",
                        content=letter.body,
                        headers=letter.headers,
                    )
                except ProviderUnavailable as error:
                    # "HTTP 503" is an answer, too: the product asks to be told again.
                    status = error.reason.removeprefix("HTTP ")
                    answers.append(int(status) if status.isdecimal() else None)
                else:
                    answers.append(answer.status)
        return answers


def forged_amount(amount: int, forge: Forge | None) -> int:
    return amount + 1 if forge == "amount" else amount


def forged_currency(currency: str, forge: Forge | None) -> str:
    if forge != "currency":
        return currency
    return "HKD" if currency != "HKD" else "USD"


def forged_seconds(now: datetime, forge: Forge | None) -> int:
    """The timestamp to sign."""
    shift_s = {"timestamp": -FORGED_AGE_S, "future": FORGED_AGE_S}
    return int(now.timestamp()) + (shift_s.get(forge, 0) if forge else 0)


def _digits(count: int) -> str:
    return str(secrets.randbelow(9 * 10 ** (count - 1)) + 10 ** (count - 1))
