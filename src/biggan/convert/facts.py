"""What keys and shapes cannot tell about foreign weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from biggan.foundation.errors import UserError
from biggan.models.architecture import Upsampling


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What keys and shapes cannot tell.

    What is not stated comes from the files' own options, else from what the family published: that is printed.
    """

    norm_eps: float | None = None
    """Added to the variance by G's normalisations."""
    output_norm_eps: float | None = None
    """The same for the last one, before the image."""
    generator_spectral_eps: float | None = None
    """Smallest norm by which G's spectral norm divides."""
    discriminator_spectral_eps: float | None = None
    """Smallest norm by which D's spectral norm divides."""
    generator_power_iterations: int | None = None
    """Power iterations of G at each training step."""
    discriminator_power_iterations: int | None = None
    """Power iterations of D at each training step."""
    normalization: Literal["batch", "instance", "none"] | None = None
    """Normalisation of G."""
    activation: Literal["relu"] | None = None
    """Activation of both networks; only relu can be reproduced."""
    inplace_activation: bool | None = None
    """D's activation works in place, so that its shortcuts see relu(x)."""
    channel_order: Literal["rgb", "bgr"] | None = None
    """Order of colours that G makes."""
    bottom: tuple[int, int] | None = None
    """Height and width of the grid that the image grows from."""
    condition_order: Literal["class-latent", "latent-class"] | None = None
    """Order in which class embedding and latent are joined."""
    gain_centre: float | None = None
    """Added to a class's gain: 1, or 0 where the stored gain is the whole."""
    dense_class_tables: bool | None = None
    """Class tables are dense layers of one-hot labels, so they lie transposed."""
    biased_norm: bool | None = None
    """Batch norm stores the biased variance."""
    image_channels: int | None = None
    """Channels of the image, where the last convolution makes more."""
    upsampling: Upsampling | None = None
    """How G's blocks double: by repeated pixels (nearest), or by zeros between them (zeros)."""
    identity_shortcuts: bool | None = None
    """D's blocks of unchanged width have a shortcut."""
    discriminator_range: Literal["signed", "unit"] | None = None
    """Range of images inside D: -1 to 1 (signed) or 0 to 1 (unit)."""
    discriminator_downsampling: tuple[bool, ...] | None = None
    """Which stages of D halve, where its names do not tell and it is not as its family's table has it."""
    generator_attention_after: int | None = None
    """Block of G, counted from 1, that attention follows, where several are as wide as it is."""
    discriminator_attention_after: int | None = None
    """The same for D."""

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            for number in value if isinstance(value, tuple) else (value,):
                if number is not None and not least <= number <= most:
                    raise UserError(f"--facts.{name.replace('_', '-')} {number}: must be {least:g} to {most:g}")


_BOUNDS = {
    "norm_eps": (1e-20, 1.0),
    "output_norm_eps": (1e-20, 1.0),
    "generator_spectral_eps": (0.0, 1.0),
    "discriminator_spectral_eps": (0.0, 1.0),
    "generator_power_iterations": (1, 1000),
    "discriminator_power_iterations": (1, 1000),
    "bottom": (1, 1024),
    "gain_centre": (-1000.0, 1000.0),
    "image_channels": (1, 64),
    "generator_attention_after": (1, 64),
    "discriminator_attention_after": (1, 64),
}

COMMON = Facts(
    generator_power_iterations=1,
    discriminator_power_iterations=1,
    normalization="batch",
    activation="relu",
    inplace_activation=False,
    channel_order="rgb",
    bottom=(4, 4),
    condition_order="class-latent",
    upsampling="nearest",
    identity_shortcuts=True,
    discriminator_range="signed",
)
"""What all published configurations have in common; families say where theirs differ."""

TITLES = {
    "norm_eps": "batch-norm eps",
    "output_norm_eps": "output batch-norm eps",
    "generator_spectral_eps": "spectral-norm eps of the generator",
    "discriminator_spectral_eps": "spectral-norm eps of the discriminator",
    "generator_power_iterations": "power iterations of the generator",
    "discriminator_power_iterations": "power iterations of the discriminator",
    "normalization": "normalisation",
    "activation": "activation",
    "inplace_activation": "in-place activation",
    "channel_order": "channel order",
    "bottom": "bottom grid",
    "condition_order": "condition order",
    "gain_centre": "centre of the gain",
    "dense_class_tables": "dense class tables",
    "biased_norm": "biased batch norm",
    "image_channels": "image channels",
    "upsampling": "upsampling",
    "identity_shortcuts": "shortcuts of D's blocks of unchanged width",
    "discriminator_range": "range of images inside D",
    "discriminator_downsampling": "stages of D that halve",
    "generator_attention_after": "attention after block of G",
    "discriminator_attention_after": "attention after block of D",
}


def settle(given: Facts, defaults: Facts, needed: Collection[str]) -> tuple[Facts, list[str]]:
    """Return ``given`` completed by ``defaults``, and a sentence for each of the ``needed`` that was assumed."""
    completed: dict[str, Any] = {}
    assumed: list[str] = []
    for field in dataclasses.fields(Facts):
        value, default = getattr(given, field.name), getattr(defaults, field.name)
        completed[field.name] = default if value is None else value
        if value is None and field.name in needed:
            shown = "x".join(map(str, default)) if isinstance(default, tuple) else _show(default)
            assumed.append(f"assumed {TITLES[field.name]} {shown}")
    return Facts(**completed), assumed


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and (value >= 1e-3 or not value):
        return f"{value:g}"
    if isinstance(value, float):
        mantissa, _, exponent = f"{value:.0e}".partition("e")
        return f"{mantissa}e{int(exponent)}" if float(f"{value:.0e}") == value else str(value)
    return str(value)
