"""Students, and what it takes to become one (STU-1…STU-4)."""

from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import orjson
from sqlmodel import col, select

from app.core.db import Database, Transaction, light, statement
from app.core.ids import new_id, type_id
from app.gateways.signed_verifier import SignedVerifier, VerifierConfig
from app.models.files import FileKind
from app.models.members import Member
from app.models.operations import Job
from app.models.student_ids import StudentMethod, StudentState, StudentVerification
from app.services import members, verification_codes
from tests.factories.cards import Counter
from tests.factories.files import an_image
from tests.factories.reading import every

ONE = """id state method institution identity validUntil approvedAt endedAt reason note isRenewal
  giftedAt"""
SAVE = """mutation ($input: StudentIdSettingsSaveInput!) { studentIdSettingsSave(input: $input) {
  __typename
  ... on StudentIdSettings { version isOpen methods validityMonths pageTitle pageText userGroupName
    tagId giftRule gifts { templateId packId count } reminderDays submissionsADay node { id }
    cover { url } }
  ... on EditedMeanwhile { currentVersion } } }"""
_REFUSED = """
  ... on Problem { message } ... on AlreadyStudent { validUntil renewableFrom }
  ... on TooManySubmissions { retryAt } ... on StudentVerificationPending { verificationId }"""
SEND = (
    "mutation ($input: StudentEmailCodeSendInput!) { studentEmailCodeSend(input: $input) {"
    " __typename ... on VerificationCodeSent { expiresAt }" + _REFUSED + " } }"
)
VERIFY = (
    "mutation ($input: StudentEmailVerifyInput!) { studentEmailVerify(input: $input) { __typename"
    " ... on StudentApplied { replayed verification { " + ONE + " } }" + _REFUSED + " } }"
)
SUBMIT = (
    "mutation ($input: StudentCardSubmitInput!) { studentCardSubmit(input: $input) { __typename"
    " ... on StudentApplied { replayed verification { " + ONE + " } }" + _REFUSED + " } }"
)
START = (
    "mutation ($input: StudentVerifierStartInput!) { studentVerifierStart(input: $input) {"
    " __typename ... on StudentVerifierStarted { url verification { " + ONE + " } }"
    + _REFUSED + " } }"
)  # fmt: skip
WITHDRAW = (
    "mutation ($id: ID!) { studentVerificationWithdraw(input: {id: $id}) { __typename"
    " ... on StudentVerification { " + ONE + " } ... on StudentVerificationNotOpen { state } } }"
)
STANDING = (
    "{ studentStanding { isStudent valid { " + ONE + " } waiting { id state } latest { "
    + ONE + " } } }"
)  # fmt: skip
_DECIDED = (
    " __typename ... on StudentVerification { " + ONE + " }"
    " ... on StudentVerificationNotOpen { state } } }"
)
APPROVE = "mutation ($id: ID!) { studentVerificationApprove(input: {id: $id}) {" + _DECIDED
REJECT = (
    "mutation ($input: StudentVerificationRejectInput!) {"
    " studentVerificationReject(input: $input) {" + _DECIDED
)
END = (
    "mutation ($id: ID!) { studentVerificationEnd(input: {id: $id, reason: NOT_A_STUDENT}) {"
    + _DECIDED
)
LOOK = """mutation ($id: ID!) { studentVerificationLook(input: {id: $id}) { __typename
  ... on StudentSubmission { studentName studentNumber pictureUrl }
  ... on StudentVerificationNotOpen { state } } }"""
QUEUE = "{ studentReviewQueue { edges { node { id } } } }"
DASHBOARD = """query ($node: ID!) { studentDashboard(nodeId: $node) {
  validStudents members shareBasisPoints day newStudents expiredStudents } }"""

FUDAN = "fudan.edu.cn"
CALLBACK = "https://regulars.example/students/verifier/callback"
SECRET = "verifier-secret"

codes_sent = statement(
    select(Job).where(col(Job.kind) == verification_codes.SEND_JOB).order_by(col(Job.id)), into=Job
)
all_verifications = statement(
    select(StudentVerification).order_by(col(StudentVerification.id)), into=StudentVerification
)


async def a_student(
    tx: Transaction, *, member: Member, valid_until: datetime, now: datetime
) -> StudentVerification:
    """A member whose student ID is valid until then."""
    row = light(StudentVerification)(
        group_id=member.group_id,
        node_id=member.group_id,
        member_id=member.id,
        method=StudentMethod.EMAIL,
        state=StudentState.APPROVED,
        institution="Fudan University",
        submitted_at=now,
        approved_at=now,
        valid_until=valid_until,
    )
    await tx.insert(row)
    return row


def some_settings(till: Counter, **more: Any) -> dict[str, Any]:
    """Student IDs of the group, for six months, by every method, without a gift."""
    given: dict[str, Any] = {
        "nodeId": type_id("node", till.shop.places.group.id),
        "expectedVersion": 0,
        "isOpen": True,
        "methods": ["EMAIL", "CARD", "VERIFIER"],
        "validityMonths": 6,
        "pageTitle": "Students",
        "pageText": "Show that you study.",
    }
    return given | more


async def set_up(till: Counter, **more: Any) -> Any:
    saved = await till.as_staff(SAVE, input=some_settings(till, **more))
    assert saved["__typename"] == "StudentIdSettings", saved
    return saved


async def another_member(till: Counter) -> Member:
    return await till.database.run(
        members.create, group_id=till.shop.places.group.id, name="李雷", now=till.now
    )


async def code_for(database: Database, email: str) -> str:
    """The newest code that is on its way to an address."""
    payloads = [orjson.loads(job.payload) for job in await every(database, codes_sent)]
    return next(str(each["code"]) for each in reversed(payloads) if each["target"] == email)


async def verify_by_email(
    till: Counter, email: str, /, *, who: UUID | None = None, **more: Any
) -> Any:
    """Have a code sent and give it back: what the second answered, or why none was sent."""
    sent = await till.as_member(SEND, member_id=who, input={"email": email} | more)
    if sent["__typename"] != "VerificationCodeSent":
        return sent
    code = await code_for(till.database, email.lower())
    given = {"email": email, "code": code, "requestKey": new_id().hex} | more
    return await till.as_member(VERIFY, member_id=who, input=given)


async def an_uploaded_card(till: Counter, member_id: UUID) -> str:
    """A picture that the member uploaded for few eyes; its id."""
    file = await till.database.run(
        an_image,
        group_id=till.shop.places.group.id,
        kind=FileKind.PRIVATE_IMAGE,
        uploader_id=member_id,
        now=till.now,
    )
    return type_id("file", file.id)


async def submit_card(till: Counter, /, *, who: UUID | None = None, **more: Any) -> Any:
    given = {
        "institutionDomain": FUDAN,
        "studentName": "Li Lei",
        "studentNumber": "2152-0042",
        "requestKey": new_id().hex,
    } | more
    if "fileId" not in given:
        given["fileId"] = await an_uploaded_card(till, who or till.shop.member.id)
    return await till.as_member(SUBMIT, member_id=who, input=given)


def a_verifier(till: Counter) -> SignedVerifier:
    config = VerifierConfig("https://verifier.example", "regulars", SECRET, CALLBACK)
    return SignedVerifier(config, clock=lambda: till.now)


def with_verifier(till: Counter) -> Counter:
    """The same with an outside verifier of students, and nothing else outside."""
    outside = SimpleNamespace(student_verifier=a_verifier(till))
    return replace(till, outside=cast("Any", outside))
