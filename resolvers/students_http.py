"""Where an outside verifier of students answers: POST /students/verifier/callback (STU-1).

Who sends an answer is proven by its signature alone, so the route asks for no sign-in. It answers
204 to all that was understood, also where nothing came of it: the verifier need not repeat that.
401 is for what is forged or too old, from 500 on asks for another try.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.core.db import Database
from app.gateways.outside import Outside
from app.gateways.student_verifier import ANSWER_MAX_BYTES, CALLBACK_PATH, AnswerRefused
from app.services import student_ids

_log = structlog.get_logger(__name__)


class Serving(Protocol):
    """What the route needs of a running server."""

    @property
    def database(self) -> Database: ...
    @property
    def outside(self) -> Outside: ...


def routes(running: Callable[[], Serving]) -> list[Route]:
    """The route; `running` gives the server's parts once it has started."""

    async def callback(request: Request) -> Response:
        return await _callback(running(), request)

    return [Route(CALLBACK_PATH, callback, methods=["POST"])]


async def _callback(serving: Serving, request: Request) -> Response:
    verifier = serving.outside.student_verifier
    if verifier is None:
        return PlainTextResponse("no verifier", 404)
    body = await request.body()
    if len(body) > ANSWER_MAX_BYTES:
        return PlainTextResponse("too large", 413)
    try:
        answer = verifier.read_answer(request.headers, body)
    except AnswerRefused as refused:
        _log.warning("student answer refused", why=refused.reason)
        return PlainTextResponse("refused", 401)
    try:
        decided = await serving.database.run(
            student_ids.answered, answer=answer, now=datetime.now(UTC)
        )
    except student_ids.StudentVerificationNotFound:
        return PlainTextResponse("unknown reference", 404)
    except Exception as error:  # whatever it is, the verifier shall repeat it
        _log.error("student answer not taken in", exc_info=error)
        return PlainTextResponse("try again", 500)
    if decided is None:
        _log.info("student answer changed nothing", event_id=answer.event_id)
    return Response(status_code=204)
