"""IDN-3 … IDN-5: one person is one record, and no merge or its undoing loses anything.

Random histories of sign-ins, binds, merges, undos, postings and holds. After every step: the totals
per account kind are what was posted, every identity leads to exactly one living member, a member
holds one card of a scheme, and the ledger check finds nothing.
"""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from sqlmodel import col, func, select

from app.core.db import Database, Transaction, open_database, statement
from app.core.ids import new_id
from app.models.cards import Card, CardStatus
from app.models.identities import Identity, IdentityKind, Merge
from app.models.ledger import Account, AccountKind, PostingKind, SystemAccount
from app.models.members import Member, MemberStatus
from app.models.sessions import PrincipalKind
from app.services import cards, ledger, members, merges, sign_in
from app.services.identities import Bound, Proof
from app.services.members import Bearer
from app.services.merges import merging
from app.services.sign_in import Asking
from tests.conftest import Engine
from tests.factories.member_cards import adjust
from tests.factories.sessions import a_bearer
from tests.factories.small_world import SmallWorld, a_member, small_world, staff_of

START = datetime(2026, 9, 1, tzinfo=UTC)
PROOFS = [
    *(Proof(IdentityKind.PHONE, f"+861380000000{n}") for n in range(4)),
    *(Proof(IdentityKind.WECHAT_OPENID, f"openid-{n}", "wx1") for n in range(3)),
    *(Proof(IdentityKind.WECHAT_UNIONID, f"unionid-{n}") for n in range(3)),
    *(Proof(IdentityKind.EMAIL, f"someone{n}@example.com") for n in range(2)),
]

pytestmark = pytest.mark.anyio


class Total(NamedTuple):
    kind: AccountKind
    total: int


class Owner(NamedTuple):
    value_index: str
    status: MemberStatus


totals = statement(
    select(Account.kind, func.sum(Account.balance - Account.debt).label("total")).group_by(
        col(Account.kind)
    ),
    into=Total,
)
owners = statement(
    select(Identity.value_index, Member.status).join(
        Member, col(Member.id) == col(Identity.member_id)
    ),
    into=Owner,
)
left_behind = statement(
    select(Account.id)
    .join(Card, col(Card.id) == col(Account.card_id))
    .where(col(Card.status) == CardStatus.MERGED, Account.balance + Account.debt != 0),
    into=UUID,
)
living_cards = statement(select(Card).where(col(Card.status) != CardStatus.MERGED), into=Card)


async def arrive(
    tx: Transaction, world: SmallWorld, proofs: list[Proof], now: datetime
) -> sign_in.SignedIn:
    """Sign in and take a card."""
    asking = Asking(world.group.id, "", "", now, timedelta(days=1))
    signed_in = await sign_in.with_proofs(
        tx, asking=asking, proofs=proofs, method="sms", name="王小明"
    )
    await cards.open_card(tx, member=signed_in.member, scheme=world.scheme, store_id=None, now=now)
    return signed_in


async def merge_other(tx: Transaction, member_id: UUID, other_id: UUID, now: datetime) -> Merge:
    return await merging.join_records(tx, survivor_id=member_id, loser_id=other_id, now=now)


def _header(card: Card, kind: PostingKind, now: datetime) -> ledger.Header:
    return ledger.Header.of(
        card, kind=kind, cause_kind="test", cause_id=new_id(), actor_kind=PrincipalKind.SYSTEM,
        now=now,
    )  # fmt: skip


async def hold_cash(
    tx: Transaction, card_id: UUID, amount: int, now: datetime
) -> list[ledger.Part]:
    """What was taken from which lots of the living card: as much as there is."""
    card = await cards.living(tx, card_id)
    accounts = await ledger.accounts_of_cards(tx, [card.id])
    cash = next(each for each in accounts if each.kind is AccountKind.CASH)
    if not (amount := min(amount, cash.balance)):
        return []
    sheet = await ledger.Sheet.open(tx, _header(card, PostingKind.AUTHORISE, now), [cash.id])
    taken = await sheet.take(cash.id, amount)
    sheet.against(SystemAccount.HELD, amount, cash.unit)
    await sheet.close()
    return [ledger.Part(lot.id, part) for lot, part in taken]


async def release_cash(
    tx: Transaction, card_id: UUID, parts: list[ledger.Part], now: datetime
) -> None:
    card = await cards.living(tx, card_id)
    total = sum(part.amount for part in parts)
    back = ledger.Against(SystemAccount.HELD, -total, "CNY")
    header = _header(card, PostingKind.SPEND_REVERSAL, now)
    await ledger.give_back(tx, header=header, parts=parts, against=[back])


