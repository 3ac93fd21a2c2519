"""Whom tests sign in as, and the sandbox of providers that vouches for them."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import uvicorn
from pydantic import SecretStr

from app.gateways.sandbox import (
    Directory,
    OidcSandboxClient,
    Person,
    SandboxState,
    create_sandbox,
)
from app.gateways.sandbox.smtp import start_smtp
from app.gateways.sandbox.wechat import wechat_user
from app.settings import (
    MailSettings,
    Mode,
    OidcSettings,
    Settings,
    SmsSettings,
    WeChatAppSettings,
    WeChatSettings,
)
from tests.factories.back_office import KEY

MINI_PROGRAM, OTHER_MINI_PROGRAM = "wx0000000000000001", "wx0000000000000003"
OFFICIAL_ACCOUNT = "wx0000000000000002"
H5 = "https://h5.regulars.example"
PUBLIC_URL = "https://regulars.example"

ANNA = Person(
    key="anna",
    name="Anna Li",
    phone="+8613800000001",
    email="anna@regulars.example",
    unionid="uANNA",
)
BEN = Person(key="ben", name="Ben", phone="+8613800000002", email="ben@regulars.example")


@dataclass
class Clock:
    """The product's time, which begins today and which only tests move.

    Today, because the providers in the sandbox check signatures and tokens against the real time.
    """

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)


@asynccontextmanager
async def sandbox() -> AsyncIterator[tuple[SandboxState, int]]:
    """The providers on loopback, and the port of the mail server."""
    listener = socket.create_server(("127.0.0.1", 0))
    state = SandboxState(
        public_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
        people=Directory(people=(ANNA, BEN)),
        wechat_apps=dict.fromkeys((MINI_PROGRAM, OTHER_MINI_PROGRAM, OFFICIAL_ACCOUNT), "secret"),
        sms_credentials={"AKIDsandbox": "sms-secret"},
        sms_templates={"1": "{1} is your code."},
        oidc_clients={"regulars": OidcSandboxClient("oidc-secret")},
    )
    app = create_sandbox(state, production=False)
    config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    async with start_smtp(state) as port:
        yield state, port
    await server.shutdown(sockets=[listener])


def settings_for(state: SandboxState, mail_port: int) -> Settings:
    """Settings whose providers are the sandbox's."""
    return Settings(
        mode=Mode.DEMO,
        public_url=PUBLIC_URL,
        allowed_origins=frozenset({H5}),
        encryption_keys={"k": KEY},
        index_key=KEY,
        member_code_keys={"k": KEY},
        wechat=WeChatSettings(
            apps=(
                WeChatAppSettings(app_id=MINI_PROGRAM, secret=SecretStr("secret")),
                WeChatAppSettings(app_id=OTHER_MINI_PROGRAM, secret=SecretStr("secret")),
                WeChatAppSettings(
                    app_id=OFFICIAL_ACCOUNT, secret=SecretStr("secret"), kind="official_account"
                ),
            ),
            base_url=f"{state.public_url}/wechat",
            open_base_url=f"{state.public_url}/wechat",
        ),
        sms=SmsSettings(
            base_url=f"{state.public_url}/tencent-sms",
            secret_id="AKIDsandbox",
            secret_key=SecretStr("sms-secret"),
            sdk_app_id=state.sms_sdk_app_id,
            sign_name="Regulars",
            code_template_id="1",
        ),
        mail=MailSettings(
            host="127.0.0.1", port=mail_port, sender="codes@regulars.example", security="none"
        ),
        oidc=(
            OidcSettings(
                name="corp",
                issuer=f"{state.public_url}/oidc",
                client_id="regulars",
                client_secret=SecretStr("oidc-secret"),
                trust_email=True,
            ),
        ),
    )


def js_code(state: SandboxState, person: Person, app_id: str = MINI_PROGRAM) -> str:
    """What wx.login gives to this person's mini-program."""
    return state.wechat_login_codes.issue(wechat_user(person, app_id))


def phone_code(state: SandboxState, person: Person, app_id: str = MINI_PROGRAM) -> str:
    """What the phone-number button gives to it."""
    return state.wechat_phone_codes.issue(wechat_user(person, app_id))


def newest_code(state: SandboxState, address: str) -> str:
    """The six digits of the last message to an address."""
    message = state.inbox.to(address)[0]
    return next(word for word in message.text.replace("，", " ").split() if _is_code(word))


def _is_code(word: str) -> bool:
    return word.strip(".。").isdigit() and len(word.strip(".。")) == 6
