"""BEN-5…BEN-9, TIR-1: packages sold at tills, what they bring, and how they end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, func, select, update

from app.core.db import Database, statement
from app.core.errors import DomainError
from app.core.ids import new_id, parse_type_id, type_id
from app.core.money import Money
from app.jobs import duties
from app.models.cards import Card
from app.models.coupons import Coupon, CouponState
from app.services import cards, ledger, members
from app.services.packages import buying, owning
from tests.factories.cards import Counter, a_tier, counter, the_card
from tests.factories.ledger import account
from tests.factories.packages import (
    DEACTIVATE,
    MINE,
    OWNERS,
    REVISE,
    SALES,
    SALES_BY_STORE,
    SELL,
    SETTINGS_SET,
    UPDATE,
    Goods,
    a_rule,
    a_sale,
    agreement,
    coupon_rows,
    draft,
    goods,
    grant_rows,
    mine,
    offered,
    owned_rows,
    package_of,
    packages_stay,
    priced,
    refund,
    sell,
    sold,
)
from tests.factories.races import beside, call
from tests.factories.reading import every, one
from tests.factories.staff import employee

pytestmark = pytest.mark.anyio

DEC_8 = datetime(2025, 12, 8, 15, 0, tzinfo=UTC)
"""23:00 in Shanghai, where the packages of these tests are made."""
LADDER = {"firstPurchase": 159_00, "repeatPurchase": 179_00, "earlyRenewal": 169_00}
NOTICES = """{ notices { edges { node { kind
  packageEnding { ownedPackageId name endsAt } } } } }"""
use_coupon = statement(
    update(Coupon)
    .where(col(Coupon.cause_kind) == bindparam("of_cause"))
    .values(state=CouponState.USED)
)


@pytest.fixture
async def till(database: Database) -> Counter:
    return await counter(database, DEC_8)


@pytest.fixture
async def some(till: Counter) -> Goods:
    return await goods(till)


def local(moment: str) -> str:
    """A time on the wall in Shanghai, as the API says it."""
    wall = datetime.fromisoformat(f"{moment}+08:00")
    return wall.astimezone(UTC).isoformat()


async def after(till: Counter, **duration: float) -> Counter:
    """The same shop so much later, when its owner has signed in again."""
    later = till.later(**duration)
    owner = await till.database.run(employee, node=till.shop.places.group, now=later.now)
    return replace(later, shop=replace(till.shop, owner=owner))


async def work(till: Counter) -> None:
    """What the clock brings about up to now."""
    for duty in duties.DUTIES:
        while await till.database.run(duty, now=till.now):
            pass


async def coupons(till: Counter) -> list[tuple[str, str]]:
    return [(each.cause_kind, each.state.value) for each in await every(till.database, coupon_rows)]


async def points(till: Counter) -> int:
    found = await account(till.database, till.shop.card.id)
    return found.balance - found.debt


async def tier_of(till: Counter) -> Any:
    return (await till.database.read(the_card, till.shop.card.id)).tier_id


async def test_ben_5_the_ladder_runs_from_first_purchase_to_renewal_and_repeat(
    till: Counter,
) -> None:
    limited = {
        "price": 150_00,
        "startsAt": local("2025-12-20T00:00:00"),
        "endsAt": local("2025-12-21T00:00:00"),
    }
    package = await package_of(till, rules=[a_rule(**LADDER), a_rule(100_00, limited=limited)])
    assert await priced(till) == [(159_00, "FIRST_PURCHASE"), (100_00, "ORIGINAL")]
    async with packages_stay(till.database):
        changed = await sell(till, package, 169_00)
        assert changed["__typename"] == "PackagePriceChanged"
        assert (changed["price"], changed["priceReason"]) == ({"amount": 159_00}, "FIRST_PURCHASE")
        other = {"amount": 159_00, "currency": "USD"}
        assert (await sell(till, package, price=other))["__typename"] == "WrongCurrency"
        assert await sell(till, package, 159_00, rule=2) == "BAD_USER_INPUT"
    order = await sold(till, package, 159_00)
    assert order == {
        "id": order["id"], "state": "PAID", "amount": {"amount": 159_00}, "cardId": till.card_id
    }  # fmt: skip
    assert await priced(till) == [(169_00, "EARLY_RENEWAL"), (100_00, "ORIGINAL")]
    over = till.later(days=3)
    assert await priced(over) == [(179_00, "REPEAT_PURCHASE"), (100_00, "ORIGINAL")]
    assert await priced(till.later(days=12)) == [
        (179_00, "REPEAT_PURCHASE"),
        (100_00, "ORIGINAL"),
    ]
    (owned,) = await mine(till)
    assert (owned["price"], owned["priceReason"]) == ({"amount": 159_00}, "FIRST_PURCHASE")
    # Given back it was bought all the same: its first price was had.
    await refund(till, order["id"])
    assert await priced(till) == [(179_00, "REPEAT_PURCHASE"), (100_00, "ORIGINAL")]


@pytest.mark.parametrize(
    ("rule", "starts", "ends"),
    [
        ("IMMEDIATE", "2025-12-08T23:00:00", "2025-12-11T23:00:00"),
        ("FROM_PURCHASE_DATE", "2025-12-08T23:00:00", "2025-12-11T00:00:00"),
        ("FROM_NEXT_DAY", "2025-12-09T00:00:00", "2025-12-12T00:00:00"),
    ],
)
async def test_ben_7_three_days_bought_on_dec_8_at_23_and_their_renewals(
    till: Counter, rule: str, starts: str, ends: str
) -> None:
    await till.as_staff(SETTINGS_SET, version=0, rule=rule)
    package = await package_of(till)
    ((shown,),) = [offer["rules"] for offer in await offered(till)]
    assert (shown["startsAt"], shown["endsAt"]) == (local(starts), local(ends))
    await sold(till, package)
    (first,) = await mine(till)
    assert (first["startsAt"], first["endsAt"]) == (local(starts), local(ends))
    waits = local(starts) > till.now.isoformat()
    assert first["state"] == ("WAITING" if waits else "RUNNING")
    # Two renewals, whenever they are paid: each begins when the one before it ends.
    await sold(till.later(hours=2), package)
    await sold(till.later(hours=3), package)
    third, second, _ = await mine(till)
    day = timedelta(days=3)
    end = datetime.fromisoformat(local(ends))
    assert (second["startsAt"], second["endsAt"]) == (end.isoformat(), (end + day).isoformat())
    assert third["startsAt"] == second["endsAt"]
    assert (second["isRenewal"], second["state"]) == (True, "WAITING")
    later = replace(till, now=end)
    await work(later)
    assert [each["state"] for each in await mine(later)] == ["WAITING", "RUNNING", "ENDED"]
    await work(replace(till, now=end + 3 * day))
    assert [each["state"] for each in await mine(later)] == ["ENDED"] * 3


async def test_ben_6_tir_1_what_comes_with_it_comes_and_goes_with_it(
    till: Counter, some: Goods
) -> None:
    silver = await till.database.run(a_tier, scheme=till.shop.scheme, level=2, name="Silver")
    package = await package_of(
        till,
        rules=[a_rule(), a_rule(99_00, 1)],
        contents=[
            some.gift("FIRST_PURCHASE_GIFT", 500),
            some.gift("REPEAT_PURCHASE_GIFT", 300),
            {"kind": "MEMBER_DISCOUNT", "benefitId": some.discount_id, "rules": [0]},
            {"kind": "MULTIPLIER", "benefitId": some.multiplier_id},
            {"kind": "TIER_UPGRADE", "tierId": type_id("tier", silver.id), "rules": [0]},
        ],
    )
    green = await tier_of(till)
    await sold(till, package)
    assert await coupons(till) == [("package.first_purchase", "VALID")]
    assert await points(till) == 500
    assert await tier_of(till) == silver.id
    grants = await every(till.database, grant_rows)
    span = (DEC_8, DEC_8 + timedelta(days=3))
    assert [(each.starts_at, each.ends_at) for each in grants] == [span, span]
    # The tier ends with the package.
    over = await after(till, days=3)
    await work(over)
    assert await tier_of(till) == green
    # The shorter rule brings no discount and no tier, and a repeated purchase its own gift.
    await sold(over, package, 99_00, rule=1)
    assert await tier_of(till) == green
    assert await points(till) == 800
    assert await coupons(till) == [
        ("package.first_purchase", "VALID"),
        ("package.repeat_purchase", "VALID"),
    ]
    assert len(await every(till.database, grant_rows)) == 3
    assert await till.database.scan(ledger.check) == []


async def test_ben_6_tir_1_a_renewal_brings_its_gifts_at_once_or_when_it_begins(
    till: Counter, some: Goods
) -> None:
    silver = await till.database.run(a_tier, scheme=till.shop.scheme, level=2, name="Silver")
    package = await package_of(
        till,
        contents=[
            some.gift("REPEAT_PURCHASE_GIFT", 3),
            some.gift("EARLY_RENEWAL_GIFT", 40),
            some.gift("EARLY_RENEWAL_GIFT", 500, moment="WHEN_IT_BEGINS"),
            {"kind": "TIER_UPGRADE", "tierId": type_id("tier", silver.id)},
        ],
    )
    await sold(till, package)
    assert await points(till) == 0
    await sold(till, package)
    assert await points(till) == 43
    due = till.later(days=3)
    changes = statement(select(func.count()).select_from(Card), into=int)
    assert await one(till.database, changes) == 1
    await work(due)
    await work(due)
    assert await points(till) == 543
    assert sorted(await coupons(till)) == [
        ("package.early_renewal", "VALID"),
        ("package.renewal_begun", "VALID"),
        ("package.repeat_purchase", "VALID"),
    ]
    assert await tier_of(till) == silver.id
    await work(till.later(days=6))
    assert await tier_of(till) != silver.id
    assert await points(till) == 543


async def test_ben_6_gifts_come_once_for_replays_and_two_orders_at_once(
    till: Counter, some: Goods
) -> None:
    package = await package_of(
        till,
        rules=[a_rule(100_00, firstPurchase=50_00)],
        contents=[some.gift("FIRST_PURCHASE_GIFT", 500), some.gift("REPEAT_PURCHASE_GIFT", 7)],
    )
    asked = a_sale(till, package, 50_00)
    actor = await till.context(till.shop.owner.principal).actor()

    def sale(key: str) -> Any:
        return call(
            buying.sell,
            actor,
            terminal_id=till.shop.terminal.id,
            member_id=None,
            choice=buying.Choice(
                package_id=parse_type_id("pkg", package["id"]),
                rule=0,
                price=Money(50_00, "CNY"),
                card_id=till.shop.card.id,
                scheme_id=None,
                accepted=(),
            ),
            method_code="cash",
            request_key=key,
            now=till.now,
        )

    both = await beside(till.database, sale("one"), before=owning.last_on_card, second=sale("two"))
    refused = [each for each in both if isinstance(each, DomainError)]
    assert [type(each).__name__ for each in refused] == ["PriceChanged"]
    assert await points(till) == 500
    assert await coupons(till) == [("package.first_purchase", "VALID")]
    asked |= {"price": {"amount": 100_00, "currency": "CNY"}}
    first = await till.as_staff(SELL, input=asked)
    async with packages_stay(till.database):
        again = await till.as_staff(SELL, input=asked)
        assert again == first | {"replayed": True}
        reused = await till.as_staff(SELL, input=asked | {"methodCode": "card"})
        assert reused["__typename"] == "RequestKeyReused"
    assert await points(till) == 507
    assert len(await every(till.database, owned_rows)) == 2
    # A renewal begins once, though two workers find it due.
    due = till.later(days=3)
    beginning = call(owning.begin_due, now=due.now)
    await beside(till.database, beginning, before=owning.begin_it, second=beginning)
    assert await points(till) == 507


async def test_ben_7_what_was_bought_stays_though_the_package_changes(
    till: Counter, some: Goods
) -> None:
    package = await package_of(till, contents=[some.gift("EARLY_RENEWAL_GIFT", 40)])
    await sold(till, package)
    await sold(till, package)
    bought = await mine(till)
    await till.as_staff(DEACTIVATE, id=package["id"])
    edit = {"id": package["id"], "expectedVersion": 3, "name": "Other", "rules": [a_rule(1, 99)]}
    assert (await till.as_staff(UPDATE, input=edit))["version"] == 4
    await till.as_staff(SETTINGS_SET, version=0, rule="FROM_NEXT_DAY")
    assert await mine(till) == bought
    assert [each["name"] for each in bought] == ["Premium", "Premium"]
    assert [each["contents"][0]["points"] for each in bought] == [40, 40]
    async with packages_stay(till.database):
        assert (await sell(till, package, 1))["__typename"] == "PackageNotOnSale"
    later = till.later(days=3)
    await work(later)
    assert [each["state"] for each in await mine(later)] == ["RUNNING", "ENDED"]


async def test_ben_5_org_3_to_6_packages_are_sold_where_when_and_to_whom_their_scope_says(
    till: Counter,
) -> None:
    silver = await till.database.run(a_tier, scheme=till.shop.scheme, level=2, name="Silver")
    friday = {"timeZone": "Asia/Shanghai", "recurrence": {"kind": "WEEKLY", "days": [5]}}
    tea_id = type_id("node", till.shop.places.tea.id)
    scoped = {
        "Tea": {"includedNodeIds": [tea_id]},
        "Online": {"channels": ["ONLINE"]},
        "Silver": {"tierIds": [type_id("tier", silver.id)]},
        "Students": {"forStudents": True},
        "Friday": {"schedule": friday},
    }
    made = {name: await package_of(till, name=name, scope=scope) for name, scope in scoped.items()}
    found = [(offer["package"]["name"], offer["notAvailable"]) for offer in await offered(till)]
    opens = {"reason": "NOT_OPEN", "availableFrom": local("2025-12-12T00:00:00")}
    assert found == [("Online", None), ("Friday", opens)]
    reasons = {
        "Tea": "WRONG_STORE",
        "Online": "WRONG_CHANNEL",
        "Silver": "NOT_FOR_THIS_MEMBER",
        "Students": "NOT_FOR_THIS_MEMBER",
        "Friday": "NOT_OPEN",
    }
    asleep = await draft(till)
    foreign = await package_of(await counter(till.database, till.now))
    async with packages_stay(till.database):
        for name, reason in reasons.items():
            refused = await sell(till, made[name])
            assert (refused["__typename"], refused["reason"]) == ("NotAvailable", reason)
        assert refused["message"] == "Not available: opens Friday 12 December, 00:00."
        assert (await sell(till, asleep))["__typename"] == "PackageNotOnSale"
        assert (await sell(till, foreign))["__typename"] == "PackageNotFound"


async def test_ben_8_an_offline_refund_ends_all_and_withdraws_what_is_left(
    till: Counter, some: Goods
) -> None:
    silver = await till.database.run(a_tier, scheme=till.shop.scheme, level=2, name="Silver")
    gift = some.gift("FIRST_PURCHASE_GIFT", 500)
    package = await package_of(
        till,
        contents=[
            gift | {"gifts": [{"templateId": some.coupon_id, "count": 2}]},
            {"kind": "MEMBER_DISCOUNT", "benefitId": some.discount_id},
            {"kind": "TIER_UPGRADE", "tierId": type_id("tier", silver.id)},
        ],
    )
    green = await tier_of(till)
    first = await sold(till, package)
    renewal = await sold(till, package)
    async with packages_stay(till.database):
        refused = await refund(till, first["id"])
        assert refused["__typename"] == "RenewedAlready"
        assert refused["renewalId"] == (await mine(till))[0]["id"]
        # It was paid at a till, so there is no way back by which it came.
        no_way = await refund(till, renewal["id"], "ORIGINAL")
        assert no_way["__typename"] == "NoOriginalRoute"
    # A renewal that has not begun goes back.
    assert (await refund(till, renewal["id"]))["order"]["refundedAmount"] == {"amount": 199_00}
    await till.database.run(lambda tx: tx.changed(use_coupon, of_cause="package.first_purchase"))
    back = await refund(till, first["id"])
    assert back["order"]["state"] == "REFUNDED"
    assert await tier_of(till) == green
    assert await points(till) == 0
    assert all(each.ended_at == till.now for each in await every(till.database, grant_rows))
    assert [each["state"] for each in await mine(till)] == ["REFUNDED", "REFUNDED"]
    assert {state for _, state in await coupons(till)} == {"USED"}
    async with packages_stay(till.database):
        assert (await refund(till, first["id"]))["state"] == "REFUNDED"
        await work(till.later(days=9))
    assert await till.database.scan(ledger.check) == []


async def test_ben_8_a_refund_of_unused_gifts_withdraws_them_and_spent_points_become_a_debt(
    till: Counter, some: Goods
) -> None:
    package = await package_of(till, contents=[some.gift("FIRST_PURCHASE_GIFT", 500)])
    order = await sold(till, package)
    await refund(till, order["id"])
    assert await coupons(till) == [("package.first_purchase", "WITHDRAWN")]
    assert await points(till) == 0
    assert (await account(till.database, till.shop.card.id)).debt == 0


async def test_ben_9_buying_needs_the_agreement_as_it_is_and_keeps_what_was_accepted(
    till: Counter,
) -> None:
    buy, use = await agreement(till), await agreement(till, "TERMS", "Use.")
    package = await package_of(till, purchaseAgreementId=buy["id"], termsAgreementId=use["id"])
    accepted = [{"agreementId": each["id"], "version": 1} for each in (buy, use)]
    async with packages_stay(till.database):
        for given in ([], accepted[:1]):
            refused = await sell(till, package, accepted=given)
            assert refused["__typename"] == "AgreementChanged"
        assert [each["body"] for each in refused["current"]] == ["Buy.", "Use."]
        assert await sell(till, package, accepted=accepted * 6) == "BAD_USER_INPUT"
    edit = {"id": buy["id"], "expectedVersion": 1, "title": "Purchase", "body": "Buy it."}
    await till.as_staff(REVISE, input=edit)
    async with packages_stay(till.database):
        stale = await sell(till, package, accepted=accepted)
        versions = [(each["version"], each["body"]) for each in stale["current"]]
        assert versions == [(2, "Buy it."), (1, "Use.")]
    accepted[0]["version"] = 2
    await sold(till, package, accepted=accepted)
    await till.as_staff(REVISE, input=edit | {"expectedVersion": 2, "body": "Third."})
    (owned,) = await mine(till)
    moment = till.now.isoformat()
    assert owned["acceptances"] == [
        {"agreementId": buy["id"], "version": 2, "title": "Purchase", "body": "Buy it."}
        | {"acceptedAt": moment},
        {"agreementId": use["id"], "version": 1, "title": "A TERMS", "body": "Use."}
        | {"acceptedAt": moment},
    ]


async def test_ben_9_sales_data_agree_with_the_orders(till: Counter) -> None:
    package = await package_of(till, rules=[a_rule(), a_rule(0)])
    other = await till.database.run(
        members.create, group_id=till.shop.places.group.id, name="李雷", now=till.now
    )
    other_card = await till.database.run(
        cards.open_card, member=other, scheme=till.shop.scheme, store_id=None, now=till.now
    )
    tea = {"terminalId": till.other_terminal_id}
    await sold(till, package)
    await sold(till, package)
    next_day = await after(till, days=1)
    back = await sold(next_day, package, cardId=type_id("card", other_card.id), **tea)
    await sold(next_day, package, 0, rule=1, **tea)
    await refund(next_day, back["id"])
    assert await till.as_staff(SALES, id=package["id"]) == {
        "sold": 4, "refunded": 1, "revenue": {"amount": 398_00, "currency": "CNY"}, "buyers": 2
    }  # fmt: skip
    found = await till.as_staff(SALES_BY_STORE, id=package["id"])
    by_store = {edge["node"]["store"]["name"]: edge["node"]["sales"] for edge in found["edges"]}
    assert by_store == {
        "Coffee at the station": {
            "sold": 2, "refunded": 0, "revenue": {"amount": 398_00}, "buyers": 1
        },
        "Tea in the park": {"sold": 2, "refunded": 1, "revenue": {"amount": 0}, "buyers": 2},
    }  # fmt: skip
    page = await till.as_staff(SALES_BY_STORE, id=package["id"], first=1)
    rest = await till.as_staff(
        SALES_BY_STORE, id=package["id"], after=page["pageInfo"]["endCursor"]
    )
    assert page["edges"] + rest["edges"] == found["edges"]
    since: dict[str, Any] = {"from": till.later(hours=1).now.isoformat()}
    assert (await till.as_staff(SALES, id=package["id"], **since))["sold"] == 2
    own = await till.as_staff(SALES, who=till.shop.cashier, id=package["id"])
    assert (own["sold"], own["buyers"]) == (2, 1)
    owners = await till.as_staff(OWNERS, package=package["id"])
    assert len(owners["edges"]) == 4
    assert await till.as_staff(OWNERS) == "BAD_USER_INPUT"
    seen = await till.as_staff(
        OWNERS, who=till.shop.cashier, member=type_id("mem", till.shop.member.id)
    )
    assert len(seen["edges"]) == 2
    elsewhere = await counter(till.database, till.now)
    assert await elsewhere.as_staff(SALES, id=package["id"]) is None
    assert (await elsewhere.as_staff(OWNERS, package=package["id"]))["edges"] == []


async def test_ben_7_holders_hear_three_days_before_the_end_unless_they_renewed(
    till: Counter,
) -> None:
    package = await package_of(till, rules=[a_rule(days=30)])
    await sold(till, package)
    (owned,) = await mine(till)
    soon = await after(till, days=27)
    await work(till.later(days=26))
    assert (await soon.as_member(NOTICES))["edges"] == []
    await work(soon)
    await work(soon)
    (edge,) = (await soon.as_member(NOTICES))["edges"]
    assert edge["node"] == {
        "kind": "PACKAGE_ENDING",
        "packageEnding": {
            "ownedPackageId": owned["id"], "name": "Premium", "endsAt": owned["endsAt"]
        },
    }  # fmt: skip
    await sold(soon, package)
    await sold(soon, package)
    await work(till.later(days=57))
    assert len((await till.later(days=57).as_member(NOTICES))["edges"]) == 1


async def test_ben_5_who_may_sell_and_for_whose_card(till: Counter) -> None:
    package = await package_of(till)
    elsewhere = await counter(till.database, till.now)
    async with packages_stay(till.database):
        missing = await sell(till, package, cardId=type_id("card", new_id()))
        assert missing["__typename"] == "CardNotFound"
        foreign = await sell(till, package, cardId=elsewhere.card_id)
        assert foreign["__typename"] == "CardNotFound"
        assert await sell(till, package, cardId=None) == "BAD_USER_INPUT"
        assert await sell(till, package, methodCode=None) == "BAD_USER_INPUT"
        unknown = await sell(till, package, methodCode="beads")
        assert unknown["__typename"] == "PaymentMethodUnknown"
        tea = a_sale(till, package, terminalId=till.other_terminal_id)
        assert await till.as_staff(SELL, who=till.shop.cashier, input=tea) == "FORBIDDEN"
        assert (await elsewhere.as_member(MINE))["edges"] == []
    by_cashier = await till.as_staff(SELL, who=till.shop.cashier, input=a_sale(till, package))
    assert by_cashier["__typename"] == "OrderSold"
