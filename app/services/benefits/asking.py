"""Which benefits hold now: as a member asks about their card, or somebody at a till (BEN-2)."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from app.core.db import Transaction
from app.core.errors import BadInput
from app.models.cards import Card, Scheme
from app.models.organisation import Node, NodeKind
from app.models.scopes import Channel
from app.services import cards, organisation, schemes
from app.services.actors import Actor
from app.services.benefits.bills import Bill
from app.services.benefits.holding import Answer, BenefitObstacleReason, holding

ASKED_AHEAD_MAX = timedelta(days=400)
"""Over the next birthday, wherever in the year somebody asks."""


class Question(NamedTuple):
    """Where, on which channel, for what and when; `at` None is now."""

    channel: Channel
    store_id: UUID | None
    bill: Bill | None
    at: datetime | None


async def for_holder(
    tx: Transaction, *, member_id: UUID, card_id: UUID, question: Question, now: datetime
) -> Answer | None:
    """What holds for the signed-in member's card; None if there is no such card or store.

    What is for members with some tag is not shown to those without it: tags are the staff's words
    about people.
    """
    card = await cards.own_or_none(tx, member_id=member_id, card_id=card_id)
    if card is None:
        return None
    answer = await _answered(tx, card, question, now)
    if answer is None:
        return None
    shown = [
        each
        for each in answer.withheld
        if each.obstacle.reason is not BenefitObstacleReason.NOT_FOR_THIS_MEMBER
        or not each.held.terms.scope.rules.tag_ids
    ]
    return answer._replace(withheld=shown)


async def for_reader(
    tx: Transaction, actor: Actor, *, card_id: UUID, question: Question, now: datetime
) -> Answer | None:
    """What holds for a card that the actor may read; None if there is no such card or store."""
    card = await cards.seen_by(tx, actor, card_id=card_id)
    return None if card is None else await _answered(tx, card, question, now)


async def _answered(
    tx: Transaction, card: Card, question: Question, now: datetime
) -> Answer | None:
    at = question.at or now
    if not now - ASKED_AHEAD_MAX <= at <= now + ASKED_AHEAD_MAX:
        raise BadInput("at must lie within 400 days.")
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    _require_currency(scheme, question.bill)
    store: Node | None = None
    if question.store_id is not None:
        store = (await organisation.nodes(tx, [question.store_id])).get(question.store_id)
        if store is None or store.group_id != card.group_id or store.kind is not NodeKind.STORE:
            return None
    return await holding(
        tx, card=card, channel=question.channel, store=store, bill=question.bill, at=at, now=now
    )


def _require_currency(scheme: Scheme, bill: Bill | None) -> None:
    if bill is not None and bill.currency != scheme.currency:
        raise BadInput(f"The bill must be in {scheme.currency}, as the card is.")
