"""What a gift card costs, and what of its value is a gift (GFT-1, GFT-2). Pure: integers only.

`face` is what a card is worth, `price` what is paid for it: its cash value. The gift value is
what is left, face − price: it is computed and nowhere typed in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.core.errors import BadInput, DomainError
from app.core.money import Money

AMOUNT_MAX = 100_000_00
"""Minor units of one card's face."""
DENOMINATIONS_MAX = 6


class GiftCardAmountNotOffered(DomainError):
    """A face value the product does not have; it says which it has."""

    def __init__(self, faces: list[Money], least: Money | None, most: Money | None) -> None:
        self.faces = faces
        self.least = least
        self.most = most
        super().__init__("This gift card is not sold with that value.")


@dataclass(frozen=True, slots=True)
class Denomination:
    """One value a card can have, and its price, in minor units."""

    face: int
    price: int

    @property
    def gift(self) -> int:
        return self.face - self.price


@dataclass(frozen=True, slots=True)
class CustomAmount:
    """Any value of a range; from `discount_from` on it costs `discount` less: 20 off 200.

    With `each_time` so much less for each full `discount_from`.
    """

    face_from: int
    face_to: int
    discount_from: int | None = None
    discount: int = 0
    each_time: bool = False

    def price_of(self, face: int) -> int:
        if self.discount_from is None or face < self.discount_from:
            return face
        return face - self.discount * (face // self.discount_from if self.each_time else 1)


@dataclass(frozen=True, slots=True)
class Pricing:
    """All that a product or a card's terms say of values."""

    currency: str
    denominations: tuple[Denomination, ...]
    custom_amount: CustomAmount | None

    @classmethod
    def of(
        cls,
        currency: str,
        denominations: Sequence[Mapping[str, Any]],
        custom_amount: Mapping[str, Any] | None,
    ) -> "Pricing":
        """As a product keeps it."""
        return cls(
            currency,
            tuple(Denomination(**each) for each in denominations),
            None if custom_amount is None else CustomAmount(**custom_amount),
        )

    def documents(self) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """For a product to keep: denominations, custom amount."""
        custom = self.custom_amount
        kept = [asdict(each) for each in self.denominations]
        return kept, None if custom is None else asdict(custom)

    def price_of(self, face: int) -> int:
        """What a card of this value costs; raises `GiftCardAmountNotOffered`."""
        for each in self.denominations:
            if each.face == face:
                return each.price
        custom = self.custom_amount
        if custom is not None and custom.face_from <= face <= custom.face_to:
            return custom.price_of(face)
        raise GiftCardAmountNotOffered(
            [Money(each.face, self.currency) for each in self.denominations],
            None if custom is None else Money(custom.face_from, self.currency),
            None if custom is None else Money(custom.face_to, self.currency),
        )

    def require_sound(self) -> None:
        """Raise `BadInput` for what no product can have."""
        if not self.denominations and self.custom_amount is None:
            raise BadInput("A gift card needs a denomination or a custom amount.")
        if len(self.denominations) > DENOMINATIONS_MAX:
            raise BadInput(f"A gift card has at most {DENOMINATIONS_MAX} denominations.")
        if len({each.face for each in self.denominations}) < len(self.denominations):
            raise BadInput("Two denominations have the same face value.")
        for each in self.denominations:
            if not 0 < each.price <= each.face <= AMOUNT_MAX:
                raise BadInput(
                    "A denomination's price must be above 0 and at most its face value,"
                    f" and that at most {AMOUNT_MAX}."
                )
        if self.custom_amount is not None:
            _require_custom(self.custom_amount)


def _require_custom(custom: CustomAmount) -> None:
    if not 0 < custom.face_from < custom.face_to <= AMOUNT_MAX:
        raise BadInput(f"A custom amount runs between two values above 0, at most {AMOUNT_MAX}.")
    if (custom.discount_from is None) != (custom.discount == 0):
        raise BadInput("A discount needs both what it is off and from which value on.")
    if custom.discount_from is None:
        return
    if not 0 < custom.discount < custom.discount_from <= AMOUNT_MAX:
        raise BadInput("A discount must be above 0 and below the value it begins at.")
