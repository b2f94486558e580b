"""``biggan sample``."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from biggan.cli.selection import choose_classes, choose_seeds, safe_name
from biggan.foundation.errors import UserError

if TYPE_CHECKING:
    from biggan.sampling.sampler import Sampler


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """Write images of every class x every seed. Needs no data, no flags of training, no network."""

    file: tyro.conf.Positional[str]
    """A run (its newest generator), a checkpoint, or a snapshot."""
    out: str
    """Folder to write into."""
    classes: tuple[str, ...] = ()
    """Class names, or id:7 for an index. Without, labels cycle through all classes."""
    seeds: tuple[str, ...] = ()
    """Seeds: 0-15, or 1,4,9. By default 0-15."""
    count: int | None = None
    """Seeds 0 to N-1 instead."""
    truncation: float | None = None
    """T. By default the whole prior is drawn from."""
    truncation_kind: Literal["resample", "scale", "clamp", "tfhub"] = "resample"
    """resample: redraw values beyond T (the paper); scale: T times z; clamp: cut at T; tfhub: T times a normal
    truncated at 2."""
    format: Literal["png", "npz", "grid"] = "png"
    """png: a file an image, and labels.csv; npz: x uint8 and y int64 [N]; grid: one picture."""
    npz_layout: Literal["nchw", "nhwc"] = "nchw"
    """Axes of x. nhwc is what TensorFlow scripts and the evaluator of guided-diffusion read, which looks for arr_0; it
    is then written under that name too."""
    standing_statistics: int | None = None
    """Re-estimate batch-norm statistics over this many batches of 64 at the same truncation, into a new snapshot in
    the folder, and sample from that."""
    batch: int | None = None
    """Images drawn at a time."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


def main(words: list[str]) -> int:
    """Sample."""
    options = tyro.cli(SampleOptions, args=words, prog="biggan sample")
    seeds = choose_seeds(options.seeds, options.count)
    out = Path(options.out)
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: this is a file; name a folder")
    from biggan.sampling.sampler import load

    sampler = load(options.file, options.device)
    if options.standing_statistics is not None:
        sampler = _with_standing_statistics(sampler, options, out)
    if options.truncation is not None:
        print(f"batch norm: {sampler.statistics(options.truncation, options.truncation_kind)}")
    labels = choose_classes(sampler, options.classes)
    if labels:
        pairs = [(label, seed) for label in labels for seed in seeds]
    else:
        pairs = [(i % max(sampler.info.architecture.classes, 1), seed) for i, seed in enumerate(seeds)]
    out.mkdir(parents=True, exist_ok=True)
    writer = {"png": _write_png, "npz": _write_npz, "grid": _write_grid}[options.format]
    print(writer(sampler, pairs, options, out, len(seeds)))
    return 0


def _with_standing_statistics(sampler: Sampler, options: SampleOptions, out: Path) -> Sampler:
    from biggan.sampling.sampler import load
    from biggan.sampling.standing import write_with_standing_statistics

    batches = options.standing_statistics or 0
    if batches < 1:
        raise UserError(f"--standing-statistics {batches}: at least 1 batch")
    truncation = "" if options.truncation is None else f"-{options.truncation_kind}{options.truncation:g}"
    stem = sampler.path.stem if sampler.path else "snapshot"
    path = out / f"{stem}-standing{batches}{truncation}.safetensors"
    write_with_standing_statistics(
        sampler, path, batches=batches, truncation=options.truncation, kind=options.truncation_kind
    )
    print(path)
    return load(path, options.device)


def _draw(sampler: Sampler, pairs: list[tuple[int, int]], options: SampleOptions):  # type: ignore[no-untyped-def]
    return sampler.sample(
        [label for label, _ in pairs],
        [seed for _, seed in pairs],
        options.truncation,
        options.truncation_kind,
        options.batch,
    )


def _write_png(sampler: Sampler, pairs: list[tuple[int, int]], options: SampleOptions, out: Path, _: int) -> str:
    """Write a file an image, a chunk at a time, and the list of them."""
    from tqdm import tqdm

    from biggan.sampling.draw import default_chunk
    from biggan.sampling.pictures import to_picture

    step = options.batch or default_chunk(sampler.generator)
    with (
        (out / "labels.csv").open("w", newline="", encoding="utf-8") as file,
        tqdm(total=len(pairs), unit="img", disable=None) as bar,
    ):
        table = csv.writer(file)
        table.writerow(["file", "class_index", "class_name", "seed", "truncation", "truncation_kind"])
        for start in range(0, len(pairs), step):
            part = pairs[start : start + step]
            for (label, seed), image in zip(part, _draw(sampler, part, options), strict=True):
                title = sampler.class_names[label] if sampler.class_names else "image"
                name = f"{label}_{safe_name(title)}_seed{seed}.png"
                to_picture(image).save(out / name)
                kind = options.truncation_kind if options.truncation is not None else "none"
                table.writerow([name, label, title, seed, options.truncation or "", kind])
            bar.update(len(part))
    return f"{len(pairs)} images and labels.csv in {out}"


def _write_npz(sampler: Sampler, pairs: list[tuple[int, int]], options: SampleOptions, out: Path, _: int) -> str:
    """Write all images as one archive."""
    import numpy as np

    path = out / "samples.npz"
    images = _draw(sampler, pairs, options).numpy()
    also = {}
    if options.npz_layout == "nhwc":
        images = images.transpose(0, 2, 3, 1)
        also["arr_0"] = images
    np.savez(
        path,
        **also,
        x=images,
        y=np.array([label for label, _ in pairs], dtype=np.int64),
        seeds=np.array([seed for _, seed in pairs], dtype=np.int64),
        truncation=np.array(np.nan if options.truncation is None else options.truncation),
        truncation_kind=np.array(options.truncation_kind if options.truncation is not None else "none"),
        class_names=np.array(sampler.class_names, dtype=np.str_),
    )
    return f"{path}: x uint8 {list(images.shape)}, y int64 [{len(pairs)}]"


def _write_grid(sampler: Sampler, pairs: list[tuple[int, int]], options: SampleOptions, out: Path, seeds: int) -> str:
    """Write one picture: a class a row where classes were chosen, else as square as it gets."""
    from biggan.sampling.pictures import sheet

    columns = seeds if options.classes else max(1, round(len(pairs) ** 0.5))
    path = out / "grid.png"
    sheet(_draw(sampler, pairs, options), columns).save(path)
    return str(path)