class Persons(RuleBasedStateMachine):
    engine: Engine
    folder: Path

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.url = self.runner.run(self.engine.make(self.folder))
        self.database = self.runner.run(open_database(self.url))
        self.now = START
        self.world = self.run(small_world, now=self.now)
        self.posted: Counter[AccountKind] = Counter()
        self.member_ids = [self.world.member.id]
        self.card_ids = [self.world.card.id]
        self.done: list[UUID] = []
        self.held: list[tuple[UUID, list[ledger.Part]]] = []

    def run(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        self.now += timedelta(seconds=1)
        return self.runner.run(self.database.run(work, *args, **kwargs))

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.run(self.database.close())
            self.runner.run(self.engine.drop(self.url))
            self.runner.close()

    @rule(proofs=st.lists(st.sampled_from(PROOFS), min_size=1, max_size=3, unique=True))
    def sign_in(self, proofs: list[Proof]) -> None:
        signed_in = self.run(arrive, self.world, proofs, self.now)
        self.member_ids.append(signed_in.member.id)
        held = self.run(cards.of_members, [signed_in.member.id])[signed_in.member.id]
        self.card_ids += [card.id for card in held if card.id not in self.card_ids]
        if signed_in.merge_offer is not None:
            bearer = Bearer(signed_in.member.id, signed_in.session.session.id)
            self.confirm(bearer, signed_in.merge_offer)

    def confirm(self, bearer: Bearer, offer: merges.MergeOffer) -> None:
        merged = self.run(merges.merge, bearer=bearer, ticket=offer.ticket, now=self.now)
        self.done.append(merged.id)

    @rule(data=st.data(), proof=st.sampled_from(PROOFS))
    def bind(self, data: st.DataObject, proof: Proof) -> None:
        member_id = data.draw(st.sampled_from(self.member_ids))
        bearer = self.run(a_bearer, member_id, now=self.now)
        bound = self.run(sign_in.bind, bearer=bearer, proofs=[proof], now=self.now)
        if not isinstance(bound, Bound) and data.draw(st.booleans()):
            self.confirm(bearer, bound)

    @rule(
        data=st.data(),
        kind=st.sampled_from(list(AccountKind)),
        amount=st.integers(-60, 100).filter(bool),
    )
    def post(self, data: st.DataObject, kind: AccountKind, amount: int) -> None:
        """Also through a card that was merged away: its living successor gets it."""
        card_id = data.draw(st.sampled_from(self.card_ids))
        self.posted[kind] += self.run(adjust, card_id, kind, amount, self.now)

    @rule(data=st.data(), amount=st.integers(1, 80))
    def hold(self, data: st.DataObject, amount: int) -> None:
        """Set value aside for a bill, as far as there is any."""
        card_id = data.draw(st.sampled_from(self.card_ids))
        if parts := self.run(hold_cash, card_id, amount, self.now):
            self.held.append((card_id, parts))
            self.posted[AccountKind.CASH] -= sum(part.amount for part in parts)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """Give back what was held, whatever has become of its card and its lots."""
        held = data.draw(st.sampled_from(self.held))
        self.held.remove(held)
        self.run(release_cash, *held, self.now)
        self.posted[AccountKind.CASH] += sum(part.amount for part in held[1])

    @precondition(lambda self: self.done)
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        merge_id = data.draw(st.sampled_from(self.done))
        try:
            self.run(merges.undo, staff_of(self.world), merge_id=merge_id, now=self.now)
        except merges.MergeNotUndoable:
            assert merge_id != self.done[-1], "the last merge can always be undone"
        else:
            self.done.remove(merge_id)

    @invariant()
    def conserved(self) -> None:
        if not hasattr(self, "posted"):
            return
        shown = {row.kind: row.total for row in self.runner.run(self.database.read(_all, totals))}
        assert shown == {kind: self.posted[kind] for kind in AccountKind}
        assert self.runner.run(self.database.scan(ledger.check)) == []
        assert self.runner.run(self.database.read(_all, left_behind)) == []

    @invariant()
    def one_person_is_one_record(self) -> None:
        if not hasattr(self, "posted"):
            return
        found = self.runner.run(self.database.read(_all, owners))
        assert {owner.status for owner in found} <= {MemberStatus.ACTIVE}
        assert len({owner.value_index for owner in found}) == len(found)
        held = self.runner.run(self.database.read(_all, living_cards))
        assert max(Counter(card.member_id for card in held).values()) == 1
        for member_id in self.member_ids:
            living = self.runner.run(self.database.read(members.living, member_id))
            assert living.status is MemberStatus.ACTIVE


async def _all(tx: Transaction, of: Any) -> list[Any]:
    return await tx.all(of)


def test_random_histories_lose_nothing(engine: Engine, tmp_path: Path) -> None:
    machine = type("Persons", (Persons,), {"engine": engine, "folder": tmp_path})
    limits = settings(
        max_examples=30 if engine.name == "sqlite" else 12,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_machine(machine, settings=limits)


async def test_a_merge_keeps_lots_expiry_and_the_higher_tier(
    database: Database, now: datetime
) -> None:
    """IDN-4: balances add up, lots keep their expiry, the higher tier stays; IDN-5: and back."""
    world = await database.run(small_world, now=now)
    other, other_card = await database.run(
        a_member, group=world.group, scheme=world.scheme, now=now
    )
    await database.run(adjust, world.card.id, AccountKind.POINTS, 50, now)
    await database.run(adjust, other_card.id, AccountKind.POINTS, 30, now)  # expires in 30 days
    merged = await database.run(merge_other, world.member.id, other.id, now)
    living = await database.read(cards.living, other_card.id)
    assert living.id == world.card.id
    assert await _points(database, living.id) == (80, [(30, now + timedelta(days=30)), (50, None)])
    undone = await database.run(merges.undo, staff_of(world), merge_id=merged.id, now=now)
    assert undone.not_returned == []
    assert await _points(database, world.card.id) == (50, [(50, None)])
    assert await _points(database, other_card.id) == (30, [(30, now + timedelta(days=30))])


async def test_undoing_says_what_was_spent(database: Database, now: datetime) -> None:
    """IDN-5: of the 30 points that came, 10 were spent since: 20 go back, and 10 are named."""
    world = await database.run(small_world, now=now)
    other, other_card = await database.run(
        a_member, group=world.group, scheme=world.scheme, now=now
    )
    await database.run(adjust, other_card.id, AccountKind.POINTS, 30, now)
    merged = await database.run(merge_other, world.member.id, other.id, now)
    await database.run(adjust, world.card.id, AccountKind.POINTS, -10, now)
    undone = await database.run(merges.undo, staff_of(world), merge_id=merged.id, now=now)
    assert undone.not_returned == [(AccountKind.POINTS, "POINTS", 10)]
    assert (await _points(database, other_card.id))[0] == 20
    with pytest.raises(merges.MergeNotUndoable):
        await database.run(merges.undo, staff_of(world), merge_id=merged.id, now=now)
    assert await database.scan(ledger.check) == []


async def test_a_purchase_beside_a_merge_reaches_the_living_card(
    database: Database, now: datetime
) -> None:
    """IDN-4: what is posted to a card while it is merged away arrives at its successor."""
    world = await database.run(small_world, now=now)
    other, other_card = await database.run(
        a_member, group=world.group, scheme=world.scheme, now=now
    )
    await asyncio.gather(
        database.run(merge_other, world.member.id, other.id, now),
        *(database.run(adjust, other_card.id, AccountKind.POINTS, 5, now) for _ in range(20)),
    )
    assert (await _points(database, world.card.id))[0] == 100
    assert (await _points(database, other_card.id))[0] == 0
    assert await database.scan(ledger.check) == []


async def _points(
    database: Database, card_id: UUID
) -> tuple[int, list[tuple[int, datetime | None]]]:
    async def look(tx: Transaction) -> tuple[int, list[tuple[int, datetime | None]]]:
        accounts = await ledger.accounts_of_cards(tx, [card_id])
        account = next(each for each in accounts if each.kind is AccountKind.POINTS)
        lots = await tx.all(ledger.sheet.spending_order, account_id=account.id)
        return account.balance, [(lot.remaining, lot.expires_at) for lot in lots]

    return await database.read(look)


async def test_undoing_gives_each_side_its_own_debt_back(database: Database, now: datetime) -> None:
    """IDN-5: the survivor owed 50, the other brought 80; undoing unpays what the merge paid."""
    world = await database.run(small_world, now=now)
    other, other_card = await database.run(
        a_member, group=world.group, scheme=world.scheme, now=now
    )
    await database.run(adjust, world.card.id, AccountKind.POINTS, -50, now)
    await database.run(adjust, other_card.id, AccountKind.POINTS, 80, now)
    merged = await database.run(merge_other, world.member.id, other.id, now)
    assert await _held(database, world.card.id) == (30, 0)
    undone = await database.run(merges.undo, staff_of(world), merge_id=merged.id, now=now)
    assert undone.not_returned == []
    assert await _held(database, world.card.id) == (0, 50)
    assert await _held(database, other_card.id) == (80, 0)
    assert await database.scan(ledger.check) == []


async def test_undoing_gives_the_others_debt_back(database: Database, now: datetime) -> None:
    """IDN-5: the other owed 30, which the survivor's 80 paid; each has again what they had."""
    world = await database.run(small_world, now=now)
    other, other_card = await database.run(
        a_member, group=world.group, scheme=world.scheme, now=now
    )
    await database.run(adjust, world.card.id, AccountKind.POINTS, 80, now)
    await database.run(adjust, other_card.id, AccountKind.POINTS, -30, now)
    merged = await database.run(merge_other, world.member.id, other.id, now)
    assert await _held(database, world.card.id) == (50, 0)
    await database.run(merges.undo, staff_of(world), merge_id=merged.id, now=now)
    assert await _held(database, world.card.id) == (80, 0)
    assert await _held(database, other_card.id) == (0, 30)
    assert await database.scan(ledger.check) == []


async def _held(database: Database, card_id: UUID) -> tuple[int, int]:
    """The points of a card, and the points it owes."""
    for account in await database.read(ledger.accounts_of_cards, [card_id]):
        if account.kind is AccountKind.POINTS:
            return account.balance, account.debt
    raise AssertionError(card_id)
