"""From the options to the images of a run: every path opened, mixed, classes chosen."""

from __future__ import annotations

import dataclasses

from biggan.data.bounds import MOST_DECODED
from biggan.data.choosing.curation import curate
from biggan.data.choosing.mixture import Mixture
from biggan.data.choosing.selection import held_out, part_of_each_class
from biggan.data.configuration import DataConfig, ReadingConfig
from biggan.data.contract import ImageSource, open_one
from biggan.data.order.transforms import prepared_size
from biggan.foundation.errors import UserError
from biggan.foundation.files import format_bytes


def open_source(config: DataConfig, resolution: tuple[int, int]) -> ImageSource:
    """Return the images that ``config`` describes, for training at ``resolution`` = (height, width).

    They come larger than that where a window is cut out of them at each access.

    Raises:
        UserError: no path, or something about the data that cannot be used.
    """
    return open_apart(config, resolution)[0]


def open_held_out(config: DataConfig, resolution: tuple[int, int]) -> ImageSource | None:
    """Return the images that training as ``config`` describes it never sees; None where it sees all.

    They are ``resolution`` large, whatever is cut out in training.

    Raises:
        UserError: as in :func:`open_source`.
    """
    if not config.holdout:
        return None
    return open_apart(dataclasses.replace(config, random_crop=False), resolution)[1]


def open_apart(config: DataConfig, resolution: tuple[int, int]) -> tuple[ImageSource, ImageSource | None]:
    """Return the images to train on, as :func:`open_source` does, and those that are held out, if any are.

    A part (``--data.fraction``) is one of what is left: the held-out images are the same for all parts.
    """
    source, held = open_images(config, prepared_size(config, resolution)), None
    if config.holdout:
        source, held = held_out(source, config.holdout)
    if config.fraction != 1:
        source = part_of_each_class(source, config.fraction, config.fraction_draw)
    return source, held


def open_images(config: ReadingConfig, size: tuple[int, int]) -> ImageSource:
    """Return the images that ``config`` describes, ``size`` = (height, width) large.

    Raises:
        UserError: no path, or something about the data that cannot be used.
    """
    if config.path is None:
        raise UserError("this preset has no data of its own: say where your images are with --data PATH")
    _refuse_large(size)
    source = open_one(config.path, size, config)
    if config.mix:
        source = _mix(source, config, size)
    return curate(source, config)


def _refuse_large(size: tuple[int, int]) -> None:
    """Check that an image of this size is one.

    Raises:
        UserError: a batch of one would be larger than what any image file may hold.
    """
    height, width = size
    needed = 3 * height * width
    if needed > MOST_DECODED:
        raise UserError(
            f"--resolution {height}x{width}: one image would take {format_bytes(needed)}, and at most "
            f"{format_bytes(MOST_DECODED)} are possible"
        )


def _mix(first: ImageSource, config: ReadingConfig, size: tuple[int, int]) -> ImageSource:
    """Return ``first`` with what ``--data.mix`` names, all with the same channels."""
    paths: list[str] = [config.path or ""]
    weights: list[float | None] = [1.0]
    for entry in config.mix:
        path, weight = weighted(entry)
        paths.append(path)
        weights.append(weight)
    if None in weights and any(weight is not None for weight in weights[1:]):
        raise UserError(f"--data.mix {' '.join(config.mix)}: give every data set a weight (PATH=WEIGHT), or none")
    sources = [first, *(open_one(path, size, config) for path in paths[1:])]
    channels = {source.channels for source in sources}
    if channels == {1, 3}:
        colour = dataclasses.replace(config, channels=3)
        sources = [open_one(path, size, colour) for path in paths]
    elif len(channels) > 1:
        raise UserError(
            f"--data.mix: the data sets have {' and '.join(map(str, sorted(channels)))} channels, which cannot be mixed"
        )
    shares = () if None in weights else tuple(float(weight or 0) for weight in weights)
    return Mixture(sources, paths, shares, join=config.mix_classes == "join", labelled=config.labels == "data")


def weighted(entry: str) -> tuple[str, float | None]:
    """Return path and weight of an entry of ``--data.mix``; None where it has none.

    Raises:
        UserError: a weight that is not positive.
    """
    path, separator, weight = entry.rpartition("=")
    if not separator:
        return entry, None
    try:
        value = float(weight)
    except ValueError:
        return entry, None  # a path with = in it
    if not path:
        raise UserError(f"--data.mix {entry}: no path before the weight")
    if not 0 < value < float("inf"):
        raise UserError(f"--data.mix {entry}: the weight must be positive")
    return path, value
