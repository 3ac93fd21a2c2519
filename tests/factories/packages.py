"""Paid packages: drafted, sold and owned through both schemas (BEN-5…BEN-9)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import col, select

from app.core.db import Database, Transaction, light, statement
from app.core.ids import new_id, type_id
from app.models.benefits import Benefit, BenefitGrant, BenefitKind, BenefitState
from app.models.coupons import Coupon
from app.models.orders import Order
from app.models.organisation import Node
from app.models.packages import (
    Agreement,
    AgreementAcceptance,
    AgreementVersion,
    OwnedPackage,
    Package,
    PackageSettings,
)
from app.models.sessions import PrincipalKind
from app.services import scopes
from app.services.benefits.details import NO_RESTRICTIONS
from app.services.scopes import ScopeRules
from tests.factories.cards import Counter
from tests.factories.coupons import a_template
from tests.factories.ledger import nothing_moves
from tests.factories.reading import every
from tests.factories.staff import Employee

PACKAGE = """fragment package on Package { id name tag description currency state version
  perspective { name } scope { channels forStudents } cover { width } icon { width }
  rules { duration { count unit } original { amount } firstPurchase { amount }
    repeatPurchase { amount } earlyRenewal { amount }
    limited { price { amount } startsAt endsAt } }
  contents { kind name description rules points moment benefit { id } tier { name }
    gifts { templateId packId count } }
  purchaseAgreement { agreementId version title body } termsOfUse { version } faq { version } }"""
PROBLEMS = """... on Problem { message } ... on TooManySalesRules { given atMost }
  ... on BenefitOfOtherKind { kind }"""
CREATE = f"""mutation ($input: PackageCreateInput!) {{ packageCreate(input: $input) {{ __typename
  ...package {PROBLEMS} }} }} {PACKAGE}"""
UPDATE = f"""mutation ($input: PackageUpdateInput!) {{ packageUpdate(input: $input) {{ __typename
  ...package {PROBLEMS} ... on EditedMeanwhile {{ currentVersion }} }} }} {PACKAGE}"""
ONE = f"query ($id: ID!) {{ package(id: $id) {{ ...package }} }} {PACKAGE}"
LIST = """query ($first: Int = 20, $after: String, $state: PackageState, $search: String) {
  packages(first: $first, after: $after, state: $state, search: $search) {
    edges { node { name } } pageInfo { hasNextPage endCursor } } }"""


def _move(name: str) -> str:
    return f"""mutation ($id: ID!) {{ package{name}(input: {{id: $id}}) {{ __typename
      ... on Package {{ id state version }} ... on PackageStateUnchangeable {{ current }} }} }}"""


ACTIVATE, DEACTIVATE, ARCHIVE = (_move(name) for name in ("Activate", "Deactivate", "Archive"))
SETTINGS_SET = """mutation ($version: Int!, $rule: ValidityRule!) {
  packageSettingsSet(input: {expectedVersion: $version, validityRule: $rule}) { __typename
    ... on PackageSettings { validityRule version } ... on EditedMeanwhile { currentVersion } } }"""
SETTINGS = "{ packageSettings { validityRule version } }"
AGREE = """mutation ($input: AgreementCreateInput!) { agreementCreate(input: $input) { __typename
  ... on Agreement { id kind title version text { body } } } }"""
REVISE = """mutation ($input: AgreementReviseInput!) { agreementRevise(input: $input) { __typename
  ... on Agreement { id version title text { body version } }
  ... on EditedMeanwhile { currentVersion } } }"""

OWNED = """fragment owned on OwnedPackage { id packageId name state price { amount } priceReason
  isFirst isRenewal duration { count unit } boughtAt startsAt endsAt endedAt cardId
  contents { kind points benefit { id } gifts { count } tier { name } }
  acceptances { agreementId version title body acceptedAt } order { id state } }"""
BUYING_PROBLEMS = """... on Problem { message } ... on NotAvailable { reason availableFrom }
  ... on PackagePriceChanged { price { amount } priceReason }
  ... on AgreementChanged { current { agreementId version body } }
  ... on PackageOpensNoCard { openingPackageId } ... on WrongCurrency { expected }"""
SELL = f"""mutation ($input: PackageSellInput!) {{ packageSell(input: $input) {{ __typename
  ... on OrderSold {{ replayed order {{ id state amount {{ amount }} cardId }} }}
  {BUYING_PROBLEMS} }} }}"""
ORDER = f"""mutation ($input: PackageOrderInput!) {{ packageOrder(input: $input) {{ __typename
  ... on OrderPlaced {{ replayed
    order {{ id state amount {{ amount }} cardId payment {{ provider reference status }} }} }}
  {BUYING_PROBLEMS} }} }}"""
REFUND = """mutation ($input: OrderRefundInput!) { orderRefund(input: $input) { __typename
  ... on OrderRefunded { replayed order { id state refundedAmount { amount } } }
  ... on VoucherUsed { used } ... on RenewedAlready { renewalId } ... on PackageOver { endedAt }
  ... on OrderNotRefundable { state } ... on Problem { message } } }"""
MINE = f"""query ($state: OwnedState) {{ ownedPackages(state: $state) {{
  edges {{ node {{ ...owned }} }} }} }} {OWNED}"""
OWNERS = f"""query ($package: ID, $member: ID) {{
  ownedPackages(packageId: $package, memberId: $member) {{ edges {{ node {{ ...owned }} }} }} }}
  {OWNED}"""
OFFERS = """query ($card: ID, $scheme: ID, $store: ID) {
  packageOffers(cardId: $card, schemeId: $scheme, storeId: $store) {
    package { id name currency faq { body } }
    rules { rule price { amount } priceReason original { amount } startsAt endsAt
      duration { count unit } }
    notAvailable { reason availableFrom } } }"""
SALES = """query ($id: ID!, $from: DateTime, $to: DateTime) {
  packageSales(id: $id, paidFrom: $from, paidTo: $to) {
    sold refunded revenue { amount currency } buyers } }"""
SALES_BY_STORE = """query ($id: ID!, $first: Int = 20, $after: String) {
  packageSalesByStore(id: $id, first: $first, after: $after) {
    edges { node { store { name } sales { sold refunded revenue { amount } buyers } } }
    pageInfo { hasNextPage endCursor } } }"""
SET_OPENING = """mutation ($input: SchemeSetOpeningInput!) { schemeSetOpening(input: $input) {
  __typename ... on Scheme { openingPackageId openingCouponPackId } } }"""

_tables: list[Any] = [
    Agreement, AgreementAcceptance, AgreementVersion, BenefitGrant, Coupon, Order,
    OwnedPackage, Package, PackageSettings,
]  # fmt: skip
_kept = [statement(select(table).order_by(table.id), into=table) for table in _tables]
owned_rows = statement(select(OwnedPackage).order_by(col(OwnedPackage.id)), into=OwnedPackage)
grant_rows = statement(select(BenefitGrant).order_by(col(BenefitGrant.id)), into=BenefitGrant)
coupon_rows = statement(select(Coupon).order_by(col(Coupon.id)), into=Coupon)


def a_rule(original: int = 199_00, days: int = 3, **prices: Any) -> dict[str, Any]:
    """A sales rule: three days for 199.00."""
    return {"duration": {"count": days, "unit": "DAYS"}, "original": original} | prices


def a_package(counter: Counter, /, **more: Any) -> dict[str, Any]:
    """A package of the whole group, in CNY, for three days."""
    package: dict[str, Any] = {
        "perspectiveId": type_id("node", counter.shop.places.group.id),
        "currency": "CNY",
        "name": "Premium",
        "rules": [a_rule()],
    }
    return package | more


async def draft(counter: Counter, /, **more: Any) -> Any:
    """A package that nobody can buy yet, as the mutation answers it."""
    made = await counter.as_staff(CREATE, input=a_package(counter, **more))
    assert isinstance(made, dict), made
    assert made["__typename"] == "Package", made
    return made


async def package_of(counter: Counter, /, **more: Any) -> Any:
    """A package on sale, as it was drafted."""
    made = await draft(counter, **more)
    assert (await counter.as_staff(ACTIVATE, id=made["id"]))["state"] == "ACTIVE"
    return made | {"version": made["version"] + 1}


def a_sale(counter: Counter, package: Any, price: int = 199_00, /, **more: Any) -> dict[str, Any]:
    """What a till asks: the first sales rule, paid in cash, for the card."""
    asked: dict[str, Any] = {
        "terminalId": counter.terminal_id,
        "packageId": package["id"],
        "rule": 0,
        "price": {"amount": price, "currency": "CNY"},
        "cardId": counter.card_id,
        "methodCode": "cash" if price else None,
        "requestKey": new_id().hex,
    }
    return asked | more


async def sell(counter: Counter, package: Any, price: int = 199_00, /, **more: Any) -> Any:
    """Sell a package at the till; what the mutation answers."""
    return await counter.as_staff(SELL, input=a_sale(counter, package, price, **more))


async def sold(counter: Counter, package: Any, price: int = 199_00, /, **more: Any) -> Any:
    """The order of a package that was sold at the till."""
    answer = await sell(counter, package, price, **more)
    assert isinstance(answer, dict), answer
    assert answer["__typename"] == "OrderSold", answer
    return answer["order"]


async def refund(
    counter: Counter,
    order_id: str,
    /,
    route: str = "OFFLINE",
    *,
    who: Employee | None = None,
    **more: Any,
) -> Any:
    """Give an order back; what the mutation answers."""
    asked: dict[str, Any] = {
        "id": order_id,
        "route": route,
        "reason": "Changed their mind",
        "methodCode": "cash" if route == "OFFLINE" else None,
        "requestKey": new_id().hex,
    }
    return await counter.as_staff(REFUND, who=who, input=asked | more)


async def mine(counter: Counter, /, **more: Any) -> list[Any]:
    """The member's packages, newest first."""
    found = await counter.as_member(MINE, **more)
    return [edge["node"] for edge in found["edges"]]


