"""What a merge moved, written down so that undoing it needs no guess."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self
from uuid import UUID


@dataclass(slots=True)
class AbsorbedCard:
    """A card that went into another of the same scheme."""

    card_id: str
    into_id: str
    status: str
    into_tier_id: str
    """The surviving card's tier before the merge."""
    into_had_absorbed: bool
    re_pointed_ids: list[str] = field(default_factory=list)
    """Cards this one had absorbed before: they point to the survivor now."""
    debts: dict[str, int] = field(default_factory=dict)
    """What the absorbed card owed, by account kind: the survivor paid it or owes it."""
    posting_id: str | None = None
    tiers: dict[str, Any] | None = None
    """What `tiers.after_parting` goes by; None of merges before tiers were computed."""


@dataclass(slots=True)
class Manifest:
    """Ids as text, since it is kept as JSON; no personal data."""

    identity_ids: list[str] = field(default_factory=list)
    session_ids: list[str] = field(default_factory=list)
    consent_ids: list[str] = field(default_factory=list)
    moved_card_ids: list[str] = field(default_factory=list)
    absorbed_cards: list[AbsorbedCard] = field(default_factory=list)
    re_pointed_member_ids: list[str] = field(default_factory=list)
    member_tag_ids: list[str] = field(default_factory=list)
    real_name_ids: list[str] = field(default_factory=list)
    filled_fields: list[str] = field(default_factory=list)
    """Profile fields the survivor lacked and took over."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Self:
        absorbed = [AbsorbedCard(**card) for card in kept["absorbed_cards"]]
        return cls(**(kept | {"absorbed_cards": absorbed}))


def ids(texts: list[str]) -> list[UUID]:
    return [UUID(text) for text in texts]
