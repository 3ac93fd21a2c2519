"""TOP-2…TOP-4, ORG-3…ORG-6: which plans a member is offered, and whether one can be sold."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, update

from app.core.db import Database, changed_copy, statement
from app.core.errors import BadInput
from app.core.ids import new_id, parse_type_id, type_id
from app.core.money import Money
from app.models.cards import Card
from app.models.members import Member, MemberStatus
from app.models.organisation import Node
from app.models.scopes import Channel
from app.models.top_ups import PlanState, TopUpPlanKind, TopUpState
from app.services import cards, members, schemes
from app.services.purchases import WrongCurrency
from app.services.scopes import NotAvailable, ObstacleReason
from app.services.top_ups import plans
from app.services.top_ups.plans import selling
from app.services.top_ups.rules import AmountOutsideRange, Credit
from tests.factories.cards import Counter, a_scheme, a_tier, counter
from tests.factories.organisation import Places
from tests.factories.races import beside, call
from tests.factories.reading import one
from tests.factories.top_up_plans import (
    ARCHIVE,
    DEACTIVATE,
    an_order,
    custom,
    draft,
    fixed,
    plan_of,
    plans_stay,
    ranging,
)

pytestmark = pytest.mark.anyio

merge_into = statement(
    update(Member)
    .where(col(Member.id) == bindparam("member_id"))
    .values(merged_into_id=bindparam("into_id"), status=MemberStatus.MERGED)
)


@dataclass(frozen=True)
class Buyer:
    """A member at the tea store's till unless they say otherwise."""

    till: Counter
    card: Card
    member: Member

    async def asked(self, **more: Any) -> dict[str, Any]:
        scheme = await self.till.database.read(
            schemes.scheme, group_id=self.card.group_id, scheme_id=self.card.scheme_id
        )
        there: dict[str, Any] = {
            "card": self.card,
            "scheme": scheme,
            "member": self.member,
            "store": self.till.shop.places.tea_store,
            "channel": Channel.POS,
            "now": self.till.now,
        }
        return there | more

    async def offered(self, **more: Any) -> list[tuple[str, Any]]:
        """The names of the plans on offer, each with what stands in the way for now."""
        found = await self.till.database.read(plans.offered, **await self.asked(**more))
        return [(each.plan.name, each.obstacle and each.obstacle.reason) for each in found]

    async def buy(self, plan: Any, amount: int, step: int = 0, **more: Any) -> plans.Sale:
        """What buying would bring, or the refusal."""
        return await self.till.database.run(
            plans.require_offered,
            plan_id=plan_id(plan),
            step=step,
            amount=amount,
            **await self.asked(**more),
        )

    async def topped_up(self, **more: Any) -> None:
        await self.till.database.run(an_order, card=self.card, now=self.till.now, **more)


def plan_id(plan: Any) -> UUID:
    return parse_type_id("plan", plan["id"])


def node_id(node: Node) -> str:
    return type_id("node", node.id)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


@pytest.fixture
def place(till: Counter) -> Places:
    return till.shop.places


@pytest.fixture
def buyer(till: Counter) -> Buyer:
    return Buyer(till, till.shop.card, till.shop.member)


async def test_top_3_active_visible_plans_of_the_cards_currency_are_offered(
    till: Counter, buyer: Buyer
) -> None:
    await plan_of(till, name="Package")
    await plan_of(till, "CUSTOM", name="Custom")
    await plan_of(till, "SMART", name="Smart")
    await plan_of(till, name="Hidden", isVisible=False)
    await plan_of(till, name="Dollars", currency="USD")
    await plan_of(till, name="Sold out", stock=0)
    await draft(till, name="Draft")
    paused = await plan_of(till, name="Paused")
    await till.as_staff(DEACTIVATE, input={"id": paused["id"]})
    elsewhere = await counter(till.database, till.now)
    await plan_of(elsewhere, name="Elsewhere")
    assert await buyer.offered() == [("Package", None), ("Custom", None)]
    assert await buyer.offered(kinds=[TopUpPlanKind.SMART]) == [("Smart", None)]
    found = await till.database.read(plans.offered, **await buyer.asked())
    assert [(len(each.steps), each.is_first) for each in found] == [(1, True), (1, True)]


