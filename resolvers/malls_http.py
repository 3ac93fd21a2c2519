"""The QR code of a mall's link, to download and print (MAL-4): anybody may have it."""

from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.core.db import Database
from app.core.errors import BadInput
from app.core.ids import parse_type_id
from app.core.qr_codes import link_png, link_svg
from app.services import points_mall
from app.settings import Settings
from schema.points_mall import MallTarget, mall_url

# The link of a mall never changes, but a group may move to another address.
CACHED = {"Cache-Control": "public, max-age=3600"}
MISSING = "There is no such mall."
Draw = Callable[[str], bytes]


class Serving(Protocol):
    """What the routes need of a running server."""

    @property
    def database(self) -> Database: ...

    @property
    def group_id(self) -> UUID: ...

    @property
    def settings(self) -> Settings: ...


def routes(running: Callable[[], Serving]) -> list[Route]:
    """`/codes/mall/{h5 or mini_program}/{node id}.svg` and `.png`."""

    def route(suffix: str, media_type: str, draw: Draw) -> Route:
        async def answer(request: Request) -> Response:
            return await _answer(running(), request, media_type, draw)

        return Route(f"/codes/mall/{{target}}/{{node_id}}.{suffix}", answer, methods=["GET"])

    return [
        route("svg", "image/svg+xml", lambda link: link_svg(link).encode()),
        route("png", "image/png", link_png),
    ]


async def _answer(serving: Serving, request: Request, media_type: str, draw: Draw) -> Response:
    try:
        target = MallTarget(request.path_params["target"].upper())
        node_id = parse_type_id("node", request.path_params["node_id"])
    except (ValueError, BadInput):
        return PlainTextResponse(MISSING, 404)
    mall = await serving.database.read(
        points_mall.mall_of, group_id=serving.group_id, node_id=node_id
    )
    if mall is None:
        return PlainTextResponse(MISSING, 404)
    link = mall_url(target, mall, serving.settings.public_url)
    name = f"mall-{target.value.lower()}.{media_type.partition('/')[2].partition('+')[0]}"
    headers = CACHED | {"Content-Disposition": f'inline; filename="{name}"'}
    return Response(draw(link), headers=headers, media_type=media_type)
