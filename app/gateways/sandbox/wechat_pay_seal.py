"""How WeChat Pay's answers and notifications are signed and encrypted, and requests verified.

From the pages on their own: no code is shared with the adapter, so an error in one of the two does
not hide in the other.
"""

import base64
import re
import secrets
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from starlette.requests import Request

from app.gateways.sandbox.accounts import WeChatPayAccount, made_up_key, platform_certificate
from app.gateways.sandbox.payments import Forge, forged_seconds
from app.gateways.sandbox.state import SandboxState

CLOCK_WINDOW_S = 300
STRANGERS_CERTIFICATE = 1_000
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000000012026090100000001"
SCHEME = "WECHATPAY2-SHA256-RSA2048"
AUTHORIZATION_FIELD = re.compile(r'(\w+)="([^"]*)"')


class WeChatPayError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message


class Seal:
    """The keys of the platform and of its one merchant."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    @property
    def _account(self) -> WeChatPayAccount:
        return self._state.wechat_pay_account

    def check(self, request: Request, body: bytes) -> None:
        scheme, _, fields = request.headers.get("authorization", "").partition(" ")
        given = dict(AUTHORIZATION_FIELD.findall(fields))
        stamp, account = given.get("timestamp", ""), self._account
        if scheme != SCHEME or given.get("mchid") != account.merchant_id or not stamp.isdecimal():
            raise WeChatPayError(401, "SIGN_ERROR", "Http头Authorization值格式错误")
        if given.get("serial_no") != account.certificate_serial:
            raise WeChatPayError(401, "SIGN_ERROR", "商户证书序列号有误")
        if abs(self._state.now().timestamp() - int(stamp)) > CLOCK_WINDOW_S:
            raise WeChatPayError(401, "SIGN_ERROR", "timestamp与发起请求的时间不得超过5分钟")
        # Below the path this is mounted at, which stands for the domain.
        path = request.scope["path"].removeprefix(request.scope["root_path"])
        query = f"?{request.url.query}" if request.url.query else ""
        lines = [request.method, path + query, stamp, given.get("nonce_str", ""), body.decode()]
        text = "".join(line + "\n" for line in lines).encode()
        key = _public_half(account.private_key)
        try:
            signature = base64.b64decode(given.get("signature", ""))
            key.verify(signature, text, PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError) as error:
            raise WeChatPayError(401, "SIGN_ERROR", "签名错误，请检查后再试") from error

    def headers(
        self, body: bytes, *, asked_for: Request | None = None, forge: Forge | None = None
    ) -> dict[str, str]:
        certificate = platform_certificate(self._state.wechat_pay_rotations)
        serial, key = certificate.serial, certificate.key
        wants = asked_for.headers.get("wechatpay-serial", "") if asked_for else ""
        if wants == PUBLIC_KEY_ID or (asked_for is None and self._state.wechat_pay_by_public_key):
            serial, key = PUBLIC_KEY_ID, made_up_key("wechat-pay-public")
        stranger = platform_certificate(STRANGERS_CERTIFICATE)
        if forge == "signature":
            key = stranger.key
        if forge == "serial":
            serial, key = stranger.serial, stranger.key
        stamp, nonce = str(forged_seconds(self._state.now(), forge)), secrets.token_hex(16)
        text = f"{stamp}\n{nonce}\n".encode() + body + b"\n"
        return {
            "Wechatpay-Timestamp": stamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Serial": serial,
            "Wechatpay-Signature": base64.b64encode(key.sign(text, PKCS1v15(), SHA256())).decode(),
            "Wechatpay-Signature-Type": SCHEME,
        }

    def encrypted(self, plain: bytes, associated_data: str) -> dict[str, str]:
        nonce = secrets.token_hex(6)
        sealed = AESGCM(self._account.api_v3_key.encode()).encrypt(
            nonce.encode(), plain, associated_data.encode()
        )
        return {
            "algorithm": "AEAD_AES_256_GCM",
            "nonce": nonce,
            "associated_data": associated_data,
            "ciphertext": base64.b64encode(sealed).decode(),
        }


@cache
def _public_half(private_key: str) -> RSAPublicKey:
    key = load_pem_private_key(private_key.encode(), None)
    assert isinstance(key, RSAPrivateKey)
    return key.public_key()
