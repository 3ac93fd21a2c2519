"""BEN-1, BEN-3, BEN-4, BEN-6: ten types with fields, kept by staff, granted and lost."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from app.core.db import Database, statement
from app.core.ids import new_id, type_id
from app.models.benefits import BenefitSource
from app.models.operations import AuditRecord
from app.services import benefits
from tests.factories.benefits import (
    ACTIVATE,
    CAMPAIGN_CREATE,
    CAMPAIGN_MOVE,
    CAMPAIGN_UPDATE,
    CREATE,
    DEACTIVATE,
    DISCOUNT,
    DOUBLE,
    LIST,
    OF_CARD,
    UPDATE,
    Given,
    a_benefit,
    a_campaign,
    a_cart,
    active,
    an_edit,
    asked,
    benefits_stay,
    draft,
    gives,
    grant,
    names,
    node_id,
    obstacles,
    perk,
    set_expiry,
    set_validity,
)
from tests.factories.cards import Counter, a_scheme, a_tier, counter, the_card
from tests.factories.files import an_image
from tests.factories.races import beside, call
from tests.factories.scopes import a_tag
from tests.factories.spendings import Payer, merged_away
from tests.factories.staff import employee

pytestmark = pytest.mark.anyio

acts = statement(
    select(AuditRecord.action)
    .where(col(AuditRecord.object_kind) == "benefit")
    .order_by(col(AuditRecord.id)),
    into=str,
)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    """12:00 in UTC on Tuesday 1 September 2026: 20:00 in the shop."""
    return await counter(database, now)


async def test_ben_1_each_of_the_ten_types_has_fields_of_its_own(till: Counter) -> None:
    place = till.shop.places
    icon = await till.database.run(an_image, group_id=place.group.id, now=till.now)
    silver = await till.database.run(a_tier, scheme=till.shop.scheme, level=2, name="Silver")
    await till.database.run(
        lambda tx: tx.changed(set_validity, scheme_id=till.shop.scheme.id, new_days=365)
    )
    campaign = await a_campaign(till)
    tier_perks = [{"tierId": type_id("tier", silver.id), "perk": perk(3_000, 20_000, "Cake")}]
    fridays = {
        "timeZone": "Asia/Shanghai",
        "recurrence": {"kind": "WEEKLY", "days": [5]},
        "window": {"start": "22:00", "end": "02:00"},
    }
    to_campaign = {"campaign": {"name": "Seven days", "kind": "CHECK_IN", "isRunning": True}}
    special = {
        "perk": perk(1_000),
        "tierPerks": [{"tier": {"name": "Silver"}, "perk": tier_perks[0]["perk"]}],
    }
    given: list[tuple[str, Given, Given, Given]] = [
        ("MARKETING", {"marketing": {"campaignId": campaign["id"]}}, to_campaign, {}),
        ("PROMOTIONAL", {"promotional": {"campaignId": campaign["id"]}}, to_campaign, {}),
        (
            "MEMBER_PRICING",
            {"memberPricing": {"prices": [{"itemId": "LATTE", "price": 15_00}]}},
            {"prices": [{"itemId": "LATTE", "price": {"amount": 15_00, "currency": "CNY"}}]},
            {"currency": "CNY"},
        ),
        ("MEMBER_DISCOUNT", DISCOUNT, {"discountBasisPoints": 2_000}, {}),
        (
            "MEMBER_DAY",
            {"memberDay": {"schedule": fridays, "perk": perk(1_000), "tierPerks": tier_perks}},
            {
                "schedule": {
                    "timeZone": "Asia/Shanghai",
                    "recurrence": {"kind": "WEEKLY", "days": [5], "lastDay": False},
                    "window": {"start": "22:00", "end": "02:00"},
                },
                **special,
            },
            {},
        ),
        (
            "BIRTHDAY",
            {"birthday": {"period": "WEEK", "perk": perk(1_000), "tierPerks": tier_perks}},
            {"period": "WEEK", **special},
            {},
        ),
        ("POINTS_MULTIPLIER", DOUBLE, {"multiplierBasisPoints": 20_000}, {}),
        (
            "CARD_EXTENSION",
            {"cardExtension": {"days": 30}},
            {"days": 30},
            {"scope": {"schemeIds": [type_id("sch", till.shop.scheme.id)]}},
        ),
        (
            "EXCLUSIVE_SERVICE",
            {"exclusiveService": {"imageFileIds": [type_id("file", icon.id)]}},
            {"images": [{"url": type_id("file", icon.id), "width": 40, "height": 30}]},
            {},
        ),
        (
            "CUSTOM",
            {"custom": {"fields": [{"name": " Parking ", "value": "Two hours"}]}},
            {"fields": [{"name": "Parking", "value": "Two hours"}]},
            {},
        ),
    ]  # fmt: skip
    restricted = {
        "coversOutstanding": True,
        "coversDiscounted": True,
        "excludedItemIds": ["CAKE", "BREAD"],
        "excludedCategoryIds": ["gifts"],
    }
    for kind, details, shown, more in given:
        can_be = kind in benefits.checking.RESTRICTED
        made = await draft(
            till,
            details,
            name=f"  {kind} ",
            description="Line one\r\nline two",
            iconFileId=type_id("file", icon.id),
            restrictions=restricted if can_be else None,
            **more,
        )
        found = made.pop("details")
        assert found.pop("__typename").upper() == kind.replace("_", "") + "BENEFIT"
        if kind == "EXCLUSIVE_SERVICE":  # where the address begins is the setting's
            (image,) = found["images"]
            image["url"] = image["url"].rpartition("/")[2]
        assert found == shown, kind
        assert (made["kind"], made["state"], made["name"]) == (kind, "DRAFT", kind)
        assert (made["brief"], made["description"]) == ("For members.", "Line one\nline two")
        assert (made["icon"], made["version"], made["operatorName"]) == ({"width": 40}, 1, "王小明")
        assert made["restrictions"] == {
            "storedValueFrom": None,
            "coversOutstanding": can_be,
            "coversDiscounted": can_be,
            "excludedItemIds": ["BREAD", "CAKE"] if can_be else [],
            "excludedCategoryIds": ["gifts"] if can_be else [],
        }
        await till.as_staff(ACTIVATE, input={"id": made["id"]})
    card = await till.as_member(OF_CARD, id=till.card_id)
    held = {each["kind"]: each for each in card["benefits"]}
    assert list(held) == [kind for kind, *_ in given]  # a member sees the very same fields
    assert held["BIRTHDAY"]["details"]["tierPerks"] == special["tierPerks"]
    assert held["CUSTOM"]["source"] is None


async def test_ben_1_a_benefit_cannot_say_this(till: Counter) -> None:
    campaign = await a_campaign(till, name="For everybody", onlyAsMemberBenefit=False)
    scheme_id = type_id("sch", till.shop.scheme.id)
    bad: list[tuple[Given, Given]] = [
        ({"memberDiscount": {"discountBasisPoints": 0}}, {}),
        ({"memberDiscount": {"discountBasisPoints": 10_001}}, {}),
        ({"pointsMultiplier": {"multiplierBasisPoints": 10_000}}, {}),
        ({"pointsMultiplier": {"multiplierBasisPoints": 1_000_001}}, {}),
        ({"memberPricing": {"prices": []}}, {"currency": "CNY"}),
        ({"memberPricing": {"prices": [{"itemId": "A", "price": 1}]}}, {}),
        ({"memberPricing": {"prices": [{"itemId": "A", "price": -1}]}}, {"currency": "CNY"}),
        ({"memberPricing": {"prices": [{"itemId": "A", "price": 1}] * 2}}, {"currency": "CNY"}),
        ({"memberPricing": {"prices": [{"itemId": "A", "price": 1}]}}, {"currency": "XAU"}),
        (DISCOUNT, {"currency": "CNY"}),
        (DISCOUNT, {"name": " "}),
        (DISCOUNT, {"brief": "x" * 201}),
        (DISCOUNT, {"restrictions": {"storedValueFrom": 0}, "currency": "CNY"}),
        (DISCOUNT, {"restrictions": {"excludedItemIds": ["x" * 65]}}),
        ({"custom": {}}, {"restrictions": {"coversOutstanding": True}}),
        ({"custom": {"fields": [{"name": "a", "value": "b"}] * 2}}, {}),
        ({"birthday": {"period": "DAY", "perk": perk(-1)}}, {}),
        ({"birthday": {"period": "DAY", "perk": perk(times=9_999)}}, {}),
        ({"cardExtension": {"days": 0}}, {"scope": {"schemeIds": [scheme_id]}}),
        ({"cardExtension": {"days": 30}}, {}),
    ]  # fmt: skip
    elsewhere = {"tierId": type_id("tier", new_id()), "perk": perk()}
    of_nobody = {"birthday": {"period": "DAY", "perk": perk(), "tierPerks": [elsewhere]}}
    longer, these = {"cardExtension": {"days": 30}}, {"scope": {"schemeIds": [scheme_id]}}
    refused: list[tuple[Given, Given, str]] = [
        ({"marketing": {"campaignId": campaign["id"]}}, {}, "NotAMemberBenefit"),
        ({"promotional": {"campaignId": type_id("cmp", new_id())}}, {}, "CampaignNotFound"),
        (longer, these, "CardsNeverExpire"),
        (DISCOUNT, {"iconFileId": type_id("file", new_id())}, "FileNotFound"),
        (of_nobody, {}, "AudienceNotFound"),
        (DISCOUNT, {"perspectiveId": type_id("node", new_id())}, "NodeNotFound"),
    ]  # fmt: skip
    async with benefits_stay(till.database):
        for details, more in bad:
            answer = await till.as_staff(CREATE, input=a_benefit(till, details, **more))
            assert answer == "BAD_USER_INPUT", (details, more, answer)
        for details, more, problem in refused:
            answer = await till.as_staff(CREATE, input=a_benefit(till, details, **more))
            assert answer["__typename"] == problem, (details, answer)
        both = a_benefit(till, DISCOUNT | DOUBLE)
        assert isinstance(await till.as_staff(CREATE, input=both), str)
        # A cashier may read and not write, and staff of a brand write below it alone (ORG-1).
        cashier = till.shop.cashier
        assert (
            await till.as_staff(CREATE, who=cashier, input=a_benefit(till, DISCOUNT)) == "FORBIDDEN"
        )


async def test_ben_3_the_list_is_searched_edited_and_a_benefit_deactivated(till: Counter) -> None:
    given = a_benefit(till, DISCOUNT, name="20% off")
    made = await till.as_staff(CREATE, input=given)
    await active(till, DOUBLE, name="Double points")
    coffee = till.shop.places.coffee
    other = await till.database.run(employee, node=coffee, role="marketer", now=till.now)
    await till.database.run(
        lambda tx: tx.changed(
            statement(
                benefits.editing.Staff.__table__.update()  # type: ignore[attr-defined]
                .where(benefits.editing.Staff.__table__.c.id == other.staff.id)  # type: ignore[attr-defined]
                .values(name="Anna Lee")
            )
        )
    )
    below = a_benefit(till, {"custom": {}}, name="Free parking", perspectiveId=node_id(coffee))
    assert (await till.as_staff(CREATE, who=other, input=below))["operatorName"] == "Anna Lee"
    above = a_benefit(till, {"custom": {}})
    assert await till.as_staff(CREATE, who=other, input=above) == "FORBIDDEN"

    async def listed(**asked: Any) -> list[str]:
        found = await till.as_staff(LIST, **asked)
        return [edge["node"]["name"] for edge in found["edges"]]

    assert await listed() == ["Free parking", "Double points", "20% off"]
    assert await listed(search="0% O") == ["20% off"]
    assert await listed(search="%") == ["20% off"]
    assert await listed(kind="POINTS_MULTIPLIER") == ["Double points"]
    assert await listed(state="DRAFT") == ["Free parking", "20% off"]
    assert await listed(operator="anna") == ["Free parking"]
    assert await listed(operator="小明") == ["Double points", "20% off"]
    assert await listed(first=1) == ["Free parking"]
    page = await till.as_staff(LIST, first=2)
    assert await listed(after=page["pageInfo"]["endCursor"]) == ["20% off"]

    edit = an_edit(
        made, given, name="25% off", details={"memberDiscount": {"discountBasisPoints": 2_500}}
    )
    changed = await till.as_staff(UPDATE, input=edit)
    assert (changed["name"], changed["version"]) == ("25% off", 2)
    async with benefits_stay(till.database):
        stale = await till.as_staff(UPDATE, input=edit)
        assert (stale["__typename"], stale["currentVersion"]) == ("EditedMeanwhile", 2)
        other_type = edit | {"expectedVersion": 2, "details": DOUBLE}
        assert await till.as_staff(UPDATE, input=other_type) == "BAD_USER_INPUT"
        unmade = {"id": made["id"]}
        early = await till.as_staff(DEACTIVATE, input=unmade)
        assert (early["__typename"], early["current"]) == ("BenefitStateUnchangeable", "DRAFT")
        missing = await till.as_staff(ACTIVATE, input={"id": type_id("ben", new_id())})
        assert missing["__typename"] == "BenefitNotFound"

    assert await names(till) == ["Double points"]
    await till.as_staff(ACTIVATE, input=unmade)
    assert await names(till) == ["25% off", "Double points"]
    cart = a_cart(("LATTE", 40_00))
    assert (await gives(till, bill=cart))["25% off"] == (10_00, 0)
    # Edited while it is active, and lost at once, by who was given it as well.
    await till.database.run(
        grant, card_id=till.card_id, benefit=made, source_id=new_id(), now=till.now
    )
    edit = an_edit(
        changed | {"version": 3},
        given,
        name="Half",
        details={"memberDiscount": {"discountBasisPoints": 5_000}},
    )
    assert (await till.as_staff(UPDATE, input=edit))["__typename"] == "Benefit"
    answer = await asked(till, bill=cart)
    told = [(each["benefit"], each["gives"]["off"]["amount"]) for each in answer["holding"]]
    assert [(of["name"], of["source"], amount) for of, amount in told] == [
        ("25% off", "PACKAGE", 10_00),
        ("Half", None, 20_00),
        ("Double points", None, 0),
    ]
    assert (await till.as_staff(DEACTIVATE, input=unmade))["state"] == "INACTIVE"
    assert await names(till) == ["Double points"]
    assert list(await gives(till, bill=cart)) == ["Double points"]
    await till.as_staff(ACTIVATE, input=unmade)
    assert await names(till) == ["25% off", "Half", "Double points"]
    done = await till.database.read(lambda tx: tx.all(acts))
    assert [action.removeprefix("benefit.") for action in done] == [
        *("create", "create", "activate", "create", "update", "activate", "update"),
        *("deactivate", "activate"),
    ]


async def test_ben_4_only_as_member_benefit_is_fixed_and_only_such_are_linked(
    till: Counter,
) -> None:
    made = await a_campaign(till, state="DRAFT")
    edit = {"id": made["id"], "expectedVersion": 1, "name": "Ten days"}
    async with benefits_stay(till.database):
        fixed = await till.as_staff(CAMPAIGN_UPDATE, input=edit | {"onlyAsMemberBenefit": False})
        assert fixed == {"__typename": "MemberBenefitFixed", "onlyAsMemberBenefit": True}
        taken = {
            "perspectiveId": node_id(till.shop.places.group),
            "kind": "LUCKY_DRAW",
            "name": "Seven days",
        }
        assert (await till.as_staff(CAMPAIGN_CREATE, input=taken))[
            "__typename"
        ] == "CampaignNameTaken"
    renamed = await till.as_staff(CAMPAIGN_UPDATE, input=edit | {"onlyAsMemberBenefit": True})
    assert (renamed["name"], renamed["version"]) == ("Ten days", 2)
    await active(till, {"promotional": {"campaignId": made["id"]}})
    assert await obstacles(till) == {"promotional": ("CAMPAIGN_NOT_RUNNING", None)}

    async def moved(state: str) -> Any:
        return await till.as_staff(CAMPAIGN_MOVE, input={"id": made["id"], "state": state})

    assert (await moved("PAUSED"))["current"] == "DRAFT"
    assert (await moved("ACTIVE"))["state"] == "ACTIVE"
    assert await obstacles(till) == {}
    assert (await moved("PAUSED"))["state"] == "PAUSED"
    assert (await moved("ENDED"))["state"] == "ENDED"
    assert (await moved("ACTIVE"))["current"] == "ENDED"
    assert await obstacles(till) == {"promotional": ("CAMPAIGN_NOT_RUNNING", None)}


async def test_ben_1_scheme_tier_store_channel_and_schedule_scope_a_benefit(till: Counter) -> None:
    place = till.shop.places
    scheme = await till.database.run(a_scheme, perspective=place.group, now=till.now)
    tag = await till.database.run(a_tag, group_id=place.group.id, now=till.now)
    opens = (till.now + timedelta(days=1)).isoformat()
    scopes: dict[str, Given] = {
        "tea": {"includedNodeIds": [node_id(place.tea)]},
        "online": {"channels": ["ONLINE"]},
        "other cards": {"schemeIds": [type_id("sch", scheme.id)]},
        "own tier": {"tierIds": [type_id("tier", till.shop.card.tier_id)]},
        "tagged": {"tagIds": [type_id("tag", tag.id)]},
        "tomorrow": {"schedule": {"timeZone": "UTC", "startsAt": opens}},
        "over": {"schedule": {"timeZone": "UTC", "endsAt": till.now.isoformat()}},
    }
    for name, scope in scopes.items():
        await active(till, {"custom": {}}, name=name, scope=scope)
    expected = {
        "tea": ("WRONG_STORE", None),
        "online": ("WRONG_CHANNEL", None),
        "other cards": ("NOT_FOR_THIS_MEMBER", None),
        "tomorrow": ("NOT_OPEN", opens),
        "over": ("ENDED", None),
    }
    assert await obstacles(till) == expected  # the staff's words about people stay theirs
    assert await obstacles(till, as_staff=True) == expected | {
        "tagged": ("NOT_FOR_THIS_MEMBER", None)
    }
    assert [e["benefit"]["name"] for e in (await asked(till))["holding"]] == ["own tier"]
    assert await names(till) == ["tea", "online", "own tier", "tomorrow", "over"]


async def test_ben_6_a_grant_keeps_the_details_of_its_day_until_it_ends(till: Counter) -> None:
    given = a_benefit(
        till,
        DISCOUNT,
        scope={
            "tierIds": [
                type_id(
                    "tier",
                    (
                        await till.database.run(
                            a_tier, scheme=till.shop.scheme, level=2, name="Gold"
                        )
                    ).id,
                )
            ]
        },
    )
    made = await till.as_staff(CREATE, input=given)
    await till.as_staff(ACTIVATE, input={"id": made["id"]})
    assert await names(till) == []
    source_id, ends_at = new_id(), till.now + timedelta(days=3)

    async def give(tx: Any, now: datetime) -> Any:
        return await grant(
            tx, card_id=till.card_id, benefit=made, source_id=source_id,
            starts_at=till.now + timedelta(days=1), ends_at=ends_at, now=now,
        )  # fmt: skip

    first = await till.database.run(give, till.now)
    again = await till.database.run(give, till.now + timedelta(hours=1))
    assert again == first  # once for each source
    edit = an_edit(
        made | {"version": 2}, given, details={"memberDiscount": {"discountBasisPoints": 9_000}}
    )
    assert (await till.as_staff(UPDATE, input=edit))["__typename"] == "Benefit"
    begins = (till.now + timedelta(days=1)).isoformat()
    withheld = (await asked(till))["withheld"]
    assert [each["obstacle"]["availableFrom"] for each in withheld] == [begins, None]
    later = till.later(days=2)
    assert await gives(later, bill=a_cart(("A", 10_00))) == {"memberDiscount": (2_00, 0)}
    assert await names(later) == ["memberDiscount"]
    assert await names(till.later(days=3)) == []  # its last moment is before the end
    ended = await later.database.run(
        benefits.end_grants, source=BenefitSource.PACKAGE, source_id=source_id, now=later.now
    )
    assert ended == 1
    assert await names(later) == []
    assert await gives(later, bill=a_cart(("A", 10_00))) == {}
    ended = await later.database.run(
        benefits.end_grants, source=BenefitSource.PACKAGE, source_id=source_id, now=later.now
    )
    assert ended == 0


async def test_ben_1_an_extension_prolongs_a_card_once_and_goes_as_far_as_it_is_unused(
    till: Counter,
) -> None:
    scheme_id = till.shop.scheme.id
    await till.database.run(lambda tx: tx.changed(set_validity, scheme_id=scheme_id, new_days=10))
    extension = {"cardExtension": {"days": 30}}
    made = await active(till, extension, scope={"schemeIds": [type_id("sch", scheme_id)]})
    assert await obstacles(till) == {"cardExtension": ("CARD_NEVER_EXPIRES", None)}
    eternal = await till.database.run(
        grant, card_id=till.card_id, benefit=made, source_id=new_id(), now=till.now
    )
    assert eternal.extended_days == 0

    async def expiry(when: datetime | None = None) -> datetime | None:
        if when is not None:
            await till.database.run(
                lambda tx: tx.changed(set_expiry, card_id=till.shop.card.id, new_expires_at=when)
            )
        return (await till.database.read(the_card, till.card_id)).expires_at

    ends_at = till.now + timedelta(days=10)
    await expiry(ends_at)
    source_id = new_id()
    work = call(grant, card_id=till.card_id, benefit=made, source_id=source_id, now=till.now)
    both = await beside(till.database, work, before=benefits.granting.add_grant, second=work)
    assert both[0].id == both[1].id
    assert await expiry() == ends_at + timedelta(days=30)

    async def end(source: Any, now: datetime) -> int:
        return await till.database.run(
            benefits.end_grants, source=BenefitSource.PACKAGE, source_id=source, now=now
        )

    assert await end(source_id, till.now) == 1
    assert await expiry() == ends_at
    assert await end(source_id, till.now) == 0
    assert await expiry() == ends_at
    # Used for five days of its thirty: the card expires now, no earlier.
    second = new_id()
    await till.database.run(
        grant, card_id=till.card_id, benefit=made, source_id=second, now=till.now
    )
    later = ends_at + timedelta(days=5)
    assert await end(second, later) == 1
    assert await expiry() == later
    # Of a card that was merged since, the days were its own; what it was given is the other's.
    await expiry(ends_at)
    merged = new_id()
    await till.database.run(
        grant, card_id=till.card_id, benefit=made, source_id=merged, now=till.now
    )
    payer = Payer(till, till.shop.scheme, till.shop.card)
    into = await merged_away(payer)
    card = await till.as_staff(OF_CARD, id=type_id("card", into.id))
    assert [each["extendedDays"] for each in card["benefits"]] == [0, 30, 30, 0]
    lives_until = (await till.database.read(the_card, into.id)).expires_at
    assert await end(merged, till.now) == 1
    assert (await expiry(), (await till.database.read(the_card, into.id)).expires_at) == (
        ends_at,
        lives_until,
    )
    card = await till.as_staff(OF_CARD, id=type_id("card", into.id))
    # What ended five days after the card's end is held until then.
    assert [each["extendedDays"] for each in card["benefits"]] == [0, 30, 0]
