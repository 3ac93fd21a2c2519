"""All that is kept about a member, as one document (IDN-8, SEC-4)."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlmodel import col, select

from app.core.db import Transaction, any_of, changed_copy, statement
from app.models.adjustments import Adjustment, CardRefund
from app.models.behaviour import EventEarning, MemberEvent, Notice, PointsCase
from app.models.cards import Card, CodeScan
from app.models.compliance import RealName
from app.models.coupons import Coupon, CouponHandover, CouponUse, HandoverState
from app.models.gift_cards import GiftCard, GiftCardBuyer, GiftCardGift
from app.models.identities import Merge
from app.models.ledger import Entry, Lot, Posting, PostingKind
from app.models.members import Consent, Member
from app.models.orders import Order
from app.models.packages import AgreementAcceptance, OwnedPackage
from app.models.payments import Payment, PaymentPurpose, PaymentRefund
from app.models.points_mall import Fulfilment
from app.models.purchases import Purchase, PurchaseLine, PurchasePayment, PurchaseRefund
from app.models.sessions import Session
from app.models.spendings import Spending, SpendingRefund
from app.models.student_ids import StudentVerification
from app.models.tiers import TierChange, TierGrant
from app.models.top_ups import TopUpOrder
from app.services import identities, ledger, members, schemes, tags
from app.services.coupons import handovers

EXPORT_ROWS_MAX = 20_000
"""Of each kind; a document that would need more says that it is not complete."""
FRIEND = "FRIEND"
"""What a coupon came of that a friend gave: what the friend had it of is the friend's (CPN-6)."""

records_of = statement(
    select(Member).where(col(Member.id).in_(members.own_records)).order_by(col(Member.id)),
    into=Member,
)


def _newest(table: Any, key: Any, name: str, *conditions: Any) -> Any:
    query = select(table).where(any_of(key, name), *conditions).order_by(col(table.id).desc())
    return statement(query.limit(EXPORT_ROWS_MAX), into=table)


cards_held = _newest(Card, col(Card.member_id), "member_ids")
consents_given = _newest(Consent, col(Consent.member_id), "member_ids")
sessions_opened = _newest(Session, col(Session.principal_id), "member_ids")
merges_survived = _newest(Merge, col(Merge.survivor_id), "member_ids")
real_names = _newest(RealName, col(RealName.member_id), "member_ids")
events_told = _newest(MemberEvent, col(MemberEvent.member_id), "member_ids")
event_earnings = _newest(EventEarning, col(EventEarning.event_id), "event_ids")
coupons_had = _newest(Coupon, col(Coupon.member_id), "member_ids")
coupons_used = _newest(CouponUse, col(CouponUse.coupon_id), "coupon_ids")
coupons_held_out = _newest(CouponHandover, col(CouponHandover.giver_id), "member_ids")
coupons_claimed = _newest(
    CouponHandover,
    col(CouponHandover.coupon_id),
    "coupon_ids",
    col(CouponHandover.state) == HandoverState.CLAIMED,
)
student_ids_asked_for = _newest(
    StudentVerification, col(StudentVerification.member_id), "member_ids"
)
notices_written = _newest(Notice, col(Notice.member_id), "member_ids")
orders_made = _newest(Order, col(Order.member_id), "member_ids")
gift_cards_held = _newest(GiftCard, col(GiftCard.holder_id), "member_ids")
gift_cards_given = _newest(GiftCardGift, col(GiftCardGift.buyer_id), "member_ids")
buyers_written = _newest(GiftCardBuyer, col(GiftCardBuyer.order_id), "order_ids")
redeemed_things = _newest(Fulfilment, col(Fulfilment.member_id), "member_ids")
purchases_made = _newest(Purchase, col(Purchase.card_id), "card_ids")
lines_bought = _newest(PurchaseLine, col(PurchaseLine.purchase_id), "purchase_ids")
payments_made = _newest(PurchasePayment, col(PurchasePayment.purchase_id), "purchase_ids")
refunds_had = _newest(PurchaseRefund, col(PurchaseRefund.purchase_id), "purchase_ids")
scans_made = _newest(CodeScan, col(CodeScan.card_id), "card_ids")
top_ups_ordered = _newest(TopUpOrder, col(TopUpOrder.card_id), "card_ids")
top_ups_paid = _newest(
    Payment,
    col(Payment.order_id),
    "order_ids",
    col(Payment.purpose) == PaymentPurpose.TOP_UP,
)
top_ups_sent_back = _newest(PaymentRefund, col(PaymentRefund.payment_id), "payment_ids")
spendings_made = _newest(Spending, col(Spending.card_id), "card_ids")
spendings_refunded = _newest(SpendingRefund, col(SpendingRefund.spending_id), "spending_ids")
adjustments_made = _newest(Adjustment, col(Adjustment.card_id), "card_ids")
cards_refunded = _newest(CardRefund, col(CardRefund.card_id), "card_ids")
tiers_changed = _newest(TierChange, col(TierChange.card_id), "card_ids")
tiers_granted = _newest(TierGrant, col(TierGrant.card_id), "card_ids")
cases_marked = _newest(PointsCase, col(PointsCase.card_id), "card_ids")
packages_owned = _newest(OwnedPackage, col(OwnedPackage.member_id), "member_ids")
agreements_accepted = _newest(AgreementAcceptance, col(AgreementAcceptance.member_id), "member_ids")
lots_had = _newest(Lot, col(Lot.account_id), "account_ids")


