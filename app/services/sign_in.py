"""Signing in and binding: what proofs lead to, in one transaction each (IDN-1 … IDN-4).

Whoever was proven by WeChat or an OpenID provider was proven before, outside of any transaction;
codes and tickets are proven here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from app.core.crypto import constant_time_equal
from app.core.db import Transaction, TransientFailure
from app.core.errors import DomainError
from app.models.identities import CodeChannel, CodePurpose, Identity, IdentityKind
from app.models.members import Member
from app.models.sessions import PrincipalKind
from app.services import identities, members, merges, sessions, tickets, verification_codes
from app.services.identities import STRONGEST_FIRST, Bound, Proof, Taken
from app.services.members import Bearer
from app.services.merges import MergeOffer
from app.services.sessions import Refreshed
from app.services.tickets import TicketRefused

TICKET_PURPOSE = "proofs"
TICKET_LIFE = timedelta(minutes=2)
"""From the provider's redirect to the page's own request: seconds, on a slow phone a minute."""


class ProofRefused(DomainError):
    """A provider does not, or no longer, vouch for this code. One message whatever the reason."""

    def __init__(self) -> None:
        super().__init__("This sign-in has expired or was already used. Start again.")


class ProviderBusy(DomainError):
    """A provider gives no answer now; the same may work in a moment."""

    def __init__(self, provider: str) -> None:
        self.provider = provider
        super().__init__("The sign-in service does not answer right now. Try again in a moment.")


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks to be signed in, from where, and for how long."""

    group_id: UUID
    address: str
    device: str
    now: datetime
    life: timedelta


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The member, their new session, and the record the proofs touch besides."""

    member: Member
    is_new: bool
    session: Refreshed
    merge_offer: MergeOffer | None


async def with_proofs(
    tx: Transaction,
    *,
    asking: Asking,
    proofs: Sequence[Proof],
    method: str,
    name: str | None = None,
) -> SignedIn:
    """Find or create the member of these proofs and open a session."""
    found = await identities.sign_in(
        tx, group_id=asking.group_id, proofs=proofs, now=asking.now, name=name
    )
    refreshed = await sessions.start(
        tx,
        principal_kind=PrincipalKind.MEMBER,
        principal_id=found.member.id,
        group_id=asking.group_id,
        method=method,
        device=asking.device,
        now=asking.now,
        life=asking.life,
    )
    offer = None
    if found.others:
        # One at a time: the next sign-in offers the next.
        offer = await merges.offer(tx, member=found.member, touched=found.others[0], now=asking.now)
    return SignedIn(found.member, found.is_new, refreshed, offer)


async def with_code(
    tx: Transaction, *, asking: Asking, channel: CodeChannel, target: str, code: str
) -> SignedIn:
    """Sign in with a phone or an e-mail address and its code; raises `CodeWrong`."""
    proof = await verification_codes.prove(
        tx,
        channel=channel,
        purpose=CodePurpose.SIGN_IN,
        target=target,
        code=code,
        address=asking.address,
        now=asking.now,
    )
    return await with_proofs(tx, asking=asking, proofs=[proof], method=channel.lower())


async def with_ticket(tx: Transaction, *, asking: Asking, ticket: str, challenge: str) -> SignedIn:
    """Sign in with what a web sign-in proved a moment ago; raises `TicketRefused`."""
    proven = await _redeem(tx, ticket=ticket, challenge=challenge, now=asking.now)
    return await with_proofs(
        tx, asking=asking, proofs=proven.proofs, method=proven.method, name=proven.name
    )


async def issue_ticket(
    tx: Transaction,
    *,
    proofs: Sequence[Proof],
    method: str,
    name: str | None,
    challenge: str,
    now: datetime,
) -> str:
    """A ticket for what a provider proved, to be exchanged by the page the browser returns to.

    `challenge` is a hash of a secret of that page: only who knows the secret can use the ticket,
    and the page accepts no ticket that somebody else slipped to it.
    """
    proven = {"proofs": [[p.kind, p.issuer, p.value] for p in proofs], "name": name}
    return await tickets.issue(
        tx,
        purpose=TICKET_PURPOSE,
        payload={"method": method, "challenge": challenge},
        personal=orjson.dumps(proven).decode(),
        now=now,
        life=TICKET_LIFE,
    )


async def bind(
    tx: Transaction, *, bearer: Bearer, proofs: Sequence[Proof], now: datetime
) -> Bound | MergeOffer:
    """Give the member these identities; where somebody has one already, offer to become one.

    Nothing is bound then: the offer is about all that was proven (IDN-4). Raises `SignInAgain`.
    """
    member = await members.acting_recently(tx, bearer, now=now)
    return await _bind(tx, member=member, proofs=proofs, now=now)


async def _bind(
    tx: Transaction, *, member: Member, proofs: Sequence[Proof], now: datetime
) -> Bound | MergeOffer:
    assert proofs
    ranked = sorted(proofs, key=lambda proof: STRONGEST_FIRST.index(proof.kind))
    for identity in await identities.leading(tx, group_id=member.group_id, proofs=ranked):
        if identity.member_id != member.id:
            return await merges.offer(tx, member=member, touched=identity, now=now)
    bound: list[Identity] = []
    for proof in ranked:
        found = await identities.bind(tx, member=member, proof=proof, now=now)
        if isinstance(found, Taken):
            raise TransientFailure("somebody bound it meanwhile")  # the next run makes the offer
        bound.append(found.identity)
    return Bound(bound[0])


async def bind_with_code(
    tx: Transaction,
    *,
    bearer: Bearer,
    channel: CodeChannel,
    target: str,
    code: str,
    address: str,
    now: datetime,
) -> Bound | MergeOffer:
    """Bind a phone or an e-mail address proven by a code (IDN-2).

    Raises `CodeWrong`, and `SignInAgain` before the code is looked at.
    """
    member = await members.acting_recently(tx, bearer, now=now)
    proof = await verification_codes.prove(
        tx,
        channel=channel,
        purpose=CodePurpose.BIND,
        target=target,
        code=code,
        address=address,
        now=now,
    )
    return await _bind(tx, member=member, proofs=[proof], now=now)


async def bind_with_ticket(
    tx: Transaction, *, bearer: Bearer, ticket: str, challenge: str, now: datetime
) -> Bound | MergeOffer:
    """Bind what a web sign-in proved a moment ago; raises `TicketRefused`, `SignInAgain`."""
    member = await members.acting_recently(tx, bearer, now=now)
    proven = await _redeem(tx, ticket=ticket, challenge=challenge, now=now)
    return await _bind(tx, member=member, proofs=proven.proofs, now=now)


@dataclass(frozen=True, slots=True)
class _Proven:
    proofs: list[Proof]
    method: str
    name: str | None


async def _redeem(tx: Transaction, *, ticket: str, challenge: str, now: datetime) -> _Proven:
    redeemed = await tickets.redeem(tx, purpose=TICKET_PURPOSE, secret=ticket, now=now)
    if not constant_time_equal(redeemed.payload["challenge"], challenge):
        raise TicketRefused
    assert redeemed.personal is not None
    proven: dict[str, Any] = orjson.loads(redeemed.personal)
    proofs = [Proof(IdentityKind(kind), value, issuer) for kind, issuer, value in proven["proofs"]]
    return _Proven(proofs, redeemed.payload["method"], proven["name"])
