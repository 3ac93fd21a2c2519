"""Gift cards as their holders and staff see them, and what happens with them (GFT-3…GFT-5)."""

import base64
from datetime import datetime
from typing import Self

import strawberry

from app.core.ids import type_id
from app.core.qr_codes import qr_png, qr_svg
from app.models import gift_cards as rows
from app.models.gift_cards import (
    GiftCardKind,
    GiftCardPaymentState,
    GiftCardState,
    GiftState,
)
from app.models.ledger import PostingKind
from app.services.gift_cards import gifts, holding, moving, numbers, paying, proving, recharging
from schema.context import Info
from schema.enums import describe
from schema.gift_cards.products import GiftCardDesign, GiftCardProduct
from schema.organisation import Node
from schema.payment_methods import PaymentMethod
from schema.scalars import Money
from schema.values import AccountKind

__all__ = [
    "GiftCard",
    "GiftCardBalance",
    "GiftCardCode",
    "GiftCardGift",
    "GiftCardLine",
    "GiftCardLookedUp",
    "GiftCardMoved",
    "GiftCardPaid",
    "GiftCardPayment",
    "GiftCardPaymentState",
    "GiftCardRecharged",
    "GiftCardState",
    "GiftState",
    "OwnGiftCard",
    "SoldGiftCard",
]

describe(
    GiftCardState,
    "Whether a gift card can pay.",
    {
        "INACTIVE": "Printed, and not sold yet.",
        "ACTIVE": "It can.",
        "FROZEN": "Not until staff restore it.",
        "USED": "Nothing is left on it.",
        "EXPIRED": "Its time is over.",
        "REFUNDED": "It was paid out and closed.",
    },
)
describe(
    GiftState,
    "Where a gift is.",
    {
        "WAITING": "It waits for its day.",
        "OPEN": "Whoever has its code can claim it.",
        "CLAIMED": "Somebody has it.",
        "RETURNED": "Nobody claimed it in time: its buyer holds the card.",
        "WITHDRAWN": "Its card was refunded before anybody claimed it.",
    },
)
describe(
    GiftCardPaymentState,
    "Whether a gift card's payment stands.",
    {"PAID": "It does.", "VOIDED": "All of it came back."},
)


@strawberry.type(description="What a gift card holds.")
class GiftCardBalance:
    cash: Money = strawberry.field(description="What is left of what was paid.")
    gift: Money = strawberry.field(description="What is left of what was given with it.")
    total: Money = strawberry.field(description="Both together.")

    @classmethod
    def of(cls, found: holding.Balance, currency: str) -> Self:
        return cls(
            cash=Money.of(found.cash, currency),
            gift=Money.of(found.bonus, currency),
            total=Money.of(found.total, currency),
        )


@strawberry.type(description="A gift card.")
class GiftCard:
    id: strawberry.ID = strawberry.field(description="Its id, `gc_…`.")
    kind: GiftCardKind = strawberry.field(description="What it is made of.")
    number: str = strawberry.field(description="16 digits, the last checks the others.")
    face: Money = strawberry.field(description="What it was worth when it was sold.")
    price: Money = strawberry.field(description="What was paid for it then: its cash value.")
    gift: Money = strawberry.field(description="What was given with it: face − price.")
    activated_at: datetime | None = strawberry.field(
        description="When it was sold; null if it was not yet."
    )
    expires_at: datetime | None = strawberry.field(
        description="Until when it can pay; null is for good."
    )
    refunded_at: datetime | None = strawberry.field(description="When it was paid out.")
    row: strawberry.Private[rows.GiftCard]

    @classmethod
    def of(cls, row: rows.GiftCard) -> Self:
        return cls(
            id=strawberry.ID(type_id("gc", row.id)),
            kind=row.kind,
            number=row.number,
            face=Money.of(row.face, row.currency),
            price=Money.of(row.cash, row.currency),
            gift=Money.of(row.face - row.cash, row.currency),
            activated_at=row.activated_at,
            expires_at=row.expires_at,
            refunded_at=row.ended_at,
            row=row,
        )

    @strawberry.field(description="Whether it can pay.")
    def state(self, info: Info) -> GiftCardState:
        return holding.status_at(self.row, info.context.now)

    @strawberry.field(description="What it holds.")
    async def balance(self, info: Info) -> GiftCardBalance:
        found = await info.context.loaders.gift_card_balance.load(self.row.id)
        return GiftCardBalance.of(found, self.row.currency)

    @strawberry.field(description="What it was sold as, as that is today.")
    async def product(self, info: Info) -> GiftCardProduct:
        return GiftCardProduct.of(
            await info.context.loaders.gift_card_product.load(self.row.product_id)
        )

    @strawberry.field(description="What it is called: its product's name when it was sold.")
    def name(self) -> str | None:
        return None if self.row.terms is None else self.row.terms["name"]

    @strawberry.field(description="How it looks; null if it was not sold yet.")
    def design(self, info: Info) -> GiftCardDesign | None:
        if self.row.design is None:
            return None
        return GiftCardDesign.of(self.row.design, info.context.settings.public_url)

    @strawberry.field(description="Whether its holder may move it into stored value.")
    def can_move(self) -> bool:
        return self.row.terms is not None and self.row.terms["can_move"]

    @strawberry.field(description="At which store it was sold; null if at none.")
    async def store(self, info: Info) -> Node | None:
        if self.row.store_id is None:
            return None
        return Node.of(await info.context.loaders.node.load(self.row.store_id))


