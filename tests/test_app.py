"""The server as a whole: what it answers before any domain is asked, and how it comes up."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from app.core.db import Database
from app.main import GroupMissing, start
from app.models.sessions import PrincipalKind
from app.services import sessions
from app.settings import Mode, Settings, SettingsInvalid, read_settings
from tests.factories.back_office import ISSUER, KEY
from tests.factories.cards import SETTINGS
from tests.factories.running import Live, a_running_app

pytestmark = pytest.mark.anyio

REFRESH = """mutation ($token: String!) { sessionRefresh(input: {refreshToken: $token}) {
  __typename ... on SessionRefreshed { accessToken refreshToken } } }"""
SECRETS = {"encryption_keys": {"k": KEY}, "index_key": KEY, "member_code_keys": {"k": KEY}}


@pytest.fixture
async def running(database: Database, database_url: str) -> AsyncIterator[Live]:
    async with a_running_app(database, database_url) as live:
        yield live


async def test_health_and_readiness(running: Live) -> None:
    assert (await running.http.get("/healthz")).text == "ok"
    ready = await running.http.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


async def test_every_answer_names_its_request_and_says_what_pages_may_do(running: Live) -> None:
    for path in ("/healthz", "/graphql", "/nowhere"):
        answer = await running.http.get(path, headers={"X-Request-ID": "from-the-proxy"})
        assert answer.headers["x-request-id"] == "from-the-proxy"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in answer.headers["content-security-policy"]


async def test_a_stale_token_does_not_stop_its_own_refresh(
    running: Live, database: Database
) -> None:
    """IDN-6: clients send their expired access token along with the request for the next one."""
    shop = running.till.shop
    now = datetime.now(UTC)
    started = await database.run(
        sessions.start,
        principal_kind=PrincipalKind.MEMBER,
        principal_id=shop.member.id,
        group_id=shop.member.group_id,
        method="phone",
        device="",
        now=now,
        life=timedelta(days=1),
    )
    signed = await running.member_token()
    headers = {"Authorization": signed[:-4]}  # past its time or broken: worth the same
    refused = await running.http.post("/graphql", json={"query": "{ me { id } }"}, headers=headers)
    assert refused.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    asked = {"query": REFRESH, "variables": {"token": started.refresh_token}}
    refreshed = await running.http.post("/graphql", json=asked, headers=headers)
    assert refreshed.json()["data"]["sessionRefresh"]["__typename"] == "SessionRefreshed"


async def test_a_members_token_is_worth_nothing_at_the_admin_endpoint(running: Live) -> None:
    headers = {"Authorization": await running.member_token()}
    answer = await running.http.post(
        "/admin/graphql", json={"query": "{ viewer { name } }"}, headers=headers
    )
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_metrics_are_for_who_has_their_token(database: Database, database_url: str) -> None:
    locked = {"metrics_token": SecretStr("prometheus")}
    async with a_running_app(database, database_url, **locked) as live:
        assert (await live.http.get("/metrics")).status_code == 401
        headers = {"Authorization": "Bearer prometheus"}
        metrics = (await live.http.get("/metrics", headers=headers)).text
    assert "regulars_service_call_seconds_bucket" in metrics
    assert "203.0.113" not in metrics


async def test_graphiql_is_off_in_production_unless_switched_on(
    database: Database, database_url: str
) -> None:
    """WEB-2."""
    for settings, is_shown in (
        ({}, True),
        ({"mode": Mode.PRODUCTION}, False),
        ({"mode": Mode.PRODUCTION, "graphiql": True}, True),
    ):
        async with a_running_app(database, database_url, **settings) as live:
            page = await live.http.get("/graphql", headers={"Accept": "text/html"})
            assert page.text.startswith("<!doctype html>") is is_shown, settings


async def test_production_says_nothing_about_the_schema_in_hints(
    database: Database, database_url: str
) -> None:
    async with a_running_app(database, database_url, mode=Mode.PRODUCTION) as live:
        answer = await live.http.post("/graphql", json={"query": "{ cardz { id } }"})
        assert "Did you mean" not in answer.text


async def test_the_server_needs_its_group(database: Database, database_url: str) -> None:
    settings = SETTINGS.model_copy(
        update={"database_url": database_url, "group_code": "somebody-else"}
    )
    with pytest.raises(GroupMissing, match="regulars init"):
        async with start(settings):
            pass


@pytest.mark.parametrize("missing", SECRETS)
def test_a_missing_secret_stops_the_start_in_one_line(missing: str) -> None:
    given = {name: value for name, value in SECRETS.items() if name != missing}
    with pytest.raises(SettingsInvalid, match=f"REGULARS_{missing.upper()} is missing") as told:
        read_settings(**given)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"unknown_thing": 1}, "unknown_thing"),
        ({"database_connections": 0}, "database_connections"),
        ({"trusted_proxies": "*"}, "TRUSTED_PROXIES"),
        ({"access_token_life": timedelta(hours=2)}, "access_token_life"),
    ],
)
def test_settings_that_cannot_be_meant_stop_the_start_in_one_line(
    wrong: dict[str, object], told: str
) -> None:
    with pytest.raises(SettingsInvalid, match=told) as refused:
        read_settings(**SECRETS, **wrong)
    assert "\n" not in str(refused.value)


def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGULARS_DATABSE_URL", "sqlite:///x.db")
    with pytest.raises(SettingsInvalid, match="REGULARS_DATABSE_URL is not a setting"):
        read_settings(**SECRETS)


def test_settings_cannot_be_changed() -> None:
    settings = Settings(public_url=ISSUER, **SECRETS)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="frozen"):
        settings.public_url = "https://elsewhere.example"  # type: ignore[misc]
