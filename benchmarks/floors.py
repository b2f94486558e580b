"""Floors: how much faster than BigGAN-PyTorch a benchmark must find this package, and with how much memory at most.

They are of 2 CPU cores in float32. A ratio is that of medians of pairs that alternate within one run.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

CORES = 2
"""Threads for which the floors are meant, on a CPU."""
PAIRS = 7
"""Iterations of each side that a median is taken over."""


@dataclass(frozen=True, kw_only=True)
class TrainingSetting:
    """What is trained, and how much faster than theirs each way of ours must be."""

    preset: str
    width: int
    micro_batch: int
    parts: int = 1
    """Micro-batches an update, of ours and of theirs."""
    floors: Mapping[str, float] = field(default_factory=dict)
    """By way of running ours; their speed is 1."""


TRAINING = {
    "128px": TrainingSetting(
        preset="biggan-pytorch-bs256x8", width=16, micro_batch=8, floors={"compiled": 1.3, "ours": 1.05}
    ),
    "128px-accumulated": TrainingSetting(
        preset="biggan-pytorch-bs256x8", width=16, micro_batch=8, parts=4, floors={"compiled-spectral-phase": 1.4}
    ),
    "32px": TrainingSetting(
        preset="biggan-pytorch-cifar10", width=16, micro_batch=64, floors={"compiled": 1.2, "ours": 1.15}
    ),
}


@dataclass(frozen=True, kw_only=True)
class SamplingSetting:
    """What is drawn, and how much faster than theirs it must be."""

    preset: str
    width: int
    batch: int
    """Images at a time."""
    pairs: int
    floor: float


SAMPLING = {
    "128px-1": SamplingSetting(preset="biggan-pytorch-bs256x8", width=96, batch=1, pairs=PAIRS, floor=1.3),
    "128px-8": SamplingSetting(preset="biggan-pytorch-bs256x8", width=96, batch=8, pairs=5, floor=1.0),
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One ratio beside its floor; without a floor it is only told."""

    what: str
    """The setting and the way of running ours."""
    kind: Literal["speed", "memory"]
    """``speed``: theirs over ours in seconds; ``memory``: theirs over ours in peak bytes."""
    ratio: float
    floor: float | None

    @property
    def held(self) -> bool:
        """Whether the ratio is not below the floor; what is no number is below every floor."""
        return self.floor is None or (math.isfinite(self.ratio) and self.ratio >= self.floor)

    def __str__(self) -> str:
        kinds = {"speed": f"{self.ratio:.2f} times theirs", "memory": f"theirs takes {self.ratio:.2f} times the memory"}
        said = f"{self.what}: {kinds[self.kind]}"
        if self.floor is None:
            return f"{said}, no floor"
        return f"{said}, floor {self.floor:.2f}: {'held' if self.held else 'BELOW'}"

    def entry(self) -> dict[str, Any]:
        """Return what is written."""
        return {"what": self.what, "kind": self.kind, "ratio": self.ratio, "floor": self.floor, "held": self.held}


def speed(what: str, ours: Sequence[float], theirs: Sequence[float], floor: float | None) -> Verdict:
    """Judge seconds: the median of theirs over the median of ours."""
    return Verdict(what=what, kind="speed", ratio=statistics.median(theirs) / statistics.median(ours), floor=floor)


def memory(what: str, ours: int, theirs: int, *, judged: bool) -> Verdict:
    """Judge peak bytes: ours must not be above theirs."""
    return Verdict(what=what, kind="memory", ratio=theirs / ours, floor=1.0 if judged else None)