async def offered(counter: Counter, /, **more: Any) -> Any:
    """What the member is offered for the card."""
    return await counter.as_member(OFFERS, card=counter.card_id, **more)


async def priced(counter: Counter) -> list[tuple[int, str]]:
    """The price of each sales rule of the only package on offer, and which it is."""
    (offer,) = await offered(counter)
    return [(rule["price"]["amount"], rule["priceReason"]) for rule in offer["rules"]]


async def a_benefit(
    tx: Transaction, *, perspective: Node, kind: BenefitKind, details: dict[str, Any], now: datetime
) -> Benefit:
    """An active benefit of a type, for everybody."""
    scope = await scopes.create(tx, perspective=perspective, rules=ScopeRules())
    benefit: Benefit = light(Benefit)(
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        scope_id=scope.id,
        kind=kind,
        state=BenefitState.ACTIVE,
        name=kind.value.title(),
        brief="A benefit",
        currency="CNY",
        details=details,
        restrictions=NO_RESTRICTIONS.document(),
        multiplies_points=kind is BenefitKind.POINTS_MULTIPLIER,
        operator_kind=PrincipalKind.STAFF,
        operator_id=new_id(),
        created_at=now,
        changed_at=now,
    )
    await tx.insert(benefit)
    return benefit


@dataclass(frozen=True)
class Goods:
    """What packages of these tests bring: a coupon, a discount, double points."""

    coupon_id: str
    discount_id: str
    multiplier_id: str

    def gift(self, kind: str, /, points: int = 0, **more: Any) -> dict[str, Any]:
        """A gift of one coupon and perhaps points."""
        return {"kind": kind, "points": points, "gifts": [{"templateId": self.coupon_id}]} | more


