"""Files in a bucket of Amazon S3, or of whatever speaks its protocol: MinIO, COS, OSS, R2.

Three calls of its documented API, signed with Signature Version 4 in the `Authorization` header.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import httpx2

from app.core.clock import utc_now
from app.gateways.errors import ProviderRefused, ProviderUnavailable
from app.gateways.files.protocol import StoredFileMissing, checked_key
from app.gateways.http import RawAnswer, fetch

NAME = "s3"
OBJECT_BYTES_MAX = 32 * 1024 * 1024
ALGORITHM = "AWS4-HMAC-SHA256"
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")
BUSY = {"SlowDown", "RequestTimeout", "TooManyRequests"}


@dataclass(frozen=True)
class S3Config:
    """`url` is the bucket's own address, as its provider gives it, without a slash at the end:
    `https://covers.s3.eu-west-1.amazonaws.com`, `http://minio:9000/covers`."""

    url: str
    region: str
    access_key_id: str
    secret_access_key: str


class S3Store:
    """A `FileStore` in a bucket."""

    def __init__(
        self,
        config: S3Config,
        http: httpx2.AsyncClient,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._config = config
        self._http = http
        self._clock = clock

    async def put(self, key: str, content: bytes, *, content_type: str) -> None:
        answer = await self._call("PUT", key, content, {"content-type": content_type})
        _require(answer, 200)

    async def get(self, key: str) -> bytes:
        answer = await self._call("GET", key)
        if answer.status == 404 and _code(answer) != "NoSuchBucket":
            raise StoredFileMissing
        _require(answer, 200)
        return answer.body

    async def delete(self, key: str) -> None:
        answer = await self._call("DELETE", key)
        if answer.status == 404 and _code(answer) != "NoSuchBucket":
            return
        _require(answer, 204, 200)

    async def _call(
        self, method: str, key: str, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> RawAnswer:
        url = f"{self._config.url}/{checked_key(key)}"
        signed = signed_headers(
            self._config, method, url, headers or {}, content, now=self._clock()
        )
        return await fetch(
            self._http,
            method,
            url,
            provider=NAME,
            content=content if method == "PUT" else None,
            headers=signed,
            max_bytes=OBJECT_BYTES_MAX,
        )


def signed_headers(
    config: S3Config,
    method: str,
    url: str,
    headers: Mapping[str, str],
    content: bytes,
    *,
    now: datetime,
) -> dict[str, str]:
    """The headers of a call with its signature, which covers all of them and the content.

    The URL has no query, and nothing in its path that would need to be escaped.
    """
    parts = urlsplit(url)
    assert not parts.query
    moment, day = f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}"
    content_hash = hashlib.sha256(content).hexdigest()
    given = {
        **{name.lower(): value for name, value in headers.items()},
        "host": parts.netloc,
        "x-amz-content-sha256": content_hash,
        "x-amz-date": moment,
    }
    names = ";".join(sorted(given))
    lines = "".join(f"{name}:{given[name]}\n" for name in sorted(given))
    request = "\n".join((method, parts.path or "/", "", lines, names, content_hash))
    scope = f"{day}/{config.region}/s3/aws4_request"
    request_hash = hashlib.sha256(request.encode()).hexdigest()
    to_sign = f"{ALGORITHM}\n{moment}\n{scope}\n{request_hash}"
    signature = _mac(_signing_key(config, day), to_sign).hex()
    credential = f"{config.access_key_id}/{scope}"
    given["authorization"] = (
        f"{ALGORITHM} Credential={credential},SignedHeaders={names},Signature={signature}"
    )
    return given


def _signing_key(config: S3Config, day: str) -> bytes:
    key = f"AWS4{config.secret_access_key}".encode()
    for part in (day, config.region, "s3", "aws4_request"):
        key = _mac(key, part)
    return key


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _require(answer: RawAnswer, *statuses: int) -> None:
    if answer.status in statuses:
        return
    code = _code(answer)
    if code in BUSY:
        raise ProviderUnavailable(code, provider=NAME)
    raise ProviderRefused(code, "", provider=NAME)


def _code(answer: RawAnswer) -> str:
    """The error's code as S3 documents it; an answer to HEAD or of a proxy has none."""
    found = _CODE.search(answer.body)
    return found.group(1).decode() if found else f"HTTP {answer.status}"
