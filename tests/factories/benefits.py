"""Benefits, made through the admin API and asked for through both (BEN-1…BEN-4)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Database, Transaction, statement
from app.core.ids import parse_type_id, type_id
from app.models.benefits import Benefit, BenefitGrant, BenefitSource
from app.models.campaigns import Campaign
from app.models.cards import Card, Scheme
from app.models.members import Member
from app.models.organisation import Node
from app.services import benefits
from tests.factories.cards import Counter, the_card
from tests.factories.ledger import nothing_moves
from tests.factories.reading import every

Given = dict[str, Any]
DISCOUNT: Given = {"memberDiscount": {"discountBasisPoints": 2_000}}
DOUBLE: Given = {"pointsMultiplier": {"multiplierBasisPoints": 20_000}}
_DETAILS = """fragment details on BenefitDetails { __typename
  ... on MarketingBenefit { campaign { name kind isRunning } }
  ... on PromotionalBenefit { campaign { name kind isRunning } }
  ... on MemberPricingBenefit { prices { itemId price { amount currency } } }
  ... on MemberDiscountBenefit { discountBasisPoints }
  ... on MemberDayBenefit { schedule { timeZone recurrence { kind days lastDay }
      window { start end } } perk { ...perk } tierPerks { tier { name } perk { ...perk } } }
  ... on BirthdayBenefit { period perk { ...perk } tierPerks { tier { name } perk { ...perk } } }
  ... on PointsMultiplierBenefit { multiplierBasisPoints }
  ... on CardExtensionBenefit { days }
  ... on ExclusiveServiceBenefit { images { url width height } }
  ... on CustomBenefit { fields { name value } } }
fragment perk on BenefitPerk { discountBasisPoints multiplierBasisPoints note }
fragment restrictions on BenefitRestrictions { storedValueFrom { amount currency }
  coversOutstanding coversDiscounted excludedItemIds excludedCategoryIds }"""
_BENEFIT = (
    """fragment benefit on Benefit { id kind state name brief description currency version
  operatorName createdAt changedAt icon { width } perspective { name }
  details { ...details } restrictions { ...restrictions }
  scope { channels schemeIds tierIds tagIds includedNodeIds } } """
    + _DETAILS
)
_REFUSALS = """... on Problem { message } ... on NotAMemberBenefit { campaignId }
  ... on CardsNeverExpire { schemeId name }"""


def _mutation(name: str, refusals: str) -> str:
    answer = f"__typename ...benefit {refusals}"
    document = f"{name}(input: $input) {{ {answer} }}"
    return f"mutation ($input: {name[0].upper()}{name[1:]}Input!) {{ {document} }} {_BENEFIT}"


CREATE = _mutation(
    "benefitCreate", _REFUSALS.replace("... on EditedMeanwhile { currentVersion }", "")
)
UPDATE = _mutation("benefitUpdate", _REFUSALS + " ... on EditedMeanwhile { currentVersion }")
_MOVED = "... on Problem { message } ... on BenefitStateUnchangeable { current }"
ACTIVATE = _mutation("benefitActivate", _MOVED)
DEACTIVATE = _mutation("benefitDeactivate", _MOVED)
ONE = "query ($id: ID!) { benefit(id: $id) { ...benefit } } " + _BENEFIT
LIST = """query ($first: Int = 20, $after: String, $search: String, $kind: BenefitKind,
    $state: BenefitState, $operator: String) {
  benefits(first: $first, after: $after, search: $search, kind: $kind, state: $state,
    operator: $operator) { edges { node { name } } pageInfo { hasNextPage endCursor } } }"""
FOR = """query ($cardId: ID!, $context: BenefitContextInput!) {
  benefitsFor(cardId: $cardId, context: $context) { at
    holding { benefit { name kind source } gives { off { amount } multiplierBasisPoints
      extraPoints } }
    withheld { benefit { name } obstacle { reason availableFrom shortBy { amount } } } } }"""
OF_CARD = (
    """query ($id: ID!) { card(id: $id) { benefits { benefitId kind name brief description source
    startsAt endsAt extendedDays icon { width } details { ...details }
    restrictions { ...restrictions } } } } """
    + _DETAILS
)
CAMPAIGN = "fragment campaign on Campaign { id kind state name onlyAsMemberBenefit version }"
CAMPAIGN_CREATE = (
    "mutation ($input: CampaignCreateInput!) { campaignCreate(input: $input) { __typename"
    " ...campaign ... on Problem { message } } } " + CAMPAIGN
)
CAMPAIGN_UPDATE = (
    "mutation ($input: CampaignUpdateInput!) { campaignUpdate(input: $input) { __typename"
    " ...campaign ... on MemberBenefitFixed { onlyAsMemberBenefit }"
    " ... on EditedMeanwhile { currentVersion } } } " + CAMPAIGN
)
CAMPAIGN_MOVE = (
    "mutation ($input: CampaignMoveInput!) { campaignMove(input: $input) { __typename"
    " ...campaign ... on CampaignStateUnchangeable { current } } } " + CAMPAIGN
)

tables: list[Any] = [Benefit, BenefitGrant, Campaign]
_rows = [statement(select(table).order_by(table.id), into=table) for table in tables]
set_birthday = statement(
    update(Member)
    .where(col(Member.id) == bindparam("member_id"))
    .values(birthday=bindparam("new_birthday"))
)
set_validity = statement(
    update(Scheme)
    .where(col(Scheme.id) == bindparam("scheme_id"))
    .values(valid_days=bindparam("new_days"))
)
set_expiry = statement(
    update(Card)
    .where(col(Card.id) == bindparam("card_id"))
    .values(expires_at=bindparam("new_expires_at"))
)


def a_benefit(counter: Counter, details: dict[str, Any], /, **more: Any) -> dict[str, Any]:
    """A benefit of the whole group, named after its type."""
    content: dict[str, Any] = {
        "perspectiveId": type_id("node", counter.shop.places.group.id),
        "name": next(iter(details)),
        "brief": "For members.",
        "details": details,
    }
    return content | more


def perk(discount: int = 0, times: int = 10_000, note: str | None = None) -> Given:
    return {
        "discountBasisPoints": discount,
        "multiplierBasisPoints": times,
        "note": note,
    }


def an_edit(made: Any, given: dict[str, Any], /, **more: Any) -> dict[str, Any]:
    """What changes a benefit that was made of `given`, in its present version."""
    kept = {name: value for name, value in given.items() if name != "perspectiveId"}
    return kept | {"id": made["id"], "expectedVersion": made["version"]} | more


async def draft(counter: Counter, details: dict[str, Any], /, **more: Any) -> Any:
    made = await counter.as_staff(CREATE, input=a_benefit(counter, details, **more))
    assert isinstance(made, dict), made
    assert made["__typename"] == "Benefit", made
    return made


async def active(counter: Counter, details: dict[str, Any], /, **more: Any) -> Any:
    """A benefit that members enjoy, as the mutation answers it."""
    made = await draft(counter, details, **more)
    moved = await counter.as_staff(ACTIVATE, input={"id": made["id"]})
    assert moved["__typename"] == "Benefit", moved
    return moved


async def a_campaign(counter: Counter, /, state: str = "ACTIVE", **more: Any) -> Any:
    """A running campaign that is a member benefit."""
    content: dict[str, Any] = {
        "perspectiveId": type_id("node", counter.shop.places.group.id),
        "kind": "CHECK_IN",
        "name": "Seven days",
        "onlyAsMemberBenefit": True,
    }
    made = await counter.as_staff(CAMPAIGN_CREATE, input=content | more)
    assert made["__typename"] == "Campaign", made
    if state == "DRAFT":
        return made
    return await counter.as_staff(CAMPAIGN_MOVE, input={"id": made["id"], "state": state})


def a_cart(*lines: tuple[str, int], outstanding: int | None = None, **more: Any) -> dict[str, Any]:
    """A bill of (item, amount); `more` says the category of each item by its id."""
    return {
        "currency": "CNY",
        "outstanding": outstanding,
        "lines": [
            {"itemId": item, "amount": amount, "categoryId": more.get(item)}
            for item, amount in lines
        ],
    }


async def asked(counter: Counter, /, as_staff: bool = False, **context: Any) -> Any:
    """What `benefitsFor` answers for the shop's card, at a till unless it says otherwise."""
    found = {
        "channel": "POS",
        "storeId": type_id("node", counter.shop.store.id),
    } | context
    ask = counter.as_staff if as_staff else counter.as_member
    return await ask(FOR, cardId=counter.card_id, context=found)


