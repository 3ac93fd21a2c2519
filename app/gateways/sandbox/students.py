"""The sandbox's verifier of students: a page on which a tester says what it finds.

It checks the signed way there as docs/student-verifier.md asks, answers as that page says, and
needs no script.
"""

import contextlib
import hmac
import secrets
from html import escape
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from app.gateways.errors import ProviderUnavailable
from app.gateways.http import create_http, fetch
from app.gateways.payments.signatures import SignatureRefused, check_hmac_header, hmac_header
from app.gateways.sandbox.state import SandboxState
from app.gateways.sandbox.web import MAX_BODY_BYTES, is_web_uri
from app.gateways.signed_verifier import SIGNATURE_HEADER, answer_body
from app.gateways.student_verifier import StudentAnswer, StudentFinding

INSTITUTION = "Sandbox University"
SIGNED = ("client_id", "reference", "callback_url", "return_url")
SEND_TIMEOUT_S = 5.0


def students_app(state: SandboxState) -> Starlette:
    """What stands at {sandbox}/students."""
    endpoints = _Endpoints(state)
    return Starlette(
        routes=[
            Route("/verify", endpoints.page),
            Route("/verify", endpoints.answer, methods=["POST"]),
        ]
    )


class _Endpoints:
    def __init__(self, state: SandboxState) -> None:
        self._state = state

    async def page(self, request: Request) -> Response:
        if (begun := self._begun(request)) is None:
            return _refused()
        people = [(each.key, each.name) for each in (await self._state.directory()).people]
        options = "".join(
            f'<option value="{escape(key)}">{escape(name)}</option>' for key, name in people
        )
        # No action: the form goes to this very address, whose query says what was begun.
        return HTMLResponse(
            "<!doctype html><html lang=en><meta charset=utf-8>"
            '<meta name=viewport content="width=device-width">'
            "<title>Student verifier</title><h1>Student verifier (sandbox)</h1>"
            f"<p>{escape(INSTITUTION)} knows these students:</p>"
            f"<form method=post><p><select name=student>{options}</select></p>"
            f"<button name=finding value={StudentFinding.STUDENT}>Is a student</button> "
            f"<button name=finding value={StudentFinding.NOT_A_STUDENT}>Is none</button></form>"
            f'<p><a href="{escape(begun["return_url"])}">Back, without an answer</a></p></html>',
            headers={"Cache-Control": "no-store"},
        )

    async def answer(self, request: Request) -> Response:
        """The form of the page: tells the product what was found, and leads back to it."""
        if (begun := self._begun(request)) is None:
            return _refused()
        body = await request.body()
        form = dict(parse_qsl(body[:MAX_BODY_BYTES].decode("ascii", "replace")))
        is_student = form.get("finding") == StudentFinding.STUDENT
        answer = StudentAnswer(
            event_id=secrets.token_hex(16),
            reference=begun["reference"],
            finding=StudentFinding.STUDENT if is_student else StudentFinding.NOT_A_STUDENT,
            institution=INSTITUTION,
            student=form.get("student", "somebody"),
        )
        await self._send(begun["callback_url"], answer)
        return RedirectResponse(begun["return_url"], status_code=303)

    async def _send(self, url: str, answer: StudentAnswer) -> None:
        body = answer_body(answer)
        signature = hmac_header(self._state.students.secret, body, self._state.now())
        headers = {"Content-Type": "application/json", SIGNATURE_HEADER: signature}
        async with create_http(timeout_s=SEND_TIMEOUT_S) as http:
            # Should the product be away, the member stays where they are: they can begin again.
            with contextlib.suppress(ProviderUnavailable):
                await fetch(http, "POST", url, provider="product", content=body, headers=headers)

    def _begun(self, request: Request) -> dict[str, str] | None:
        """What the signed address says, or None if it was not signed by who shares the secret."""
        signed, _, _ = request.url.query.partition("&signature=")
        query = dict(parse_qsl(request.url.query))
        given = {name: query.get(name, "") for name in SIGNED}
        account, now = self._state.students, self._state.now()
        try:
            header = query.get("signature", "")
            check_hmac_header(header, signed.encode(), account.secret, now)
        except SignatureRefused:
            return None
        is_known = hmac.compare_digest(given["client_id"], account.client_id)
        urls = (given["callback_url"], given["return_url"])
        return given if is_known and all(map(is_web_uri, urls)) else None


def _refused() -> Response:
    return HTMLResponse("<!doctype html><title>401</title>This address was not signed", 401)
