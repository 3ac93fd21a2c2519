"""Members go to the outside verifier of students: a signed address, and back (STU-1)."""

from typing import NamedTuple
from uuid import UUID

from app.core.errors import BadInput
from app.core.ids import type_id
from app.models.student_ids import StudentVerification
from app.services import student_ids
from auth.sessions import bearer
from auth.web import safe_return_to
from schema.context import Context


class VerifierStarted(NamedTuple):
    """What waits for the verifier's answer, and its page."""

    verification: StudentVerification
    url: str


async def start_verifier(
    context: Context, *, return_url: str, brand_id: UUID | None
) -> VerifierStarted:
    """Begin a verification and sign the way to the verifier's page.

    Raises `BadInput` for a page to come back to that is not ours, `StudentIdClosed` where settings
    name no verifier, and what the service raises.
    """
    verifier = context.outside.student_verifier
    if verifier is None:
        raise student_ids.StudentIdClosed
    url = safe_return_to(return_url, context.settings)
    if url is None:
        raise BadInput("returnUrl is neither a path of ours nor of an allowed origin.")
    if url.startswith("/"):
        url = context.settings.public_url.rstrip("/") + url
    row = await context.run(
        student_ids.start_verifier, bearer=bearer(context), brand_id=brand_id, now=context.now
    )
    reference = type_id("stu", row.id)
    return VerifierStarted(row, verifier.start_url(reference=reference, return_url=url))
