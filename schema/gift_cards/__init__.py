"""Gift cards: products, sales, gifts, payments and what staff do with them (GFT-1…GFT-7)."""

from schema.gift_cards.problems import HANDLERS

__all__ = ["HANDLERS"]
