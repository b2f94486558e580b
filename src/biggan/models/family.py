"""What tells one family of architectures from another, and which families there are. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from biggan.foundation.registry import Registry

if TYPE_CHECKING:
    from biggan.models.architecture import Architecture


@dataclass(frozen=True, kw_only=True)
class Family:
    """What distinguishes one family of architectures: tables, customs, and the classes that build it."""

    name: str
    generator_multipliers: Callable[[int], tuple[int, ...]]
    """k -> widths into the first stage and out of each of the k stages."""
    discriminator_plan: Callable[[int], tuple[tuple[int, ...], tuple[bool, ...]]]
    """k -> (widths as in ``Architecture.discriminator_channels``, which stages halve)."""
    generator: str
    """``"module:Class"`` of the generator, a subclass of ``biggan.models.contract.Generator``."""
    discriminator: str
    """``"module:Class"`` of the discriminator."""
    customs: dict[str, Any] = field(default_factory=dict)
    """Values of ``Architecture`` that are customary in this family where they differ from its defaults."""
    discriminator_stem: bool = False
    """D begins with a convolution of its own."""
    chunked: bool = True
    """A hierarchical latent is cut into one chunk a slot."""
    check: Callable[[Architecture], None] = lambda _: None
    """Raises ``UserError`` for combinations that the family does not have."""


FAMILIES: Registry[Family] = Registry(
    "architecture",
    {
        "biggan": "biggan.models.biggan:FAMILY",
        "biggan-deep": "biggan.models.biggan_deep:FAMILY",
        "sagan": "biggan.models.sagan:FAMILY",
        "sngan": "biggan.models.sngan:FAMILY",
    },
)
