"""IDN-1, IDN-7: mail by SMTP into the sandbox's server."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.gateways.errors import ProviderRefused, ProviderUnavailable
from app.gateways.mail import MailAddressRefused, SmtpConfig, SmtpMail, SmtpSecurity
from app.gateways.sandbox import SandboxState
from app.gateways.sandbox.smtp import start_smtp

pytestmark = pytest.mark.anyio

SENDER = "Regulars <no-reply@regulars.example>"


def plain(port: int, timeout_s: float = 5.0) -> SmtpMail:
    return SmtpMail(
        SmtpConfig(
            host="127.0.0.1",
            port=port,
            sender=SENDER,
            security=SmtpSecurity.NONE,
            timeout_s=timeout_s,
        )
    )


async def test_a_mail_arrives(state: SandboxState) -> None:
    async with start_smtp(state) as port:
        await plain(port).send(
            "anna@regulars.example", "您的验证码", "Code: 123456", "<b>123456</b>"
        )
    (message,) = state.inbox.to("anna@regulars.example")
    assert (message.channel, message.subject, message.text) == (
        "mail",
        "您的验证码",
        "Code: 123456",
    )
    assert message.html == "<b>123456</b>"


async def test_headers_cannot_be_injected(state: SandboxState) -> None:
    async with start_smtp(state) as port:
        with pytest.raises(ValueError, match="linefeed"):
            await plain(port).send("anna@regulars.example", "Hi\nBcc: all@x.example", "text")
    assert state.inbox.to() == []


async def test_an_address_that_does_not_exist_is_named(state: SandboxState) -> None:
    async with start_smtp(state) as port:
        with pytest.raises(MailAddressRefused) as refused:
            await plain(port).send("x@nobody.invalid", "Hi", "text")
    assert str(refused.value) == "smtp refused: 550"


async def test_failures_have_names(state: SandboxState) -> None:
    state.timeout_fault_s = 0.3
    async with start_smtp(state) as port:
        state.faults.order("mail", "busy", 1)
        with pytest.raises(ProviderUnavailable, match="SMTP 451"):
            await plain(port).send("anna@regulars.example", "Hi", "text")
        state.faults.order("mail", "500", 1)
        with pytest.raises(ProviderRefused, match="554"):
            await plain(port).send("anna@regulars.example", "Hi", "text")
        state.faults.order("mail", "timeout", 1)
        with pytest.raises(ProviderUnavailable, match="timeout"):
            await plain(port, timeout_s=0.1).send("anna@regulars.example", "Hi", "text")
    with pytest.raises(ProviderUnavailable):
        await plain(port).send("anna@regulars.example", "Hi", "text")
    assert state.inbox.to() == []


async def test_starttls_is_required_and_the_certificate_checked(
    state: SandboxState, tmp_path: Path
) -> None:
    trusted = ssl.create_default_context(cafile=_certificate(tmp_path))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "server.pem")
    async with start_smtp(state, tls_context=server) as port:
        config = SmtpConfig(host="127.0.0.1", port=port, sender=SENDER, tls_context=trusted)
        await SmtpMail(config).send("anna@regulars.example", "Hi", "text")
        untrusting = SmtpConfig(host="127.0.0.1", port=port, sender=SENDER)
        with pytest.raises(ProviderUnavailable):
            await SmtpMail(untrusting).send("anna@regulars.example", "Hi", "text")
    async with start_smtp(state) as port:
        config = SmtpConfig(host="127.0.0.1", port=port, sender=SENDER, tls_context=trusted)
        with pytest.raises(ProviderUnavailable):
            await SmtpMail(config).send("anna@regulars.example", "Hi", "text")
    assert len(state.inbox.to()) == 1


def _certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, key and certificate in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sandbox")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
