"""Mail over SMTP (IDN-1, IDN-7): RFC 5321, with TLS by RFC 3207 (STARTTLS) or RFC 8314 (465).

The client is aiosmtplib, https://aiosmtplib.readthedocs.io/en/stable/usage.html.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from enum import StrEnum
from typing import Protocol

import aiosmtplib

from app.gateways.errors import ProviderRefused, ProviderUnavailable

PROVIDER = "smtp"
SECURE_PORTS: Mapping[str, int] = {"none": 25, "starttls": 587, "tls": 465}


class MailGateway(Protocol):
    async def send(self, to: str, subject: str, text: str, html: str | None = None) -> None:
        """Send one mail to one address; returns when the next server has accepted it.

        Raises ProviderUnavailable, MailAddressRefused, ProviderRefused.
        """


class MailAddressRefused(ProviderRefused):
    """The server knows for good that it cannot deliver to this address."""


class SmtpSecurity(StrEnum):
    """STARTTLS is required where it is configured: falling back to plain text is no option."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True)
class SmtpConfig:
    host: str
    sender: str
    port: int | None = None
    security: SmtpSecurity = SmtpSecurity.STARTTLS
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout_s: float = 10.0
    tls_context: ssl.SSLContext | None = None
    """Another trust store than the system's; certificates are always checked."""


class SmtpMail:
    """A connection per mail: mails are rare and sent by jobs, and idle SMTP connections are cut."""

    def __init__(self, config: SmtpConfig) -> None:
        self._config = config

    async def send(self, to: str, subject: str, text: str, html: str | None = None) -> None:
        config = self._config
        try:
            await aiosmtplib.send(
                self._message(to, subject, text, html),
                # The envelope is given rather than read from the headers: `to` is one address
                # even if a display name or a comma got into it.
                sender=config.sender,
                recipients=[to],
                hostname=config.host,
                port=config.port or SECURE_PORTS[config.security],
                username=config.username,
                password=config.password,
                use_tls=config.security is SmtpSecurity.TLS,
                start_tls=config.security is SmtpSecurity.STARTTLS,
                tls_context=config.tls_context,
                timeout=config.timeout_s,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refused(error.recipients[0], MailAddressRefused) from error
        except aiosmtplib.SMTPRecipientRefused as error:
            raise _refused(error, MailAddressRefused) from error
        except aiosmtplib.SMTPResponseException as error:
            raise _refused(error, ProviderRefused) from error
        except aiosmtplib.SMTPTimeoutError as error:
            raise ProviderUnavailable("timeout", provider=PROVIDER) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise ProviderUnavailable(type(error).__name__, provider=PROVIDER) from error

    def _message(self, to: str, subject: str, text: str, html: str | None) -> EmailMessage:
        # EmailMessage refuses line breaks in header values, so nothing can be injected.
        message = EmailMessage()
        message["From"] = self._config.sender
        message["To"] = to
        message["Subject"] = subject
        message["Date"] = formatdate(usegmt=True)
        message["Message-ID"] = make_msgid(domain=self._config.sender.rpartition("@")[2])
        message.set_content(text)
        if html is not None:
            message.add_alternative(html, subtype="html")
        return message


def _refused(
    error: aiosmtplib.SMTPResponseException, kind: type[ProviderRefused]
) -> ProviderRefused | ProviderUnavailable:
    """RFC 5321, 4.2.1: 4yz may work later, 5yz will not."""
    if error.code < 500:
        return ProviderUnavailable(f"SMTP {error.code}", provider=PROVIDER)
    return kind(str(error.code), error.message, provider=PROVIDER)
