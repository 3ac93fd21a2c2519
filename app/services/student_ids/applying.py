"""Members ask to be taken for students: by e-mail, by card, by an outside verifier (STU-1)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Transaction, statement
from app.core.errors import BadInput, DomainError
from app.core.phones import normal_email
from app.core.texts import checked_text, normal_name
from app.models.identities import CodeChannel, CodePurpose
from app.models.members import Member
from app.models.student_ids import (
    StudentIdSettings,
    StudentMethod,
    StudentState,
    StudentVerification,
)
from app.services import files, limits, members, requests, verification_codes
from app.services.members import Bearer
from app.services.student_ids import claims, schools, settings, verifications
from app.services.verification_codes import Sent

DAY = timedelta(days=1)
CODES_A_DAY_MAX = 10
"""To whatever addresses: so that nobody writes to a whole school in our name."""
ANSWER_LIFE = timedelta(hours=1)
"""How long an outside verifier is waited for."""
RENEWAL_DAYS = 30
"""So long before the end one can be verified again, or from the first reminder on if earlier; but
not in the first half of its time: no short one is renewed again and again for its gift."""
NUMBER_CHARS_MAX = 40
NAME_CHARS_MAX = 120

_of_member = col(StudentVerification.member_id).in_(members.own_records)
open_of_member = statement(
    select(StudentVerification)
    .where(_of_member, col(StudentVerification.state) == StudentState.SUBMITTED)
    .order_by(col(StudentVerification.id)),
    into=StudentVerification,
)
submitted_since = statement(
    select(StudentVerification.submitted_at)
    .where(_of_member, col(StudentVerification.submitted_at) > bindparam("since"))
    .order_by(col(StudentVerification.submitted_at)),
    into=datetime,
)


class StudentVerificationPending(DomainError):
    """One that the member sent in waits for its answer."""

    def __init__(self, verification_id: UUID) -> None:
        self.verification_id = verification_id
        super().__init__("What you sent in before is still being looked at.")


class AlreadyStudent(DomainError):
    """The student ID is valid for so long that renewing it would be too early."""

    def __init__(self, *, valid_until: datetime, renewable_from: datetime) -> None:
        self.valid_until = valid_until
        self.renewable_from = renewable_from
        super().__init__("Your student ID is valid. You can renew it shortly before it ends.")


class TooManySubmissions(DomainError):
    """As many tries within a day as the settings allow."""

    def __init__(self, *, retry_at: datetime) -> None:
        self.retry_at = retry_at
        super().__init__("You have tried too often today. Please try again later.")


class Applied(NamedTuple):
    """A verification, and whether an earlier request with the same key made it."""

    verification: StudentVerification
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentCard:
    """What a member says about a student card, and its picture."""

    institution_domain: str
    student_name: str
    student_number: str
    file_id: UUID


async def send_code(
    tx: Transaction,
    *,
    bearer: Bearer,
    brand_id: UUID | None,
    email: str,
    address: str,
    now: datetime,
) -> Sent:
    """Send a code to an address at a listed school, which `verify_email` takes.

    Nothing is said about who uses the address: that is for who can read what is sent there.
    Raises `StudentIdClosed`, `InstitutionNotListed`, `AlreadyStudent`, `TooManySubmissions`,
    `StudentVerificationPending`, `CodesTooOften`, `InvalidEmail`, `TooManyRequests`.
    """
    member, rules = await _applying(tx, bearer, brand_id, StudentMethod.EMAIL, now)
    await _require_free(tx, member, rules, now)
    target = normal_email(email)
    await schools.school_of(tx, group_id=member.group_id, domain=_domain_of(target))
    await limits.spend(
        tx, subject=f"student-codes:{member.id}", at_most=CODES_A_DAY_MAX, window=DAY, now=now
    )
    return await verification_codes.send(
        tx,
        group_id=member.group_id,
        channel=CodeChannel.EMAIL,
        purpose=CodePurpose.STUDENT_ID,
        target=target,
        address=address,
        now=now,
    )


async def verify_email(
    tx: Transaction,
    *,
    bearer: Bearer,
    brand_id: UUID | None,
    email: str,
    code: str,
    address: str,
    request_key: str,
    now: datetime,
) -> Applied:
    """Prove a school's address by the code that was sent there: the member is a student at once.

    Only now is anything written down: an address that nobody proved must not be kept from whose it
    is. Raises as `send_code`, and `CodeWrong`, `StudentIdentityInUse`, `RequestKeyReused`.
    """
    member = await members.acting(tx, bearer, now=now)
    target = normal_email(email)
    request = _request(member, "student_email_verify", request_key, brand_id, email=target)
    if earlier := await requests.answered(tx, request):
        return Applied(await verifications.existing(tx, earlier), replayed=True)
    rules = await settings.offering(
        tx, group_id=member.group_id, brand_id=brand_id, method=StudentMethod.EMAIL
    )
    school = await schools.school_of(tx, group_id=member.group_id, domain=_domain_of(target))
    await _require_free(tx, member, rules, now)
    # Before anything is written: a wrong try keeps what was, so that it counts.
    await verification_codes.prove(
        tx,
        channel=CodeChannel.EMAIL,
        purpose=CodePurpose.STUDENT_ID,
        target=target,
        code=code,
        address=address,
        now=now,
    )
    claim = await requests.claim(tx, request, now=now)
    row = await _submit(
        tx, member, rules, StudentMethod.EMAIL, now, id=claim.answer_id, institution=school.name,
        identity=target, identity_index=claims.index_of_identity(
            StudentMethod.EMAIL, _mailbox(target)
        ),
    )  # fmt: skip
    approved = await verifications.approve(tx, row, member, rules, now=now)
    return Applied(approved, replayed=False)


async def submit_card(
    tx: Transaction,
    *,
    bearer: Bearer,
    brand_id: UUID | None,
    card: StudentCard,
    request_key: str,
    now: datetime,
) -> Applied:
    """Send in the picture of a student card for staff to look at.

    Raises `StudentIdClosed`, `InstitutionNotListed`, `FileNotFound`, `StudentIdentityInUse`,
    `AlreadyStudent`, `TooManySubmissions`, `StudentVerificationPending`, `RequestKeyReused`.
    """
    member = await members.acting(tx, bearer, now=now)
    number = _normal_number(card.student_number)
    name = checked_text("studentName", card.student_name, at_most=NAME_CHARS_MAX)
    domain = schools.normal_domain(card.institution_domain)
    request = _request(
        member, "student_card_submit", request_key, brand_id,
        domain=domain, number=number, name=name, file_id=card.file_id,
    )  # fmt: skip
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return Applied(await verifications.existing(tx, claim.answer_id), replayed=True)
    rules = await settings.offering(
        tx, group_id=member.group_id, brand_id=brand_id, method=StudentMethod.CARD
    )
    school = await schools.school_of(tx, group_id=member.group_id, domain=domain)
    await _require_free(tx, member, rules, now)
    await files.require_private(tx, member_id=member.id, file_id=card.file_id)
    row = await _submit(
        tx, member, rules, StudentMethod.CARD, now, id=claim.answer_id, institution=school.name,
        identity=number, student_name=name, card_file_id=card.file_id,
        identity_index=claims.index_of_identity(StudentMethod.CARD, school.key, number),
    )  # fmt: skip
    return Applied(row, replayed=False)


async def start_verifier(
    tx: Transaction, *, bearer: Bearer, brand_id: UUID | None, now: datetime
) -> StudentVerification:
    """Begin a verification by the outside verifier; it has an hour to answer.

    Who begins again gave up what they began before. Raises `StudentIdClosed`, `AlreadyStudent`,
    `TooManySubmissions`, `StudentVerificationPending`.
    """
    member, rules = await _applying(tx, bearer, brand_id, StudentMethod.VERIFIER, now)
    for each in await tx.all(open_of_member, member_id=member.id):
        if each.method is StudentMethod.VERIFIER:
            await verifications.end(tx, each, StudentState.WITHDRAWN, now=now)
    await _require_free(tx, member, rules, now)
    return await _submit(
        tx, member, rules, StudentMethod.VERIFIER, now, institution="",
        answer_until=now + ANSWER_LIFE,
    )  # fmt: skip


async def withdraw(
    tx: Transaction, *, bearer: Bearer, verification_id: UUID, now: datetime
) -> StudentVerification:
    """Take back what was sent in and not decided; its picture is deleted.

    Raises `StudentVerificationNotFound`, `StudentVerificationNotOpen`.
    """
    member = await members.acting(tx, bearer, now=now)
    row, owner = await verifications.locked(tx, verification_id)
    if owner.id != member.id:
        raise verifications.StudentVerificationNotFound
    if row.state is not StudentState.SUBMITTED:
        raise verifications.StudentVerificationNotOpen(row.state)
    return await verifications.end(tx, row, StudentState.WITHDRAWN, now=now)


async def _applying(
    tx: Transaction,
    bearer: Bearer,
    brand_id: UUID | None,
    method: StudentMethod,
    now: datetime,
) -> tuple[Member, StudentIdSettings]:
    member = await members.acting(tx, bearer, now=now)
    rules = await settings.offering(tx, group_id=member.group_id, brand_id=brand_id, method=method)
    return member, rules


async def _require_free(
    tx: Transaction, member: Member, rules: StudentIdSettings, now: datetime
) -> None:
    """Raise unless the member can send something in now."""
    for waiting in await tx.all(open_of_member, member_id=member.id):
        raise StudentVerificationPending(waiting.id)
    for valid in await tx.all(verifications.approved_of_member, member_id=member.id):
        assert valid.valid_until is not None, "a CHECK says so"
        assert valid.approved_at is not None, "a CHECK says so"
        days = max(RENEWAL_DAYS, *valid.reminder_days, 0)
        half = valid.approved_at + (valid.valid_until - valid.approved_at) / 2
        renewable_from = max(valid.valid_until - timedelta(days=days), half)
        if now < renewable_from:
            raise AlreadyStudent(valid_until=valid.valid_until, renewable_from=renewable_from)
    tries = await tx.all(submitted_since, member_id=member.id, since=now - DAY)
    if len(tries) >= rules.submissions_a_day:
        raise TooManySubmissions(retry_at=tries[-rules.submissions_a_day] + DAY)


async def _submit(
    tx: Transaction,
    member: Member,
    rules: StudentIdSettings,
    method: StudentMethod,
    now: datetime,
    **known: Any,
) -> StudentVerification:
    """Write a verification down, and claim the identity if it is known."""
    row: StudentVerification = verifications.new_verification(
        group_id=member.group_id,
        node_id=rules.node_id,
        member_id=member.id,
        method=method,
        state=StudentState.SUBMITTED,
        submitted_at=now,
        **known,
    )
    if row.identity_index is not None:
        await claims.take(tx, member=member, identity_index=row.identity_index)
    await tx.insert(row)
    return row


def _request(
    member: Member, operation: str, key: str, brand_id: UUID | None, **given: Any
) -> requests.Request:
    return requests.Request(
        principal_id=member.id, operation=operation, key=key, input={"brand_id": brand_id} | given
    )


def _domain_of(email: str) -> str:
    return email.partition("@")[2]


def _mailbox(email: str) -> str:
    """The address without what may follow a plus sign: that is the same mailbox, and student."""
    local, _, domain = email.partition("@")
    return f"{local.partition('+')[0]}@{domain}"


def _normal_number(text: str) -> str:
    """A student number as it is compared: capital letters and digits alone."""
    text = checked_text("studentNumber", text, at_most=NUMBER_CHARS_MAX)
    number = "".join(each for each in normal_name(text).upper() if each.isalnum())
    if not number:
        raise BadInput("studentNumber needs a letter or a digit.")
    return number
