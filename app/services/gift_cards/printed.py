"""Printed cards: their numbers and keys come by a spreadsheet before anybody buys one (GFT-5).

A key is worth what its card will be, so only its keyed hash is kept.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Transaction, every_column, statement, upsert, values_of
from app.core.errors import DomainError
from app.models.gift_cards import GiftCard, GiftCardKind
from app.models.imports import Import, ImportKind
from app.models.organisation import Node
from app.models.staff import Permission
from app.services import organisation
from app.services.actors import Actor
from app.services.gift_cards import numbers, products
from app.services.gift_cards.holding import new_gift_card
from app.services.imports import Column, Kind, RowRefused

put_card = upsert(
    lambda insert: (
        insert(GiftCard)
        .values(every_column(GiftCard))
        .on_conflict_do_nothing(index_elements=["group_id", "number"])
    )
)
card_of_number = statement(
    select(GiftCard).where(
        col(GiftCard.group_id) == bindparam("group_id"), col(GiftCard.number) == bindparam("number")
    ),
    into=GiftCard,
)

NOT_A_NUMBER = (
    f"卡号须为 {numbers.NUMBER_DIGITS} 位且校验位正确"
    f" The number needs {numbers.NUMBER_DIGITS} digits, the last of which checks the others"
)
NOT_A_KEY = (
    f"卡密须为 {numbers.KEY_DIGITS_MIN}–{numbers.KEY_DIGITS_MAX} 位数字"
    f" The key needs {numbers.KEY_DIGITS_MIN} to {numbers.KEY_DIGITS_MAX} digits"
)
OTHER_KEY = "卡号已存在且卡密不同 This number is there already, with another key"
OTHER_PRODUCT = "卡号已属于其他礼品卡产品 This number belongs to another gift card product"


class GiftCardNotPrinted(DomainError):
    """Electronic cards have no numbers that somebody prints."""

    def __init__(self) -> None:
        super().__init__("Only a physical gift card has printed numbers.")


async def perspective_of(tx: Transaction, actor: Actor, product_id: UUID) -> Node:
    """Where the numbers of a product belong.

    Raises `GiftCardProductNotFound`, `GiftCardNotPrinted`.
    """
    product = await products.of_group(tx, group_id=actor.group_id, product_id=product_id)
    if product.kind is not GiftCardKind.PHYSICAL:
        raise GiftCardNotPrinted
    return await organisation.node(tx, product.perspective_id)


async def land(tx: Transaction, running: Import, cells: Mapping[str, str], now: datetime) -> bool:
    """Take one printed card in; False where it is there already. Raises `RowRefused`."""
    number, key = numbers.plain(cells["number"]), numbers.plain(cells["key"])
    wrong = [
        reason
        for is_right, reason in (
            (numbers.is_number(number), NOT_A_NUMBER),
            (numbers.is_key(key), NOT_A_KEY),
        )
        if not is_right
    ]
    if wrong:
        raise RowRefused("; ".join(wrong))
    product = await products.of_group(tx, group_id=running.group_id, product_id=running.subject_id)
    card = new_gift_card(
        group_id=running.group_id,
        product_id=product.id,
        kind=GiftCardKind.PHYSICAL,
        number=number,
        key_index=numbers.key_index(number, key),
        currency=product.currency,
        created_at=now,
    )
    if await tx.changed(put_card, **values_of(card)):
        return True
    there = await tx.one(card_of_number, group_id=running.group_id, number=number)
    assert there is not None, "what conflicts stands there"
    if there.product_id != product.id:
        raise RowRefused(OTHER_PRODUCT)
    if there.key_index != card.key_index:
        raise RowRefused(OTHER_KEY)
    return False


NUMBERS = Kind(
    kind=ImportKind.GIFT_CARD_NUMBERS,
    title="实体礼品卡号导入 Numbers of printed gift cards",
    sheet="卡号 Numbers",
    columns=(
        Column(
            key="number",
            title="卡号 Number",
            explanation="印在卡上的 16 位卡号，文本格式 The 16 digits printed on the card, as text",
            is_code=True,
        ),
        Column(
            key="key",
            title="卡密 Key",
            explanation="涂层下的 8–12 位数字，文本格式 The 8–12 digits under the coating, as text",
            is_code=True,
        ),
    ),
    permission=Permission.GIFT_CARDS_WRITE,
    perspective=perspective_of,
    land=land,
)
