"""``biggan evaluate``, ``biggan evaluate reference`` and ``biggan evaluate truncation``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from biggan.cli.parsing import read_options
from biggan.cli.progress import progress_bar
from biggan.cli.refining import RefineOption, check_refine, make_for, tell_counts
from biggan.cli.together import CompileOption, open_at, with_ranks
from biggan.data.configuration import ReadingConfig
from biggan.evaluation.configuration import EvaluationConfig
from biggan.foundation.errors import UserError
from biggan.foundation.outputs import OverwriteOption, output_file, output_folder
from biggan.foundation.sizes import Resolution
from biggan.foundation.terminal import complain, say
from biggan.models.norm_records import MOST_TRUNCATIONS, check_range

if TYPE_CHECKING:
    from biggan.data.contract import ImageSource
    from biggan.sampling.sampler import Sampler


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(EvaluationConfig, RefineOption, CompileOption, OverwriteOption):
    """Measure a run, checkpoint or snapshot (or images as they lie there) against real images."""

    target: tyro.conf.Positional[str] = tyro.MISSING
    """A run, checkpoint or snapshot; or a folder, npz or whatever --data takes."""
    data: str | None = None
    """The real images; of a run by default those that it was trained on."""
    reference: str | None = None
    """Statistics of the real images in their place: our own, pytorch-fid's or BigGAN-PyTorch's .npz, mmgeneration's
    .pkl."""
    resolution: Resolution | None = None
    """Size at which images are compared; by default the generator's, or that of the images if all have one size."""
    weights: Annotated[str | None, tyro.conf.arg(name="features.weights")] = None
    """Weights file of the features, for machines without a network."""
    out: str | None = None
    """Folder for metrics.jsonl, to which lines are added; by default the run's, or the snapshot's."""
    json: bool = False
    """Print JSON lines instead of a table."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


@dataclass(frozen=True, kw_only=True)
class TruncationOptions(EvaluateOptions):
    """Evaluate over a range of truncations, each with standing statistics of its own."""

    truncations: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(1, 21))
    """The truncations, exactly these."""

    def __post_init__(self) -> None:
        EvaluateOptions.__post_init__(self)
        if not 1 <= len(self.truncations) <= MOST_TRUNCATIONS:
            raise UserError(f"--truncations: {len(self.truncations):,} of them; give 1 to {MOST_TRUNCATIONS:,}")
        if self.refine is not None:
            raise UserError("--refine: not over a range of truncations; give each to 'biggan evaluate --truncation'")
        for truncation in self.truncations:
            check_range(truncation, "--truncations")


def main(words: list[str]) -> int:
    """Evaluate."""
    if words and words[0] == "reference":
        from biggan.cli.reference import main as reference

        return reference(words[1:])
    if words and words[0] == "truncation":
        return _truncation(words[1:])
    options = read_options(EvaluateOptions, words, "biggan evaluate")
    return with_ranks(options.device, lambda device: _evaluate(options, device))


def _evaluate(options: EvaluateOptions, device: Any) -> int:
    from biggan.evaluation.evaluate import MEMORISATION_PICTURE, evaluate
    from biggan.evaluation.records import append_records, as_line, table
    from biggan.evaluation.sides import generated, stored
    from biggan.foundation import distributed

    sampler, reading, source = _both_sides(options, device)
    folder = _folder(options, sampler)
    if "memorisation" in options.metrics:
        output_file(folder / MEMORISATION_PICTURE, overwrite=options.overwrite)
    real: Any = source
    if options.reference is not None:
        from biggan.evaluation.statistics_files import classes_of_file

        real = distributed.on_primary(lambda: classes_of_file(Path(options.reference or "")), "reading --reference")
    if sampler is not None:
        at, kind = options.truncation, options.truncation_kind
        refine = None if options.refine is None else lambda G: make_for(options.target, options, sampler, G, at, kind)
        side = generated(sampler, options, real, refine)
    else:
        size = source.resolution if source is not None else options.resolution
        if size is None:
            raise UserError("--resolution: say at which size the images are compared")
        judged = ReadingConfig(path=options.target)
        side = distributed.together(lambda: stored(open_at(judged, size)), f"opening {options.target}")
    if sampler is not None and distributed.is_primary():
        complain(f"{options.count:,} images are drawn and measured (--count)")
    records = evaluate(
        side,
        options,
        source=source,
        device=device,
        reference_file=Path(options.reference) if options.reference is not None else None,
        handling=(reading or ReadingConfig()).handling,
        progress=progress_bar,
        out=folder,
    )
    tell_counts(getattr(side.stream, "refiner", None))
    distributed.on_primary(lambda: append_records(folder, records), "writing the numbers")
    if distributed.is_primary():
        say("\n".join(map(as_line, records)) if options.json else table(records))
    return 0


def _both_sides(
    options: EvaluateOptions, device: Any
) -> tuple[Sampler | None, ReadingConfig | None, ImageSource | None]:
    """Open what is judged, if it is a generator, and the real images, unless statistics are given; check the rest."""
    from biggan.evaluation.checking import check_evaluation
    from biggan.foundation import distributed

    def act() -> tuple[Sampler | None, ReadingConfig | None, ImageSource | None]:
        check_evaluation(options, None)  # names first: they cost nothing
        check_refine(options, options.truncation, options.truncation_kind)
        sampler, reading = _target(options, device)
        if sampler is None and options.refine is not None:
            raise UserError(f"--refine: {options.target} holds images, where D has nothing to choose; leave it out")
        source = None if options.reference is not None else _real(options, sampler, reading)
        check_evaluation(options, source)
        return sampler, reading, source

    return distributed.together(act, "opening the images")


def _truncation(words: list[str]) -> int:
    options = read_options(TruncationOptions, words, "biggan evaluate truncation")

    def act(device: Any) -> int:
        from biggan.evaluation.records import append_records, table
        from biggan.evaluation.truncation import CURVE, sweep
        from biggan.foundation import distributed

        sampler, reading, source = _both_sides(options, device)
        if sampler is None or source is None:
            raise UserError(
                f"{options.target}: truncation needs a generator, and real images (--data, not --reference)"
            )
        out = _folder(options, sampler) / "truncation"
        files = [out / name for name in ("truncation.csv", CURVE, "truncation_sheet.png")]
        for path in files:
            output_file(path, overwrite=options.overwrite)
        records = sweep(
            sampler,
            options.truncations,
            options,
            out,
            source=source,
            device=device,
            handling=(reading or ReadingConfig()).handling,
            progress=progress_bar,
        )
        distributed.on_primary(lambda: append_records(out.parent, records), "writing the numbers")
        if distributed.is_primary():
            say(table(records))
            for path in files:
                say(str(path))
        return 0

    return with_ranks(options.device, act)


def _target(options: EvaluateOptions, device: Any) -> tuple[Sampler | None, ReadingConfig | None]:
    """Return the generator that is meant, if it is one, and the data of its run, if it is a run."""
    from biggan.sampling.sampler import load
    from biggan.training.run_directory import RunDirectory

    path = Path(options.target)
    is_run = (path / "config.json").is_file()
    if is_run or path.suffix == ".safetensors" or (path / "snapshot.safetensors").is_file():
        stored = RunDirectory(path).stored_run() if is_run else None
        return load(path, device.type, compiled=options.compile), stored.config.data if stored else None
    return None, None


def _real(options: EvaluateOptions, sampler: Sampler | None, reading: ReadingConfig | None) -> ImageSource:
    """Open the real images at the size at which they are compared."""
    config = reading or ReadingConfig()
    if options.data is not None:
        config = dataclasses.replace(config, path=options.data)
    if config.path is None:
        raise UserError("say where the real images are with --data, or give statistics of them with --reference")
    size = options.resolution
    if sampler is not None:
        if size not in (None, sampler.info.architecture.resolution):
            raise UserError("--resolution: a generator is compared at the size that it makes; leave it out")
        size = sampler.info.architecture.resolution
        if sampler.info.architecture.channels != config.channels:
            config = dataclasses.replace(config, channels=sampler.info.architecture.channels)
        if not sampler.info.architecture.classes:
            config = dataclasses.replace(config, labels="unconditional")
    if size is None:
        sizes = open_at(config, (64, 64)).notes().sizes
        if len(sizes) != 1:
            raise UserError(
                f"--resolution: the images of {config.path} have {len(sizes)} sizes; say at which to compare"
            )
        size = next(iter(sizes))
    return open_at(config, size)


def _folder(options: EvaluateOptions, sampler: Sampler | None) -> Path:
    """Return where records go: beside what was evaluated, unless it is somebody's folder of images."""
    if options.out is not None:
        return output_folder(options.out, overwrite=True)  # lines are added to what lies there
    path = Path(options.target)
    if sampler is None:
        return Path()
    return path if (path / "config.json").is_file() else path.parent
