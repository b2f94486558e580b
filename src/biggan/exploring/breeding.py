"""Breeding: children that mix the latents and classes of parents, and mutate."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from biggan.exploring.points import MOST_POINTS, Points
from biggan.foundation.errors import UserError, unknown
from biggan.foundation.seeding import normals, uniforms
from biggan.sampling.interpolation import linear, spherical
from biggan.sampling.point_record import LONGEST_TITLE

Crossover = Literal["blend", "genes"]


def breed(
    parents: Points,
    children: int,
    *,
    crossover: Crossover = "blend",
    mutate: float = 0.2,
    seed: int = 0,
    chunks: int = 1,
) -> Points:
    """Return children, each of two parents that chance picks; child i depends on ``seed`` and i, not on how many.

    Args:
        parents: two or more; or one, whose children are mutations of it.
        children: how many.
        crossover: ``blend``: a point of the great circle between both latents, which keeps the norm of the prior, with
            classes mixed in the same share. ``genes``: each number of z is that of one parent or the other (each chunk
            is, where there are several), and so is the class; what the prior allows stays what it is.
        mutate: m, 0 to 1: z becomes sqrt(1 - m^2) z + m n with n normal, which leaves the prior as it is; 0 changes
            nothing, 1 forgets the parents' latents. Classes do not mutate.
        seed: of all this.
        chunks: into how many equal parts z is cut for ``genes``; 1 to take its numbers one by one.

    Raises:
        UserError: a number out of range, or an unknown crossover.
    """
    check_breeding(children, mutate, crossover)
    size, dtype = parents.z.shape[1], parents.z.dtype
    latents, conditions, titles = [], [], []
    for child in range(children):
        chance = torch.from_numpy(uniforms(seed, "breeding", 0, child, 1, 4 + size)[0])
        one, other = _pair(len(parents), chance)
        pair, classes = parents.z[[one, other]], parents.embedding[[one, other]]
        z, condition = (
            _blended(pair, classes, chance[2]) if crossover == "blend" else _picked(pair, classes, chance[3:], chunks)
        )
        noise = torch.from_numpy(normals(seed, "mutation", 0, child, 1, size)[0]).to(dtype)
        latents.append(z if mutate == 0 else math.sqrt(1 - mutate**2) * z + mutate * noise)
        conditions.append(condition)
        names = parents.titles[one], parents.titles[other]
        titles.append((f"{child} of {names[0]}" if one == other else f"{child} of {' + '.join(names)}")[:LONGEST_TITLE])
    return Points(z=torch.stack(latents), embedding=torch.stack(conditions), titles=tuple(titles))


def check_breeding(children: int, mutate: float, crossover: str) -> None:
    """Check what is asked for, before anything is read.

    Raises:
        UserError: a number out of range, or an unknown crossover.
    """
    if not 1 <= children <= MOST_POINTS:
        raise UserError(f"--children {children}: 1 to {MOST_POINTS:,}")
    if not 0 <= mutate <= 1:
        raise UserError(f"--mutate {mutate}: 0 (a mixture of the parents) to 1 (new latents)")
    if crossover not in get_args(Crossover):
        raise unknown("--crossover", crossover, get_args(Crossover))


def _pair(parents: int, chance: Tensor) -> tuple[int, int]:
    """Return two different parents, each pair as likely as any other; the one twice where there is no other."""
    one = int(chance[0] * parents)
    return one, (one + 1 + int(chance[1] * (parents - 1))) % parents


def _blended(pair: Tensor, classes: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    t = share.reshape(1)
    return spherical(pair[0], pair[1], t.to(pair.dtype))[0], linear(classes[0], classes[1], t.to(classes.dtype))[0]


def _picked(pair: Tensor, classes: Tensor, chance: Tensor, chunks: int) -> tuple[Tensor, Tensor]:
    genes = chance[1:] if chunks == 1 else chance[1 : 1 + chunks].repeat_interleave(pair.shape[1] // chunks)
    z = torch.where(genes < 0.5, pair[0], pair[1])
    return z, classes[0 if chance[0] < 0.5 else 1]
