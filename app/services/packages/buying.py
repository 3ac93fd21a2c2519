"""Buying a package: members online, tills with the money in the hand (BEN-5, BEN-9, CRD-9)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from app.core.db import Transaction
from app.core.errors import BadInput, DomainError
from app.core.money import Money
from app.models.cards import Card, CardStatus
from app.models.members import Member, MemberStatus
from app.models.orders import Order, OrderKind
from app.models.organisation import Node
from app.models.scopes import Channel
from app.models.staff import Permission
from app.services import (
    audit,
    cards,
    members,
    orders,
    organisation,
    requests,
    schemes,
)
from app.services.actors import Actor
from app.services.members import Bearer
from app.services.orders import Sold
from app.services.packages import agreements, offering, selling, terms
from app.services.packages.agreements import Accepted
from app.services.packages.offering import Buyer, Sale
from app.services.payments import Online, Placed


class PackageOpensNoCard(DomainError):
    """The member has no card of the scheme, and this package is not what opens one (CRD-9)."""

    def __init__(self, opening_package_id: UUID | None) -> None:
        self.opening_package_id = opening_package_id
        super().__init__("Buying this package does not open a card of this scheme.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What somebody would like to buy: a sales rule of a package at the price they were shown, for
    a card or for the card that it opens; and what they accepted."""

    package_id: UUID
    rule: int
    price: Money
    card_id: UUID | None
    scheme_id: UUID | None
    accepted: tuple[Accepted, ...]

    def __post_init__(self) -> None:
        if (self.card_id is None) == (self.scheme_id is None):
            raise BadInput("Name the card, or the scheme whose card it opens.")

    def document(self) -> dict[str, Any]:
        """For the fingerprint of a request."""
        return {
            "package": self.package_id,
            "rule": self.rule,
            "price": [self.price.amount, self.price.currency],
            "card": self.card_id,
            "scheme": self.scheme_id,
            "accepted": sorted([str(each.agreement_id), each.version] for each in self.accepted),
        }


class _Drafted(NamedTuple):
    """An order that is not written down yet, and what was accepted with it."""

    order: Order
    accepted: list[Accepted]


