"""Published recipes by name. A preset is a function that returns a typed configuration; its docstring is its record."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from biggan.foundation.errors import unknown
from biggan.training.configuration import TrainingConfig

MODULES = ("digits", "biggan", "cifar10", "biggan_deep", "sagan", "sngan", "r3gan")
"""One file a family, in the order in which they are listed."""


@dataclass(frozen=True)
class Preset:
    """A recipe: what it is, where it comes from, what it costs and what to expect."""

    name: str
    build: Callable[[], TrainingConfig]

    @property
    def description(self) -> str:
        """Source, hardware, time and expected figure."""
        return inspect.getdoc(self.build) or ""

    @property
    def title(self) -> str:
        """The first line of the description."""
        return self.description.partition("\n")[0]

    @property
    def facts(self) -> dict[str, str]:
        """Hardware with time, and the figure to expect, as the description tells them; a part is absent if it does."""
        text = " ".join(self.description.split())
        found = {what: pattern.search(text) for what, pattern in _FACTS.items()}
        return {what: match[1].strip(" .;") for what, match in found.items() if match}


_FACTS = {
    "hardware and time": re.compile(r"(?:[Hh]ardware(?: and time)?|[Hh]ardware, time)[^:.]*: (.+?)\.? (?=Expect)"),
    "figure": re.compile(r"Expect(?:ed)?(?:,| :|:)? ?(.+?)\.? (?=Parameters)"),
}

_FOUND: dict[str, Preset] = {}


def preset(name: str) -> Callable[[Callable[[], TrainingConfig]], Callable[[], TrainingConfig]]:
    """Register the decorated function as the preset ``name``."""

    def register(build: Callable[[], TrainingConfig]) -> Callable[[], TrainingConfig]:
        if name in _FOUND:
            raise ValueError(f"preset '{name}' is registered already")
        _FOUND[name] = Preset(name, build)
        return build

    return register


class _Presets(Mapping[str, Preset]):
    """All presets; their modules are imported when they are first looked at."""

    def _load(self) -> dict[str, Preset]:
        for module in MODULES:
            importlib.import_module(f"biggan.presets.{module}")
        return _FOUND

    def __getitem__(self, name: str) -> Preset:
        found = self._load()
        if name not in found:
            raise unknown("preset", name, found)
        return found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._load()

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())


PRESETS: Mapping[str, Preset] = _Presets()


def get_preset(name: str) -> Preset:
    """Return the preset ``name``.

    Raises:
        UserError: there is none; the nearest names are listed.
    """
    return PRESETS[name]