async def gives(counter: Counter, /, **context: Any) -> dict[str, tuple[int, int]]:
    """What comes off and the points on top, of each benefit that holds, by its name."""
    answer = await asked(counter, **context)
    return {
        each["benefit"]["name"]: (each["gives"]["off"]["amount"], each["gives"]["extraPoints"])
        for each in answer["holding"]
    }


async def obstacles(counter: Counter, /, **context: Any) -> dict[str, tuple[str, Any]]:
    """Why benefits do not hold: the reason, and when they do or what is missing."""
    found = {}
    for each in (await asked(counter, **context))["withheld"]:
        why = each["obstacle"]
        short = why["shortBy"] and why["shortBy"]["amount"]
        found[each["benefit"]["name"]] = (why["reason"], why["availableFrom"] or short)
    return found


async def names(counter: Counter) -> list[str]:
    """The benefits the card has."""
    card = await counter.as_member(OF_CARD, id=counter.card_id)
    return [each["name"] for each in card["benefits"]]


async def grant(
    tx: Transaction,
    *,
    card_id: UUID | str,
    benefit: Any,
    source_id: UUID,
    ends_at: datetime | None = None,
    starts_at: datetime | None = None,
    now: datetime,
) -> BenefitGrant:
    """Give a card a benefit as a package does."""
    return await benefits.grant(
        tx,
        card=await the_card(tx, card_id),
        benefit_id=parse_type_id("ben", benefit["id"]),
        source=BenefitSource.PACKAGE,
        source_id=source_id,
        starts_at=starts_at or now,
        ends_at=ends_at,
        now=now,
    )


async def born(tx: Transaction, *, member_id: UUID, on: str | None) -> None:
    await tx.changed(set_birthday, member_id=member_id, new_birthday=on)


def node_id(node: Node) -> str:
    return type_id("node", node.id)


@asynccontextmanager
async def benefits_stay(database: Database) -> AsyncIterator[None]:
    """What happens within is refused: nothing is different afterwards."""
    before = [await every(database, rows) for rows in _rows]
    async with nothing_moves(database):
        yield
    assert [await every(database, rows) for rows in _rows] == before
