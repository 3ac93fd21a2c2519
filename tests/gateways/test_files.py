"""Stores of files: a folder, and a bucket behind a server that checks each signature."""

import hashlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from minio.credentials.credentials import Credentials
from minio.signer import sign_v4_s3
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.core.ids import new_id
from app.gateways.errors import ProviderRefused, ProviderUnavailable
from app.gateways.files.folder import FolderStore
from app.gateways.files.protocol import FileStore, StoredFileMissing
from app.gateways.files.s3 import S3Config, S3Store, signed_headers
from app.gateways.http import create_http
from app.settings import FilesSettings
from tests.gateways.conftest import serving

pytestmark = pytest.mark.anyio

REGION, ACCESS_KEY, SECRET_KEY = "eu-west-1", "AKIDEXAMPLE", "wJalrXUtnFEMI"
TEXT = "application/octet-stream"


@dataclass
class Bucket:
    """Speaks S3 as documented, as far as this product asks; signatures are checked by MinIO's
    own code."""

    url: str = ""
    objects: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    fault: Response | None = None

    async def answer(self, request: Request) -> Response:
        if self.fault is not None:
            return self.fault
        content = await request.body()
        if self.refuses(request, content):
            return _error(403, "SignatureDoesNotMatch")
        key = request.path_params["key"]
        match request.method:
            case "PUT":
                self.objects[key] = (content, request.headers["content-type"])
                return Response(status_code=200)
            case "DELETE":
                self.objects.pop(key, None)
                return Response(status_code=204)
        if key not in self.objects:
            return _error(404, "NoSuchKey")
        found, content_type = self.objects[key]
        return Response(found, media_type=content_type)

    def refuses(self, request: Request, content: bytes) -> bool:
        given = request.headers["authorization"]
        names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        content_hash = hashlib.sha256(content).hexdigest()
        given_at = request.headers["x-amz-date"].replace("Z", "+0000")
        wanted = sign_v4_s3(
            method=request.method,
            url=urlsplit(str(request.url)),
            region=REGION,
            headers={name: request.headers[name] for name in names},
            credentials=Credentials(ACCESS_KEY, SECRET_KEY),
            content_sha256=content_hash,
            date=datetime.strptime(given_at, "%Y%m%dT%H%M%S%z"),
        )["Authorization"]
        return (
            {"host", "x-amz-date", "x-amz-content-sha256"} - set(names) != set()
            or request.headers["x-amz-content-sha256"] != content_hash
            or given.replace(", ", ",") != str(wanted).replace(", ", ",")
        )


def _error(status: int, code: str) -> Response:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>secret</Message></Error>'
    return Response(body, status, media_type="application/xml")


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with create_http() as client:
        yield client


@pytest.fixture
async def bucket() -> AsyncIterator[Bucket]:
    listener = socket.create_server(("127.0.0.1", 0))
    bucket = Bucket(f"http://127.0.0.1:{listener.getsockname()[1]}/covers")
    route = Route("/covers/{key:path}", bucket.answer, methods=["GET", "PUT", "DELETE"])
    async with serving(Starlette(routes=[route]), listener):
        yield bucket


def in_bucket(bucket: Bucket, http: httpx2.AsyncClient, *, secret: str = SECRET_KEY) -> S3Store:
    return S3Store(S3Config(bucket.url, REGION, ACCESS_KEY, secret), http)


