"""MEM-7: all that happened with a member, newest first, as far as somebody may see it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app.core.db import Database, Transaction, light
from app.core.ids import new_id, parse_type_id, type_id
from app.models.behaviour import MemberEvent, Notice
from app.models.cards import CodeScan
from app.models.ledger import AccountKind, PostingKind, SystemAccount
from app.models.sessions import PrincipalKind
from app.models.tiers import TierCause, TierChange
from app.services import ledger, merges
from app.services.merges import merging
from tests.factories.cards import Counter, a_tier, counter
from tests.factories.member_records import a_member
from tests.factories.organisation import places
from tests.factories.purchases import purchase_of, refund
from tests.factories.staff import Employee, employee

pytestmark = pytest.mark.anyio

ENTRIES = """timeline(first: $first, after: $after, kinds: $kinds) {
  edges { cursor node { id kind at title amount unit cardId store { name } } }
  pageInfo { hasNextPage endCursor } }"""
MEMBER = f"""query ($id: ID!, $first: Int! = 50, $after: String, $kinds: [TimelineKind!]) {{
  member(id: $id) {{ {ENTRIES} }} }}"""
ME = f"""query ($first: Int! = 50, $after: String, $kinds: [TimelineKind!]) {{
  me {{ {ENTRIES} }} }}"""


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def seen(till: Counter, /, who: Employee | None = None, **more: Any) -> Any:
    """What staff see of the shop's member: kind, title and amount of each; or the error's code."""
    member_id = more.pop("member_id", type_id("mem", till.shop.member.id))
    found = await till.as_staff(MEMBER, who=who, id=member_id, **more)
    return found if isinstance(found, str) else shown(found["timeline"])


def shown(page: Any) -> list[tuple[str, str, int | None]]:
    nodes = [edge["node"] for edge in page["edges"]]
    return [(node["kind"], node["title"], node["amount"]) for node in nodes]


async def move(
    tx: Transaction, till: Counter, kind: PostingKind, account: AccountKind, amount: int
) -> None:
    """A movement at no store."""
    accounts = await ledger.accounts_of_cards(tx, [till.shop.card.id])
    moved = next(each for each in accounts if each.kind is account)
    header = ledger.Header.of(
        till.shop.card, kind=kind, cause_kind="test", cause_id=new_id(),
        actor_kind=PrincipalKind.SYSTEM, now=till.now,
    )  # fmt: skip
    sheet = await ledger.Sheet.open(tx, header, [moved.id])
    if amount > 0:
        sheet.put(moved.id, amount)
    else:
        await sheet.take(moved.id, -amount)
    sheet.against(SystemAccount.ADJUSTMENTS, -amount, moved.unit)
    await sheet.close()


async def a_life(tx: Transaction, till: Counter) -> None:
    """One of everything that other parts of the product write down."""
    shop, at = till.shop, till.now
    gold = await a_tier(tx, scheme=shop.scheme, level=2, name="Gold")
    rows: dict[str, Any] = {"group_id": shop.places.group.id, "member_id": shop.member.id}
    await tx.insert(
        light(CodeScan)(
            card_id=shop.card.id, step=1, terminal_id=shop.terminal.id,
            scanned_at=at + timedelta(hours=1),
        ),
        light(MemberEvent)(
            **rows, event_key="check_in", source="app", external_id="1",
            business_date=date(2026, 9, 1), occurred_at=at + timedelta(hours=2),
        ),
        light(TierChange)(
            card_id=shop.card.id, from_tier_id=shop.card.tier_id, to_tier_id=gold.id,
            cause=TierCause.GROWTH, changed_at=at + timedelta(hours=3),
        ),
        light(Notice)(
            **rows, kind="points_expiring", unique_key="1", details={},
            created_at=at + timedelta(hours=4),
        ),
    )  # fmt: skip
    movements = [
        (PostingKind.TOP_UP, AccountKind.CASH, 100_00),
        (PostingKind.TOP_UP, AccountKind.BONUS, 10_00),
        (PostingKind.SPEND, AccountKind.CASH, -30_00),
        (PostingKind.ADJUST, AccountKind.POINTS, 5),
        (PostingKind.EARN, AccountKind.GROWTH, 40),
        (PostingKind.EXPIRE, AccountKind.POINTS, -5),
    ]
    for turn, movement in enumerate(movements, 5):
        await move(tx, till.later(hours=turn), *movement)


HAPPENED = [
    ("EXPIRY", "EXPIRE", -5),
    ("GROWTH", "EARN", 40),
    ("ADJUSTMENT", "ADJUST", 5),
    ("SPENDING", "SPEND", -30_00),
    ("TOP_UP", "TOP_UP", 10_00),
    ("TOP_UP", "TOP_UP", 100_00),
    ("NOTICE", "points_expiring", None),
    ("TIER_CHANGE", "Green → Gold", None),
    ("EVENT", "check_in", None),
]


async def test_everything_is_there_newest_first(till: Counter) -> None:
    await purchase_of(till, 10_00, orderNumber="A-1")
    await till.database.run(a_life, till)
    later = till.later(hours=11)  # while the staff's session lasts
    bill = await purchase_of(later, 7_00, orderNumber="A-2")
    await refund(later.later(minutes=30), bill, 4_00)
    found = (await later.as_staff(MEMBER, id=type_id("mem", till.shop.member.id)))["timeline"]
    kinds = shown(found)  # what belongs to one bill or refund bears one time
    assert set(kinds[:2]) == {("REFUND", "A-2", -4_00), ("POINTS", "EARN_REVERSAL", -2)}
    assert set(kinds[2:4]) == {("PURCHASE", "A-2", 7_00), ("POINTS", "EARN", 3)}
    assert kinds[4:-3] == HAPPENED
    assert kinds[-3] == ("VISIT", till.shop.terminal.name, None)
    assert set(kinds[-2:]) == {("POINTS", "EARN", 5), ("PURCHASE", "A-1", 10_00)}
    at = [edge["node"]["at"] for edge in found["edges"]]
    assert at == sorted(at, reverse=True)
    growth = found["edges"][5]["node"]
    assert (growth["unit"], growth["cardId"], growth["store"]) == ("GROWTH", till.card_id, None)
    first = next(edge["node"] for edge in found["edges"] if edge["node"]["title"] == "A-1")
    assert (first["unit"], first["store"]) == ("CNY", {"name": till.shop.store.name})
    assert first["id"].startswith("pur_")


async def test_the_member_sees_all_of_it(till: Counter) -> None:
    await till.database.run(a_life, till)
    found = shown((await till.as_member(ME))["timeline"])
    assert found[:-1] == HAPPENED
    assert len(found) == len(HAPPENED) + 1


async def test_only_the_kinds_that_were_asked_for_are_shown(till: Counter) -> None:
    await till.database.run(a_life, till)
    assert await seen(till, kinds=["TOP_UP", "EVENT"]) == [HAPPENED[4], HAPPENED[5], HAPPENED[8]]
    for kind in {kind for kind, _, _ in HAPPENED} | {"VISIT"}:
        found = await seen(till, kinds=[kind])
        assert {each[0] for each in found} == {kind}
    assert await seen(till, kinds=["PURCHASE", "MERGE"]) == []
    assert await seen(till, kinds=["X"]) == "BAD_USER_INPUT"


async def test_pages_stay_correct_while_rows_arrive(till: Counter) -> None:
    """Three movements of the same moment are told apart by their ids."""
    for amount in (1, 2, 3):
        await till.database.run(move, till, PostingKind.ADJUST, AccountKind.POINTS, amount)
    await till.database.run(a_life, till)
    everything = await seen(till)
    pages: list[Any] = []
    after = None
    for turn in range(len(everything)):
        page = await till.as_member(ME, first=1, after=after)
        pages += shown(page["timeline"])
        after = page["timeline"]["pageInfo"]["endCursor"]
        at = till.later(days=turn + 1)
        await till.database.run(move, at, PostingKind.ADJUST, AccountKind.POINTS, 100 + turn)
        has_more = page["timeline"]["pageInfo"]["hasNextPage"]
        assert has_more == (turn < len(everything) - 1)
    assert pages == everything
    for bad in ({"first": 0}, {"first": 101}, {"after": "?"}, {"after": "AAAA"}, {"after": "é"}):
        assert await seen(till, **bad) == "BAD_USER_INPUT"
        assert await till.as_member(ME, **bad) == "BAD_USER_INPUT"


async def hired(till: Counter, node: Any, role: str) -> Employee:
    return await till.database.run(employee, node=node, role=role, now=till.now)


async def test_staff_see_what_happened_where_they_work(till: Counter) -> None:
    """ORG-1: at their stores; at none, on cards of schemes made at or below their node."""
    at = till.shop.places
    await purchase_of(till, 10_00, orderNumber="coffee")
    await purchase_of(till, 12_00, orderNumber="tea", terminalId=till.other_terminal_id)
    await till.database.run(a_life, till)
    in_tea, in_coffee = [await hired(till, n, "support") for n in (at.tea, at.coffee_store)]
    storeless = [each for each in HAPPENED if each[0] in {"NOTICE", "EVENT"}]
    tea = await seen(till, who=in_tea)
    assert set(tea) == {*storeless, ("PURCHASE", "tea", 12_00), ("POINTS", "EARN", 6)}
    coffee = set(await seen(till, who=in_coffee))
    visit = ("VISIT", till.shop.terminal.name, None)
    assert coffee == {*storeless, ("PURCHASE", "coffee", 10_00), ("POINTS", "EARN", 5), visit}
    assert len(await seen(till)) == len(HAPPENED) + 5


async def test_a_timeline_needs_its_permissions_and_stays_in_the_group(till: Counter) -> None:
    foreign = await till.database.run(places, now=till.now)
    stranger = await hired(till, foreign.group, "owner")
    assert await till.as_staff(MEMBER, who=stranger, id=type_id("mem", till.shop.member.id)) is None
    assert await seen(till, who=till.shop.cashier) == "FORBIDDEN"


async def other_record(till: Counter) -> UUID:
    made = await a_member(till, name="Anna", phone="13800000031")
    card_id = made["cards"][0]["id"]
    await purchase_of(till.later(minutes=-30), 8_00, orderNumber="before", cardId=card_id)
    return parse_type_id("mem", made["id"])


async def test_what_was_merged_into_the_member_is_part_of_it(till: Counter) -> None:
    """IDN-4: cards and events stay where they were written and are read through who lives on."""
    other_id = await other_record(till)

    async def events(tx: Transaction) -> None:
        for member_id in (till.shop.member.id, other_id):
            await tx.insert(
                light(MemberEvent)(
                    group_id=till.shop.places.group.id, member_id=member_id, event_key="check_in",
                    source="app", external_id="the same", business_date=date(2026, 9, 1),
                    occurred_at=datetime(2026, 8, 1, tzinfo=UTC),
                )
            )  # fmt: skip

    await till.database.run(events)
    later = till.later(hours=1)
    merged = await till.database.run(
        merging.join_records, survivor_id=till.shop.member.id, loser_id=other_id, now=later.now
    )
    found = await seen(later)
    assert found[0] == ("MERGE", "MERGED", None)
    assert set(found[1:3]) == {("PURCHASE", "before", 8_00), ("POINTS", "EARN", 4)}
    assert found[3:] == [("EVENT", "check_in", None)] * 2
    assert found == await seen(later, member_id=type_id("mem", other_id))
    await till.database.run(merges.undo, till.shop.owner.actor, merge_id=merged.id, now=later.now)
    assert await seen(later) == [("MERGE", "UNDONE", None), ("EVENT", "check_in", None)]
