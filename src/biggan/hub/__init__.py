"""Weights that others published, found and fetched; and our own, given away with a card that says what they are."""