async def test_org_3_to_6_plans_are_offered_where_when_and_to_whom_their_scope_says(
    till: Counter, place: Places, buyer: Buyer
) -> None:
    silver = await till.database.run(a_tier, scheme=till.shop.scheme, level=2, name="Silver")
    friday = {
        "timeZone": "Asia/Shanghai",
        "recurrence": {"kind": "WEEKLY", "days": [5]},
        "window": {"start": "10:00", "end": "22:00"},
    }
    over = {"timeZone": "Asia/Shanghai", "endsAt": till.now.isoformat()}
    await plan_of(till, name="Tea only", scope={"includedNodeIds": [node_id(place.tea)]})
    await plan_of(till, name="Not tea", scope={"excludedNodeIds": [node_id(place.tea)]})
    await plan_of(till, name="Online", scope={"channels": ["ONLINE"]})
    await plan_of(till, name="Silver", scope={"tierIds": [type_id("tier", silver.id)]})
    await plan_of(till, name="Friday", scope={"schedule": friday})
    await plan_of(till, name="Over", scope={"schedule": over})
    assert await buyer.offered() == [("Tea only", None), ("Friday", ObstacleReason.NOT_OPEN)]
    assert await buyer.offered(store=place.lone_store) == [
        ("Not tea", None),
        ("Friday", ObstacleReason.NOT_OPEN),
    ]
    assert await buyer.offered(store=None, channel=Channel.ONLINE) == [
        ("Online", None),
        ("Friday", ObstacleReason.NOT_OPEN),
    ]
    found = await till.database.read(plans.offered, **await buyer.asked())
    assert found[1].obstacle is not None
    opens = datetime(2026, 9, 4, 2, tzinfo=UTC)
    assert found[1].obstacle.available_from == opens
    assert await buyer.offered(now=opens) == [("Tea only", None), ("Friday", None)]


async def test_plans_of_other_stores_leave_room_for_those_of_this_one(
    till: Counter, place: Places, buyer: Buyer
) -> None:
    """A group has more plans than one list holds, each store its own."""
    made = plan_id(await plan_of(till, perspectiveId=node_id(place.lone_store)))
    row = (await till.database.read(plans.by_ids, [made]))[made]
    copies = [changed_copy(row, id=new_id()) for _ in range(selling.OFFERS_MAX)]
    await till.database.run(lambda tx: tx.insert(*copies))
    await plan_of(till, name="Tea's", perspectiveId=node_id(place.tea_store))
    await plan_of(till, name="Everybody's")
    assert await buyer.offered() == [("Tea's", None), ("Everybody's", None)]


async def test_top_3_a_plan_that_brings_a_tier_is_for_cards_of_that_tiers_scheme(
    till: Counter, place: Places, buyer: Buyer
) -> None:
    other = await till.database.run(a_scheme, perspective=place.group, now=till.now)
    (tier,) = (await till.database.read(schemes.tiers_by_scheme, [other.id]))[other.id]
    plan = await plan_of(till, grantedTierId=type_id("tier", tier.id))
    card = await till.database.run(
        cards.open_card, member=buyer.member, scheme=other, store_id=None, now=till.now
    )
    assert await buyer.offered() == []
    with pytest.raises(NotAvailable) as refused:
        await buyer.buy(plan, 100_00)
    assert refused.value.obstacle.reason is ObstacleReason.NOT_FOR_THIS_MEMBER
    holder = Buyer(till, card, buyer.member)
    assert await holder.offered() == [("Pay 100, get 110", None)]
    assert (await holder.buy(plan, 100_00)).credit.amount == 100_00


