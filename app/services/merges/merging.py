"""Making two records of one person one (IDN-4): nothing is lost, every total is conserved.

What leads to the member, what they hold and what is looked for moves. What happened stays where it
was written, on the merged card or record, and is read through the one that lives on: purchases,
spendings, top-ups, events, notices (docs/decisions/0007-merging.md).
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import bindparam, or_
from sqlalchemy.orm import aliased
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, changed_copy, light, statement
from app.core.errors import DomainError
from app.core.ids import new_id
from app.models.cards import Card, CardStatus
from app.models.compliance import RealName
from app.models.identities import Identity, Merge
from app.models.ledger import Account, PostingKind
from app.models.members import Consent, Member, MemberStatus, MemberTag
from app.models.sessions import PrincipalKind, Session
from app.services import cards, identities, ledger, members, tickets, tiers
from app.services.members import Bearer
from app.services.merges.manifest import AbsorbedCard, Manifest

TICKET_PURPOSE = "merge"
PROFILE_FIELDS = ("name", "gender", "birthday", "region", "recruitment_store_id")

lock_members = statement(
    select(Member).where(any_of(col(Member.id), "ids")).order_by(col(Member.id)).with_for_update(),
    into=Member,
)
lock_cards = statement(
    select(Card)
    .where(any_of(col(Card.member_id), "member_ids"), col(Card.status) != CardStatus.MERGED)
    .order_by(col(Card.id))
    .with_for_update(),
    into=Card,
)
latest_merge = statement(
    select(Merge.merged_at)
    .where(
        or_(any_of(col(Merge.survivor_id), "member_ids"), any_of(col(Merge.loser_id), "member_ids"))
    )
    .order_by(col(Merge.merged_at).desc())
    .limit(1),
    into=datetime,
)
re_point_identities = statement(
    update(Identity)
    .where(col(Identity.member_id) == bindparam("loser_id"))
    .values(member_id=bindparam("survivor_id"))
    .returning(col(Identity.id)),
    into=UUID,
)
re_point_sessions = statement(
    update(Session)
    .where(
        col(Session.principal_id) == bindparam("loser_id"),
        col(Session.principal_kind) == PrincipalKind.MEMBER,
        col(Session.revoked_at).is_(None),
    )
    .values(principal_id=bindparam("survivor_id"))
    .returning(col(Session.id)),
    into=UUID,
)
re_point_consents = statement(
    update(Consent)
    .where(col(Consent.member_id) == bindparam("loser_id"))
    .values(member_id=bindparam("survivor_id"))
    .returning(col(Consent.id)),
    into=UUID,
)
_own_tag = aliased(MemberTag)
# A tag that both have stays where it is; nobody finds a merged record by it.
move_tags = statement(
    update(MemberTag)
    .where(
        col(MemberTag.member_id) == bindparam("loser_id"),
        ~select(_own_tag.id)
        .where(
            col(_own_tag.member_id) == bindparam("survivor_id"),
            col(_own_tag.tag_id) == col(MemberTag.tag_id),
        )
        .exists(),
    )
    .values(member_id=bindparam("survivor_id"))
    .returning(col(MemberTag.id)),
    into=UUID,
)
_own_name = aliased(RealName)
move_real_name = statement(
    update(RealName)
    .where(
        col(RealName.member_id) == bindparam("loser_id"),
        ~select(_own_name.id).where(col(_own_name.member_id) == bindparam("survivor_id")).exists(),
    )
    .values(member_id=bindparam("survivor_id"))
    .returning(col(RealName.id)),
    into=UUID,
)
re_point_signposts = statement(
    update(Member)
    .where(col(Member.merged_into_id) == bindparam("loser_id"))
    .values(merged_into_id=bindparam("survivor_id"))
    .returning(col(Member.id)),
    into=UUID,
)
make_signpost = statement(
    update(Member)
    .where(col(Member.id) == bindparam("loser_id"))
    .values(merged_into_id=bindparam("survivor_id"), status=MemberStatus.MERGED)
)
fill_profile = statement(
    update(Member)
    .where(col(Member.id) == bindparam("survivor_id"))
    .values({name: bindparam(f"new_{name}") for name in (*PROFILE_FIELDS, "name_index")})
)
move_card = statement(
    update(Card)
    .where(col(Card.id) == bindparam("card_id"))
    .values(member_id=bindparam("new_member_id"))
)
absorb_card = statement(
    update(Card)
    .where(col(Card.id) == bindparam("card_id"))
    .values(status=CardStatus.MERGED, merged_into_id=bindparam("into_id"))
)
re_point_cards = statement(
    update(Card)
    .where(col(Card.merged_into_id) == bindparam("card_id"))
    .values(merged_into_id=bindparam("into_id"))
    .returning(col(Card.id)),
    into=UUID,
)
close_accounts = statement(
    update(Account)
    .where(col(Account.card_id) == bindparam("of_card_id"))
    .values(is_closed=bindparam("closed"))
)
mark_absorbing = statement(
    update(Card).where(col(Card.id) == bindparam("card_id")).values(has_absorbed=True)
)
new_merge = light(Merge)


class MergeImpossible(DomainError):
    """The two records cannot become one as they are."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"These accounts cannot be merged: {reason}.")


