"""``biggan explore directions | list | name | sheet``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import tyro

from biggan.cli.parsing import read_options
from biggan.cli.progress import progress_bar
from biggan.cli.recording import MetadataOption
from biggan.cli.selection import choose_seeds
from biggan.cli.sheet_size import SheetSizeOption
from biggan.foundation.errors import UserError
from biggan.foundation.outputs import OverwriteOption, output_file
from biggan.foundation.terminal import one_line, say

if TYPE_CHECKING:
    from pathlib import Path

    from biggan.exploring.directions import Directions
    from biggan.exploring.points import Points
    from biggan.sampling.point_sheets import PointSheet
    from biggan.sampling.sampler import Sampler


@dataclass(frozen=True, kw_only=True)
class ExploreOptions:
    """What all of these commands take."""

    file: tyro.conf.Positional[str]
    """A run (its newest generator), a checkpoint, or a snapshot."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


@dataclass(frozen=True, kw_only=True)
class WhichOption:
    """Which of several sets of directions is meant."""

    by: Literal["sefa", "ganspace"] | None = None
    """Directions by the weights, or by activations; needed where both lie there."""
    layer: str | None = None
    """Of which layer; needed where several lie there."""


@dataclass(frozen=True, kw_only=True)
class TruncatedOption:
    """How latents of seeds are truncated, and by which statistics of batch norm images are drawn."""

    truncation: float | None = None
    """T. By default the whole prior is drawn from."""
    truncation_kind: Literal["resample", "scale", "clamp", "tfhub"] = "resample"


@dataclass(frozen=True, kw_only=True)
class DirectionsOptions(ExploreOptions, OverwriteOption):
    """Find the most important directions of the latent space, and store them beside the snapshot."""

    by: Literal["sefa", "ganspace"] = "sefa"
    """sefa: of a layer's weights, in closed form; ganspace: of its activations, over sampled latents."""
    count: int = 8
    """How many."""
    layer: str | None = None
    """first, stage:0 and so on, or all; by default all in biggan-deep, and the first elsewhere."""
    samples: int | None = None
    """Latents that ganspace draws; 4096 by default."""
    classes: tuple[str, ...] = ()
    """Classes that ganspace draws; all by default."""
    seed: int = 0
    """Of these latents."""


@dataclass(frozen=True, kw_only=True)
class ListOptions(ExploreOptions):
    """List the directions that lie beside a snapshot."""


@dataclass(frozen=True, kw_only=True)
class NameOptions(ExploreOptions, WhichOption):
    """Give a direction a name."""

    direction: tyro.conf.Positional[str] = tyro.MISSING
    """Its number, or the name it has."""
    name: tyro.conf.Positional[str] = tyro.MISSING
    """The new one; "" takes it away."""


@dataclass(frozen=True, kw_only=True)
class DirectionSheetOptions(
    ExploreOptions, WhichOption, SheetSizeOption, TruncatedOption, MetadataOption, OverwriteOption
):
    """Show what a direction does: a seed a row, a step along the direction a column."""

    direction: tuple[str, ...] = ()
    """Numbers or names; each gets a sheet. By default all that lie there."""
    out: str = "direction.png"
    """Picture to write; of several directions each gets its number before the ending."""
    seeds: tuple[str, ...] = ()
    """Seeds of the rows: 0-7, or 1,4,9."""
    rows: int | None = None
    """Seeds 0 to N-1 instead; 6 by default."""
    classes: tuple[str, ...] = ()
    """Classes of the rows: as many as there are seeds, or one for all. By default they cycle through all."""
    points: str | None = None
    """Latents that breed or project have written, in place of seeds."""
    steps: int = 4
    """Columns each way from the middle, which is the seed's own image."""
    reach: float = 3.0
    """How far the outermost columns are, in deviations of the prior."""


class SheetOptions(Protocol):
    """What commands say of the sheets that they write."""

    @property
    def size(self) -> int:
        """Pixels of an image's shorter side, at least."""

    @property
    def truncation(self) -> float | None:
        """T."""

    @property
    def truncation_kind(self) -> Literal["resample", "scale", "clamp", "tfhub"]:
        """How."""

    @property
    def metadata(self) -> bool:
        """Whether pictures say how they were drawn."""


def write_points(path: Path, sampler: Sampler, options: SheetOptions, points: PointSheet) -> None:
    """Draw a sheet of points at the truncation of ``options``, and say by which statistics."""
    from biggan.foundation.files import write_picture
    from biggan.sampling.pictures import enlargement
    from biggan.sampling.png_text import record_options
    from biggan.sampling.recording import Recorder

    recorder = Recorder(sampler, options.truncation, options.truncation_kind)
    enlarged = enlargement(sampler.info.architecture.resolution, points.cells, points.columns, options.size)
    options_of_file = record_options(path, recorder.points(points, enlarged) if options.metadata else None)
    say(f"batch norm: {sampler.statistics(options.truncation, options.truncation_kind)}")
    generator = sampler.at_truncation(options.truncation, options.truncation_kind)
    write_picture(path, points.picture(points.images(generator), enlarged), **options_of_file)


