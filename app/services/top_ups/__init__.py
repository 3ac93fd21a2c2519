"""Stored value that members buy: plans, offers and orders (TOP-2 to TOP-8, TOP-10)."""
