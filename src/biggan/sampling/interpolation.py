"""Paths between latents and between classes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from biggan.models.contract import Generator
from biggan.sampling.draw import draw
from biggan.sampling.latents import latents

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
    step = linear if curve == "linear" else spherical
    ends = [*range(1, len(points)), 0] if loop else list(range(1, len(points)))
    t = torch.arange(frames) / frames
    parts = [step(points[i], points[end], t) for i, end in enumerate(ends)]
    return torch.cat(parts if loop else [*parts, points[-1:]])


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
