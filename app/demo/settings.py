"""Settings of the demo: secrets made once and kept in a file, every provider in the sandbox."""

import base64
import os
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

import orjson

from app.core.crypto import Keyring
from app.demo.world import MINI_PROGRAM, OFFICIAL_ACCOUNT
from app.gateways.sandbox import (
    OidcSandboxClient,
    SandboxInProductionError,
    SandboxPayAccount,
    SandboxState,
    StripeAccount,
    StudentVerifierAccount,
    WeChatPayAccount,
)
from app.gateways.sandbox.accounts import new_private_key
from app.settings import KEY_BYTES, Mode, Settings, SettingsInvalid, read_settings

FOLDER = Path(".data")
KEYS_FILE = "demo-keys.json"
KEY_ID = "demo"
KEY_NAMES = ("encryption", "index", "member_code", "providers")
MERCHANT_KEY_FILE = "demo-wechat-pay.pem"

SMS_SECRET_ID, SMS_APP_ID, SMS_TEMPLATE_ID = "demo", "1400000000", "449739"
SMS_TEXT = "【禾木餐饮】您的验证码是 {1}，请勿告诉他人。Your code is {1}."
STUDENT_CLIENT_ID = "regulars-demo"
OIDC_NAME, OIDC_CLIENT_ID = "demo", "regulars-demo"
MAIL_SENDER = "hello@regulars.example"
MERCHANT_ID, CERTIFICATE_SERIAL = "1900000001", "3775B6A45ACD588826D15E583A95F5DD00000001"
API_V3_KEY_LENGTH = 32


def demo_keys(folder: Path = FOLDER) -> dict[str, str]:
    """The demo's secrets by name, in base64; made at the first call. Raises `SettingsInvalid`."""

    def fresh() -> bytes:
        made = {name: secrets.token_bytes(KEY_BYTES) for name in KEY_NAMES}
        encoded = {name: base64.b64encode(key).decode() for name, key in made.items()}
        return orjson.dumps(encoded, option=orjson.OPT_INDENT_2)

    path = folder / KEYS_FILE
    try:
        kept = orjson.loads(_kept(path, fresh))
        return {name: str(kept[name]) for name in KEY_NAMES}
    except (ValueError, KeyError, TypeError):
        raise SettingsInvalid(
            f"{path} is not a file of the demo's keys: remove it and the demo's database"
        ) from None


def merchant_key(folder: Path = FOLDER) -> str:
    """The key that the demo signs with as a merchant of WeChat Pay, PEM; made at the first call.

    In a file of its own, since folders of earlier releases have the other one already.
    """
    return _kept(folder / MERCHANT_KEY_FILE, lambda: new_private_key().encode()).decode()


