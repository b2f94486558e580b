"""Errors, tolerances and verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tests.machines import on_recorded_instructions
from tests.parity.case import NUMBER_PREFIXES, Case, number_name

# Ten times the rows of the README of the parity data: the largest noise seen over all cases.
TABLE = {
    "G eval": 8e-5,
    "G train": 5e-4,
    "D": 2e-4,
    "gradient": 1.3e-4,  # relative l2, where a parameter's norm is above 1e-4 of the global norm
    "D after training": 3e-5,
    "G after training": 1.7e-3,
    "float64": 4e-10,
}
# Float32 sequences between instruction sets: a ReLU whose input is near zero may switch, and Adam with beta1 = 0 makes
# steps of rounding. The largest noise seen by the recorders (default, avx2 and avx512 by oneDNN's SSE41, AVX2 and
# AVX512_CORE), and beside it the largest seen here (AMD Zen 3: default and avx2 by SSE41, AVX2 and unset, 1 and 2
# threads).
BETWEEN_INSTRUCTION_SETS = {
    "G moments": 2.7e-2,  # here 2.3e-3: train64_deep, linear.weight/exp_avg
    "D moments": 1.7e-3,  # here 2.9e-5
    "losses": 6.7e-3,  # here 8.5e-5
    "D after training": 7e-5,  # here 3.8e-7
    "G after training": 1.7e-4,  # here 1.3e-4
    "gradient": 2.5e-3,  # here 6.7e-5: relative l2 of one tensor
}
BUFFER_32, BUFFER_64 = 1e-5, 1e-8  # relative l2
ULPS = 32  # no two implementations agree beyond this many roundings of the largest value


@dataclass(frozen=True)
class Row:
    """One line of the report: the worst member of a quantity."""

    case: str
    quantity: str
    error: float
    tolerance: float
    worst: str
    count: int

    @property
    def ok(self) -> bool:
        """Whether the error is a number within the tolerance."""
        return self.error <= self.tolerance


@dataclass
class Comparison:
    """Collects what was compared in one case."""

    case: Case
    members: dict[str, list[tuple[str, float, float]]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    def _add(self, quantity: str, name: str, error: float, tolerance: float) -> None:
        self.members.setdefault(quantity, []).append((name, error if not math.isnan(error) else math.inf, tolerance))
        self.done.add(name)

    def array(
        self, name: str, ours: Tensor, tolerance: float, *, relative: bool = False, scale: float | None = None
    ) -> None:
        """Compare an array with the case's of that name.

        Args:
            name: key of the case's array.
            ours: tensor of the same shape.
            tolerance: largest absolute difference; or, with ``relative``, l2 norm of the difference relative to the
                l2 norm of the reference (or to ``scale``).
            relative: compare l2 norms.
            scale: see ``tolerance``.
        """
        theirs = self.case.arrays[name]
        quantity = "/".join(name.split("/")[:2])
        if theirs.shape != ours.shape:
            self._add(quantity, name, math.inf, tolerance)
            return
        if not theirs.is_floating_point():
            self._add(quantity, name, float((theirs != ours).sum()), 0.0)
            return
        difference = (ours.detach().double() - theirs.double()).abs()
        # Where the reference itself has no number (a third singular value of a single row), none is right.
        difference[ours.detach().isnan() & theirs.isnan()] = 0.0
        if relative:
            norm = float(theirs.double().nan_to_num().norm()) if scale is None else scale
            self._add(quantity, name, float(difference.norm()) / (norm or 1.0), tolerance)
        else:
            largest = float(theirs.nan_to_num().abs().max()) if theirs.numel() else 0.0
            floor = ULPS * torch.finfo(theirs.dtype).eps * largest
            self._add(quantity, name, float(difference.max()) if theirs.numel() else 0.0, max(tolerance, floor))

    def number(self, path: Sequence[object], ours: float, tolerance: float, *, wide: bool = True) -> None:
        """Compare the number at ``path`` of the JSON, absolutely; ``wide`` if it was computed in float64."""
        name = number_name(path)
        theirs = self.case.number(name)
        parts = [str(part) for part in path]
        depth = next((i for i, part in enumerate(parts) if part.startswith(NUMBER_PREFIXES)), 0)
        # Results are of many kinds, each a line of its own.
        quantity = "/".join(parts[: depth + (2 if parts[depth] == "results" else 1)])
        floor = ULPS * (2.0**-52 if wide else 2.0**-23) * abs(theirs)
        self._add(quantity, name, abs(ours - theirs), max(tolerance, floor))

    def each(self, prefix: str, compare: Callable[[str, str], None]) -> None:
        """Call ``compare(name, rest)`` for each array whose name is ``prefix`` + rest."""
        for name in self.case.arrays:
            if name.startswith(prefix):
                compare(name, name[len(prefix) :])

    def rows(self) -> list[Row]:
        """Return one row a quantity, and one for what was not compared."""
        rows = []
        for quantity, members in self.members.items():
            # The worst is the one nearest to, or farthest beyond, its own tolerance.
            worst = max(members, key=lambda m: m[1] / m[2] if m[2] else (math.inf if m[1] else 0.0))
            rows.append(Row(self.case.name, quantity, worst[1], worst[2], worst[0], len(members)))
        missing = self.case.required() - self.done
        for name in sorted(missing):
            rows.append(Row(self.case.name, f"not compared: {name}", math.inf, 0.0, name, 1))
        return rows


def recorded_noise(case: Case, *path: str, words: tuple[str, ...]) -> float | None:
    """Return the largest noise that ``observed_differences`` holds under ``path`` in entries with all ``words``."""
    value = case.settings.get("observed_differences", {})
    for part in path:
        value = value.get(part, {}) if isinstance(value, dict) else {}
    found = [
        float(number)
        for key, number in (value.items() if isinstance(value, dict) else ())
        if isinstance(number, int | float) and all(word in key for word in words)
    ]
    return max(found) if found else None


def sequence_tolerance(strict: float, row: str) -> float:
    """Return ``strict`` on the instruction set of the recording, elsewhere at least ten times the noise between sets.

    For float32 alone; float64 is the proof, and strict everywhere.
    """
    return strict if on_recorded_instructions() else max(strict, 10 * BETWEEN_INSTRUCTION_SETS[row])


def tolerance(noise: float | None, row: str) -> float:
    """Return ten times the noise, or what the table says where the case records none."""
    return 10 * noise if noise else TABLE[row]
