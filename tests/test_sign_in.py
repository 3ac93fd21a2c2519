"""IDN-1, IDN-3, IDN-7: members sign in, against providers that answer over HTTP."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from sqlmodel import func, select
from starlette.applications import Starlette

from app.core.db import Database, open_database, statement
from app.edge.limits import Limits
from app.models.identities import Identity, IdentityKind, VerificationCode
from app.models.members import Member
from app.models.operations import Job
from app.services import sign_in
from app.services.identities import Proof
from app.services.sign_in import Asking
from auth import web
from auth.web import safe_return_to
from tests.factories.identities import (
    ANNA,
    H5,
    MINI_PROGRAM,
    OFFICIAL_ACCOUNT,
    OTHER_MINI_PROGRAM,
    PUBLIC_URL,
    js_code,
)
from tests.factories.members import (
    SEND,
    WITH_PHONE,
    WITH_TICKET,
    WITH_WECHAT,
    Server,
    a_server,
)
from tests.factories.reading import every, one

pytestmark = pytest.mark.anyio

REFUSED = {"__typename": "CodeRefused", "message": "The code is wrong or has expired."}
count_members = statement(select(func.count()).select_from(Member), into=int)
count_identities = statement(select(func.count()).select_from(Identity), into=int)

all_codes = statement(select(VerificationCode), into=VerificationCode)
all_jobs = statement(select(Job), into=Job)


@pytest.fixture
async def server(database: Database) -> AsyncIterator[Server]:
    async with a_server(database) as server:
        yield server


async def members_and_identities(database: Database) -> tuple[int | None, int | None]:
    return await one(database, count_members), await one(database, count_identities)


async def test_a_mini_programs_login_makes_a_member_once(server: Server) -> None:
    code = js_code(server.state, ANNA)
    first = await server.ask(WITH_WECHAT, appId=MINI_PROGRAM, jsCode=code)
    assert (first["__typename"], first["isNew"]) == ("SessionStarted", True)
    again = await server.ask(WITH_WECHAT, appId=MINI_PROGRAM, jsCode=js_code(server.state, ANNA))
    assert (again["isNew"], again["member"]["id"]) == (False, first["member"]["id"])
    assert await members_and_identities(server.database) == (1, 2)


async def test_a_wechat_code_works_once(server: Server) -> None:
    code = js_code(server.state, ANNA)
    await server.ask(WITH_WECHAT, appId=MINI_PROGRAM, jsCode=code)
    replay = await server.ask(WITH_WECHAT, appId=MINI_PROGRAM, jsCode=code)
    assert replay["__typename"] == "CodeRefused"
    assert await members_and_identities(server.database) == (1, 2)


async def test_a_union_id_joins_the_open_ids_of_two_apps(server: Server) -> None:
    """IDN-3: one person, whichever app they come through."""
    first = await server.ask(WITH_WECHAT, appId=MINI_PROGRAM, jsCode=js_code(server.state, ANNA))
    code = js_code(server.state, ANNA, OTHER_MINI_PROGRAM)
    other = await server.ask(WITH_WECHAT, appId=OTHER_MINI_PROGRAM, jsCode=code)
    assert (other["isNew"], other["member"]["id"]) == (False, first["member"]["id"])
    assert await members_and_identities(server.database) == (1, 3)


async def test_an_unknown_app_and_a_busy_provider_are_told_apart(server: Server) -> None:
    assert await server.ask(WITH_WECHAT, appId="wx9", jsCode="x") == "BAD_USER_INPUT"
    server.state.faults.order("wechat", "busy", 1)
    busy = await server.ask(WITH_WECHAT, appId=MINI_PROGRAM, jsCode=js_code(server.state, ANNA))
    assert busy["__typename"] == "ProviderBusy"
    too_long = await server.ask(WITH_WECHAT, appId=MINI_PROGRAM, jsCode="x" * 513)
    assert too_long["__typename"] == "CodeRefused"
    assert await members_and_identities(server.database) == (0, 0)


async def test_phone_and_email_codes_sign_in(server: Server) -> None:
    phone, email = ANNA.phone, ANNA.email
    assert phone is not None
    assert email is not None
    by_phone = await server.signed_in_by_phone(phone)
    assert (await server.signed_in_by_email(email)).id != by_phone.id
    server.clock.advance(minutes=1)
    assert (await server.signed_in_by_phone(phone)).id == by_phone.id
    mail = server.state.inbox.to(email)[0]
    assert "验证码" in mail.text
    assert "verification code" in mail.text


async def test_twenty_first_sign_ins_at_once_give_one_member(
    server: Server, database_url: str
) -> None:
    """IDN-3: two devices, one phone number, the same instant, on two server processes."""
    other_process = await open_database(database_url)
    asking = Asking(server.group.id, "", "", server.clock.now, timedelta(days=1))
    proofs = [Proof(IdentityKind.PHONE, "+8613800000009")]
    answers = await asyncio.gather(
        *(
            process.run(sign_in.with_proofs, asking=asking, proofs=proofs, method="sms")
            for process in (server.database, other_process) * 10
        )
    )
    await other_process.close()
    assert len({answer.member.id for answer in answers}) == 1
    assert sum(answer.is_new for answer in answers) == 1
    assert await members_and_identities(server.database) == (1, 1)


async def test_twenty_logins_from_two_apps_at_once_give_one_member(server: Server) -> None:
    apps = (MINI_PROGRAM, OTHER_MINI_PROGRAM) * 10
    answers = await asyncio.gather(
        *(
            server.ask(WITH_WECHAT, appId=app, jsCode=js_code(server.state, ANNA, app))
            for app in apps
        )
    )
    assert {answer["__typename"] for answer in answers} == {"SessionStarted"}
    assert len({answer["member"]["id"] for answer in answers}) == 1
    assert await members_and_identities(server.database) == (1, 3)


async def test_a_code_signs_in_once_however_many_send_it(server: Server) -> None:
    code = await server.code("SMS", "+8613800000009")
    answers = await asyncio.gather(
        *(server.ask(WITH_PHONE, phone="+8613800000009", code=code) for _ in range(5))
    )
    kinds = sorted(answer["__typename"] for answer in answers)
    assert kinds == ["CodeRefused"] * 4 + ["SessionStarted"]


async def test_after_five_wrong_codes_the_right_one_is_refused(server: Server) -> None:
    code = await server.code("SMS", "+8613800000001")
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    for _ in range(5):
        assert await server.ask(WITH_PHONE, phone="+8613800000001", code=wrong) == REFUSED
    assert await server.ask(WITH_PHONE, phone="+8613800000001", code=code) == REFUSED
    assert await members_and_identities(server.database) == (0, 0)


async def test_aliases_do_not_multiply_the_tries(server: Server) -> None:
    """IDN-7: as many guesses as a document may hold are as many tries, and the last is right."""
    code = await server.code("SMS", "+8613800000001")
    most = Limits().root_mutation_fields
    guesses = [f"{(int(code) + n) % 1_000_000:06d}" for n in range(1, 2 * most)] + [code]
    for begin in (0, most):
        fields = " ".join(
            f'a{n}: sessionStartWithPhone(input: {{phone: "+8613800000001", code: "{guess}"}})'
            " { __typename }"
            for n, guess in enumerate(guesses[begin : begin + most])
        )
        data = await server.execute(f"mutation {{ {fields} }}")
        assert [answer["__typename"] for answer in data.values()] == ["CodeRefused"] * most


async def test_an_address_with_many_wrong_codes_cannot_go_on_guessing(server: Server) -> None:
    """IDN-7: what an address is refused for is no answer to its guess, not even a right one."""
    code = await server.code("SMS", "+8613800000001")
    other = {"phone": "+8613800000002", "code": "000000"}
    for _ in range(60):
        assert await server.ask(WITH_PHONE, **other) == REFUSED
    assert await server.ask(WITH_PHONE, **other) == "TOO_MANY_REQUESTS"
    right = {"phone": "+8613800000001", "code": code}
    assert await server.ask(WITH_PHONE, **right) == "TOO_MANY_REQUESTS"
    server.address = "198.51.100.1"
    assert (await server.ask(WITH_PHONE, **right))["__typename"] == "SessionStarted"


async def test_a_code_is_for_its_purpose_its_target_and_its_time(server: Server) -> None:
    code = await server.code("SMS", "+8613800000001", "BIND")
    assert await server.ask(WITH_PHONE, phone="+8613800000001", code=code) == REFUSED
    code = await server.code("SMS", "+8613800000002")
    assert await server.ask(WITH_PHONE, phone="+8613800000003", code=code) == REFUSED
    server.clock.advance(minutes=5)
    assert await server.ask(WITH_PHONE, phone="+8613800000002", code=code) == REFUSED


async def test_one_code_a_minute_and_ten_a_day(server: Server) -> None:
    target = {"channel": "SMS", "target": "+8613800000001", "purpose": "SIGN_IN"}
    first = await server.ask(SEND, **target)
    too_soon = await server.ask(SEND, **target)
    assert too_soon == {"__typename": "CodesTooOften", "retryAt": first["nextAllowedAt"]}
    for _ in range(9):
        server.clock.advance(minutes=1)
        assert (await server.ask(SEND, **target))["__typename"] == "VerificationCodeSent"
    server.clock.advance(minutes=1)
    assert (await server.ask(SEND, **target))["__typename"] == "CodesTooOften"
    other = await server.ask(SEND, **target | {"target": "+8613800000002"})
    assert other["__typename"] == "VerificationCodeSent"


async def test_an_address_cannot_ask_for_codes_without_end(server: Server) -> None:
    for n in range(30):
        target = f"+861380000{n:04d}"
        await server.ask(SEND, channel="SMS", target=target, purpose="SIGN_IN")
    more = {"channel": "SMS", "target": "+8613900000001", "purpose": "SIGN_IN"}
    assert await server.ask(SEND, **more) == "TOO_MANY_REQUESTS"
    server.address = "198.51.100.1"
    assert (await server.ask(SEND, **more))["__typename"] == "VerificationCodeSent"


async def test_the_answer_does_not_say_who_has_an_account(server: Server) -> None:
    await server.signed_in_by_phone("+8613800000001")
    server.clock.advance(minutes=1)
    known = await server.ask(SEND, channel="SMS", target="+8613800000001", purpose="SIGN_IN")
    unknown = await server.ask(SEND, channel="SMS", target="+8613800000002", purpose="SIGN_IN")
    assert known == unknown
    invalid = await server.ask(SEND, channel="SMS", target="12", purpose="SIGN_IN")
    assert invalid == {"__typename": "TargetInvalid"}


async def test_a_stored_code_is_no_code(server: Server) -> None:
    """IDN-7: only a keyed hash is kept, and the job's payload is emptied once it was sent."""
    code = await server.code("SMS", "+8613800000001")

    stored = await every(server.database, all_codes), await every(server.database, all_jobs)
    assert code not in str(stored)


