"""The product's accounts at the sandbox's providers of payments, and the keys on both sides."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

RSA_BITS = 2048
VALID_FROM, VALID_UNTIL = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class WeChatPayAccount:
    """A merchant at WeChat Pay; `private_key` is PEM, of whose public half the platform knows."""

    app_id: str
    merchant_id: str
    certificate_serial: str
    private_key: str = field(repr=False)
    api_v3_key: str = field(repr=False)


@dataclass(frozen=True)
class StripeAccount:
    """`webhook_url` is where its events go, as an endpoint in Stripe's dashboard would say."""

    secret_key: str = field(default="sk_test_sandbox", repr=False)
    webhook_secret: str = field(default="whsec_sandbox", repr=False)
    webhook_url: str = ""


@dataclass(frozen=True)
class SandboxPayAccount:
    secret: str = field(default="sandbox-pay-secret", repr=False)


@dataclass(frozen=True)
class StudentVerifierAccount:
    client_id: str = "sandbox"
    secret: str = field(default="sandbox-students-secret", repr=False)


@dataclass(frozen=True)
class PlatformCertificate:
    """One of WeChat Pay's own, with its key."""

    serial: str
    key: rsa.RSAPrivateKey
    pem: bytes


def made_up_wechat_pay() -> WeChatPayAccount:
    """A merchant for whoever does not care which."""
    return WeChatPayAccount(
        app_id="wx0000000000000002",
        merchant_id="1900000001",
        certificate_serial="3775B6A45ACD588826D15E583A95F5DD00000001",
        private_key=_pem(made_up_key("merchant")),
        api_v3_key="sandbox-api-v3-key-of-32-bytes-0",
    )


@cache
def made_up_key(name: str) -> rsa.RSAPrivateKey:
    """The same for the life of a process: making one takes a tenth of a second."""
    return _new_key()


def new_private_key() -> str:
    """A merchant's, PEM."""
    return _pem(_new_key())


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)


def _pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def platform_certificate(number: int) -> PlatformCertificate:
    """WeChat Pay's certificate after so many rotations; a number nobody listed is a stranger's."""
    key = made_up_key(f"platform-{number}")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tenpay.com sandbox")])
    serial_number = 0x5157F09EFDC096DE15EBE81A47057A7200000000 + number
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial_number)
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_UNTIL)
        .sign(key, SHA256())
    )
    return PlatformCertificate(f"{serial_number:X}", key, certificate.public_bytes(Encoding.PEM))
