"""Whether a card can be used, and the refusals that tell (CRD-3)."""

from typing import Self

import strawberry

from app.models.cards import CardStatus
from app.services import cards
from schema.enums import describe
from schema.problems import Problem, shown_as

__all__ = ["HANDLERS", "CardNotFound", "CardNotUsable", "CardStatus", "CardStatusUnchangeable"]

describe(
    CardStatus,
    "Whether a card can be used. Only a normal one spends, earns and shows codes.",
    {
        "NORMAL": "It can be used.",
        "LOST": "Its holder reported it lost.",
        "FROZEN": "Staff froze it.",
        "EXPIRED": "Its time is over.",
        "REFUNDED": "Its value was paid out.",
        "MERGED": "It became part of another card of the same person.",
    },
)


@strawberry.type(description="There is no such card, or it is somebody else's.")
class CardNotFound(Problem): ...


@strawberry.type(description="The card neither spends nor earns now. What it holds stays.")
class CardNotUsable(Problem):
    status: CardStatus = strawberry.field(description="Why not.")

    @classmethod
    def of(cls, error: cards.CardNotUsable) -> Self:
        return cls(message=str(error), status=error.status)


@strawberry.type(description="A card of this status cannot take the one that was asked for.")
class CardStatusUnchangeable(Problem):
    status: CardStatus = strawberry.field(description="What the card is.")

    @classmethod
    def of(cls, error: cards.CardStatusUnchangeable) -> Self:
        return cls(message=str(error), status=error.current)


HANDLERS = [
    shown_as(CardNotFound, cards.CardNotFound),
    shown_as(CardNotUsable, cards.CardNotUsable),
    shown_as(CardStatusUnchangeable, cards.CardStatusUnchangeable),
]
