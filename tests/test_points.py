"""PTS-1 and PTS-3: what purchases earn, and what their refunds take back."""

from datetime import datetime

import pytest

from app.core.db import Database, Transaction
from app.core.ids import new_id, type_id
from app.models.cards import Card
from app.models.ledger import PostingKind, SystemAccount
from app.models.sessions import PrincipalKind
from app.services import cards, ledger, members
from app.services import points as points_service
from app.services.merges import merging
from tests.factories.cards import Counter, a_scheme, counter
from tests.factories.ledger import account, nothing_moves
from tests.factories.member_cards import a_card
from tests.factories.purchases import purchase_of, record, refund

pytestmark = pytest.mark.anyio

BALANCES = """query ($id: ID!) { card(id: $id) {
  balances { points pointsDebt growth cash { amount currency } bonus { amount currency } } } }"""
LINES = """query ($id: ID!, $first: Int!, $after: String) { card(id: $id) {
  ledger(first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor }
    edges { node { kind cause amount unit balanceAfter store { name } } } } } }"""


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def points(till: Counter) -> tuple[int, int]:
    """The balance and the debt, having checked the books."""
    found = await account(till.database, till.shop.card.id)
    assert await till.database.scan(ledger.check) == []
    return found.balance, found.debt


async def spend_points(tx: Transaction, till: Counter, amount: int) -> None:
    """As the points mall will."""
    card = till.shop.card
    spent = await points_service.account(tx, card)
    header = ledger.Header(
        kind=PostingKind.SPEND,
        cause_kind="test",
        cause_id=new_id(),
        group_id=card.group_id,
        scheme_id=card.scheme_id,
        actor_kind=PrincipalKind.SYSTEM,
        occurred_at=till.now,
        now=till.now,
    )
    sheet = await ledger.Sheet.open(tx, header, [spent.id])
    await sheet.take(spent.id, amount)
    sheet.against(SystemAccount.POINTS_SPENT, amount, spent.unit)
    await sheet.close()


async def rich_card(tx: Transaction, till: Counter) -> Card:
    """A card of a scheme with the most generous rule there can be."""
    scheme = await a_scheme(
        tx, perspective=till.shop.places.group, now=till.now, points_unit=1, points_rate=10_000
    )
    return await cards.open_card(
        tx, member=till.shop.member, scheme=scheme, store_id=None, now=till.now
    )


@pytest.mark.parametrize(
    ("total", "earned"),
    [(0, 0), (1, 0), (199, 0), (200, 1), (300, 1), (399, 1), (400, 2), (1_000_000, 5_000)],
)
async def test_a_purchase_earns_for_whole_units_only(
    till: Counter, total: int, earned: int
) -> None:
    """PTS-1: spend 2 earn 1: 3 gives 1, below the minimum gives 0."""
    recorded = await record(till, total)
    assert recorded["pointsEarned"] == earned
    assert await points(till) == (earned, 0)


async def test_each_purchase_is_counted_by_itself(till: Counter) -> None:
    """PTS-1: per transaction; two of 3.00 give 1 + 1, not floor(6 ÷ 2)."""
    await record(till, 300)
    await record(till, 300)
    assert await points(till) == (2, 0)


async def test_only_net_receipts_earn(till: Counter) -> None:
    """PTS-1: a voucher pays, yet what it pays earns nothing."""
    recorded = await record(till, 1_000, payments={"cash": 300, "voucher": 700})
    assert recorded["purchase"]["net"] == {"amount": 300, "currency": "CNY"}
    assert await points(till) == (1, 0)
    recorded = await record(till, 1_000, payments={"voucher": 1_000})
    assert recorded["pointsEarned"] == 0


