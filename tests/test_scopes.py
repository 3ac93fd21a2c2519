"""ORG-3…ORG-6: where, when, on which channel and for whom something applies."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest

from app.core.db import Database, Transaction
from app.core.ids import new_id, type_id
from app.core.schedules import Monthly, Schedule, Weekly, Window
from app.models.organisation import Node
from app.models.scopes import Channel
from app.services import cards, scopes
from app.services.scopes import NotAvailable, Obstacle, ObstacleReason, ScopeRules
from tests.factories.cards import Counter, a_scheme, a_tier, counter
from tests.factories.organisation import Places, places
from tests.factories.races import beside, call
from tests.factories.scopes import a_scope, a_store_group, a_tag, obstacle_to
from tests.factories.student_ids import a_student
from tests.factories.top_up_plans import CREATE, a_plan, draft, plans_stay

pytestmark = pytest.mark.anyio

SHANGHAI = "Asia/Shanghai"
Given = dict[str, Any]


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


@pytest.fixture
async def place(till: Counter) -> Places:
    return till.shop.places


def ids(*nodes: Node) -> set[UUID]:
    return {node.id for node in nodes}


async def covered(till: Counter, perspective: Node, **rules: Any) -> list[str]:
    """The stores that a scope's places mean."""
    place = till.shop.places
    scope = await till.database.run(a_scope, perspective=perspective, **rules)
    stores = (place.coffee_store, place.tea_store, place.lone_store)
    found = []
    for store in stores:
        obstacle = await till.database.read(obstacle_to, scope=scope, store=store, now=till.now)
        assert obstacle in {None, Obstacle(ObstacleReason.WRONG_STORE)}
        found += [] if obstacle else [store.name]
    return found


COFFEE, TEA, LONE = "Coffee at the station", "Tea in the park", "The museum shop"


async def test_org_3_without_places_all_stores_below_the_perspective_are_meant(
    till: Counter, place: Places
) -> None:
    assert await covered(till, place.group) == [COFFEE, TEA, LONE]
    assert await covered(till, place.tea) == [TEA]
    assert await covered(till, place.lone_store) == [LONE]


async def test_org_3_nodes_are_included_and_excluded_with_all_below_them(
    till: Counter, place: Places
) -> None:
    async def stores(**rules: Any) -> list[str]:
        return await covered(till, place.group, **rules)

    assert await stores(included_node_ids=ids(place.coffee)) == [COFFEE]
    assert await stores(included_node_ids=ids(place.coffee, place.lone_store)) == [COFFEE, LONE]
    assert await stores(included_node_ids=ids(place.group)) == [COFFEE, TEA, LONE]
    assert await stores(excluded_node_ids=ids(place.tea)) == [COFFEE, LONE]
    assert await stores(excluded_node_ids=ids(place.group)) == []
    both = {"included_node_ids": ids(place.coffee, place.tea)}
    assert await stores(**both, excluded_node_ids=ids(place.tea_store)) == [COFFEE]


async def test_org_3_store_groups_are_included_and_excluded(
    till: Counter, place: Places, now: datetime
) -> None:
    run = till.database.run
    busy = await run(
        a_store_group,
        perspective=place.group,
        stores=[place.coffee_store, place.tea_store],
        now=now,
    )
    quiet = await run(a_store_group, perspective=place.group, stores=[place.lone_store], now=now)
    only = {"included_store_group_ids": {busy.id}}
    assert await covered(till, place.group, **only) == [COFFEE, TEA]
    more = {"included_node_ids": ids(place.lone_store)}
    assert await covered(till, place.group, **only, **more) == [COFFEE, TEA, LONE]
    less = {"excluded_node_ids": ids(place.coffee)}
    assert await covered(till, place.group, **only, **less) == [TEA]
    without = {"excluded_store_group_ids": {quiet.id}}
    assert await covered(till, place.group, **without) == [COFFEE, TEA]
    # The group's store group in a brand's scope: only the brand's own stores are meant.
    assert await covered(till, place.tea, **only) == [TEA]


