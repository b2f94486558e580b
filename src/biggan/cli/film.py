"""``biggan film truncation``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import tyro

from biggan.cli.interpolate import check_size, tell_size
from biggan.cli.parsing import read_options
from biggan.cli.selection import choose_classes, choose_seeds
from biggan.foundation.errors import UserError, nearest
from biggan.foundation.outputs import OverwriteOption, output_file
from biggan.foundation.terminal import one_line, say


@dataclass(frozen=True, kw_only=True)
class TruncationFilmOptions(OverwriteOption):
    """Film the same images, a class a row, a seed a column, while the truncation moves from high to low and back."""

    file: tyro.conf.Positional[str]
    """A run (its newest generator), a checkpoint, or a snapshot."""
    out: str
    """X.gif, or X.mp4 and X.webm (these need the extra "video")."""
    classes: tuple[str, ...] = ()
    """Class names, or id:7 for an index. By default the first eight."""
    seeds: tuple[str, ...] = ()
    """Seeds of the columns: 0-7, or 1,4,9. By default 0-7."""
    low: float = 0.1
    """Lowest T."""
    high: float = 1.0
    """Highest T."""
    truncation_kind: Literal["resample", "scale", "clamp", "tfhub"] = "scale"
    """scale, clamp and tfhub move latents evenly; by resample values jump where T passes them."""
    frames: int = 96
    """In all, there and back; the last one leads into the first."""
    one_way: bool = False
    """From high to low only; the last frame then stays for a second."""
    frames_per_second: int = 24
    size: int = 256
    """Pixels of the shorter side, at least: smaller images are enlarged by a whole number."""
    batch: int | None = None
    """Images drawn at a time."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


def main(words: list[str]) -> int:
    """Find the sub-command."""
    if not words or words[0] in ("-h", "--help"):
        usage = "usage: biggan film truncation FILE --out FILM [OPTIONS]"
        say(f"{usage}\n\nbiggan film truncation --help tells the options.")
        return 0 if words else 2
    if words[0] != "truncation":
        shown = one_line(words[0], 80)
        raise UserError(f"unknown command 'film {shown}'; nearest: {', '.join(nearest(shown, ['truncation']))}")
    return _truncation(words[1:])


def _truncation(words: list[str]) -> int:
    options = read_options(TruncationFilmOptions, words, "biggan film truncation")
    out = output_file(options.out, overwrite=options.overwrite)
    seeds = choose_seeds(options.seeds, None, default=8)
    from biggan.sampling.film_files import check_film, write_film
    from biggan.sampling.frames import check_frames, there_and_back, truncation_frames
    from biggan.sampling.latents import check_truncation
    from biggan.sampling.pictures import check_sheet
    from biggan.sampling.sampler import load

    kind = options.truncation_kind
    for name, value in (("--low", options.low), ("--high", options.high)):
        check_truncation(value, kind, name)
    if options.low >= options.high:
        raise UserError(f"--low {options.low:g} --high {options.high:g}: the first must be the smaller one")
    check_frames(options.frames, f"--frames {options.frames}")
    check_size(options.size)
    if options.batch is not None and options.batch < 1:
        raise UserError(f"--batch {options.batch}: at least 1 image at a time")
    check_film(out, options.frames_per_second)
    sampler = load(options.file, options.device)
    labels = choose_classes(sampler, options.classes) or list(range(max(min(8, sampler.info.architecture.classes), 1)))
    check_sheet(len(labels) * len(seeds), len(seeds), sampler.info.architecture.resolution, "--seeds", len(seeds))
    say(f"batch norm at {options.low:g}: {sampler.statistics(options.low, kind)}")
    say(f"batch norm at {options.high:g}: {sampler.statistics(options.high, kind)}")
    moving = there_and_back(options.low, options.high, options.frames, one_way=options.one_way)
    frames = truncation_frames(sampler, moving, labels, seeds, kind=kind, smallest=options.size, chunk=options.batch)
    tell_size(write_film(out, frames, options.frames_per_second, hold_last=1.0 if options.one_way else 0.0))
    say(str(out))
    return 0
