"""STU-1: an outside verifier's answer over plain HTTP, signed, once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.gateways.payments.signatures import hmac_header
from app.gateways.signed_verifier import SIGNATURE_HEADER, answer_body
from app.gateways.student_verifier import CALLBACK_PATH, StudentAnswer, StudentFinding
from app.models.sessions import PrincipalKind
from app.settings import StudentVerifierSettings
from tests.factories.reading import every
from tests.factories.running import Live, a_running_app
from tests.factories.student_ids import (
    SAVE,
    SECRET,
    STANDING,
    START,
    all_verifications,
    some_settings,
)

pytestmark = pytest.mark.anyio

VERIFIER = StudentVerifierSettings(
    base_url="https://verifier.example", client_id="regulars", secret=SecretStr(SECRET)
)


async def test_stu_1_a_signed_answer_makes_a_student_and_a_forged_one_nothing(
    database: Database, database_url: str
) -> None:
    async with a_running_app(database, database_url, student_verifier=VERIFIER) as live:
        await live.as_staff(SAVE, input=some_settings(live.till))
        member_id = live.till.shop.member.id
        token = await live.token(PrincipalKind.MEMBER, member_id, member_id)
        started = await live.ask("/graphql", token, START, input={"returnUrl": "/h5/student"})
        assert started["url"].startswith("https://verifier.example/verify?client_id=regulars&")
        stu = started["verification"]["id"]

        async def told(reference: str = stu, secret: str = SECRET, **ago: Any) -> int:
            answer = StudentAnswer(
                "event-1", reference, StudentFinding.STUDENT, "Fudan University", "4711"
            )
            body = answer_body(answer)
            signed = hmac_header(secret, body, datetime.now(UTC) - timedelta(**ago))
            return await posted(live, body, {SIGNATURE_HEADER: signed})

        assert await posted(live, b"{}", {}) == 401
        assert await told(secret="another") == 401
        assert await told(minutes=6) == 401
        assert await told(type_id("stu", new_id())) == 404
        assert await posted(live, b"x" * 20_000, {}) == 413
        (row,) = await every(database, all_verifications)
        assert (row.state.value, row.verifier_event) == ("SUBMITTED", None)
        assert not (await live.as_member(STANDING))["isStudent"]
        assert [await told(), await told()] == [204, 204]
        assert (await live.as_member(STANDING))["valid"]["institution"] == "Fudan University"
        assert len(await every(database, all_verifications)) == 1


async def posted(live: Live, body: bytes, headers: dict[str, str]) -> int:
    return (await live.http.post(CALLBACK_PATH, content=body, headers=headers)).status_code
