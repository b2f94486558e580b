"""A stream through an extractor, by blocks whose bounds and order no number of processes changes.

Block i is measured by process i modulo their number; the first process takes the blocks in the order of the images, as
it would if it were alone. So every sum has the same terms in the same order, and no digit tells who computed what.
"""

from __future__ import annotations

import functools

import torch

from biggan.evaluation.streams import ImageStream, Progress
from biggan.foundation import distributed
from biggan.foundation.images import to_bytes
from biggan.metrics.classifier import shrink
from biggan.metrics.collected import CLASS_ROWS, LOGITS, MOMENTS, ROWS, THUMBNAILS, Choice, Collected, Collector, Part
from biggan.metrics.features import Extractor
from biggan.metrics.rows import full_precision

OF_FEATURES = frozenset({MOMENTS, ROWS, CLASS_ROWS, LOGITS})


def collect(
    stream: ImageStream,
    extractor: Extractor | None,
    needs: frozenset[str],
    *,
    block: int,
    device: torch.device | None = None,
    choice: Choice | None = None,
    progress: Progress = lambda *_: None,
) -> Collected | None:
    """Measure a stream; processes share the blocks.

    Args:
        stream: the images.
        extractor: of features; None if only thumbnails are needed.
        needs: what to keep, see ``metrics/collected.py``.
        block: images at a time. Networks round otherwise in blocks of other sizes, so it is no part of who computes.
        device: where features are computed; moments are summed there if it has float64 (a GPU), else on the CPU.
        choice: of which images rows are kept; all by default.
        progress: called on the first process with the number of images done and of all.

    Returns:
        What was collected, on the first process; None on the others.

    Raises:
        UserError: an image that could not be made, or any other failure, on whichever process.
    """
    device = device or torch.device("cpu")
    summing = device if device.type == "cuda" else torch.device("cpu")
    collector = Collector(needs, choice or Choice.all(stream.count), summing)
    starts = range(0, stream.count, block)
    rank, ranks = distributed.rank(), distributed.world_size()
    for first in range(0, len(starts), ranks):
        own = starts[first + rank] if first + rank < len(starts) else None
        measure = functools.partial(_measure, stream, extractor, needs, own, block, device)
        part = distributed.together(measure, "measuring images")
        for measured in distributed.gather_on_primary(part):
            if measured is not None:
                collector.add(measured)
        if distributed.is_primary():
            progress(min(starts[min(first + ranks, len(starts)) - 1] + block, stream.count), stream.count)
    return distributed.on_primary_only(collector.finish, "joining what was measured")


def _measure(
    stream: ImageStream,
    extractor: Extractor | None,
    needs: frozenset[str],
    start: int | None,
    block: int,
    device: torch.device,
) -> Part | None:
    """Read and measure the block that begins at ``start``, if there is one."""
    if start is None:
        return None
    indices = torch.arange(start, min(start + block, stream.count))
    wanted = extractor is not None and bool(needs & OF_FEATURES)
    read = stream.read(indices, floats=wanted and extractor is not None and extractor.takes_floats)
    rows = logits = thumbnails = None
    if extractor is not None and wanted and len(read.indices):
        with full_precision(device):
            found = extractor(read.pixels)
        rows, logits = found.rows.cpu(), None if found.logits is None or LOGITS not in needs else found.logits.cpu()
    if THUMBNAILS in needs:
        pixels = to_bytes(read.pixels).cpu() if read.pixels.is_floating_point() else read.pixels
        thumbnails = to_bytes(shrink(pixels))
    return Part(
        indices=read.indices,
        labels=stream.labels[read.indices],
        rows=rows,
        logits=logits,
        thumbnails=thumbnails,
        unreadable=read.problems,
    )
