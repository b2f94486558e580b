"""``biggan sheet``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from biggan.cli.parsing import read_options
from biggan.cli.recording import MetadataOption
from biggan.cli.selection import choose_classes, choose_seeds
from biggan.cli.sheet_size import SheetSizeOption
from biggan.foundation.outputs import OverwriteOption, output_file
from biggan.foundation.terminal import say


@dataclass(frozen=True, kw_only=True)
class SheetOptions(SheetSizeOption, MetadataOption, OverwriteOption):
    """Draw a sheet: a class a row, a seed a column, every class, on as many pages as it takes."""

    file: tyro.conf.Positional[str]
    """A run (its newest generator), a checkpoint, or a snapshot."""
    out: str = "sheet.png"
    """Picture to write; further pages get _1, _2, ... before the ending."""
    classes: tuple[str, ...] = ()
    """Class names, or id:7 for an index; all by default."""
    seeds: tuple[str, ...] = ()
    """Seeds of the columns: 0-9, or 1,4,9."""
    columns: int | None = None
    """Seeds 0 to N-1 instead; 10 by default."""
    truncation: float | None = None
    """T. By default the whole prior is drawn from."""
    truncation_kind: Literal["resample", "scale", "clamp", "tfhub"] = "resample"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


def main(words: list[str]) -> int:
    """Draw."""
    options = read_options(SheetOptions, words, "biggan sheet")
    out = output_file(options.out, overwrite=options.overwrite)
    seeds = choose_seeds(options.seeds, options.columns, default=10, option="--columns")
    from biggan.foundation.files import write_picture
    from biggan.sampling.latents import check_truncation
    from biggan.sampling.pictures import check_picture, check_shown
    from biggan.sampling.png_text import record_options
    from biggan.sampling.recording import Recorder
    from biggan.sampling.sampler import load
    from biggan.sampling.sheets import check_pages, class_sheets, enlargement_of_pages, rows_of_page

    check_picture(out)
    check_shown(options.size)
    check_truncation(options.truncation, options.truncation_kind)
    sampler = load(options.file, options.device)
    labels = choose_classes(sampler, options.classes) or list(range(max(sampler.info.architecture.classes, 1)))
    resolution = sampler.info.architecture.resolution
    count = check_pages(len(labels), len(seeds), resolution)
    enlarged = enlargement_of_pages(resolution, len(labels), len(seeds), options.size)
    paths = [output_file(_page(out, number), overwrite=options.overwrite) for number in range(count)]
    say(f"batch norm: {sampler.statistics(options.truncation, options.truncation_kind)}")
    pages = class_sheets(
        sampler.at_truncation(options.truncation, options.truncation_kind),
        sampler.class_names,
        labels=labels,
        seeds=seeds,
        truncation=options.truncation,
        kind=options.truncation_kind,
        enlarged=enlarged,
    )
    recorder = Recorder(sampler, options.truncation, options.truncation_kind) if options.metadata else None
    rows = rows_of_page(resolution, len(seeds))
    for number, (path, page) in enumerate(zip(paths, pages, strict=True)):
        shown = labels[number * rows : (number + 1) * rows]
        record = None
        if recorder is not None:
            record = recorder.grid(shown, seeds, len(seeds), names=bool(sampler.class_names), enlarged=enlarged)
        write_picture(path, page, **record_options(path, record))
        say(str(path))
    return 0


def _page(out: Path, number: int) -> Path:
    return out.with_stem(f"{out.stem}_{number}") if number else out
