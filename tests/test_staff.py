"""ORG-2: staff sign in with two factors, and nobody can do or give more than they hold."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, func, select

from app.core import totp
from app.core.db import Database, statement
from app.core.ids import type_id
from app.models.operations import AuditRecord
from app.models.organisation import Node
from app.models.staff import Permission, RoleGrant, Staff
from app.services import roles, staff_sign_in
from auth.tokens import ADMIN_AUDIENCE
from tests.factories.back_office import BackOffice
from tests.factories.organisation import Places, places
from tests.factories.partners import partner, principal_of
from tests.factories.reading import every, one
from tests.factories.staff import PASSWORD, Employee, employee

pytestmark = pytest.mark.anyio

START = """mutation ($email: String!, $password: String!) {
  staffSessionStart(input: {email: $email, password: $password, device: "Firefox"}) {
    __typename ... on SecondFactorRequired { challenge expiresAt }
    ... on SignInRefused { message } } }"""
CONFIRM = """mutation ($challenge: String!, $code: String!) {
  staffSessionConfirm(input: {challenge: $challenge, totpCode: $code}) {
    __typename ... on SignInRefused { message }
    ... on StaffSessionStarted { accessToken refreshToken
      staff { name email roles { roleName node { name } } } } } }"""
VIEWER = "{ viewer { kind name grants { permissions node { id } } } }"
REVOKE_SESSION = "mutation ($id: ID!) { sessionRevoke(input: {id: $id}) { __typename } }"
CREATE = """mutation ($email: String!, $role: ID!, $node: ID!) {
  staffCreate(input: {name: "李雷", email: $email, password: "a long enough one",
                      roleId: $role, nodeId: $node}) {
    __typename
    ... on StaffCreated { totpSecret totpUri staff { id name email isActive } }
    ... on PermissionsNotHeld { permissions } } }"""
GRANT = """mutation ($staff: ID!, $role: ID!, $node: ID!) {
  staffRoleGrant(input: {staffId: $staff, roleId: $role, nodeId: $node}) {
    __typename ... on StaffMember { roles { roleName } }
    ... on PermissionsNotHeld { permissions } } }"""
REVOKE = GRANT.replace("staffRoleGrant", "staffRoleRevoke")
DEACTIVATE = """mutation ($staff: ID!) { staffDeactivate(input: {id: $staff}) {
  __typename ... on StaffMember { isActive } } }"""
ROLE_CREATE = """mutation ($name: String!, $permissions: [Permission!]!) {
  roleCreate(input: {name: $name, permissions: $permissions}) {
    __typename ... on Role { id name permissions isBuiltIn }
    ... on PermissionsNotHeld { permissions } } }"""
ROLE_UPDATE = """mutation ($id: ID!, $permissions: [Permission!]!) {
  roleUpdate(input: {id: $id, permissions: $permissions}) {
    __typename ... on Role { permissions } ... on PermissionsNotHeld { permissions } } }"""
MEMBERS = """query ($first: Int!, $after: String, $unmasked: Boolean!) {
  staffMembers(first: $first, after: $after) {
    edges { node { id name email(unmasked: $unmasked) } } pageInfo { hasNextPage endCursor } } }"""
REFUSED = {
    "__typename": "SignInRefused",
    "message": "These details are not right, or the account is locked for a while.",
}

account = statement(select(Staff).where(col(Staff.id) == bindparam("staff_id")), into=Staff)
count_staff = statement(select(func.count()).select_from(Staff), into=int)
count_grants = statement(select(func.count()).select_from(RoleGrant), into=int)
count_acts = statement(select(func.count()).select_from(AuditRecord), into=int)
actions = statement(select(AuditRecord.action).order_by(col(AuditRecord.id)), into=str)


@pytest.fixture
async def place(database: Database, now: datetime) -> Places:
    return await database.run(places, now=now)


@pytest.fixture
async def office(database: Database, now: datetime) -> BackOffice:
    office = BackOffice(database, now)
    await office.keys.start(now)
    return office


@pytest.fixture
async def owner(office: BackOffice, place: Places, now: datetime) -> Employee:
    return await hire(office, place.group, "owner", email="owner@example.com")


async def hire(office: BackOffice, node: Node, role: str, **more: Any) -> Employee:
    return await office.database.run(employee, node=node, role=role, now=office.now, **more)


async def hire_brand_manager(office: BackOffice, place: Places, node: Node) -> Employee:
    """Somebody who may hire, but holds no more than a cashier besides."""
    await office.database.run(_custom_role, place=place, now=office.now)
    return await hire(office, node, "manager")


async def _custom_role(tx: Any, *, place: Places, now: datetime) -> None:
    manager = roles.new_role(
        group_id=place.group.id,
        name="manager",
        permissions=[
            *roles.BUILT_IN["cashier"],
            Permission.STAFF_READ,
            Permission.STAFF_WRITE,
        ],
        is_built_in=True,
    )
    await tx.insert(manager)


async def start(office: BackOffice, email: str = "owner@example.com", **more: Any) -> Any:
    return await office.ask(START, email=email, **({"password": PASSWORD} | more))


async def confirm(office: BackOffice, challenge: str, code: str) -> Any:
    return await office.ask(CONFIRM, challenge=challenge, code=code)


def code_for(owner: Employee, moment: datetime) -> str:
    return totp.code_at(owner.staff.totp_secret, moment)


# Signing in


async def test_org_2_staff_sign_in_with_password_and_authenticator(
    office: BackOffice, owner: Employee, now: datetime
) -> None:
    step_1 = await start(office, email=" Owner@Example.com ")
    assert step_1["__typename"] == "SecondFactorRequired"
    assert step_1["expiresAt"] == (now + timedelta(minutes=5)).isoformat()
    step_2 = await confirm(office, step_1["challenge"], code_for(owner, now))
    assert step_2["staff"] == {
        "name": "王小明",
        "email": "o***@example.com",
        "roles": [{"roleName": "owner", "node": {"name": "Regulars"}}],
    }
    principal = office.verifier.verify(step_2["accessToken"], audience=ADMIN_AUDIENCE, now=now)
    viewer = await office.ask(VIEWER, principal)
    assert (viewer["kind"], viewer["name"]) == ("STAFF", "王小明")
    (grant,) = viewer["grants"]
    assert len(grant["permissions"]) == len(Permission)
    assert await every(office.database, actions) == ["staff.sign_in"]


async def test_org_2_a_challenge_and_a_code_work_once(
    office: BackOffice, owner: Employee, now: datetime
) -> None:
    first, second = await start(office), await start(office)
    code = code_for(owner, now)
    answers = await asyncio.gather(
        confirm(office, first["challenge"], code), confirm(office, second["challenge"], code)
    )
    assert sorted(a["__typename"] for a in answers) == ["SignInRefused", "StaffSessionStarted"]
    again = await start(office)
    assert await confirm(office, again["challenge"], code) == REFUSED
    assert await confirm(office, first["challenge"], code) == REFUSED
    next_code = code_for(owner, now + timedelta(seconds=30))
    signed_in = await confirm(office, again["challenge"], next_code)
    assert signed_in["__typename"] == "StaffSessionStarted"


@pytest.mark.parametrize(("seconds", "works"), [(-60, False), (-30, True), (30, True), (60, False)])
async def test_org_2_a_code_of_a_step_before_or_after_works_too(
    office: BackOffice, owner: Employee, now: datetime, seconds: int, works: bool
) -> None:
    challenge = (await start(office))["challenge"]
    answer = await confirm(office, challenge, code_for(owner, now + timedelta(seconds=seconds)))
    assert (answer["__typename"] == "StaffSessionStarted") is works


async def test_org_2_every_wrong_detail_has_the_same_answer(
    office: BackOffice, owner: Employee, now: datetime
) -> None:
    assert await start(office, password="wrong") == REFUSED
    assert await start(office, password="") == REFUSED
    assert await start(office, password="\x00" * 200) == REFUSED
    assert await start(office, email="nobody@example.com") == REFUSED
    assert await start(office, email="no address") == REFUSED
    challenge = (await start(office))["challenge"]
    late = office.at(now + timedelta(minutes=5))
    assert await confirm(late, challenge, code_for(owner, late.now)) == REFUSED
    for code in ("", "00000a", "令牌", "123456789"):
        assert await confirm(office, "made up", code) == REFUSED


async def test_org_2_five_wrong_passwords_lock_the_account_for_15_minutes(
    office: BackOffice, owner: Employee, now: datetime
) -> None:
    for _ in range(5):
        assert await start(office, password="wrong") == REFUSED
    assert await start(office) == REFUSED
    assert await start(office.at(now + timedelta(minutes=14, seconds=59))) == REFUSED
    late = office.at(now + timedelta(minutes=15))
    assert (await start(late))["__typename"] == "SecondFactorRequired"
    # And the count begins anew.
    for _ in range(4):
        assert await start(late, password="wrong") == REFUSED
    assert (await start(late))["__typename"] == "SecondFactorRequired"


async def test_org_2_a_right_password_does_not_forgive_wrong_codes(
    office: BackOffice, owner: Employee, now: datetime
) -> None:
    for _ in range(5):
        challenge = (await start(office))["challenge"]
        assert await confirm(office, challenge, "000000") == REFUSED
    assert await start(office) == REFUSED
    row = await one(office.database, account, staff_id=owner.staff.id)
    assert row is not None
    assert (row.failures, row.locked_until) == (5, now + timedelta(minutes=15))


async def test_org_2_signing_in_forgives_the_failures_before_it(
    office: BackOffice, owner: Employee, now: datetime
) -> None:
    for _ in range(4):
        await start(office, password="wrong")
    challenge = (await start(office))["challenge"]
    await confirm(office, challenge, code_for(owner, now))
    row = await one(office.database, account, staff_id=owner.staff.id)
    assert row is not None
    assert (row.failures, row.locked_until) == (0, None)


async def test_org_2_guesses_at_once_are_counted_one_by_one(
    office: BackOffice, owner: Employee, now: datetime
) -> None:
    wrong = [start(office, password="wrong") for _ in range(20)]
    assert await asyncio.gather(*wrong) == [REFUSED] * 20
    row = await one(office.database, account, staff_id=owner.staff.id)
    assert row is not None
    assert (row.failures, row.locked_until) == (5, now + timedelta(minutes=15))


async def test_org_2_parallel_codes_get_five_tries_in_all(
    office: BackOffice, owner: Employee, now: datetime
) -> None:
    challenge = (await start(office))["challenge"]
    codes = [f"{n:06}" for n in range(20)]
    right = code_for(owner, now)
    answers = await asyncio.gather(*(confirm(office, challenge, c) for c in codes if c != right))
    assert all(answer == REFUSED for answer in answers)
    assert await confirm(office, challenge, right) == REFUSED
    row = await one(office.database, account, staff_id=owner.staff.id)
    assert row is not None
    assert row.failures == 5


async def test_org_2_an_address_that_tries_too_much_is_told_to_wait(
    office: BackOffice, owner: Employee
) -> None:
    for n in range(staff_sign_in.ADDRESS_TRIES_MAX):
        await start(office, email=f"{n}@example.com", password="")
    assert await start(office) == "TOO_MANY_REQUESTS"


# Sessions


async def test_idn_6_a_revoked_session_stops_working_at_once(
    office: BackOffice, owner: Employee
) -> None:
    assert (await office.ask(VIEWER, owner.principal))["kind"] == "STAFF"
    session_id = type_id("ses", owner.session_id)
    await office.ask(REVOKE_SESSION, owner.principal, id=session_id)
    assert await office.ask(VIEWER, owner.principal) == "UNAUTHENTICATED"
    assert await every(office.database, actions) == ["session.revoke"]  # SEC-3


async def test_org_2_a_deactivated_account_stops_working_at_once(
    office: BackOffice, owner: Employee, place: Places, now: datetime
) -> None:
    cashier = await hire(office, place.tea_store, "cashier", email="till@example.com")
    challenge = (await start(office, email="till@example.com"))["challenge"]
    answer = await office.ask(DEACTIVATE, owner.principal, staff=_id(cashier))
    assert answer == {"__typename": "StaffMember", "isActive": False}
    assert await office.ask(VIEWER, cashier.principal) == "UNAUTHENTICATED"
    assert await confirm(office, challenge, code_for(cashier, now)) == REFUSED
    assert await start(office, email="till@example.com") == REFUSED


async def test_org_2_nobody_deactivates_themselves_or_who_holds_more(
    office: BackOffice, owner: Employee, place: Places
) -> None:
    manager = await hire_brand_manager(office, place, place.group)
    not_yourself = {"__typename": "NotOnYourself"}
    assert await office.ask(DEACTIVATE, owner.principal, staff=_id(owner)) == not_yourself
    answer = await office.ask(DEACTIVATE, manager.principal, staff=_id(owner))
    assert answer == {"__typename": "PermissionsNotHeld"}
    assert (await office.ask(VIEWER, owner.principal))["kind"] == "STAFF"


# Roles


async def test_org_2_an_account_is_opened_with_a_role_and_signs_in(
    office: BackOffice, owner: Employee, place: Places, now: datetime
) -> None:
    cashier = await _role(office, place, "cashier")
    node = type_id("node", place.tea_store.id)
    values = {"email": "lilei@example.com", "role": cashier, "node": node}
    created = await office.ask(CREATE, owner.principal, **values)
    assert created["staff"]["email"] == "l***@example.com"
    assert created["totpUri"].startswith("otpauth://totp/Regulars%3Alilei%40example.com?secret=")
    challenge = (await start(office, email="lilei@example.com", password="a long enough one"))[
        "challenge"
    ]
    code = totp.code_at(created["totpSecret"], now)
    assert (await confirm(office, challenge, code))["__typename"] == "StaffSessionStarted"
    again = await office.ask(CREATE, owner.principal, **values)
    assert again == {"__typename": "EmailTaken"}
    assert await every(office.database, actions) == [
        "staff.create",
        "staff.role_grant",
        "staff.sign_in",
    ]


async def test_org_2_nobody_grants_what_they_do_not_hold(
    office: BackOffice, owner: Employee, place: Places
) -> None:
    manager = await hire_brand_manager(office, place, place.tea)
    clerk = await hire(office, place.tea_store, "cashier")
    owner_role, cashier = [await _role(office, place, name) for name in ("owner", "cashier")]
    before = await _counts(office)
    store = type_id("node", place.tea_store.id)
    values = {"role": owner_role, "node": store}
    escalated = await office.ask(GRANT, manager.principal, staff=_id(clerk), **values)
    assert escalated["__typename"] == "PermissionsNotHeld"
    assert "MEMBERS_UNMASK" in escalated["permissions"]
    assert "CODES_RESOLVE" not in escalated["permissions"]
    to_oneself = await office.ask(GRANT, manager.principal, staff=_id(manager), **values)
    assert to_oneself["__typename"] == "PermissionsNotHeld"
    hired = await office.ask(CREATE, manager.principal, email="x@example.com", **values)
    assert hired["__typename"] == "PermissionsNotHeld"
    assert await _counts(office) == before

    values = {"role": cashier, "node": type_id("node", place.tea.id)}
    granted = await office.ask(GRANT, manager.principal, staff=_id(clerk), **values)
    assert granted == {
        "__typename": "StaffMember",
        "roles": [{"roleName": "cashier"}, {"roleName": "cashier"}],
    }
    revoked = await office.ask(REVOKE, manager.principal, staff=_id(clerk), **values)
    assert revoked == {"__typename": "StaffMember", "roles": [{"roleName": "cashier"}]}


async def test_org_1_outside_of_their_subtree_staff_change_nothing(
    office: BackOffice, owner: Employee, place: Places, now: datetime
) -> None:
    manager = await hire_brand_manager(office, place, place.tea)
    elsewhere = await hire(office, place.coffee_store, "cashier")
    both = await hire(office, place.group, "cashier")
    other_group = await office.database.run(places, now=now)
    stranger = await hire(office, other_group.tea, "cashier")
    cashier = await _role(office, place, "cashier")
    tea, coffee = (type_id("node", n.id) for n in (place.tea, place.coffee_store))
    before = await _counts(office)

    async def ask(document: str, **values: Any) -> Any:
        return await office.ask(document, manager.principal, **values)

    for target in (elsewhere, both, owner):
        assert await ask(DEACTIVATE, staff=_id(target)) == "FORBIDDEN"
        assert await ask(GRANT, staff=_id(target), role=cashier, node=tea) == "FORBIDDEN"
    assert await ask(REVOKE, staff=_id(elsewhere), role=cashier, node=coffee) == "FORBIDDEN"
    assert await ask(CREATE, email="x@example.com", role=cashier, node=coffee) == "FORBIDDEN"
    not_found = {"__typename": "StaffNotFound"}
    assert await ask(DEACTIVATE, staff=_id(stranger)) == not_found
    assert await ask(GRANT, staff=_id(stranger), role=cashier, node=tea) == not_found
    assert await ask(DEACTIVATE, staff="stf_x") == "BAD_USER_INPUT"
    foreign_role = await _role(office, other_group, "cashier")
    answer = await ask(CREATE, email="x@example.com", role=foreign_role, node=tea)
    assert answer == {"__typename": "RoleNotFound"}
    assert await _counts(office) == before
    for target in (elsewhere, both, owner, stranger):
        assert (await office.ask(VIEWER, target.principal))["kind"] == "STAFF"


async def test_org_2_a_custom_role_holds_no_more_than_its_maker(
    office: BackOffice, owner: Employee, place: Places
) -> None:
    manager = await hire_brand_manager(office, place, place.group)
    made = await office.ask(
        ROLE_CREATE, manager.principal, name="till", permissions=["CODES_RESOLVE"]
    )
    assert (made["name"], made["isBuiltIn"]) == ("till", False)
    wide = {"permissions": ["CODES_RESOLVE", "AUDIT_READ"]}
    lacking = {"__typename": "PermissionsNotHeld", "permissions": ["AUDIT_READ"]}
    assert await office.ask(ROLE_CREATE, manager.principal, name="wide", **wide) == lacking
    assert await office.ask(ROLE_UPDATE, manager.principal, id=made["id"], **wide) == lacking
    again = await office.ask(ROLE_CREATE, owner.principal, name="till", permissions=[])
    assert again == {"__typename": "RoleNameTaken"}
    changed = await office.ask(ROLE_UPDATE, owner.principal, id=made["id"], **wide)
    assert changed["permissions"] == ["AUDIT_READ", "CODES_RESOLVE"]
    # What somebody cannot give they cannot take away either.
    narrowed = await office.ask(ROLE_UPDATE, manager.principal, id=made["id"], permissions=[])
    assert narrowed == lacking
    built_in = await _role(office, place, "auditor")
    answer = await office.ask(ROLE_UPDATE, owner.principal, id=built_in, permissions=[])
    assert answer == {"__typename": "RoleIsBuiltIn"}
    brand = await hire(office, place.tea, "manager")
    assert await office.ask(ROLE_CREATE, brand.principal, name="x", permissions=[]) == "FORBIDDEN"


async def test_org_2_a_lost_role_holds_no_more_from_the_next_request_on(
    office: BackOffice, owner: Employee, place: Places
) -> None:
    support = await hire(office, place.group, "support")
    assert await office.ask("{ nodes { id } }", support.principal) != []
    role = await _role(office, place, "support")
    node = type_id("node", place.group.id)
    await office.ask(REVOKE, owner.principal, staff=_id(support), role=role, node=node)
    assert await office.ask("{ nodes { id } }", support.principal) == "FORBIDDEN"
    assert await office.ask(MEMBERS, support.principal, first=1, unmasked=False) == "FORBIDDEN"


# Seeing staff


async def test_sec_2_addresses_are_masked_and_unmasking_is_a_permission_and_logged(
    office: BackOffice, owner: Employee, place: Places
) -> None:
    manager = await hire_brand_manager(office, place, place.tea)
    page = await office.ask(MEMBERS, owner.principal, first=1, unmasked=True)
    assert page["edges"][0]["node"]["email"] == "owner@example.com"
    assert page["pageInfo"]["hasNextPage"] is True
    assert await every(office.database, actions) == ["staff.unmask"]
    page = await office.ask(MEMBERS, manager.principal, first=100, unmasked=False)
    assert [edge["node"]["name"] for edge in page["edges"]] == ["王小明"]
    assert "***@example.com" in page["edges"][0]["node"]["email"]
    assert await office.ask(MEMBERS, manager.principal, first=100, unmasked=True) == "FORBIDDEN"
    assert await every(office.database, actions) == ["staff.unmask"]


async def test_org_1_a_list_of_staff_shows_the_subtree_in_pages(
    office: BackOffice, owner: Employee, place: Places
) -> None:
    manager = await hire_brand_manager(office, place, place.tea)
    hired = [await hire(office, place.tea_store, "cashier") for _ in range(3)]
    await hire(office, place.coffee_store, "cashier")
    seen, after = [], None
    for _ in range(3):
        page = await office.ask(MEMBERS, manager.principal, first=2, after=after, unmasked=False)
        seen += [edge["node"]["id"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == [_id(e) for e in [manager, *hired]]
    everybody = await office.ask(MEMBERS, owner.principal, first=100, unmasked=False)
    assert len(everybody["edges"]) == 6
    for first in (0, 101):
        answer = await office.ask(MEMBERS, owner.principal, first=first, unmasked=False)
        assert answer == "BAD_USER_INPUT"


async def test_org_2_a_partner_is_no_staff_and_nobody_is_nobody(
    office: BackOffice, place: Places, now: datetime
) -> None:
    client = (await office.database.run(partner, node=place.tea, now=now)).client
    principal = principal_of(client, now=now)
    viewer = await office.ask(VIEWER, principal)
    assert (viewer["kind"], viewer["name"]) == ("PARTNER", "Till Systems Ltd")
    assert await office.ask(DEACTIVATE, principal, staff="stf_x") == "FORBIDDEN"
    assert await office.ask("{ sessions { id } }", principal) == "UNAUTHENTICATED"
    for document in (VIEWER, "{ nodes { id } }", "{ roles { id } }", "{ sessions { id } }"):
        assert await office.ask(document) == "UNAUTHENTICATED"


def _id(somebody: Employee) -> str:
    return type_id("stf", somebody.staff.id)


async def _role(office: BackOffice, place: Places, name: str) -> str:
    found = await office.database.read(roles.built_in, group_id=place.group.id, name=name)
    return type_id("role", found.id)


async def _counts(office: BackOffice) -> list[Any]:
    counted = (count_staff, count_grants, count_acts)
    return [await one(office.database, each) for each in counted]