# On the web.


@dataclass
class Browser:
    """Keeps cookies and does not follow redirects by itself."""

    server: Server
    http: httpx2.AsyncClient

    async def redirected(self, url: str) -> str:
        response = await self.http.get(url)
        assert response.status_code in (302, 303), (response.status_code, response.text)
        return str(response.headers["location"])

    async def sign_in(self, start: str, person: str) -> tuple[str, dict[str, str]]:
        """From the page through the provider and back: where to, and the fragment."""
        at_provider = (await self.redirected(start)).replace("#wechat_redirect", "")
        extra = f"&person={person}&login_hint={person}&prompt=none"
        async with httpx2.AsyncClient(trust_env=False) as outside:
            chosen = await outside.get(at_provider + extra)
        assert chosen.status_code == 302, chosen.text
        back = await self.redirected(chosen.headers["location"])
        page, _, fragment = back.partition("#")
        return page, dict(parse_qsl(fragment))


@pytest.fixture
async def browser(server: Server) -> AsyncIterator[Browser]:
    transport = httpx2.ASGITransport(Starlette(routes=web.routes(lambda: server)))
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        yield Browser(server, http)


WECHAT = f"/auth/wechat/{OFFICIAL_ACCOUNT}"
OIDC = "/auth/oidc/corp"
VERIFIER = "v" * 43
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
)
WECHAT_START = f"{WECHAT}/start?challenge={CHALLENGE}"
OIDC_START = f"{OIDC}/start?challenge={CHALLENGE}"


