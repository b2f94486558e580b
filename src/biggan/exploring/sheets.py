"""Sheets: what a direction does to images, and what coarse and fine parts of latents make of each other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from biggan.exploring.directions import Directions, Which, move
from biggan.exploring.points import Points
from biggan.foundation.errors import UserError
from biggan.sampling.draw import draw
from biggan.sampling.pictures import SHOWN, check_sheet, enlargement, sheet
from biggan.sampling.sampler import Sampler


def amounts(steps: int, reach: float) -> list[float]:
    """Return the amounts of a sheet's columns: ``steps`` each way, evenly from -reach to reach, 0 in the middle.

    Raises:
        UserError: out of range.
    """
    if not 1 <= steps <= 100:
        raise UserError(f"--steps {steps}: 1 to 100 each way")
    if not 0 < reach <= 1000:
        raise UserError(f"--reach {reach}: more than 0 deviations, and at most 1000")
    return [reach * step / steps for step in range(-steps, steps + 1)]


def direction_images(
    sampler: Sampler, directions: Directions, which: Which, points: Points, along: Sequence[float]
) -> Tensor:
    """Return images uint8 [len(points) * len(along), C, H, W], a point a row, an amount a column.

    Args:
        sampler: what draws, with the statistics of no truncation.
        directions: its own.
        which: number or name.
        points: where each row starts.
        along: amounts in deviations of the prior; at 0 is the point's own image.

    Raises:
        UserError: no such direction, or a sheet that would be too large.
    """
    number = directions.index(which)
    check_sheet(len(points) * len(along), len(along), sampler.info.architecture.resolution, "--seeds, --steps")
    z = torch.stack([move(points.z, directions, {number: amount}) for amount in along], dim=1).flatten(0, 1)
    return draw(sampler.generator, z, points.embedding.repeat_interleave(len(along), dim=0))


def direction_sheet(
    sampler: Sampler,
    directions: Directions,
    which: Which,
    points: Points,
    along: Sequence[float],
    smallest: int = SHOWN,
) -> Image.Image:
    """Return :func:`direction_images` on one sheet, with what each row is beside it.

    ``smallest`` is as :func:`~biggan.sampling.pictures.enlargement` takes it.
    """
    images = direction_images(sampler, directions, which, points, along)
    enlarged = enlargement(sampler.info.architecture.resolution, len(images), len(along), smallest)
    return sheet(images, len(along), points.titles, enlarged)
