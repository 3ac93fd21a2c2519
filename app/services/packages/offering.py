"""What a member is offered, at which price, and whether one sale can be made (BEN-5, BEN-7)."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam
from sqlmodel import col, func, select

from app.core.db import Statement, Transaction, any_of, statement
from app.core.errors import BadInput, DomainError
from app.core.money import Money
from app.models.cards import Card, Scheme
from app.models.members import Member
from app.models.orders import Order, OrderKind, OrderState
from app.models.organisation import Node
from app.models.packages import OwnedPackage, OwnedState, Package, PackageState, ValidityRule
from app.models.scopes import Channel
from app.services import ledger, members, organisation, purchases, schemes, scopes
from app.services.packages import contents, editing, rules, settings
from app.services.packages.rules import History, Period, Price, SalesRule
from app.services.scopes import Circumstances, LoadedScope, NotAvailable, Obstacle, ObstacleReason

OFFERS_MAX = 200


def _on_sale(*conditions: Any) -> Statement[Package]:
    return statement(
        select(Package)
        .where(
            col(Package.group_id) == bindparam("group_id"),
            col(Package.state) == PackageState.ACTIVE,
            col(Package.currency) == bindparam("currency"),
            *conditions,
        )
        .order_by(col(Package.id))
        .limit(OFFERS_MAX),
        into=Package,
    )


packages_on_sale = _on_sale()
# At a till the packages of other stores, of which there may be thousands, are not even looked at.
packages_on_sale_at_store = _on_sale(any_of(col(Package.perspective_id), "perspective_ids"))
# One that waits to be paid counts too: of several begun at once only one is the first. So does one
# that was given back: its first price and gifts were had.
ordered_before = statement(
    select(Order.product_id)
    .distinct()
    .where(
        col(Order.member_id).in_(members.own_records),
        any_of(col(Order.product_id), "package_ids"),
        col(Order.kind) == OrderKind.PACKAGE,
        col(Order.state) != OrderState.CANCELLED,
    ),
    into=UUID,
)
# What came by another way than an order of its own: out of the points mall.
owned_before = statement(
    select(OwnedPackage.package_id)
    .distinct()
    .where(
        col(OwnedPackage.member_id).in_(members.own_records),
        any_of(col(OwnedPackage.package_id), "package_ids"),
    ),
    into=UUID,
)


class Running(NamedTuple):
    """Until when a card has a package, renewals included."""

    package_id: UUID
    ends_at: datetime


running_on_card = statement(
    select(OwnedPackage.package_id, func.max(OwnedPackage.ends_at).label("ends_at"))
    .where(
        col(OwnedPackage.card_id).in_(ledger.own_and_absorbed),
        any_of(col(OwnedPackage.package_id), "package_ids"),
        col(OwnedPackage.state) != OwnedState.REFUNDED,
        col(OwnedPackage.ends_at) > bindparam("now"),
    )
    .group_by(col(OwnedPackage.package_id)),
    into=Running,
)


class PackageNotOnSale(DomainError):
    """A package that is no longer, or not yet, active."""

    def __init__(self, state: PackageState) -> None:
        self.state = state
        super().__init__("This package is not on sale.")


class PriceChanged(DomainError):
    """Another price applies than the one the buyer was shown (BEN-5)."""

    def __init__(self, price: Price, currency: str) -> None:
        self.price = price
        self.currency = currency
        super().__init__(f"The price is {Money(price.amount, currency)} now.")


class RuleOffered(NamedTuple):
    """A sales rule for one member: its price, and the time if it were paid now."""

    rule: SalesRule
    price: Price
    period: Period


class Offered(NamedTuple):
    """A package a member can buy, or with `obstacle` could when it opens."""

    package: Package
    rules: list[RuleOffered]
    obstacle: Obstacle | None
    history: History


class Sale(NamedTuple):
    """One sale that can be made."""

    package: Package
    rule: SalesRule
    price: Price
    history: History


class Buyer(NamedTuple):
    """For whom, and for which card; a card that buying opens is not there yet (CRD-9)."""

    member: Member
    card: Card | None
    scheme: Scheme


async def offered(
    tx: Transaction, *, buyer: Buyer, store: Node | None, channel: Channel, now: datetime
) -> list[Offered]:
    """What this member can buy for this card here and now, oldest package first (BEN-5).

    Of packages that cannot be bought now those are shown that will open, with their obstacle.
    """
    asked = {"group_id": buyer.member.group_id, "currency": buyer.scheme.currency}
    if store is None:
        found = await tx.all(packages_on_sale, **asked)
    else:
        above = list(scopes.lineage_of(store))
        found = await tx.all(packages_on_sale_at_store, perspective_ids=above, **asked)
    if buyer.card is None:
        found = [each for each in found if each.id == buyer.scheme.opening_package_id]
    if not found:
        return []
    loaded = await scopes.load(tx, [package.scope_id for package in found])
    there = await scopes.circumstances(tx, channel=channel, store=store, card=buyer.card, now=now)
    tiers = await schemes_of_tiers(tx, found)
    ids = [package.id for package in found]
    bought, running = await past_of(tx, buyer, ids, now)
    rule = (await settings.settings(tx, group_id=buyer.member.group_id, now=now)).validity_rule
    places = await organisation.nodes(tx, list({package.perspective_id for package in found}))
    offers = []
    for package in found:
        obstacle = obstacle_to(package, buyer, loaded[package.scope_id], there, tiers)
        if obstacle is not None and obstacle.reason is not ObstacleReason.NOT_OPEN:
            continue
        history = History(package.id in bought, package.id in running)
        zone = ZoneInfo(places[package.perspective_id].time_zone)
        priced = _priced(package, rule, zone, history, running.get(package.id), now)
        offers.append(Offered(package, priced, obstacle, history))
    return offers


async def require_offered(
    tx: Transaction,
    *,
    package_id: UUID,
    rule: int,
    price: Money,
    buyer: Buyer,
    store: Node | None,
    channel: Channel,
    now: datetime,
) -> Sale:
    """One sale by a rule of a package, at the price that the buyer was shown (BEN-5).

    Lock the member and the card before. Raises `PackageNotFound`, `WrongCurrency`,
    `PackageNotOnSale`, `NotAvailable`, `PriceChanged`.
    """
    package = await editing.package_of_group(
        tx, group_id=buyer.member.group_id, package_id=package_id
    )
    for currency in (buyer.scheme.currency, price.currency):
        if currency != package.currency:
            raise purchases.WrongCurrency(package.currency)
    if package.state is not PackageState.ACTIVE:
        raise PackageNotOnSale(package.state)
    loaded = await scopes.load(tx, [package.scope_id])
    there = await scopes.circumstances(tx, channel=channel, store=store, card=buyer.card, now=now)
    tiers = await schemes_of_tiers(tx, [package])
    obstacle = obstacle_to(package, buyer, loaded[package.scope_id], there, tiers)
    if obstacle is not None:
        raise NotAvailable(obstacle)
    if not 0 <= rule < len(package.rules):
        raise BadInput("rule is not one of the package's sales rules.")
    chosen = SalesRule.from_document(package.rules[rule])
    bought, running = await past_of(tx, buyer, [package.id], now)
    history = History(package.id in bought, package.id in running)
    offered_price = rules.price_of(chosen, history, now)
    if offered_price.amount != price.amount:
        raise PriceChanged(offered_price, package.currency)
    return Sale(package, chosen, offered_price, history)


async def runs_until(
    tx: Transaction, *, card: Card, package_id: UUID, now: datetime
) -> datetime | None:
    """When the last one of a package that a card has ends, None without one."""
    found = await tx.one(running_on_card, card_id=card.id, package_ids=[package_id], now=now)
    return found.ends_at if found else None


async def past_of(
    tx: Transaction, buyer: Buyer, package_ids: list[UUID], now: datetime
) -> tuple[set[UUID], dict[UUID, datetime]]:
    """Which of the packages the member ever bought, and until when the card has which."""
    own: dict[str, Any] = {"member_id": buyer.member.id, "package_ids": package_ids}
    bought = set(await tx.all(ordered_before, **own)) | set(await tx.all(owned_before, **own))
    if buyer.card is None:
        return bought, {}
    running = await tx.all(running_on_card, card_id=buyer.card.id, package_ids=package_ids, now=now)
    return bought, {each.package_id: each.ends_at for each in running}


def _priced(
    package: Package,
    validity: ValidityRule,
    zone: ZoneInfo,
    history: History,
    follows: datetime | None,
    now: datetime,
) -> list[RuleOffered]:
    read = [SalesRule.from_document(each) for each in package.rules]
    return [
        RuleOffered(
            each,
            rules.price_of(each, history, now),
            rules.period(validity, each.duration, bought_at=now, zone=zone, follows=follows),
        )
        for each in read
    ]


async def schemes_of_tiers(tx: Transaction, packages: Collection[Package]) -> dict[UUID, UUID]:
    """The scheme of each package that brings tiers: all of its tiers are of one."""
    by_package = {
        package.id: next(contents.tier_ids(contents.contents_of(package.contents)), None)
        for package in packages
    }
    wanted = {tier_id for tier_id in by_package.values() if tier_id is not None}
    if not wanted:
        return {}
    found = await schemes.tiers(tx, list(wanted))
    return {i: found[tier_id].scheme_id for i, tier_id in by_package.items() if tier_id}


def obstacle_to(
    package: Package,
    buyer: Buyer,
    scope: LoadedScope,
    there: Circumstances,
    scheme_of_package: dict[UUID, UUID],
) -> Obstacle | None:
    """What the scope says; and a package that brings a tier is for cards that have such tiers."""
    if scheme_of_package.get(package.id, buyer.scheme.id) != buyer.scheme.id:
        return Obstacle(ObstacleReason.NOT_FOR_THIS_MEMBER)
    return scopes.obstacle(scope, there)
