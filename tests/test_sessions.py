"""IDN-6: sessions, refresh families, access tokens, key rotation."""

import asyncio
import base64
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlmodel import col, func, select

from app.core.db import Database, statement
from app.core.errors import Unauthenticated
from app.core.ids import new_id, type_id
from app.models.sessions import PrincipalKind, RefreshToken, SigningKey
from app.services import members, sessions, signing_keys, tickets
from auth.tokens import (
    ADMIN_AUDIENCE,
    MEMBER_AUDIENCE,
    RELOAD_PAUSE,
    SigningKeys,
    TokenSigner,
    TokenVerifier,
)
from schema.context import Principal
from tests.factories.back_office import ISSUER, MEMBER, BackOffice
from tests.factories.organisation import Places, places
from tests.factories.reading import one

pytestmark = pytest.mark.anyio

LIFE = timedelta(days=60)
TOKEN_LIFE = timedelta(minutes=10)
REFRESH = """mutation ($token: String!) { sessionRefresh(input: {refreshToken: $token}) {
  __typename ... on SessionRefreshed { accessToken accessTokenExpiresAt refreshToken }
  ... on RefreshRefused { message } } }"""
REVOKE = """mutation ($id: ID!) { sessionRevoke(input: {id: $id}) {
  __typename ... on SessionRevoked { id } } }"""
REVOKE_OTHERS = "mutation { sessionsRevokeOthers { count } }"
LIST = "{ sessions { id device method } }"
REFUSED = {
    "__typename": "RefreshRefused",
    "message": "You have been signed out. Sign in again.",
}

count_tokens = statement(select(func.count()).select_from(RefreshToken), into=int)
count_unused = statement(
    select(func.count()).select_from(RefreshToken).where(col(RefreshToken.used_at).is_(None)),
    into=int,
)


@dataclass
class Visit:
    """A member's session, and whom its access token speaks for."""

    refreshed: sessions.Refreshed
    principal: Principal


@pytest.fixture
async def place(database: Database, now: datetime) -> Places:
    return await database.run(places, now=now)


@pytest.fixture
async def office(database: Database, now: datetime) -> BackOffice:
    office = BackOffice(database, now, MEMBER)
    await office.keys.start(now)
    return office


async def visit(
    database: Database, place: Places, now: datetime, member_id: UUID | None = None
) -> Visit:
    if member_id is None:
        made = await database.run(members.create, group_id=place.group.id, name=None, now=now)
        member_id = made.id
    refreshed = await database.run(
        sessions.start,
        principal_kind=PrincipalKind.MEMBER,
        principal_id=member_id,
        group_id=place.group.id,
        method="sms",
        device="Pixel\x00 9",
        now=now,
        life=LIFE,
    )
    principal = Principal(
        kind=PrincipalKind.MEMBER,
        id=member_id,
        group_id=place.group.id,
        session_id=refreshed.session.id,
        expires_at=now + TOKEN_LIFE,
    )
    return Visit(refreshed, principal)


async def test_idn_6_a_refresh_token_rotates_and_its_access_token_works(
    office: BackOffice, place: Places, now: datetime
) -> None:
    first = await visit(office.database, place, now)
    answer = await office.ask(REFRESH, token=first.refreshed.refresh_token)
    assert answer["__typename"] == "SessionRefreshed"
    assert answer["accessTokenExpiresAt"] == (now + TOKEN_LIFE).isoformat()
    assert answer["refreshToken"] != first.refreshed.refresh_token
    principal = office.verifier.verify(answer["accessToken"], audience=MEMBER_AUDIENCE, now=now)
    assert principal == first.principal
    again = await office.ask(REFRESH, token=answer["refreshToken"])
    assert again["__typename"] == "SessionRefreshed"


async def test_idn_6_reuse_of_an_old_token_ends_the_whole_family(
    office: BackOffice, place: Places, now: datetime
) -> None:
    first = await visit(office.database, place, now)
    answer = await office.ask(REFRESH, token=first.refreshed.refresh_token)
    assert await office.ask(REFRESH, token=first.refreshed.refresh_token) == REFUSED
    assert await office.ask(REFRESH, token=answer["refreshToken"]) == REFUSED
    assert await office.ask(LIST, first.principal) == []
    assert await one(office.database, count_unused) == 1


