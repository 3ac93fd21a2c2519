"""Gift cards: products, sales, gifts, payments and what staff do with them (GFT-1…GFT-7)."""