class HeldOut(NamedTuple):
    """A coupon that was given to a friend, or would have been."""

    coupon_id: UUID
    template_id: UUID
    state: HandoverState
    begun_at: datetime
    expires_at: datetime
    ended_at: datetime | None


class Received(NamedTuple):
    """A coupon that a friend gave."""

    coupon_id: UUID
    template_id: UUID
    received_at: datetime


class Movement(NamedTuple):
    """One line of the ledger on a card."""

    card_id: UUID
    account_id: UUID | None
    unit: str
    amount: int
    balance_after: int | None
    kind: PostingKind
    store_id: UUID | None
    occurred_at: datetime


movements_had = statement(
    select(  # type: ignore[call-overload]  # SQLModel types up to four columns
        Entry.card_id,
        Entry.account_id,
        Entry.unit,
        Entry.amount,
        Entry.balance_after,
        Posting.kind,
        Posting.store_id,
        Posting.occurred_at,
    )
    .join(Posting, col(Posting.id) == col(Entry.posting_id))
    .where(any_of(col(Entry.card_id), "card_ids"))
    .order_by(col(Entry.id).desc())
    .limit(EXPORT_ROWS_MAX),
    into=Movement,
)


async def export(tx: Transaction, *, member_id: UUID, now: datetime) -> dict[str, Any]:
    """Everything about a member as one document; run it with `Database.scan`.

    Records that were merged into this one are part of it.
    """
    member = await members.signed_in(tx, member_id)
    records = await tx.all(records_of, member_id=member.id)
    member_ids = [record.id for record in records]
    held: list[Card] = await tx.all(cards_held, member_ids=member_ids)
    document = (
        await _about_the_person(tx, member, records)
        | await _coupons(tx, member_ids)
        | await _on_cards(tx, held)
        | await _bought(tx, [card.id for card in held])
        | await _stored(tx, [card.id for card in held])
    )
    is_complete = all(len(rows) < EXPORT_ROWS_MAX for rows in document.values())
    return {"exportedAt": now.isoformat(), "isComplete": is_complete, **document}