async def test_idn_6_two_refreshes_at_once_one_wins_and_the_session_ends(
    office: BackOffice, place: Places, now: datetime
) -> None:
    first = await visit(office.database, place, now)
    token = first.refreshed.refresh_token
    answers = await asyncio.gather(*(office.ask(REFRESH, token=token) for _ in range(2)))
    assert sorted(a["__typename"] for a in answers) == ["RefreshRefused", "SessionRefreshed"]
    (won,) = (a for a in answers if a["__typename"] == "SessionRefreshed")
    assert await office.ask(REFRESH, token=won["refreshToken"]) == REFUSED


@pytest.mark.parametrize("token", ["", "unknown", "x" * 5_000, "\x00", "令牌"])
async def test_idn_6_an_unknown_refresh_token_is_refused_and_changes_nothing(
    office: BackOffice, place: Places, now: datetime, token: str
) -> None:
    await visit(office.database, place, now)
    assert await office.ask(REFRESH, token=token) == REFUSED
    assert await one(office.database, count_tokens) == 1
    assert await one(office.database, count_unused) == 1


async def test_idn_6_an_expired_session_refuses_with_the_same_message(
    office: BackOffice, place: Places, now: datetime
) -> None:
    first = await visit(office.database, place, now)
    late = office.at(now + LIFE)
    assert await late.ask(REFRESH, token=first.refreshed.refresh_token) == REFUSED
    on_time = office.at(now + LIFE - timedelta(seconds=1))
    answer = await on_time.ask(REFRESH, token=first.refreshed.refresh_token)
    assert answer["__typename"] == "SessionRefreshed"


async def test_idn_6_the_other_endpoint_does_not_take_a_members_token_nor_use_it_up(
    office: BackOffice, place: Places, now: datetime
) -> None:
    first = await visit(office.database, place, now)
    admin = BackOffice(office.database, now)
    assert await admin.ask(REFRESH, token=first.refreshed.refresh_token) == REFUSED
    answer = await office.ask(REFRESH, token=first.refreshed.refresh_token)
    assert answer["__typename"] == "SessionRefreshed"


async def test_idn_6_a_member_lists_and_ends_their_sessions_and_nobody_elses(
    office: BackOffice, place: Places, now: datetime
) -> None:
    phone = await visit(office.database, place, now)
    tablet = await visit(office.database, place, now, phone.principal.id)
    laptop = await visit(office.database, place, now, phone.principal.id)
    stranger = await visit(office.database, place, now)
    assert await office.ask(LIST) == "UNAUTHENTICATED"
    listed = await office.ask(LIST, phone.principal)
    assert listed[0] == {"id": _id(laptop), "device": "Pixel 9", "method": "sms"}
    assert {s["id"] for s in listed} == {_id(phone), _id(tablet), _id(laptop)}

    not_found = {"__typename": "SessionNotFound"}
    assert await office.ask(REVOKE, phone.principal, id=_id(stranger)) == not_found
    assert await office.ask(REVOKE, phone.principal, id="ses_1") == "BAD_USER_INPUT"
    revoked = await office.ask(REVOKE, phone.principal, id=_id(tablet))
    assert revoked == {"__typename": "SessionRevoked", "id": _id(tablet)}
    assert await office.ask(REVOKE, phone.principal, id=_id(tablet)) == not_found
    assert await office.ask(REVOKE_OTHERS, phone.principal) == {"count": 1}
    assert [s["id"] for s in await office.ask(LIST, phone.principal)] == [_id(phone)]
    assert [s["id"] for s in await office.ask(LIST, stranger.principal)] == [_id(stranger)]


async def test_idn_6_a_used_token_is_forgotten_after_a_week_but_never_works(
    office: BackOffice, place: Places, now: datetime
) -> None:
    first = await visit(office.database, place, now)
    second = await office.ask(REFRESH, token=first.refreshed.refresh_token)
    later = office.at(now + timedelta(days=8))
    third = await later.ask(REFRESH, token=second["refreshToken"])
    assert third["__typename"] == "SessionRefreshed"
    assert await one(office.database, count_tokens) == 2
    assert await later.ask(REFRESH, token=first.refreshed.refresh_token) == REFUSED