async def place(
    tx: Transaction,
    *,
    bearer: Bearer,
    choice: Choice,
    online: Online,
    request_key: str,
    now: datetime,
) -> Placed[Order]:
    """A member orders a package and has 15 minutes to pay it; one that is free is theirs at once.

    The provider is asked after the commit. Raises `CardNotFound`, `CardNotUsable`,
    `SchemeNotFound`, `SchemeClosed`, `SchemeHasNoTier`, `PackageOpensNoCard`, `NotAtThisStore`,
    `NodeNotFound`, `AgreementChanged`, `TooManyOpenOrders`, `MethodCannotPay`, `RequestKeyReused`
    and what `offering.require_offered` raises.
    """
    member = await members.acting(tx, bearer, now=now)
    request = requests.Request(
        principal_id=member.id,
        operation="packageOrder",
        key=request_key,
        input={**choice.document(), **online.document()},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return await orders.placed(tx, claim.answer_id)
    store = None
    if online.store_id is not None:
        store = await organisation.node(tx, online.store_id)
        if store.group_id != member.group_id:
            raise organisation.NodeNotFound
    buyer = await _buyer(tx, member, choice, store, Channel.ONLINE, now)
    draft = await _drafted(tx, claim.answer_id, buyer, choice, store, Channel.ONLINE, now)
    if draft.order.amount:
        placed = await orders.await_payment(tx, draft.order, provider=online.provider, now=now)
        await _accept(tx, draft, now)
        return placed
    order = await orders.write_paid(tx, draft.order, now=now)
    await _accept(tx, draft, now)
    await selling.deliver(tx, order, now=now)
    return Placed(order, None, is_replay=False)


async def sell(
    tx: Transaction,
    actor: Actor,
    *,
    terminal_id: UUID,
    member_id: UUID | None,
    choice: Choice,
    method_code: str | None,
    request_key: str,
    now: datetime,
) -> Sold:
    """A cashier took the money: the card has the package at once. `member_id` says whose card it
    opens; the cashier has shown the member what they accept (BEN-9).

    Raises as `place`, and `TerminalNotFound`, `MemberNotFound`, `PaymentMethodUnknown`,
    `Undeliverable`.
    """
    terminal, store = await organisation.terminal(tx, terminal_id)
    actor.require(Permission.PACKAGES_SELL, store)
    if (member_id is None) != (choice.scheme_id is None):
        raise BadInput("memberId says whose card of schemeId is opened, and is for that alone.")
    request = requests.Request(
        principal_id=actor.id,
        operation="packageSell",
        key=request_key,
        input={
            **choice.document(),
            "terminal": terminal_id,
            "member": member_id,
            "method": method_code,
        },
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return Sold(await orders.existing(tx, claim.answer_id), is_replay=True)
    member = await _customer(tx, store, choice, member_id)
    buyer = await _buyer(tx, member, choice, store, Channel.POS, now)
    draft = await _drafted(tx, claim.answer_id, buyer, choice, store, Channel.POS, now)
    method = None
    if (method_code is not None) != (draft.order.amount > 0):
        raise BadInput("methodCode says how the price is paid, and is for that alone.")
    if method_code is not None:
        method = await orders.paying_method(
            tx, group_id=store.group_id, code=method_code, kind=OrderKind.PACKAGE
        )
    order = await orders.write_paid(tx, draft.order, terminal=terminal, method=method, now=now)
    await _accept(tx, draft, now)
    await selling.deliver(tx, order, now=now)
    await audit.record(
        tx, actor, "package.sell", object_kind="order", object_id=order.id, node_id=store.id,
        now=now, package=choice.package_id, card=choice.card_id, scheme=choice.scheme_id,
        terminal=terminal.id, amount=order.amount, method=method_code,
    )  # fmt: skip
    return Sold(order, is_replay=False)


async def _customer(tx: Transaction, store: Node, choice: Choice, member_id: UUID | None) -> Member:
    """Who buys at a till, locked; raises `CardNotFound`, `MemberNotFound`."""
    if member_id is None:
        assert choice.card_id is not None
        card = await cards.living(tx, choice.card_id)
        if card.group_id != store.group_id:
            raise cards.CardNotFound
        return await members.locked(tx, card.member_id)
    member = await members.locked(tx, member_id)
    if member.group_id != store.group_id or member.status is not MemberStatus.ACTIVE:
        raise members.MemberNotFound
    return member


async def _buyer(
    tx: Transaction,
    member: Member,
    choice: Choice,
    store: Node | None,
    channel: Channel,
    now: datetime,
) -> Buyer:
    """For which card of a locked member, which is locked here; without one of the scheme, for the
    one that buying opens (CRD-9)."""
    card: Card | None = None
    if choice.card_id is not None:
        card = await cards.living(tx, choice.card_id)
        if card.member_id != member.id:
            raise cards.CardNotFound
        scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    else:
        assert choice.scheme_id is not None
        scheme = await schemes.scheme(tx, group_id=member.group_id, scheme_id=choice.scheme_id)
        held = (await cards.of_members(tx, [member.id]))[member.id]
        of_scheme = (each for each in held if each.scheme_id == scheme.id)
        card = next((each for each in of_scheme if each.status is not CardStatus.REFUNDED), None)
        if card is None and scheme.opening_package_id != choice.package_id:
            raise PackageOpensNoCard(scheme.opening_package_id)
        if card is None:
            await schemes.require_openable(tx, scheme, by_member=channel is Channel.ONLINE)
    if store is not None:
        await schemes.require_store(tx, scheme, store)
    if card is not None:
        card = await cards.locked(tx, card)
        cards.require_usable(card, now)
    return Buyer(member, card, scheme)


async def _drafted(
    tx: Transaction,
    order_id: UUID,
    buyer: Buyer,
    choice: Choice,
    store: Node | None,
    channel: Channel,
    now: datetime,
) -> _Drafted:
    sale: Sale = await offering.require_offered(
        tx,
        package_id=choice.package_id,
        rule=choice.rule,
        price=choice.price,
        buyer=buyer,
        store=store,
        channel=channel,
        now=now,
    )
    package = sale.package
    asked = (package.purchase_agreement_id, package.terms_agreement_id)
    accepted = await agreements.require_accepted(
        tx,
        agreement_ids=[each for each in asked if each is not None],
        accepted=choice.accepted,
    )
    promised = await terms.promised(
        tx,
        package=package,
        rule=choice.rule,
        reason=sale.price.reason,
        history=sale.history,
        opens_scheme_id=buyer.scheme.id if buyer.card is None else None,
        now=now,
    )
    order = orders.drafted(
        order_id,
        kind=OrderKind.PACKAGE,
        product_id=package.id,
        title=package.name,
        perspective_id=package.perspective_id,
        member=buyer.member,
        card=buyer.card,
        channel=channel,
        store_id=None if store is None else store.id,
        currency=package.currency,
        amount=sale.price.amount,
        terms=promised.document(),
        now=now,
    )
    return _Drafted(order, accepted)


async def _accept(tx: Transaction, draft: _Drafted, now: datetime) -> None:
    await agreements.record(
        tx,
        order_id=draft.order.id,
        member_id=draft.order.member_id,
        accepted=draft.accepted,
        now=now,
    )
