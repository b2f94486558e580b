"""The page and the HTTP API of ``biggan serve``: one model for all who look, bounded in all that they may ask for."""