async def test_org_3_where_no_store_is_known_a_scope_that_names_places_does_not_apply(
    till: Counter, place: Places, now: datetime
) -> None:
    run, read = till.database.run, till.database.read
    anywhere = await run(a_scope, perspective=place.coffee)
    somewhere = await run(a_scope, perspective=place.group, excluded_node_ids=ids(place.tea_store))
    asked: Given = {"channel": Channel.ONLINE, "card": till.shop.card, "now": now}
    assert await read(obstacle_to, scope=anywhere, **asked) is None
    found = await read(obstacle_to, scope=somewhere, **asked)
    assert found == Obstacle(ObstacleReason.WRONG_STORE)


async def test_org_3_where_no_store_is_known_a_brands_offer_is_not_for_other_brands_cards(
    till: Counter, place: Places, now: datetime
) -> None:
    """A card of Coffee's own scheme has nothing to do with what Tea offers."""
    run, read = till.database.run, till.database.read
    scheme = await run(a_scheme, perspective=place.coffee, now=now)
    card = await run(
        cards.open_card, member=till.shop.member, scheme=scheme, store_id=None, now=now
    )
    asked: Given = {"channel": Channel.ONLINE, "card": card, "now": now}
    reasons = []
    for node in (place.group, place.coffee, place.coffee_store, place.tea):
        scope = await run(a_scope, perspective=node)
        found = await read(obstacle_to, scope=scope, **asked)
        reasons.append(found and found.reason)
    assert reasons == [None, None, None, ObstacleReason.NOT_FOR_THIS_MEMBER]


async def test_org_4_channels_are_honoured(till: Counter, place: Places, now: datetime) -> None:
    run, read = till.database.run, till.database.read
    for offered, other in ((Channel.POS, Channel.ONLINE), (Channel.ONLINE, Channel.POS)):
        scope = await run(a_scope, perspective=place.group, channels={offered})
        asked: Given = {"scope": scope, "store": place.tea_store, "now": now}
        assert await read(obstacle_to, channel=offered, **asked) is None
        found = await read(obstacle_to, channel=other, **asked)
        assert found == Obstacle(ObstacleReason.WRONG_CHANNEL)


def always(**more: Any) -> Given:
    return Schedule(**({"time_zone": SHANGHAI} | more)).to_json()


async def test_org_5_a_schedule_says_when_it_opens_by_its_own_clock(
    till: Counter, place: Places, now: datetime
) -> None:
    """It is Tuesday 1 September, 20:00 in Shanghai; Friday's window opens at 02:00 UTC."""
    schedule = always(recurrence=Weekly(frozenset({5})), windows=Window(time(10), time(22)))
    scope = await till.database.run(a_scope, perspective=place.group, schedule=schedule)
    found = await till.database.read(obstacle_to, scope=scope, now=now, store=place.tea_store)
    opens = datetime(2026, 9, 4, 2, tzinfo=UTC)
    assert found == Obstacle(ObstacleReason.NOT_OPEN, opens, SHANGHAI)
    assert str(NotAvailable(found)) == "Not available: opens Friday 4 September, 10:00."

    async def at(moment: datetime) -> Obstacle | None:
        return await till.database.read(obstacle_to, scope=scope, now=moment, store=place.tea_store)

    assert await at(opens) is None
    assert await at(opens - timedelta(seconds=1)) == found
    closed = await at(opens + timedelta(hours=12))
    assert closed == Obstacle(
        ObstacleReason.NOT_OPEN, datetime(2026, 9, 11, 2, tzinfo=UTC), SHANGHAI
    )


async def test_org_5_a_window_may_cross_midnight(
    till: Counter, place: Places, now: datetime
) -> None:
    schedule = always(windows=Window(time(22), time(2)))
    scope = await till.database.run(a_scope, perspective=place.group, schedule=schedule)

    async def is_open(hour_utc: int) -> bool:
        moment = now.replace(hour=hour_utc)
        found = await till.database.read(
            obstacle_to, scope=scope, now=moment, store=place.tea_store
        )
        return found is None

    # 21:00, 22:00, 01:00 and 02:00 in Shanghai.
    assert [await is_open(hour) for hour in (13, 14, 17, 18)] == [False, True, True, False]


