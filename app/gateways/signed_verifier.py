"""The verifier of students that settings describe, as docs/student-verifier.md says (STU-1).

The way there is an address that we sign, so nothing outside is called while a member waits; the
answer is a POST that the verifier signs. Both carry a timestamp and an HMAC-SHA256 under one shared
secret.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from app.core.clock import utc_now
from app.gateways.errors import ProviderUnavailable
from app.gateways.payments.fields import Fields
from app.gateways.payments.signatures import SignatureRefused, check_hmac_header, hmac_header
from app.gateways.student_verifier import (
    ANSWER_MAX_BYTES,
    AnswerRefused,
    StudentAnswer,
    StudentFinding,
)

PROVIDER = "student_verifier"
SIGNATURE_HEADER = "Student-Verifier-Signature"
TEXT_CHARS_MAX = {"id": 128, "reference": 64, "institution": 200, "student": 128}


@dataclass(frozen=True)
class VerifierConfig:
    base_url: str
    client_id: str
    secret: str = field(repr=False)
    callback_url: str


class SignedVerifier:
    """The `StudentVerifier` that settings describe."""

    def __init__(self, config: VerifierConfig, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._config = config
        self._clock = clock

    def start_url(self, *, reference: str, return_url: str) -> str:
        query = urlencode(
            {
                "client_id": self._config.client_id,
                "reference": reference,
                "callback_url": self._config.callback_url,
                "return_url": return_url,
            }
        )
        signature = hmac_header(self._config.secret, query.encode(), self._clock())
        base_url = self._config.base_url.rstrip("/")
        return f"{base_url}/verify?{query}&{urlencode({'signature': signature})}"

    def read_answer(self, headers: Mapping[str, str], body: bytes) -> StudentAnswer:
        if len(body) > ANSWER_MAX_BYTES:
            raise AnswerRefused("too large")
        given = {name.lower(): value for name, value in headers.items()}
        header = given.get(SIGNATURE_HEADER.lower(), "")
        try:
            check_hmac_header(header, body, self._config.secret, self._clock())
            answer = Fields.parse(body, PROVIDER)
            finding = answer.choice("finding", StudentFinding)
            is_student = finding is StudentFinding.STUDENT
            return StudentAnswer(
                event_id=_text(answer, "id"),
                reference=_text(answer, "reference"),
                finding=finding,
                institution=_text(answer, "institution") if is_student else "",
                student=_text(answer, "student") if is_student else "",
            )
        except SignatureRefused as error:
            raise AnswerRefused(str(error)) from error
        except ProviderUnavailable as error:
            raise AnswerRefused(f"malformed: {error.reason}") from error


def answer_body(answer: StudentAnswer) -> bytes:
    """An answer as a verifier writes it; for the sandbox."""
    content = {"id": answer.event_id, "reference": answer.reference, "finding": answer.finding}
    if answer.finding is StudentFinding.STUDENT:
        content |= {"institution": answer.institution, "student": answer.student}
    return json.dumps(content).encode()


def _text(answer: Fields, name: str) -> str:
    text = answer.text(name)
    if len(text) > TEXT_CHARS_MAX[name] or not text.isprintable():
        raise answer.lacks(name)
    return text
