"""The two kinds of failure this product speaks of; anything else that escapes is a bug."""

from typing import ClassVar


class DomainError(Exception):
    """A refusal a member, cashier or operator can understand.

    Services raise subclasses named after what went wrong and carrying data; the schema shows each
    as a `Problem` of the mutation's union. The transaction rolls back.
    """

    keeps_changes: ClassVar[bool] = False
    """True where the refusal itself must be remembered: a wrong try that counts."""


class RequestError(Exception):
    """A client's mistake, answered as a top-level GraphQL error or an HTTP status with a code."""

    code: ClassVar[str] = "BAD_REQUEST"
    status: ClassVar[int] = 400


class BadInput(RequestError):
    """A value of the right type that still cannot be meant: a malformed id, a bad cursor."""

    code = "BAD_USER_INPUT"


class Unauthenticated(RequestError):
    """No credentials, or credentials that are wrong, expired or revoked."""

    code = "UNAUTHENTICATED"
    status = 401


class Forbidden(RequestError):
    """Known, but without the permission, or outside the subtree it was granted for (ORG-1)."""

    code = "FORBIDDEN"
    status = 403


class TooManyRequests(RequestError):
    """A limit per client or address was reached."""

    code = "TOO_MANY_REQUESTS"
    status = 429

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