async def test_org_5_what_never_opens_again_has_ended(
    till: Counter, place: Places, now: datetime
) -> None:
    for schedule in (
        always(ends_at=now),
        always(recurrence=Monthly(frozenset({31})), ends_at=now + timedelta(days=29)),
    ):
        scope = await till.database.run(a_scope, perspective=place.group, schedule=schedule)
        found = await till.database.read(obstacle_to, scope=scope, now=now, store=place.tea_store)
        assert found == Obstacle(ObstacleReason.ENDED)
        assert str(NotAvailable(found)) == "Not available: it has ended."


async def test_org_6_a_scope_is_for_cards_of_any_scheme_tier_or_tag_it_names(
    till: Counter, place: Places, now: datetime
) -> None:
    run, read, shop = till.database.run, till.database.read, till.shop
    silver = await run(a_tier, scheme=shop.scheme, level=2, name="Silver")
    other_scheme = await run(a_scheme, perspective=place.group, now=now)
    on_them = await run(a_tag, group_id=place.group.id, on=(shop.member,), now=now)
    on_nobody = await run(a_tag, group_id=place.group.id, now=now)
    assert silver.id != shop.card.tier_id

    async def applies(card: Any = shop.card, **rules: Any) -> bool:
        scope = await run(a_scope, perspective=place.group, **rules)
        found = await read(obstacle_to, scope=scope, store=place.tea_store, card=card, now=now)
        assert found in {None, Obstacle(ObstacleReason.NOT_FOR_THIS_MEMBER)}
        return found is None

    assert await applies()
    assert await applies(scheme_ids={shop.scheme.id})
    assert not await applies(scheme_ids={other_scheme.id})
    assert await applies(tier_ids={shop.card.tier_id})
    assert not await applies(tier_ids={silver.id})
    assert await applies(tag_ids={on_them.id})
    assert not await applies(tag_ids={on_nobody.id})
    # Any of them is enough.
    assert await applies(
        scheme_ids={other_scheme.id}, tier_ids={silver.id}, tag_ids={on_nobody.id, on_them.id}
    )
    # Nobody in particular: what is for all is for them, what is for some is not.
    assert await applies(card=None)
    assert not await applies(card=None, scheme_ids={shop.scheme.id})


async def test_org_6_a_scope_is_for_verified_students_as_long_as_they_are_valid(
    till: Counter, place: Places, now: datetime
) -> None:
    run, read, shop = till.database.run, till.database.read, till.shop
    students = await run(a_scope, perspective=place.group, for_students=True)
    other_scheme = await run(a_scheme, perspective=place.group, now=now)
    either = await run(
        a_scope, perspective=place.group, for_students=True, scheme_ids={other_scheme.id}
    )

    async def reason(at: datetime = now, card: Any = shop.card) -> ObstacleReason | None:
        asked: Given = {"store": place.tea_store, "card": card, "now": at}
        found = await read(obstacle_to, scope=students, **asked)
        assert await read(obstacle_to, scope=either, **asked) == found
        return found.reason if found else None

    not_theirs = ObstacleReason.NOT_FOR_THIS_MEMBER
    assert await reason() is not_theirs
    ends = now + timedelta(days=1)
    await run(a_student, member=shop.member, valid_until=ends, now=now)
    assert await reason() is None
    assert await reason(card=None) is not_theirs
    assert await reason(at=ends - timedelta(seconds=1)) is None
    # Valid until then, whether or not the duty that ends it has come by.
    assert await reason(at=ends) is not_theirs