async def test_top_2_the_first_top_up_brings_shares_of_its_amount_on_top(
    till: Counter, buyer: Buyer
) -> None:
    """100.00 brings 10.00 and 50 points; the first time 5 % and 10 points more."""
    extras = {"bonusBasisPoints": 500, "pointsBasisPoints": 1_000}
    steps = [fixed(100_00, 10_00, 50), ranging(200_00, 300_00, 1_250, 333)]
    plan = await plan_of(till, steps=steps, firstTopUpBonus=extras)
    first = await buyer.buy(plan, 100_00)
    assert (first.credit, first.is_first) == (Credit(amount=100_00, bonus=15_00, points=60), True)
    first = await buyer.buy(plan, 250_01, step=1)
    # 12.5 % of 250.01 is 31.25, 5 % of it 12.50; 3.33 % of it 8 points, 10 % of it 25.
    assert first.credit == Credit(amount=250_01, bonus=43_75, points=33)
    # What was cancelled never was a top-up; one that waits may be the first, and the extras of one
    # that was refunded were had.
    await buyer.topped_up(state=TopUpState.CANCELLED)
    assert (await buyer.buy(plan, 100_00)).is_first
    await buyer.topped_up(state=TopUpState.REFUNDED)
    later = await buyer.buy(plan, 100_00)
    assert (later.credit, later.is_first) == (Credit(amount=100_00, bonus=10_00, points=50), False)


async def test_top_4_a_custom_plan_interpolates(till: Counter, buyer: Buyer) -> None:
    rule = custom((50_00, 500_00), (0, 50_00), (5, 500))
    plan = await plan_of(till, "CUSTOM", steps=[rule])
    # (100 − 50) ÷ 450 of the way: a bonus of 5.555…, and 5 + 55 points.
    sale = await buyer.buy(plan, 100_00)
    assert sale.credit == Credit(amount=100_00, bonus=5_56, points=60)


async def test_top_3_a_plan_for_the_first_top_up_only(till: Counter, buyer: Buyer) -> None:
    plan = await plan_of(till, name="Welcome", firstOnly=True)
    assert await buyer.offered() == [("Welcome", None)]
    await buyer.buy(plan, 100_00)
    await buyer.topped_up()
    assert await buyer.offered() == []
    async with plans_stay(till.database):
        with pytest.raises(plans.FirstTopUpOnly):
            await buyer.buy(plan, 100_00)


async def test_top_3_a_member_buys_a_plan_as_often_as_it_says(till: Counter, buyer: Buyer) -> None:
    plan = await plan_of(till, name="Twice", limitPerMember=2)
    other = await plan_of(till, name="Other")
    for state in (TopUpState.CANCELLED, TopUpState.REFUNDED, TopUpState.CREDITED):
        await buyer.topped_up(plan_id=plan["id"], state=state)
    await buyer.topped_up(plan_id=other["id"])
    await buyer.buy(plan, 100_00)
    await buyer.topped_up(plan_id=plan["id"], state=TopUpState.PENDING)
    assert await buyer.offered() == [("Other", None)]
    async with plans_stay(till.database):
        with pytest.raises(plans.LimitReached) as refused:
            await buyer.buy(plan, 100_00)
    assert (refused.value.limit, str(refused.value)) == (
        2,
        "This top-up was bought as often as one member may.",
    )
    somebody = await till.database.run(
        members.create, group_id=buyer.member.group_id, name="李雷", now=till.now
    )
    assert (await buyer.buy(plan, 100_00, member=somebody)).plan.id == plan_id(plan)


async def test_top_3_what_a_merged_record_bought_counts_for_who_lives_on(
    till: Counter, buyer: Buyer
) -> None:
    plan = await plan_of(till, limitPerMember=1)
    survivor = await till.database.run(
        members.create, group_id=buyer.member.group_id, name="王小明", now=till.now
    )
    await buyer.topped_up(plan_id=plan["id"])
    assert (await buyer.buy(plan, 100_00, member=survivor)).is_first
    merged = {"member_id": buyer.member.id, "into_id": survivor.id}
    await till.database.run(lambda tx: tx.changed(merge_into, **merged))
    with pytest.raises(plans.LimitReached):
        await buyer.buy(plan, 100_00, member=survivor)


