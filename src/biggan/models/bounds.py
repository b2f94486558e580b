"""The smallest and largest of each number of an architecture. Imports no torch."""

from __future__ import annotations

from typing import Any

from biggan.foundation.errors import UserError
from biggan.models.sizes import LARGEST_SIDE

MOST_CLASSES = 1_000_000

BOUNDS: dict[str, tuple[float, float]] = {
    "resolution": (1, LARGEST_SIDE),
    "channels": (1, 64),
    "classes": (0, MOST_CLASSES),
    "latent_size": (1, 2**16),
    "generator_width": (1, 2**13),
    "discriminator_width": (1, 2**13),
    "generator_depth": (1, 256),
    "discriminator_depth": (1, 256),
    "shared_embedding": (0, 2**16),
    "discriminator_embedding": (1, 2**16),
    "norm_eps": (1e-20, 1),
    "norm_momentum": (0, 1),
    "bottom": (1, LARGEST_SIDE),
    "gain_centre": (-1000, 1000),
    "output_width": (1, 2**13),
    "generator_channels": (1, 2**20),
    "discriminator_channels": (1, 2**20),
    "generator_groups": (1, 2**20),
    "discriminator_groups": (1, 2**20),
}
"""Smallest and largest of each number. A file may claim any: what is built from it must cost no more than it holds."""


def refuse_beyond(where: str, record: Any, bounds: dict[str, tuple[float, float]]) -> None:
    """Check every number of a record.

    Raises:
        UserError: one beyond its bounds; names its option, which begins with ``where``.
    """
    for name, (least, most) in bounds.items():
        value = getattr(record, name)
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None and not least <= number <= most:
                option = f"--{where}.{name.replace('_', '-')}"
                raise UserError(f"{option} {number}: must be {least} to {most}")