async def test_nobody_is_told_to_come_back_for_what_is_not_for_them(
    till: Counter, place: Places, now: datetime
) -> None:
    other = await till.database.run(a_scheme, perspective=place.group, now=now)
    scope = await till.database.run(
        a_scope,
        perspective=place.group,
        channels={Channel.POS},
        included_node_ids=ids(place.tea),
        scheme_ids={other.id},
        schedule=always(starts_at=now + timedelta(days=1)),
    )

    async def reason(**asked: Any) -> ObstacleReason:
        asked = {"card": till.shop.card, "store": place.tea_store} | asked
        found = await till.database.read(obstacle_to, scope=scope, now=now, **asked)
        assert found is not None
        return found.reason

    online = {"channel": Channel.ONLINE}
    assert await reason(**online, store=place.coffee_store) is ObstacleReason.WRONG_CHANNEL
    assert await reason(store=place.coffee_store) is ObstacleReason.WRONG_STORE
    assert await reason() is ObstacleReason.NOT_FOR_THIS_MEMBER
    theirs = await till.database.run(
        cards.open_card, member=till.shop.member, scheme=other, store_id=None, now=now
    )
    assert await reason(card=theirs) is ObstacleReason.NOT_OPEN


async def test_any_number_of_scopes_is_loaded_in_three_statements(
    till: Counter, place: Places
) -> None:
    made = [
        await till.database.run(
            a_scope,
            perspective=place.group,
            included_node_ids=ids(place.tea),
            scheme_ids={till.shop.scheme.id},
        )
        for _ in range(5)
    ]

    async def counted(tx: Transaction) -> int:
        counting = _Counting(tx)
        found = await scopes.load(counting, [scope.id for scope in made])
        assert found == {scope.id: scope for scope in made}
        return counting.number

    assert await till.database.read(counted) == 3
    assert await till.database.read(scopes.load, []) == {}


async def test_of_two_that_replace_a_scope_at_once_one_is_left_whole(
    till: Counter, place: Places
) -> None:
    scope = await till.database.run(
        a_scope, perspective=place.group, included_node_ids=ids(place.lone_store)
    )
    first, second = (
        call(
            scopes.replace,
            scope_id=scope.id,
            perspective=place.group,
            rules=ScopeRules(included_node_ids=frozenset({node.id})),
        )
        for node in (place.tea, place.coffee)
    )
    await beside(till.database, first, before=scopes.remove_places, second=second)
    found = await till.database.read(scopes.load, [scope.id])
    assert found[scope.id].rules.included_node_ids == ids(place.coffee)


async def test_a_scope_is_read_back_as_it_was_given(
    till: Counter, place: Places, now: datetime
) -> None:
    """ORG-3…ORG-6, through the API of the first thing that has a scope."""
    busy = await till.database.run(
        a_store_group, perspective=place.group, stores=[place.tea_store], now=now
    )
    quiet = await till.database.run(
        a_store_group, perspective=place.coffee, stores=[place.coffee_store], now=now
    )
    tag = await till.database.run(a_tag, group_id=place.group.id, now=now)
    given: Given = {
        "channels": ["ONLINE", "POS"],
        "includedNodeIds": [type_id("node", place.group.id)],
        "excludedNodeIds": [type_id("node", place.lone_store.id)],
        "includedStoreGroupIds": [type_id("sgr", busy.id)],
        "excludedStoreGroupIds": [type_id("sgr", quiet.id)],
        "schemeIds": [type_id("sch", till.shop.scheme.id)],
        "tierIds": [type_id("tier", till.shop.card.tier_id)],
        "tagIds": [type_id("tag", tag.id)],
        "forStudents": True,
        "schedule": {
            "timeZone": SHANGHAI,
            "startsAt": "2026-09-01T00:00:00+08:00",
            "endsAt": "2026-10-01T00:00:00+08:00",
            "recurrence": {"kind": "MONTHLY", "days": [15, 1], "lastDay": True},
            "dates": [
                {
                    "date": "2026-09-15",
                    "windows": [
                        {"start": "08:00", "end": "12:00"},
                        {"start": "22:30", "end": "02:00"},
                    ],
                }
            ],
        },
    }
    made = await draft(till, scope=given)
    schedule = made["scope"]["schedule"]
    assert made["scope"] == given | {"schedule": schedule}
    assert schedule == given["schedule"] | {
        "startsAt": "2026-08-31T16:00:00+00:00",
        "endsAt": "2026-09-30T16:00:00+00:00",
        "recurrence": {"kind": "MONTHLY", "days": [1, 15], "lastDay": True},
        "window": None,
    }


