"""STU-1, STU-3, STU-4: what outside verifiers, time, merges and closures do; and the numbers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from sqlmodel import col, select

from app.core.db import Database, statement
from app.core.ids import parse_type_id, type_id
from app.gateways.payments.signatures import hmac_header
from app.gateways.signed_verifier import SIGNATURE_HEADER, answer_body
from app.gateways.student_verifier import AnswerRefused, StudentAnswer, StudentFinding
from app.jobs.worker import Worker
from app.models.behaviour import Notice
from app.models.files import File, FileState
from app.models.members import Member, MemberTag
from app.models.scopes import Channel
from app.models.student_ids import StudentIdentity, StudentState
from app.services import cards, student_ids
from app.services.members import Bearer
from app.services.merges import merging
from app.services.student_ids import deciding, verifications
from tests.factories.cards import Counter, counter
from tests.factories.races import beside, call
from tests.factories.reading import every
from tests.factories.scopes import a_scope, a_tag, obstacle_to
from tests.factories.staff import employee
from tests.factories.student_ids import (
    DASHBOARD,
    SECRET,
    STANDING,
    START,
    a_verifier,
    all_verifications,
    another_member,
    set_up,
    submit_card,
    verify_by_email,
    with_verifier,
)

pytestmark = pytest.mark.anyio

MAIL = "li.lei@fudan.edu.cn"
NOTICES = """{ notices { edges { node { kind pointsExpiring { days }
  studentIdEnding { verificationId days validUntil } } } } }"""
CLOSE = """mutation { memberClose(input: {requestKey: "k", forfeitBalances: true}) {
  __typename } }"""
BACK = {"returnUrl": "/h5/student"}

all_tags_on = statement(select(MemberTag).order_by(col(MemberTag.id)), into=MemberTag)
all_claims = statement(select(StudentIdentity), into=StudentIdentity)
all_notices = statement(select(Notice), into=Notice)
all_files = statement(select(File), into=File)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return with_verifier(await counter(database, now))


async def the_clock_strikes(till: Counter) -> None:
    """What workers do at this time."""
    await Worker(till.database, cast("Any", None), handlers={}, clock=lambda: till.now).drain()


async def tags_of(till: Counter, member: Member) -> list[UUID]:
    return [row.tag_id for row in await every(till.database, all_tags_on)
            if row.member_id == member.id]  # fmt: skip


def answered(till: Counter, reference: str, /, **more: Any) -> Any:
    given: dict[str, Any] = {
        "event_id": "event-1",
        "reference": reference,
        "finding": StudentFinding.STUDENT,
        "institution": "Fudan University",
        "student": "fudan-4711",
    }
    return call(student_ids.answered, answer=StudentAnswer(**(given | more)), now=till.now)


async def begun(till: Counter, /, **asked: Any) -> str:
    started = await till.as_member(START, input=BACK, **asked)
    assert started["__typename"] == "StudentVerifierStarted", started
    return str(started["verification"]["id"])


async def test_stu_1_an_outside_verifier_answers_once(till: Counter) -> None:
    await set_up(till)
    nobody = replace(till, outside=cast("Any", SimpleNamespace(student_verifier=None)))
    assert (await nobody.as_member(START, input=BACK))["__typename"] == "StudentIdClosed"
    evil = {"returnUrl": "https://evil.example/"}
    assert await till.as_member(START, input=evil) == "BAD_USER_INPUT"
    first = await begun(till)
    # Beginning again gives up what was begun before, whose answer then changes nothing.
    second = await begun(till)
    assert await till.database.run(answered(till, first)) is None
    approved = await till.database.run(answered(till, second))
    assert (approved.state, approved.institution) == (StudentState.APPROVED, "Fudan University")
    # The same answer again, and another one to the same question: nothing moves.
    before = await every(till.database, all_verifications)
    assert await till.database.run(answered(till, second)) is None
    no = {"event_id": "event-2", "finding": StudentFinding.NOT_A_STUDENT}
    assert await till.database.run(answered(till, second, **no)) is None
    assert await every(till.database, all_verifications) == before
    assert [row.state.value for row in before] == ["WITHDRAWN", "APPROVED"]
    for unknown in ("nonsense", type_id("stu", before[0].member_id)):
        with pytest.raises(student_ids.StudentVerificationNotFound):
            await till.database.run(answered(till, unknown))


async def test_stu_1_an_outside_verifier_can_say_no_or_name_a_student_who_is_another(
    till: Counter,
) -> None:
    await set_up(till)
    no = await till.database.run(
        answered(till, await begun(till), finding=StudentFinding.NOT_A_STUDENT)
    )
    assert (no.state.value, no.reason.value) == ("REJECTED", "NOT_A_STUDENT")
    await till.database.run(answered(till, await begun(till), event_id="event-2"))
    other = await another_member(till)
    # An answer that was given before decides nothing else.
    theirs = await begun(till, member_id=other.id)
    assert await till.database.run(answered(till, theirs, event_id="event-2")) is None
    same = await till.database.run(answered(till, theirs, event_id="event-3"))
    assert (same.state.value, same.reason.value) == ("REJECTED", "IDENTITY_IN_USE")
    standing = await till.as_member(STANDING, member_id=other.id)
    assert (standing["isStudent"], standing["latest"]["reason"]) == (False, "IDENTITY_IN_USE")
    # What comes after an hour comes too late.
    lapsed = await begun(till, member_id=other.id)
    late = till.later(hours=1)
    yes = {"event_id": "event-4", "student": "fudan-4712"}
    assert await till.database.run(answered(late, lapsed, **yes)) is None
    await the_clock_strikes(late)
    states = [row.state.value for row in await every(till.database, all_verifications)]
    assert states == ["REJECTED", "APPROVED", "REJECTED", "WITHDRAWN"]


def test_stu_1_a_verifiers_answer_is_read_only_if_it_is_signed_and_new() -> None:
    class Now:
        now = datetime(2026, 9, 1, 12, tzinfo=UTC)

    verifier = a_verifier(cast("Any", Now))
    answer = StudentAnswer("e", "stu_1", StudentFinding.STUDENT, "Fudan University", "4711")
    body = answer_body(answer)

    def headers(secret: str = SECRET, seconds: int = 0, signed: bytes = body) -> dict[str, str]:
        at = Now.now + timedelta(seconds=seconds)
        return {SIGNATURE_HEADER: hmac_header(secret, signed, at)}

    assert verifier.read_answer(headers(), body) == answer
    assert verifier.read_answer(headers(seconds=-300), body) == answer
    refused: list[tuple[dict[str, str], bytes]] = [
        ({}, body),
        (headers("another secret"), body),
        (headers(), body + b" "),
        (headers(seconds=-301), body),
        (headers(seconds=301), body),
        (headers(signed=b"x" * 20_000), b"x" * 20_000),
    ]
    no_answers = (
        b"[]",
        b'{"id": "e", "reference": "r", "finding": "PERHAPS"}',
        b'{"id": "e", "reference": "r", "finding": "STUDENT", "institution": "I"}',
        b'{"id": 1, "reference": "r", "finding": "NOT_A_STUDENT"}',
        b'{"id": "%b", "reference": "r", "finding": "NOT_A_STUDENT"}' % (b"e" * 129),
        b"\xff",
    )
    refused += [(headers(signed=malformed), malformed) for malformed in no_answers]
    for given, sent in refused:
        with pytest.raises(AnswerRefused):
            verifier.read_answer(given, sent)


async def test_stu_3_a_tag_comes_with_approval_and_goes_with_expiry_unless_staff_put_it_on(
    till: Counter, now: datetime
) -> None:
    run, group, member = till.database.run, till.shop.places.group, till.shop.member
    tag = await run(a_tag, group_id=group.id, now=now)
    other = await another_member(till)
    by_hand = await run(a_tag, group_id=group.id, on=(other,), now=now)
    await set_up(till, tagId=type_id("tag", tag.id))
    applied = await verify_by_email(till, MAIL)
    assert await tags_of(till, member) == [tag.id]
    valid_until = datetime.fromisoformat(applied["verification"]["validUntil"])
    almost = replace(till, now=valid_until - timedelta(seconds=1))
    await the_clock_strikes(almost)
    assert await tags_of(till, member) == [tag.id]
    over = replace(till, now=valid_until + timedelta(hours=3))
    await the_clock_strikes(over)
    await the_clock_strikes(over)
    assert await tags_of(till, member) == []
    (row,) = await every(till.database, all_verifications)
    # It ended when its time was over, however late the duty came by.
    assert (row.state, row.ended_at) == (StudentState.EXPIRED, valid_until)
    assert await every(till.database, all_claims) == []
    # STU-3: what staff put on stays, whether before the approval or after they had taken it off.
    await set_up(till, expectedVersion=1, tagId=type_id("tag", by_hand.id), validityMonths=1)
    await verify_by_email(till, "han@fudan.edu.cn", who=other.id)
    await the_clock_strikes(till.later(days=60))
    assert await tags_of(till, other) == [by_hand.id]


async def test_stu_2_members_are_reminded_once_for_each_of_the_days(till: Counter) -> None:
    await set_up(till, reminderDays=[7, 30], validityMonths=2)
    applied = await verify_by_email(till, MAIL)
    stu, valid_until = applied["verification"]["id"], applied["verification"]["validUntil"]
    ends = datetime.fromisoformat(valid_until)

    async def reminded(days: float) -> list[int]:
        at = replace(till, now=ends - timedelta(days=days))
        await the_clock_strikes(at)
        await the_clock_strikes(at)
        told = (await at.as_member(NOTICES))["edges"]
        assert {edge["node"]["kind"] for edge in told} <= {"STUDENT_ID_ENDING"}
        return [edge["node"]["studentIdEnding"]["days"] for edge in told]

    assert await reminded(30.1) == []
    assert await reminded(30) == [30]
    assert await reminded(8) == [30]
    assert await reminded(6) == [7, 30]
    (newest, _) = (await till.as_member(NOTICES))["edges"]
    assert newest["node"] == {
        "kind": "STUDENT_ID_ENDING", "pointsExpiring": None,
        "studentIdEnding": {"verificationId": stu, "days": 7, "validUntil": valid_until},
    }  # fmt: skip
    assert await reminded(-1) == [7, 30]


async def test_stu_3_what_is_for_students_opens_to_them_and_closes_again(
    till: Counter, now: datetime
) -> None:
    await set_up(till, validityMonths=1)
    group, card = till.shop.places.group, till.shop.card
    scope = await till.database.run(a_scope, perspective=group, for_students=True)

    async def is_open(at: datetime) -> bool:
        asked: dict[str, Any] = {"channel": Channel.ONLINE, "card": card, "now": at}
        return await till.database.read(obstacle_to, scope=scope, **asked) is None

    assert not await is_open(now)
    await verify_by_email(till, MAIL)
    assert [await is_open(now), await is_open(now + timedelta(days=29))] == [True, True]
    assert not await is_open(now + timedelta(days=30))


async def test_stu_3_whoever_survives_a_merge_is_a_student_if_either_was(
    till: Counter, now: datetime
) -> None:
    run, group, member = till.database.run, till.shop.places.group, till.shop.member
    tag = await run(a_tag, group_id=group.id, now=now)
    await set_up(till, tagId=type_id("tag", tag.id), validityMonths=1)
    await verify_by_email(till, MAIL)
    other = await another_member(till)
    await set_up(till, expectedVersion=1, tagId=type_id("tag", tag.id), validityMonths=6)
    await verify_by_email(till, "han@fudan.edu.cn", who=other.id)
    survivor = await another_member(till)
    for loser in (member, other):
        await run(merging.join_records, survivor_id=survivor.id, loser_id=loser.id, now=now)
    standing = await till.as_member(STANDING, member_id=survivor.id)
    assert (standing["isStudent"], standing["valid"]["validUntil"][:10]) == (True, "2027-03-01")
    assert await tags_of(till, survivor) == [tag.id]
    # The shorter one ends, and the tag stays for the longer.
    await the_clock_strikes(till.later(days=31))
    assert await tags_of(till, survivor) == [tag.id]
    # Each identity is still the survivor's: nobody else's, and theirs to renew.
    third = await another_member(till)
    taken = await verify_by_email(till.later(minutes=2), "han@fudan.edu.cn", who=third.id)
    assert taken["__typename"] == "StudentIdentityInUse"
    renewal = await verify_by_email(till.later(days=170), "han@fudan.edu.cn", who=survivor.id)
    assert renewal["verification"]["isRenewal"]
    await the_clock_strikes(till.later(days=400))
    assert await tags_of(till, survivor) == []


async def test_sec_4_a_closed_account_leaves_nothing_of_the_student(till: Counter) -> None:
    await set_up(till)
    await verify_by_email(till.later(days=-160), MAIL)
    await submit_card(till)
    exported = await till.as_member("{ memberExport }")
    assert [each["identity"] for each in exported["studentIds"]] == ["21520042", MAIL]
    assert (await till.as_member(CLOSE))["__typename"] == "MemberClosed"
    rows = await every(till.database, all_verifications)
    assert [row.state.value for row in rows] == ["EXPIRED", "WITHDRAWN"]
    for row in rows:
        assert (row.identity, row.identity_index, row.student_name) == (None, None, None)
        assert (row.institution, row.note, row.card_file_id) == ("", None, None)
    assert await every(till.database, all_claims) == []
    assert {file.state for file in await every(till.database, all_files)} == {FileState.FORGOTTEN}


async def test_stu_3_an_approval_and_a_withdrawal_at_once_leave_one_of_them(till: Counter) -> None:
    await set_up(till)
    stu = parse_type_id("stu", (await submit_card(till))["verification"]["id"])
    member_id = till.shop.member.id
    moved = {"verification_id": stu, "now": till.now}
    withdrawn, refused = await beside(
        till.database,
        call(student_ids.withdraw, bearer=Bearer(member_id, member_id), **moved),
        before=verifications.end_it,
        second=call(deciding.approve, till.shop.owner.actor, **moved),
    )
    assert withdrawn.state is StudentState.WITHDRAWN
    assert isinstance(refused, student_ids.StudentVerificationNotOpen)
    (row,) = await every(till.database, all_verifications)
    assert (row.state, row.valid_until) == (StudentState.WITHDRAWN, None)


async def test_stu_4_the_dashboards_numbers_are_those_of_the_rows(
    till: Counter, now: datetime
) -> None:
    """It is 20:00 in Shanghai on 1 September; the group's day is Shanghai's, Tea's as well."""
    run, group, tea = till.database.run, till.shop.places.group, till.shop.places.tea
    nodes = {"group": type_id("node", group.id), "tea": type_id("node", tea.id)}
    await set_up(till, validityMonths=1)
    await set_up(till, nodeId=nodes["tea"], validityMonths=1)

    async def numbers(at: Counter, of: str = "group") -> tuple[Any, ...]:
        found = await at.as_staff(DASHBOARD, node=nodes[of])
        return tuple(found.values())

    assert await numbers(till) == (0, 1, 0, "2026-08-31", 0, 0)
    # A member with a card, one without, and one at Tea with a card.
    people = [till.shop.member, await another_member(till), await another_member(till)]
    await run(cards.open_card, member=people[2], scheme=till.shop.scheme, store_id=None, now=now)
    await verify_by_email(till, "a@fudan.edu.cn")
    await verify_by_email(till, "b@fudan.edu.cn", who=people[1].id)
    await verify_by_email(till, "c@fudan.edu.cn", who=people[2].id, brandId=nodes["tea"])
    assert await numbers(till) == (3, 2, 10_000, "2026-08-31", 0, 0)
    # After midnight in Shanghai, which is 16:00 UTC, yesterday is the day on which they came.
    assert await numbers(till.later(hours=3.99)) == (3, 2, 10_000, "2026-08-31", 0, 0)
    assert await numbers(till.later(hours=4)) == (3, 2, 10_000, "2026-09-01", 3, 0)
    assert await numbers(till.later(hours=4), "tea") == (1, 2, 5_000, "2026-09-01", 1, 0)
    cashier = await till.as_staff(DASHBOARD, who=till.shop.cashier, node=nodes["group"])
    assert cashier == "FORBIDDEN"
    store = type_id("node", till.shop.store.id)
    assert await till.as_staff(DASHBOARD, node=store) == "BAD_USER_INPUT"
    # One renews, and is neither new nor expired; two end, whether or not the duty came by.
    await verify_by_email(till.later(days=20), "a@fudan.edu.cn")
    after = till.later(days=30, hours=4)
    owner = await run(employee, node=group, now=after.now)

    async def counted(of: str = "group") -> tuple[Any, ...]:
        found = await after.as_staff(DASHBOARD, who=owner, node=nodes[of])
        return tuple(found.values())

    assert await counted() == (1, 2, 5_000, "2026-10-01", 0, 2)
    await the_clock_strikes(after)
    assert await counted() == (1, 2, 5_000, "2026-10-01", 0, 2)
    assert await counted("tea") == (0, 2, 0, "2026-10-01", 0, 1)
    states = [row.state.value for row in await every(till.database, all_verifications)]
    assert states == ["REPLACED", "EXPIRED", "EXPIRED", "APPROVED"]
