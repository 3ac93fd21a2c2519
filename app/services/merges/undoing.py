"""Parting what was merged (IDN-5): each side gets back what it brought, as far as unspent."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid5

from sqlalchemy import and_, bindparam, or_
from sqlalchemy.orm import aliased
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, changed_copy, statement
from app.core.errors import DomainError
from app.models.cards import Card, CardStatus
from app.models.compliance import RealName
from app.models.identities import Identity, Merge
from app.models.ledger import Account, AccountKind, Lot, LotMovement, PostingKind
from app.models.members import Consent, Member, MemberStatus, MemberTag
from app.models.sessions import PrincipalKind, Session
from app.models.staff import Permission
from app.services import audit, cards, ledger, tiers
from app.services.actors import Actor
from app.services.ledger.sheet import Sheet, Taken, lots_by_id
from app.services.merges.manifest import AbsorbedCard, Manifest, ids
from app.services.merges.merging import (
    close_accounts,
    lock_members,
    set_profile,
)

BEGAN_EARLIER_MAX = timedelta(minutes=1)
"""A sign-in that waited for a merge to commit, or that another server's clock dates, bears a time
somewhat before the merge and still belongs to whoever brought the other record."""

lock_merge = statement(
    select(Merge).where(col(Merge.id) == bindparam("merge_id")).with_for_update(), into=Merge
)
later_merges = statement(
    select(Merge.id)
    .where(
        or_(
            col(Merge.merged_at) > bindparam("merged_at"),
            and_(
                col(Merge.merged_at) == bindparam("merged_at"),
                col(Merge.id) > bindparam("merge_id"),
            ),
        ),
        col(Merge.undone_at).is_(None),
        or_(
            any_of(col(Merge.survivor_id), "member_ids"), any_of(col(Merge.loser_id), "member_ids")
        ),
    )
    .limit(1),
    into=UUID,
)
merges_of_member = statement(
    select(Merge)
    .where(
        or_(
            col(Merge.survivor_id) == bindparam("member_id"),
            col(Merge.loser_id) == bindparam("member_id"),
        )
    )
    .order_by(col(Merge.id).desc()),
    into=Merge,
)
mark_undone = statement(
    update(Merge)
    .where(col(Merge.id) == bindparam("merge_id"), col(Merge.undone_at).is_(None))
    .values(undone_at=bindparam("at"), undone_by_id=bindparam("by_id"))
)
revive_member = statement(
    update(Member)
    .where(col(Member.id) == bindparam("loser_id"))
    .values(status=MemberStatus.ACTIVE, merged_into_id=None)
)
return_signposts = statement(
    update(Member).where(any_of(col(Member.id), "ids")).values(merged_into_id=bindparam("loser_id"))
)
return_identities = statement(
    update(Identity)
    .where(any_of(col(Identity.id), "ids"), col(Identity.member_id) == bindparam("survivor_id"))
    .values(member_id=bindparam("loser_id"))
)
lock_cards_by_id = statement(
    select(Card).where(any_of(col(Card.id), "ids")).order_by(col(Card.id)).with_for_update(),
    into=Card,
)
revoke_sessions = statement(
    update(Session)
    .where(
        col(Session.principal_id) == bindparam("survivor_id"),
        col(Session.principal_kind) == PrincipalKind.MEMBER,
        col(Session.revoked_at).is_(None),
        or_(col(Session.started_at) >= bindparam("since"), any_of(col(Session.id), "ids")),
    )
    .values(revoked_at=bindparam("at"), revoked_because="merge_undone")
)
return_sessions = statement(
    update(Session).where(any_of(col(Session.id), "ids")).values(principal_id=bindparam("loser_id"))
)
return_consents = statement(
    update(Consent).where(any_of(col(Consent.id), "ids")).values(member_id=bindparam("loser_id"))
)
return_tags = statement(
    update(MemberTag)
    .where(any_of(col(MemberTag.id), "ids"), col(MemberTag.member_id) == bindparam("survivor_id"))
    .values(member_id=bindparam("loser_id"))
)
return_real_name = statement(
    update(RealName)
    .where(any_of(col(RealName.id), "ids"), col(RealName.member_id) == bindparam("survivor_id"))
    .values(member_id=bindparam("loser_id"))
)
return_cards = statement(
    update(Card)
    .where(any_of(col(Card.id), "ids"), col(Card.member_id) == bindparam("survivor_id"))
    .values(member_id=bindparam("loser_id"))
)
revive_card = statement(
    update(Card)
    .where(col(Card.id) == bindparam("card_id"))
    .values(status=bindparam("old_status"), merged_into_id=None)
)
return_absorbed = statement(
    update(Card).where(any_of(col(Card.id), "ids")).values(merged_into_id=bindparam("card_id"))
)
restore_absorber = statement(
    update(Card)
    .where(col(Card.id) == bindparam("card_id"))
    .values(has_absorbed=bindparam("had_absorbed"))
)
restore_tier = statement(
    update(Card)
    .where(col(Card.id) == bindparam("card_id"))
    .values(tier_id=bindparam("new_tier_id"))
)
movements_of = statement(
    select(LotMovement).where(col(LotMovement.posting_id) == bindparam("posting_id")),
    into=LotMovement,
)
_brought = aliased(Lot)
lots_moved = statement(
    select(Lot)
    .join(_brought, col(_brought.id) == col(Lot.moved_from_id))
    .where(
        any_of(col(_brought.account_id), "from_account_ids"),
        any_of(col(Lot.account_id), "into_account_ids"),
    )
    .order_by(col(Lot.id)),
    into=Lot,
)


class MergeNotFound(DomainError):
    """No such merge in this group."""

    def __init__(self) -> None:
        super().__init__("There is no such merge.")


class MergeNotUndoable(DomainError):
    """One side was merged or closed since, a card is unusable, or it was undone (IDN-5)."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"This merge cannot be undone: {reason}.")


