"""Opens the outside world as settings describe it; the server and the workers both do."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx2

from app.core.clock import utc_now
from app.core.db import Database
from app.gateways.files.folder import FolderStore
from app.gateways.files.protocol import FileStore
from app.gateways.files.s3 import S3Config, S3Store
from app.gateways.http import create_http
from app.gateways.mail import MailGateway, SmtpConfig, SmtpMail, SmtpSecurity
from app.gateways.oidc import OidcClient, OidcProvider
from app.gateways.outside import CODE_TEMPLATE, NoMail, NoSms, Outside
from app.gateways.payments.protocol import PaymentGateway
from app.gateways.payments.sandbox_pay import SandboxPay, SandboxPayConfig
from app.gateways.payments.stripe import Stripe, StripeConfig
from app.gateways.payments.wechat_pay import WeChatPay
from app.gateways.payments.wechat_pay_keys import WeChatPayConfig
from app.gateways.signed_verifier import SignedVerifier, VerifierConfig
from app.gateways.sms import TencentSms, TencentSmsConfig, TencentTemplate
from app.gateways.student_verifier import CALLBACK_PATH
from app.gateways.wechat import WeChat, WeChatApp
from app.gateways.wechat_tokens import TokenStore
from app.services import provider_tokens
from app.settings import (
    FilesSettings,
    MailSettings,
    OidcSettings,
    Settings,
    SmsSettings,
    StripeSettings,
    WeChatPaySettings,
)


class DatabaseTokens:
    """A `TokenStore` in the database: one process renews, and all of them use."""

    def __init__(self, database: Database, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock
        self._leases: dict[tuple[str, str], datetime] = {}

    async def get(self, key: str) -> str | None:
        return await self._database.read(provider_tokens.get, name=key, now=self._clock())

    async def put(self, key: str, value: str, *, expires_in_s: int) -> None:
        expires_at = self._clock() + timedelta(seconds=expires_in_s)
        await self._database.run(provider_tokens.put, name=key, token=value, expires_at=expires_at)

    async def try_lease(self, key: str, *, owner: str, seconds: int) -> bool:
        until = await self._database.run(
            provider_tokens.try_lease, name=key, now=self._clock(), life=timedelta(seconds=seconds)
        )
        if until is not None:
            self._leases[key, owner] = until
        return until is not None

    async def release(self, key: str, *, owner: str) -> None:
        until = self._leases.pop((key, owner), None)
        if until is not None:
            await self._database.run(provider_tokens.release, name=key, until=until)


@asynccontextmanager
async def open_outside(settings: Settings, tokens: TokenStore) -> AsyncIterator[Outside]:
    """The real adapters, with one HTTP client that is closed at the end."""
    async with create_http() as http:
        wechat = settings.wechat
        apps = {app.app_id: WeChatApp(app.secret.get_secret_value()) for app in wechat.apps}
        yield Outside(
            wechat=WeChat(
                apps,
                http,
                tokens,
                base_url=wechat.base_url,
                open_base_url=wechat.open_base_url,
            ),
            sms=TencentSms(_sms(settings.sms), http) if settings.sms.secret_id else NoSms(),
            mail=_mail(settings.mail),
            oidc=OidcClient(http),
            oidc_providers={given.name: _provider(given) for given in settings.oidc},
            http=http,
            files=_files(settings.files, http),
            payments=_payments(settings, http, tokens),
            student_verifier=_student_verifier(settings),
        )


def _student_verifier(settings: Settings) -> SignedVerifier | None:
    given = settings.student_verifier
    if not given.base_url:
        return None
    return SignedVerifier(
        VerifierConfig(
            base_url=given.base_url,
            client_id=given.client_id,
            secret=given.secret.get_secret_value(),
            callback_url=f"{settings.public_url}{CALLBACK_PATH}",
        )
    )


def _payments(
    settings: Settings, http: httpx2.AsyncClient, tokens: TokenStore
) -> dict[str, PaymentGateway]:
    """The providers that settings describe, by the name their notification address has, too."""
    gateways: list[PaymentGateway] = []
    if settings.wechat_pay.merchant_id:
        notify_url = _notify_url(settings, WeChatPay.name)
        gateways.append(WeChatPay(_wechat_pay(settings.wechat_pay, notify_url), http))
    if settings.stripe.secret_key.get_secret_value():
        gateways.append(Stripe(_stripe(settings.stripe), http, tokens))
    if settings.sandbox_pay.base_url:
        config = SandboxPayConfig(
            base_url=settings.sandbox_pay.base_url,
            secret=settings.sandbox_pay.secret.get_secret_value(),
            notify_url=_notify_url(settings, SandboxPay.name),
        )
        gateways.append(SandboxPay(config, http))
    return {gateway.name: gateway for gateway in gateways}


def _files(given: FilesSettings, http: httpx2.AsyncClient) -> FileStore:
    """The bucket where settings name one, else the folder."""
    if not given.s3_url:
        return FolderStore(Path(given.folder))
    config = S3Config(
        url=given.s3_url,
        region=given.s3_region,
        access_key_id=given.s3_access_key_id,
        secret_access_key=given.s3_secret_access_key.get_secret_value(),
    )
    return S3Store(config, http)


def _notify_url(settings: Settings, provider: str) -> str:
    return f"{settings.public_url}/payments/{provider}/notify"


def _wechat_pay(given: WeChatPaySettings, notify_url: str) -> WeChatPayConfig:
    return WeChatPayConfig(
        app_id=given.app_id,
        merchant_id=given.merchant_id,
        certificate_serial=given.certificate_serial,
        private_key=given.private_key.get_secret_value(),
        api_v3_key=given.api_v3_key.get_secret_value(),
        notify_url=notify_url,
        public_key_id=given.public_key_id,
        public_key=given.public_key,
        base_url=given.base_url,
    )


def _stripe(given: StripeSettings) -> StripeConfig:
    return StripeConfig(
        secret_key=given.secret_key.get_secret_value(),
        webhook_secret=given.webhook_secret.get_secret_value(),
        base_url=given.base_url,
    )


def _sms(given: SmsSettings) -> TencentSmsConfig:
    return TencentSmsConfig(
        secret_id=given.secret_id,
        secret_key=given.secret_key.get_secret_value(),
        sdk_app_id=given.sdk_app_id,
        sign_name=given.sign_name,
        templates={CODE_TEMPLATE: TencentTemplate(given.code_template_id, ("code",))},
        base_url=given.base_url,
    )


def _mail(given: MailSettings) -> MailGateway:
    if not given.host:
        return NoMail()
    return SmtpMail(
        SmtpConfig(
            host=given.host,
            port=given.port,
            sender=given.sender,
            security=SmtpSecurity(given.security),
            username=given.username or None,
            password=given.password.get_secret_value() or None,
        )
    )


def _provider(given: OidcSettings) -> OidcProvider:
    return OidcProvider(
        name=given.name,
        issuer=given.issuer,
        client_id=given.client_id,
        client_secret=given.client_secret.get_secret_value(),
        scopes=given.scopes,
        trust_email=given.trust_email,
    )
