"""Named things that can be added by anybody: one file, one line."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Generic, TypeVar

from biggan.foundation.errors import unknown

Entry = TypeVar("Entry")


class Registry(Generic[Entry]):
    """A mapping from names to entries, each loaded when it is first asked for.

    Built-in entries come through the same door as those of users. An entry is given as
    ``"package.module:attribute"`` so that listing the names imports nothing.
    """

    def __init__(self, kind: str, entries: dict[str, str] | None = None) -> None:
        self.kind = kind
        self._locations: dict[str, str] = dict(entries or {})
        self._loaded: dict[str, Entry] = {}

    def add(self, name: str, entry: Entry | str) -> None:
        """Register ``entry``, or the place ``"module:attribute"`` where it is found.

        Raises:
            ValueError: the name is taken.
        """
        if name in self._locations or name in self._loaded:
            raise ValueError(f"{self.kind} '{name}' is registered already")
        if isinstance(entry, str):
            self._locations[name] = entry
        else:
            self._loaded[name] = entry

    def __getitem__(self, name: str) -> Entry:
        if name not in self._loaded:
            if name not in self._locations:
                raise unknown(self.kind, name, self)
            module, _, attribute = self._locations[name].partition(":")
            self._loaded[name] = getattr(importlib.import_module(module), attribute)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._locations, *self._loaded]))

    def __contains__(self, name: object) -> bool:
        return name in self._locations or name in self._loaded
