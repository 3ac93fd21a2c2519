"""What an auditor of prepaid cards asks (TOP-11)."""

from datetime import datetime
from typing import Self

import strawberry

from app.core.ids import type_id
from app.services.reports import beyond, compliance
from app.services.reports.gift_card_limits import (
    GiftCardAbove,
    GiftCardPurchaseKind,
    LargePurchase,
)
from schema.compliance import GroupRules
from schema.enums import describe
from schema.members import member_id_of
from schema.reports.subjects import ReportSubject
from schema.scalars import Long, Money

describe(
    GiftCardPurchaseKind,
    "How gift cards were bought.",
    {
        "ORDER": "By a member's order, online or in the mall: all its cards together.",
        "TILL": "A card that was sold at a till.",
        "RECHARGE": "Money put on a card at a till.",
        "BULK": "By a company's bulk order: all its cards together.",
    },
)


@strawberry.type(description="A card that held more paid-in value than it may.")
class CardAboveCap:
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    card_number: str = strawberry.field(description="The number printed on it.")
    holder: str = strawberry.field(description="Whose it is, masked.")
    is_registered: bool = strawberry.field(description="Whether its holder is known now.")
    balance: Money = strawberry.field(description="What was paid in and left at the end.")
    cap: Money = strawberry.field(description="What it may hold.")

    @classmethod
    def of(cls, found: compliance.CardAbove, currency: str) -> Self:
        return cls(
            card_id=strawberry.ID(type_id("card", found.card_id)),
            card_number=found.number,
            holder=found.holder,
            is_registered=found.is_registered,
            balance=Money.of(found.balance, currency),
            cap=Money.of(found.cap, currency),
        )


@strawberry.type(description="Somebody whose cards of these schemes held more than one may.")
class PersonAboveCap:
    member_id: strawberry.ID = strawberry.field(description="The member, `mem_…`.")
    holder: str = strawberry.field(description="Who it is, masked.")
    cards: Long = strawberry.field(description="How many of their cards held something.")
    balance: Money = strawberry.field(description="What was paid in and left at the end.")
    cap: Money = strawberry.field(description="What one person may hold.")

    @classmethod
    def of(cls, found: compliance.PersonAbove, currency: str) -> Self:
        return cls(
            member_id=member_id_of(found.member_id),
            holder=found.holder,
            cards=Long(found.cards),
            balance=Money.of(found.balance, currency),
            cap=Money.of(found.cap, currency),
        )


@strawberry.type(description="A top-up that reached a threshold.")
class LargeTopUp:
    order_id: strawberry.ID = strawberry.field(description="The order, `top_…`.")
    credited_at: datetime = strawberry.field(description="When it was credited.")
    card_number: str = strawberry.field(description="The card it was for.")
    holder: str = strawberry.field(description="Whose that is, masked.")
    amount: Money = strawberry.field(description="What was paid in.")
    needs_real_name: bool = strawberry.field(
        description="Whether the buyer's document had to be on record."
    )
    real_name_recorded_at: datetime | None = strawberry.field(
        description="When it was recorded; null is never."
    )
    needs_transfer: bool = strawberry.field(description="Whether it had to be paid by transfer.")
    method_name: str | None = strawberry.field(description="The payment method, if it had one.")
    provider: str | None = strawberry.field(description="The provider it was paid through.")
    leaves_trace: bool = strawberry.field(
        description="Whether it was paid in a way that a bank keeps trace of."
    )
    is_above_most: bool = strawberry.field(
        description="Whether it is more than one top-up may bring."
    )

    @classmethod
    def of(cls, found: compliance.LargeOrder, currency: str) -> Self:
        return cls(
            order_id=strawberry.ID(type_id("top", found.order_id)),
            credited_at=found.credited_at,
            card_number=found.card_number,
            holder=found.holder,
            amount=Money.of(found.amount, currency),
            needs_real_name=found.needs_real_name,
            real_name_recorded_at=found.real_name_recorded_at,
            needs_transfer=found.needs_transfer,
            method_name=found.method_name,
            provider=found.provider,
            leaves_trace=found.leaves_trace,
            is_above_most=found.is_above_most,
        )


@strawberry.type(description="A gift card that was worth more than one may be.")
class GiftCardAboveCap:
    gift_card_id: strawberry.ID = strawberry.field(description="The gift card, `gc_…`.")
    card_number: str = strawberry.field(description="Its number.")
    holder: str = strawberry.field(description="Who holds it now, masked; empty is nobody known.")
    balance: Money = strawberry.field(description="What it was worth at the end, gift included.")
    cap: Money = strawberry.field(description="What it may be worth.")

    @classmethod
    def of(cls, found: GiftCardAbove, currency: str) -> Self:
        return cls(
            gift_card_id=strawberry.ID(type_id("gc", found.gift_card_id)),
            card_number=found.number,
            holder=found.holder,
            balance=Money.of(found.balance, currency),
            cap=Money.of(found.cap, currency),
        )


