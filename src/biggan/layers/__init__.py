"""Pure mathematics: normalisation, spectral norm, attention, blocks, heads, initialisation."""