@pytest.fixture(params=["folder", "s3"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, bucket: Bucket, http: httpx2.AsyncClient
) -> FileStore:
    if request.param == "folder":
        return FolderStore(tmp_path / "not" / "there" / "yet")
    return in_bucket(bucket, http)


def a_key() -> str:
    digits = new_id().hex
    return f"{digits[-2:]}/{digits}"


def paths_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


async def test_what_was_put_is_got_until_it_is_deleted(store: FileStore) -> None:
    one, other, content = a_key(), a_key(), bytes(range(256)) * 4_096
    await store.put(one, content, content_type="image/png")
    await store.put(other, b"x", content_type=TEXT)
    assert await store.get(one) == content
    await store.put(one, b"again", content_type="image/png")
    assert await store.get(one) == b"again"
    await store.delete(one)
    await store.delete(one)
    with pytest.raises(StoredFileMissing):
        await store.get(one)
    assert await store.get(other) == b"x"


@pytest.mark.parametrize("key", ["../../etc/passwd", "/etc/passwd", "ab/..", "", "ab/" + "A" * 32])
async def test_no_key_leads_out_of_the_store(store: FileStore, key: str) -> None:
    """A name of a client's never becomes a key, so such a key is a mistake of ours."""
    for work in (store.get(key), store.delete(key), store.put(key, b"", content_type=TEXT)):
        with pytest.raises(AssertionError):
            await work


async def test_a_folder_holds_only_whole_files_that_nobody_else_may_read(tmp_path: Path) -> None:
    store, key = FolderStore(tmp_path), a_key()
    part = tmp_path / f"{key}.part"
    part.parent.mkdir()
    part.write_bytes(b"what a crash left behind")
    await store.put(key, b"whole", content_type=TEXT)
    assert paths_in(tmp_path) == [key[:2], key]
    assert (tmp_path / key).stat().st_mode & 0o777 == 0o600


async def test_a_folder_that_cannot_be_written_is_out_of_reach(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ProviderUnavailable):
        await FolderStore(tmp_path / "file").put(a_key(), b"", content_type=TEXT)


async def test_a_bucket_gets_the_type_and_only_signed_calls(
    bucket: Bucket, http: httpx2.AsyncClient
) -> None:
    key = a_key()
    await in_bucket(bucket, http).put(key, b"covers", content_type="image/webp")
    assert bucket.objects == {key: (b"covers", "image/webp")}
    forger = in_bucket(bucket, http, secret="another")
    for work in (forger.get(key), forger.delete(key), forger.put(key, b"", content_type=TEXT)):
        with pytest.raises(ProviderRefused) as refused:
            await work
        assert (refused.value.code, str(refused.value)) == (
            "SignatureDoesNotMatch",
            "s3 refused: SignatureDoesNotMatch",
        )
    assert bucket.objects == {key: (b"covers", "image/webp")}


async def test_a_bucket_that_is_busy_is_asked_again_later_and_one_that_is_gone_is_not(
    bucket: Bucket, http: httpx2.AsyncClient
) -> None:
    store = in_bucket(bucket, http)
    for fault in (_error(503, "SlowDown"), _error(500, "InternalError"), _error(400, "SlowDown")):
        bucket.fault = fault
        with pytest.raises(ProviderUnavailable):
            await store.get(a_key())
    for fault in (_error(404, "NoSuchBucket"), _error(403, "AccessDenied"), Response("", 301)):
        bucket.fault = fault
        for work in (store.get(a_key()), store.delete(a_key())):
            with pytest.raises(ProviderRefused):
                await work


def test_signatures_are_those_that_amazon_publishes() -> None:
    """The examples of "Signature Calculations for the Authorization Header" in S3's API guide."""
    config = S3Config(
        "https://examplebucket.s3.amazonaws.com",
        "us-east-1",
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    )
    signed = signed_headers(
        config,
        "GET",
        f"{config.url}/test.txt",
        {"Range": "bytes=0-9"},
        b"",
        now=datetime(2013, 5, 24, tzinfo=UTC),
    )
    assert signed["authorization"] == (
        "AWS4-HMAC-SHA256 "
        "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


def test_settings_name_a_whole_bucket_or_none() -> None:
    whole = {"s3_access_key_id": "id", "s3_secret_access_key": "key"}
    settings = FilesSettings.model_validate({"s3_url": "http://minio:9000/covers/", **whole})
    assert settings.s3_url == "http://minio:9000/covers"
    for given in (
        {"s3_url": "https://covers.example"},
        whole,
        {"s3_url": "ftp://covers.example", **whole},
        {"s3_url": "https://covers.example/?x=1", **whole},
    ):
        with pytest.raises(ValidationError):
            FilesSettings.model_validate(given)