@pytest.mark.parametrize(
    ("payments", "tax", "net"),
    [
        ({"cash": 1_060}, 60, 1_000),
        # 60 × 530 ÷ 1060 = 30: half of the tax lies in what cash paid.
        ({"cash": 530, "voucher": 530}, 60, 500),
        # 7 × 1 ÷ 3 of 100-unit parts: 7 × 100 ÷ 300 = 2.33, rounded half up to 2.
        ({"cash": 100, "voucher": 200}, 7, 98),
        # 5 × 100 ÷ 200 = 2.5, rounded half up to 3.
        ({"cash": 100, "voucher": 100}, 5, 97),
        ({"cash": 100}, 100, 0),
    ],
)
async def test_tax_does_not_earn(
    till: Counter, payments: dict[str, int], tax: int, net: int
) -> None:
    """PTS-1: without tax, which is shared in proportion to the payments."""
    total = sum(payments.values())
    recorded = await record(till, total, payments=payments, taxAmount=tax)
    assert recorded["purchase"]["net"]["amount"] == net
    assert await points(till) == (net // 200, 0)


async def test_refunds_in_parts_end_as_one_refund_does(till: Counter) -> None:
    """PTS-1: 10.00 earned 5; refunding 3.01 leaves floor(6.99 ÷ 2) = 3 either way."""
    at_once = await purchase_of(till, 1_000)
    assert (await refund(till, at_once, 301))["refund"]["pointsTaken"] == 2
    in_parts = await purchase_of(till, 1_000)
    taken = [
        (await refund(till, in_parts, part))["refund"]["pointsTaken"] for part in (1, 100, 99, 101)
    ]
    assert taken == [1, 0, 0, 1]
    assert await points(till) == (6, 0)
    for purchase_id in (at_once, in_parts):
        refunded = await refund(till, purchase_id, 699)
        assert refunded["purchase"]["pointsTakenBack"] == 5
    assert await points(till) == (0, 0)


async def test_a_refund_takes_what_the_refunded_part_earned(till: Counter) -> None:
    """PTS-1: half of a bill half paid by voucher takes half of what the other half earned."""
    purchase_id = await purchase_of(till, 2_000, payments={"cash": 1_000, "voucher": 1_000})
    assert await points(till) == (5, 0)
    assert (await refund(till, purchase_id, 1_000))["refund"]["pointsTaken"] == 3
    assert await points(till) == (2, 0)


async def test_a_change_of_the_rule_does_not_change_what_was_earned(till: Counter) -> None:
    """PTS-1: a refund goes by the rule of the purchase's day."""
    purchase_id = await purchase_of(till, 1_000)
    changed = await till.as_staff(
        """mutation ($id: ID!) { schemeUpdate(input: {id: $id, name: "New", pointsUnit: 100,
          pointsRate: 10, deductionRule: CASH_FIRST, consumptionVerification: NONE,
          isOpenToJoin: true}) { __typename ... on Scheme { pointsRate } } }""",
        id=type_id("sch", till.shop.scheme.id),
    )
    assert changed == {"__typename": "Scheme", "pointsRate": 10}
    assert (await refund(till, purchase_id, 1_000))["refund"]["pointsTaken"] == 5
    assert (await record(till, 1_000))["pointsEarned"] == 100


async def test_what_was_spent_already_becomes_a_debt_that_the_next_purchase_fills(
    till: Counter,
) -> None:
    """PTS-1: a clawback larger than the balance is never dropped, and never negative in silence."""
    purchase_id = await purchase_of(till, 2_000)
    await till.database.run(spend_points, till, 7)
    assert await points(till) == (3, 0)
    await refund(till, purchase_id, 2_000)
    assert await points(till) == (0, 7)
    shown = await till.as_member(BALANCES, id=till.card_id)
    assert shown["balances"]["points"] == 0
    assert shown["balances"]["pointsDebt"] == 7
    await record(till, 1_000)
    assert await points(till) == (0, 2)
    await record(till, 1_000)
    assert await points(till) == (3, 0)


async def test_the_card_shows_every_movement(till: Counter) -> None:
    """FIN-1: newest first, in pages, counted when asked."""
    purchase_id = await purchase_of(till, 1_000)
    await record(till, 400)
    await refund(till, purchase_id, 1_000)
    page = (await till.as_member(LINES, id=till.card_id, first=2))["ledger"]
    assert page["totalCount"] == 3
    assert page["pageInfo"]["hasNextPage"] is True
    common = {"kind": "POINTS", "unit": "POINTS", "store": {"name": till.shop.store.name}}
    assert [edge["node"] for edge in page["edges"]] == [
        {"cause": "EARN_REVERSAL", "amount": -5, "balanceAfter": 2, **common},
        {"cause": "EARN", "amount": 2, "balanceAfter": 7, **common},
    ]
    after = page["pageInfo"]["endCursor"]
    last = (await till.as_member(LINES, id=till.card_id, first=2, after=after))["ledger"]
    assert last["pageInfo"]["hasNextPage"] is False
    assert [edge["node"]["balanceAfter"] for edge in last["edges"]] == [5]
    for first in (0, 101, -1):
        assert await till.as_member(LINES, id=till.card_id, first=first) == "BAD_USER_INPUT"
    assert await till.as_member(LINES, id=till.card_id, first=1, after="x") == "BAD_USER_INPUT"


async def test_the_largest_bill_at_the_highest_rate_stays_whole(till: Counter) -> None:
    """Integers only: a card holds thousands of such bills' 10¹⁵ points."""
    card = await till.database.run(rich_card, till)
    card_id = type_id("card", card.id)
    largest = 100_000_000_000
    for _ in range(2):
        assert (await record(till, largest, cardId=card_id))["pointsEarned"] == 10**15
    assert (await account(till.database, card.id)).balance == 2 * 10**15
    assert await till.database.scan(ledger.check) == []
    assert await record(till, largest + 1, cardId=card_id) == "BAD_USER_INPUT"


async def test_a_balance_that_could_not_be_counted_is_refused(till: Counter) -> None:
    """FIN-1: up to 2⁶², and not a point more; the card can still be refunded."""
    purchase_id = await purchase_of(till, 1_000)
    await till.database.run(
        a_card, member_id=till.shop.member.id, scheme=till.shop.scheme, points=2**62 - 5,
        now=till.now,
    )  # fmt: skip
    assert await points(till) == (2**62, 0)
    async with nothing_moves(till.database):
        assert await record(till, 200) == {"__typename": "BalanceTooLarge"}
    assert (await record(till, 199))["pointsEarned"] == 0
    assert (await refund(till, purchase_id, 1_000))["refund"]["pointsTaken"] == 5
    assert (await record(till, 200))["pointsEarned"] == 1


async def test_the_card_shows_the_movements_of_cards_it_absorbed(till: Counter) -> None:
    """IDN-4: what was earned before the merge is still there to read, by both sides."""
    other = await till.database.run(
        members.create, group_id=till.shop.places.group.id, name=None, now=till.now
    )
    absorbed = await till.database.run(
        cards.open_card, member=other, scheme=till.shop.scheme, store_id=None, now=till.now
    )
    await record(till, 400, cardId=type_id("card", absorbed.id))
    await record(till, 1_000)
    await till.database.run(
        merging.join_records, survivor_id=till.shop.member.id, loser_id=other.id, now=till.now
    )
    await record(till, 600)
    earned = [("EARN", 3), ("EARN", 5), ("EARN", 2)]
    merged = {("MERGE", 2), ("MERGE", -2)}
    for ask in (till.as_member, till.as_staff):
        first = (await ask(LINES, id=till.card_id, first=3))["ledger"]
        assert first["totalCount"] == 5
        after = first["pageInfo"]["endCursor"]
        last = (await ask(LINES, id=till.card_id, first=3, after=after))["ledger"]
        nodes = [edge["node"] for page in (first, last) for edge in page["edges"]]
        found = [(node["cause"], node["amount"]) for node in nodes]
        assert [found[0], *found[3:]] == earned
        assert set(found[1:3]) == merged