@strawberry.type(description="A gift card of the member's own.")
class OwnGiftCard(GiftCard):
    @strawberry.field(
        description="The key it pays with besides its number; null of a printed card, which has it"
        " on its back."
    )
    def key(self) -> str | None:
        return self.row.key

    @strawberry.field(description="What its giver wrote; null if nothing.")
    async def greeting(self, info: Info) -> str | None:
        gift = await info.context.loaders.gift_of_card.load(self.row.id)
        return None if gift is None else gift.greeting


@strawberry.type(description="A gift card as staff see it.")
class SoldGiftCard(GiftCard):
    @strawberry.field(description="Who holds it, `mem_…`; that may have been merged since.")
    def holder_id(self) -> strawberry.ID | None:
        holder_id = self.row.holder_id
        return None if holder_id is None else strawberry.ID(type_id("mem", holder_id))

    @strawberry.field(description="The order by which it was bought online, `ord_…`.")
    def order_id(self) -> strawberry.ID | None:
        order_id = self.row.order_id
        return None if order_id is None else strawberry.ID(type_id("ord", order_id))

    @strawberry.field(description="How it was paid at a till.")
    async def method(self, info: Info) -> PaymentMethod | None:
        return await PaymentMethod.load(info, self.row.payment_method_id)

    @strawberry.field(description="How much was paid out when it was refunded.")
    def refunded_amount(self) -> Money | None:
        amount = self.row.refunded_cash
        return None if amount is None else Money.of(amount, self.row.currency)

    @strawberry.field(description="Why it was refunded.")
    def refund_reason(self) -> str | None:
        return self.row.refund_reason

    @strawberry.field(description="How it was paid out.")
    async def refund_method(self, info: Info) -> PaymentMethod | None:
        return await PaymentMethod.load(info, self.row.refund_method_id)


@strawberry.type(description="A movement on a gift card.")
class GiftCardLine:
    id: strawberry.ID = strawberry.field(description="Its id, `line_…`.")
    account: AccountKind = strawberry.field(description="CASH was paid for, BONUS was given.")
    amount: Money = strawberry.field(description="What came; negative what went.")
    cause: PostingKind = strawberry.field(description="Why.")
    occurred_at: datetime = strawberry.field(description="When.")
    row: strawberry.Private[holding.Line]

    @classmethod
    def of(cls, row: holding.Line) -> Self:
        return cls(
            id=strawberry.ID(type_id("line", row.id)),
            account=row.account_kind,
            amount=Money.of(row.amount, row.unit),
            cause=row.posting_kind,
            occurred_at=row.occurred_at,
            row=row,
        )

    @strawberry.field(description="At which store; null if at none.")
    async def store(self, info: Info) -> Node | None:
        if self.row.store_id is None:
            return None
        return Node.of(await info.context.loaders.node.load(self.row.store_id))


@strawberry.type(description="A gift card the member gave.")
class GiftCardGift:
    id: strawberry.ID = strawberry.field(description="Its id, `gift_…`.")
    state: GiftState = strawberry.field(description="Where it is.")
    greeting: str | None = strawberry.field(description="What goes with it.")
    deliver_at: datetime = strawberry.field(description="From when it can be claimed.")
    expires_at: datetime = strawberry.field(
        description="When it returns to its buyer, unless it was claimed."
    )
    claimed_at: datetime | None = strawberry.field(description="When it was claimed.")
    row: strawberry.Private[rows.GiftCardGift]

    @classmethod
    def of(cls, row: rows.GiftCardGift) -> Self:
        return cls(
            id=strawberry.ID(type_id("gift", row.id)),
            state=row.state,
            greeting=row.greeting,
            deliver_at=row.deliver_at,
            expires_at=row.expires_at,
            claimed_at=row.claimed_at,
            row=row,
        )

    @strawberry.field(
        description="The code by which it is claimed: whoever has it, has the card. Null unless it"
        " can be claimed now."
    )
    def code(self, info: Info) -> str | None:
        if not gifts.is_open(self.row, info.context.now):
            return None
        return numbers.gift_code(self.row.id)

    @strawberry.field(description="What the card was worth when it was bought.")
    async def face(self, info: Info) -> Money:
        card = await info.context.loaders.gift_card.load(self.row.gift_card_id)
        return Money.of(card.face, card.currency)

    @strawberry.field(description="How the card looks.")
    async def design(self, info: Info) -> GiftCardDesign:
        card = await info.context.loaders.gift_card.load(self.row.gift_card_id)
        assert card.design is not None, "it was sold"
        return GiftCardDesign.of(card.design, info.context.settings.public_url)


