"""What those who look at the page may ask for. Imports nothing."""

from __future__ import annotations

from dataclasses import dataclass

from biggan.foundation.errors import UserError

MEGABYTE = 2**20
SMALLEST_T, LARGEST_T = 0.02, 10.0
"""Truncations that are drawn: below, redrawing takes long, and beyond nothing is cut."""
MOST_MIXED = 8
"""Classes in one image."""
MOST_POINTS = 16
"""Key points of a film."""
LARGEST_MOVE = 20.0
"""How far an image goes along one direction."""
MOST_QUERY = 4096
"""Characters of a query."""
MOST_RUNS = 8
"""Runs in one plot."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Bounds of one server."""

    waiting: int = 256
    """Images that may wait to be drawn."""
    batch: int = 32
    """Most images drawn at once."""
    rate: float = 200.0
    """Requests a second from one address, over ten seconds."""
    clients: int = 4096
    """Addresses whose requests are counted."""
    cache: int = 64 * MEGABYTE
    """Bytes of images that are kept."""
    models: int = 4
    """Generators in memory."""
    weights: int = 4096 * MEGABYTE
    """Bytes of their weights, but one generator is always there."""
    entries: int = 500
    """Runs and snapshots that are offered."""
    films: int = 2
    """Films made at a time; who asks for another is told to ask again."""
    frames: int = 600
    """Pictures of a film."""
    film_bytes: int = 128 * MEGABYTE
    """Bytes of a film's pictures while it is made."""
    upload: int = 8 * MEGABYTE
    """Bytes of a picture that is dropped on the page."""
    log: int = 64 * MEGABYTE
    """Bytes of a run's log that are read: its end, where it is longer."""


class RequestError(UserError):
    """What was asked for cannot be had; the answer is this sentence.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
