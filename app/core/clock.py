"""The time, for what is not told it. Services are: their `now` is read once per request."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(UTC)