@strawberry.type(description="What was paid at once for gift cards and reached a threshold.")
class LargeGiftCardPurchase:
    kind: GiftCardPurchaseKind = strawberry.field(description="How they were bought.")
    id: strawberry.ID = strawberry.field(
        description="The order, `ord_…`, the bulk order, `gcb_…`, or of what was done at a till the"
        " transaction, `gct_…`."
    )
    bought_at: datetime = strawberry.field(description="When it was paid.")
    card_number: str | None = strawberry.field(description="The gift card, at a till.")
    buyer: str = strawberry.field(
        description="Who bought them, masked; a company by its name. At a till it is whoever holds"
        " the card now; empty is nobody known."
    )
    amount: Money = strawberry.field(description="What was paid.")
    needs_real_name: bool = strawberry.field(
        description="Whether the buyer's document had to be on record."
    )
    real_name_recorded_at: datetime | None = strawberry.field(
        description="When it was recorded, of a company its registration number; null is never."
    )
    needs_transfer: bool = strawberry.field(
        description="Whether it had to be paid by transfer, which companies must from another sum"
        " on."
    )
    method_name: str | None = strawberry.field(description="The payment method, if it had one.")
    provider: str | None = strawberry.field(description="The provider it was paid through.")
    leaves_trace: bool = strawberry.field(
        description="Whether it was paid in a way that a bank keeps trace of."
    )
    is_above_most: bool = strawberry.field(
        description="Whether it is more than one purchase of a person may cost."
    )

    @classmethod
    def of(cls, found: LargePurchase, currency: str) -> Self:
        return cls(
            kind=found.kind,
            id=strawberry.ID(found.id),
            bought_at=found.bought_at,
            card_number=found.card_number,
            buyer=found.buyer,
            amount=Money.of(found.amount, currency),
            needs_real_name=found.needs_real_name,
            real_name_recorded_at=found.real_name_recorded_at,
            needs_transfer=found.needs_transfer,
            method_name=found.method_name,
            provider=found.provider,
            leaves_trace=found.leaves_trace,
            is_above_most=found.is_above_most,
        )


@strawberry.type(description="A paid balance with an end, which there must be none of.")
class ExpiringCash:
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    card_number: str = strawberry.field(description="The number printed on it.")
    holder: str = strawberry.field(description="Whose it is, masked.")
    amount: Money = strawberry.field(description="What is left of it now.")
    expires_at: datetime = strawberry.field(description="When it would be cleared.")

    @classmethod
    def of(cls, found: compliance.ExpiringCash) -> Self:
        return cls(
            card_id=strawberry.ID(type_id("card", found.card_id)),
            card_number=found.card_number,
            holder=found.holder,
            amount=Money.of(found.amount, found.currency),
            expires_at=found.expires_at,
        )


_LISTED = f"the first {beyond.ROWS_MAX:,}"
_IN_ALL = "How many there are in all."


@strawberry.type(description="The limits in force in one currency, and what is beyond them.")
class CurrencyCompliance:
    rules: GroupRules = strawberry.field(description="The limits as they are now.")
    cards: list[CardAboveCap] = strawberry.field(
        description=f"Cards above their cap at the end of the period, the fullest first; {_LISTED}."
    )
    number_of_cards: Long = strawberry.field(description=_IN_ALL)
    persons: list[PersonAboveCap] = strawberry.field(
        description=f"Persons above their cap at the end of the period; {_LISTED}."
    )
    number_of_persons: Long = strawberry.field(description=_IN_ALL)
    orders: list[LargeTopUp] = strawberry.field(
        description="Top-ups of the period at or above the lowest threshold, the largest first;"
        f" {_LISTED}."
    )
    number_of_orders: Long = strawberry.field(description=_IN_ALL)
    gift_cards: list[GiftCardAboveCap] = strawberry.field(
        description="Gift cards above the cap of a card that is not registered at the end of the"
        f" period, the fullest first; {_LISTED}."
    )
    number_of_gift_cards: Long = strawberry.field(description=_IN_ALL)
    gift_card_purchases: list[LargeGiftCardPurchase] = strawberry.field(
        description="What was paid at once for gift cards in the period, at or above the lowest"
        f" threshold of its buyer, the largest first; {_LISTED}."
    )
    number_of_gift_card_purchases: Long = strawberry.field(description=_IN_ALL)

    @classmethod
    def of(cls, found: compliance.InCurrency) -> Self:
        currency = found.rules.currency
        return cls(
            rules=GroupRules.of(found.rules),
            cards=[CardAboveCap.of(row, currency) for row in found.cards.rows],
            number_of_cards=Long(found.cards.how_many),
            persons=[PersonAboveCap.of(row, currency) for row in found.persons.rows],
            number_of_persons=Long(found.persons.how_many),
            orders=[LargeTopUp.of(row, currency) for row in found.orders.rows],
            number_of_orders=Long(found.orders.how_many),
            gift_cards=[GiftCardAboveCap.of(row, currency) for row in found.gift_cards.rows],
            number_of_gift_cards=Long(found.gift_cards.how_many),
            gift_card_purchases=[
                LargeGiftCardPurchase.of(row, currency) for row in found.purchases.rows
            ],
            number_of_gift_card_purchases=Long(found.purchases.how_many),
        )


@strawberry.type(description="What an auditor of prepaid cards asks.")
class ComplianceReport:
    about: ReportSubject = strawberry.field(description="What it is about.")
    currencies: list[CurrencyCompliance] = strawberry.field(
        description="For each currency the group's schemes and gift cards are kept in."
    )
    expiring_cash: list[ExpiringCash] = strawberry.field(
        description=f"Paid balances that would expire; {_LISTED}."
    )
    number_of_expiring: Long = strawberry.field(description=_IN_ALL)

    @classmethod
    def of(cls, found: compliance.Compliance) -> Self:
        return cls(
            about=ReportSubject.of(found.about),
            currencies=[CurrencyCompliance.of(each) for each in found.currencies],
            expiring_cash=[ExpiringCash.of(row) for row in found.expiring.rows],
            number_of_expiring=Long(found.expiring.how_many),
        )
