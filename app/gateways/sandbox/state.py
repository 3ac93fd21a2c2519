"""What the sandbox remembers: bounded, in memory, with a clock that a test can move."""

import secrets
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from threading import Lock
from typing import Any, Generic, Literal, TypeVar, get_args

from app.core.clock import utc_now
from app.gateways.sandbox.accounts import (
    SandboxPayAccount,
    StripeAccount,
    StudentVerifierAccount,
    WeChatPayAccount,
    made_up_wechat_pay,
)
from app.gateways.sandbox.payments import PaymentDesk
from app.gateways.sandbox.people import Directory

MAX_MESSAGES = 1_000
MAX_CODES = 10_000
MAX_FAULT_TIMES = 1_000
CODE_LIFETIME = timedelta(minutes=5)
TOKEN_LIFETIME = timedelta(hours=2)

Provider = Literal["wechat", "sms", "mail", "oidc", "wechat_pay", "stripe", "pay"]
FaultKind = Literal["busy", "timeout", "500", "limit"]
PROVIDERS: tuple[Provider, ...] = get_args(Provider)
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)

T = TypeVar("T")


class CodeNotValidError(Exception):
    def __init__(self, reason: Literal["unknown", "expired", "used"]) -> None:
        super().__init__(reason)
        self.reason = reason


class Codes(Generic[T]):
    """Codes and tokens, each standing for a value until it is used or its time has passed.

    Used codes are remembered, because the providers answer a replay in words of its own.
    """

    def __init__(self, lifetime: timedelta, clock: Callable[[], datetime]) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._codes: OrderedDict[str, tuple[T, datetime]] = OrderedDict()
        self._used: OrderedDict[str, None] = OrderedDict()

    def issue(self, value: T) -> str:
        code = secrets.token_hex(16)
        self._codes[code] = (value, self._clock() + self._lifetime)
        if len(self._codes) > MAX_CODES:
            self._codes.popitem(last=False)
        return code

    def peek(self, code: str) -> T:
        """The value of a token that may be used again; raises CodeNotValidError."""
        if code in self._used:
            raise CodeNotValidError("used")
        if code not in self._codes:
            raise CodeNotValidError("unknown")
        value, expires_at = self._codes[code]
        if self._clock() >= expires_at:
            raise CodeNotValidError("expired")
        return value

    def redeem(self, code: str) -> T:
        """The value of a code, once; raises CodeNotValidError."""
        value = self.peek(code)
        del self._codes[code]
        self._used[code] = None
        if len(self._used) > MAX_CODES:
            self._used.popitem(last=False)
        return value

    def revoke_all(self) -> None:
        self._codes.clear()


@dataclass(frozen=True)
class Message:
    channel: Literal["sms", "mail"]
    to: str
    subject: str
    """The mail's subject, or the provider's template id of a text message."""
    text: str
    params: tuple[str, ...]
    at: datetime
    html: str | None = None


class Inbox:
    """Everything that was sent, newest first; the oldest fall out."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque(maxlen=MAX_MESSAGES)

    def add(self, message: Message) -> None:
        self._messages.appendleft(message)

    def to(self, address: str | None = None) -> list[Message]:
        return [message for message in self._messages if address in (None, message.to)]


class Faults:
    """Failures ordered for the next calls to a provider."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pending: dict[Provider, tuple[FaultKind, int]] = {}

    def order(self, provider: Provider, kind: FaultKind, times: int) -> None:
        """Replaces what was ordered before; `times` 0 heals the provider."""
        with self._lock:
            self._pending[provider] = (kind, min(times, MAX_FAULT_TIMES))

    def next(self, provider: Provider) -> FaultKind | None:
        with self._lock:
            kind, left = self._pending.get(provider, ("500", 0))
            if left <= 0:
                return None
            self._pending[provider] = (kind, left - 1)
            return kind


