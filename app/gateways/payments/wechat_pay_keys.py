"""The keys of WeChat Pay API v3: ours sign what we send, the platform's prove what it sends.

Pages, under pay.weixin.qq.com/doc/v3/merchant: "Signature generation" (4012365342), "Signature
verification" (4013053249, platform certificate; 4013053420, WeChat Pay public key), "Download
platform certificates" (4012551764), "Decrypting callbacks and certificates" (4012071382).
"""

import asyncio
import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx2
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from app.gateways.errors import ProviderUnavailable
from app.gateways.http import fetch, json_object
from app.gateways.payments.signatures import SignatureRefused, check_age

PROVIDER = "wechat_pay"
SCHEME = "WECHATPAY2-SHA256-RSA2048"
API_V3_KEY_BYTES = 32

CERTIFICATES_LIFE_S = 12 * 3600
"""New certificates appear days before they sign; the page asks for a look at least every 24 h."""
CERTIFICATES_MIN_INTERVAL_S = 60
"""Between two looks, so that made-up serial numbers do not turn into traffic."""
CERTIFICATES_RETRY_S = 5
"""After a look that failed."""
CERTIFICATES_MAX = 20


@dataclass(frozen=True)
class WeChatPayConfig:
    """One merchant, with the app its orders are made for.

    New merchants have a WeChat Pay public key in place of platform certificates: both its id
    (PUB_KEY_ID_…) and itself are then given, and certificates are not asked for.
    """

    app_id: str
    merchant_id: str
    certificate_serial: str
    """Of the merchant's API certificate, in hexadecimal."""
    private_key: str = field(repr=False)
    """The key of that certificate, PEM."""
    api_v3_key: str = field(repr=False)
    notify_url: str
    public_key_id: str = ""
    public_key: str = ""
    """PEM."""
    base_url: str = "https://api.mch.weixin.qq.com"

    def __post_init__(self) -> None:
        assert len(self.api_v3_key.encode()) == API_V3_KEY_BYTES
        assert bool(self.public_key_id) == bool(self.public_key)


class Undecryptable(Exception):
    """Not encrypted with our API v3 key, or altered since."""


class MerchantKey:
    """Signs as the merchant."""

    def __init__(self, config: WeChatPayConfig) -> None:
        self._config = config
        key = load_pem_private_key(config.private_key.encode(), password=None)
        assert isinstance(key, RSAPrivateKey)
        self._key = key

    def sign(self, *lines: str) -> str:
        """Base64 of the signature over the lines, each ended by a line feed."""
        text = "".join(f"{line}\n" for line in lines)
        return base64.b64encode(self._key.sign(text.encode(), PKCS1v15(), SHA256())).decode()

    def headers(self, method: str, path: str, body: bytes, now: datetime) -> dict[str, str]:
        """What proves that a request is ours; `path` with its query, below the base URL."""
        timestamp, nonce = str(int(now.timestamp())), secrets.token_hex(16)
        signature = self.sign(method, path, timestamp, nonce, body.decode())
        headers = {
            "Accept": "application/json",
            "Authorization": (
                f'{SCHEME} mchid="{self._config.merchant_id}",nonce_str="{nonce}",'
                f'signature="{signature}",timestamp="{timestamp}",'
                f'serial_no="{self._config.certificate_serial}"'
            ),
        }
        if body:
            headers["Content-Type"] = "application/json"
        if self._config.public_key_id:
            # While a merchant moves from certificates to the public key, this asks for the key.
            headers["Wechatpay-Serial"] = self._config.public_key_id
        return headers