async def test_wechat_on_the_web_gives_a_ticket_that_works_once(browser: Browser) -> None:
    server = browser.server
    mini = await server.ask(WITH_WECHAT, appId=MINI_PROGRAM, jsCode=js_code(server.state, ANNA))
    page, fragment = await browser.sign_in(f"{WECHAT_START}&return_to={H5}/card", "anna")
    assert page == f"{H5}/card"
    started = await server.ask(WITH_TICKET, ticket=fragment["ticket"], verifier=VERIFIER)
    assert (started["isNew"], started["member"]["id"]) == (False, mini["member"]["id"])
    again = await server.ask(WITH_TICKET, ticket=fragment["ticket"], verifier=VERIFIER)
    assert again["__typename"] == "TicketRefused"


async def test_an_openid_provider_proves_its_subject_and_a_checked_email(
    browser: Browser,
) -> None:
    server = browser.server
    email = ANNA.email
    assert email is not None
    member = await server.signed_in_by_email(email)
    page, fragment = await browser.sign_in(f"{OIDC_START}&return_to=/h5/", "anna")
    assert page == "/h5/"
    started = await server.ask(WITH_TICKET, ticket=fragment["ticket"], verifier=VERIFIER)
    assert (await server.principal(started)).id == member.id


async def test_a_ticket_expires(browser: Browser) -> None:
    _, fragment = await browser.sign_in(OIDC_START, "anna")
    browser.server.clock.advance(minutes=3)
    late = await browser.server.ask(WITH_TICKET, ticket=fragment["ticket"], verifier=VERIFIER)
    assert late["__typename"] == "TicketRefused"