@dataclass(frozen=True)
class WeChatUser:
    """What a WeChat code stands for; `scope` only for codes of the web authorization."""

    app_id: str
    openid: str
    unionid: str | None = None
    phone: str | None = None
    name: str = ""
    scope: str = ""
    is_snapshot: bool = False


@dataclass(frozen=True)
class OidcSandboxClient:
    """Without redirect URIs any is taken: the sandbox is reached under names it cannot know."""

    client_secret: str = field(repr=False)
    redirect_uris: tuple[str, ...] = ()
    signing_alg: Literal["RS256", "ES256"] = "RS256"


@dataclass(frozen=True)
class OidcGrant:
    client_id: str
    redirect_uri: str
    nonce: str | None
    code_challenge: str
    person_key: str
    scope: str


@dataclass(kw_only=True)
class SandboxState:
    """What the app tells the sandbox, and what the sandbox keeps.

    `public_url` is where the sandbox is reached, with the path it is mounted at and without a
    slash at the end; the OIDC issuer is below it. `people` is a directory or gives one.
    """

    public_url: str
    people: Directory | Callable[[], Awaitable[Directory]] = field(default_factory=Directory)
    wechat_apps: Mapping[str, str] = field(default_factory=dict)
    """App id → secret; the first is the one that /people makes mini-program codes for."""
    sms_sdk_app_id: str = "1400000000"
    sms_credentials: Mapping[str, str] = field(default_factory=dict)
    """Tencent's SecretId → SecretKey."""
    sms_templates: Mapping[str, str] = field(default_factory=dict)
    """Template id → text with {1} {2} …; other templates are refused unless this is empty."""
    oidc_clients: Mapping[str, OidcSandboxClient] = field(default_factory=dict)
    wechat_pay: WeChatPayAccount | None = None
    """The merchant; one is made up when it is first needed."""
    wechat_pay_rotations: int = 0
    """How often WeChat Pay's certificate was replaced; the last two are listed."""
    wechat_pay_by_public_key: bool = False
    """Whether notifications are signed with WeChat Pay's public key, as for new merchants."""
    stripe: StripeAccount = field(default_factory=StripeAccount)
    pay: SandboxPayAccount = field(default_factory=SandboxPayAccount)
    students: StudentVerifierAccount = field(default_factory=StudentVerifierAccount)
    clock: Callable[[], datetime] = utc_now
    timeout_fault_s: float = 30.0
    """How long the fault "timeout" keeps a caller waiting at most."""
    forge_id_token: Callable[[dict[str, Any], dict[str, Any]], str | None] | None = None
    """For tests of the client: sees header and claims, may change them or return a token."""

    def __post_init__(self) -> None:
        self.inbox = Inbox()
        self.payments = PaymentDesk(self.now)
        self.faults = Faults()
        self.calls: Counter[str] = Counter()
        self.wechat_login_codes: Codes[WeChatUser] = Codes(CODE_LIFETIME, self.now)
        self.wechat_phone_codes: Codes[WeChatUser] = Codes(CODE_LIFETIME, self.now)
        self.wechat_web_codes: Codes[WeChatUser] = Codes(CODE_LIFETIME, self.now)
        self.wechat_web_tokens: Codes[WeChatUser] = Codes(TOKEN_LIFETIME, self.now)
        self.wechat_access_tokens: Codes[str] = Codes(TOKEN_LIFETIME, self.now)
        self.wechat_current_tokens: dict[str, tuple[str, datetime]] = {}
        self.oidc_codes: Codes[OidcGrant] = Codes(CODE_LIFETIME, self.now)
        self.oidc_tokens: Codes[OidcGrant] = Codes(TOKEN_LIFETIME, self.now)

    def now(self) -> datetime:
        return self.clock()

    @cached_property
    def wechat_pay_account(self) -> WeChatPayAccount:
        return self.wechat_pay or made_up_wechat_pay()

    async def directory(self) -> Directory:
        return self.people if isinstance(self.people, Directory) else await self.people()
