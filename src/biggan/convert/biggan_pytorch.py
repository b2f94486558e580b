"""State dicts of BigGAN-PyTorch (BigGAN and BigGAN-deep) to ours; keys and shapes decide structure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from biggan.convert.biggan_pytorch_layout import Layout, discriminator_values, generator_values
from biggan.convert.biggan_pytorch_names import discriminator_names, generator_names, renamed
from biggan.convert.facts import Facts, settle
from biggan.foundation.errors import UserError
from biggan.models.architecture import Architecture
from biggan.models.family import FAMILIES

DEFAULTS = Facts(
    norm_eps=1e-5,
    output_norm_eps=1e-5,  # the option for the others never reaches it
    generator_spectral_eps=1e-8,
    discriminator_spectral_eps=1e-8,
    generator_power_iterations=1,
    discriminator_power_iterations=1,
    normalization="batch",
    activation="relu",
    # The pre-activation is out of place whatever is asked for, so the option never reaches the shortcut.
    inplace_activation=False,
    channel_order="rgb",
    bottom=(4, 4),
    condition_order="class-latent",
)
"""The parser's defaults. The launch scripts of the 128 px BigGANs use spectral-norm eps 1e-6."""

_NORMALIZATIONS = {"bn": "batch", "in": "instance", "nonorm": "none"}


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Foreign weights in our terms."""

    architecture: Architecture
    generator: dict[str, Tensor] | None
    discriminator: dict[str, Tensor] | None
    assumed: tuple[str, ...]
    """A sentence for each fact that was assumed."""


def facts_from_options(options: Mapping[str, Any]) -> Facts:
    """Return what the options of a run (its stored configuration, or a command line's) say beyond the keys."""
    style = str(options.get("norm_style", "bn"))
    if style not in _NORMALIZATIONS:
        raise UserError(f"norm_style '{style}' does not work in BigGAN-PyTorch; it is one of bn, in, nonorm")
    bottom = _count(options, "bottom_width")
    return Facts(
        norm_eps=_eps(options, "BN_eps"),
        generator_spectral_eps=_eps(options, "SN_eps"),
        discriminator_spectral_eps=_eps(options, "SN_eps"),
        generator_power_iterations=_count(options, "num_G_SV_itrs"),
        discriminator_power_iterations=_count(options, "num_D_SV_itrs"),
        normalization=_NORMALIZATIONS[style] if "norm_style" in options else None,
        activation="relu" if "G_nl" in options or "D_nl" in options else None,
        bottom=None if bottom is None else (bottom, bottom),
    )


def _eps(options: Mapping[str, Any], name: str) -> float | None:
    value = options.get(name)
    if value is None or (type(value) in (int, float) and 0 <= value < 1):
        return value
    raise UserError(f"option {name} is {value!a:.40}; a number from 0 to 1 is expected")


def _count(options: Mapping[str, Any], name: str) -> int | None:
    value = options.get(name)
    if value is None or (type(value) is int and 1 <= value <= 64):
        return value
    raise UserError(f"option {name} is {value!a:.40}; a whole number from 1 to 64 is expected")


def import_states(
    generator: Mapping[str, Tensor] | None,
    discriminator: Mapping[str, Tensor] | None = None,
    facts: Facts | None = None,
) -> Imported:
    """Convert a generator's or a discriminator's state dict, or those of a pair.

    Args:
        generator: state dict of G (or of its moving average), or None.
        discriminator: state dict of D, or None; its half of the architecture then is the family's custom.
        facts: what the keys cannot tell; what is None is assumed, and listed in the result.

    Raises:
        UserError: keys or shapes that are not of this layout.
    """
    if generator is None and discriminator is None:
        raise UserError("nothing to import: give a generator's or a discriminator's state dict")
    needed = {"activation", "inplace_activation", "channel_order"}
    if generator is not None:
        needed |= {"bottom"}
        if any(".bn1." in key for key in generator) and "blocks.0.0.bn1.bn.running_mean" not in generator:
            needed |= {"normalization"}
        if any(key.endswith(("_mean", "_var")) for key in generator):
            needed |= {"norm_eps"}
        if "linear.u0" in generator:
            needed |= {"generator_spectral_eps", "generator_power_iterations"}
    if discriminator is not None and "linear.u0" in discriminator:
        needed |= {"discriminator_spectral_eps", "discriminator_power_iterations"}
    settled, assumed = settle(facts or Facts(), DEFAULTS, needed)
    values: dict[str, Any] = {"norm_eps": settled.norm_eps, "channel_order": settled.channel_order}
    g = d = None
    try:
        if generator is not None:
            g = Layout(generator)
            values |= generator_values(g, settled)
            if values["hierarchical_latent"] and (facts is None or facts.condition_order is None):
                assumed.append(f"assumed condition order {settled.condition_order}")
        if discriminator is not None:
            d = Layout(discriminator)
            values |= discriminator_values(d, settled, values.get("resolution"))
        if g is not None and d is not None and g.deep != d.deep:
            raise UserError("the generator and the discriminator are of different families")
        kind = "biggan-deep" if (g or d).deep else "biggan"  # type: ignore[union-attr]
        architecture = Architecture(family=kind, **_complete(kind, values, g, d))
        return Imported(
            architecture=architecture,
            generator=renamed(g.state, generator_names(architecture, g.state)) if g else None,
            discriminator=renamed(d.state, discriminator_names(architecture, d.state)) if d else None,
            assumed=tuple(assumed),
        )
    except KeyError as error:
        raise UserError(f"not a BigGAN-PyTorch state dict: no entry {error}") from error
    except (IndexError, StopIteration, RuntimeError) as error:
        raise UserError(f"not a BigGAN-PyTorch state dict: its shapes do not fit together ({error})") from error


def _complete(kind: str, values: dict[str, Any], g: Layout | None, d: Layout | None) -> dict[str, Any]:
    """Fill in the half of the architecture for which no weights were given."""
    customs = dict(FAMILIES[kind].customs)
    if g is None:
        customs |= {"generator_attention": (), "hierarchical_latent": False, "shared_embedding": 0}
    if d is None:
        customs |= {"discriminator_attention": ()}
        customs |= {
            "discriminator_width": values["generator_width"],
            "discriminator_depth": values["generator_depth"],
        }
    return {**customs, **values}