class NotReturned(NamedTuple):
    """Value the merged record brought that was spent since."""

    kind: AccountKind
    unit: str
    amount: int


@dataclass(frozen=True, slots=True)
class Undone:
    merge: Merge
    not_returned: list[NotReturned]


async def of_member(tx: Transaction, *, member_id: UUID) -> list[Merge]:
    """Merges a record took part in, newest first."""
    return await tx.all(merges_of_member, member_id=member_id)


async def undo(tx: Transaction, actor: Actor, *, merge_id: UUID, now: datetime) -> Undone:
    """Part two records again (IDN-5). Raises `MergeNotFound`, `MergeNotUndoable`."""
    actor.require_any(Permission.MEMBERS_WRITE)
    made = await tx.one(lock_merge, merge_id=merge_id)
    if made is None:
        raise MergeNotFound
    both = [made.survivor_id, made.loser_id]
    records = {member.id: member for member in await tx.all(lock_members, ids=both)}
    survivor, loser = records[made.survivor_id], records[made.loser_id]
    if survivor.group_id != actor.group_id:
        raise MergeNotFound
    if made.undone_at is not None:
        raise MergeNotUndoable("it is undone already")
    if survivor.status is not MemberStatus.ACTIVE:
        raise MergeNotUndoable("the account was closed or merged since")
    if await tx.one(later_merges, merge_id=made.id, merged_at=made.merged_at, member_ids=both):
        raise MergeNotUndoable("one side was merged again; undo the later merge first")
    manifest = Manifest.from_json(made.manifest)
    locked = await _lock_cards(tx, manifest, now)
    not_returned: list[NotReturned] = []
    for absorbed in manifest.absorbed_cards:
        not_returned += await _part_cards(tx, made.id, absorbed, locked, now)
    await _end_sessions(tx, made, manifest, now)
    await _part_records(tx, survivor, loser, manifest)
    await tx.changed(mark_undone, merge_id=made.id, at=now, by_id=actor.id)
    await audit.record(
        tx, actor, "merge.undo", object_kind="merge", object_id=made.id, now=now,
        survivor=survivor.id, loser=loser.id,
    )  # fmt: skip
    return Undone(changed_copy(made, undone_at=now, undone_by_id=actor.id), not_returned)