class PlatformKeys:
    """WeChat Pay's own public keys by serial number, fetched when needed and kept for a while."""

    def __init__(
        self,
        config: WeChatPayConfig,
        http: httpx2.AsyncClient,
        merchant_key: MerchantKey,
        clock: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._http = http
        self._merchant_key = merchant_key
        self._clock = clock
        self._lock = asyncio.Lock()
        self._certificates: dict[str, RSAPublicKey] = {}
        self._fetched_at_s = float("-inf")
        self._not_before_s = float("-inf")
        self._public_key: RSAPublicKey | None = None
        if config.public_key:
            self._public_key = _rsa(load_pem_public_key(config.public_key.encode()))

    async def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """That WeChat Pay signed these headers and this body within the tolerance around now.

        Raises SignatureRefused, and ProviderUnavailable when certificates cannot be fetched.
        """
        given = {name.lower(): value for name, value in headers.items()}
        serial, timestamp, nonce, signature = (
            given.get(f"wechatpay-{name}", "")
            for name in ("serial", "timestamp", "nonce", "signature")
        )
        check_age(timestamp, self._clock())
        key = await self._key(serial)
        if key is None:
            raise SignatureRefused("unknown serial number")
        _check_signature(key, timestamp, nonce, body, signature)

    async def _key(self, serial: str) -> RSAPublicKey | None:
        # Both kinds: while a merchant moves to the public key, callbacks come signed by either.
        if self._public_key is not None and serial == self._config.public_key_id:
            return self._public_key
        if self._is_known(serial):
            return self._certificates[serial]
        async with self._lock:
            now_s = self._clock().timestamp()
            # Asked again: somebody may have fetched them while this one waited.
            if not self._is_known(serial) and now_s >= self._not_before_s:
                self._not_before_s = now_s + CERTIFICATES_RETRY_S
                self._certificates = await self._fetch()
                self._fetched_at_s = now_s
                self._not_before_s = now_s + CERTIFICATES_MIN_INTERVAL_S
            return self._certificates.get(serial)

    def _is_known(self, serial: str) -> bool:
        age_s = self._clock().timestamp() - self._fetched_at_s
        return serial in self._certificates and age_s < CERTIFICATES_LIFE_S

    async def _fetch(self) -> dict[str, RSAPublicKey]:
        path = "/v3/certificates"
        answer = await fetch(
            self._http,
            "GET",
            self._config.base_url.rstrip("/") + path,
            provider=PROVIDER,
            headers=self._merchant_key.headers("GET", path, b"", self._clock()),
        )
        if answer.status != 200:
            raise ProviderUnavailable(f"certificates: HTTP {answer.status}", provider=PROVIDER)
        listed: Any = json_object(answer.body, provider=PROVIDER).get("data")
        try:
            # That they decrypt under the API v3 key, which only WeChat Pay shares with us, is
            # what makes them WeChat Pay's.
            return dict(self._certificate(entry) for entry in listed[:CERTIFICATES_MAX])
        except (Undecryptable, ValueError, KeyError, TypeError) as error:
            raise ProviderUnavailable("malformed certificates", provider=PROVIDER) from error

    def _certificate(self, entry: Mapping[str, Any]) -> tuple[str, RSAPublicKey]:
        pem = decrypt(entry["encrypt_certificate"], self._config.api_v3_key)
        return str(entry["serial_no"]), _rsa(load_pem_x509_certificate(pem).public_key())


def decrypt(resource: Mapping[str, Any], api_v3_key: str) -> bytes:
    """The plain text of an encrypted resource (AEAD_AES_256_GCM); raises Undecryptable."""
    try:
        if resource["algorithm"] != "AEAD_AES_256_GCM":
            raise Undecryptable("another algorithm")
        return AESGCM(api_v3_key.encode()).decrypt(
            resource["nonce"].encode(),
            base64.b64decode(resource["ciphertext"], validate=True),
            (resource.get("associated_data") or "").encode(),
        )
    except (InvalidTag, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Undecryptable(type(error).__name__) from error


def _check_signature(
    key: RSAPublicKey, timestamp: str, nonce: str, body: bytes, signature: str
) -> None:
    try:
        key.verify(
            base64.b64decode(signature, validate=True),
            f"{timestamp}\n{nonce}\n".encode() + body + b"\n",
            PKCS1v15(),
            SHA256(),
        )
    except (InvalidSignature, ValueError) as error:
        raise SignatureRefused("signature") from error


def _rsa(key: object) -> RSAPublicKey:
    if not isinstance(key, RSAPublicKey):
        raise ValueError("not an RSA key")
    return key
