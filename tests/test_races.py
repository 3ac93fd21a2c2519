"""IDN-3, IDN-4, IDN-8: whoever writes to a member holds them, so nothing slips past a merge, a
closure or another edit. Each race is run in the order that did harm."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app.core.db import Database, Transaction
from app.core.errors import Unauthenticated
from app.core.money import Money
from app.models.cards import Card, CardStatus
from app.models.identities import IdentityKind
from app.models.members import MemberStatus
from app.services import (
    cards,
    identities,
    ledger,
    members,
    privacy,
    purchases,
    sessions,
    sign_in,
)
from app.services.identities import LastIdentity, Proof
from app.services.members import Bearer, ProfileChange
from app.services.merges import merging
from app.services.privacy import closing
from app.services.sign_in import Asking
from tests.factories.cards import Counter, counter, the_card
from tests.factories.ledger import account
from tests.factories.races import INSERT, Work, beside, call
from tests.factories.sessions import a_bearer
from tests.factories.small_world import SmallWorld, a_member, a_scheme, small_world

pytestmark = pytest.mark.anyio

PHONE = Proof(IdentityKind.PHONE, "+8613800000001")
EMAIL = Proof(IdentityKind.EMAIL, "anna@regulars.example")
OTHER_PHONE = Proof(IdentityKind.PHONE, "+8613800000002")
WECHAT = Proof(IdentityKind.WECHAT_UNIONID, "uANNA")


@dataclass(frozen=True)
class Two:
    """Anna, with a phone and an e-mail address, and another member she may be merged into."""

    database: Database
    world: SmallWorld
    anna: Bearer
    other_id: UUID
    now: datetime

    def close(self) -> Work:
        asked: dict[str, Any] = {"request_key": "k", "forfeit_balances": True, "now": self.now}
        return call(privacy.close, bearer=self.anna, **asked)

    def merge(self) -> Work:
        ends = {"survivor_id": self.other_id, "loser_id": self.anna.member_id}
        return call(merging.join_records, **ends, now=self.now)

    def bind(self, proof: Proof) -> Work:
        return call(sign_in.bind, bearer=self.anna, proofs=[proof], now=self.now)

    def sign_in(self, proof: Proof) -> Work:
        asking = Asking(self.world.group.id, "", "", self.now, timedelta(days=1))
        return call(sign_in.with_proofs, asking=asking, proofs=[proof], method="sms")

    def edit(self, **change: str) -> Work:
        edit = ProfileChange(**change)  # type: ignore[arg-type]  # texts only, in these tests
        return call(members.change_profile, bearer=self.anna, change=edit, now=self.now)

    async def owner(self, proof: Proof) -> UUID | None:
        found = await self.database.read(
            identities.find, group_id=self.world.group.id, proofs=[proof]
        )
        return found[0].member_id if found else None


async def make_two(tx: Transaction, database: Database, now: datetime) -> Two:
    world = await small_world(tx, now=now)
    for proof in (PHONE, EMAIL):
        await identities.bind(tx, member=world.member, proof=proof, now=now)
    anna = await a_bearer(tx, world.member.id, now=now)
    other, _ = await a_member(tx, group=world.group, scheme=world.scheme, now=now)
    return Two(database, world, anna, other.id, now)


@pytest.fixture
async def two(database: Database, now: datetime) -> Two:
    return await database.run(make_two, database, now)


async def test_of_two_unbinds_at_once_one_leaves_the_last_identity(two: Two) -> None:
    owned = await two.database.read(identities.of_member, member_id=two.anna.member_id)
    unbinds = [
        call(identities.unbind, bearer=two.anna, identity_id=each.id, now=two.now) for each in owned
    ]
    _, refused = await beside(
        two.database, unbinds[0], before=identities.remove_one, second=unbinds[1]
    )
    assert isinstance(refused, LastIdentity)
    left = await two.database.read(identities.of_member, member_id=two.anna.member_id)
    assert [each.kind for each in left] == [IdentityKind.EMAIL]


async def test_what_is_bound_beside_a_closure_is_free_again(two: Two) -> None:
    _, closed = await beside(two.database, two.bind(OTHER_PHONE), before=INSERT, second=two.close())
    assert closed.status is MemberStatus.CLOSED
    assert await two.owner(OTHER_PHONE) is None
    assert (await two.database.run(two.sign_in(OTHER_PHONE))).is_new


async def test_nothing_is_bound_after_a_closure_that_began_before(two: Two) -> None:
    _, refused = await beside(
        two.database, two.close(), before=closing.mark_closed, second=two.bind(OTHER_PHONE)
    )
    assert isinstance(refused, Unauthenticated)
    assert await two.owner(OTHER_PHONE) is None


async def test_who_signs_in_beside_their_closure_begins_anew(two: Two) -> None:
    _, started = await beside(
        two.database, two.close(), before=closing.mark_closed, second=two.sign_in(PHONE)
    )
    assert started.is_new
    assert await two.owner(PHONE) == started.member.id != two.anna.member_id


async def test_a_closure_ends_the_session_that_began_beside_it(two: Two) -> None:
    started, closed = await beside(
        two.database, two.sign_in(PHONE), before=INSERT, second=two.close()
    )
    assert started.member.id == closed.id
    opened = sessions.open_sessions
    assert await two.database.read(opened, principal_id=closed.id, now=two.now) == []


@pytest.mark.parametrize("merge_first", [False, True])
async def test_what_is_bound_beside_a_merge_leads_to_who_stays(two: Two, merge_first: bool) -> None:
    bind = two.bind(WECHAT)
    if merge_first:
        await beside(two.database, two.merge(), before=merging.make_signpost, second=bind)
    else:
        await beside(two.database, bind, before=INSERT, second=two.merge())
    for proof in (PHONE, EMAIL, WECHAT):
        assert await two.owner(proof) == two.other_id


async def test_who_signs_in_beside_a_merge_reaches_who_stays(two: Two) -> None:
    _, started = await beside(
        two.database, two.merge(), before=merging.make_signpost, second=two.sign_in(PHONE)
    )
    assert (started.is_new, started.member.id) == (False, two.other_id)


@pytest.mark.parametrize("merge_first", [False, True])
async def test_a_card_joined_beside_a_merge_belongs_to_who_stays(
    two: Two, merge_first: bool
) -> None:
    scheme = await two.database.run(a_second_scheme, two.world, two.now)
    join = call(cards.join, bearer=two.anna, scheme_id=scheme, now=two.now)
    if merge_first:
        _, card = await beside(two.database, two.merge(), before=merging.make_signpost, second=join)
    else:
        card, _ = await beside(two.database, join, before=cards.issue, second=two.merge())
    await require_owner(two, card.id)


async def a_second_scheme(tx: Transaction, world: SmallWorld, now: datetime) -> UUID:
    return (await a_scheme(tx, group=world.group, now=now, name="Second card")).id


async def require_owner(two: Two, card_id: UUID) -> None:
    """The card is where its holder finds it, with the old id and the new one."""
    assert (await two.database.read(the_card, card_id)).member_id == two.other_id
    for member_id in (two.anna.member_id, two.other_id):
        held = await two.database.read(cards.of_signed_in, member_id=member_id)
        assert card_id in {card.id for card in held}


async def test_a_profile_edited_beside_a_closure_stays_erased(two: Two) -> None:
    await beside(
        two.database, two.edit(region="上海"), before=members.update_profile, second=two.close()
    )
    record = await two.database.read(members.living, two.anna.member_id)
    assert (record.status, record.name, record.region) == (MemberStatus.CLOSED, None, None)


async def test_two_edits_of_a_profile_at_once_are_both_kept(two: Two) -> None:
    await beside(
        two.database,
        two.edit(region="上海"),
        before=members.update_profile,
        second=two.edit(name="李安娜"),
    )
    record = await two.database.read(members.living, two.anna.member_id)
    assert (record.name, record.region) == ("李安娜", "上海")


async def test_a_consent_beside_a_merge_is_the_consent_of_who_stays(two: Two) -> None:
    decide = call(
        members.decide_consent,
        bearer=two.anna, purpose="sms", version="1", is_given=True, now=two.now,
    )  # fmt: skip
    _, consent = await beside(
        two.database, two.merge(), before=merging.make_signpost, second=decide
    )
    assert consent.member_id == two.other_id


# At the till


@dataclass(frozen=True)
class Till:
    counter: Counter
    bearer: Bearer

    @property
    def database(self) -> Database:
        return self.counter.database

    @property
    def card(self) -> Card:
        return self.counter.shop.card

    def purchase(self) -> Work:
        bill = purchases.Bill(
            order_number="o1",
            total=Money(100_00, "CNY"),
            tax_amount=0,
            payments=[purchases.Payment("cash", 100_00)],
            occurred_at=self.counter.now,
        )
        return call(
            purchases.record, self.counter.shop.owner.actor,
            terminal_id=self.counter.shop.terminal.id, card_id=self.card.id, bill=bill,
            request_key="k", now=self.counter.now,
        )  # fmt: skip

    def close(self) -> Work:
        asked: dict[str, Any] = {"request_key": "k", "forfeit_balances": True}
        return call(privacy.close, bearer=self.bearer, **asked, now=self.counter.now)

    def freeze(self) -> Work:
        return call(
            cards.set_status, self.counter.shop.owner.actor,
            card_id=self.card.id, status=CardStatus.FROZEN, reason="x", now=self.counter.now,
        )  # fmt: skip


@pytest.fixture
async def till(database: Database, now: datetime) -> Till:
    till = await counter(database, now)
    # Recruited before: a first purchase would lock the member as well.
    await database.run(members.recruit, member_id=till.shop.member.id, store_id=till.shop.store.id)
    return Till(till, await database.run(a_bearer, till.shop.member.id, now=now))


async def test_what_a_purchase_beside_a_closure_earned_expires_with_the_card(till: Till) -> None:
    """IDN-8: a closed member's card holds nothing."""
    recorded, closed = await beside(
        till.database,
        till.purchase(),
        before=purchases.by_order_number,
        second=till.close(),
    )
    assert recorded.purchase.points_earned == 50
    assert closed.status is MemberStatus.CLOSED
    assert (await till.database.read(the_card, till.card.id)).status is CardStatus.EXPIRED
    assert (await account(till.database, till.card.id)).balance == 0
    assert await till.database.scan(ledger.check) == []


