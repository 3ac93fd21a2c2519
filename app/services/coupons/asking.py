"""For whom a coupon is: a person with all of their cards, judged by its scopes (ORG-3…ORG-6)."""

from collections.abc import Collection
from datetime import datetime

from app.core.db import Transaction
from app.models.cards import CardStatus
from app.models.members import Member
from app.models.organisation import Node
from app.models.scopes import Channel
from app.services import cards, scopes
from app.services.scopes import Circumstances, LoadedScope, Obstacle, ObstacleReason


async def asking(
    tx: Transaction,
    *,
    member: Member,
    channel: Channel,
    store: Node | None,
    holds_already: bool = False,
    now: datetime,
) -> list[Circumstances]:
    """What scopes ask about somebody: once for each usable card, once without where there is none.

    Whoever holds a coupon already may be without a card of its brand: `holds_already` asks without
    one as well, so that only an audience the scope names keeps them from using it.
    """
    held = [
        card
        for card in (await cards.of_members(tx, [member.id]))[member.id]
        if cards.status_at(card, now) is CardStatus.NORMAL
    ]
    asked = [*held, None] if holds_already or not held else held
    return [
        await scopes.circumstances(tx, channel=channel, store=store, card=card, now=now)
        for card in asked
    ]


def obstacle_to(scope: LoadedScope, asked: Collection[Circumstances]) -> Obstacle | None:
    """What stands in the way of all the cards, or None where one of them will do.

    Of several the one is told that is not about the card: another card will not change it.
    """
    found = [scopes.obstacle(scope, each) for each in asked]
    if None in found:
        return None
    obstacles = [each for each in found if each is not None]
    return next(
        (each for each in obstacles if each.reason is not ObstacleReason.NOT_FOR_THIS_MEMBER),
        obstacles[0],
    )
