"""The member code as an image file (QRC-4), for pages that would rather not draw or inline it."""

from collections.abc import Callable
from typing import Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.core.errors import DomainError, RequestError, TooManyRequests
from app.core.ids import parse_type_id
from app.core.qr_codes import qr_png, qr_svg
from app.edge.failures import describe
from app.edge.middleware import current_request_id
from app.edge.requests import Handshake, client_address, read_headers
from app.services import cards, member_codes
from auth.tokens import MEMBER_AUDIENCE
from schema.context import Context
from schema.member_codes import MemberCode

# The next minute has another code, and nobody but the holder may have seen this one.
HEADERS = {"Cache-Control": "no-store"}
Draw = Callable[[str], bytes]


class Serving(Protocol):
    """What the routes need of a running server."""

    async def context(self, handshake: Handshake, audience: str) -> Context: ...


def routes(running: Callable[[], Serving]) -> list[Route]:
    """`/codes/{card id}.svg` and `.png`, for the member's bearer token."""

    def route(suffix: str, media_type: str, draw: Draw) -> Route:
        async def answer(request: Request) -> Response:
            return await _answer(running(), request, media_type, draw)

        return Route(f"/codes/{{card_id}}.{suffix}", answer, methods=["GET"])

    return [
        route("svg", "image/svg+xml", lambda digits: qr_svg(digits).encode()),
        route("png", "image/png", qr_png),
    ]


async def _answer(serving: Serving, request: Request, media_type: str, draw: Draw) -> Response:
    try:
        code = await _code(serving, request)
    except RequestError as error:
        headers = dict(HEADERS)
        if isinstance(error, TooManyRequests):
            headers["Retry-After"] = str(error.retry_after_s)
        body = {"errors": [describe(error, current_request_id())]}
        return JSONResponse(body, error.status, headers)
    except DomainError as refusal:
        status = 404 if isinstance(refusal, cards.CardNotFound) else 409
        body = {
            "errors": [{"message": str(refusal), "extensions": {"code": type(refusal).__name__}}]
        }
        return JSONResponse(body, status, HEADERS)
    return Response(draw(code.value), headers=HEADERS, media_type=media_type)


async def _code(serving: Serving, request: Request) -> MemberCode:
    handshake = Handshake(
        "http", read_headers(request.scope), client_address(request.scope), current_request_id()
    )
    context = await serving.context(handshake, MEMBER_AUDIENCE)
    row = await context.read(
        member_codes.shown,
        member_id=context.member_id,
        card_id=parse_type_id("card", request.path_params["card_id"]),
        now=context.now,
    )
    return MemberCode.of(row, context.settings.member_codes, context.now)
