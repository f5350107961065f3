"""Character cards V1, V2 and V3: files in and out (reference/character-cards.md)."""
