"""Everything that can be set, read once from the environment (`REGULARS_…`) and then frozen.

A secret has no default outside the demo: `Settings.demo()` makes them from nothing and says so.
"""

import base64
import os
import re
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Literal, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from app.core.crypto import Keyring
from app.core.member_code import MemberCodeKey, MemberCodes

KEY_BYTES = 32
PREFIX = "REGULARS_"


class Mode(StrEnum):
    DEMO = "demo"
    PRODUCTION = "production"


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WeChatAppSettings(Frozen):
    """A mini-program or an official account, as registered at WeChat."""

    app_id: str
    secret: SecretStr
    kind: Literal["mini_program", "official_account"] = "mini_program"


class WeChatSettings(Frozen):
    apps: tuple[WeChatAppSettings, ...] = ()
    base_url: str = "https://api.weixin.qq.com"
    open_base_url: str = "https://open.weixin.qq.com"


class SmsSettings(Frozen):
    """Tencent Cloud SMS. The template's one parameter is the code."""

    base_url: str = "https://sms.tencentcloudapi.com"
    secret_id: str = ""
    secret_key: SecretStr = SecretStr("")
    sdk_app_id: str = ""
    sign_name: str = ""
    code_template_id: str = ""


def _text(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


class WeChatPaySettings(Frozen):
    """A direct merchant of WeChat Pay (API v3), and the app its orders are made for."""

    base_url: str = "https://api.mch.weixin.qq.com"
    app_id: str = ""
    merchant_id: str = ""
    certificate_serial: str = ""
    private_key: SecretStr = SecretStr("")
    api_v3_key: SecretStr = SecretStr("")
    public_key_id: str = ""
    public_key: str = ""

    @field_validator("private_key", "public_key", mode="before")
    @classmethod
    def _with_line_breaks(cls, value: object) -> object:
        # Files of variables for containers hold one line each.
        return value.replace("\\n", "\n") if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        names = ("app_id", "merchant_id", "certificate_serial", "private_key", "api_v3_key")
        given = [name for name in names if _text(getattr(self, name))]
        if given and len(given) < len(names):
            raise ValueError(f"{', '.join(names)} belong together")
        if bool(self.public_key_id) != bool(self.public_key):
            raise ValueError("public_key_id and public_key belong together")
        if given:
            self._check_keys()
        return self

    def _check_keys(self) -> None:
        """At the start rather than at the first payment."""
        if len(_text(self.api_v3_key).encode()) != KEY_BYTES:
            raise ValueError(f"api_v3_key must have {KEY_BYTES} bytes")
        try:
            load_pem_private_key(_text(self.private_key).encode(), None)
            if self.public_key:
                load_pem_public_key(self.public_key.encode())
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError("private_key and public_key must be keys in PEM") from None


class StripeSettings(Frozen):
    base_url: str = "https://api.stripe.com"
    secret_key: SecretStr = SecretStr("")
    webhook_secret: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(_text(self.secret_key)) != bool(_text(self.webhook_secret)):
            raise ValueError("secret_key and webhook_secret belong together")
        return self


class SandboxPaySettings(Frozen):
    """The sandbox's own page, where paying costs nothing."""

    base_url: str = ""
    secret: SecretStr = SecretStr("")


class StudentVerifierSettings(Frozen):
    """An outside verifier of students, as docs/student-verifier.md describes it."""

    base_url: str = ""
    client_id: str = ""
    secret: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        given = [bool(_text(each)) for each in (self.base_url, self.client_id, self.secret)]
        if any(given) and not all(given):
            raise ValueError("base_url, client_id and secret belong together")
        return self


class MailSettings(Frozen):
    host: str = ""
    port: int = 587
    username: str = ""
    password: SecretStr = SecretStr("")
    sender: str = ""
    security: Literal["starttls", "tls", "none"] = "starttls"


class FilesSettings(Frozen):
    """Where uploaded pictures lie: in a folder, or where `s3_url` is given in a bucket."""

    folder: str = ".data/files"
    s3_url: str = ""
    s3_region: str = "us-east-1"
    s3_access_key_id: str = ""
    s3_secret_access_key: SecretStr = SecretStr("")

    @field_validator("s3_url")
    @classmethod
    def _is_a_plain_address(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+(?:/[A-Za-z0-9._/-]+)?", value):
            raise ValueError("s3_url must be the bucket's http(s) address and nothing more")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        names = ("s3_url", "s3_access_key_id", "s3_secret_access_key")
        given = [name for name in names if _text(getattr(self, name))]
        if given and len(given) < len(names):
            raise ValueError(f"{', '.join(names)} belong together")
        return self


class OidcSettings(Frozen):
    """An OpenID Connect provider members may sign in with."""

    name: str
    issuer: str
    client_id: str
    client_secret: SecretStr
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    trust_email: bool = False


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    mode: Mode = Mode.PRODUCTION
    database_url: str = "sqlite:///.data/regulars.db"
    read_database_url: str | None = None
    database_connections: int = Field(default=10, ge=2, le=200)
    public_url: str = "http://localhost:8000"
    group_code: str = "regulars"
    """The code of the group that members of this deployment belong to."""

    encryption_keys: dict[str, SecretStr] = Field(default_factory=dict)
    """Key id → 32 bytes in base64. The last one encrypts; the others still decrypt."""
    index_key: SecretStr | None = None
    encryption_algorithm: Literal["aes-gcm", "sm4-gcm"] = "aes-gcm"
    member_code_keys: dict[str, SecretStr] = Field(default_factory=dict)
    """Key id → 32 bytes in base64. The last one makes codes; the others still open them."""

    access_token_life: timedelta = Field(default=timedelta(minutes=10), le=timedelta(hours=1))
    refresh_token_life: timedelta = Field(default=timedelta(days=60), le=timedelta(days=90))
    staff_session_life: timedelta = timedelta(hours=12)

    allowed_origins: frozenset[str] = frozenset()
    trusted_proxies: str = "127.0.0.1"
    graphiql: bool = False
    run_jobs: bool = True
    """Whether the server does the jobs too; off where `regulars worker` processes do."""
    metrics_token: SecretStr | None = None
    """What Prometheus sends as its bearer token; without one /metrics is off in production."""
    connections_max: int = Field(default=5_000, ge=10)
    """Connections one server process holds at once; more are answered 503."""
    head_timeout_s: float = 10.0
    stop_timeout_s: int = 30

    wechat: WeChatSettings = WeChatSettings()
    sms: SmsSettings = SmsSettings()
    mail: MailSettings = MailSettings()
    oidc: tuple[OidcSettings, ...] = ()
    wechat_pay: WeChatPaySettings = WeChatPaySettings()
    stripe: StripeSettings = StripeSettings()
    sandbox_pay: SandboxPaySettings = SandboxPaySettings()
    student_verifier: StudentVerifierSettings = StudentVerifierSettings()
    files: FilesSettings = FilesSettings()

    @model_validator(mode="after")
    def _secrets_are_there(self) -> Self:
        for name in ("encryption_keys", "index_key", "member_code_keys"):
            if not getattr(self, name):
                raise ValueError(
                    f"REGULARS_{name.upper()} is missing: `regulars keys` prints fresh ones"
                )
        return self

    @model_validator(mode="after")
    def _proxies_are_named(self) -> Self:
        if self.is_production and "*" in self.trusted_proxies:
            raise ValueError(
                "REGULARS_TRUSTED_PROXIES must name the proxies: with * clients choose the "
                "address they are counted by"
            )
        return self

    @model_validator(mode="after")
    def _payments_are_real(self) -> Self:
        if self.is_production and self.sandbox_pay.base_url:
            raise ValueError("REGULARS_SANDBOX_PAY__BASE_URL is for the demo: nobody pays there")
        return self

    @cached_property
    def keyring(self) -> Keyring:
        keys = {key_id: _key(secret) for key_id, secret in self.encryption_keys.items()}
        assert self.index_key is not None
        return Keyring(
            keys, list(keys)[-1], _key(self.index_key), algorithm=self.encryption_algorithm
        )

    @cached_property
    def member_codes(self) -> MemberCodes:
        keys = [MemberCodeKey(key_id, _key(s)) for key_id, s in self.member_code_keys.items()]
        return MemberCodes(keys[::-1])

    @property
    def is_production(self) -> bool:
        return self.mode is Mode.PRODUCTION


class SettingsInvalid(Exception):
    """The settings cannot be used; the text is one line that says which and why."""


def read_settings(**given: object) -> Settings:
    """Settings from the environment and what is given; raises `SettingsInvalid` in one line."""
    for name in os.environ:
        # pydantic-settings reads the names it knows; a misspelt one would be ignored in silence.
        if name.startswith(PREFIX) and not name.startswith((f"{PREFIX}TEST", f"{PREFIX}BENCH")):
            field = name.removeprefix(PREFIX).partition("__")[0].lower()
            if field not in Settings.model_fields:
                raise SettingsInvalid(f"{name} is not a setting")
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except SettingsError as error:  # not the JSON that a list or map needs
        raise SettingsInvalid(str(error).partition("\n")[0]) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        raise SettingsInvalid(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None


def _key(secret: SecretStr) -> bytes:
    return base64.b64decode(secret.get_secret_value())
