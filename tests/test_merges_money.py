"""IDN-4, IDN-5 with stored value, tiers, tags and names: nothing is lost, and all of it parts."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Database, Transaction, light, statement
from app.core.ids import new_id, type_id
from app.models.cards import Card, CardStatus, Tier
from app.models.compliance import DocumentKind, GroupRules, RealName
from app.models.identities import Merge
from app.models.ledger import AccountKind, Lot
from app.models.members import Member, MemberTag
from app.models.scopes import Channel
from app.models.spendings import SpendingState
from app.models.tiers import GrantSource, TierChange
from app.models.top_ups import TopUpOrder, TopUpSource, TopUpState
from app.services import cards, compliance, members, merges, tags, tiers
from app.services.merges import merging
from tests.factories.cards import a_tier, the_card
from tests.factories.ledger import account
from tests.factories.member_cards import adjust
from tests.factories.member_records import members_found
from tests.factories.reading import every
from tests.factories.spendings import Held, Payer, a_payer, another_card

pytestmark = pytest.mark.anyio

lots_left = statement(
    select(Lot).where(col(Lot.account_id) == bindparam("account_id"), col(Lot.remaining) > 0),
    into=Lot,
)
tags_on = statement(
    select(MemberTag).where(col(MemberTag.member_id) == bindparam("member_id")), into=MemberTag
)
all_names = statement(select(RealName).order_by(col(RealName.id)), into=RealName)
changes_of = statement(
    select(TierChange)
    .where(col(TierChange.card_id) == bindparam("card_id"))
    .order_by(col(TierChange.id)),
    into=TierChange,
)
add_growth_amount = statement(
    update(Card).where(col(Card.id) == bindparam("card_id")).values(growth_amount=bindparam("sum"))
)
close_card = statement(
    update(Card).where(col(Card.id) == bindparam("card_id")).values(status=CardStatus.REFUNDED)
)
RESTRICTION = {"items": ["tea"]}


@dataclass(frozen=True)
class Twins:
    """One person's two records: the payer's goes, Anna's stays, with a card of the same scheme."""

    goes: Payer
    anna: Member
    stays: Card

    @property
    def database(self) -> Database:
        return self.goes.database

    async def merge(self) -> Merge:
        return await self.database.run(
            merging.join_records,
            survivor_id=self.anna.id,
            loser_id=self.goes.card.member_id,
            now=self.goes.till.now,
        )

    async def undo(self, merged: Merge) -> merges.Undone:
        actor = self.goes.till.shop.owner.actor
        now = self.goes.till.now
        return await self.database.run(merges.undo, actor, merge_id=merged.id, now=now)

    async def held_by_anna(self) -> Held:
        kinds = (AccountKind.CASH, AccountKind.BONUS, AccountKind.POINTS)
        return Held(*[(await account(self.database, self.stays.id, k)).balance for k in kinds])

    async def card(self, which: Card) -> Card:
        return await self.database.read(the_card, which.id)

    async def lots(self, card: Card, kind: AccountKind) -> list[tuple[int, Any, Any]]:
        of = await account(self.database, card.id, kind)
        found = await every(self.database, lots_left, account_id=of.id)
        return sorted((lot.remaining, lot.restriction, lot.expires_at) for lot in found)


async def make_anna(tx: Transaction, goes: Payer) -> tuple[Member, Card]:
    now, group_id = goes.till.now, goes.card.group_id
    anna = await members.create(tx, group_id=group_id, name=None, now=now)
    card = await cards.open_card(tx, member=anna, scheme=goes.scheme, store_id=None, now=now)
    return anna, card


@pytest.fixture
async def twins(database: Database, now: datetime) -> Twins:
    goes = await a_payer(database, now)
    return Twins(goes, *await database.run(make_anna, goes))


async def test_stored_value_moves_with_its_restrictions_and_expiry(twins: Twins) -> None:
    """TOP-9: what may be spent on tea alone stays so, on whichever card."""
    goes = twins.goes
    await goes.put(50_00, restriction=RESTRICTION)
    await goes.put_bonus(5_00, days=30)
    await goes.put_points(7)
    merged = await twins.merge()
    assert await twins.held_by_anna() == Held(50_00, 5_00, 7)
    assert await twins.lots(twins.stays, AccountKind.CASH) == [(50_00, RESTRICTION, None)]
    end = goes.till.now + timedelta(days=30)
    assert await twins.lots(twins.stays, AccountKind.BONUS) == [(5_00, None, end)]
    refused = await goes.charge(1_00)
    assert refused["__typename"] == "SpendingCharged", "the bonus is free"
    undone = await twins.undo(merged)
    assert undone.not_returned == [(AccountKind.BONUS, "CNY", 1_00)]
    assert await goes.holds() == Held(50_00, 4_00, 7)
    assert await twins.lots(goes.card, AccountKind.CASH) == [(50_00, RESTRICTION, None)]
    assert await twins.held_by_anna() == Held(0, 0, 0)
    await goes.require_books()


