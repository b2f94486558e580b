"""One case: a ``.safetensors`` file of arrays with a ``.json`` of settings beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

# What must be compared: arrays under these prefixes, and every number under these names of the JSON.
ARRAY_PREFIXES = (
    "out/",
    "after_train/",
    "after_accumulation/",
    "grads/",
    "after32/",
    "after64/",
    "trace64/",
    "optim32/",
    "optim64/",
    "ortho_unit/",
    "noise/",
    "state_ema/",
    "state_raw/",
)
NUMBER_PREFIXES = ("losses_", "converted_checksums", "per_parameter_l2", "checksums", "image_stats", "results")


LEVEL = " > "  # between the levels of the JSON in the name of a number; keys themselves contain slashes


def number_name(path: Iterable[object]) -> str:
    """Return the name of a number of the JSON."""
    return LEVEL.join(map(str, path))


@dataclass(frozen=True)
class Case:
    """Arrays and settings."""

    name: str
    settings: dict[str, Any]
    arrays: dict[str, Tensor]
    folder: Path = Path()
    """Where it lies; files that its settings name are in it."""

    @property
    def family(self) -> str:
        """The reference implementation that made it."""
        return str(self.settings.get("case", "")).partition("/")[0]

    def state(self, network: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """Return the saved state of a network; floating-point entries become ``dtype``."""
        prefix = f"state/{network}/"
        return {
            key[len(prefix) :]: value.to(dtype) if value.is_floating_point() else value
            for key, value in self.arrays.items()
            if key.startswith(prefix)
        }

    def required(self) -> set[str]:
        """Return the names of everything that must be compared."""
        names = {key for key in self.arrays if key.startswith(ARRAY_PREFIXES)}
        for path, _ in numbers(self.settings):
            if any(part.startswith(NUMBER_PREFIXES) for part in path):
                names.add(number_name(path))
        return names

    def number(self, name: str) -> float:
        """Return the number of the JSON that :meth:`required` calls ``name``."""
        value: Any = self.settings
        for part in name.split(LEVEL):
            value = value[int(part)] if isinstance(value, list) else value[part]
        return float(value)


def numbers(value: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], float]]:
    """Return every number of a JSON value with its path."""
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in numbers(item, (*path, str(key)))]
    if isinstance(value, list):
        return [found for i, item in enumerate(value) for found in numbers(item, (*path, str(i)))]
    return [(path, float(value))] if isinstance(value, int | float) and not isinstance(value, bool) else []


def read_cases(folder: Path) -> list[Case]:
    """Return all cases below ``folder``, in order of name; a file of settings alone has no arrays."""
    cases = []
    for path in sorted(folder.rglob("*.json")):
        settings = json.loads(path.read_text())
        arrays_path = path.with_suffix(".safetensors")
        if not isinstance(settings, dict) or not ("case" in settings or arrays_path.exists()):
            continue  # a note beside the cases
        arrays = load_file(arrays_path) if arrays_path.exists() else {}
        name = str(settings.get("case", path.stem))
        cases.append(Case(name=name, settings=settings, arrays=arrays, folder=path.parent))
    return cases
