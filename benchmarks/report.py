"""Results that are printed and written after every part, so that nothing is lost when time runs out."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Report:
    """What was found so far."""

    def __init__(self, out: Path | None, seconds: float) -> None:
        self.out, self.seconds = out, seconds
        self.began = time.monotonic()
        self.found: dict[str, Any] = {"left_out": []}

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    def put(self, line: str, entry: dict[str, Any], *keys: str) -> None:
        """Print a line, add ``entry`` under ``keys``, write the file whole."""
        place = self.found
        for key in keys:
            place = place.setdefault(key, {})
        place.update(entry)
        self.found["seconds"] = round(self.elapsed, 1)
        print(line, flush=True)
        if self.out is not None:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            beside = self.out.with_name(f"{self.out.name}.{os.getpid()}")
            beside.write_text(json.dumps(self.found, indent=2) + "\n")
            beside.replace(self.out)

    def get(self, *keys: str) -> Any:
        """Return what lies under ``keys``, None if nothing does."""
        place: Any = self.found
        for key in keys:
            place = place.get(key) if isinstance(place, dict) else None
        return place

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[bool]:
        """Say whether there is time for a part; an error within it is noted, and the next one follows."""
        if self.elapsed > self.seconds:
            self.found["left_out"].append(name)
            self.put(f"{name}: left out, {self.seconds:.0f} s are over", {})
            yield False
            return
        try:
            yield True
        except Exception as error:
            self.found["left_out"].append(name)
            self.put(f"{name}: failed ({type(error).__name__}: {error})", {})
