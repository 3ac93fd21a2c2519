"""STU-1…STU-3: members become students, by each of three ways, one student each."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import col, select

from app.core.db import Database, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.models.coupons import Coupon
from app.models.files import File, FileState
from app.models.members import MemberTag
from app.models.operations import AuditRecord
from app.models.student_ids import StudentIdentity
from app.services import student_ids
from app.services.members import Bearer
from app.services.student_ids import claims
from tests.factories.cards import Counter, a_device, counter
from tests.factories.coupons import a_pack, a_template
from tests.factories.races import beside, call
from tests.factories.reading import every
from tests.factories.scopes import a_tag
from tests.factories.staff import employee
from tests.factories.student_ids import (
    APPROVE,
    END,
    LOOK,
    QUEUE,
    REJECT,
    SAVE,
    SEND,
    STANDING,
    VERIFY,
    WITHDRAW,
    all_verifications,
    an_uploaded_card,
    another_member,
    code_for,
    set_up,
    some_settings,
    submit_card,
    verify_by_email,
)

pytestmark = pytest.mark.anyio

MAIL = "li.lei@m.fudan.edu.cn"
IN_USE = {
    "__typename": "StudentIdentityInUse",
    "message": "This student identity is in use already. Ask us if it is yours.",
}
all_claims = statement(select(StudentIdentity), into=StudentIdentity)
all_coupons = statement(select(Coupon), into=Coupon)
all_files = statement(select(File).order_by(col(File.id)), into=File)
all_tags_on = statement(select(MemberTag), into=MemberTag)
looks = statement(
    select(AuditRecord).where(col(AuditRecord.action) == "student_verification.look"),
    into=AuditRecord,
)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def states(till: Counter) -> list[str]:
    return [row.state.value for row in await every(till.database, all_verifications)]


async def refusal(asked: Any) -> str:
    return str((await asked)["__typename"])


async def test_stu_1_a_school_address_makes_a_student_at_once(till: Counter) -> None:
    await set_up(till)
    applied = await verify_by_email(till, MAIL.upper())
    assert applied["__typename"] == "StudentApplied", applied
    found = applied["verification"]
    assert found | {"id": ""} == {
        "id": "", "state": "APPROVED", "method": "EMAIL", "institution": "Fudan University",
        "identity": "l***@m.fudan.edu.cn", "approvedAt": till.now.isoformat(),
        # STU-2: six months on, by the clock on the wall.
        "validUntil": "2027-03-01T12:00:00+00:00", "endedAt": None, "reason": None, "note": None,
        "isRenewal": False, "giftedAt": None,
    }  # fmt: skip
    standing = await till.as_member(STANDING)
    assert (standing["isStudent"], standing["valid"]) == (True, found)
    assert standing["waiting"] is None
    # SEC-1: neither the address nor its index can be read in the table.
    (row,) = await every(till.database, all_verifications)
    assert row.identity == MAIL
    assert MAIL not in str(row.identity_index)


async def test_stu_1_a_code_of_an_address_works_once_and_for_that_address(till: Counter) -> None:
    await set_up(till)
    key = new_id().hex
    assert await refusal(till.as_member(SEND, input={"email": MAIL})) == "VerificationCodeSent"
    code = await code_for(till.database, MAIL)
    given = {"email": MAIL, "code": code, "requestKey": key}
    wrong = "000000" if code != "000000" else "000001"
    refused = await till.as_member(VERIFY, input=given | {"code": wrong})
    assert refused == {"__typename": "CodeRefused", "message": "The code is wrong or has expired."}
    other = given | {"email": "other@fudan.edu.cn"}
    assert await refusal(till.as_member(VERIFY, input=other)) == "CodeRefused"
    assert await every(till.database, all_verifications) == []
    first = await till.as_member(VERIFY, input=given)
    again = await till.as_member(VERIFY, input=given)
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert again["verification"] == first["verification"]
    reused = given | {"email": "other@fudan.edu.cn"}
    assert await refusal(till.as_member(VERIFY, input=reused)) == "RequestKeyReused"
    assert await states(till) == ["APPROVED"]


async def test_stu_1_only_addresses_of_listed_schools_are_written_to(till: Counter) -> None:
    await set_up(till)
    for email in ("a@gmail.com", "a@notox.ac.uk", "a@edu.cn", "a@unlisted.example"):
        assert await refusal(till.as_member(SEND, input={"email": email})) == "InstitutionNotListed"
    assert await refusal(till.as_member(SEND, input={"email": "a@"})) == "TargetInvalid"
    # Staff add one that the shipped list lacks, and take one out of it.
    create = """mutation ($input: InstitutionCreateInput!) { institutionCreate(input: $input) {
      __typename ... on Institution { id version domains } ... on InstitutionTaken { what } } }"""
    made = await till.as_staff(
        create,
        input={
            "name": "Night and Evening School",
            "domains": ["Unlisted.example", "evening.example"],
        },
    )
    assert made["domains"] == ["evening.example", "unlisted.example"]
    no_more = {"name": "Fudan", "domains": ["fudan.edu.cn"], "isAccepted": False}
    assert await refusal(till.as_staff(create, input=no_more)) == "Institution"
    sent = await till.as_member(SEND, input={"email": "a@cs.unlisted.example"})
    assert sent["__typename"] == "VerificationCodeSent"
    assert await refusal(till.as_member(SEND, input={"email": MAIL})) == "InstitutionNotListed"
    search = "query ($text: String!) { schools(search: $text) { name domain } }"
    assert await till.as_member(search, text="night evening") == [
        {"name": "Night and Evening School", "domain": "evening.example"}
    ]
    assert await till.as_member(search, text="fudan university") == []
    assert {"name": "University of Oxford", "domain": "ox.ac.uk"} in await till.as_member(
        search, text="OXFORD university"
    )
    assert await till.as_member(search, text="x") == "BAD_USER_INPUT"
    # Bad input, and names that are taken, change nothing.
    for bad in (
        {"name": "", "domains": ["a.example"]},
        {"name": "X", "domains": []},
        {"name": "X", "domains": ["gmail.com"]},
        {"name": "X", "domains": ["no domain"]},
        {"name": "X", "domains": [f"{n}.example" for n in range(21)]},
    ):
        assert await till.as_staff(create, input=bad) == "BAD_USER_INPUT", bad
    taken = await till.as_staff(create, input={"name": "X", "domains": ["evening.example"]})
    assert taken == {"__typename": "InstitutionTaken", "what": "evening.example"}
    # Edited under you; and dropped, whereupon the shipped list counts again.
    update = """mutation ($input: InstitutionUpdateInput!) { institutionUpdate(input: $input) {
      __typename ... on Institution { name domains version isAccepted }
      ... on EditedMeanwhile { currentVersion } } }"""
    edit = {"id": made["id"], "expectedVersion": 1, "name": "Night School", "isAccepted": True,
            "domains": ["night.example"]}  # fmt: skip
    changed = await till.as_staff(update, input=edit)
    assert (changed["name"], changed["domains"], changed["version"]) == (
        "Night School", ["night.example"], 2,
    )  # fmt: skip
    assert await till.as_staff(update, input=edit) == {
        "__typename": "EditedMeanwhile",
        "currentVersion": 2,
    }
    listed = await till.as_staff("{ institutions { edges { node { id name domains } } } }")
    names = [edge["node"]["name"] for edge in listed["edges"]]
    assert names == ["Night School", "Fudan"]
    delete = "mutation ($id: ID!) { institutionDelete(input: {id: $id}) { __typename } }"
    fudan = listed["edges"][1]["node"]["id"]
    assert await refusal(till.as_staff(delete, id=fudan)) == "InstitutionDeleted"
    assert await refusal(till.as_staff(delete, id=fudan)) == "InstitutionNotFound"
    assert await refusal(till.as_member(SEND, input={"email": MAIL})) == "VerificationCodeSent"


async def test_stu_1_a_card_waits_for_staff_who_see_its_picture_until_they_decide(
    till: Counter,
) -> None:
    await set_up(till)
    applied = await submit_card(till)
    found = applied["verification"]
    assert (found["state"], found["identity"]) == ("SUBMITTED", "****42")
    assert not (await till.as_member(STANDING))["isStudent"]
    stu = found["id"]
    assert await till.as_staff(QUEUE) == {"edges": [{"node": {"id": stu}}]}
    # Somebody without the permission sees no picture.
    assert await till.as_staff(LOOK, who=till.shop.cashier, id=stu) == "FORBIDDEN"
    looked = await till.as_staff(LOOK, id=stu)
    assert (looked["studentName"], looked["studentNumber"]) == ("Li Lei", "21520042")
    assert "signature=" in looked["pictureUrl"]
    assert "expires=" in looked["pictureUrl"]
    assert [row.object_id for row in await every(till.database, looks)] == [
        parse_type_id("stu", stu)
    ]  # SEC-2: that it was looked at is written down

    approved = await till.as_staff(APPROVE, id=stu)
    assert (approved["state"], approved["identity"]) == ("APPROVED", "****42")
    (file,) = await every(till.database, all_files)
    assert file.state is FileState.FORGOTTEN
    again = await till.as_staff(APPROVE, id=stu)
    assert again == {"__typename": "StudentVerificationNotOpen", "state": "APPROVED"}
    assert (await till.as_staff(LOOK, id=stu))["__typename"] == "StudentVerificationNotOpen"
    assert (await till.as_member(STANDING))["isStudent"]
    # Staff learn that the member studies no more.
    ended = await till.later(hours=1).as_staff(END, id=stu)
    assert (ended["state"], ended["reason"]) == ("EXPIRED", "NOT_A_STUDENT")
    assert not (await till.later(hours=1).as_member(STANDING))["isStudent"]


async def test_stu_1_a_card_is_rejected_with_a_reason_and_the_member_can_try_again(
    till: Counter,
) -> None:
    await set_up(till, submissionsADay=2)
    stu = (await submit_card(till))["verification"]["id"]
    waiting = await submit_card(till)
    assert (waiting["__typename"], waiting["verificationId"]) == ("StudentVerificationPending", stu)
    rejected = await till.as_staff(
        REJECT, input={"id": stu, "reason": "UNREADABLE", "note": "Too dark"}
    )
    assert (rejected["state"], rejected["reason"], rejected["note"]) == (
        "REJECTED", "UNREADABLE", "Too dark",
    )  # fmt: skip
    # The member reads why, and so does nobody by the picture any more.
    latest = (await till.as_member(STANDING))["latest"]
    assert (latest["id"], latest["reason"], latest["note"]) == (stu, "UNREADABLE", "Too dark")
    file = (await every(till.database, all_files))[0]
    assert file.state is FileState.FORGOTTEN
    assert await every(till.database, all_claims) == []
    second = (await submit_card(till.later(hours=1)))["verification"]["id"]
    withdrawn = await till.as_member(WITHDRAW, id=second)
    assert withdrawn["state"] == "WITHDRAWN"
    once_more = await till.as_member(WITHDRAW, id=second)
    assert once_more == {"__typename": "StudentVerificationNotOpen", "state": "WITHDRAWN"}
    # Two a day: the next when the first is a day old.
    third = await submit_card(till.later(hours=2))
    retry_at = (till.now + timedelta(days=1)).isoformat()
    assert (third["__typename"], third["retryAt"]) == ("TooManySubmissions", retry_at)
    assert await states(till) == ["REJECTED", "WITHDRAWN"]
    assert await refusal(submit_card(till.later(days=1, seconds=1))) == "StudentApplied"


async def test_stu_1_a_card_needs_the_members_own_unused_picture_and_a_listed_school(
    till: Counter,
) -> None:
    await set_up(till)
    other = await another_member(till)
    theirs = await an_uploaded_card(till, other.id)
    assert await refusal(submit_card(till, fileId=theirs)) == "FileNotFound"
    assert await refusal(submit_card(till, institutionDomain="gmail.com")) == "InstitutionNotListed"
    cases: list[dict[str, Any]] = [
        {"institutionDomain": "no domain"},
        {"studentNumber": "--"},
        {"studentNumber": "1" * 41},
        {"studentName": ""},
        {"studentName": "A\u0000B"},
        {"fileId": "file_x"},
        {"requestKey": ""},
        {"brandId": "mem_x"},
    ]
    for bad in cases:
        assert await submit_card(till, **bad) == "BAD_USER_INPUT", bad
    assert await states(till) == []
    assert await every(till.database, all_claims) == []
    # The same request answers the same; its picture cannot be used for another.
    key, mine = new_id().hex, await an_uploaded_card(till, till.shop.member.id)
    first = await submit_card(till, requestKey=key, fileId=mine)
    again = await submit_card(till, requestKey=key, fileId=mine)
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert await refusal(submit_card(till, who=other.id, fileId=mine)) == "FileNotFound"
    # Nobody takes back what is another's.
    stu = first["verification"]["id"]
    assert await refusal(till.as_member(WITHDRAW, member_id=other.id, id=stu)) == (
        "StudentVerificationNotFound"
    )


async def test_stu_1_one_student_identity_serves_one_member(till: Counter) -> None:
    await set_up(till)
    other = await another_member(till)
    await verify_by_email(till, MAIL)
    # The same mailbox, however it is written; whose it is stays unsaid.
    plus = "li.lei+coffee@m.fudan.edu.cn"
    assert await verify_by_email(till, plus, who=other.id) == IN_USE
    third = await another_member(till)
    stu = (await submit_card(till, who=other.id))["verification"]["id"]
    same = await submit_card(till, who=third.id, studentNumber="２１５２ 0042")
    assert same == IN_USE
    assert await states(till) == ["APPROVED", "SUBMITTED"]
    # Free again once it was given back, for whoever asks.
    await till.as_member(WITHDRAW, member_id=other.id, id=stu)
    assert await refusal(submit_card(till, who=third.id)) == "StudentApplied"


async def test_stu_1_of_two_who_apply_with_one_identity_at_once_one_is_refused(
    till: Counter,
) -> None:
    await set_up(till)
    other = await another_member(till)
    group = till.shop.places.group

    async def applying(member_id: UUID) -> Any:
        await till.database.run(a_device, member_id=member_id, group=group, now=till.now)
        card = student_ids.StudentCard(
            institution_domain="fudan.edu.cn",
            student_name="Li Lei",
            student_number="21520042",
            file_id=parse_type_id("file", await an_uploaded_card(till, member_id)),
        )
        return call(
            student_ids.submit_card,
            bearer=Bearer(member_id, member_id),
            brand_id=None,
            card=card,
            request_key=new_id().hex,
            now=till.now,
        )

    outcomes = await beside(
        till.database,
        await applying(till.shop.member.id),
        before=claims.claim_once,
        second=await applying(other.id),
    )
    refused = [each for each in outcomes if isinstance(each, student_ids.StudentIdentityInUse)]
    assert len(refused) == 1
    assert await states(till) == ["SUBMITTED"]
    assert len(await every(till.database, all_claims)) == 1


async def test_stu_2_settings_are_kept_as_given_and_bad_ones_refused(
    till: Counter, now: datetime
) -> None:
    run, group = till.database.run, till.shop.places.group
    tag = await run(a_tag, group_id=group.id, now=now)
    template = await run(a_template, perspective=group, now=now)
    given: dict[str, Any] = {
        "userGroupName": "Students",
        "tagId": type_id("tag", tag.id),
        "giftRule": "FIRST_TIME",
        "gifts": [{"templateId": type_id("ctpl", template.id), "packId": None, "count": 2}],
        "reminderDays": [3, 30],
    }
    saved = await set_up(till, **given)
    assert saved == {
        "__typename": "StudentIdSettings", "version": 1, "cover": None, "submissionsADay": 5,
        "node": {"id": type_id("node", group.id)}, "reminderDays": [30, 3],
    } | {
        name: value
        for name, value in (some_settings(till) | given).items()
        if name not in {"nodeId", "expectedVersion", "reminderDays"}
    } | {"methods": ["CARD", "EMAIL", "VERIFIER"]}  # fmt: skip

    async def refused(**more: Any) -> Any:
        answer = await till.as_staff(SAVE, input=some_settings(till, expectedVersion=1) | more)
        return answer["__typename"] if isinstance(answer, dict) else answer

    cases: list[dict[str, Any]] = [
        {"validityMonths": 0},
        {"validityMonths": 61},
        {"methods": []},
        {"pageTitle": ""},
        {"pageText": "x" * 10_001},
        {"giftRule": "EVERY_TIME"},
        {"gifts": given["gifts"]},
        {"reminderDays": [0]},
        {"reminderDays": [1, 2, 3, 4, 5, 6]},
        {"submissionsADay": 21},
        {"nodeId": type_id("node", till.shop.store.id)},
    ]
    for bad in cases:
        assert await refused(**bad) == "BAD_USER_INPUT", bad
    assert await refused(expectedVersion=0) == "EditedMeanwhile"
    assert await refused(nodeId=type_id("node", new_id())) == "NodeNotFound"
    assert await refused(tagId=type_id("tag", new_id())) == "TagNotFound"
    assert await refused(coverFileId=type_id("file", new_id())) == "FileNotFound"
    unknown = [{"templateId": type_id("ctpl", new_id())}]
    assert await refused(giftRule="EVERY_TIME", gifts=unknown) == "CouponTemplateNotFound"
    # A tag that student IDs bring is not dropped from under them.
    drop = "mutation ($id: ID!) { tagDelete(input: {tagId: $id}) { __typename } }"
    assert await refusal(till.as_staff(drop, id=type_id("tag", tag.id))) == "TagInUse"
    assert (await set_up(till, expectedVersion=1))["version"] == 2


async def test_stu_2_a_brand_has_its_own_settings_or_the_groups(till: Counter) -> None:
    tea = type_id("node", till.shop.places.tea.id)
    page = """query ($brand: ID) { studentIdPage(brandId: $brand) {
      isOpen title validityMonths giftRule gifts { count } } }"""
    assert await till.as_member(page) is None
    assert await refusal(submit_card(till)) == "StudentIdClosed"
    await set_up(till, methods=["EMAIL"])
    assert await refusal(submit_card(till)) == "StudentIdClosed"
    assert (await till.as_member(page, brand=tea))["title"] == "Students"
    await set_up(till, nodeId=tea, pageTitle="Tea for students", validityMonths=1)
    found = await till.as_member(page, brand=tea)
    assert found == {
        "isOpen": True, "title": "Tea for students", "validityMonths": 1, "giftRule": "NONE",
        "gifts": [],
    }  # fmt: skip
    applied = await verify_by_email(till, MAIL, brandId=tea)
    assert applied["verification"]["validUntil"] == "2026-10-01T12:00:00+00:00"
    await set_up(till, nodeId=tea, expectedVersion=1, isOpen=False)
    assert await refusal(submit_card(till, brandId=tea)) == "StudentIdClosed"


async def test_stu_3_approval_gives_the_gift_once_per_rule_and_renewal_replaces(
    till: Counter, now: datetime
) -> None:
    run, group = till.database.run, till.shop.places.group
    template = await run(a_template, perspective=group, now=now)
    pack = await run(a_pack, perspective=group, of=[(template, 3)], now=now)
    gift: dict[str, Any] = {"gifts": [{"packId": type_id("cpk", pack.id)}]}
    await set_up(till, giftRule="FIRST_TIME", **gift)

    async def number_of_coupons() -> int:
        return len(await every(till.database, all_coupons))

    first = await verify_by_email(till, MAIL)
    assert first["verification"]["giftedAt"] == now.isoformat()
    assert await number_of_coupons() == 3
    # Too early to renew: thirty days before the end at the earliest.
    early = await verify_by_email(till.later(days=100), MAIL)
    assert (early["__typename"], early["renewableFrom"]) == (
        "AlreadyStudent", "2027-01-30T12:00:00+00:00",
    )  # fmt: skip
    later = till.later(days=160)
    renewed = (await verify_by_email(later, MAIL))["verification"]
    assert (renewed["isRenewal"], renewed["giftedAt"]) == (True, None)
    assert await states(till) == ["REPLACED", "APPROVED"]
    assert await number_of_coupons() == 3
    assert len(await every(till.database, all_claims)) == 1
    # By the other rule each time brings it.
    await set_up(till, expectedVersion=1, giftRule="EVERY_TIME", **gift)
    again = (await verify_by_email(till.later(days=330), MAIL))["verification"]
    assert again["giftedAt"] is not None
    assert await number_of_coupons() == 6
    # Whoever gets the address after it was free again is no new student to give a first gift.
    await set_up(till, expectedVersion=2, giftRule="FIRST_TIME", **gift)
    then = till.later(days=331)
    owner = await run(employee, node=group, now=then.now)
    assert (await then.as_staff(END, who=owner, id=again["id"]))["state"] == "EXPIRED"
    other = await another_member(till)
    theirs = (await verify_by_email(till.later(days=332), MAIL, who=other.id))["verification"]
    assert (theirs["state"], theirs["giftedAt"]) == ("APPROVED", None)
    assert await number_of_coupons() == 6


async def test_stu_3_no_id_is_so_short_that_its_gift_comes_again_and_again(
    till: Counter, now: datetime
) -> None:
    """However early the reminders: half of the time has to be over first."""
    template = await till.database.run(a_template, perspective=till.shop.places.group, now=now)
    await set_up(
        till, validityMonths=1, reminderDays=[60], giftRule="EVERY_TIME",
        gifts=[{"templateId": type_id("ctpl", template.id)}],
    )  # fmt: skip
    for days, coupons_then in ((0, 1), (1, 1), (14, 1), (15, 2), (16, 2)):
        verified = await verify_by_email(till.later(days=days), MAIL)
        is_new = "verification" in verified
        assert is_new == (days in (0, 15)), (days, verified)
        assert len(await every(till.database, all_coupons)) == coupons_then
