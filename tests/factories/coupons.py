"""Coupon templates, packs and coupons (CPN-1…CPN-4)."""

from datetime import datetime
from typing import Any

from app.core.db import Transaction, light
from app.core.ids import new_id, type_id
from app.models.coupons import (
    CouponKind,
    CouponPack,
    CouponPackItem,
    CouponTemplate,
    CouponTerms,
    TemplateState,
)
from app.models.organisation import Node
from app.services import scopes
from app.services.coupons import validity, values
from app.services.coupons.validity import DaysFromReceipt, Validity
from app.services.coupons.values import Benefit, CashOff
from app.services.scopes import ScopeRules
from tests.factories.cards import Counter

TEN_OFF = CashOff(10_00)
ANYWHERE = ScopeRules()
THIRTY_DAYS = DaysFromReceipt(0, 30, "Asia/Shanghai")


def some_terms(benefit: Benefit = TEN_OFF, /, **more: Any) -> CouponTerms:
    """Terms that stand in no database: 10.00 CNY off unless said otherwise."""
    given: dict[str, Any] = {
        "kind": values.KIND_OF[type(benefit)],
        "currency": "CNY",
        "scope_id": new_id(),
        "title": "A coupon",
        "benefit": values.to_json(benefit),
        "fields": [],
    }
    return light(CouponTerms)(**(given | more))


async def a_template(
    tx: Transaction,
    /,
    *,
    perspective: Node,
    now: datetime,
    benefit: Benefit = TEN_OFF,
    valid: Validity = THIRTY_DAYS,
    scope: ScopeRules = ANYWHERE,
    title: str = "10 off",
    **more: Any,
) -> CouponTemplate:
    """An active template: 10.00 CNY off for thirty days from receipt, without end of stock."""
    used_where = await scopes.create(tx, perspective=perspective, rules=scope)
    terms = some_terms(benefit, scope_id=used_where.id, title=title)
    given: dict[str, Any] = {
        "group_id": perspective.group_id,
        "perspective_id": perspective.id,
        "kind": CouponKind(terms.kind),
        "currency": "CNY",
        "state": TemplateState.ACTIVE,
        "name": title,
        "terms_id": terms.id,
        "validity": validity.to_json(valid),
        "created_at": now,
        "changed_at": now,
    }
    template = light(CouponTemplate)(**(given | more))
    await tx.insert(terms, template)
    return template


async def a_pack(
    tx: Transaction,
    /,
    *,
    perspective: Node,
    of: list[tuple[CouponTemplate, int]],
    now: datetime,
    **more: Any,
) -> CouponPack:
    """An active pack of so many coupons of each template."""
    given: dict[str, Any] = {
        "group_id": perspective.group_id,
        "perspective_id": perspective.id,
        "state": TemplateState.ACTIVE,
        "name": "A pack",
        "title": "A pack",
        "created_at": now,
        "changed_at": now,
    }
    pack = light(CouponPack)(**(given | more))
    items = [
        light(CouponPackItem)(
            pack_id=pack.id, template_id=template.id, position=position, number=number
        )
        for position, (template, number) in enumerate(of)
    ]
    await tx.insert(pack, *items)
    return pack


REFUSED = """... on Problem { message } ... on CouponUsed { usedAt }
  ... on CouponExpired { expiredAt }
  ... on CouponNotYetValid { validFrom } ... on CouponLocked { until }
  ... on NotAvailable { reason availableFrom } ... on BillTooSmall { shortBy { amount } }"""
EDITED = "... on EditedMeanwhile { currentVersion }"
TEMPLATE = """fragment template on CouponTemplate { id kind state name version
  stockLeft limitPerMember
  onlineOutsideId posOutsideId claimScope { channels }
  validity { __typename ... on CouponFixedDates { first last timeZone }
    ... on CouponDaysFromReceipt { effectiveAfterDays validDays timeZone } }
  terms { kind title subtitle colour currency minimumSpend { amount } items categories
    includesSubItems includesSideDishes fields { key value } instructions goodsLink image { url }
    scope { channels }
    benefit { __typename ... on CouponCash { amount { amount currency } }
      ... on CouponDiscount { offBasisPoints atMost { amount } }
      ... on CouponGiftItems { items quantity }
      ... on CouponFixedPrice { price { amount } items quantity } } } }"""
TAKEN = """... on CouponTaken { replayed coupon { id status maskedCode returnedAt endedAt }
  use { id state channel orderNumber outsideCouponId bill { amount } tookOff { amount currency }
    lockedUntil usedAt endedAt reason store { name } } }"""


def _template_mutation(name: str, of_input: str, refused: str = "") -> str:
    answer = f"__typename ...template ... on Problem {{ message }} {refused}"
    return f"mutation ($input: {of_input}!) {{ {name}(input: $input) {{ {answer} }} }} {TEMPLATE}"