def _kept(path: Path, fresh: Callable[[], bytes]) -> bytes:
    """What is in the file, which is made of `fresh` where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Nobody else may read it, not even for the moment until a chmod.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(made := fresh())
    except FileExistsError:
        return path.read_bytes()
    return made


def demo_settings(
    *, public_url: str, mail_port: int = 0, run_jobs: bool = True, folder: Path = FOLDER
) -> Settings:
    """What `--demo` runs with: the environment's settings, but no secret and no real provider.

    Raises `SandboxInProductionError` where the environment says production.
    """
    if os.environ.get("REGULARS_MODE", Mode.DEMO).lower() != Mode.DEMO:
        raise SandboxInProductionError(
            "REGULARS_MODE says production: the demo and its sandbox let anybody be anybody, so "
            "they do not start there."
        )
    keys = demo_keys(folder)
    sandbox = f"{public_url}/sandbox"
    given: dict[str, object] = {
        "mode": Mode.DEMO,
        "public_url": public_url,
        "encryption_keys": {KEY_ID: keys["encryption"]},
        "index_key": keys["index"],
        "member_code_keys": {KEY_ID: keys["member_code"]},
        "graphiql": True,
        "run_jobs": run_jobs,
        "wechat": {
            "apps": [
                {"app_id": MINI_PROGRAM, "secret": keys["providers"], "kind": "mini_program"},
                {
                    "app_id": OFFICIAL_ACCOUNT,
                    "secret": keys["providers"],
                    "kind": "official_account",
                },
            ],
            "base_url": f"{sandbox}/wechat",
            "open_base_url": f"{sandbox}/wechat",
        },
        "sms": {
            "base_url": f"{sandbox}/tencent-sms",
            "secret_id": SMS_SECRET_ID,
            "secret_key": keys["providers"],
            "sdk_app_id": SMS_APP_ID,
            "sign_name": "禾木餐饮",
            "code_template_id": SMS_TEMPLATE_ID,
        },
        "mail": {
            "host": "127.0.0.1", "port": mail_port, "sender": MAIL_SENDER, "security": "none",
        },
        "oidc": [
            {
                "name": OIDC_NAME,
                "issuer": f"{sandbox}/oidc",
                "client_id": OIDC_CLIENT_ID,
                "client_secret": keys["providers"],
                "trust_email": True,
            }
        ],
        "wechat_pay": {
            "base_url": f"{sandbox}/wechat-pay",
            "app_id": OFFICIAL_ACCOUNT,
            "merchant_id": MERCHANT_ID,
            "certificate_serial": CERTIFICATE_SERIAL,
            "private_key": merchant_key(folder),
            "api_v3_key": keys["providers"][:API_V3_KEY_LENGTH],
        },
        "stripe": {
            "base_url": f"{sandbox}/stripe",
            "secret_key": f"sk_test_{keys['providers']}",
            "webhook_secret": f"whsec_{keys['providers']}",
        },
        "sandbox_pay": {"base_url": f"{sandbox}/pay", "secret": keys["providers"]},
        "student_verifier": {
            "base_url": f"{sandbox}/students",
            "client_id": STUDENT_CLIENT_ID,
            "secret": keys["providers"],
        },
        "files": {"folder": str(folder / "files")},
    }  # fmt: skip
    return read_settings(**given)


def keyring_of(settings: Settings) -> Callable[[], Keyring]:
    """A maker of the settings' keyring that can be sent to other processes."""
    keys = {
        key_id: base64.b64decode(secret.get_secret_value())
        for key_id, secret in settings.encryption_keys.items()
    }
    assert settings.index_key is not None
    index_key = base64.b64decode(settings.index_key.get_secret_value())
    return partial(Keyring, keys, list(keys)[-1], index_key, settings.encryption_algorithm)


def sandbox_state(settings: Settings) -> SandboxState:
    """A sandbox whose providers know what the settings' adapters present to them."""
    return SandboxState(
        public_url=f"{settings.public_url}/sandbox",
        wechat_apps={app.app_id: app.secret.get_secret_value() for app in settings.wechat.apps},
        sms_sdk_app_id=settings.sms.sdk_app_id,
        sms_credentials={settings.sms.secret_id: settings.sms.secret_key.get_secret_value()},
        sms_templates={settings.sms.code_template_id: SMS_TEXT},
        oidc_clients={
            given.client_id: OidcSandboxClient(given.client_secret.get_secret_value())
            for given in settings.oidc
        },
        wechat_pay=WeChatPayAccount(
            app_id=settings.wechat_pay.app_id,
            merchant_id=settings.wechat_pay.merchant_id,
            certificate_serial=settings.wechat_pay.certificate_serial,
            private_key=settings.wechat_pay.private_key.get_secret_value(),
            api_v3_key=settings.wechat_pay.api_v3_key.get_secret_value(),
        ),
        stripe=StripeAccount(
            secret_key=settings.stripe.secret_key.get_secret_value(),
            webhook_secret=settings.stripe.webhook_secret.get_secret_value(),
            webhook_url=f"{settings.public_url}/payments/stripe/notify",
        ),
        pay=SandboxPayAccount(settings.sandbox_pay.secret.get_secret_value()),
        students=StudentVerifierAccount(
            settings.student_verifier.client_id,
            settings.student_verifier.secret.get_secret_value(),
        ),
    )