async def _lock_cards(tx: Transaction, manifest: Manifest, now: datetime) -> dict[UUID, Card]:
    """All that is moved back. Value leaves the card that stayed only while that may be used."""
    pairs = [(UUID(each.card_id), UUID(each.into_id)) for each in manifest.absorbed_cards]
    every = [*ids(manifest.moved_card_ids), *(card_id for pair in pairs for card_id in pair)]
    locked = {card.id: card for card in await tx.all(lock_cards_by_id, ids=every)}
    if any(cards.status_at(locked[into], now) is not CardStatus.NORMAL for _, into in pairs):
        raise MergeNotUndoable("the card that stayed is lost, frozen, expired or paid out")
    return locked


async def _end_sessions(tx: Transaction, made: Merge, manifest: Manifest, now: datetime) -> None:
    """Sign out who came with the other record, or signed in since and may be either person.

    They sign in again, and their proofs lead them to the right record.
    """
    await tx.changed(
        revoke_sessions,
        survivor_id=made.survivor_id,
        since=made.merged_at - BEGAN_EARLIER_MAX,
        ids=ids(manifest.session_ids),
        at=now,
    )


async def _part_records(
    tx: Transaction, survivor: Member, loser: Member, manifest: Manifest
) -> None:
    ends = {"survivor_id": survivor.id, "loser_id": loser.id}
    await tx.changed(revive_member, loser_id=loser.id)
    await tx.changed(return_identities, ids=ids(manifest.identity_ids), **ends)
    await tx.changed(return_cards, ids=ids(manifest.moved_card_ids), **ends)
    await tx.changed(return_sessions, ids=ids(manifest.session_ids), loser_id=loser.id)
    await tx.changed(return_consents, ids=ids(manifest.consent_ids), loser_id=loser.id)
    await tx.changed(return_tags, ids=ids(manifest.member_tag_ids), **ends)
    await tx.changed(return_real_name, ids=ids(manifest.real_name_ids), **ends)
    await tx.changed(return_signposts, ids=ids(manifest.re_pointed_member_ids), loser_id=loser.id)
    taken_over = [
        name for name in manifest.filled_fields if getattr(survivor, name) == getattr(loser, name)
    ]
    if taken_over:
        await set_profile(tx, survivor, **dict.fromkeys(taken_over))


async def _part_cards(
    tx: Transaction,
    merge_id: UUID,
    absorbed: AbsorbedCard,
    locked: dict[UUID, Card],
    now: datetime,
) -> list[NotReturned]:
    card_id, into_id = UUID(absorbed.card_id), UUID(absorbed.into_id)
    card, into = locked[card_id], locked[into_id]
    await tx.changed(revive_card, card_id=card_id, old_status=CardStatus(absorbed.status))
    await tx.changed(close_accounts, of_card_id=card_id, closed=False)
    await tx.changed(return_absorbed, ids=ids(absorbed.re_pointed_ids), card_id=card_id)
    await tx.changed(restore_absorber, card_id=into_id, had_absorbed=absorbed.into_had_absorbed)
    not_returned = await _return_value(tx, merge_id, card, into, absorbed, now)
    if absorbed.tiers is not None:
        await tiers.after_parting(
            tx, card=changed_copy(into, has_absorbed=absorbed.into_had_absorbed), absorbed=card,
            kept=absorbed.tiers, merge_id=merge_id, now=now,
        )  # fmt: skip
    elif into.tier_id == card.tier_id:  # only where it is still the one this card brought
        tier_id = UUID(absorbed.into_tier_id)
        await tx.changed(restore_tier, card_id=into_id, new_tier_id=tier_id)
    return not_returned


