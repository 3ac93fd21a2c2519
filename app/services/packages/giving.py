"""Packages that come with something else, as a redemption in the points mall (MAL-1)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from app.core.db import Transaction
from app.core.errors import BadInput
from app.models.cards import Card
from app.models.members import Member
from app.models.orders import Order
from app.models.organisation import Node
from app.models.packages import OwnedPackage, PackageState, PriceReason
from app.models.scopes import Channel
from app.services import scopes
from app.services.packages import editing, offering, owning, selling, terms
from app.services.packages.offering import Buyer
from app.services.packages.rules import History
from app.services.packages.terms import Terms
from app.services.scopes import NotAvailable


async def require_givable(
    tx: Transaction, *, perspective: Node, package_id: UUID, rule: int
) -> None:
    """Raise unless what is made under a perspective can bring a package by one of its rules.

    Raises `PackageNotFound`, `PackageNotOnSale`, `BadInput`.
    """
    package = await editing.package_of_group(
        tx, group_id=perspective.group_id, package_id=package_id
    )
    if package.perspective_id not in scopes.lineage_of(perspective):
        raise editing.PackageNotFound
    if package.state is not PackageState.ACTIVE:
        raise offering.PackageNotOnSale(package.state)
    if not 0 <= rule < len(package.rules):
        raise BadInput("rule is not one of the package's sales rules.")


async def promise(
    tx: Transaction,
    *,
    package_id: UUID,
    rule: int,
    buyer: Buyer,
    store: Node | None,
    now: datetime,
) -> dict[str, Any]:
    """What a package will bring to a card, for an order's terms; raises `NotAvailable`.

    Its price is not asked about, and neither is whether it is still on sale: it was promised.
    """
    package = await editing.package_of_group(
        tx, group_id=buyer.member.group_id, package_id=package_id
    )
    there = await scopes.circumstances(
        tx, channel=Channel.ONLINE, store=store, card=buyer.card, now=now
    )
    loaded = await scopes.load(tx, [package.scope_id])
    tiers = await offering.schemes_of_tiers(tx, [package])
    obstacle = offering.obstacle_to(package, buyer, loaded[package.scope_id], there, tiers)
    if obstacle is not None:
        raise NotAvailable(obstacle)
    bought, running = await offering.past_of(tx, buyer, [package.id], now)
    promised = await terms.promised(
        tx,
        package=package,
        rule=rule,
        reason=PriceReason.ORIGINAL,
        history=History(package.id in bought, package.id in running),
        now=now,
    )
    return promised.document()


async def give(
    tx: Transaction,
    *,
    order: Order,
    package_id: UUID,
    promised: dict[str, Any],
    member: Member,
    card: Card,
    now: datetime,
) -> OwnedPackage:
    """Put what `promise` said on a card, once for each order; `selling.take_back` undoes it.

    The caller holds the member and the card. Raises `Undeliverable`, see
    `selling.require_receives`.
    """
    of_package = Terms.from_document(promised)
    await selling.require_receives(
        tx, card, order=order, package_id=package_id, terms=of_package, now=now
    )
    package = (await editing.by_ids(tx, [package_id]))[package_id]
    return await owning.own(
        tx,
        order=order,
        package_id=package_id,
        name=package.name,
        terms=of_package,
        member=member,
        card=card,
        now=now,
    )
