"""R3GAN (Huang et al. 2024, "The GAN is dead; long live the GAN! A modern GAN baseline", arXiv 2501.05441).

No normalisation, no tanh, no spectral norm; grouped bottleneck blocks whose weights begin so small that depth does not
matter. G and D mirror each other. For any number of doublings.
"""

from __future__ import annotations

from biggan.foundation.errors import UserError
from biggan.layers.head_kinds import PLAIN
from biggan.models.architecture import Architecture, SpectralNorm
from biggan.models.family import Family

# Widths at the bottom and out of each doubling, in units of 96: those of its FFHQ networks at 256 px, which those for
# CIFAR-10 and 64 px begin like. Its ImageNet networks have 1536 throughout: give those by --model.generator-channels.
_MULTIPLIERS = (8, 8, 8, 8, 4, 2, 1, 1, 1)
EXPANSION = 2
"""Width of a block's grouped convolution, relative to that of the block."""
_LEAST = 16
"""Channels of a group, at least, unless groups are given."""

_FIXED = {
    "normalization": "none",
    "hierarchical_latent": False,
    "wide_discriminator": True,
    "spectral_norm_class_tables": False,
    "inplace_activation": False,
    "learned_shortcuts": False,
    "dense_class_tables": False,
    "gain_centre": 1.0,
    "upsampling": "nearest",
    "identity_shortcuts": True,
    "discriminator_heads": PLAIN,
}
"""Options that shape what the family does not have, with the value that says so."""


def generator_multipliers(doublings: int) -> tuple[int, ...]:
    """Return G's widths at the bottom and out of each stage, in units of the width."""
    return _MULTIPLIERS[: doublings + 1]


def discriminator_plan(doublings: int) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Return D's widths out of the stem and of each stage, and which stages halve: all but the last."""
    widths = _MULTIPLIERS[doublings::-1]
    return (*widths, widths[-1]), (*(True for _ in range(doublings)), False)


def usual_groups(width: int) -> int:
    """Return the most groups of equal size, at least 16 channels each, of the grouped convolution at a width."""
    channels = EXPANSION * width
    return next((channels // size for size in range(_LEAST, channels) if channels % size == 0), 1)


def groups(architecture: Architecture) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the groups of G at the bottom and in each stage, and of D in each stage.

    Raises:
        UserError: not one for each stage, or one that does not divide its channels.
    """
    g, d = architecture.generator_stages(), architecture.discriminator_stages()
    return (
        _groups("generator", architecture.generator_groups, (g[0].in_channels, *(stage.out_channels for stage in g))),
        _groups("discriminator", architecture.discriminator_groups, tuple(stage.in_channels for stage in d)),
    )


def _groups(network: str, given: tuple[int, ...] | None, widths: tuple[int, ...]) -> tuple[int, ...]:
    if given is None:
        return tuple(map(usual_groups, widths))
    option = f"--model.{network}-groups {' '.join(map(str, given))}"
    if len(given) != len(widths):
        raise UserError(f"{option}: {len(given)} given, but blocks of {len(widths)} sizes; give one for each")
    for count, width in zip(given, widths, strict=True):
        if EXPANSION * width % count:
            raise UserError(
                f"{option}: {count} groups do not divide the {EXPANSION * width} channels of a block of width {width}; "
                f"{usual_groups(width)} would"
            )
    return given


def check(architecture: Architecture) -> None:
    """Refuse what the family does not have."""
    for name, value in _FIXED.items():
        if getattr(architecture, name) != value:
            asked, there = (
                " ".join(each) if isinstance(each, tuple) else str(each).lower()
                for each in (getattr(architecture, name), value)
            )
            raise UserError(
                f"--model.{name.replace('_', '-')} {asked}: r3gan has nothing that this could change; give {there}, "
                "begin with a preset of r3gan, or choose another --model.family"
            )
    if architecture.generator_spectral_norm.enabled:
        raise UserError("--model.generator-spectral-norm.enabled: not in r3gan, whose G is not bounded; leave it out")
    if architecture.discriminator_spectral_norm.enabled and architecture.discriminator_init == "he":
        raise UserError(
            "--model.discriminator-spectral-norm.enabled: r3gan's blocks begin with weights of 0 (--model."
            "discriminator-init he), which no singular value divides; leave it out, or choose orthogonal"
        )
    if architecture.classes and not architecture.shared_embedding:
        raise UserError(
            "--model.shared-embedding 0: by its class embedding alone r3gan's G knows classes; give its length, 64 in "
            "the paper, or make the model unconditional (--data.labels unconditional)"
        )
    groups(architecture)


FAMILY = Family(
    name="r3gan",
    generator_multipliers=generator_multipliers,
    discriminator_plan=discriminator_plan,
    generator="biggan.models.grouped:GroupedGenerator",
    discriminator="biggan.models.grouped:GroupedDiscriminator",
    customs={
        "latent_size": 64,
        "shared_embedding": 64,
        "generator_depth": 2,
        "discriminator_depth": 2,
        "hierarchical_latent": False,
        "generator_attention": (),
        "discriminator_attention": (),
        "generator_init": "he",
        "discriminator_init": "he",
        "normalization": "none",
        "generator_spectral_norm": SpectralNorm(enabled=False),
        "discriminator_spectral_norm": SpectralNorm(enabled=False),
        "condition_order": "latent-class",
    },
    discriminator_stem=True,
    chunked=False,
    groups=groups,
    check=check,
)
