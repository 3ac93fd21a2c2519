"""IDN-4, IDN-5, CRD-3: what a merge must not bring back to life, and what undoing it must end."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, update

from app.core.db import Database, Transaction, statement
from app.models.cards import Card, CardStatus
from app.models.identities import IdentityKind, Merge
from app.models.ledger import AccountKind
from app.models.members import Member
from app.models.sessions import PrincipalKind
from app.services import cards, identities, merges, sessions, sign_in
from app.services.identities import Proof
from app.services.members import Bearer
from app.services.merges import MergeImpossible, MergeNotUndoable, MergeOffer, merging
from app.services.sessions import RefreshRefused
from app.services.sign_in import Asking
from app.services.tickets import TicketRefused
from tests.factories.cards import the_card
from tests.factories.ledger import account, nothing_moves
from tests.factories.member_cards import adjust
from tests.factories.member_codes import freeze
from tests.factories.races import INSERT, beside, call
from tests.factories.sessions import a_bearer
from tests.factories.small_world import SmallWorld, a_member, small_world, staff_of

pytestmark = pytest.mark.anyio

PHONE = Proof(IdentityKind.PHONE, "+8613800000001")
NEW_PHONE = Proof(IdentityKind.PHONE, "+8613800000002")

set_expiry = statement(
    update(Card)
    .where(col(Card.id) == bindparam("card_id"))
    .values(expires_at=bindparam("new_expiry"))
)


@dataclass(frozen=True)
class Twins:
    """One person's two records, with a card of one scheme each: Anna stays, Ben's has a phone."""

    database: Database
    world: SmallWorld
    ben: Member
    ben_card: Card
    bearer: Bearer
    now: datetime

    @property
    def anna_card(self) -> Card:
        return self.world.card

    def later(self, **duration: float) -> "Twins":
        return replace(self, now=self.now + timedelta(**duration))

    async def offered(self) -> MergeOffer:
        bound = await self.database.run(
            sign_in.bind, bearer=self.bearer, proofs=[PHONE], now=self.now
        )
        assert isinstance(bound, MergeOffer)
        return bound

    async def merge(self) -> Merge:
        offer = await self.offered()
        return await self.confirm(offer)

    async def confirm(self, offer: MergeOffer) -> Merge:
        return await self.database.run(
            merges.merge, bearer=self.bearer, ticket=offer.ticket, now=self.now
        )

    async def undo(self, merge_id: UUID) -> merges.Undone:
        return await self.database.run(
            merges.undo, staff_of(self.world), merge_id=merge_id, now=self.now
        )

    async def sign_in(self, proof: Proof) -> sign_in.SignedIn:
        asking = Asking(self.world.group.id, "", "", self.now, timedelta(days=60))
        return await self.database.run(
            sign_in.with_proofs, asking=asking, proofs=[proof], method="sms"
        )

    async def refresh(self, started: sessions.Refreshed) -> sessions.Refreshed:
        return await self.database.run(
            sessions.refresh,
            refresh_token=started.refresh_token,
            principal_kind=PrincipalKind.MEMBER,
            now=self.now,
        )

    async def points(self, card: Card) -> int:
        return (await account(self.database, card.id)).balance


async def make_twins(tx: Transaction, database: Database, now: datetime) -> Twins:
    world = await small_world(tx, now=now)
    ben, ben_card = await a_member(tx, group=world.group, scheme=world.scheme, now=now)
    await identities.bind(tx, member=ben, proof=PHONE, now=now)
    await adjust(tx, ben_card.id, AccountKind.POINTS, 500, now)
    bearer = await a_bearer(tx, world.member.id, now=now)
    return Twins(database, world, ben, ben_card, bearer, now)


@pytest.fixture
async def twins(database: Database, now: datetime) -> Twins:
    return await database.run(make_twins, database, now)


@pytest.mark.parametrize("whose", ["stays", "goes"])
async def test_an_expired_card_is_not_revived_by_a_merge(twins: Twins, whose: str) -> None:
    """CRD-3: neither its points in a card that lives, nor a living card's in an expired one."""
    card = twins.anna_card if whose == "stays" else twins.ben_card
    await twins.database.run(expire, card, twins.now)
    offer = await twins.offered()
    async with nothing_moves(twins.database):
        with pytest.raises(MergeImpossible):
            await twins.confirm(offer)
    kept = await twins.database.read(the_card, twins.ben_card.id)
    assert kept.member_id == twins.ben.id


async def expire(tx: Transaction, card: Card, now: datetime) -> None:
    """A day ago, which no job has written down."""
    await tx.changed(set_expiry, card_id=card.id, new_expiry=now - timedelta(days=1))


async def test_a_ticket_is_worth_nothing_once_what_was_proven_has_moved_on(twins: Twins) -> None:
    """IDN-4: who gave a phone up is not merged into who has it now."""
    offer = await twins.offered()
    await twins.database.run(identities.bind, member=twins.ben, proof=NEW_PHONE, now=twins.now)
    async with nothing_moves(twins.database):
        with pytest.raises(TicketRefused):
            await twins.later(minutes=9).confirm(offer)
    # Nor when the phone is somebody's again: it was proven for the one who had it then.
    await twins.database.run(identities.bind, member=twins.ben, proof=PHONE, now=twins.now)
    with pytest.raises(TicketRefused):
        await twins.later(minutes=9).confirm(offer)


