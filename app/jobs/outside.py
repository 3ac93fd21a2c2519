"""Opens the outside world as settings describe it; the server and the workers both do."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from app.core.clock import utc_now
from app.core.db import Database
from app.gateways.http import create_http
from app.gateways.mail import MailGateway, SmtpConfig, SmtpMail, SmtpSecurity
from app.gateways.oidc import OidcClient, OidcProvider
from app.gateways.outside import CODE_TEMPLATE, NoMail, NoSms, Outside
from app.gateways.sms import TencentSms, TencentSmsConfig, TencentTemplate
from app.gateways.wechat import WeChat, WeChatApp
from app.gateways.wechat_tokens import TokenStore
from app.services import provider_tokens
from app.settings import MailSettings, OidcSettings, Settings, SmsSettings


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
