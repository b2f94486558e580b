"""Images of chosen classes and seeds as files: one each, one archive, or one picture."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from biggan.foundation.files import replacing, require_space, sync_directory, write_picture
from biggan.foundation.memory import check_memory
from biggan.foundation.outputs import safe_name
from biggan.models.norm_records import TruncationKind
from biggan.sampling.draw import default_chunk
from biggan.sampling.pictures import check_sheet, sheet, to_picture
from biggan.sampling.sampler import Sampler

Format = Literal["png", "npz", "grid"]
_PNG_BYTES = 300  # of a PNG file without its pixels, and of its line in the list


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
        check_memory(count * one, f"--format npz: {count:,} images", "use --format png, or draw fewer at once")
    files = count * (one * (2 if twice and form == "npz" else 1) + (_PNG_BYTES if form == "png" else 0))
    require_space(out, files, f"writing {count:,} images")


def write(sampler: Sampler, drawing: Drawing, form: Format, out: Path, *, nhwc: bool = False) -> str:
    """Draw and write, and return a sentence about what was written. Files of the same names are replaced, each whole.

    Args:
        sampler: what draws.
        drawing: which images.
        form: ``png``: a file an image and labels.csv; ``npz``: one archive; ``grid``: one picture.
        out: the folder.
        nhwc: axes of an archive.

    Raises:
        UserError: a link lies in the place of a file, or the disk is full.
    """
    out.mkdir(parents=True, exist_ok=True)
    if form == "png":
        return _write_png(sampler, drawing, out)
    if form == "npz":
        return _write_npz(sampler, drawing, out, nhwc=nhwc)
    path = out / "grid.png"
    write_picture(path, sheet(_all(sampler, drawing), drawing.columns))
    return str(path)


def _chunks(sampler: Sampler, drawing: Drawing) -> Iterator[tuple[list[tuple[int, int]], Tensor]]:
    """Yield (class, seed) of some images, and the images uint8 [B, C, H, W], until all are drawn."""
    step = min(drawing.batch or default_chunk(sampler.generator), len(drawing))
    for start in range(0, len(drawing), step):
        pairs = drawing.pairs(start, start + step, sampler.info.architecture.classes)
        labels, seeds = zip(*pairs, strict=True)
        yield pairs, sampler.sample(labels, seeds, drawing.truncation, drawing.kind, step)


def _all(sampler: Sampler, drawing: Drawing) -> Tensor:
    architecture = sampler.info.architecture
    images = torch.empty(len(drawing), architecture.channels, *architecture.resolution, dtype=torch.uint8)
    done = 0
    for _, part in _chunks(sampler, drawing):
        images[done : done + len(part)] = part
        done += len(part)
    return images


def _write_png(sampler: Sampler, drawing: Drawing, out: Path) -> str:
    """Write a file an image, a chunk at a time, and the list of them at the end."""
    from tqdm import tqdm

    with (
        replacing(out / "labels.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        tqdm(total=len(drawing), unit="img", disable=None) as bar,
    ):
        table = csv.writer(file)
        table.writerow(["file", "class_index", "class_name", "seed", "truncation", "truncation_kind"])
        for pairs, images in _chunks(sampler, drawing):
            for (label, seed), image in zip(pairs, images, strict=True):
                title = sampler.class_names[label] if sampler.class_names else "image"
                name = f"{safe_name(label, title)}_seed{seed}.png"
                write_picture(out / name, to_picture(image), durable=False)
                table.writerow([name, label, title, seed, drawing.truncation or "", drawing.recorded_kind])
            bar.update(len(pairs))
    sync_directory(out)
    return f"{len(drawing)} images and labels.csv in {out}"


def _write_npz(sampler: Sampler, drawing: Drawing, out: Path, *, nhwc: bool) -> str:
    """Write all images as one archive."""
    path = out / "samples.npz"
    images = _all(sampler, drawing).numpy()
    pairs = drawing.pairs(0, len(drawing), sampler.info.architecture.classes)
    if nhwc:
        images = images.transpose(0, 2, 3, 1)
    members: dict[str, Any] = {"arr_0": images} if nhwc else {}
    members |= {
        "x": images,
        "y": np.array([label for label, _ in pairs], dtype=np.int64),
        "seeds": np.array([seed for _, seed in pairs], dtype=np.int64),
        "truncation": np.array(np.nan if drawing.truncation is None else drawing.truncation),
        "truncation_kind": np.array(drawing.recorded_kind),
        "class_names": np.array(sampler.class_names, dtype=np.str_),
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **members)
    return f"{path}: x uint8 {list(images.shape)}, y int64 [{len(pairs)}]"
