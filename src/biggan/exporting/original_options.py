"""The options by which BigGAN-PyTorch builds a network, and whether there are such. Imports no torch."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from biggan.foundation.compatibility import (
    BIASED_NORM,
    OUTPUT_NORM_BATCH,
    OUTPUT_NORM_EPS,
    RUNNING_INSTANCE_NORM,
)
from biggan.foundation.courses import as_course
from biggan.foundation.errors import UserError
from biggan.models.architecture import Architecture, SpectralNorm
from biggan.models.family import FAMILIES
from biggan.models.stages import Stage

if TYPE_CHECKING:
    from biggan.models.continuation import AdamRecord

SIDES = (32, 64, 128, 256)
"""Of images for which it has tables."""
SIDE_OF_G = 512
"""For which it has one of BigGAN's G alone."""
OUTPUT_EPS = 1e-5
"""Of its last normalisation, whatever is asked for."""
_SIDES_OF_D = {32: 16}
"""What it calls the outputs of all stages of D where these are not their sides."""
_NORMS = {"batch": "bn", "instance": "in", "none": "nonorm"}
_INITS = {"orthogonal": "ortho", "normal": "N02", "xavier": "xavier"}
_FREE = ("family", "generator_width", "discriminator_width", "generator_init", "discriminator_init", "compatibility")
"""What need not be equal: names of the same tables, what no trained weight shows, and what is compared by effect."""
_OF_D = ("wide_discriminator", "inplace_activation", "identity_shortcuts")
"""What is D's alone without saying so in its name."""
_HALVES = {"generator": "discriminator_", "discriminator": "generator_"}


def options_of(architecture: Architecture, *, discriminator: bool) -> dict[str, Any]:
    """Return the options that build a network, plain values by its names.

    Args:
        architecture: of the network.
        discriminator: whether D is to be built as well, or G alone.

    Raises:
        UserError: no options of its build that; says what it lacks.
    """
    a = architecture.resolved()
    options = _options(a)
    _refuse_what_never_works(a, discriminator=discriminator)
    other = _built_by(options, a)
    skipped = () if discriminator else (_HALVES["generator"], *_OF_D)
    for field in dataclasses.fields(Architecture):
        mine, theirs = getattr(a, field.name), getattr(other, field.name)
        if field.name not in _FREE and not field.name.startswith(skipped) and mine != theirs:
            raise _cannot(f"{field.name.replace('_', ' ')} {_shown(mine)}: it would build {_shown(theirs)}")
    if changed := sorted(_effects(a) ^ _effects(other)):
        word = "with" if changed[0] in _effects(a) else "without"
        raise _cannot(f"a network {word} the switch {', '.join(changed)} at such options")
    return options


def adam_options(letter: str, record: AdamRecord) -> dict[str, float]:
    """Return how its optimizer of ``G`` or ``D`` is set."""
    rate, beta2 = as_course(record.learning_rate).last, as_course(record.beta2).last  # constant by now
    return {f"{letter}_lr": rate, f"{letter}_B1": record.beta1, f"{letter}_B2": beta2}


def _options(a: Architecture) -> dict[str, Any]:
    deep = a.family == "biggan-deep"
    g, d = a.generator_spectral_norm, a.discriminator_spectral_norm
    return {
        "model": "BigGANdeep" if deep else "BigGAN",
        "resolution": a.resolution[0],
        "n_classes": a.classes,
        "G_ch": _width(a.generator_channels, FAMILIES[_tables(a)].generator_multipliers(a.doublings)),
        "D_ch": _width(a.discriminator_channels, FAMILIES[_tables(a)].discriminator_plan(a.doublings)[0]),
        "G_depth": a.generator_depth,
        "D_depth": a.discriminator_depth,
        "D_wide": a.wide_discriminator,
        "G_shared": bool(a.embedding_size),
        "shared_dim": a.embedding_size,
        "dim_z": a.z_size,
        "hier": a.hierarchical_latent,
        "cross_replica": False,
        "mybn": BIASED_NORM in a.compatibility,
        "G_nl": "relu",
        "D_nl": "relu",
        "G_attn": _attention([stage.height for stage in a.generator_stages() if stage.attention]),
        "D_attn": _attention([side for side, stage in _sides_of_d(a) if stage.attention]),
        "norm_style": _NORMS.get(a.normalization, "bn"),
        "G_init": _INITS.get(a.generator_init, "ortho"),
        "D_init": _INITS.get(a.discriminator_init, "ortho"),
        "G_param": "SN" if g.enabled else "none",
        "D_param": "SN",
        "BN_eps": a.norm_eps,
        "SN_eps": (g if g.enabled else d).eps,
        "num_G_SVs": g.singular_values,
        "num_D_SVs": d.singular_values,
        "num_G_SV_itrs": g.iterations,
        "num_D_SV_itrs": d.iterations,
    }