async def test_org_5_what_a_schedule_leaves_out_is_every_day_and_all_day(till: Counter) -> None:
    weekend = {"kind": "WEEKLY", "days": [7, 6]}
    cases: list[tuple[Given, Given]] = [
        ({}, {}),
        (
            {"recurrence": weekend, "window": {"start": "22:00", "end": "02:00"}},
            {
                "recurrence": {"kind": "WEEKLY", "days": [6, 7], "lastDay": False},
                "window": {"start": "22:00", "end": "02:00"},
            },
        ),
        (
            {"recurrence": {"kind": "MONTHLY", "lastDay": True}},
            {"recurrence": {"kind": "MONTHLY", "days": [], "lastDay": True}},
        ),
    ]
    every_day = {"kind": "DAILY", "days": [], "lastDay": False}
    whole = {"startsAt": None, "endsAt": None, "window": None, "dates": None}
    for given, shown in cases:
        made = await draft(till, scope={"schedule": {"timeZone": SHANGHAI} | given})
        expected = {"timeZone": SHANGHAI, "recurrence": every_day} | whole | shown
        assert made["scope"]["schedule"] == expected


async def test_a_scope_that_says_nothing_is_everywhere_always_for_everybody(till: Counter) -> None:
    made = await draft(till)
    lists = made["scope"].keys() - {"channels", "schedule", "forStudents"}
    nothing: Given = {name: [] for name in lists} | {"forStudents": False}
    assert made["scope"] == nothing | {"channels": ["ONLINE", "POS"], "schedule": None}


ONE_WINDOW = {"start": "10:00", "end": "12:00"}


NO_SCHEDULES: list[Given] = [
    {"timeZone": "Mars/Olympus"},
    {"timeZone": ""},
    {"startsAt": "2026-09-02T00:00:00Z", "endsAt": "2026-09-02T00:00:00Z"},
    {"startsAt": "2026-09-02T00:00:00"},
    {"startsAt": "1969-09-02T00:00:00Z"},
    {"endsAt": "2200-09-02T00:00:00Z"},
    {"recurrence": {"kind": "DAILY", "days": [1]}},
    {"recurrence": {"kind": "DAILY", "lastDay": True}},
    {"recurrence": {"kind": "WEEKLY"}},
    {"recurrence": {"kind": "WEEKLY", "days": [0]}},
    {"recurrence": {"kind": "WEEKLY", "days": [8]}},
    {"recurrence": {"kind": "WEEKLY", "days": [1], "lastDay": True}},
    {"recurrence": {"kind": "MONTHLY"}},
    {"recurrence": {"kind": "MONTHLY", "days": [32]}},
    {"recurrence": {"kind": "YEARLY"}},
    {"window": {"start": "10:00", "end": "10:00"}},
    {"window": {"start": "25:00", "end": "10:00"}},
    {"window": {"start": "10:00:30", "end": "11:00"}},
    {"window": {"start": "10:00+08:00", "end": "11:00"}},
    {"window": ONE_WINDOW, "dates": [{"date": "2026-09-02", "windows": [ONE_WINDOW]}]},
    {"dates": []},
    {"dates": [{"date": "2026-09-02", "windows": []}]},
    {"dates": [{"date": "2026-02-30", "windows": [ONE_WINDOW]}]},
    {"dates": [{"date": "2026-09-02", "windows": [ONE_WINDOW] * 9}]},
    {"dates": [{"date": "2026-09-02", "windows": [ONE_WINDOW]}] * 2},
]


async def test_org_5_what_is_no_schedule_is_refused(till: Counter) -> None:
    async with plans_stay(till.database):
        for schedule in NO_SCHEDULES:
            scope = {"schedule": {"timeZone": SHANGHAI} | schedule}
            refused = await till.as_staff(CREATE, input=a_plan(till, scope=scope))
            assert refused == "BAD_USER_INPUT", schedule