@pytest.mark.parametrize("ending", ["close", "freeze"])
async def test_a_card_that_is_closed_or_frozen_meanwhile_earns_nothing(
    till: Till, ending: str
) -> None:
    """CRD-3."""
    first, before = {
        "close": (till.close(), closing.mark_closed),
        "freeze": (till.freeze(), INSERT),  # its audit record, after the status
    }[ending]
    _, refused = await beside(till.database, first, before=before, second=till.purchase())
    assert isinstance(refused, cards.CardNotUsable)
    assert (await account(till.database, till.card.id)).balance == 0
    assert await till.database.scan(ledger.check) == []


async def test_a_card_issued_at_a_till_beside_a_merge_belongs_to_who_stays(
    till: Till,
) -> None:
    """CRD-7."""
    shop, now = till.counter.shop, till.counter.now
    loser, survivor = [
        await till.database.run(members.create, group_id=shop.places.group.id, name=None, now=now)
        for _ in range(2)
    ]
    issue = call(
        cards.open_at_terminal, shop.owner.actor,
        terminal_id=shop.terminal.id, member_id=loser.id, scheme_id=shop.scheme.id, now=now,
    )  # fmt: skip
    ends = {"survivor_id": survivor.id, "loser_id": loser.id}
    await beside(
        till.database,
        issue,
        before=cards.issue,
        second=call(merging.join_records, **ends, now=now),
    )
    held = await till.database.read(cards.of_members, [loser.id, survivor.id])
    assert (len(held[loser.id]), len(held[survivor.id])) == (0, 1)