@strawberry.type(
    description="What a till scans: it works once, for two minutes. Draw the value as Code 128 for"
    " the barcode; svg and png are its QR code, drawn only when asked for."
)
class GiftCardCode:
    value: str = strawberry.field(description="18 digits.")
    expires_at: datetime = strawberry.field(description="Until when it works.")

    @classmethod
    def of(cls, code: proving.Code) -> Self:
        return cls(value=code.value, expires_at=code.expires_at)

    @strawberry.field(description="The QR code as an SVG document.")
    def svg(self) -> str:
        return qr_svg(self.value)

    @strawberry.field(description="The QR code as a PNG, in a data: URI.")
    def png(self) -> str:
        return f"data:image/png;base64,{base64.b64encode(qr_png(self.value)).decode()}"


@strawberry.type(description="A card whose number and key the member has.")
class GiftCardLookedUp:
    state: GiftCardState = strawberry.field(description="Whether it can pay.")
    balance: GiftCardBalance = strawberry.field(description="What it holds.")
    expires_at: datetime | None = strawberry.field(
        description="Until when it can pay; null is for good."
    )

    @classmethod
    def of(cls, looked: proving.Looked, now: datetime) -> Self:
        return cls(
            state=holding.status_at(looked.card, now),
            balance=GiftCardBalance.of(looked.balance, looked.card.currency),
            expires_at=looked.card.expires_at,
        )


@strawberry.type(description="A bill, or a part of one, that a gift card paid.")
class GiftCardPayment:
    id: strawberry.ID = strawberry.field(description="Its id, `gcpay_…`.")
    state: GiftCardPaymentState = strawberry.field(description="Whether it stands.")
    order_number: str = strawberry.field(description="The till's or the partner's own number.")
    amount: Money = strawberry.field(description="How much it paid.")
    cash: Money = strawberry.field(description="How much of that was paid for.")
    gift: Money = strawberry.field(description="How much of that was given.")
    paid_at: datetime = strawberry.field(description="When.")
    voided_at: datetime | None = strawberry.field(description="When it came back.")

    @classmethod
    def of(cls, row: rows.GiftCardPayment) -> Self:
        return cls(
            id=strawberry.ID(type_id("gcpay", row.id)),
            state=row.state,
            order_number=row.order_number,
            amount=Money.of(row.cash + row.bonus, row.currency),
            cash=Money.of(row.cash, row.currency),
            gift=Money.of(row.bonus, row.currency),
            paid_at=row.paid_at,
            voided_at=row.voided_at,
        )


@strawberry.type(description="What a card paid, or what came back, and what it holds now.")
class GiftCardPaid:
    payment: GiftCardPayment = strawberry.field(description="The payment.")
    card_number: str = strawberry.field(description="The last four digits of the card's number.")
    balance: GiftCardBalance = strawberry.field(description="What the card holds now.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had done it."
    )

    @classmethod
    def of(cls, done: paying.Done) -> Self:
        return cls(
            payment=GiftCardPayment.of(done.payment),
            card_number=done.card.number[-4:],
            balance=GiftCardBalance.of(done.balance, done.card.currency),
            replayed=done.is_replay,
        )


@strawberry.type(description="What was put on a card.")
class GiftCardRecharged:
    card_number: str = strawberry.field(description="The last four digits of the card's number.")
    face: Money = strawberry.field(description="What it is worth.")
    price: Money = strawberry.field(description="What was paid for it.")
    balance: GiftCardBalance = strawberry.field(description="What the card holds now.")
    expires_at: datetime | None = strawberry.field(
        description="Until when the card can pay; null is for good."
    )
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had done it."
    )

    @classmethod
    def of(cls, done: recharging.Recharged) -> Self:
        currency = done.recharge.currency
        return cls(
            card_number=done.card.number[-4:],
            face=Money.of(done.recharge.face, currency),
            price=Money.of(done.recharge.cash, currency),
            balance=GiftCardBalance.of(done.balance, currency),
            expires_at=done.card.expires_at,
            replayed=done.is_replay,
        )


@strawberry.type(description="What of a gift card became stored value.")
class GiftCardMoved:
    gift_card: OwnGiftCard = strawberry.field(description="The gift card, used up.")
    card_id: strawberry.ID = strawberry.field(description="On which card it is now, `card_…`.")
    cash: Money = strawberry.field(description="How much of it is cash.")
    bonus: Money = strawberry.field(description="How much of it is bonus.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had done it."
    )

    @classmethod
    def of(cls, moved: moving.Moved) -> Self:
        currency = moved.move.currency
        return cls(
            gift_card=OwnGiftCard.of(moved.gift_card),
            card_id=strawberry.ID(type_id("card", moved.card.id)),
            cash=Money.of(moved.move.cash, currency),
            bonus=Money.of(moved.move.bonus, currency),
            replayed=moved.is_replay,
        )
