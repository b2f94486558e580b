"""``biggan sample``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from biggan.cli.parsing import read_options
from biggan.cli.recording import MetadataOption
from biggan.cli.refining import RefineOption, check_refine, make_for, tell_counts
from biggan.cli.selection import check_amount, choose_classes, choose_seeds
from biggan.cli.sheet_size import SheetSizeOption
from biggan.cli.together import CompileOption, with_ranks
from biggan.foundation.errors import UserError
from biggan.foundation.outputs import OverwriteOption, output_folder
from biggan.foundation.terminal import say
from biggan.models.norm_records import check_batches

if TYPE_CHECKING:
    from biggan.sampling.sampler import Sampler


@dataclass(frozen=True, kw_only=True)
class SampleOptions(SheetSizeOption, RefineOption, CompileOption, MetadataOption, OverwriteOption):
    """Write images of every class x every seed. Needs no data, no flags of training, no network."""

    file: tyro.conf.Positional[str]
    """A run (its newest generator), a checkpoint, or a snapshot."""
    out: str
    """Folder to write into: a new or an empty one, unless --overwrite is given."""
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
    """png: a file an image, and labels.csv; npz: x uint8 and y int64 [N]; grid: one picture, a sheet."""
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
    """Sample; under torchrun on all processes, with the same files in the end."""
    options = read_options(SampleOptions, words, "biggan sample")
    seeds = choose_seeds(options.seeds, options.count)
    if options.batch is not None and options.batch < 1:
        raise UserError(f"--batch {options.batch}: at least 1 image at a time")
    if options.standing_statistics is not None:
        check_batches(options.standing_statistics, "--standing-statistics")
    return with_ranks(options.device, lambda _: _sample(options, seeds), exact=False)


def _sample(options: SampleOptions, seeds: list[int]) -> int:
    from biggan.foundation import distributed
    from biggan.sampling.latents import check_truncation
    from biggan.sampling.pictures import check_shown
    from biggan.sampling.sampler import load
    from biggan.sampling.writing import Drawing, check_resources, write

    # The first process alone looks at the folder: for the others it would not be empty once that one writes.
    out = distributed.on_primary(lambda: output_folder(options.out, overwrite=options.overwrite), "looking at --out")
    check_truncation(options.truncation, options.truncation_kind)
    check_shown(options.size)
    check_refine(options, options.truncation, options.truncation_kind)
    sampler = distributed.together(
        lambda: load(options.file, options.device, compiled=options.compile), "reading the generator"
    )
    labels = choose_classes(sampler, options.classes)
    check_amount(len(seeds) * max(len(labels), 1), "--classes x --seeds")
    drawing = Drawing(
        labels=tuple(labels),
        seeds=tuple(seeds),
        truncation=options.truncation,
        kind=options.truncation_kind,
        batch=options.batch,
    )
    nhwc = options.npz_layout == "nhwc"
    distributed.on_primary(
        lambda: check_resources(sampler, drawing, options.format, out, twice=nhwc), "looking for space"
    )
    if options.standing_statistics is not None:
        sampler = _with_standing_statistics(sampler, options, out)
    if distributed.is_primary():
        statistics = sampler.statistics(options.truncation, options.truncation_kind)
        say(f"batch norm: {statistics.sentence('--standing-statistics N')}")
    if options.refine is not None:
        at, kind = options.truncation, options.truncation_kind
        sampler.refiner = make_for(options.file, options, sampler, sampler.at_truncation(at, kind), at, kind)
    written = write(sampler, drawing, options.format, out, nhwc=nhwc, metadata=options.metadata, smallest=options.size)
    tell_counts(sampler.refiner)
    if distributed.is_primary():
        say(written)
    return 0


def _with_standing_statistics(sampler: Sampler, options: SampleOptions, out: Path) -> Sampler:
    """Estimate on the first process, and read on the others what it has written."""
    from biggan.foundation import distributed
    from biggan.sampling.sampler import load
    from biggan.sampling.standing import write_with_standing_statistics

    truncation = "" if options.truncation is None else f"-{options.truncation_kind}{options.truncation:g}"
    stem = sampler.path.stem if sampler.path else "snapshot"
    path = out / f"{stem[:100]}-standing{options.standing_statistics}{truncation}.safetensors"
    made = distributed.on_primary_only(
        lambda: write_with_standing_statistics(
            sampler,
            path,
            batches=options.standing_statistics or 0,
            truncation=options.truncation,
            kind=options.truncation_kind,
            overwrite=options.overwrite,
        ),
        "estimating standing statistics",
    )
    if made is not None:
        say(str(path))
    return distributed.together(
        lambda: made or load(path, options.device, compiled=options.compile), "reading the standing statistics"
    )