def _till_mutation(name: str, refused: str = REFUSED) -> str:
    of_input = f"{name[0].upper()}{name[1:]}Input"
    return f"""mutation ($input: {of_input}!) {{ {name}(input: $input) {{ __typename {TAKEN}
      {refused} }} }}"""


CREATE = _template_mutation("couponTemplateCreate", "CouponTemplateCreateInput")
UPDATE = _template_mutation("couponTemplateUpdate", "CouponTemplateUpdateInput", EDITED)
SET_STOCK = _template_mutation("couponTemplateSetStock", "CouponTemplateSetStockInput", EDITED)
ACTIVATE = _template_mutation("couponTemplateActivate", "CouponTemplateMoveInput")
DEACTIVATE = _template_mutation("couponTemplateDeactivate", "CouponTemplateMoveInput")
ARCHIVE = _template_mutation("couponTemplateArchive", "CouponTemplateMoveInput")
ISSUE = """mutation ($input: CouponIssueInput!) { couponIssue(input: $input) { __typename
  ... on CouponsIssued { replayed coupons { id status maskedCode memberId packId cause validFrom
    validUntil terms { title } template { name } } } ... on Problem { message }
  ... on CouponsSoldOut { left } ... on CouponLimitReached { limit } } }"""
CLAIM = """mutation ($input: CouponClaimInput!) { couponClaim(input: $input) { __typename
  ... on CouponClaimed { replayed coupon { id status } } ... on Problem { message }
  ... on NotAvailable { reason availableFrom } ... on CouponLimitReached { limit } } }"""
TO_CLAIM = """query ($store: ID) { couponTemplatesToClaim(storeId: $store) {
  templateId availableFrom had
  limitPerMember terms { title } } }"""
MINE = """query ($status: CouponStatus, $first: Int = 20, $after: String) {
  coupons(status: $status, first: $first, after: $after) {
    edges { node { id status validFrom validUntil terms { title } } }
    pageInfo { hasNextPage endCursor } } }"""
SHOWN = """query ($id: ID!) { coupon(id: $id) { id status endedAt lockedUntil
  terms { title benefit { ... on CouponCash { amount { amount } } } scope { channels } }
  code { value formatted svg barcode } } }"""
LIST = """query ($filter: CouponFilter) { coupons(filter: $filter) { edges { node { id status
  maskedCode uses { state } } } } }"""
CHECK = f"""mutation ($input: CouponCheckInput!) {{ couponCheck(input: $input) {{ __typename
  ... on CouponChecked {{ takesOff {{ amount currency }} outsideId coupon {{ status }} }}
  {REFUSED} }} }}"""
LOCK = _till_mutation("couponLock")
USE = _till_mutation("couponUse")
RELEASE = _till_mutation("couponRelease", "... on Problem { message } ... on CouponUsed { usedAt }")
RETURN = _till_mutation(
    "couponReturn", "... on Problem { message } ... on CouponUseNotOpen { state }"
)


def template_input(counter: Counter, /, **more: Any) -> dict[str, Any]:
    """10.00 CNY off for thirty days from receipt, in the whole group."""
    given: dict[str, Any] = {
        "perspectiveId": type_id("node", counter.shop.places.group.id),
        "kind": "CASH",
        "currency": "CNY",
        "name": "Ten off",
        "title": "10 off",
        "benefit": {"cash": {"amount": 10_00}},
        "validity": {"fromReceipt": {"validDays": 30, "timeZone": "Asia/Shanghai"}},
    }
    return given | more


def a_bill(total: int, *lines: dict[str, Any], currency: str = "CNY") -> dict[str, Any]:
    return {"total": {"amount": total, "currency": currency}, "lines": list(lines)}


async def template_of(counter: Counter, /, **more: Any) -> Any:
    """An active template, as the mutation answers it."""
    made = await counter.as_staff(CREATE, input=template_input(counter, **more))
    assert made["__typename"] == "CouponTemplate", made
    active = await counter.as_staff(ACTIVATE, input={"id": made["id"]})
    assert active["state"] == "ACTIVE", active
    return active


async def issued(counter: Counter, template: Any, /, **gift: Any) -> Any:
    """A coupon of a template that staff gave the shop's member, as the member sees it."""
    answer = await counter.as_staff(
        ISSUE,
        input={
            "cardId": counter.card_id,
            "gift": {"templateId": template["id"]} | gift,
            "requestKey": new_id().hex,
        },
    )
    assert answer["__typename"] == "CouponsIssued", answer
    return await counter.as_member(SHOWN, id=answer["coupons"][0]["id"])


def at_till(counter: Counter, coupon: Any, /, **more: Any) -> dict[str, Any]:
    """What the coffee store's till says to take a coupon for a bill of 50.00 CNY."""
    given: dict[str, Any] = {
        "terminalId": counter.terminal_id,
        "code": coupon["code"]["value"],
        "orderNumber": "A-1",
        "requestKey": new_id().hex,
        "bill": a_bill(50_00),
    }
    return {name: value for name, value in (given | more).items() if value is not None}
