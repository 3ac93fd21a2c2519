"""What the back office says to make and change templates and packs, and what it is answered."""

from datetime import date
from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.coupons import CouponKind
from app.services.coupons import details, giving, packs, validity, values
from schema.coupons.gifts import CouponPackNotFound, CouponTemplateNotFound
from schema.coupons.templates import (
    CouponNotEditable,
    CouponPack,
    CouponStateUnchangeable,
    CouponTemplate,
)
from schema.files import FileNotFound
from schema.organisation import NodeNotFound, StoreGroupNotFound
from schema.problems import EditedMeanwhile
from schema.scalars import CurrencyCode, Long
from schema.scopes import AudienceNotFound, ScopeInput

_AMOUNT = f"in minor units, 1 to {values.AMOUNT_MAX:,}"
_ITEMS = f"by the till's ids, 1 to {values.GIFT_ITEMS_MAX}"
_STOCK = f"How many can be issued from now on, 0 to {details.STOCK_MAX:,}; null is without end."
_VERSION = "The `version` the edit began with."
_ZONE = "The IANA time zone whose calendar decides, such as the browser's own."


@strawberry.input(description="CASH: an amount off.")
class CouponCashInput:
    amount: Long = strawberry.field(description=f"How much, {_AMOUNT}.")


@strawberry.input(description="DISCOUNT: a share off.")
class CouponDiscountInput:
    off_basis_points: int = strawberry.field(
        description="How much is taken off, 1 to 10,000; 2,000 leaves 80 % to pay."
    )
    at_most: Long | None = strawberry.field(
        default=None, description=f"The most it takes off, {_AMOUNT}; null is no cap."
    )


@strawberry.input(description="GIFT: items for nothing, the dearest on the bill first.")
class CouponGiftItemsInput:
    items: list[str] = strawberry.field(description=f"Any of these, {_ITEMS}.")
    quantity: int = strawberry.field(
        default=1, description=f"How many units in all, 1 to {values.GIFT_QUANTITY_MAX}."
    )


@strawberry.input(description="DISCOUNT_TO: a fixed price for items, or for the bill.")
class CouponFixedPriceInput:
    price: Long = strawberry.field(
        description=f"What is paid, {_AMOUNT}: for each unit, where 0 is allowed too, or for the"
        " bill."
    )
    items: list[str] | None = strawberry.field(
        default=None,
        description=f"Any of these, {_ITEMS}; null is all that the coupon is for.",
    )
    quantity: int = strawberry.field(
        default=1,
        description=f"With items: how many units at that price, 1 to {values.GIFT_QUANTITY_MAX}.",
    )


@strawberry.input(one_of=True, description="What a coupon takes off: the fields of its kind.")
class CouponBenefitInput:
    cash: CouponCashInput | None = strawberry.field(default=strawberry.UNSET, description="CASH.")
    discount: CouponDiscountInput | None = strawberry.field(
        default=strawberry.UNSET, description="DISCOUNT."
    )
    gift: CouponGiftItemsInput | None = strawberry.field(
        default=strawberry.UNSET, description="GIFT."
    )
    discount_to: CouponFixedPriceInput | None = strawberry.field(
        default=strawberry.UNSET, description="DISCOUNT_TO."
    )

    def benefit(self) -> values.Benefit:
        """The one that is given."""
        if self.cash:
            return values.CashOff(self.cash.amount)
        if self.discount:
            return values.ShareOff(self.discount.off_basis_points, self.discount.at_most)
        if self.gift:
            return values.ItemsFree(tuple(self.gift.items), self.gift.quantity)
        assert self.discount_to, "GraphQL lets exactly one through"
        items = self.discount_to.items
        return values.FixedPrice(
            self.discount_to.price,
            None if items is None else tuple(items),
            self.discount_to.quantity,
        )


@strawberry.input(description="From one date to another, both included.")
class CouponFixedDatesInput:
    first: date = strawberry.field(description="The first day.")
    last: date = strawberry.field(description="The last day, to its end.")
    time_zone: str = strawberry.field(description=_ZONE)


@strawberry.input(description="Days from the receipt.")
class CouponDaysFromReceiptInput:
    valid_days: int = strawberry.field(
        description="For how many days, the first of them included, 1 to"
        f" {validity.VALID_DAYS_MAX:,}."
    )
    time_zone: str = strawberry.field(description=_ZONE)
    effective_after_days: int = strawberry.field(
        default=0,
        description="From which midnight after the receipt on, 0 to"
        f" {validity.EFFECTIVE_AFTER_DAYS_MAX:,}; 0 is at once.",
    )