async def test_what_was_held_comes_to_the_living_card_and_parts_with_the_rest(
    twins: Twins,
) -> None:
    """IDN-5: authorised before the merge, voided after it, and returned by its undoing."""
    goes = twins.goes
    await goes.put(100_00)
    held = await goes.held(40_00)
    merged = await twins.merge()
    assert await twins.held_by_anna() == Held(60_00, 0, 0)
    assert (await goes.void(held))["__typename"] == "SpendingVoided"
    assert await twins.held_by_anna() == Held(100_00, 0, 0)
    await goes.paid(10_00)
    undone = await twins.undo(merged)
    assert undone.not_returned == [(AccountKind.CASH, "CNY", 10_00)]
    assert (await goes.holds(), await twins.held_by_anna()) == (Held(90_00, 0, 0), Held(0, 0, 0))
    await goes.require_books()


async def test_all_that_was_held_comes_back_after_a_merge_that_moved_nothing(twins: Twins) -> None:
    goes = twins.goes
    await goes.put(40_00)
    held = await goes.held(40_00)
    merged = await twins.merge()
    await goes.void(held)
    assert await twins.held_by_anna() == Held(40_00, 0, 0)
    assert (await twins.undo(merged)).not_returned == []
    assert (await goes.holds(), await twins.held_by_anna()) == (Held(40_00, 0, 0), Held(0, 0, 0))
    await goes.require_books()


async def test_a_bill_is_final_after_the_merge_and_gives_the_rest_to_the_living_card(
    twins: Twins,
) -> None:
    goes = twins.goes
    await goes.put(100_00)
    held = await goes.held(40_00)
    await twins.merge()
    captured = await goes.capture(held, 25_00)
    assert captured["spending"]["state"] == SpendingState.CAPTURED
    assert await twins.held_by_anna() == Held(75_00, 0, 0)
    refunded = await goes.refund(held, 25_00)
    assert refunded["__typename"] == "SpendingRefunded"
    assert await twins.held_by_anna() == Held(100_00, 0, 0)
    await goes.require_books()


async def test_merging_and_parting_twice_counts_nothing_twice(twins: Twins) -> None:
    """IDN-5: what an earlier merge of the same two left behind is not missed again."""
    goes = twins.goes
    await goes.put(100_00)
    first = await twins.merge()
    await goes.paid(10_00)
    assert (await twins.undo(first)).not_returned == [(AccountKind.CASH, "CNY", 10_00)]
    second = await twins.merge()
    assert await twins.held_by_anna() == Held(90_00, 0, 0)
    assert (await twins.undo(second)).not_returned == []
    assert (await goes.holds(), await twins.held_by_anna()) == (Held(90_00, 0, 0), Held(0, 0, 0))
    await goes.require_books()


async def make_tiers(tx: Transaction, twins: Twins) -> tuple[Tier, Tier]:
    """Silver by a grant for the one who goes; what counts towards growth on both."""
    scheme, now = twins.goes.scheme, twins.goes.till.now
    silver = await a_tier(tx, scheme=scheme, level=2, name="Silver")
    gold = await a_tier(tx, scheme=scheme, level=3, name="Gold")
    for card, amount in ((twins.goes.card, 9_00), (twins.stays, 4_00)):
        await tx.changed(add_growth_amount, card_id=card.id, sum=amount)
    card = (await cards.cards(tx, [twins.goes.card.id]))[twins.goes.card.id]
    card = await cards.locked(tx, card)
    await tiers.grant(
        tx, card=card, tier_id=silver.id, source=GrantSource.TOP_UP, source_id=new_id(),
        months=None, now=now,
    )  # fmt: skip
    return silver, gold


async def test_the_higher_tier_stays_and_what_counts_for_growth_adds_up(twins: Twins) -> None:
    """IDN-4, TIR-1, TIR-6: a grant goes along, and comes back when the two are parted."""
    silver, _ = await twins.database.run(make_tiers, twins)
    await twins.database.run(
        adjust, twins.goes.card.id, AccountKind.GROWTH, 40, twins.goes.till.now
    )
    before = await twins.card(twins.stays)
    merged = await twins.merge()
    together = await twins.card(twins.stays)
    assert (together.tier_id, together.growth_amount) == (silver.id, 13_00)
    assert (await account(twins.database, together.id, AccountKind.GROWTH)).balance == 40
    (change,) = await every(twins.database, changes_of, card_id=together.id)
    assert (change.cause, change.cause_id) == ("MERGE", merged.id)
    await twins.undo(merged)
    parted, back = await twins.card(twins.stays), await twins.card(twins.goes.card)
    assert (parted.tier_id, parted.growth_amount) == (before.tier_id, 4_00)
    assert (back.tier_id, back.growth_amount, back.status) == (silver.id, 9_00, CardStatus.NORMAL)
    assert (await account(twins.database, back.id, AccountKind.GROWTH)).balance == 40


async def put_tags(tx: Transaction, twins: Twins) -> list[UUID]:
    """Both are regulars, one is a VIP besides."""
    now = twins.goes.till.now
    made = [
        tags.new_tag(group_id=twins.anna.group_id, name=name, created_at=now)
        for name in ("Regular", "VIP")
    ]
    worn = ((twins.anna.id, 0), (twins.goes.card.member_id, 0), (twins.goes.card.member_id, 1))
    await tx.insert(
        *made,
        *(tags.new_member_tag(member_id=i, tag_id=made[n].id, tagged_at=now) for i, n in worn),
    )
    return [tag.id for tag in made]