async def _return_value(
    tx: Transaction,
    merge_id: UUID,
    card: Card,
    into: Card,
    absorbed: AbsorbedCard,
    now: datetime,
) -> list[NotReturned]:
    """Each lot's remainder goes back to the lot it came from; debts go back as debts.

    So does what was held when the two were merged and came to the card that stayed since.
    """
    accounts = {a.id: a for a in await ledger.accounts_of_cards(tx, [card.id, into.id])}
    posting_id = UUID(absorbed.posting_id) if absorbed.posting_id else None
    header = ledger.Header.of(
        card,
        kind=PostingKind.MERGE_UNDO,
        cause_kind="card_merge_undo",
        cause_id=uuid5(merge_id, str(card.id)),
        reverses_id=posting_id,
        actor_kind=PrincipalKind.SYSTEM,
        now=now,
    )
    sheet = await Sheet.open(tx, header, accounts)
    missing = await _return_lots(tx, sheet, merge_id, card, accounts)
    clawed: Counter[AccountKind] = Counter()
    owed_again: Counter[UUID] = Counter()
    movements = await tx.all(movements_of, posting_id=posting_id) if posting_id else []
    amounts = {movement.lot_id: -movement.amount for movement in movements}
    lots = {lot.id: lot for lot in await tx.all(lots_by_id, lot_ids=list(amounts))}
    for lot in lots.values():
        account = accounts[lot.account_id]
        if account.card_id != into.id:
            continue
        if lot.moved_from_id in lots:  # a part of what was brought paid the survivor's own debt
            sheet.give_back(lots[lot.moved_from_id], amounts[lot.id])
            missing[lots[lot.moved_from_id].account_id] -= amounts[lot.id]
            owed_again[account.id] += amounts[lot.id]
        else:  # the survivor paid the other's debt from it
            sheet.give_back(lot, amounts[lot.id])
            clawed[account.kind] += amounts[lot.id]
    for account_id, owed in owed_again.items():
        await sheet.claw_back(account_id, owed, origin_id=None)
    for kind, owed in absorbed.debts.items():
        source, target = (
            next(a for a in accounts.values() if a.kind == kind and a.card_id == c.id)
            for c in (card, into)
        )
        if rest := owed - clawed[source.kind]:
            sheet.put(target.id, rest)
        await sheet.claw_back(source.id, owed, origin_id=None)
    if not sheet.is_empty:
        await sheet.close()
    return [
        NotReturned(accounts[account_id].kind, accounts[account_id].unit, amount)
        for account_id, amount in missing.items()
        if amount > 0
    ]


async def _return_lots(
    tx: Transaction, sheet: Sheet, merge_id: UUID, card: Card, accounts: dict[UUID, Account]
) -> Counter[UUID]:
    """Move back what remains of the lots that were moved; what each account of the card misses."""
    own = [account.id for account in accounts.values() if account.card_id == card.id]
    others = [account.id for account in accounts.values() if account.card_id != card.id]
    moved = await tx.all(lots_moved, from_account_ids=own, into_account_ids=others)
    brought_ids = sorted({lot.moved_from_id for lot in moved if lot.moved_from_id is not None})
    brought = {lot.id: lot for lot in await tx.all(lots_by_id, lot_ids=brought_ids)}
    missing: Counter[UUID] = Counter()
    for lot in moved:
        assert lot.moved_from_id is not None
        home = brought[lot.moved_from_id]
        if lot.remaining:
            sheet.take_lots(lot.account_id, [Taken(lot, lot.remaining)])
            sheet.give_back(home, lot.remaining)
        if lot.id > merge_id:  # not of an earlier merge of the same two, which was undone
            missing[home.account_id] += lot.amount - lot.remaining
    return missing
