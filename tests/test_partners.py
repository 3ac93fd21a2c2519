"""EVT-1: partner clients sign in by OAuth 2.0 client credentials and do what they were allowed."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlmodel import col, func, select
from starlette.applications import Starlette

from app.core.db import Database, statement
from app.core.ids import type_id
from app.models.operations import AuditRecord
from app.models.organisation import Node, NodeKind
from app.models.staff import PartnerClient, Permission
from app.services import partners
from app.services.actors import Grant, PermissionsNotHeld
from auth import oauth
from auth.tokens import ADMIN_AUDIENCE, MEMBER_AUDIENCE
from tests.factories.back_office import ISSUER, BackOffice
from tests.factories.organisation import Places, places
from tests.factories.partners import partner, principal_of
from tests.factories.reading import every, one
from tests.factories.staff import Employee, employee

pytestmark = pytest.mark.anyio

CREATE = """mutation ($scopes: [Permission!]!, $nodes: [ID!]!, $rate: Int = 600) {
  partnerClientCreate(input: {
    name: "Till Systems Ltd", scopes: $scopes, nodeIds: $nodes, requestsPerMinute: $rate}) {
    __typename
    ... on PartnerClientSecret { clientSecret
      client { id clientId name scopes requestsPerMinute isActive nodes { name } } }
    ... on PermissionsNotHeld { permissions } } }"""
ROTATE = """mutation ($id: ID!, $hours: Int = 24) {
  partnerClientRotateSecret(input: {id: $id, graceHours: $hours}) {
    __typename ... on PartnerClientSecret { clientSecret client { previousSecretUntil } }
    ... on PermissionsNotHeld { permissions } } }"""
DEACTIVATE = """mutation ($id: ID!) { partnerClientDeactivate(input: {id: $id}) {
  __typename ... on PartnerClient { isActive } } }"""
CLIENTS = "{ partnerClients { edges { node { id } } pageInfo { hasNextPage } } }"
VIEWER = "{ viewer { kind name grants { permissions node { name } } } }"
NODES = "{ nodes { name } }"

count_clients = statement(select(func.count()).select_from(PartnerClient), into=int)
count_acts = statement(select(func.count()).select_from(AuditRecord), into=int)
actions = statement(select(AuditRecord.action).order_by(col(AuditRecord.id)), into=str)


@pytest.fixture
def now() -> datetime:
    """The real time: the HTTP endpoints read the clock themselves."""
    return datetime.now(UTC)


@pytest.fixture
async def place(database: Database, now: datetime) -> Places:
    return await database.run(places, now=now)


@pytest.fixture
async def office(database: Database, now: datetime) -> BackOffice:
    office = BackOffice(database, now)
    await office.keys.start(now)
    return office


@pytest.fixture
async def owner(database: Database, place: Places, now: datetime) -> Employee:
    return await database.run(employee, node=place.group, now=now)


@pytest.fixture
async def made(database: Database, place: Places, now: datetime) -> partners.ClientWithSecret:
    scopes = (Permission.ORGANISATION_READ, Permission.CODES_RESOLVE)
    return await database.run(partner, node=place.tea, scopes=scopes, now=now)


@pytest.fixture
async def http(office: BackOffice) -> AsyncIterator[httpx2.AsyncClient]:
    app = Starlette(routes=oauth.routes(lambda: office))
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


async def token(
    http: httpx2.AsyncClient, made: partners.ClientWithSecret, **form: str
) -> httpx2.Response:
    row = made.client.row
    form = {"grant_type": "client_credentials"} | form
    return await http.post("/auth/token", data=form, headers=basic(row.client_id, made.secret))


async def test_evt_1_a_token_carries_the_scopes_that_were_asked_for(
    office: BackOffice, http: httpx2.AsyncClient, made: partners.ClientWithSecret, now: datetime
) -> None:
    answer = await token(http, made, scope="organisation:read")
    body = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert (body["token_type"], body["scope"]) == ("Bearer", "organisation:read")
    assert 590 <= body["expires_in"] <= 600
    access = body["access_token"]
    principal = office.verifier.verify(access, audience=ADMIN_AUDIENCE, now=now)
    viewer = await office.ask(VIEWER, principal)
    assert viewer == {
        "kind": "PARTNER",
        "name": "Till Systems Ltd",
        "grants": [{"permissions": ["ORGANISATION_READ"], "node": {"name": "Tea"}}],
    }
    assert [n["name"] for n in await office.ask(NODES, principal)] == ["Tea", "Tea in the park"]
    with pytest.raises(Exception, match="not valid"):
        office.verifier.verify(access, audience=MEMBER_AUDIENCE, now=now)


async def test_evt_1_without_a_scope_a_token_has_all_of_the_clients(
    http: httpx2.AsyncClient, made: partners.ClientWithSecret
) -> None:
    assert (await token(http, made)).json()["scope"] == "codes:resolve organisation:read"
    row = made.client.row
    form = {
        "grant_type": "client_credentials",
        "client_id": row.client_id,
        "client_secret": made.secret,
    }
    assert (await http.post("/auth/token", data=form)).status_code == 200


async def test_evt_1_refusals_are_those_of_rfc_6749(
    http: httpx2.AsyncClient, made: partners.ClientWithSecret
) -> None:
    client_id = made.client.row.client_id
    good = basic(client_id, made.secret)
    grant = {"grant_type": "client_credentials"}
    cases: list[tuple[int, str, dict[str, Any]]] = [
        (400, "invalid_scope", {"headers": good, "data": grant | {"scope": "no:such"}}),
        (400, "invalid_scope", {"headers": good, "data": grant | {"scope": "audit:read"}}),
        (400, "unsupported_grant_type", {"headers": good, "data": {"grant_type": "password"}}),
        (400, "invalid_request", {"headers": good, "data": {"scope": "codes:resolve"}}),
        (400, "invalid_request", {"headers": good, "data": grant | {"client_secret": "x"}}),
        (400, "invalid_request", {"headers": good, "json": grant}),
        (401, "invalid_client", {"data": grant}),
        (401, "invalid_client", {"headers": basic(client_id, "wrong"), "data": grant}),
        (401, "invalid_client", {"headers": basic(client_id, ""), "data": grant}),
        (401, "invalid_client", {"headers": basic("nobody", made.secret), "data": grant}),
        (401, "invalid_client", {"headers": basic("\x00", made.secret), "data": grant}),
        (401, "invalid_client", {"headers": {"authorization": "Bearer x"}, "data": grant}),
        (401, "invalid_client", {"headers": {"authorization": "Basic ?"}, "data": grant}),
    ]
    for status, error, request in cases:
        answer = await http.post("/auth/token", **request)
        assert (answer.status_code, answer.json()["error"]) == (status, error), request
        assert answer.headers["cache-control"] == "no-store"
        assert ("www-authenticate" in answer.headers) is (status == 401)
    form_type = {"content-type": "application/x-www-form-urlencoded"}
    for body in (b"grant_type=a&grant_type=b", b"a" * 9_000, b"\xff", b"%ff=%ff", b"no pairs"):
        answer = await http.post("/auth/token", content=body, headers=good | form_type)
        assert answer.json()["error"] == "invalid_request", body[:40]
    assert (await http.get("/auth/token")).status_code == 405


async def test_evt_1_an_address_that_asks_too_often_is_told_to_wait(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth, "ADDRESS_REQUESTS_MAX", 0)
    answer = await http.post("/auth/token", data={"grant_type": "client_credentials"})
    assert (answer.status_code, answer.json()["error"]) == (429, "slow_down")
    assert 1 <= int(answer.headers["retry-after"]) <= 61


async def test_evt_1_keys_and_metadata_are_published(http: httpx2.AsyncClient) -> None:
    (key,) = (await http.get("/auth/jwks.json")).json()["keys"]
    assert (key["kty"], key["alg"], key["use"]) == ("EC", "ES256", "sig")
    assert "d" not in key
    metadata = (await http.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["issuer"] == ISSUER
    assert metadata["token_endpoint"] == f"{ISSUER}/auth/token"
    assert metadata["scopes_supported"] == sorted(Permission)


async def test_evt_1_a_client_is_made_once_and_its_secret_works(
    office: BackOffice, http: httpx2.AsyncClient, owner: Employee, place: Places
) -> None:
    nodes = [_id(place.tea), _id(place.coffee_store), _id(place.tea)]
    answer = await office.ask(CREATE, owner.principal, scopes=["CODES_RESOLVE"], nodes=nodes)
    client = answer["client"]
    assert (client["scopes"], client["requestsPerMinute"]) == (["CODES_RESOLVE"], 600)
    assert {n["name"] for n in client["nodes"]} == {"Tea", "Coffee at the station"}
    row = await one(office.database, statement(select(PartnerClient), into=PartnerClient))
    assert row is not None
    assert answer["clientSecret"] not in str(row)
    headers = basic(client["clientId"], answer["clientSecret"])
    form = {"grant_type": "client_credentials"}
    assert (await http.post("/auth/token", data=form, headers=headers)).status_code == 200
    listed = await office.ask(CLIENTS, owner.principal)
    assert [edge["node"]["id"] for edge in listed["edges"]] == [client["id"]]
    assert await every(office.database, actions) == ["partner_client.create"]


async def test_evt_1_nobody_makes_a_client_that_may_do_more_than_they(
    office: BackOffice, place: Places, now: datetime, made: partners.ClientWithSecret
) -> None:
    brand_owner = await office.database.run(employee, node=place.coffee, now=now)
    cashier = await office.database.run(employee, node=place.coffee, role="cashier", now=now)
    before = [await one(office.database, counted) for counted in (count_clients, count_acts)]

    async def create(somebody: Employee, node: Node, **more: Any) -> Any:
        values = {"scopes": ["CODES_RESOLVE"], "nodes": [_id(node)]} | more
        return await office.ask(CREATE, somebody.principal, **values)

    assert await create(brand_owner, place.tea) == "FORBIDDEN"
    assert await create(brand_owner, place.group) == "FORBIDDEN"
    both = [_id(place.coffee), _id(place.tea_store)]
    assert await create(brand_owner, place.coffee, nodes=both) == "FORBIDDEN"
    assert await create(cashier, place.coffee) == "FORBIDDEN"
    target = type_id("cli", made.client.id)
    assert await office.ask(ROTATE, brand_owner.principal, id=target) == "FORBIDDEN"
    assert await office.ask(DEACTIVATE, brand_owner.principal, id=target) == "FORBIDDEN"
    other_group = await office.database.run(places, now=now)
    stranger = await office.database.run(employee, node=other_group.group, now=now)
    not_found = {"__typename": "PartnerClientNotFound"}
    assert await office.ask(ROTATE, stranger.principal, id=target) == not_found
    assert await office.ask(DEACTIVATE, stranger.principal, id=target) == not_found
    wrongs: list[dict[str, Any]] = [
        {"scopes": []},
        {"nodes": []},
        {"nodes": ["node_x"]},
        {"rate": 0},
        {"rate": 100_001},
    ]
    for wrong in wrongs:
        assert await create(brand_owner, place.coffee, **wrong) == "BAD_USER_INPUT"
    assert before == [
        await one(office.database, counted) for counted in (count_clients, count_acts)
    ]
    assert (await office.ask(CLIENTS, brand_owner.principal))["edges"] == []


async def test_evt_1_a_scope_its_maker_lacks_is_refused(
    office: BackOffice, place: Places, now: datetime
) -> None:
    limited = await office.database.run(
        partner,
        node=place.group,
        scopes=[Permission.PARTNERS_WRITE, Permission.CODES_RESOLVE],
        now=now,
    )
    principal = principal_of(limited.client, now=now)
    values = {"scopes": ["CODES_RESOLVE", "MEMBERS_UNMASK"], "nodes": [_id(place.tea)]}
    assert await office.ask(CREATE, principal, **values) == {
        "__typename": "PermissionsNotHeld",
        "permissions": ["MEMBERS_UNMASK"],
    }
    assert await one(office.database, count_clients) == 1


async def test_evt_1_after_a_rotation_the_old_secret_works_for_the_grace(
    office: BackOffice, made: partners.ClientWithSecret, owner: Employee, now: datetime
) -> None:
    target = type_id("cli", made.client.id)
    answer = await office.ask(ROTATE, owner.principal, id=target, hours=1)
    until = now + timedelta(hours=1)
    assert answer["client"]["previousSecretUntil"] == until.isoformat()

    async def works(secret: str, moment: datetime) -> bool:
        client_id = made.client.row.client_id
        found = await office.database.read(
            partners.authenticated, client_id=client_id, secret=secret, now=moment
        )
        return found is not None

    assert await works(answer["clientSecret"], now)
    assert await works(made.secret, until - timedelta(seconds=1))
    assert not await works(made.secret, until)
    assert await works(answer["clientSecret"], until)
    newest = await office.ask(ROTATE, owner.principal, id=target, hours=0)
    assert not await works(answer["clientSecret"], now)
    assert not await works(made.secret, now)
    assert await works(newest["clientSecret"], now)
    assert await office.ask(ROTATE, owner.principal, id=target, hours=169) == "BAD_USER_INPUT"
    assert await office.ask(ROTATE, owner.principal, id=target, hours=-1) == "BAD_USER_INPUT"


async def test_evt_1_a_client_that_is_switched_off_stops_at_once(
    office: BackOffice,
    http: httpx2.AsyncClient,
    made: partners.ClientWithSecret,
    owner: Employee,
    now: datetime,
) -> None:
    principal = principal_of(made.client, now=now)
    assert (await office.ask(VIEWER, principal))["kind"] == "PARTNER"
    target = type_id("cli", made.client.id)
    off = await office.ask(DEACTIVATE, owner.principal, id=target)
    assert off == {"__typename": "PartnerClient", "isActive": False}
    assert await office.ask(VIEWER, principal) == "UNAUTHENTICATED"
    assert (await token(http, made)).json()["error"] == "invalid_client"


async def test_evt_1_a_token_is_no_wider_than_its_client_is_now(
    office: BackOffice, made: partners.ClientWithSecret, now: datetime
) -> None:
    actor = await office.database.run(
        partners.actor_of_partner,
        partner_id=made.client.id,
        scopes=["codes:resolve", "audit:read", "no:such"],
        now=now,
    )
    assert [grant.permissions for grant in actor.grants] == [{Permission.CODES_RESOLVE}]


async def test_evt_1_a_client_above_its_rate_is_told_to_wait(
    office: BackOffice, place: Places, now: datetime
) -> None:
    slow = await office.database.run(partner, node=place.tea, requests_per_minute=3, now=now)
    principal = principal_of(slow.client, now=now)
    two_fields = "{ viewer { kind } }"
    answers = [await office.ask(two_fields, principal) for _ in range(4)]
    assert answers == [{"kind": "PARTNER"}] * 3 + ["TOO_MANY_REQUESTS"]
    later = office.at(now + timedelta(minutes=1))
    assert await later.ask(two_fields, principal) == {"kind": "PARTNER"}


def _id(node: Node) -> str:
    return type_id("node", node.id)


async def test_evt_1_who_may_only_write_partners_cannot_borrow_a_stronger_clients_scopes(
    office: BackOffice, database: Database, place: Places, now: datetime
) -> None:
    """Who rotates a secret learns it: they must hold every scope of the client themselves."""
    strong = await database.run(partner, node=place.group, scopes=tuple(Permission), now=now)
    clerk = await database.run(employee, node=place.group, role="cashier", now=now)
    grant = Grant(place.group.id, NodeKind.GROUP, frozenset({Permission.PARTNERS_WRITE}))
    weak = replace(clerk.actor, grants=(grant,))
    with pytest.raises(PermissionsNotHeld):
        await database.run(
            partners.rotate_secret,
            weak,
            partner_id=strong.client.row.id,
            grace=timedelta(hours=1),
            now=now,
        )
    still = await database.read(
        partners.authenticated,
        client_id=strong.client.row.client_id,
        secret=strong.secret,
        now=now,
    )
    assert still is not None
    owner = await database.run(employee, node=place.group, now=now)
    client_id = type_id("cli", strong.client.row.id)
    rotated = await office.ask(ROTATE, owner.principal, id=client_id)
    assert rotated["__typename"] == "PartnerClientSecret"
