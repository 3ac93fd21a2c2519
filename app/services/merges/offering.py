"""Showing what a merge would do, and the ticket to confirm it with (IDN-4)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from app.core.crypto import masked_email, masked_phone
from app.core.db import Transaction
from app.models.cards import CardStatus
from app.models.identities import Identity, IdentityKind
from app.models.ledger import AccountKind
from app.models.members import Member
from app.services import cards, identities, ledger, schemes, tickets
from app.services.merges.merging import TICKET_PURPOSE

OFFER_LIFE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class CardInMerge:
    """A card as it will be: balances added up, the higher tier kept."""

    scheme_name: str
    number: str
    other_number: str | None
    """The number of the card that would go into this one, if both have one of the scheme."""
    tier_name: str
    balances: list[tuple[AccountKind, str, int]]


@dataclass(frozen=True, slots=True)
class MergePreview:
    cards: list[CardInMerge]
    identities: list[str]
    """What would lead to the member besides, masked."""


@dataclass(frozen=True, slots=True)
class MergeOffer:
    """Confirm with the ticket, once, before it expires."""

    ticket: str
    expires_at: datetime
    preview: MergePreview


async def offer(tx: Transaction, *, member: Member, touched: Identity, now: datetime) -> MergeOffer:
    """A preview and its ticket. Whoever calls this has seen the proof of both records.

    `touched` is the proven identity that leads to the other record. The ticket is worth something
    while it still does.
    """
    other_id = touched.member_id
    payload = {"survivor": str(member.id), "loser": str(other_id), "identity": str(touched.id)}
    ticket = await tickets.issue(
        tx, purpose=TICKET_PURPOSE, payload=payload, now=now, life=OFFER_LIFE
    )
    shown = await preview(tx, survivor_id=member.id, loser_id=other_id)
    return MergeOffer(ticket=ticket, expires_at=now + OFFER_LIFE, preview=shown)


async def preview(tx: Transaction, *, survivor_id: UUID, loser_id: UUID) -> MergePreview:
    """What the survivor's cards will hold, and what will lead to them."""
    held = await cards.of_members(tx, [survivor_id, loser_id])
    everyones = [
        card
        for card in (*held[survivor_id], *held[loser_id])
        if card.status is not CardStatus.REFUNDED
    ]
    found_schemes = await schemes.by_ids(tx, [card.scheme_id for card in everyones])
    tiers = await schemes.tiers(tx, [card.tier_id for card in everyones])
    accounts = await ledger.accounts_of_cards(tx, [card.id for card in everyones])
    shown: list[CardInMerge] = []
    for scheme_id, scheme in found_schemes.items():
        own, *other = [card for card in everyones if card.scheme_id == scheme_id]
        parts = {own.id, *(card.id for card in other)}
        totals: dict[tuple[AccountKind, str], int] = {}
        for account in accounts:
            if account.card_id in parts:
                key = (account.kind, account.unit)
                totals[key] = totals.get(key, 0) + account.balance - account.debt
        highest = max((own, *other), key=lambda card: tiers[card.tier_id].level)
        shown.append(
            CardInMerge(
                scheme_name=scheme.name,
                number=own.number,
                other_number=other[0].number if other else None,
                tier_name=tiers[highest.tier_id].name,
                balances=[(kind, unit, total) for (kind, unit), total in totals.items()],
            )
        )
    found = await identities.of_member(tx, member_id=loser_id)
    return MergePreview(cards=shown, identities=[masked(identity) for identity in found])


def masked(identity: Identity) -> str:
    """An identity as anybody but its owner sees it (SEC-2)."""
    match identity.kind:
        case IdentityKind.PHONE:
            return masked_phone(identity.value)
        case IdentityKind.EMAIL:
            return masked_email(identity.value)
        case IdentityKind.WECHAT_OPENID | IdentityKind.WECHAT_UNIONID:
            return f"WeChat ****{identity.value[-4:]}"
        case _:
            return f"{identity.issuer or 'ID'} ****{identity.value[-4:]}"
