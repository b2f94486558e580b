"""Images of chosen classes and seeds as files: one each, one archive, or one picture.

Processes share the batches: batch i is drawn by process i modulo their number. Which images lie in a batch never
depends on how many processes there are, because networks round otherwise in other batches; so no bit tells who drew
what.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from biggan.foundation import distributed
from biggan.foundation.errors import UserError
from biggan.foundation.files import refuse_link, replacing, require_space, sync_directory, write_picture
from biggan.foundation.memory import check_memory
from biggan.foundation.outputs import safe_name
from biggan.models.norm_records import TruncationKind
from biggan.sampling.draw import default_chunk, divided_once
from biggan.sampling.pictures import SHOWN, check_sheet, enlargement, sheet, to_picture
from biggan.sampling.png_text import png_text
from biggan.sampling.recording import Recorder
from biggan.sampling.sampler import Sampler

Format = Literal["png", "npz", "grid"]
LIST = "labels.csv"
_PNG_BYTES = 1000  # of a PNG file without its pixels, but with its metadata, and of its line in the list
_LIST_ROWS = 4096  # rows of the list that are made at a time

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Which images: every class x every seed, or every seed with labels that cycle through all classes."""

    labels: tuple[int, ...]
    """Class indices; empty to cycle."""
    seeds: tuple[int, ...]
    truncation: float | None = None
    kind: TruncationKind = "resample"
    batch: int | None = None
    """Images drawn at a time."""

    def __len__(self) -> int:
        return len(self.seeds) * max(len(self.labels), 1)

    def pairs(self, start: int, stop: int, classes: int) -> list[tuple[int, int]]:
        """Return (class, seed) of images ``start .. stop``."""
        places = range(start, min(stop, len(self)))
        if not self.labels:
            return [(i % max(classes, 1), self.seeds[i]) for i in places]
        return [(self.labels[i // len(self.seeds)], self.seeds[i % len(self.seeds)]) for i in places]

    def last_places(self, classes: int) -> Callable[[int], bool]:
        """Return whether a place is the last one of its (class, seed): where one is asked for twice, that one is kept.

        Without this two processes might write one file at the same moment, rounded as their batches round.
        """
        seeds = {seed: place for place, seed in enumerate(self.seeds)}
        labels = {label: place for place, label in enumerate(self.labels)}
        if self.labels:
            return lambda i: (
                labels[self.labels[i // len(self.seeds)]] == i // len(self.seeds)
                and seeds[self.seeds[i % len(self.seeds)]] == i % len(self.seeds)
            )
        if len(seeds) == len(self.seeds):
            return lambda _: True
        last = {pair: place for place, pair in enumerate(self.pairs(0, len(self), classes))}
        places = frozenset(last.values())
        return lambda i: i in places

    @property
    def columns(self) -> int:
        """Images a row of one picture: a class a row where classes were chosen, else as square as it gets."""
        return len(self.seeds) if self.labels else max(1, round(len(self) ** 0.5))

    @property
    def recorded_kind(self) -> str:
        """How latents are truncated, as it is written beside images."""
        return "none" if self.truncation is None else self.kind


def check_resources(sampler: Sampler, drawing: Drawing, form: Format, out: Path, *, twice: bool = False) -> None:
    """Check, before anything is drawn, that the images fit onto the disk, into memory, or into one picture.

    For the first process, which holds and writes them where they become one file.

    Args:
        sampler: what draws.
        drawing: which images.
        form: of files.
        out: the folder.
        twice: whether an archive holds them under two names.

    Raises:
        UserError: they do not; says how much is needed, and how much there is.
    """
    architecture = sampler.info.architecture
    height, width = architecture.resolution
    count, one = len(drawing), architecture.channels * height * width
    if form == "grid":
        check_sheet(count, drawing.columns, (height, width), "--format grid, columns")
    if form == "npz":
        ranks = distributed.world_size()
        # What the others draw arrives as bytes, and then as images.
        coming = 2 * ranks * _batch(sampler, drawing) if ranks > 1 else 0
        check_memory(
            (count + coming) * one, f"--format npz: {count:,} images", "use --format png, or draw fewer at once"
        )
    files = count * (one * (2 if twice and form == "npz" else 1) + (_PNG_BYTES if form == "png" else 0))
    require_space(out, files, f"writing {count:,} images")


def write(
    sampler: Sampler,
    drawing: Drawing,
    form: Format,
    out: Path,
    *,
    nhwc: bool = False,
    metadata: bool = True,
    smallest: int = SHOWN,
) -> str:
    """Draw and write, and return a sentence about what was written. Files of the same names are replaced, each whole.

    All processes call this together; ``out`` must be the same folder for all of them.

    Args:
        sampler: what draws; the same on every process.
        drawing: which images.
        form: ``png``: a file an image and labels.csv; ``npz``: one archive; ``grid``: one picture.
        out: the folder.
        nhwc: axes of an archive.
        metadata: whether pictures say how they were drawn, see :mod:`biggan.sampling.picture_record`.
        smallest: pixels of the shorter side of an image in one picture, at least.

    Raises:
        UserError: a link lies in the place of a file, the disk is full, or any failure on any process.
    """

    def make() -> None:
        out.mkdir(parents=True, exist_ok=True)
        if form == "png":
            refuse_link(out / LIST)

    distributed.on_primary(make, "making the folder")
    recorder = Recorder(sampler, drawing.truncation, drawing.kind, _batch(sampler, drawing)) if metadata else None
    if form == "png":
        return _write_png(sampler, drawing, out, recorder)
    images = _gathered(sampler, drawing)
    if form == "npz":
        return distributed.on_primary(
            lambda: _write_npz(sampler, drawing, out, images, nhwc=nhwc), "writing the archive"
        )
    path = out / "grid.png"

    def write_grid() -> None:
        enlarged = enlargement(sampler.info.architecture.resolution, len(drawing), drawing.columns, smallest)
        record = None
        if recorder is not None:
            record = recorder.grid(drawing.labels, drawing.seeds, drawing.columns, enlarged=enlarged)
        write_picture(path, sheet(images, drawing.columns, enlarged=enlarged), pnginfo=png_text(record))

    distributed.on_primary(write_grid, "writing the picture")
    return str(path)


def _batch(sampler: Sampler, drawing: Drawing) -> int:
    """Return how many images are drawn at a time."""
    return min(drawing.batch or default_chunk(sampler.generator), len(drawing))


def _rounds(sampler: Sampler, drawing: Drawing, use: Callable[[int, Tensor], T]) -> Iterator[T | None]:
    """Draw a batch on every process, again and again until all are drawn; yield what ``use`` made of this one's.

    Args:
        sampler: what draws.
        drawing: which images.
        use: of (place of the first image, images uint8 [B, C, H, W]); must not wait for other processes.

    Yields:
        Its result; None where this process has no batch in the last round.

    Raises:
        UserError: any failure on any process, before the next round.
    """
    step = _batch(sampler, drawing)
    starts = range(0, len(drawing), step)
    rank, ranks = distributed.rank(), distributed.world_size()

    def act(start: int | None) -> T | None:
        if start is None:
            return None
        pairs = drawing.pairs(start, start + step, sampler.info.architecture.classes)
        labels, seeds = zip(*pairs, strict=True)
        return use(start, sampler.sample(labels, seeds, drawing.truncation, drawing.kind, step))

    with divided_once(sampler.at_truncation(drawing.truncation, drawing.kind)), _bar(len(drawing)) as bar:
        for first in range(0, len(starts), ranks):
            own = starts[first + rank] if first + rank < len(starts) else None
            yield distributed.together(functools.partial(act, own), "drawing images")
            bar.update(min((first + ranks) * step, len(drawing)) - bar.n)


def _bar(total: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, unit="img", disable=None if distributed.is_primary() else True)


def _gathered(sampler: Sampler, drawing: Drawing) -> Tensor:
    """Return all images uint8 [N, C, H, W] on the first process; none on the others."""
    architecture = sampler.info.architecture
    count = len(drawing) if distributed.is_primary() else 0
    images = torch.empty(count, architecture.channels, *architecture.resolution, dtype=torch.uint8)
    for own in _rounds(sampler, drawing, lambda start, part: (start, part)):
        for found in distributed.gather_on_primary(own):
            if found is not None:
                start, part = found
                images[start : start + len(part)] = part
    return images


def _write_png(sampler: Sampler, drawing: Drawing, out: Path, recorder: Recorder | None) -> str:
    """Write a file an image, a batch at a time, and the list of them at the end."""
    classes = sampler.info.architecture.classes
    is_last = drawing.last_places(classes)

    def use(start: int, images: Tensor) -> None:
        if not out.is_dir():
            raise UserError(f"--out {out}: not there; it must be on a file system that all processes share")
        for place, (pair, image) in enumerate(
            zip(drawing.pairs(start, start + len(images), classes), images, strict=True), start
        ):
            if is_last(place):
                record = None if recorder is None else recorder.image(*pair, len(images), place - start)
                path = out / _name(sampler, *pair)
                write_picture(path, to_picture(image), durable=False, pnginfo=png_text(record))

    for _ in _rounds(sampler, drawing, use):
        pass
    distributed.on_primary(lambda: _write_list(sampler, drawing, out), f"writing {LIST}")
    return f"{len(drawing)} images and {LIST} in {out}"


def _name(sampler: Sampler, label: int, seed: int) -> str:
    return f"{safe_name(label, _title(sampler, label))}_seed{seed}.png"


def _title(sampler: Sampler, label: int) -> str:
    return sampler.class_names[label] if sampler.class_names else "image"


def _write_list(sampler: Sampler, drawing: Drawing, out: Path) -> None:
    """Write what each file is."""
    with (
        replacing(out / LIST) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        table = csv.writer(file)
        refined = [sampler.refiner.record] if sampler.refiner is not None else []
        extra = ["refinement"] if refined else []
        table.writerow(["file", "class_index", "class_name", "seed", "truncation", "truncation_kind", *extra])
        for start in range(0, len(drawing), _LIST_ROWS):
            for label, seed in drawing.pairs(start, start + _LIST_ROWS, sampler.info.architecture.classes):
                row = [_name(sampler, label, seed), label, _title(sampler, label), seed]
                table.writerow([*row, drawing.truncation or "", drawing.recorded_kind, *refined])
    sync_directory(out)


def _write_npz(sampler: Sampler, drawing: Drawing, out: Path, images: Tensor, *, nhwc: bool) -> str:
    """Write all images as one archive."""
    path = out / "samples.npz"
    pixels = images.numpy()
    pairs = drawing.pairs(0, len(drawing), sampler.info.architecture.classes)
    if nhwc:
        pixels = pixels.transpose(0, 2, 3, 1)
    members: dict[str, Any] = {"arr_0": pixels} if nhwc else {}
    members |= {
        "x": pixels,
        "y": np.array([label for label, _ in pairs], dtype=np.int64),
        "seeds": np.array([seed for _, seed in pairs], dtype=np.int64),
        "truncation": np.array(np.nan if drawing.truncation is None else drawing.truncation),
        "truncation_kind": np.array(drawing.recorded_kind),
        "class_names": np.array(sampler.class_names, dtype=np.str_),
    }
    if sampler.refiner is not None:
        members["refinement"] = np.array(sampler.refiner.record)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **members)
    return f"{path}: x uint8 {list(pixels.shape)}, y int64 [{len(pairs)}]"
