"""``biggan sheet``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from biggan.cli.selection import choose_classes, choose_seeds
from biggan.foundation.errors import UserError


@dataclass(frozen=True, kw_only=True)
class SheetOptions:
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
    options = tyro.cli(SheetOptions, args=words, prog="biggan sheet")
    out = Path(options.out)
    if out.is_dir():
        raise UserError(f"--out {out}: this is a folder; name a picture, for example {out / 'sheet.png'}")
    seeds = choose_seeds(options.seeds, options.columns, default=10)
    from biggan.sampling.sampler import load
    from biggan.sampling.sheets import class_sheets

    sampler = load(options.file, options.device)
    pages = class_sheets(
        sampler.at_truncation(options.truncation, options.truncation_kind),
        sampler.class_names,
        labels=choose_classes(sampler, options.classes) or None,
        seeds=seeds,
        truncation=options.truncation,
        kind=options.truncation_kind,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    for number, page in enumerate(pages):
        path = out.with_stem(f"{out.stem}_{number}") if number else out
        page.save(path)
        print(path)
    return 0
