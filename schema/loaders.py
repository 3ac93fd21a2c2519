"""One statement a level: everything nested is loaded by id, for all parents at once."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from strawberry.dataloader import DataLoader

from app.core.db import Database, Transaction
from app.models.benefits import Benefit
from app.models.campaigns import Campaign
from app.models.cards import Card, Scheme, Tier
from app.models.coupons import (
    Coupon,
    CouponPack,
    CouponPackItem,
    CouponTemplate,
    CouponTerms,
    CouponUse,
)
from app.models.files import File
from app.models.gift_cards import GiftCard, GiftCardGift, GiftCardProduct
from app.models.identities import Identity
from app.models.ledger import Account
from app.models.members import AttributeDefinition, Consent, Member, Tag
from app.models.orders import Order
from app.models.organisation import Node, PaymentMethod
from app.models.packages import AgreementVersion
from app.models.payments import Payment as ProviderPayment
from app.models.payments import PaymentPurpose, PaymentRefund
from app.models.points_mall import Fulfilment
from app.models.purchases import Purchase, PurchaseLine, PurchaseRefund
from app.models.spendings import Spending, SpendingRefund
from app.models.staff import Staff
from app.models.tiers import TierChange, TierRun, TierTask
from app.models.top_ups import TopUpOrder, TopUpPlan
from app.services import (
    benefits,
    campaigns,
    cards,
    coupons,
    files,
    identities,
    ledger,
    members,
    orders,
    organisation,
    payment_methods,
    payments,
    points,
    purchases,
    schemes,
    scopes,
    spendings,
    staff,
    tags,
    tiers,
    timeline,
)
from app.services.actors import Actor
from app.services.benefits import Held
from app.services.coupons import reading as coupon_records
from app.services.coupons import terms, withdrawing
from app.services.coupons.giving import Portion, pack_items
from app.services.coupons.reading import CouponFilter
from app.services.coupons.standing import CouponStatus
from app.services.coupons.withdrawing import Withdrawal
from app.services.gift_cards import gifts, holding, products
from app.services.ledger import Line, Scope
from app.services.packages import agreements
from app.services.packages.agreements import Acceptance
from app.services.points import Expiring
from app.services.points_mall import fulfilling
from app.services.purchases import Paid
from app.services.scopes import LoadedScope
from app.services.student_ids import institutions
from app.services.timeline import Happening, Place, TimelineKind
from app.services.top_ups import listing, plans

R = TypeVar("R")


class History(NamedTuple):
    """What happened with a card, as far as the asker may see it; its holder sees all."""

    card_id: UUID
    has_absorbed: bool
    scope: Scope | None = None


class HistoryPage(NamedTuple):
    """Rows of a card's history: before which row, how many."""

    of: History
    before: UUID | None
    limit: int


class Soon(NamedTuple):
    """A card whose points may expire within so many days from now."""

    card_id: UUID
    within_days: int
    now: datetime


class ProgressOf(NamedTuple):
    """A card on its way to the next tier, and when it is looked at."""

    card: Card
    now: datetime


class BenefitsOf(NamedTuple):
    """A card whose benefits are asked for, and when."""

    card: Card
    now: datetime


class TimelinePage(NamedTuple):
    """What happened with a member: who asks if it is not the member, and which part."""

    actor: Actor | None
    member_id: UUID
    kinds: tuple[TimelineKind, ...]
    before: Place | None
    limit: int


class CardsSeen(NamedTuple):
    """The cards of a member, as far as somebody may see them."""

    actor: Actor
    member_id: UUID


class CouponsPage(NamedTuple):
    """A page of a member's coupons, as far as somebody may see them."""

    actor: Actor
    member_id: UUID
    status: CouponStatus | None
    before: UUID | None
    limit: int
    now: datetime


