"""Gift cards that become stored value (GFT-4)."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Transaction, light, statement
from app.core.errors import DomainError
from app.models.cards import Card
from app.models.gift_cards import GiftCard, GiftCardMove, GiftCardState
from app.models.ledger import AccountKind, PostingKind
from app.models.sessions import PrincipalKind
from app.services import cards, compliance, ledger, live, members, purchases, requests, schemes
from app.services.gift_cards import holding
from app.services.ledger.sheet import Taken
from app.services.members import Bearer

CAUSE = "gift_card_move"

move_by_id = statement(
    select(GiftCardMove).where(col(GiftCardMove.id) == bindparam("move_id")), into=GiftCardMove
)
new_move = light(GiftCardMove)


class GiftCardNotMovable(DomainError):
    """Its product does not let it become stored value."""

    def __init__(self) -> None:
        super().__init__("This gift card cannot be moved into stored value.")


class Moved(NamedTuple):
    """What became stored value, of which gift card, on which card."""

    move: GiftCardMove
    gift_card: GiftCard
    card: Card
    is_replay: bool


async def move(
    tx: Transaction,
    *,
    bearer: Bearer,
    gift_card_id: UUID,
    card_id: UUID,
    request_key: str,
    now: datetime,
) -> Moved:
    """Move all that is left of the holder's gift card into one of their cards (GFT-4).

    What was paid becomes cash, which on a member's card has no end; what was given becomes bonus
    and keeps its end. Raises `GiftCardNotFound`, a `GiftCardUnusable`, `GiftCardNotMovable`,
    `CardNotFound`, `CardNotUsable`, `WrongCurrency`, `CardCapReached`, `PersonCapReached`,
    `BalanceTooLarge`, `RequestKeyReused`.
    """
    member = await members.acting(tx, bearer, now=now)
    request = requests.Request(
        principal_id=member.id,
        operation="giftCardMoveToStoredValue",
        key=request_key,
        input={"gift_card": gift_card_id, "card": card_id},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return await _replayed(tx, claim.answer_id)
    card = await cards.own(tx, member_id=member.id, card_id=card_id)
    card = await cards.locked(tx, card)
    cards.require_usable(card, now)
    held = await holding.own(tx, member_id=member.id, gift_card_id=gift_card_id)
    gift_card = await holding.locked(tx, held.id)
    holding.require_usable(gift_card, now)
    assert gift_card.terms is not None, "it was sold"
    if not gift_card.terms["can_move"]:
        raise GiftCardNotMovable
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    if scheme.currency != gift_card.currency:
        raise purchases.WrongCurrency(scheme.currency)
    purse = await holding.purse_of(tx, gift_card)
    own = {each.kind: each for each in await ledger.accounts_of_cards(tx, [card.id])}
    to_cash, to_bonus = own[AccountKind.CASH], own[AccountKind.BONUS]
    header = holding.header(
        gift_card,
        kind=PostingKind.GIFT_CARD_MOVE,
        cause_kind=CAUSE,
        cause_id=claim.answer_id,
        actor_kind=PrincipalKind.MEMBER,
        actor_id=member.id,
        scheme_id=card.scheme_id,
        now=now,
    )
    sheet = await ledger.Sheet.open(
        tx, header, [purse.cash.id, purse.bonus.id, to_cash.id, to_bonus.id]
    )
    cash_lots, bonus_lots = await sheet.live(purse.cash.id), await sheet.live(purse.bonus.id)
    cash, bonus = holding.live_total(cash_lots), holding.live_total(bonus_lots)
    await compliance.require_caps(
        tx, card=card, member=member, amount=cash, currency=scheme.currency, now=now
    )
    sheet.take_lots(purse.cash.id, [Taken(lot, lot.remaining) for lot in cash_lots])
    sheet.take_lots(purse.bonus.id, [Taken(lot, lot.remaining) for lot in bonus_lots])
    if cash:
        sheet.put(to_cash.id, cash)
    for lot in bonus_lots:
        sheet.put(to_bonus.id, lot.remaining, expires_at=lot.expires_at)
    await sheet.close()
    await holding.become(tx, gift_card, was=GiftCardState.ACTIVE, state=GiftCardState.USED)
    moved = new_move(
        id=claim.answer_id,
        group_id=gift_card.group_id,
        gift_card_id=gift_card.id,
        card_id=card.id,
        currency=gift_card.currency,
        cash=cash,
        bonus=bonus,
        moved_at=now,
    )
    await tx.insert(moved)
    live.tell(tx, member.id, "TOPPED_UP", object_id=moved.id, now=now)
    return await _told(tx, moved, is_replay=False)


async def _replayed(tx: Transaction, move_id: UUID) -> Moved:
    moved = await tx.one(move_by_id, move_id=move_id)
    assert moved is not None
    return await _told(tx, moved, is_replay=True)


async def _told(tx: Transaction, moved: GiftCardMove, *, is_replay: bool) -> Moved:
    gift_card = (await holding.by_ids(tx, [moved.gift_card_id]))[moved.gift_card_id]
    return Moved(moved, gift_card, await cards.living(tx, moved.card_id), is_replay)