def _built_by(options: dict[str, Any], a: Architecture) -> Architecture:
    """Return what it builds with ``options``, on the same size of images."""

    def spectral(letter: str) -> SpectralNorm:
        return SpectralNorm(
            enabled=options[f"{letter}_param"] == "SN",
            singular_values=options[f"num_{letter}_SVs"],
            iterations=options[f"num_{letter}_SV_itrs"],
            eps=options["SN_eps"] if options[f"{letter}_param"] == "SN" else a.generator_spectral_norm.eps,
        )

    norms = {theirs: ours for ours, theirs in _NORMS.items()}
    switches = [OUTPUT_NORM_EPS] if options["BN_eps"] != OUTPUT_EPS else []
    switches += [BIASED_NORM] if options["mybn"] else []
    switches += [OUTPUT_NORM_BATCH, RUNNING_INSTANCE_NORM] if options["norm_style"] != "bn" else []
    family = _tables(a)
    try:
        return Architecture(
            family=family,
            resolution=(options["resolution"],) * 2,
            classes=options["n_classes"],
            latent_size=options["dim_z"],
            generator_width=options["G_ch"],
            discriminator_width=options["D_ch"],
            generator_depth=options["G_depth"] if family == "biggan-deep" else 1,
            discriminator_depth=options["D_depth"] if family == "biggan-deep" else 1,
            shared_embedding=options["shared_dim"],
            hierarchical_latent=options["hier"],
            generator_attention=() if options["G_attn"] == "0" else tuple(options["G_attn"].split("_")),
            discriminator_attention=tuple(
                f"stage:{i}" for i, (side, _) in enumerate(_sides_of_d(a)) if str(side) in options["D_attn"].split("_")
            ),
            normalization=norms[options["norm_style"]],  # type: ignore[arg-type]  # a value of that literal
            wide_discriminator=options["D_wide"],
            generator_spectral_norm=spectral("G"),
            discriminator_spectral_norm=spectral("D"),
            norm_eps=options["BN_eps"],
            bottom=(4, 4),
            compatibility=tuple(switches),
        ).resolved()
    except UserError as error:
        raise _cannot(str(error)) from error


def _refuse_what_never_works(a: Architecture, *, discriminator: bool) -> None:
    """Refuse what it has no tables or no code for."""
    height, width = a.resolution
    sides = SIDES if discriminator or a.family == "biggan-deep" else (*SIDES, SIDE_OF_G)
    if height != width or height not in sides:
        known = ", ".join(map(str, sides))
        raise _cannot(f"{height}x{width} px; it has tables for {'D' if discriminator else 'G'} of {known} px, square")
    if a.grid != (4, 4):
        raise _cannot(f"the bottom grid {a.grid[0]}x{a.grid[1]}; its options give 4x4")
    if a.channels != 3:
        raise _cannot(f"{a.channels} channels; it knows images of 3")
    if not a.classes:
        raise _cannot("a network without classes")
    if a.normalization not in _NORMS:
        raise _cannot(f"{a.normalization} normalisation; it has {', '.join(_NORMS)}")
    if a.family == "biggan-deep" and (a.generator_depth < 2 or not a.hierarchical_latent):
        raise _cannot("a BigGAN-deep of one block a stage, or without the latent in every block")


def _effects(a: Architecture) -> set[str]:
    """Return the switches that change what this network computes."""
    effective = {
        OUTPUT_NORM_EPS: a.norm_eps != OUTPUT_EPS,
        BIASED_NORM: True,
        OUTPUT_NORM_BATCH: a.normalization != "batch",
        RUNNING_INSTANCE_NORM: a.normalization == "instance",
    }
    return {switch for switch in a.compatibility if effective[switch]}


def _tables(a: Architecture) -> str:
    """Return the family whose tables its code has for this network."""
    return "biggan-deep" if a.family == "biggan-deep" else "biggan"


def _width(channels: tuple[int, ...] | None, multipliers: tuple[int, ...]) -> int:
    return max((channels or (1,))[-1] // multipliers[-1], 1)


def _attention(sides: list[int]) -> str:
    return "_".join(map(str, sorted(set(sides)))) or "0"


def _sides_of_d(a: Architecture) -> list[tuple[int, Stage]]:
    """Return the stages of D, each with the side by which its attention is asked for."""
    return [(_SIDES_OF_D.get(a.resolution[0], stage.height), stage) for stage in a.discriminator_stages()]


def _shown(value: Any) -> str:
    if isinstance(value, SpectralNorm):
        numbers = f"{value.singular_values} singular values, {value.iterations} iterations, eps {value.eps:g}"
        stored = ", evaluated with the vectors that training left" if value.stored_vectors else ""
        return f"{numbers}{stored}" if value.enabled else "off"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _cannot(what: str) -> UserError:
    return UserError(f"--to biggan-pytorch: its code cannot express {what}. The other formats hold every network")
