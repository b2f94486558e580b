"""What keys and shapes cannot tell about foreign weights, and how it is learnt from stored options."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biggan.foundation.errors import CorruptFileError, UserError


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
}


def settle(given: Facts, defaults: Facts, needed: set[str]) -> tuple[Facts, list[str]]:
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


def read_options(path: Path) -> dict[str, Any]:
    """Return the options stored in a pickled training state, plain values only; no code is run.

    The reference's ``state_dict.pth`` holds activation modules and NumPy numbers beside numbers and strings. Those
    few harmless types are allowed by name; a file that asks for anything else is refused. Only values of plain type
    are returned, the activations as their class name and whether they work in place.

    Raises:
        UserError: the file asks for a type that is not allowed, or holds no options.
    """
    import numpy as np
    import torch
    from torch import nn

    scalar = np.float64(0).__reduce__()[0]  # the function by which NumPy numbers are restored; its home has moved
    allowed: list[Any] = [nn.ReLU, np.dtype, np.ndarray]
    allowed += [(scalar, f"numpy.{home}.multiarray.scalar") for home in ("core", "_core")]
    allowed += [getattr(np.dtypes, f"{kind}DType") for kind in ("Float64", "Float32", "Int64", "Int32")]
    try:
        with torch.serialization.safe_globals(allowed):
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    except Exception as error:
        raise CorruptFileError(f"{path} is damaged or asks for types that are not opened here: {error}") from error
    options = stored.get("config", stored) if isinstance(stored, Mapping) else None
    if not isinstance(options, Mapping):
        raise UserError(f"{path} holds no options")
    return {str(name): plain for name, value in options.items() if (plain := _plain(value)) is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()
    if type(value).__name__ == "ReLU":
        return "inplace_relu" if value.inplace else "relu"
    return None