async def test_a_ticket_is_redeemed_once_by_one_of_many(database: Database, now: datetime) -> None:
    secret = await database.run(
        tickets.issue, purpose="merge", payload={"a": 1}, personal="王", now=now, life=LIFE
    )
    refused: list[dict[str, Any]] = [
        {"purpose": "other", "secret": secret, "now": now},
        {"purpose": "merge", "secret": "guess", "now": now},
        {"purpose": "merge", "secret": secret, "now": now + LIFE},
    ]
    for values in refused:
        with pytest.raises(tickets.TicketRefused):
            await database.run(tickets.redeem, **values)
    redeem = (
        database.run(tickets.redeem, purpose="merge", secret=secret, now=now) for _ in range(5)
    )
    outcomes = await asyncio.gather(*redeem, return_exceptions=True)
    assert sorted(type(o).__name__ for o in outcomes) == ["Ticket"] + ["TicketRefused"] * 4
    (redeemed,) = (o for o in outcomes if not isinstance(o, BaseException))
    assert (redeemed.payload, redeemed.personal) == ({"a": 1}, "王")


# Access tokens and their keys


async def _token(signer: TokenSigner, now: datetime, **more: Any) -> str:
    values: dict[str, Any] = {
        "kind": PrincipalKind.MEMBER,
        "principal_id": new_id(),
        "group_id": new_id(),
        "session_id": new_id(),
    }
    return (await signer.sign(**values | more, now=now)).text


