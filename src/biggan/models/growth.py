"""From a pair of networks to one of larger images that computes the same: architectures and names. Imports no torch.

Letters: m new stages, each of which doubles the image; k doublings of the old networks.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase

from biggan.foundation.errors import UserError
from biggan.models.architecture import Architecture, SpectralNorm
from biggan.models.family import FAMILIES
from biggan.models.grown import Grown, gates
from biggan.models.sizes import LARGEST_SIDE

MOST_DOUBLINGS = 8
_NUMBERED = re.compile(r"(stages|gates)\.(\d+)\.")


def grown_architecture(
    architecture: Architecture,
    resolution: tuple[int, int],
    *,
    generator_channels: int | None = None,
    discriminator_channels: int | None = None,
) -> Architecture:
    """Return the architecture of ``resolution`` whose networks begin as those of ``architecture``.

    Args:
        architecture: of the networks to grow.
        resolution: height and width, the old ones times 2^m.
        generator_channels: out of each new stage of G; by default as out of its last.
        discriminator_channels: out of each new first layer of D; by default as out of its first.

    Raises:
        UserError: a size that doubling does not give, a skip that is still there, or channels that do not fit.
    """
    old = architecture.resolved()
    m = _new_stages(old, resolution)
    family = FAMILIES[old.family]
    fixed = family.fixed_shortcuts and not old.learned_shortcuts
    assert old.generator_channels is not None
    assert old.discriminator_channels is not None
    assert old.discriminator_downsampling is not None
    g, d = old.generator_channels[-1], old.discriminator_channels[0]
    for option, asked, most in (
        ("--generator-channels", generator_channels, g),
        ("--discriminator-channels", discriminator_channels, d),
    ):
        if asked is not None and not 1 <= asked <= (most if fixed else 2**20):
            raise UserError(
                f"{option} {asked}: 1 to {most if fixed else 2**20:,} for this {old.family}"
                + (", whose shortcuts drop channels in G and add them in D" if fixed else "")
            )
    grown = dataclasses.replace(
        old,
        resolution=resolution,
        latent_size=old.z_size + (m * (old.z_size // old.latent_slots) if old.latent_slots > 1 else 0),
        generator_channels=old.generator_channels + (generator_channels or g,) * m,
        discriminator_channels=(discriminator_channels or d,) * m + old.discriminator_channels,
        discriminator_downsampling=(True,) * m + old.discriminator_downsampling,
        discriminator_attention=tuple(
            f"stage:{int(word.removeprefix('stage:')) + m}" for word in old.discriminator_attention
        ),
        grown=Grown(stages=m, scaled=tuple(stage + m for stage in old.grown.scaled)),
        generator_groups=None,
        discriminator_groups=None,
    )
    if family.groups is not None:
        assert old.generator_groups is not None
        assert old.discriminator_groups is not None
        of_g, of_d = family.groups(grown)
        grown = dataclasses.replace(
            grown,
            generator_groups=old.generator_groups + of_g[-m:],
            discriminator_groups=of_d[:m] + old.discriminator_groups,
        )
    grown.validate()
    return grown


def without_skip(architecture: Architecture) -> Architecture:
    """Return the architecture of the new stages alone; a learnt number stays in D where the skip ended.

    Raises:
        UserError: there is no skip.
    """
    if not architecture.grown.stages:
        raise UserError("--drop-skip: these networks have no skip; it was dropped already, or they were never grown")
    return dataclasses.replace(architecture.resolved(), grown=Grown(scaled=gates(architecture)))


def moved(old: Architecture, m: int, network: str, name: str) -> str:
    """Return what the tensor ``name`` of an old ``generator`` or ``discriminator`` is called after growing."""
    if network == "generator":
        return re.sub(r"^output_(norm|conv)\.", r"skip.\1.", name)
    first = "stem." if FAMILIES[old.family].discriminator_stem else "stages.0.0."
    if name.startswith(first):
        return f"skip.{name.removeprefix(first)}"
    return _NUMBERED.sub(lambda match: f"{match[1]}.{int(match[2]) + m}.", name, count=1)


def with_vectors(grown: Architecture, old: Architecture, normalized: Mapping[str, Collection[str]]) -> Architecture:
    """Return ``grown`` with the layers named that evaluated with stored vectors before they were moved.

    Args:
        grown: the new architecture.
        old: the one before.
        normalized: names of the spectrally normalised layers of the old ``generator`` and ``discriminator``.
    """
    changed: dict[str, SpectralNorm] = {}
    for network, names in normalized.items():
        field = f"{network}_spectral_norm"
        options: SpectralNorm = getattr(old, field)
        kept = [name for name in names if any(fnmatchcase(name, pattern) for pattern in options.stored_vectors)]
        layers = tuple(moved(old, grown.grown.stages, network, f"{name}.").removesuffix(".") for name in kept)
        changed[field] = dataclasses.replace(options, stored_vectors=layers)
    return dataclasses.replace(
        grown,
        generator_spectral_norm=changed["generator_spectral_norm"],
        discriminator_spectral_norm=changed["discriminator_spectral_norm"],
    )


def _new_stages(old: Architecture, resolution: tuple[int, int]) -> int:
    """Return m; see :func:`grown_architecture`."""
    (height, width), (h, w) = old.resolution, resolution
    shown = f"--resolution {h}x{w}"
    if old.grown.stages:
        raise UserError(
            f"{shown}: these networks were grown to {height}x{width} and still have the skip; train on, remove it "
            "(biggan grow FILE DST --drop-skip), and grow what that gives"
        )
    possible = [m for m in range(1, MOST_DOUBLINGS + 1 - old.doublings) if max(old.resolution) << m <= LARGEST_SIDE]
    m = next((m for m in possible if (height << m, width << m) == resolution), None)
    if m is not None:
        return m
    sizes = ", ".join(f"{height << m}x{width << m}" for m in possible)
    way = f"it can grow to {sizes}" if sizes else f"{height}x{width} is the largest that can be built of it"
    if resolution == old.resolution:
        raise UserError(f"{shown}: the networks make images of this size already; {way}")
    raise UserError(f"{shown}: doubling {height}x{width} never gives that; {way}")
