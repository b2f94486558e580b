"""Style mixing: images whose coarse parts are one latent's and whose fine parts are another's.

Karras et al. 2019 ("A style-based generator architecture", section 3.1) mix the styles of layers; a hierarchical
latent allows the same. In ``biggan`` it is cut into chunks, the first for the first layer and one for each stage; in
``biggan-deep`` every layer sees the whole of z, so the layers are given different ones.
"""

from __future__ import annotations

import torch

from biggan.exploring.points import Points, joined
from biggan.sampling.pictures import check_sheet
from biggan.sampling.point_sheets import PointSheet
from biggan.sampling.sampler import Sampler
from biggan.sampling.two_latents import check_parts


def mixing_sheet(sampler: Sampler, coarse: Points, fine: Points, at: int | None = None) -> PointSheet:
    """Return what mixing shows, (rows + 1) * (columns + 1) cells; a row has the class of its latent of ``coarse``.

    The first column shows the images of ``coarse``, the first row those of the latents ``fine`` with the class of the
    first of ``coarse``; the corner is white.

    Args:
        sampler: what is to draw.
        coarse: latents for the first ``at`` parts.
        fine: latents for the others.
        at: see :func:`~biggan.sampling.two_latents.check_parts`.

    Raises:
        UserError: no hierarchical latent, a number out of range, or a sheet that would be too large.
    """
    parts = check_parts(sampler.info.architecture, at)
    rows, columns = len(coarse), len(fine)
    check_sheet((rows + 1) * (columns + 1), columns + 1, sampler.info.architecture.resolution, "--coarse, --fine")
    both = joined([coarse, fine])
    first = list(range(rows, rows + columns))
    second, classes = list(first), [0] * columns
    for row in range(rows):
        first += [row] * (columns + 1)
        second += [row, *range(rows, rows + columns)]
        classes += [row] * (columns + 1)
    return PointSheet(
        z=torch.cat([both.z[first], both.z[second]], dim=1),
        embedding=coarse.embedding[classes],
        columns=columns + 1,
        titles=both.titles,
        # Beside a row all of its point; above a column the seed alone, since the class is the row's.
        row_names=("", *coarse.titles),
        column_names=("", *(title.partition(":")[0] for title in fine.titles)),
        about=f"style mixing: the first {parts} parts of {rows} latents, the others of {columns}",
        blank=(0,),
        coarse=parts,
    )
