"""Pictures over plain HTTP: who may send them, who sees them, and how they go."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import httpx2
import pytest
from sqlmodel import col, select

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.core.images import IMAGE_BYTES_MAX
from app.gateways.files.folder import FolderStore
from app.jobs.worker import Worker
from app.models.files import File, FileKind, FileState
from app.models.operations import AuditRecord
from app.models.sessions import PrincipalKind
from app.services import files
from app.settings import FilesSettings
from tests.factories.back_office import ISSUER
from tests.factories.files import a_picture, an_image
from tests.factories.reading import every
from tests.factories.running import Live, a_running_app
from tests.factories.sessions import a_bearer
from tests.factories.small_world import a_member

pytestmark = pytest.mark.anyio

CLOSE = """mutation ($key: String!) {
  memberClose(input: {requestKey: $key, forfeitBalances: true}) { __typename } }"""

all_files = statement(select(File).order_by(col(File.id)), into=File)
uploads_recorded = statement(
    select(AuditRecord).where(col(AuditRecord.action) == "file.upload"), into=AuditRecord
)


@dataclass
class Gallery:
    """A running server, and the folder where its pictures lie."""

    live: Live
    folder: Path

    @property
    def http(self) -> httpx2.AsyncClient:
        return self.live.http

    @property
    def database(self) -> Database:
        return self.live.till.database

    @property
    def group_id(self) -> UUID:
        return self.live.till.shop.places.group.id

    @property
    def stored(self) -> list[str]:
        return sorted(each.name for each in self.folder.rglob("*") if each.is_file())

    async def owner(self) -> str:
        owner = self.live.till.shop.owner
        return await self.live.token(PrincipalKind.STAFF, owner.staff.id, owner.session_id)

    async def send(
        self, token: str, content: bytes, name: str = "cover.png", /, **fields: str
    ) -> httpx2.Response:
        return await self.http.post(
            "/files",
            files={"file": (name, content, "image/png")},
            data=fields,
            headers={"Authorization": token},
        )

    async def send_cover(self, content: bytes, name: str = "cover.png") -> httpx2.Response:
        perspective_id = type_id("node", self.group_id)
        return await self.send(await self.owner(), content, name, perspectiveId=perspective_id)

    async def send_card(self, content: bytes | None = None) -> Any:
        answer = await self.send(await self.live.member_token(), content or a_picture("JPEG"))
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def fetch(self, url: str, **headers: str) -> httpx2.Response:
        return await self.http.get(url.removeprefix(ISSUER), headers=headers)

    async def rows(self) -> list[File]:
        return await every(self.database, all_files)

    async def work(self, *, after: timedelta = timedelta(0)) -> None:
        """Do what jobs and duties there are, `after` so much time."""
        outside = cast("Any", SimpleNamespace(files=FolderStore(self.folder)))
        await Worker(
            self.database, outside, next_times={}, clock=lambda: datetime.now(UTC) + after
        ).drain()


@pytest.fixture
async def gallery(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Gallery]:
    folder = tmp_path / "files"
    settings = FilesSettings(folder=str(folder))
    async with a_running_app(database, database_url, files=settings) as live:
        yield Gallery(live, folder)


def code_of(answer: httpx2.Response) -> tuple[int, str]:
    (error,) = answer.json()["errors"]
    return answer.status_code, error["extensions"]["code"]


async def test_a_cover_is_taken_in_and_everybody_sees_it(gallery: Gallery) -> None:
    answer = await gallery.send_cover(a_picture("PNG", (120, 80)))
    assert answer.status_code == 201, answer.text
    found = answer.json()
    (row,) = await gallery.rows()
    file_id = type_id("file", row.id)
    assert found == {
        "id": file_id,
        "url": f"{ISSUER}/files/{file_id}",
        "contentType": "image/png",
        "bytes": row.bytes,
        "width": 120,
        "height": 80,
    }
    shown = await gallery.fetch(found["url"])
    assert shown.status_code == 200
    assert len(shown.content) == row.bytes
    headers = shown.headers
    assert headers["content-type"] == "image/png"
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert headers["etag"] == f'"{row.sha256}"'
    again = await gallery.fetch(found["url"], **{"If-None-Match": f'W/"old", {headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == headers["etag"]
    assert (row.kind, row.state) == (FileKind.PUBLIC_IMAGE, FileState.STORED)
    (record,) = await every(gallery.database, uploads_recorded)
    assert (record.object_id, record.details) == (row.id, {"sha256": row.sha256})


async def test_a_picture_is_known_by_what_it_is(gallery: Gallery) -> None:
    """Its name and the type its sender gives mean nothing, wherever they would lead."""
    for name in ("../../../etc/passwd", "cover.php\0.png", "C:\\cover.svg", "覆盖.exe", ""):
        answer = await gallery.send_cover(a_picture("WEBP"), name or "x")
        assert answer.status_code == 201, answer.text
        assert answer.json()["contentType"] == "image/webp"
    rows = await gallery.rows()
    assert gallery.stored == sorted(row.id.hex for row in rows)
    page = b"<!doctype html><script>alert(1)</script>"
    assert code_of(await gallery.send_cover(page)) == (422, "NotAnImage")
    assert code_of(await gallery.send_cover(b"PK\x03\x04 a spreadsheet")) == (422, "NotAnImage")
    assert len(await gallery.rows()) == len(gallery.stored) == 5


async def test_what_is_too_large_leaves_nothing(gallery: Gallery) -> None:
    too_large = a_picture() + b"\0" * (IMAGE_BYTES_MAX - 10)
    assert code_of(await gallery.send_cover(too_large)) == (413, "ImageTooLarge")
    beyond = await gallery.send_cover(a_picture() + b"\0" * (IMAGE_BYTES_MAX + 100_000))
    assert beyond.status_code == 413
    # Everywhere else the cap is what it was.
    elsewhere = await gallery.http.post("/auth/token", data={"scope": "x" * 70_000})
    assert elsewhere.status_code == 413
    assert (await gallery.rows(), gallery.stored) == ([], [])


async def test_only_who_may_uploads(gallery: Gallery) -> None:
    picture, owner = a_picture(), await gallery.owner()
    stranger = await gallery.send("Bearer nobody", picture)
    assert code_of(stranger) == (401, "UNAUTHENTICATED")
    assert code_of(await gallery.send("", picture)) == (401, "UNAUTHENTICATED")
    assert code_of(await gallery.send(owner, picture)) == (400, "BAD_USER_INPUT")
    for given in ("store_1", "node_", type_id("card", new_id())):
        answer = await gallery.send(owner, picture, perspectiveId=given)
        assert code_of(answer) == (400, "BAD_USER_INPUT")
    nowhere = await gallery.send(owner, picture, perspectiveId=type_id("node", new_id()))
    assert code_of(nowhere) == (404, "NodeNotFound")
    formless = {"Authorization": owner}
    no_form = await gallery.http.post("/files", content=picture, headers=formless)
    assert code_of(no_form) == (400, "BAD_USER_INPUT")
    broken = await gallery.http.post(
        "/files",
        content=b"--x\r\nnonsense",
        headers={**formless, "Content-Type": "multipart/form-data; boundary=x"},
    )
    assert code_of(broken) in {(400, "BAD_REQUEST"), (400, "BAD_USER_INPUT")}
    assert (await gallery.rows(), gallery.stored) == ([], [])


async def test_a_members_picture_is_seen_through_a_signed_address_for_minutes(
    gallery: Gallery,
) -> None:
    found = await gallery.send_card(a_picture("JPEG", (200, 100)))
    (row,) = await gallery.rows()
    assert (row.kind, row.uploader_id) == (
        FileKind.PRIVATE_IMAGE,
        gallery.live.till.shop.member.id,
    )
    shown = await gallery.fetch(found["url"])
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
    assert shown.headers["cache-control"] == "no-store"
    assert shown.headers["referrer-policy"] == "no-referrer"
    assert "etag" not in shown.headers
    # At rest nobody sees it: neither the bytes nor what they would begin with.
    (path,) = [each for each in gallery.folder.rglob("*") if each.is_file()]
    assert path.read_bytes().startswith(b"v1:")
    bare, signature = found["url"].partition("?")[0], found["url"].rpartition("=")[2]
    later = int(datetime.now(UTC).timestamp()) + 3_600
    other = files.signed_url(new_id(), base_url=ISSUER, now=datetime.now(UTC)).partition("?")[2]
    passed = files.signed_url(
        row.id, base_url=ISSUER, now=datetime.now(UTC) - files.LINK_LIFE - timedelta(seconds=1)
    )
    for url in (
        bare,
        f"{bare}?expires={later}&signature={signature}",
        f"{bare}?{other}",
        found["url"][:-1] + ("0" if signature[-1] != "0" else "1"),
        f"{bare}?expires=٣&signature={signature}",
        f"{bare}?expires={'9' * 40}&signature={signature}",
        passed,
        f"/files/{type_id('file', new_id())}",
        "/files/..%2f..%2fetc%2fpasswd",
    ):
        answer = await gallery.fetch(url)
        assert answer.status_code == 404, url
        assert row.sha256 not in answer.text


async def test_a_member_uploads_only_so_much_an_hour(gallery: Gallery) -> None:
    token = await gallery.live.member_token()
    for _ in range(files.MEMBER_UPLOADS_MAX):
        assert (await gallery.send(token, b"no picture")).status_code == 422
    refused = await gallery.send(token, a_picture())
    assert code_of(refused) == (429, "TOO_MANY_REQUESTS")
    assert 0 < int(refused.headers["retry-after"]) <= 3_600
    assert (await gallery.send_cover(a_picture())).status_code == 201


async def test_what_nothing_uses_goes_after_a_day_with_its_bytes(gallery: Gallery) -> None:
    kept = parse_type_id("file", (await gallery.send_cover(a_picture())).json()["id"])
    unused = parse_type_id("file", (await gallery.send_cover(a_picture())).json()["id"])
    await gallery.database.run(files.require_image, group_id=gallery.group_id, file_id=kept)
    await gallery.work(after=timedelta(hours=23))
    assert gallery.stored == sorted([kept.hex, unused.hex])
    await gallery.work(after=timedelta(hours=25))
    assert gallery.stored == [kept.hex]
    assert (await gallery.fetch(f"/files/{type_id('file', unused)}")).status_code == 404
    assert (await gallery.fetch(f"/files/{type_id('file', kept)}")).status_code == 200
    with pytest.raises(files.FileNotFound):
        await gallery.database.run(files.require_image, group_id=gallery.group_id, file_id=unused)
    # An upload that died before its bytes were whole goes the same way.
    torn = await gallery.database.run(
        an_image, group_id=gallery.group_id, now=datetime.now(UTC), state=FileState.STORING
    )
    assert (await gallery.fetch(f"/files/{type_id('file', torn.id)}")).status_code == 404
    await gallery.work(after=timedelta(hours=25))
    assert {row.id: row.state for row in await gallery.rows()} == {
        kept: FileState.USED,
        unused: FileState.FORGOTTEN,
        torn.id: FileState.FORGOTTEN,
    }


async def test_a_forgotten_file_is_gone_at_once_and_its_bytes_after_the_commit(
    gallery: Gallery,
) -> None:
    found = await gallery.send_card()
    file_id = parse_type_id("file", found["id"])
    now = datetime.now(UTC)

    async def change_their_mind(tx: Transaction) -> None:
        await files.forget(tx, file_id=file_id, now=now)
        raise files.FileNotFound

    with pytest.raises(files.FileNotFound):
        await gallery.database.run(change_their_mind)
    await gallery.work()
    assert (await gallery.fetch(found["url"])).status_code == 200
    await gallery.database.run(files.forget, file_id=file_id, now=now)
    await gallery.database.run(files.forget, file_id=file_id, now=now)
    assert (await gallery.fetch(found["url"])).status_code == 404
    assert gallery.stored == [file_id.hex]
    await gallery.work()
    assert gallery.stored == []


async def test_files_serve_only_who_they_are_for(gallery: Gallery) -> None:
    """`require_image` and `require_private`, which all other domains refer to files by."""
    database, now = gallery.database, datetime.now(UTC)
    member_id = gallery.live.till.shop.member.id
    cover = await database.run(an_image, group_id=gallery.group_id, now=now)
    card = await database.run(
        an_image,
        group_id=gallery.group_id,
        now=now,
        kind=FileKind.PRIVATE_IMAGE,
        uploader_id=member_id,
    )
    shop = gallery.live.till.shop
    other, _ = await database.run(a_member, group=shop.places.group, scheme=shop.scheme, now=now)
    for group_id, file_id in ((new_id(), cover.id), (gallery.group_id, card.id)):
        with pytest.raises(files.FileNotFound):
            await database.run(files.require_image, group_id=group_id, file_id=file_id)
    for asked_by, file_id in ((other.id, card.id), (member_id, cover.id), (member_id, new_id())):
        with pytest.raises(files.FileNotFound):
            await database.run(files.require_private, member_id=asked_by, file_id=file_id)
    assert {row.state for row in await gallery.rows()} == {FileState.STORED}
    for _ in range(2):
        await database.run(files.require_image, group_id=gallery.group_id, file_id=cover.id)
    await database.run(files.require_private, member_id=member_id, file_id=card.id)
    with pytest.raises(files.FileNotFound):
        await database.run(files.require_private, member_id=member_id, file_id=card.id)
    assert {row.state for row in await gallery.rows()} == {FileState.USED}


async def test_closing_an_account_takes_its_pictures_along(gallery: Gallery) -> None:
    """SEC-4."""
    await gallery.send_card()
    cover = (await gallery.send_cover(a_picture())).json()["id"]
    live = gallery.live
    member_id = live.till.shop.member.id
    bearer = await gallery.database.run(a_bearer, member_id, now=datetime.now(UTC))
    token = await live.token(PrincipalKind.MEMBER, member_id, bearer.session_id)
    closed = await live.ask("/graphql", token, CLOSE, key=new_id().hex)
    assert closed["__typename"] == "MemberClosed"
    await gallery.work()
    assert gallery.stored == [parse_type_id("file", cover).hex]


async def test_a_store_out_of_reach_is_said_so(gallery: Gallery) -> None:
    gallery.folder.parent.mkdir(exist_ok=True)
    gallery.folder.write_bytes(b"where the folder should be")
    answer = await gallery.send_cover(a_picture())
    assert code_of(answer) == (503, "FilesUnreachable")
    assert [row.state for row in await gallery.rows()] == [FileState.STORING]
