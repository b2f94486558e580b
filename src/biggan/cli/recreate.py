"""``biggan recreate``."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from biggan.cli.parsing import read_options
from biggan.foundation.errors import UserError
from biggan.foundation.names import CHECKPOINTS, SNAPSHOTS
from biggan.foundation.outputs import OverwriteOption, output_file, refuse_source
from biggan.foundation.terminal import one_line, say

if TYPE_CHECKING:
    from biggan.sampling.picture_record import PictureRecord, Refined
    from biggan.sampling.recreation import Match
    from biggan.sampling.refinement import Refiner


@dataclass(frozen=True, kw_only=True)
class RecreateOptions(OverwriteOption):
    """Draw a picture again, from what the file says about itself: seed, class, truncation, statistics, generator."""

    file: tyro.conf.Positional[str]
    """A PNG, JPEG or WebP file that this program has written."""
    source: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """A snapshot, or where the generator is searched by its hash: a run, a checkpoint, or a folder of snapshots. By
    default the run or the folder in which the picture lies, and all runs in runs/."""
    out: str = "recreated.png"
    """The picture to write, .png."""
    anyway: bool = False
    """Draw with the newest generator that lies there, where none has the hash: the same seeds, another network."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


def main(words: list[str]) -> int:
    """Draw it again, and compare."""
    options = read_options(RecreateOptions, words, "biggan recreate")
    out = output_file(options.out, overwrite=options.overwrite)
    if out.suffix.lower() != ".png":
        raise UserError(f"--out {one_line(str(out))}: end the name in .png, which keeps every bit")
    refuse_source(out, [Path(options.file)])
    from biggan.foundation.files import write_picture
    from biggan.sampling.comparison import compare
    from biggan.sampling.png_text import png_text, read_record
    from biggan.sampling.recording import again
    from biggan.sampling.recreation import recreate

    record = read_record(Path(options.file))
    match = _found(record, options)
    age = match.sampler.info.age
    say(f"{one_line(str(match.path))}: " + (f"the generator, {age}" if match.same else f"ANOTHER generator, {age}"))
    if record.refinement is not None:
        match.sampler.refiner = _refiner(record, record.refinement, match)
    made, notes = recreate(record, match.sampler)
    write_picture(out, made, pnginfo=png_text(again(record, match.sampler)))
    say(str(out))
    for note in notes:
        say(f"note: {note}")
    say(compare(made, Path(options.file), record))
    return 0


def _found(record: PictureRecord, options: RecreateOptions) -> Match:
    """Return the generator: where it was said to be, or where it may be.

    Raises:
        UserError: it is not there.
    """
    from biggan.sampling.recreation import find_generator

    if options.source is not None:
        return find_generator(record, Path(options.source), options.device, anyway=options.anyway)
    if options.anyway:
        raise UserError("--anyway: say by --from which run's or file's generator it shall be")
    around = Path(options.file).resolve().parents
    runs = [*around[1:], *sorted(Path("runs").glob("*"))]
    places = [around[0], *(path for path in runs if any((path / part).is_dir() for part in (SNAPSHOTS, CHECKPOINTS)))]
    for place in dict.fromkeys(path.resolve() for path in places):
        with contextlib.suppress(UserError):  # nothing there, or others: there are more places
            return find_generator(record, place, options.device)
    raise UserError(
        f"{one_line(options.file)}: its generator (hash {record.generator[:16]}..., after {record.images_seen:,} "
        "images) lies neither beside the picture nor in runs/; name the run or file that has it, --from RUN"
    )


def _refiner(record: PictureRecord, refinement: Refined, match: Match) -> Refiner:
    """Return what chose the latents, with the fit that the picture carries: no real images are needed.

    Raises:
        UserError: no D, or another one.
    """
    from biggan.cli.refining import read_discriminator
    from biggan.sampling.identity import network_hash
    from biggan.sampling.log_ratio import LogRatio
    from biggan.sampling.refinement import Critic, Refiner, parse_refinement

    name, way = parse_refinement(refinement.way)
    way.check(name, record.truncation, record.kind)
    discriminator = read_discriminator(str(_with_discriminator(match.path)), match.sampler)
    if match.same and network_hash(discriminator) != refinement.discriminator:
        raise UserError(
            f"{one_line(str(match.path))}: the picture was refined by another D (hash {refinement.discriminator[:16]}"
            "...); name the run, checkpoint or export that holds it"
        )
    # How many images it was fitted by is told when that is done, and plays no part in drawing.
    ratio = LogRatio(slope=refinement.slope, bias=refinement.bias, reals=0, fakes=0, told_apart=0.0)
    critic = Critic(
        generator=match.sampler.at_truncation(record.truncation, record.kind),
        discriminator=discriminator,
        truncation=record.truncation,
        kind=record.kind,
        ratio=ratio,
    )
    say(f"refined by {one_line(refinement.way)}, as the picture says")
    return Refiner(name, way, critic, dict(refinement.known))


def _with_discriminator(generator: Path) -> Path:
    """Return where the D lies that goes with a generator's file: its checkpoint, or the file itself."""
    from biggan.models.snapshot import IN_CHECKPOINT

    if generator.name == IN_CHECKPOINT:
        return generator.parent
    beside = generator.parent.parent / CHECKPOINTS / generator.stem
    return beside if generator.parent.name == SNAPSHOTS and beside.is_dir() else generator
