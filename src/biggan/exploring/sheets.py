"""Sheets of what a direction does to images, and of what was bred."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from biggan.exploring.directions import Directions, Which, move
from biggan.exploring.points import Points
from biggan.foundation.errors import UserError
from biggan.sampling.pictures import check_sheet
from biggan.sampling.point_sheets import PointSheet
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


def direction_sheet(
    sampler: Sampler, directions: Directions, which: Which, points: Points, along: Sequence[float]
) -> PointSheet:
    """Return what a direction does, len(points) * len(along) cells: a point a row, an amount a column.

    Args:
        sampler: what is to draw.
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
    return PointSheet(
        z=z,
        embedding=points.embedding.repeat_interleave(len(along), dim=0),
        columns=len(along),
        titles=points.titles,
        about=f"direction {directions.title(number)} of {directions.label}, by deviations of the prior",
        row_names=points.titles,
        column_names=tuple(f"{amount:+.2g}" if amount else "0" for amount in along),
    )


def points_sheet(points: Points, columns: int, about: str) -> PointSheet:
    """Return the points themselves, one a cell, with their numbers: that of a row and that of a column add up.

    ``about`` says what they are.
    """
    return PointSheet(
        z=points.z,
        embedding=points.embedding,
        columns=columns,
        titles=points.titles,
        about=about,
        row_names=tuple(str(first) for first in range(0, len(points), columns)),
        column_names=tuple(f"+{place}" for place in range(columns)),
    )