class Loaders:
    """One set per operation, so nothing is remembered between people."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.coupon_terms: DataLoader[UUID, CouponTerms] = DataLoader(self._coupon_terms)
        self.coupon_pack: DataLoader[UUID, CouponPack] = DataLoader(self._coupon_packs)
        self.coupon_template: DataLoader[UUID, CouponTemplate] = DataLoader(self._coupon_templates)
        self.coupon_pack_items: DataLoader[UUID, list[CouponPackItem]] = DataLoader(
            self._coupon_pack_items
        )
        self.coupon_uses: DataLoader[UUID, list[CouponUse]] = DataLoader(self._coupon_uses)
        self.coupon_withdrawal: DataLoader[UUID, Withdrawal | None] = DataLoader(
            self._coupon_withdrawals
        )
        self.coupons_seen: DataLoader[CouponsPage, list[Coupon]] = DataLoader(self._coupons_seen)
        self.gift_portions: DataLoader[coupons.Gift, list[Portion]] = DataLoader(
            self._gift_portions
        )

        self.gift_card: DataLoader[UUID, GiftCard] = DataLoader(self._gift_cards)
        self.gift_card_balance: DataLoader[UUID, holding.Balance] = DataLoader(
            self._gift_card_balances
        )
        self.gift_card_product: DataLoader[UUID, GiftCardProduct] = DataLoader(
            self._gift_card_products
        )
        self.gift: DataLoader[UUID, GiftCardGift] = DataLoader(self._gifts)
        self.gift_of_card: DataLoader[UUID, GiftCardGift | None] = DataLoader(self._gifts_of_cards)
        self.institution_domains: DataLoader[UUID, list[str]] = DataLoader(
            self._institution_domains
        )

        self.node: DataLoader[UUID, Node] = DataLoader(self._nodes)
        self.image: DataLoader[UUID, File] = DataLoader(self._images)

        self.staff: DataLoader[UUID, Staff] = DataLoader(self._staff)
        self.member: DataLoader[UUID, Member] = DataLoader(self._members)
        self.identities: DataLoader[UUID, list[Identity]] = DataLoader(self._identities)
        self.consents: DataLoader[UUID, list[Consent]] = DataLoader(self._consents)
        self.attributes: DataLoader[UUID, list[AttributeDefinition]] = DataLoader(self._attributes)

        self.tags: DataLoader[UUID, list[Tag]] = DataLoader(self._tags)
        self.cards_seen: DataLoader[CardsSeen, list[Card]] = DataLoader(self._cards_seen)
        self.timeline: DataLoader[TimelinePage, list[Happening]] = DataLoader(self._timelines)

        self.scheme: DataLoader[UUID, Scheme] = DataLoader(self._schemes)
        self.tier: DataLoader[UUID, Tier] = DataLoader(self._tiers)
        self.tiers_of_scheme: DataLoader[UUID, list[Tier]] = DataLoader(self._tiers_of_schemes)
        self.tasks_of_tier: DataLoader[UUID, list[TierTask]] = DataLoader(self._tasks_of_tiers)
        self.tier_run_of_scheme: DataLoader[UUID, TierRun | None] = DataLoader(self._tier_runs)
        self.tier_changes: DataLoader[HistoryPage, list[TierChange]] = DataLoader(
            self._tier_changes
        )
        self.tier_progress: DataLoader[ProgressOf, tiers.Progress] = DataLoader(self._tier_progress)
        self.stores_of_scheme: DataLoader[UUID, list[Node]] = DataLoader(self._stores_of_schemes)
        self.benefit: DataLoader[UUID, Benefit] = DataLoader(self._benefit_rows)
        self.benefit_terms: DataLoader[UUID, Held] = DataLoader(self._benefit_terms)
        self.benefits: DataLoader[BenefitsOf, list[Held]] = DataLoader(self._benefits)
        self.operator_name: DataLoader[UUID, str | None] = DataLoader(self._operator_names)
        self.campaign: DataLoader[UUID, Campaign] = DataLoader(self._campaigns)
        self.top_ups: DataLoader[HistoryPage, list[TopUpOrder]] = DataLoader(self._top_ups)
        self.top_up_payment: DataLoader[UUID, ProviderPayment | None] = DataLoader(
            self._top_up_payments
        )
        self.order_payment: DataLoader[UUID, ProviderPayment | None] = DataLoader(
            self._order_payments
        )
        self.order: DataLoader[UUID, Order] = DataLoader(self._orders)
        self.fulfilment: DataLoader[UUID, Fulfilment | None] = DataLoader(self._fulfilments)
        self.agreement_text: DataLoader[UUID, AgreementVersion] = DataLoader(self._agreement_texts)
        self.acceptances: DataLoader[UUID, list[Acceptance]] = DataLoader(self._acceptances)
        self.payment_refund: DataLoader[UUID, PaymentRefund | None] = DataLoader(
            self._payment_refunds
        )
        self.payment_method: DataLoader[UUID, PaymentMethod] = DataLoader(self._payment_methods)
        self.top_up_plan: DataLoader[UUID, TopUpPlan] = DataLoader(self._top_up_plans)
        self.scope: DataLoader[UUID, LoadedScope] = DataLoader(self._scopes)
        self.accounts: DataLoader[UUID, list[Account]] = DataLoader(self._accounts)
        self.expiring: DataLoader[Soon, list[Expiring]] = DataLoader(self._expiring)
        self.is_abnormal: DataLoader[UUID, bool] = DataLoader(self._are_abnormal)
        self.living_card: DataLoader[UUID, Card] = DataLoader(self._living_cards)
        self.absorbed: DataLoader[UUID, list[Card]] = DataLoader(self._absorbed)
        self.ledger_lines: DataLoader[HistoryPage, list[Line]] = DataLoader(self._ledger_lines)
        self.purchases: DataLoader[HistoryPage, list[Purchase]] = DataLoader(self._purchases)
        self.purchase_lines: DataLoader[UUID, list[PurchaseLine]] = DataLoader(self._purchase_lines)
        self.payments: DataLoader[UUID, list[Paid]] = DataLoader(self._payments)
        self.refunds: DataLoader[UUID, list[PurchaseRefund]] = DataLoader(self._refunds)
        self.spendings: DataLoader[HistoryPage, list[Spending]] = DataLoader(self._spendings)
        self.spending_refunds: DataLoader[UUID, list[SpendingRefund]] = DataLoader(
            self._spending_refunds
        )

    async def _coupon_terms(self, ids: list[UUID]) -> list[CouponTerms]:
        found = await self.database.read(terms.by_ids, ids)
        return [found[i] for i in ids]

    async def _coupon_packs(self, ids: list[UUID]) -> list[CouponPack]:
        found = await self.database.read(coupons.packs_by_ids, ids)
        return [found[i] for i in ids]

    async def _coupon_templates(self, ids: list[UUID]) -> list[CouponTemplate]:
        found = await self.database.read(coupons.templates_by_ids, ids)
        return [found[i] for i in ids]

    async def _coupon_pack_items(self, pack_ids: list[UUID]) -> list[list[CouponPackItem]]:
        found = await self.database.read(pack_items, pack_ids)
        return [found[i] for i in pack_ids]

    async def _coupon_uses(self, coupon_ids: list[UUID]) -> list[list[CouponUse]]:
        found = await self.database.read(coupon_records.uses_by_coupon, coupon_ids)
        return [found[i] for i in coupon_ids]

    async def _coupon_withdrawals(self, coupon_ids: list[UUID]) -> list[Withdrawal | None]:
        found = await self.database.read(withdrawing.by_coupon, coupon_ids)
        return [found.get(i) for i in coupon_ids]

    async def _coupons_seen(self, pages: list[CouponsPage]) -> list[list[Coupon]]:
        return await self.database.read(_coupons_of_each, pages)

    async def _gift_portions(self, gifts: list[coupons.Gift]) -> list[list[Portion]]:
        return await self.database.read(coupons.portions_of_each, gifts)

    async def _gift_cards(self, ids: list[UUID]) -> list[GiftCard]:
        found = await self.database.read(holding.by_ids, ids)
        return [found[i] for i in ids]

    async def _gift_card_balances(self, ids: list[UUID]) -> list[holding.Balance]:
        found = await self.database.read(holding.balances, ids)
        return [found[i] for i in ids]

    async def _gift_card_products(self, ids: list[UUID]) -> list[GiftCardProduct]:
        found = await self.database.read(products.by_ids, ids)
        return [found[i] for i in ids]

    async def _gifts(self, ids: list[UUID]) -> list[GiftCardGift]:
        found = await self.database.read(gifts.by_ids, ids)
        return [found[i] for i in ids]

    async def _gifts_of_cards(self, ids: list[UUID]) -> list[GiftCardGift | None]:
        found = await self.database.read(gifts.by_card, ids)
        return [found.get(i) for i in ids]

    async def _institution_domains(self, ids: list[UUID]) -> list[list[str]]:
        found = await self.database.read(institutions.domains, ids)
        return [found[i] for i in ids]

    async def _nodes(self, ids: list[UUID]) -> list[Node]:
        found = await self.database.read(organisation.nodes, ids)
        return [found[i] for i in ids]

    async def _images(self, ids: list[UUID]) -> list[File]:
        found = await self.database.read(files.by_ids, ids)
        return [found[i] for i in ids]

    async def _staff(self, ids: list[UUID]) -> list[Staff]:
        found = await self.database.read(staff.by_ids, ids)
        return [found[i] for i in ids]

    async def _members(self, ids: list[UUID]) -> list[Member]:
        found = await self.database.read(members.by_ids, ids)
        return [found[i] for i in ids]

    async def _identities(self, member_ids: list[UUID]) -> list[list[Identity]]:
        found = await self.database.read(identities.of_members, member_ids)
        return [found[i] for i in member_ids]

    async def _consents(self, member_ids: list[UUID]) -> list[list[Consent]]:
        found = await self.database.read(members.consents_in_force, member_ids)
        return [found[i] for i in member_ids]

    async def _attributes(self, group_ids: list[UUID]) -> list[list[AttributeDefinition]]:
        found = await self.database.read(members.attributes_defined, group_ids)
        return [found[i] for i in group_ids]

    async def _tags(self, member_ids: list[UUID]) -> list[list[Tag]]:
        found = await self.database.read(tags.of_members, member_ids)
        return [found[i] for i in member_ids]

    async def _cards_seen(self, wanted: list[CardsSeen]) -> list[list[Card]]:
        return await self.database.read(_cards_of_each, wanted)

    async def _timelines(self, pages: list[TimelinePage]) -> list[list[Happening]]:
        return await self.database.read(_timeline_of_each, pages)

    async def _schemes(self, ids: list[UUID]) -> list[Scheme]:
        found = await self.database.read(schemes.by_ids, ids)
        return [found[i] for i in ids]

    async def _tiers(self, ids: list[UUID]) -> list[Tier]:
        found = await self.database.read(schemes.tiers, ids)
        return [found[i] for i in ids]

    async def _tiers_of_schemes(self, scheme_ids: list[UUID]) -> list[list[Tier]]:
        found = await self.database.read(schemes.tiers_by_scheme, scheme_ids)
        return [found[i] for i in scheme_ids]

    async def _tasks_of_tiers(self, tier_ids: list[UUID]) -> list[list[TierTask]]:
        found = await self.database.read(tiers.tasks_by_tier, tier_ids)
        return [found[i] for i in tier_ids]

    async def _tier_runs(self, scheme_ids: list[UUID]) -> list[TierRun | None]:
        found = await self.database.read(tiers.running_by_scheme, scheme_ids)
        return [found[i] for i in scheme_ids]

    async def _tier_changes(self, pages: list[HistoryPage]) -> list[list[TierChange]]:
        return await self.database.read(_changes_of_each, pages)

    async def _tier_progress(self, wanted: list[ProgressOf]) -> list[tiers.Progress]:
        return await self.database.read(_progress_of_each, wanted)

    async def _stores_of_schemes(self, scheme_ids: list[UUID]) -> list[list[Node]]:
        found = await self.database.read(schemes.stores_by_scheme, scheme_ids)
        return [found[i] for i in scheme_ids]

    async def _benefit_rows(self, ids: list[UUID]) -> list[Benefit]:
        found = await self.database.read(benefits.by_ids, ids)
        return [found[i] for i in ids]

    async def _benefits(self, wanted: list[BenefitsOf]) -> list[list[Held]]:
        return await self.database.read(_benefits_of_each, wanted)

    async def _benefit_terms(self, ids: list[UUID]) -> list[Held]:
        return await self.database.read(benefits.as_they_are, ids)

    async def _operator_names(self, ids: list[UUID]) -> list[str | None]:
        found = await self.database.read(benefits.operators, ids)
        return [found[i].name if i in found else None for i in ids]

    async def _campaigns(self, ids: list[UUID]) -> list[Campaign]:
        found = await self.database.read(campaigns.by_ids, ids)
        return [found[i] for i in ids]

    async def _top_ups(self, pages: list[HistoryPage]) -> list[list[TopUpOrder]]:
        return await self.database.read(_each_page, listing.history.page, pages)

    async def _top_up_payments(self, order_ids: list[UUID]) -> list[ProviderPayment | None]:
        found = await self.database.read(payments.by_order, PaymentPurpose.TOP_UP, order_ids)
        return [found.get(i) for i in order_ids]

    async def _orders(self, ids: list[UUID]) -> list[Order]:
        found = await self.database.read(orders.by_ids, ids)
        return [found[i] for i in ids]

    async def _fulfilments(self, order_ids: list[UUID]) -> list[Fulfilment | None]:
        found = await self.database.read(fulfilling.by_order, order_ids)
        return [found.get(i) for i in order_ids]

    async def _agreement_texts(self, agreement_ids: list[UUID]) -> list[AgreementVersion]:
        found = await self.database.read(agreements.current, agreement_ids)
        return [found[i] for i in agreement_ids]

    async def _acceptances(self, order_ids: list[UUID]) -> list[list[Acceptance]]:
        found = await self.database.read(agreements.accepted_with, order_ids)
        return [found[i] for i in order_ids]

    async def _order_payments(self, order_ids: list[UUID]) -> list[ProviderPayment | None]:
        found = await self.database.read(payments.by_order, PaymentPurpose.ORDER, order_ids)
        return [found.get(i) for i in order_ids]

    async def _payment_refunds(self, payment_ids: list[UUID]) -> list[PaymentRefund | None]:
        found = await self.database.read(payments.refunds_by_payment, payment_ids)
        return [found.get(i) for i in payment_ids]

    async def _payment_methods(self, ids: list[UUID]) -> list[PaymentMethod]:
        found = await self.database.read(payment_methods.by_ids, ids)
        return [found[i] for i in ids]

    async def _top_up_plans(self, ids: list[UUID]) -> list[TopUpPlan]:
        found = await self.database.read(plans.by_ids, ids)
        return [found[i] for i in ids]

    async def _scopes(self, ids: list[UUID]) -> list[LoadedScope]:
        found = await self.database.read(scopes.load, ids)
        return [found[i] for i in ids]

    async def _accounts(self, card_ids: list[UUID]) -> list[list[Account]]:
        found: dict[UUID, list[Account]] = {card_id: [] for card_id in card_ids}
        for account in await self.database.read(ledger.accounts_of_cards, card_ids):
            assert account.card_id is not None, "it was asked for by its card"
            found[account.card_id].append(account)
        return [found[i] for i in card_ids]

    async def _expiring(self, wanted: list[Soon]) -> list[list[Expiring]]:
        found: dict[Soon, list[Expiring]] = {}
        for within_days, now in {(each.within_days, each.now) for each in wanted}:
            card_ids = [each.card_id for each in wanted if each[1:] == (within_days, now)]
            by_card = await self.database.read(
                points.expiring_within, card_ids, within_days=within_days, now=now
            )
            found |= {Soon(i, within_days, now): rows for i, rows in by_card.items()}
        return [found[each] for each in wanted]

    async def _are_abnormal(self, member_ids: list[UUID]) -> list[bool]:
        found = await self.database.read(points.abnormal, member_ids)
        return [i in found for i in member_ids]

    async def _living_cards(self, ids: list[UUID]) -> list[Card]:
        found = await self.database.read(cards.cards, ids)
        into = {card.merged_into_id for card in found.values() if card.merged_into_id}
        merged = await self.database.read(cards.cards, list(into)) if into else {}
        return [merged.get(found[i].merged_into_id or i, found[i]) for i in ids]

    async def _absorbed(self, card_ids: list[UUID]) -> list[list[Card]]:
        found = await self.database.read(cards.absorbed, card_ids)
        return [found[i] for i in card_ids]

    async def _ledger_lines(self, pages: list[HistoryPage]) -> list[list[Line]]:
        return await self.database.read(_each_page, ledger.lines.page, pages)

    async def _purchases(self, pages: list[HistoryPage]) -> list[list[Purchase]]:
        return await self.database.read(_each_page, purchases.history.page, pages)

    async def _purchase_lines(self, purchase_ids: list[UUID]) -> list[list[PurchaseLine]]:
        found = await self.database.read(purchases.lines_by_purchase, purchase_ids)
        return [found[i] for i in purchase_ids]

    async def _payments(self, purchase_ids: list[UUID]) -> list[list[Paid]]:
        found = await self.database.read(purchases.payments_by_purchase, purchase_ids)
        return [found[i] for i in purchase_ids]

    async def _refunds(self, purchase_ids: list[UUID]) -> list[list[PurchaseRefund]]:
        found = await self.database.read(purchases.refunds_by_purchase, purchase_ids)
        return [found[i] for i in purchase_ids]

    async def _spendings(self, pages: list[HistoryPage]) -> list[list[Spending]]:
        return await self.database.read(_each_page, spendings.history.page, pages)

    async def _spending_refunds(self, spending_ids: list[UUID]) -> list[list[SpendingRefund]]:
        found = await self.database.read(spendings.refunds_by_spending, spending_ids)
        return [found[i] for i in spending_ids]


async def _each_page(
    tx: Transaction,
    page_of: Callable[..., Coroutine[Any, Any, list[R]]],
    pages: list[HistoryPage],
) -> list[list[R]]:
    """A statement a page, in one go: a member has a card or two, and each a page of its own."""
    return [
        await page_of(tx, **history._asdict(), before=before, limit=limit)
        for history, before, limit in pages
    ]


async def _changes_of_each(tx: Transaction, pages: list[HistoryPage]) -> list[list[TierChange]]:
    """A statement a page, as `_each_page`; tiers change at no store, so nobody sees a part."""
    return [
        await tiers.changes_of_card(
            tx, card_id=of.card_id, has_absorbed=of.has_absorbed, before=before, limit=limit
        )
        for of, before, limit in pages
    ]


async def _progress_of_each(tx: Transaction, wanted: list[ProgressOf]) -> list[tiers.Progress]:
    """A few statements a card, in one go: a member has a card or two."""
    return [await tiers.progress(tx, card=card, now=now) for card, now in wanted]


async def _benefits_of_each(tx: Transaction, wanted: list[BenefitsOf]) -> list[list[Held]]:
    """A few statements a card, in one go: a member has a card or two."""
    return [await benefits.held(tx, card=card, at=now) for card, now in wanted]


async def _cards_of_each(tx: Transaction, wanted: list[CardsSeen]) -> list[list[Card]]:
    by_actor: dict[Actor, dict[UUID, list[Card]]] = {}
    for actor in {each.actor for each in wanted}:
        member_ids = [each.member_id for each in wanted if each.actor == actor]
        by_actor[actor] = await cards.seen_of_members(tx, actor, member_ids)
    return [by_actor[each.actor][each.member_id] for each in wanted]


async def _coupons_of_each(tx: Transaction, pages: list[CouponsPage]) -> list[list[Coupon]]:
    """A statement a page, as `_each_page`; a list of members shows few of each."""
    return [
        await coupon_records.page(
            tx,
            actor,
            wanted=CouponFilter(member_id=member_id, status=status),
            before=before,
            limit=limit,
            now=now,
        )
        for actor, member_id, status, before, limit, now in pages
    ]


async def _timeline_of_each(tx: Transaction, pages: list[TimelinePage]) -> list[list[Happening]]:
    found = []
    for actor, member_id, kinds, before, limit in pages:
        page: dict[str, Any] = {"kinds": kinds, "before": before, "limit": limit}
        if actor is None:
            found.append(await timeline.own(tx, member_id=member_id, **page))
        else:
            found.append(await timeline.seen_by(tx, actor, member_id=member_id, **page))
    return found