async def goods(counter: Counter) -> Goods:
    group, database = counter.shop.places.group, counter.database
    made: dict[str, Any] = {"perspective": group, "now": counter.now}
    template = await database.run(a_template, **made)
    discount, multiplier = [
        await database.run(a_benefit, kind=kind, details=details, **made)
        for kind, details in (
            (BenefitKind.MEMBER_DISCOUNT, {"discount_bp": 1_000}),
            (BenefitKind.POINTS_MULTIPLIER, {"multiplier_bp": 20_000}),
        )
    ]
    return Goods(
        coupon_id=type_id("ctpl", template.id),
        discount_id=type_id("ben", discount.id),
        multiplier_id=type_id("ben", multiplier.id),
    )


async def agreement(counter: Counter, kind: str = "PURCHASE", body: str = "Buy.") -> Any:
    """An agreement of the group, as the mutation answers it."""
    group_id = type_id("node", counter.shop.places.group.id)
    given = {"perspectiveId": group_id, "kind": kind, "title": f"A {kind}", "body": body}
    made = await counter.as_staff(AGREE, input=given)
    assert made["__typename"] == "Agreement", made
    return made


@asynccontextmanager
async def packages_stay(database: Database) -> AsyncIterator[None]:
    """What happens within is refused: nothing is different afterwards."""
    before = [await every(database, rows) for rows in _kept]
    async with nothing_moves(database):
        yield
    assert [await every(database, rows) for rows in _kept] == before
