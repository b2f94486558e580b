"""Paths between latents and between classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.models.contract import Generator
from biggan.sampling.draw import default_chunk, divided_once, draw
from biggan.sampling.latents import latents
from biggan.sampling.sampler import Sampler

Curve = Literal["linear", "spherical"]
SHEET_COLUMNS = 10
"""Points of a path on a sheet."""


def linear(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """Return points on the straight line, float [T, n], for start and end [n] and t [T] in [0, 1]."""
    return start + (end - start) * t[:, None]


def spherical(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """Return points on the great circle, float [T, n]; their norm runs evenly from that of one end to the other's.

    The straight line between two normal vectors passes through much shorter ones, which the generator never saw;
    this path keeps the prior's norm (Shoemake 1985; White 2016).
    """
    norms = linear(start.norm().reshape(1), end.norm().reshape(1), t)
    a, b = start / start.norm(), end / end.norm()
    angle = torch.arccos((a @ b).clamp(-1.0, 1.0))
    if float(torch.sin(angle)) < 1e-6:  # the same direction, or opposite ones: no unique circle
        return linear(start, end, t)
    directions = (torch.sin((1 - t) * angle)[:, None] * a + torch.sin(t * angle)[:, None] * b) / torch.sin(angle)
    return directions * norms


def path_through(points: Tensor, frames: int, curve: Curve, *, loop: bool = False) -> Tensor:
    """Return a path through ``points`` [K, n], ``frames`` a segment, float [M, n]; the last point ends it.

    With ``loop`` a segment back to the first is added, whose end is left out so that repetition is smooth.
    """
    return _part_of_path(points, frames, curve, 0, _pictures(len(points), frames, loop=loop))


def _pictures(points: int, frames: int, *, loop: bool) -> int:
    return frames * points if loop else frames * (points - 1) + 1


def _part_of_path(points: Tensor, frames: int, curve: Curve, first: int, end: int) -> Tensor:
    """Return the points ``first .. end - 1`` of a path, float [end - first, n]."""
    step = linear if curve == "linear" else spherical
    parts = []
    for segment in range(first // frames, (end - 1) // frames + 1):
        within = torch.arange(max(first - segment * frames, 0), min(end - segment * frames, frames)) / frames
        parts.append(step(points[segment], points[(segment + 1) % len(points)], within))
    return torch.cat(parts)


@dataclass(frozen=True, kw_only=True)
class Route:
    """A path through key points: label 1 with seed 1, and so on; the shorter list repeats."""

    labels: tuple[int, ...]
    """Class indices."""
    seeds: tuple[int, ...]
    """Of the latents."""
    frames: int
    """Images a segment."""
    curve: Curve = "spherical"
    """Of the latents; classes go straight, in embedding space."""
    loop: bool = False
    """Whether a segment leads back to the first point."""

    def __post_init__(self) -> None:
        if self.points < 2 or not self.labels or not self.seeds:
            raise UserError("an interpolation needs at least two different points: name more --seeds or --classes")

    def __len__(self) -> int:
        return _pictures(self.points, self.frames, loop=self.loop)

    @property
    def points(self) -> int:
        """Key points."""
        return max(len(self.seeds), len(self.labels))

    def cells(self, *, ends: bool = True) -> tuple[int, int]:
        """Return how many images one picture shows, a segment a row, and how many a row.

        Args:
            ends: whether a row ends with the key point with which the next one begins; of a loop none does.
        """
        if self.loop or (self.points > 2 and not ends):
            return len(self), self.frames
        return (self.points - 1) * (self.frames + 1), self.frames + 1


def in_rows(parts: Iterable[Tensor], route: Route, *, ends: bool = True) -> Iterator[Tensor]:
    """Yield the images of a path as :meth:`Route.cells` lays them out: key points between two rows twice."""
    place = 0
    for images in parts:
        index = torch.arange(place, place + len(images))
        between = (index % route.frames == 0) & (index > 0) & (index < len(route) - 1)
        times = 1 + (between & ends & (not route.loop)).long()
        yield images.repeat_interleave(times.to(images.device), dim=0)
        place += len(images)


def route_images(
    sampler: Sampler, route: Route, truncation: float | None = None, kind: str = "resample", chunk: int | None = None
) -> Iterator[Tensor]:
    """Yield the images of a path, uint8 [B, C, H, W] on the CPU, some at a time.

    Args:
        sampler: what draws.
        route: the path.
        truncation: T; None for the whole prior.
        kind: how to truncate.
        chunk: images drawn at a time.
    """
    generator = sampler.at_truncation(truncation, kind)
    z = latents(route.seeds, generator.architecture.z_size, truncation, kind)
    z = z[torch.arange(route.points) % len(route.seeds)]
    embedded = embed_on_cpu(generator, torch.tensor(route.labels))[torch.arange(route.points) % len(route.labels)]
    step = chunk or default_chunk(generator)
    with divided_once(generator):
        for first in range(0, len(route), step):
            end = min(first + step, len(route))
            path_z = _part_of_path(z, route.frames, route.curve, first, end)
            path_y = _part_of_path(embedded, route.frames, "linear", first, end)
            yield draw(generator, path_z, path_y, step)


@torch.no_grad()
def embed_on_cpu(generator: Generator, labels: Tensor) -> Tensor:
    """Return class embeddings float [N, n] on the CPU."""
    device = next(generator.parameters()).device
    return generator.embed(labels.to(device)).cpu()


def interpolation_sheet(
    generator: Generator,
    kind: Literal["zy", "z", "y"],
    *,
    rows: int = 16,
    columns: int = SHEET_COLUMNS,
    seed: int = 0,
    chunk: int | None = None,
) -> Tensor:
    """Return one of the reference's interpolation sheets, uint8 [rows * columns, C, H, W].

    Each row runs straight from one random point to another in latent and class (``zy``), latent only (``z``), or
    class only (``y``).
    """
    classes = max(generator.architecture.classes, 1)
    picks = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (2, rows), generator=picks)
    z = latents(range(seed, seed + 2 * rows), generator.architecture.z_size).view(2, rows, -1)
    if kind == "z":
        labels[1] = labels[0]
    if kind == "y":
        z[1] = z[0]
    embedded = embed_on_cpu(generator, labels.flatten()).view(2, rows, -1)
    t = torch.linspace(0, 1, columns)
    paths_z = torch.cat([linear(z[0, row], z[1, row], t) for row in range(rows)])
    paths_y = torch.cat([linear(embedded[0, row], embedded[1, row], t) for row in range(rows)])
    return draw(generator, paths_z, paths_y, chunk)