async def test_what_cannot_be_sold_is_refused_by_its_name(
    till: Counter, place: Places, buyer: Buyer
) -> None:
    steps = [fixed(100_00, 10_00), ranging(200_00, 300_00)]
    plan = await plan_of(till, steps=steps)
    online = await plan_of(till, scope={"channels": ["ONLINE"]})
    sold_out = await plan_of(till, stock=0)
    hidden = await plan_of(till, isVisible=False)
    dollars = await plan_of(till, currency="USD")
    smart = await plan_of(till, "SMART")
    drafted = await draft(till)
    archived = await till.as_staff(ARCHIVE, input={"id": (await draft(till))["id"]})
    elsewhere = await plan_of(await counter(till.database, till.now))
    assert (await buyer.buy(hidden, 100_00)).plan.name == "Pay 100, get 110"
    assert (await buyer.buy(online, 100_00, channel=Channel.ONLINE, store=None)).is_first
    async with plans_stay(till.database):
        for unknown in (smart, elsewhere, {"id": type_id("plan", new_id())}):
            with pytest.raises(plans.TopUpPlanNotFound):
                await buyer.buy(unknown, 100_00)
        for idle in (drafted, archived):
            with pytest.raises(plans.PlanNotOnSale) as not_on_sale:
                await buyer.buy(idle, 100_00)
            assert not_on_sale.value.state is PlanState(idle["state"])
        with pytest.raises(WrongCurrency) as wrong:
            await buyer.buy(dollars, 100_00)
        assert wrong.value.expected == "CNY"
        with pytest.raises(NotAvailable) as elsewhere_only:
            await buyer.buy(online, 100_00)
        assert elsewhere_only.value.obstacle.reason is ObstacleReason.WRONG_CHANNEL
        with pytest.raises(plans.SoldOut):
            await buyer.buy(sold_out, 100_00)
        for step in (-1, 2, 1_000):
            with pytest.raises(BadInput):
                await buyer.buy(plan, 100_00, step=step)
        for step, amount, least, most in (
            (0, 99_99, 100_00, 100_00),
            (0, 200_00, 100_00, 100_00),
            (1, 199_99, 200_00, 300_00),
            (1, 300_01, 200_00, 300_00),
            (1, 0, 200_00, 300_00),
            (1, -200_00, 200_00, 300_00),
        ):
            with pytest.raises(AmountOutsideRange) as outside:
                await buyer.buy(plan, amount, step=step)
            assert outside.value.amount_from == Money(least, "CNY")
            assert outside.value.amount_to == Money(most, "CNY")


async def test_top_3_stock_is_taken_unit_by_unit_and_returned(till: Counter, buyer: Buyer) -> None:
    plan = await plan_of(till, stock=2)
    endless = await plan_of(till)
    run = till.database.run

    async def left(of: Any) -> int | None:
        return (await till.database.read(plans.by_ids, [plan_id(of)]))[plan_id(of)].stock_left

    assert await run(plans.take_stock, plan_id(plan)) is True
    assert await run(plans.take_stock, plan_id(plan)) is True
    assert await left(plan) == 0
    with pytest.raises(plans.SoldOut):
        await run(plans.take_stock, plan_id(plan))
    assert await buyer.offered() == [("Pay 100, get 110", None)]  # the endless one
    await run(plans.return_stock, plan_id(plan))
    assert await left(plan) == 1
    assert await run(plans.take_stock, plan_id(endless)) is False
    await run(plans.return_stock, plan_id(endless))
    assert await left(endless) is None


async def test_top_3_of_two_that_want_the_last_unit_at_once_one_gets_it(till: Counter) -> None:
    plan = await plan_of(till, stock=1)
    one_call, other = (call(plans.take_stock, plan_id(plan)) for _ in "ab")
    found = await beside(till.database, one_call, before=selling.take_unit, second=other)
    assert sorted(map(str, found)) == ["This top-up is sold out.", "True"]
    assert await one(till.database, selling.stock_of, plan_id=plan_id(plan)) == 0


async def test_top_3_of_two_sales_at_once_to_one_member_the_limit_counts_both(
    till: Counter, buyer: Buyer
) -> None:
    """With two cards no card's lock orders them: the plan's does."""
    plan = await plan_of(till, limitPerMember=1)
    asked = await buyer.asked()

    async def sell(tx: Any) -> plans.Sale:
        sale = await plans.require_offered(
            tx, plan_id=plan_id(plan), step=0, amount=100_00, **asked
        )
        await an_order(tx, card=buyer.card, plan_id=plan["id"], now=till.now)
        return sale

    sold, refused = await beside(till.database, sell, before=selling.orders_by_plan, second=sell)
    assert isinstance(sold, plans.Sale)
    assert isinstance(refused, plans.LimitReached)