async def test_a_phone_changed_beside_the_merge_stops_it(twins: Twins) -> None:
    offer = await twins.offered()
    ben = await twins.database.run(a_bearer, twins.ben.id, now=twins.now)
    bound, refused = await beside(
        twins.database,
        call(sign_in.bind, bearer=ben, proofs=[NEW_PHONE], now=twins.now),
        before=identities.remove_one,
        second=call(merges.merge, bearer=twins.bearer, ticket=offer.ticket, now=twins.now),
    )
    assert bound.identity.member_id == twins.ben.id
    assert isinstance(refused, TicketRefused)


async def test_undoing_signs_out_whoever_may_be_the_other_person(twins: Twins) -> None:
    """IDN-5: they sign in again, and their own phone leads to their own record."""
    before = await twins.sign_in(PHONE)
    merging_at = twins.later(minutes=20)
    merged = await merging_at.merge()
    kept = await merging_at.refresh(before.session)
    assert kept.session.principal_id == twins.world.member.id
    since = await twins.later(hours=1).sign_in(PHONE)
    assert since.member.id == twins.world.member.id
    parted = twins.later(hours=2)
    await parted.undo(merged.id)
    for started in (kept, since.session):
        with pytest.raises(RefreshRefused):
            await parted.refresh(started)
    again = await parted.sign_in(PHONE)
    assert (again.is_new, again.member.id) == (False, twins.ben.id)


async def test_undoing_leaves_the_survivors_older_sessions_open(twins: Twins) -> None:
    later = twins.later(minutes=10)
    merged = await later.merge()
    await later.undo(merged.id)
    own = await twins.database.read(
        sessions.open_sessions, principal_id=twins.world.member.id, now=later.now
    )
    assert [session.id for session in own] == [twins.bearer.session_id]


async def test_a_sign_in_that_waited_for_the_merge_ends_with_it(twins: Twins) -> None:
    """It bears the time it was asked at, before the merge, and speaks for who stayed."""
    offer = await twins.offered()
    merged_at = twins.later(seconds=2)
    asking = Asking(twins.world.group.id, "", "", twins.now, timedelta(days=60))
    merged, started = await beside(
        twins.database,
        call(merges.merge, bearer=twins.bearer, ticket=offer.ticket, now=merged_at.now),
        before=merging.make_signpost,
        second=call(sign_in.with_proofs, asking=asking, proofs=[PHONE], method="sms"),
    )
    assert started.member.id == twins.world.member.id
    await merged_at.undo(merged.id)
    with pytest.raises(RefreshRefused):
        await merged_at.refresh(started.session)


@pytest.mark.parametrize("status", [CardStatus.FROZEN, CardStatus.LOST, CardStatus.EXPIRED])
async def test_undoing_takes_nothing_out_of_a_card_that_may_not_be_used(
    twins: Twins, status: CardStatus
) -> None:
    """CRD-3: a frozen card's value stays where it is."""
    merged = await twins.merge()
    if status is CardStatus.EXPIRED:
        await twins.database.run(expire, twins.anna_card, twins.now)
    else:
        await twins.database.run(freeze, twins.anna_card, status)
    async with nothing_moves(twins.database):
        with pytest.raises(MergeNotUndoable):
            await twins.undo(merged.id)
    assert await twins.points(twins.anna_card) == 500


async def test_a_freeze_beside_an_undo_waits_for_it(twins: Twins) -> None:
    merged = await twins.merge()
    actor = staff_of(twins.world)
    frozen, refused = await beside(
        twins.database,
        call(
            cards.set_status, actor, card_id=twins.anna_card.id,
            status=CardStatus.FROZEN, reason="x", now=twins.now,
        ),
        before=INSERT,
        second=call(merges.undo, actor, merge_id=merged.id, now=twins.now),
    )  # fmt: skip
    assert frozen.status is CardStatus.FROZEN
    assert isinstance(refused, MergeNotUndoable)
    assert await twins.points(twins.anna_card) == 500


async def test_merges_are_undone_in_order_whatever_the_servers_clocks_say(twins: Twins) -> None:
    """IDN-5: the second merge was made by a server whose clock is an hour behind."""
    first = await twins.merge()
    third, _ = await twins.database.run(
        a_member, group=twins.world.group, scheme=twins.world.scheme, now=twins.now
    )
    behind = twins.now - timedelta(hours=1)
    ends = {"survivor_id": twins.world.member.id, "loser_id": third.id}
    second = await twins.database.run(merging.join_records, **ends, now=behind)
    assert second.merged_at > first.merged_at
    async with nothing_moves(twins.database):
        with pytest.raises(MergeNotUndoable):
            await twins.undo(first.id)
    await twins.undo(second.id)
    assert (await twins.undo(first.id)).not_returned == []
    assert await twins.points(twins.ben_card) == 500