async def test_idn_6_a_token_is_verified_once_and_then_remembered_until_it_expires(
    office: BackOffice, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await _token(office.signer, now)
    first = office.verifier.verify(token, audience=MEMBER_AUDIENCE, now=now)
    monkeypatch.setattr("auth.tokens.jwt.decode", None)
    assert office.verifier.verify(token, audience=MEMBER_AUDIENCE, now=now) is first
    with pytest.raises(Unauthenticated):
        office.verifier.verify(
            token, audience=MEMBER_AUDIENCE, now=now + TOKEN_LIFE + timedelta(seconds=6)
        )


async def test_idn_6_a_token_of_one_endpoint_is_worth_nothing_at_the_other(
    office: BackOffice, now: datetime
) -> None:
    member = await _token(office.signer, now)
    staff = await _token(office.signer, now, kind=PrincipalKind.STAFF)
    for token, right, wrong in (
        (member, MEMBER_AUDIENCE, ADMIN_AUDIENCE),
        (staff, ADMIN_AUDIENCE, MEMBER_AUDIENCE),
    ):
        for _ in range(2):  # before and after it is remembered
            with pytest.raises(Unauthenticated):
                office.verifier.verify(token, audience=wrong, now=now)
            assert office.verifier.verify(token, audience=right, now=now).expires_at


async def test_idn_6_tampered_tokens_are_refused(office: BackOffice, now: datetime) -> None:
    key = office.keys.signing(now)
    good = {
        "iss": ISSUER,
        "aud": "member",
        "sub": type_id("mem", new_id()),
        "group": type_id("node", new_id()),
        "iat": int(now.timestamp()),
        "exp": int((now + TOKEN_LIFE).timestamp()),
    }
    header = {"alg": "ES256", "typ": "at+jwt", "kid": key.kid}

    def made(header: dict[str, Any], claims: dict[str, Any], signing: ECKey = key) -> str:
        return jwt.encode(header, claims, signing)

    def refused(token: str) -> bool:
        try:
            office.verifier.verify(token, audience="member", now=now)
        except Unauthenticated:
            return True
        return False

    assert not refused(made(header, good))
    assert refused(made(header, good, ECKey.generate_key("P-256"))), "another's key"
    assert refused(made(header | {"typ": "JWT"}, good)), "not an access token"
    assert refused(made({"alg": "ES256", "typ": "at+jwt"}, good)), "no kid"
    for wrong in (
        {"aud": "admin"},
        {"aud": ["member", "admin"]},
        {"iss": "https://evil.example"},
        {"exp": int((now - timedelta(minutes=1)).timestamp())},
        {"exp": "tomorrow"},
        {"exp": None},
        {"iat": int((now + timedelta(hours=1)).timestamp())},
        {"sub": type_id("stf", new_id())},
        {"sub": "mem_nobody"},
        {"sub": 7},
        {"group": None},
    ):
        assert refused(made(header, good | wrong)), wrong
    for missing in good:
        assert refused(made(header, {k: v for k, v in good.items() if k != missing})), missing
    head, body, signature = made(header, good).split(".")
    unsigned = _part({"alg": "none", "typ": "at+jwt", "kid": key.kid})
    # The public key as an HMAC secret: what a verifier falls for that lets the token choose.
    confused = f"{_part({'alg': 'HS256', 'typ': 'at+jwt', 'kid': key.kid})}.{body}"
    mac = hmac.digest(key.as_pem(private=False), confused.encode(), "sha256")
    other = _part(good | {"sub": type_id("mem", new_id())})
    for token in (
        f"{unsigned}.{body}.",
        f"{unsigned}.{body}.{signature}",
        f"{head}.{other}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{confused}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}",
        "",
        "a.b.c",
        "令牌",
        "x" * 100_000,
    ):
        assert refused(token), token[:40]


async def test_idn_6_a_rotated_key_is_published_before_it_signs_and_the_old_one_after(
    office: BackOffice, now: datetime
) -> None:
    database, old_kid = office.database, office.keys.signing(now).kid
    new_key = await database.run(signing_keys.rotate, now=now, token_life=TOKEN_LIFE)
    soon = now + signing_keys.PUBLISH_AHEAD - timedelta(seconds=1)
    old_token = await _token(office.signer, soon)  # which reads the table again
    assert {k["kid"] for k in office.keys.jwks()["keys"]} == {old_kid, new_key.kid}
    assert all("d" not in k for k in office.keys.jwks()["keys"])
    assert office.keys.signing(soon).kid == old_kid

    then = now + signing_keys.PUBLISH_AHEAD
    new_token = await _token(office.signer, then)
    assert office.keys.signing(then).kid == new_key.kid
    for token in (old_token, new_token):
        assert office.verifier.verify(token, audience=MEMBER_AUDIENCE, now=then)

    fresh = SigningKeys(database)
    last = soon + TOKEN_LIFE - timedelta(seconds=1)
    await fresh.reload(last)
    verifier = TokenVerifier(fresh, issuer=ISSUER)
    assert verifier.verify(old_token, audience=MEMBER_AUDIENCE, now=last)
    gone = then + TOKEN_LIFE + signing_keys.PUBLISH_AHEAD
    await fresh.reload(gone)
    assert [k["kid"] for k in fresh.jwks()["keys"]] == [new_key.kid]


async def test_idn_6_keys_rotate_once_a_month(database: Database, now: datetime) -> None:
    async def rotated(moment: datetime) -> bool:
        return await database.run(signing_keys.rotate_when_due, now=moment, token_life=TOKEN_LIFE)

    await database.run(signing_keys.ensure, now=now)
    due = now + signing_keys.KEY_LIFE
    assert not await rotated(due - timedelta(seconds=1))
    assert await rotated(due)
    assert not await rotated(due + timedelta(days=1))
    assert len(await database.read(signing_keys.published, now=due)) == 2


async def test_idn_6_an_unknown_key_makes_one_reload_however_many_tokens_name_it(
    database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = SigningKeys(database)
    await keys.start(now)
    verifier = TokenVerifier(keys, issuer=ISSUER)
    other = SigningKeys(database)
    await database.run(
        signing_keys.rotate, now=now - signing_keys.PUBLISH_AHEAD, token_life=TOKEN_LIFE
    )
    await other.reload(now)
    signer = TokenSigner(other, issuer=ISSUER, life=TOKEN_LIFE)
    later = now + RELOAD_PAUSE
    token = await _token(signer, later)
    forged = jwt.encode(
        {"alg": "ES256", "typ": "at+jwt", "kid": "made up"}, {}, ECKey.generate_key("P-256")
    )
    reads = 0
    read_table = keys.reload

    async def counted(moment: datetime) -> None:
        nonlocal reads
        reads += 1
        await read_table(moment)

    monkeypatch.setattr(keys, "reload", counted)

    async def known(text: str) -> bool:
        try:
            await verifier.principal(text, audience=MEMBER_AUDIENCE, now=later)
        except Unauthenticated:
            return False
        return True

    with pytest.raises(Unauthenticated):
        verifier.verify(token, audience=MEMBER_AUDIENCE, now=later)
    assert await asyncio.gather(*(known(t) for t in [token, forged] * 10)) == [True, False] * 10
    assert reads == 1


async def test_sec_1_private_keys_are_encrypted_at_rest(database: Database, now: datetime) -> None:
    await database.run(signing_keys.ensure, now=now)
    await database.run(signing_keys.ensure, now=now)
    (key,) = await database.read(signing_keys.published, now=now)
    assert "d" in orjson.loads(key.private_jwk)
    stored = SigningKey.__table__.c.private_jwk.type  # type: ignore[attr-defined]
    assert type(stored).__name__ == "Personal"


def _id(visit: Visit) -> str:
    return type_id("ses", visit.refreshed.session.id)


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()