@strawberry.input(one_of=True, description="When coupons can be used: exactly one of these.")
class CouponValidityInput:
    fixed: CouponFixedDatesInput | None = strawberry.field(
        default=strawberry.UNSET, description="On the same dates for all."
    )
    from_receipt: CouponDaysFromReceiptInput | None = strawberry.field(
        default=strawberry.UNSET, description="By the day somebody was given one."
    )

    def validity(self) -> validity.Validity:
        """The one that is given."""
        if self.fixed:
            return validity.FixedDates(self.fixed.first, self.fixed.last, self.fixed.time_zone)
        assert self.from_receipt, "GraphQL lets exactly one through"
        return validity.DaysFromReceipt(
            self.from_receipt.effective_after_days,
            self.from_receipt.valid_days,
            self.from_receipt.time_zone,
        )


@strawberry.input(description="A line of further information about a coupon.")
class CouponFieldInput:
    key: str = strawberry.field(
        description=f"What it is about, 1 to {details.FIELD_KEY_CHARS_MAX} characters."
    )
    value: str = strawberry.field(
        description=f"What it says, 1 to {details.FIELD_VALUE_CHARS_MAX} characters."
    )


@strawberry.input
class _AnyTemplateInput:
    """What a template says, whether it is made or changed."""

    name: str = strawberry.field(description="What the back office calls it, 1 to 120 characters.")
    title: str = strawberry.field(description="What members call it, 1 to 60 characters.")
    benefit: CouponBenefitInput = strawberry.field(description="What a coupon takes off.")
    validity: CouponValidityInput = strawberry.field(description="When coupons can be used.")
    scope: ScopeInput | None = strawberry.field(
        default=None,
        description="Where, when, on which channel and by whom they can be used; null is"
        " unlimited.",
    )
    claim_scope: ScopeInput | None = strawberry.field(
        default=None,
        description="Where, when and by whom they can be claimed, which is done online; null is"
        " not at all.",
    )
    subtitle: str | None = strawberry.field(
        default=None, description="A line below the title, 1 to 120 characters."
    )
    colour: str | None = strawberry.field(
        default=None, description="The colour they are drawn in, `#RRGGBB`."
    )
    image_file_id: strawberry.ID | None = strawberry.field(
        default=None, description="Their picture, `file_…`."
    )
    limit_per_member: int | None = strawberry.field(
        default=None,
        description=f"How many one member can have, 1 to {details.LIMIT_PER_MEMBER_MAX:,}; null"
        " is without limit. What is promised by others is given beyond it.",
    )
    minimum_spend: Long | None = strawberry.field(
        default=None,
        description=f"How much of what it is for must be bought, {_AMOUNT}; null is any amount.",
    )
    items: list[str] | None = strawberry.field(
        default=None,
        description="The items it is for, by the till's ids, 1 to"
        f" {details.ITEMS_MAX}; with `categories` null as well, all.",
    )
    categories: list[str] | None = strawberry.field(
        default=None,
        description=f"The categories it is for, 1 to {details.CATEGORIES_MAX}.",
    )
    includes_sub_items: bool = strawberry.field(
        default=True, description="Whether parts of sets and what is added to an item count."
    )
    includes_side_dishes: bool = strawberry.field(
        default=True, description="Whether side dishes count."
    )
    fields: list[CouponFieldInput] = strawberry.field(
        default_factory=list,
        description=f"Further information, at most {details.FIELDS_MAX}, each key once.",
    )
    instructions: str | None = strawberry.field(
        default=None,
        description=f"How to use it, 1 to {details.INSTRUCTIONS_CHARS_MAX:,} characters.",
    )
    goods_link: str | None = strawberry.field(
        default=None, description="The https address where it is redeemed online."
    )
    online_outside_id: str | None = strawberry.field(
        default=None, description="What the system that redeems them online calls them."
    )
    pos_outside_id: str | None = strawberry.field(
        default=None, description="What the tills' own system calls them."
    )

    def details(self) -> details.TemplateDetails:
        """What the template shall say; raises `BadInput`."""
        image_id, items, categories = self.image_file_id, self.items, self.categories
        return details.TemplateDetails(
            name=self.name,
            title=self.title,
            benefit=self.benefit.benefit(),
            validity=self.validity.validity(),
            scope=(self.scope or ScopeInput()).rules(),
            claim_scope=self.claim_scope.rules() if self.claim_scope else None,
            subtitle=self.subtitle,
            colour=self.colour,
            image_file_id=parse_type_id("file", image_id) if image_id else None,
            limit_per_member=self.limit_per_member,
            minimum_spend=self.minimum_spend,
            items=None if items is None else tuple(items),
            categories=None if categories is None else tuple(categories),
            includes_sub_items=self.includes_sub_items,
            includes_side_dishes=self.includes_side_dishes,
            fields=tuple((each.key, each.value) for each in self.fields),
            instructions=self.instructions,
            goods_link=self.goods_link,
            online_outside_id=self.online_outside_id,
            pos_outside_id=self.pos_outside_id,
        )