async def merge(tx: Transaction, *, bearer: Bearer, ticket: str, now: datetime) -> Merge:
    """Merge the record a ticket was offered for into the signed-in member's.

    The ticket says who proved what; it works once, and only while what was proven still leads to
    the other record. Raises `TicketRefused`, `MergeImpossible`, `SignInAgain`.
    """
    redeemed = await tickets.redeem(tx, purpose=TICKET_PURPOSE, secret=ticket, now=now)
    survivor_id, loser_id, identity_id = (
        UUID(redeemed.payload[name]) for name in ("survivor", "loser", "identity")
    )
    # Both at once and in the order of their ids: two merges of the same two cannot deadlock.
    await tx.all(lock_members, ids=[survivor_id, loser_id])
    survivor = await members.acting_recently(tx, bearer, now=now)
    still_leads_there = await identities.owns(tx, member_id=loser_id, identity_id=identity_id)
    if survivor.id != survivor_id or not still_leads_there:
        raise tickets.TicketRefused
    merged = await join_records(tx, survivor_id=survivor_id, loser_id=loser_id, now=now)
    await identities.prove(tx, member=survivor, identity_id=identity_id, now=now)
    return merged


async def join_records(
    tx: Transaction, *, survivor_id: UUID, loser_id: UUID, now: datetime
) -> Merge:
    """Move everything of one living member to another; raises `MergeImpossible`."""
    locked = {m.id: m for m in await tx.all(lock_members, ids=[survivor_id, loser_id])}
    survivor, loser = locked.get(survivor_id), locked.get(loser_id)
    if survivor is None or loser is None or survivor is loser:
        raise MergeImpossible("there is nothing to merge")
    if survivor.group_id != loser.group_id:
        raise MergeImpossible("they belong to different groups")
    if {survivor.status, loser.status} != {MemberStatus.ACTIVE}:
        raise MergeImpossible("one of them was merged or closed meanwhile")
    manifest = Manifest()
    merge_id = new_id()
    await _move_cards(tx, merge_id, survivor, loser, manifest, now)
    ends = {"loser_id": loser.id, "survivor_id": survivor.id}
    manifest.identity_ids = _texts(await tx.all(re_point_identities, **ends))
    manifest.session_ids = _texts(await tx.all(re_point_sessions, **ends))
    manifest.consent_ids = _texts(await tx.all(re_point_consents, **ends))
    manifest.member_tag_ids = _texts(await tx.all(move_tags, **ends))
    manifest.real_name_ids = _texts(await tx.all(move_real_name, **ends))
    manifest.re_pointed_member_ids = _texts(await tx.all(re_point_signposts, **ends))
    await tx.changed(make_signpost, **ends)
    manifest.filled_fields = await _fill_profile(tx, survivor, loser)
    merged = new_merge(
        id=merge_id,
        survivor_id=survivor.id,
        loser_id=loser.id,
        manifest=manifest.to_json(),
        merged_at=await _after_the_last(tx, survivor, loser, now),
    )
    await tx.insert(merged)
    return merged


async def _after_the_last(
    tx: Transaction, survivor: Member, loser: Member, now: datetime
) -> datetime:
    """Now, or just after the last merge of either where another server's clock is ahead.

    Read under both locks, so that `merged_at` orders the merges of a record as they happened, and
    undoing knows which are later.
    """
    last = await tx.one(latest_merge, member_ids=[survivor.id, loser.id])
    return now if last is None else max(now, last + timedelta(microseconds=1))