async def _about_the_person(
    tx: Transaction, member: Member, records: list[Member]
) -> dict[str, list[dict[str, Any]]]:
    by_member = {"member_ids": [record.id for record in records]}
    ordered: list[Order] = await tx.all(orders_made, **by_member)
    events: list[MemberEvent] = await tx.all(events_told, **by_member)
    tagged = await tags.of_members(tx, by_member["member_ids"])
    return {
        "records": _shown(
            records,
            "id status name gender birthday region attributes recruitment_store_id joined_at",
        ),
        "identities": _shown(
            await identities.of_member(tx, member_id=member.id),
            "id kind issuer value is_proven proven_at",
        ),
        "realNames": _shown(
            await tx.all(real_names, **by_member), "name document_kind document_number recorded_at"
        ),
        "consents": _shown(
            await tx.all(consents_given, **by_member), "purpose version is_given decided_at"
        ),
        "sessions": _shown(
            await tx.all(sessions_opened, **by_member),
            "id method device started_at refreshed_at expires_at revoked_at revoked_because",
        ),
        "merges": _shown(
            await tx.all(merges_survived, **by_member), "id loser_id merged_at undone_at"
        ),
        "tags": _shown([tag for worn in tagged.values() for tag in worn], "name"),
        "studentIds": _shown(
            await tx.all(student_ids_asked_for, **by_member),
            "id method state institution identity student_name submitted_at approved_at"
            " valid_until ended_at reason note",
        ),
        "events": _shown(
            events,
            "id event_key source external_id business_date streak_days store_id occurred_at",
        ),
        "eventEarnings": _shown(
            await tx.all(event_earnings, event_ids=[event.id for event in events]),
            "event_id card_id outcome points growth",
        ),
        "packages": _shown(
            await tx.all(packages_owned, **by_member),
            "id package_id card_id order_id store_id name currency price price_reason state"
            " bought_at starts_at ends_at ended_at",
        ),
        "agreements": _shown(
            await tx.all(agreements_accepted, **by_member),
            "agreement_id version order_id accepted_at",
        ),
        "notices": _shown(
            await tx.all(notices_written, **by_member), "kind details created_at read_at"
        ),
        "orders": _shown(
            ordered,
            "id kind title quantity card_id channel store_id currency amount points state"
            " created_at paid_at ended_at refunded_amount refund_reason",
        ),
        "giftCards": _shown(
            await tx.all(gift_cards_held, **by_member),
            "id kind number state currency face cash order_id store_id activated_at expires_at"
            " ended_at",
        ),
        "giftCardsGiven": _shown(
            await tx.all(gift_cards_given, **by_member),
            "gift_card_id state greeting deliver_at expires_at claimed_at ended_at",
        ),
        "giftCardBuyers": _shown(
            await tx.all(buyers_written, order_ids=[order.id for order in ordered]),
            "order_id name phone email receiver_phone",
        ),
        "redeemedThings": _shown(
            await tx.all(redeemed_things, **by_member),
            "order_id way state store_id recipient carrier tracking_number created_at ready_at"
            " shipped_at ended_at",
        ),
    }


async def _coupons(tx: Transaction, member_ids: list[UUID]) -> dict[str, list[dict[str, Any]]]:
    """Coupons, and those that went to friends or came from some (CPN-6). A coupon has one past and
    several holders: of it belongs to the member what happened in the member's hands."""
    had: list[Coupon] = await tx.all(coupons_had, member_ids=member_ids)
    held_out: list[CouponHandover] = await tx.all(coupons_held_out, member_ids=member_ids)
    by_id = {coupon.id: coupon for coupon in had}
    by_id |= await handovers.coupons(tx, {each.coupon_id for each in held_out} - by_id.keys())
    claims: defaultdict[UUID, list[CouponHandover]] = defaultdict(list)
    for claim in reversed(await tx.all(coupons_claimed, coupon_ids=list(by_id))):
        claims[claim.coupon_id].append(claim)  # the oldest first
    received = [
        Received(coupon_id, by_id[coupon_id].template_id, _ended(each))
        for coupon_id, of_coupon in claims.items()
        for each in of_coupon
        if each.receiver_id in member_ids
    ]
    since = {each.coupon_id: each.received_at for each in received}

    def was_ours(coupon_id: UUID, at: datetime) -> bool:
        later = (each.giver_id for each in claims[coupon_id] if _ended(each) > at)
        return next(later, by_id[coupon_id].member_id) in member_ids

    def as_ours(coupon: Coupon) -> Coupon:
        if coupon.returned_at is not None and not was_ours(coupon.id, coupon.returned_at):
            coupon = changed_copy(coupon, returned_at=None)
        if coupon.issued_to_id in member_ids:
            return coupon
        return changed_copy(coupon, cause_kind=FRIEND, issued_at=since[coupon.id])

    used: list[CouponUse] = await tx.all(coupons_used, coupon_ids=list(by_id))
    return {
        "coupons": _shown(
            map(as_ours, had),
            "id template_id state cause_kind issued_at valid_from valid_until returned_at ended_at",
        ),
        "couponUses": _shown(
            [use for use in used if was_ours(use.coupon_id, use.begun_at)],
            "coupon_id state channel store_id order_number bill_amount took_off currency used_at"
            " ended_at",
        ),
        "couponsGiven": _shown(
            [
                HeldOut(
                    each.coupon_id, by_id[each.coupon_id].template_id, each.state, each.begun_at,
                    each.expires_at, each.ended_at,
                )
                for each in held_out
            ],
            " ".join(HeldOut._fields),
        ),
        "couponsReceived": _shown(received, " ".join(Received._fields)),
    }  # fmt: skip


def _ended(claim: CouponHandover) -> datetime:
    assert claim.ended_at is not None, "what was claimed is over"
    return claim.ended_at


