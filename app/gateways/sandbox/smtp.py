"""An SMTP server on a free port whose mails land in the sandbox's inbox.

Needs aiosmtpd (the extra "sandbox"): https://aiosmtpd.aio-libs.org/en/latest/.
"""

import asyncio
import email
import email.policy
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiosmtpd.smtp import SMTP, Envelope, Session

from app.gateways.sandbox.state import Message, SandboxState

MAX_MAIL_BYTES = 1024 * 1024


@asynccontextmanager
async def start_smtp(
    state: SandboxState,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls_context: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Serve while the block runs and give the port; with `tls_context` STARTTLS is required.

    In the caller's event loop instead of aiosmtpd's Controller, whose thread cannot be given
    port 0 and would need every part of the state to be thread-safe.
    """
    loop = asyncio.get_running_loop()
    handler = _Handler(state)

    def protocol() -> SMTP:
        return SMTP(
            handler,
            data_size_limit=MAX_MAIL_BYTES,
            enable_SMTPUTF8=True,
            hostname="sandbox.invalid",
            tls_context=tls_context,
            require_starttls=tls_context is not None,
            timeout=30,
            loop=loop,
        )

    server = await loop.create_server(protocol, host, port)
    async with server:
        yield server.sockets[0].getsockname()[1]


class _Handler:
    def __init__(self, state: SandboxState) -> None:
        self._state = state

    async def handle_RCPT(  # noqa: N802 (aiosmtpd names it)
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        rcpt_options: list[str],
    ) -> str:
        # RFC 2606 reserves the domain, so a tester can name an address that nobody has.
        if address.endswith("@nobody.invalid"):
            return "550 5.1.1 No such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 (aiosmtpd names it)
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        kind = self._state.faults.next("mail")
        if kind == "timeout":
            await asyncio.sleep(self._state.timeout_fault_s)
        if kind is not None:
            return "554 Transaction failed" if kind == "500" else "451 Try again later"
        content = envelope.content
        raw = content.encode() if isinstance(content, str) else content or b""
        self._keep(raw.replace(b"\r\n", b"\n"), envelope.rcpt_tos)
        return "250 OK"

    def _keep(self, raw: bytes, recipients: list[str]) -> None:
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        text, html = mail.get_body(("plain",)), mail.get_body(("html",))
        for to in recipients:
            self._state.inbox.add(
                Message(
                    channel="mail",
                    to=to,
                    subject=str(mail["Subject"]),
                    text=text.get_content().removesuffix("\n") if text else "",
                    params=(),
                    at=self._state.now(),
                    html=html.get_content().removesuffix("\n") if html else None,
                )
            )
