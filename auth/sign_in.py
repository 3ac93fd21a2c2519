"""How members sign in and prove more of themselves (IDN-1, IDN-2).

Each flow asks the provider first, then makes one service call: a provider is never spoken to
inside a transaction.
"""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from app.core.errors import BadInput, DomainError
from app.gateways.errors import GatewayError, ProviderLimitExceeded, ProviderRefused
from app.gateways.oidc import OidcIdentity
from app.gateways.wechat import WeChatAppUnknown, WeChatSession
from app.models.identities import CodeChannel, IdentityKind
from app.services import sign_in
from app.services.identities import Bound, Proof
from app.services.merges import MergeOffer
from app.services.sign_in import Asking, ProofRefused, ProviderBusy, SignedIn
from auth import sessions
from schema.context import Context

PROVIDER_CODE_CHARS_MAX = 512
"""More than any provider's code has; what is longer is not sent on."""
VERIFIER_CHARS_MAX = 128


class Started(NamedTuple):
    """Who signed in, and what their device keeps."""

    signed_in: SignedIn
    session: sessions.Started


async def with_wechat(context: Context, *, app_id: str, js_code: str, device: str) -> Started:
    """A mini-program's login code. Raises `ProofRefused`, `ProviderBusy`."""
    proofs = await _prove_wechat(context, app_id, js_code)
    return await _started(
        context,
        await context.run(
            sign_in.with_proofs,
            asking=_asking(context, device),
            proofs=proofs,
            method="wechat_mini_program",
        ),
    )


async def with_code(
    context: Context, *, channel: CodeChannel, target: str, code: str, device: str
) -> Started:
    """A code sent to a phone or an e-mail address. Raises `CodeWrong`."""
    return await _started(
        context,
        await context.run(
            sign_in.with_code,
            asking=_asking(context, device),
            channel=channel,
            target=target,
            code=code,
        ),
    )


async def with_ticket(context: Context, *, ticket: str, verifier: str, device: str) -> Started:
    """What `/auth/…/callback` gave to the page. Raises `TicketRefused`."""
    return await _started(
        context,
        await context.run(
            sign_in.with_ticket,
            asking=_asking(context, device),
            ticket=ticket,
            challenge=challenge_of(verifier),
        ),
    )


async def bind_code(
    context: Context, *, channel: CodeChannel, target: str, code: str
) -> Bound | MergeOffer:
    """A phone or an e-mail address proven by a code. Raises `CodeWrong`."""
    return await context.run(
        sign_in.bind_with_code,
        bearer=sessions.bearer(context),
        channel=channel,
        target=target,
        code=code,
        address=context.client_address,
        now=context.now,
    )


async def bind_wechat_phone(
    context: Context, *, app_id: str, phone_code: str
) -> Bound | MergeOffer:
    """A phone proven by WeChat's phone-number code, the only other way (IDN-2)."""
    with _provider_errors():
        phone = await context.outside.wechat.phone_number(app_id, _checked(phone_code))
    return await _bind(context, [Proof(IdentityKind.PHONE, phone)])


async def bind_wechat(context: Context, *, app_id: str, js_code: str) -> Bound | MergeOffer:
    return await _bind(context, await _prove_wechat(context, app_id, js_code))


async def bind_ticket(context: Context, *, ticket: str, verifier: str) -> Bound | MergeOffer:
    return await context.run(
        sign_in.bind_with_ticket,
        bearer=sessions.bearer(context),
        ticket=ticket,
        challenge=challenge_of(verifier),
        now=context.now,
    )


def wechat_proofs(app_id: str, session: WeChatSession) -> list[Proof]:
    """The OpenID of one app, and the UnionID that joins the apps of one platform (IDN-3)."""
    proofs = [Proof(IdentityKind.WECHAT_OPENID, session.openid, app_id)]
    if session.unionid is not None:
        proofs.append(Proof(IdentityKind.WECHAT_UNIONID, session.unionid))
    return proofs


def oidc_proofs(identity: OidcIdentity, email: str | None) -> list[Proof]:
    """(issuer, subject), and the address where the provider is trusted to have checked it."""
    proofs = [Proof(IdentityKind.OIDC, identity.subject, identity.issuer)]
    if identity.email_verified and email is not None:
        proofs.append(Proof(IdentityKind.EMAIL, email))
    return proofs


def challenge_of(verifier: str) -> str:
    """The challenge a page sent ahead of this verifier: S256, as in RFC 7636."""
    if len(verifier) > VERIFIER_CHARS_MAX or not verifier.isascii():
        raise BadInput("verifier is not one that a challenge was made from.")
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def refusal_of(error: GatewayError) -> DomainError:
    """A provider's failure as the member reads it."""
    if isinstance(error, ProviderRefused) and not isinstance(error, ProviderLimitExceeded):
        return ProofRefused()
    return ProviderBusy(getattr(error, "provider", ""))


@contextmanager
def _provider_errors() -> Iterator[None]:
    try:
        yield
    except WeChatAppUnknown as error:
        raise BadInput("appId is not an app of this group.") from error
    except GatewayError as error:
        raise refusal_of(error) from error


async def _prove_wechat(context: Context, app_id: str, js_code: str) -> list[Proof]:
    with _provider_errors():
        session = await context.outside.wechat.code_to_session(app_id, _checked(js_code))
    return wechat_proofs(app_id, session)


async def _bind(context: Context, proofs: list[Proof]) -> Bound | MergeOffer:
    return await context.run(
        sign_in.bind, bearer=sessions.bearer(context), proofs=proofs, now=context.now
    )


async def _started(context: Context, signed_in: SignedIn) -> Started:
    return Started(signed_in, await sessions.with_access_token(context, signed_in.session))


def _asking(context: Context, device: str) -> Asking:
    return Asking(
        group_id=context.group_id,
        address=context.client_address,
        device=device,
        now=context.now,
        life=context.settings.refresh_token_life,
    )


def _checked(provider_code: str) -> str:
    if not 0 < len(provider_code) <= PROVIDER_CODE_CHARS_MAX:
        raise ProofRefused
    return provider_code