async def _move_cards(
    tx: Transaction,
    merge_id: UUID,
    survivor: Member,
    loser: Member,
    manifest: Manifest,
    now: datetime,
) -> None:
    held = await tx.all(lock_cards, member_ids=[survivor.id, loser.id])
    by_scheme = {
        card.scheme_id: card
        for card in held
        if card.member_id == survivor.id and card.status is not CardStatus.REFUNDED
    }
    for card in held:
        if card.member_id != loser.id:
            continue
        into = by_scheme.get(card.scheme_id)
        # One that was paid out is nobody's second card: it goes along as it is.
        if into is None or card.status is CardStatus.REFUNDED:
            await tx.changed(move_card, card_id=card.id, new_member_id=survivor.id)
            manifest.moved_card_ids.append(str(card.id))
        else:
            manifest.absorbed_cards.append(await _absorb(tx, merge_id, card, into, now))


async def _absorb(
    tx: Transaction, merge_id: UUID, card: Card, into: Card, now: datetime
) -> AbsorbedCard:
    if {cards.status_at(card, now), cards.status_at(into, now)} != {CardStatus.NORMAL}:
        # Merging would free a frozen card of its freeze, and revive an expired one.
        raise MergeImpossible("a card of theirs is lost, frozen or expired; ask a store for help")
    absorbed = AbsorbedCard(
        card_id=str(card.id),
        into_id=str(into.id),
        status=card.status,
        into_tier_id=str(into.tier_id),
        into_had_absorbed=into.has_absorbed,
    )
    await _move_value(tx, merge_id, card, into, absorbed, now)
    ends = {"card_id": card.id, "into_id": into.id}
    absorbed.re_pointed_ids = _texts(await tx.all(re_point_cards, **ends))
    await tx.changed(absorb_card, **ends)
    await tx.changed(close_accounts, of_card_id=card.id, closed=True)
    await tx.changed(mark_absorbing, card_id=into.id)
    combined = await tiers.after_merge(
        tx, card=changed_copy(into, has_absorbed=True), absorbed=card, merge_id=merge_id, now=now
    )
    absorbed.tiers = combined.kept
    return absorbed


async def _move_value(
    tx: Transaction,
    merge_id: UUID,
    card: Card,
    into: Card,
    absorbed: AbsorbedCard,
    now: datetime,
) -> None:
    """Every lot with its own expiry, every debt, in one posting."""
    pairs = await _account_pairs(tx, card, into)
    header = ledger.Header.of(
        card,
        kind=PostingKind.MERGE,
        cause_kind="card_merge",
        cause_id=uuid5(merge_id, str(card.id)),
        actor_kind=PrincipalKind.SYSTEM,
        now=now,
    )
    sheet = await ledger.Sheet.open(tx, header, [a.id for pair in pairs for a in pair])
    for source, target in pairs:
        for lot, amount in await sheet.take_all(source.id):
            sheet.put_moved(lot, amount, to_id=target.id)
        if owed := sheet.release_debt(source.id):
            absorbed.debts[source.kind.value] = owed
            await sheet.claw_back(target.id, owed, origin_id=None)
    if not sheet.is_empty:
        absorbed.posting_id = str((await sheet.close()).id)


async def _account_pairs(tx: Transaction, card: Card, into: Card) -> list[tuple[Account, Account]]:
    accounts = await ledger.accounts_of_cards(tx, [card.id, into.id])
    targets = {account.kind: account for account in accounts if account.card_id == into.id}
    return [(a, targets[a.kind]) for a in accounts if a.card_id == card.id]


async def _fill_profile(tx: Transaction, survivor: Member, loser: Member) -> list[str]:
    """What the survivor never said is taken from the other record."""
    filled = [
        name
        for name in PROFILE_FIELDS
        if getattr(survivor, name) is None and getattr(loser, name) is not None
    ]
    if filled:
        taken_over = {name: getattr(loser, name) for name in filled}
        await set_profile(tx, survivor, **taken_over)
    return filled


async def set_profile(tx: Transaction, member: Member, **changed: Any) -> None:
    """Write a member's profile with some of its fields changed."""
    profile = {name: getattr(member, name) for name in PROFILE_FIELDS} | changed
    profile["name_index"] = members.name_index_of(profile["name"])
    values = {f"new_{name}": value for name, value in profile.items()}
    await tx.changed(fill_profile, survivor_id=member.id, **values)


def _texts(found: list[UUID]) -> list[str]:
    return [str(each) for each in found]
