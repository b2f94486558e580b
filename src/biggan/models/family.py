"""What tells one family of architectures from another, and which families there are. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from biggan.foundation.errors import UserError
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
    fixed_shortcuts: bool = False
    """Shortcuts drop channels in G and add them in D, unless they are learnt."""
    groups: Callable[[Architecture], tuple[tuple[int, ...], tuple[int, ...]]] | None = None
    """Groups of the 3x3 convolutions of G, bottom first, and of D, image first; None where a family has none."""
    check: Callable[[Architecture], None] = lambda _: None
    """Raises ``UserError`` for combinations that the family does not have."""


FAMILIES: Registry[Family] = Registry(
    "architecture",
    {
        "biggan": "biggan.models.biggan:FAMILY",
        "biggan-deep": "biggan.models.biggan_deep:FAMILY",
        "sagan": "biggan.models.sagan:FAMILY",
        "sngan": "biggan.models.sngan:FAMILY",
        "r3gan": "biggan.models.r3gan:FAMILY",
    },
)


def check_groups(architecture: Architecture) -> None:
    """Check that groups are asked for only where convolutions have some.

    Raises:
        UserError: the family has none.
    """
    grouped = architecture.generator_groups or architecture.discriminator_groups
    if grouped and FAMILIES[architecture.family].groups is None:
        raise UserError(
            f"--model.generator-groups or discriminator-groups: {architecture.family} has no grouped convolutions; "
            "leave them out, or choose --model.family r3gan"
        )
