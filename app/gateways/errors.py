"""What an outside provider can answer besides success; the services decide what it means."""


class GatewayError(Exception):
    """A call to a provider gave no result; no DomainError, because the service decides."""


class ProviderUnavailable(GatewayError):
    """No usable answer: time-out, connection, 5xx, "system busy", or a body that is no JSON.

    The same call may succeed later. Whether it had an effect at the provider is unknown.
    """

    def __init__(self, reason: str, *, provider: str) -> None:
        super().__init__(f"{provider}: {reason}")
        self.provider = provider
        self.reason = reason


class ProviderRefused(GatewayError):
    """The provider understood and said no, with its own documented code.

    `message` is the provider's wording and may repeat what was sent to it (a phone number, a
    code), so it is kept out of `str()` and thereby out of logs and tracebacks.
    """

    def __init__(self, code: str, message: str, *, provider: str) -> None:
        super().__init__(f"{provider} refused: {code}")
        self.provider = provider
        self.code = code
        self.message = message


class ProviderLimitExceeded(ProviderRefused):
    """The provider's own frequency limit was reached; asking again at once makes it worse."""