async def test_org_5_a_schedule_names_at_most_366_dates(till: Counter, now: datetime) -> None:
    def of(number: int) -> Given:
        days = [(now + timedelta(days=n)).date().isoformat() for n in range(number)]
        dates = [{"date": day, "windows": [ONE_WINDOW]} for day in days]
        return a_plan(till, scope={"schedule": {"timeZone": SHANGHAI, "dates": dates}})

    async with plans_stay(till.database):
        assert await till.as_staff(CREATE, input=of(367)) == "BAD_USER_INPUT"
    made = await till.as_staff(CREATE, input=of(366))
    assert len(made["scope"]["schedule"]["dates"]) == 366


async def test_org_3_places_of_elsewhere_are_refused(
    till: Counter, place: Places, now: datetime
) -> None:
    run = till.database.run
    elsewhere = await run(places, now=now)
    foreign = await run(a_store_group, perspective=elsewhere.group, stores=[], now=now)
    coffees = await run(a_store_group, perspective=place.coffee, stores=[], now=now)
    nodes = [elsewhere.group.id, elsewhere.tea_store.id, place.group.id, place.coffee.id, new_id()]
    groups = [foreign.id, coffees.id, new_id()]

    async def refused(**scope: Any) -> Any:
        given = a_plan(till, perspectiveId=type_id("node", place.tea.id), scope=scope)
        return (await till.as_staff(CREATE, input=given))["__typename"]

    async with plans_stay(till.database):
        for side in ("included", "excluded"):
            for node_id in nodes:
                named = {f"{side}NodeIds": [type_id("node", node_id)]}
                assert await refused(**named) == "NodeNotFound"
            for group_id in groups:
                named = {f"{side}StoreGroupIds": [type_id("sgr", group_id)]}
                assert await refused(**named) == "StoreGroupNotFound"


async def test_org_6_audiences_of_elsewhere_are_refused(till: Counter, now: datetime) -> None:
    other = await counter(till.database, now)
    tag = await till.database.run(a_tag, group_id=other.shop.places.group.id, now=now)
    async with plans_stay(till.database):
        for name, prefix, ids_there in (
            ("schemeIds", "sch", [other.shop.scheme.id, new_id()]),
            ("tierIds", "tier", [other.shop.card.tier_id, new_id()]),
            ("tagIds", "tag", [tag.id, new_id()]),
        ):
            for each in ids_there:
                scope = {name: [type_id(prefix, each)]}
                refused = await till.as_staff(CREATE, input=a_plan(till, scope=scope))
                assert refused["__typename"] == "AudienceNotFound"


async def test_what_is_no_scope_is_refused(till: Counter, place: Places) -> None:
    tea = type_id("node", place.tea.id)

    def unknown(prefix: str, number: int) -> list[str]:
        return [type_id(prefix, new_id()) for _ in range(number)]

    no_scopes: list[Given] = [
        {"channels": []},
        {"channels": ["PHONE"]},
        {"includedNodeIds": ["node_x"]},
        {"includedNodeIds": [tea], "excludedNodeIds": [tea]},
        {"excludedNodeIds": unknown("node", 501)},
        {"includedNodeIds": unknown("node", 251), "includedStoreGroupIds": unknown("sgr", 250)},
        {"schemeIds": unknown("sch", 101), "tagIds": unknown("tag", 100)},
        {"tierIds": unknown("tier", 201)},
    ]
    async with plans_stay(till.database):
        for scope in no_scopes:
            refused = await till.as_staff(CREATE, input=a_plan(till, scope=scope))
            assert refused == "BAD_USER_INPUT", scope


class _Counting:
    """A transaction that counts what it reads."""

    def __init__(self, tx: Transaction) -> None:
        self.tx, self.number = tx, 0

    async def all(self, statement: Any, /, **values: Any) -> list[Any]:
        self.number += 1
        return await self.tx.all(statement, **values)

    async def one(self, statement: Any, /, **values: Any) -> Any:
        self.number += 1
        return await self.tx.one(statement, **values)

    async def changed(self, statement: Any, /, **values: Any) -> int:
        raise AssertionError("nothing is written")

    async def insert(self, *rows: Any) -> None:
        raise AssertionError("nothing is written")

    def announce(self, topic: str, event: dict[str, Any]) -> None:
        raise AssertionError("nothing is announced")
