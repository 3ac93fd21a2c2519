"""The outside world in one place: every provider this product speaks to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx2

from app.gateways.errors import ProviderRefused
from app.gateways.files.protocol import FileStore
from app.gateways.mail import MailGateway
from app.gateways.oidc import OidcClient, OidcProvider
from app.gateways.payments.protocol import PaymentGateway
from app.gateways.sms import SmsGateway
from app.gateways.student_verifier import StudentVerifier
from app.gateways.wechat import WeChat

CODE_TEMPLATE = "verification_code"
"""The text message that carries a code; its one parameter is `code`."""


@dataclass(frozen=True, slots=True)
class Outside:
    """The adapters of one process. They share `http`; whoever opened it closes it."""

    wechat: WeChat
    sms: SmsGateway
    mail: MailGateway
    oidc: OidcClient
    oidc_providers: Mapping[str, OidcProvider]
    http: httpx2.AsyncClient
    files: FileStore
    payments: Mapping[str, PaymentGateway] = field(default_factory=dict)
    """By the provider's name; only what settings describe is here."""
    student_verifier: StudentVerifier | None = None


class NoSms:
    """Stands where no provider of text messages is configured."""

    async def send(
        self, phone_e164: str, template: str, params: Mapping[str, str], dedup_key: str
    ) -> None:
        raise ProviderRefused("unconfigured", "no provider in settings", provider="sms")


class NoMail:
    """Stands where no mail server is configured."""

    async def send(self, to: str, subject: str, text: str, html: str | None = None) -> None:
        raise ProviderRefused("unconfigured", "no server in settings", provider="mail")
