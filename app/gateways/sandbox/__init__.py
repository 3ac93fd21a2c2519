"""A small server that answers like the outside providers, for `regulars demo` and the tests.

The real adapters speak to it over HTTP and SMTP, so their code runs everywhere and nobody needs
an account. It proves people's identity to anybody who asks: never in production.
"""

from app.gateways.sandbox.accounts import (
    SandboxPayAccount,
    StripeAccount,
    StudentVerifierAccount,
    WeChatPayAccount,
)
from app.gateways.sandbox.app import SandboxInProductionError, create_sandbox
from app.gateways.sandbox.people import (
    Directory,
    PartnerLogin,
    Person,
    StaffLogin,
    WeChatAccount,
)
from app.gateways.sandbox.state import Message, OidcSandboxClient, SandboxState

__all__ = [
    "Directory",
    "Message",
    "OidcSandboxClient",
    "PartnerLogin",
    "Person",
    "SandboxInProductionError",
    "SandboxPayAccount",
    "SandboxState",
    "StaffLogin",
    "StripeAccount",
    "StudentVerifierAccount",
    "WeChatAccount",
    "WeChatPayAccount",
    "create_sandbox",
]
