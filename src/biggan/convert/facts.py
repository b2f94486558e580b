"""What keys and shapes cannot tell about foreign weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Each is None where it is unknown; an importer then assumes its family's published default and says so."""

    norm_eps: float | None = None
    output_norm_eps: float | None = None
    generator_spectral_eps: float | None = None
    discriminator_spectral_eps: float | None = None
    generator_power_iterations: int | None = None
    discriminator_power_iterations: int | None = None
    normalization: str | None = None
    activation: str | None = None
    inplace_activation: bool | None = None
    channel_order: str | None = None
    bottom: tuple[int, int] | None = None
    condition_order: str | None = None
    gain_centre: float | None = None
    dense_class_tables: bool | None = None
    biased_norm: bool | None = None
    image_channels: int | None = None


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
    if isinstance(value, float):
        mantissa, _, exponent = f"{value:.0e}".partition("e")
        return f"{mantissa}e{int(exponent)}" if float(f"{value:.0e}") == value else str(value)
    return str(value)