async def _on_cards(tx: Transaction, held: list[Card]) -> dict[str, list[dict[str, Any]]]:
    card_ids = [card.id for card in held]
    accounts = await ledger.accounts_of_cards(tx, card_ids)
    return {
        "schemes": _shown(
            (await schemes.by_ids(tx, list({card.scheme_id for card in held}))).values(),
            "id name currency",
        ),
        "cards": _shown(
            held, "id scheme_id number status merged_into_id issuing_store_id issued_at expires_at"
        ),
        "tierChanges": _shown(
            await tx.all(tiers_changed, card_ids=card_ids),
            "card_id from_tier_id to_tier_id cause changed_at",
        ),
        "tierGrants": _shown(
            await tx.all(tiers_granted, card_ids=card_ids),
            "card_id tier_id source granted_at expires_at ended_at",
        ),
        "pointsCases": _shown(
            await tx.all(cases_marked, card_ids=card_ids),
            "card_id business_date points threshold marked_at cleared_at",
        ),
        "accounts": _shown(accounts, "id card_id kind unit balance debt"),
        "lots": _shown(
            await tx.all(lots_had, account_ids=[account.id for account in accounts]),
            "account_id amount remaining earned_at expires_at restriction",
        ),
        "movements": _shown(
            await tx.all(movements_had, card_ids=card_ids), " ".join(Movement._fields)
        ),
        "codeScans": _shown(
            await tx.all(scans_made, card_ids=card_ids), "card_id terminal_id scanned_at"
        ),
    }


async def _bought(tx: Transaction, card_ids: list[UUID]) -> dict[str, list[dict[str, Any]]]:
    bought: list[Purchase] = await tx.all(purchases_made, card_ids=card_ids)
    purchase_ids = [purchase.id for purchase in bought]
    return {
        "purchases": _shown(
            bought,
            "id card_id store_id order_number currency total_amount tax_amount net_amount"
            " refunded_amount points_earned points_taken_back growth_earned growth_taken_back"
            " occurred_at",
        ),
        "purchaseLines": _shown(
            await tx.all(lines_bought, purchase_ids=purchase_ids),
            "purchase_id item_id name paid_amount",
        ),
        "payments": _shown(
            await tx.all(payments_made, purchase_ids=purchase_ids), "purchase_id amount"
        ),
        "refunds": _shown(
            await tx.all(refunds_had, purchase_ids=purchase_ids),
            "purchase_id amount points_taken growth_taken reason refunded_at",
        ),
    }


async def _stored(tx: Transaction, card_ids: list[UUID]) -> dict[str, list[dict[str, Any]]]:
    """What was paid in, spent, and changed by staff."""
    orders: list[TopUpOrder] = await tx.all(top_ups_ordered, card_ids=card_ids)
    paid: list[Payment] = await tx.all(top_ups_paid, order_ids=[order.id for order in orders])
    spent: list[Spending] = await tx.all(spendings_made, card_ids=card_ids)
    return {
        "topUps": _shown(
            orders,
            "id card_id source channel store_id currency amount bonus points state created_at"
            " credited_at ended_at refund_route refund_reason",
        ),
        "topUpPayments": _shown(
            paid, "id order_id provider reference amount currency status created_at paid_at"
        ),
        "topUpRefunds": _shown(
            await tx.all(top_ups_sent_back, payment_ids=[payment.id for payment in paid]),
            "payment_id amount status requested_at ended_at",
        ),
        "spendings": _shown(
            spent,
            "id card_id kind state store_id order_number currency amount cash bonus points"
            " returned_amount made_at ended_at",
        ),
        "spendingRefunds": _shown(
            await tx.all(spendings_refunded, spending_ids=[spending.id for spending in spent]),
            "spending_id amount cash bonus points reason refunded_at",
        ),
        "adjustments": _shown(
            await tx.all(adjustments_made, card_ids=card_ids),
            "card_id account_kind unit amount reason state proposed_at decided_at",
        ),
        "cardRefunds": _shown(
            await tx.all(cards_refunded, card_ids=card_ids),
            "card_id currency paid_out voided_bonus voided_points reason refunded_at",
        ),
    }


def _shown(rows: Iterable[Any], names: str) -> list[dict[str, Any]]:
    """The named columns of rows, as a JSON document holds them."""
    columns = [(name, _camel(name)) for name in names.split()]
    return [{shown: _plain(getattr(row, name)) for name, shown in columns} for row in rows]


def _plain(value: Any) -> Any:
    match value:
        case datetime() | date():
            return value.isoformat()
        case UUID():
            return str(value)
        case StrEnum():
            return value.value
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