async def test_tags_of_both_are_the_members(twins: Twins) -> None:
    """SEG-2: each once; parted, each has again what they had."""
    regular, vip = await twins.database.run(put_tags, twins)
    merged = await twins.merge()
    found = await twins.database.read(tags.of_members, [twins.anna.id])
    assert [tag.name for tag in found[twins.anna.id]] == ["Regular", "VIP"]
    till, anna_id = twins.goes.till, type_id("mem", twins.anna.id)
    for tag_id in (regular, vip):
        assert await members_found(till, tagId=type_id("tag", tag_id)) == [anna_id]
    await twins.undo(merged)
    for member_id, expected in (
        (twins.anna.id, {regular}),
        (twins.goes.card.member_id, {regular, vip}),
    ):
        worn = await every(twins.database, tags_on, member_id=member_id)
        assert {each.tag_id for each in worn} == expected


async def record_name(tx: Transaction, twins: Twins, member_id: UUID, number: str) -> RealName:
    return await compliance.record_real_name(
        tx, twins.goes.till.shop.owner.actor, member_id=member_id, name="王小明",
        document_kind=DocumentKind.ID_CARD, document_number=number, now=twins.goes.till.now,
    )  # fmt: skip


async def test_a_real_name_goes_along_where_there_is_none(twins: Twins) -> None:
    """TOP-11: the document that was shown counts for who lives on; of two each keeps theirs."""
    gone = twins.goes.card.member_id
    number = "11010519491231002X"
    await twins.database.run(record_name, twins, gone, number)
    merged = await twins.merge()
    assert [row.member_id for row in await every(twins.database, all_names)] == [twins.anna.id]
    await twins.undo(merged)
    assert [row.member_id for row in await every(twins.database, all_names)] == [gone]
    await twins.database.run(record_name, twins, twins.anna.id, number)
    await twins.merge()
    found = await every(twins.database, all_names)
    assert [row.member_id for row in found] == [gone, twins.anna.id]


async def test_a_name_that_was_taken_over_is_found(twins: Twins) -> None:
    """MEM-1: and parted, it is found where it came from."""
    till, anna_id = twins.goes.till, type_id("mem", twins.anna.id)
    gone = type_id("mem", twins.goes.card.member_id)
    merged = await twins.merge()
    assert await members_found(till, name="王小明") == [anna_id]
    await twins.undo(merged)
    assert await members_found(till, name="王小明") == [gone]


async def test_a_card_that_was_paid_out_goes_along_as_it_is(twins: Twins) -> None:
    """CRD-4: it is nobody's second card, and merging revives it not."""
    paid_out = await twins.database.run(another_card, twins.goes.till)
    await twins.database.run(lambda tx: tx.changed(close_card, card_id=twins.goes.card.id))
    shown = await twins.database.read(
        merges.preview, survivor_id=twins.anna.id, loser_id=paid_out.card.member_id
    )
    numbers = {(card.number, card.other_number) for card in shown.cards}
    assert twins.goes.card.number not in {number for pair in numbers for number in pair}
    merged = await twins.merge()
    gone = await twins.card(twins.goes.card)
    assert (gone.member_id, gone.status) == (twins.anna.id, CardStatus.REFUNDED)
    assert (await twins.card(twins.stays)).has_absorbed is False
    await twins.undo(merged)
    back = await twins.card(twins.goes.card)
    assert (back.member_id, back.status) == (paid_out.card.member_id, CardStatus.REFUNDED)


async def topped_up(tx: Transaction, goes: Payer) -> None:
    """80.00 today, of the 100.00 that the group allows a person in a day."""
    now, card = goes.till.now, goes.card
    await tx.insert(
        light(GroupRules)(group_id=card.group_id, currency="CNY", day_max=100_00, changed_at=now),
        light(TopUpOrder)(
            group_id=card.group_id, card_id=card.id, member_id=card.member_id,
            source=TopUpSource.PLAN, channel=Channel.POS, currency="CNY", amount=80_00, bonus=0,
            points=0, terms={}, state=TopUpState.CREDITED, created_at=now, credited_at=now,
        ),
    )  # fmt: skip


async def test_what_a_merged_record_topped_up_today_counts_for_the_day(twins: Twins) -> None:
    """TOP-11: two records are one person's day."""
    await twins.database.run(topped_up, twins.goes)
    asked: dict[str, Any] = {
        "card": twins.stays, "member": twins.anna, "currency": "CNY", "method": None,
        "now": twins.goes.till.now,
    }  # fmt: skip
    await twins.database.read(compliance.require_room, amount=30_00, **asked)
    await twins.merge()
    with pytest.raises(compliance.DayLimitReached) as refused:
        await twins.database.read(compliance.require_room, amount=30_00, **asked)
    assert refused.value.room.amount == 20_00