async def test_a_ticket_needs_its_page(browser: Browser) -> None:
    """Who did not begin the sign-in cannot use its ticket, nor slip in one of their own."""
    theirs = base64.urlsafe_b64encode(hashlib.sha256(b"w" * 43).digest()).rstrip(b"=").decode()
    _, own = await browser.sign_in(OIDC_START, "anna")
    _, other = await browser.sign_in(f"{OIDC}/start?challenge={theirs}", "ben")
    ask = browser.server.ask
    stolen = await ask(WITH_TICKET, ticket=own["ticket"], verifier="w" * 43)
    slipped = await ask(WITH_TICKET, ticket=other["ticket"], verifier=VERIFIER)
    empty = await ask(WITH_TICKET, ticket=own["ticket"], verifier="")
    answers = [stolen, slipped, empty]
    assert [answer["__typename"] for answer in answers] == ["TicketRefused"] * 3
    started = await ask(WITH_TICKET, ticket=own["ticket"], verifier=VERIFIER)
    assert started["__typename"] == "SessionStarted"


@pytest.mark.parametrize("challenge", ["", "x", f"{CHALLENGE}=", CHALLENGE[:-1]])
async def test_a_web_sign_in_begins_with_a_challenge(browser: Browser, challenge: str) -> None:
    """Without one its ticket could be slipped to somebody, who would sign in as another."""
    for path in (WECHAT, OIDC):
        assert (await browser.http.get(f"{path}/start?return_to=/h5/")).status_code == 400
        refused = await browser.http.get(f"{path}/start", params={"challenge": challenge})
        assert refused.status_code == 400