def _row_points(sampler: Sampler, options: DirectionSheetOptions) -> Points:
    """Return the points that options name: those of a file, or of seeds with classes.

    Raises:
        UserError: both, or lists of different lengths.
    """
    from pathlib import Path

    from biggan.cli.selection import choose_classes
    from biggan.exploring.points import load_points, points_of

    if options.points is not None:
        if options.seeds or options.classes or options.rows is not None:
            raise UserError("--points: these latents have their classes; leave out --seeds, --classes and --rows")
        return load_points(Path(options.points), sampler)
    seeds = choose_seeds(options.seeds, options.rows, default=6, option="--rows")
    labels: list[int | None] = [*choose_classes(sampler, options.classes)] or [None] * len(seeds)
    if len(labels) not in (1, len(seeds)):
        raise UserError(f"--classes: {len(labels)} for {len(seeds)} seeds; name one for all, or one for each")
    labels = labels * len(seeds) if len(labels) == 1 else labels
    return points_of(sampler, list(zip(seeds, labels, strict=True)), options.truncation, options.truncation_kind)


def directions(words: list[str]) -> int:
    """Find directions, and store them."""
    options = read_options(DirectionsOptions, words, "biggan explore directions")
    from biggan.cli.selection import choose_classes
    from biggan.exploring.files import directions_path, save_directions, snapshot_path
    from biggan.exploring.finding import SAMPLES, check_samples, find_directions
    from biggan.exploring.layers import FIRST, usual_layer
    from biggan.sampling.sampler import load

    if options.by == "sefa" and (options.samples is not None or options.classes or options.seed):
        raise UserError("--samples, --classes and --seed: sefa looks at weights and draws nothing; they are ganspace's")
    if not 0 <= options.seed < 2**53:
        raise UserError(f"--seed {options.seed}: 0 to 2^53 - 1")
    samples = SAMPLES if options.samples is None else options.samples
    if options.by == "ganspace":
        check_samples(samples, options.count)
    sampler = load(options.file, options.device)
    usual = usual_layer(sampler.info.architecture) if options.by == "sefa" else FIRST
    layer = options.layer or usual
    path = output_file(
        directions_path(snapshot_path(sampler), options.by, layer),
        overwrite=options.overwrite,
        option="the file of these directions,",
    )
    found = find_directions(
        sampler,
        options.by,
        options.count,
        layer=layer,
        samples=samples,
        classes=choose_classes(sampler, options.classes) or None,
        seed=options.seed,
        progress=progress_bar("looking", "latents"),
    )
    save_directions(found, path)
    _tell(found)
    say(str(path))
    return 0


def show(words: list[str]) -> int:
    """List what is stored."""
    options = read_options(ListOptions, words, "biggan explore list")
    from biggan.exploring.files import load_directions, stored_paths
    from biggan.sampling.sampler import load

    sampler = load(options.file, options.device)
    paths = stored_paths(sampler)
    for path in paths:
        say(str(path))
        _tell(load_directions(path, sampler))
    if not paths:
        say("no directions lie beside this snapshot; 'biggan explore directions' finds them")
    return 0


def _tell(directions: Directions) -> None:
    what = "weights" if directions.record.kind == "sefa" else f"activations, {directions.record.samples:,} latents"
    say(f"{directions.label}: {len(directions)} directions by {what}")
    for number, (name, share) in enumerate(zip(directions.names, directions.record.shares, strict=True)):
        say(f"  {number:3}  {100 * share:5.1f} % of the variance  {one_line(name)}".rstrip())


def rename(words: list[str]) -> int:
    """Give a direction a name."""
    options = read_options(NameOptions, words, "biggan explore name")
    from biggan.exploring.files import find_stored, save_directions
    from biggan.sampling.sampler import load

    sampler = load(options.file, options.device)
    argument = "the argument DIRECTION"
    found, number, path = find_stored(sampler, options.direction, options.by, options.layer, option=argument)
    save_directions(found.named(number, options.name), path)
    say(f"{found.label}: direction {number} is called '{one_line(options.name)}'")
    return 0


def show_sheets(words: list[str]) -> int:
    """Draw a sheet a direction."""
    options = read_options(DirectionSheetOptions, words, "biggan explore sheet")
    out = output_file(options.out, overwrite=options.overwrite)
    from biggan.exploring.files import find_stored, load_directions, stored_paths
    from biggan.exploring.sheets import amounts, direction_sheet
    from biggan.sampling.latents import check_truncation
    from biggan.sampling.pictures import check_picture, check_shown
    from biggan.sampling.sampler import load

    check_picture(out)
    check_shown(options.size)
    check_truncation(options.truncation, options.truncation_kind)
    along = amounts(options.steps, options.reach)
    sampler = load(options.file, options.device)
    if options.direction:
        chosen = [
            find_stored(sampler, which, options.by, options.layer, option="--direction")[:2]
            for which in options.direction
        ]
    else:
        paths = stored_paths(sampler, options.by, options.layer)
        if len(paths) != 1:  # says what there is, or that there is nothing
            find_stored(sampler, 0, options.by, options.layer)
        chosen = [
            (found, number)
            for path in paths
            for found in [load_directions(path, sampler)]
            for number in range(len(found))
        ]
    points = _row_points(sampler, options)
    files = [
        out if len(chosen) == 1 else output_file(out.with_stem(f"{out.stem}_{number}"), overwrite=options.overwrite)
        for _, number in chosen
    ]
    if len(set(files)) < len(files):
        raise UserError(f"--direction {' '.join(options.direction)}: two of these have one number; draw them apart")
    say(f"columns: {', '.join(f'{amount:+.2g}' for amount in along)} deviations of the prior")
    for (found, number), file in zip(chosen, files, strict=True):
        write_points(file, sampler, options, direction_sheet(sampler, found, number, points, along))
        say(f"{found.label}, direction {found.title(number)}: {file}")
    return 0
