"""The demo's gift cards: an electronic one and a printed one, and one that was bought (GFT-1)."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from app.core.db import Transaction
from app.core.ids import type_id
from app.demo.money import CURRENCY, YUAN
from app.models.gift_cards import (
    BuyerField,
    GiftCardKind,
    GiftCardProduct,
    GiftCardProductState,
)
from app.services.actors import Actor
from app.services.gift_cards import buying, products
from app.services.gift_cards.details import GiftCardProductDetails
from app.services.gift_cards.pricing import CustomAmount, Denomination
from app.services.scopes import ScopeRules


async def make_products(
    tx: Transaction,
    owner: Actor,
    *,
    group_id: UUID,
    pictures: Mapping[str, UUID],
    now: datetime,
) -> list[GiftCardProduct]:
    """What can be bought: 120 for 100 online, 20 off 200 of any amount, and printed cards."""
    drawn = tuple(
        type_id("file", pictures[name]) for name in ("gift-red", "gift-birthday", "gift-thanks")
    )
    wanted = (
        (
            GiftCardKind.ELECTRONIC,
            GiftCardProductDetails(
                name="心意卡 · Gift card",
                description="送朋友或自己用，可分次使用。· For friends or yourself.",
                scope=ScopeRules(),
                denominations=(
                    Denomination(face=120 * YUAN, price=100 * YUAN),
                    Denomination(face=50 * YUAN, price=50 * YUAN),
                ),
                custom_amount=CustomAmount(
                    face_from=20 * YUAN,
                    face_to=1_000 * YUAN,
                    discount_from=200 * YUAN,
                    discount=20 * YUAN,
                ),
                designs=(*drawn, "lantern", "blossom", "festival"),
                valid_days=365,
                can_move=True,
                agreement="礼品卡售出后可退未用部分。· What is unused can be given back.",
            ),
        ),
        (
            GiftCardKind.PHYSICAL,
            GiftCardProductDetails(
                name="实体礼品卡 · Printed gift card",
                scope=ScopeRules(),
                denominations=(Denomination(face=200 * YUAN, price=200 * YUAN),),
                buyer_name=BuyerField.OPTIONAL,
                can_recharge=True,
            ),
        ),
    )
    made = []
    for kind, details in wanted:
        drafted = await products.create(
            tx, owner, perspective_id=group_id, kind=kind, currency=CURRENCY, details=details,
            now=now,
        )  # fmt: skip
        made.append(
            await products.move(
                tx, owner, product_id=drafted.id, state=GiftCardProductState.ACTIVE, now=now
            )
        )
    return made


async def sell_one(
    tx: Transaction,
    cashier: Actor,
    *,
    product: GiftCardProduct,
    terminal_id: UUID,
    member_id: UUID,
    now: datetime,
) -> None:
    """A member bought an electronic card at a till: worth 120.00, paid 100.00."""
    await buying.sell(
        tx,
        cashier,
        terminal_id=terminal_id,
        choice=buying.Choice(product_id=product.id, face=120 * YUAN, buyer=buying.Buyer()),
        number=None,
        member_id=member_id,
        method_code="wechat_pay",
        request_key=f"demo-gift-card-{member_id}",
        now=now,
    )
