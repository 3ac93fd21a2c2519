"""Where providers of payments tell what happened: POST /payments/{provider}/notify (TOP-7).

Who sends a message is proven by its signature alone, so the route asks for no sign-in. A provider
repeats what was not acknowledged: an answer from 500 on asks for that, 401 is for what is forged.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.core.db import Database
from app.gateways.errors import ProviderUnavailable
from app.gateways.outside import Outside
from app.gateways.payments.protocol import NOTIFICATION_MAX_BYTES, NotificationRefused
from app.services import settlements

_log = structlog.get_logger(__name__)


class Serving(Protocol):
    """What the route needs of a running server."""

    @property
    def database(self) -> Database: ...
    @property
    def outside(self) -> Outside: ...


def routes(running: Callable[[], Serving]) -> list[Route]:
    """The route; `running` gives the server's parts once it has started."""

    async def notify(request: Request) -> Response:
        return await _notify(running(), request)

    return [Route("/payments/{provider}/notify", notify, methods=["POST"])]


async def _notify(serving: Serving, request: Request) -> Response:
    provider = request.path_params["provider"]
    gateway = serving.outside.payments.get(provider)
    if gateway is None:
        return PlainTextResponse("unknown provider", 404)
    body = await request.body()
    if len(body) > NOTIFICATION_MAX_BYTES:
        return PlainTextResponse("too large", 413)
    try:
        notification = await gateway.read_notification(request.headers, body)
    except NotificationRefused as refused:
        _log.warning("notification refused", provider=provider, why=refused.reason)
        return PlainTextResponse("refused", 401)
    except ProviderUnavailable as error:  # the keys to check it with could not be fetched
        _log.warning("notification not checked", provider=provider, why=error.reason)
        return PlainTextResponse("try again", 503)
    try:
        await serving.database.run(
            settlements.receive, notification=notification, now=datetime.now(UTC)
        )
    except Exception as error:  # whatever it is, the provider shall repeat it
        _log.error("notification not taken in", provider=provider, exc_info=error)
        return PlainTextResponse("try again", 500)
    return Response(
        gateway.acknowledgement.body,
        gateway.acknowledgement.status,
        media_type=gateway.acknowledgement.content_type,
    )