async def test_a_forged_or_foreign_state_is_refused(browser: Browser) -> None:
    location = await browser.redirected(WECHAT_START)
    state = dict(parse_qsl(urlsplit(location).query))["state"]
    cookie = browser.http.cookies["regulars_sign_in"]
    for callback in (
        f"{WECHAT}/callback?code=x&state={'0' * 32}",
        f"{WECHAT}/callback?code=x",
        f"{OIDC}/callback?code=x&state={state}",  # of another provider
    ):
        assert (await browser.http.get(callback)).status_code == 400
    browser.http.cookies.clear()
    assert (await browser.http.get(f"{WECHAT}/callback?code=x&state={state}")).status_code == 400
    forged = {"cookie": f"regulars_sign_in={cookie[:-2]}xx"}
    answer = await browser.http.get(f"{WECHAT}/callback?code=x&state={state}", headers=forged)
    assert answer.status_code == 400


async def test_the_cookie_is_for_the_server_alone(browser: Browser) -> None:
    response = await browser.http.get(OIDC_START)
    cookie = response.headers["set-cookie"]
    for attribute in ("HttpOnly", "Secure", "SameSite=lax", "Path=/auth", "Max-Age=600"):
        assert attribute in cookie
    query = dict(parse_qsl(urlsplit(response.headers["location"]).query))
    assert query["code_challenge_method"] == "S256"
    assert {"verifier", "code_verifier"}.isdisjoint(query)


@pytest.mark.parametrize(
    "return_to",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "https://h5.regulars.example.evil.example/",
        "https://h5.regulars.example@evil.example/",
        "https://regulars.example:444/",
        "http://regulars.example/",
        "javascript:alert(1)",
        "/\n/evil.example",
        "",
        "h5",
        "https:evil.example",
        "https:///evil.example",
        "https://[::1",
    ],
)
async def test_no_open_redirect(browser: Browser, return_to: str) -> None:
    response = await browser.http.get(
        f"{WECHAT}/start", params={"return_to": return_to, "challenge": CHALLENGE}
    )
    assert response.status_code == 400
    assert safe_return_to(return_to, browser.server.settings) is None


async def test_our_own_pages_may_be_returned_to(server: Server) -> None:
    for return_to in ("/h5/?a=1", f"{H5}/x", f"{PUBLIC_URL}:443/", "HTTPS://H5.regulars.example/"):
        assert safe_return_to(return_to, server.settings) is not None


async def test_a_refusal_of_the_provider_returns_to_the_page(browser: Browser) -> None:
    location = await browser.redirected(f"{WECHAT_START}&return_to=/h5/")
    state = dict(parse_qsl(urlsplit(location).query))["state"]
    assert await browser.redirected(f"{WECHAT}/callback?state={state}") == "/h5/#error=denied"
    location = await browser.redirected(f"{WECHAT_START}&return_to=/h5/")
    state = dict(parse_qsl(urlsplit(location).query))["state"]
    refused = await browser.redirected(f"{WECHAT}/callback?state={state}&code=made-up")
    assert refused == "/h5/#error=refused"
    browser.server.state.faults.order("oidc", "500", 1)
    unavailable = await browser.redirected(f"{OIDC_START}&return_to=/h5/")
    assert unavailable == "/h5/#error=unavailable"


async def test_unknown_providers_are_not_there(browser: Browser) -> None:
    for path in ("/auth/oidc/other/start", f"/auth/wechat/{MINI_PROGRAM}/start"):
        assert (await browser.http.get(path)).status_code == 404