@strawberry.input(description="A template to draft. Coupons can be had once it is activated.")
class CouponTemplateCreateInput(_AnyTemplateInput):
    perspective_id: strawberry.ID = strawberry.field(
        description="The group, brand or store it is made under, `node_…`."
    )
    kind: CouponKind = strawberry.field(description="What its coupons do, for good.")
    currency: CurrencyCode = strawberry.field(description="Of which bills, for good.")
    stock: Long | None = strawberry.field(default=None, description=_STOCK)


@strawberry.input(
    description="All that a template says from now on; its stock is set by"
    " `couponTemplateSetStock`."
)
class CouponTemplateUpdateInput(_AnyTemplateInput):
    id: strawberry.ID = strawberry.field(description="The template, `ctpl_…`.")
    expected_version: int = strawberry.field(description=_VERSION)


@strawberry.input(description="How many coupons of a template can still be issued.")
class CouponTemplateSetStockInput:
    id: strawberry.ID = strawberry.field(description="The template, `ctpl_…`.")
    expected_version: int = strawberry.field(description=_VERSION)
    stock: Long | None = strawberry.field(description=_STOCK)


@strawberry.input(description="Which template to activate, deactivate or archive.")
class CouponTemplateMoveInput:
    id: strawberry.ID = strawberry.field(description="The template, `ctpl_…`.")


@strawberry.input(description="Some coupons of one template in a pack.")
class CouponPackItemInput:
    template_id: strawberry.ID = strawberry.field(description="The template, `ctpl_…`.")
    count: int = strawberry.field(default=1, description=f"How many, 1 to {giving.COUNT_MAX}.")


@strawberry.input
class _AnyPackInput:
    """What a pack says, whether it is made or changed."""

    name: str = strawberry.field(description="What the back office calls it, 1 to 120 characters.")
    title: str = strawberry.field(description="What members call it, 1 to 60 characters.")
    contents: list[CouponPackItemInput] = strawberry.field(
        description=f"What is in it: 1 to {packs.ITEMS_MAX} templates, each once."
    )
    description: str | None = strawberry.field(
        default=None,
        description="What members read about it, 1 to"
        f" {details.INSTRUCTIONS_CHARS_MAX:,} characters.",
    )

    def details(self) -> packs.PackDetails:
        """What the pack shall say; raises `BadInput`."""
        return packs.PackDetails(
            name=self.name,
            title=self.title,
            contents=tuple(
                (parse_type_id("ctpl", each.template_id), each.count) for each in self.contents
            ),
            description=self.description,
        )


@strawberry.input(description="A pack to draft.")
class CouponPackCreateInput(_AnyPackInput):
    perspective_id: strawberry.ID = strawberry.field(
        description="The group, brand or store it is made under, `node_…`."
    )


@strawberry.input(description="All that a pack says from now on.")
class CouponPackUpdateInput(_AnyPackInput):
    id: strawberry.ID = strawberry.field(description="The pack, `cpk_…`.")
    expected_version: int = strawberry.field(description=_VERSION)


@strawberry.input(description="Which pack to activate, deactivate or archive.")
class CouponPackMoveInput:
    id: strawberry.ID = strawberry.field(description="The pack, `cpk_…`.")


CouponTemplateCreateResult = Annotated[
    CouponTemplate | NodeNotFound | StoreGroupNotFound | AudienceNotFound | FileNotFound,
    strawberry.union("CouponTemplateCreateResult", description="The draft, or why there is none."),
]
CouponTemplateUpdateResult = Annotated[
    CouponTemplate
    | CouponTemplateNotFound
    | CouponNotEditable
    | EditedMeanwhile
    | NodeNotFound
    | StoreGroupNotFound
    | AudienceNotFound
    | FileNotFound,
    strawberry.union("CouponTemplateUpdateResult", description="The template now, or why not."),
]
CouponTemplateSetStockResult = Annotated[
    CouponTemplate | CouponTemplateNotFound | CouponNotEditable | EditedMeanwhile,
    strawberry.union("CouponTemplateSetStockResult", description="The template now, or why not."),
]
CouponTemplateMoveResult = Annotated[
    CouponTemplate | CouponTemplateNotFound | CouponStateUnchangeable,
    strawberry.union("CouponTemplateMoveResult", description="The template now, or why not."),
]
CouponPackCreateResult = Annotated[
    CouponPack | NodeNotFound | CouponTemplateNotFound,
    strawberry.union("CouponPackCreateResult", description="The draft, or why there is none."),
]
CouponPackUpdateResult = Annotated[
    CouponPack | CouponPackNotFound | CouponNotEditable | EditedMeanwhile | CouponTemplateNotFound,
    strawberry.union("CouponPackUpdateResult", description="The pack now, or why not."),
]
CouponPackMoveResult = Annotated[
    CouponPack | CouponPackNotFound | CouponStateUnchangeable,
    strawberry.union("CouponPackMoveResult", description="The pack now, or why not."),
]
