"""``biggan interpolate``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from biggan.cli.parsing import read_options
from biggan.cli.recording import MetadataOption
from biggan.cli.selection import choose_classes, choose_seeds
from biggan.foundation.errors import UserError
from biggan.foundation.outputs import OverwriteOption, output_file
from biggan.foundation.terminal import one_line, say

if TYPE_CHECKING:
    from biggan.sampling.interpolation import Route
    from biggan.sampling.sampler import Sampler

ENDINGS = (".png", ".gif", ".mp4", ".webm")
FILM_SIZE = 256
"""Pixels of the shorter side of a film, at least."""
IN_PICTURE, SECONDS = 10, 2
"""Pictures of a segment of a path in a picture, and seconds of one in a film, if nobody says how many."""


@dataclass(frozen=True, kw_only=True)
class InterpolateOptions(MetadataOption, OverwriteOption):
    """Draw a path through key points: seed 1 with class 1, seed 2 with class 2, and so on.

    Classes are mixed in embedding space. The shorter list repeats.
    """

    file: tyro.conf.Positional[str]
    """A run (its newest generator), a checkpoint, or a snapshot."""
    out: str
    """X.png (a row a segment), X.gif, or X.mp4 and X.webm (these need the extra "video")."""
    seeds: tuple[str, ...] = ()
    """Seeds of the key points: 0-3, or 1,4,9. By default 0-3."""
    classes: tuple[str, ...] = ()
    """Classes of the key points: names, or id:7 for an index. By default the first ones, a class a seed."""
    fix: Literal["none", "z", "class"] = "none"
    """z: only the class changes; class: only the latent does; none: both do."""
    frames: int | None = None
    """Pictures a segment. By default 10 in a picture, and as many as make two seconds in a film."""
    curve: Literal["linear", "spherical"] = "spherical"
    """Path of the latent: straight, or on the sphere, which keeps the norm that the prior has."""
    loop: bool = False
    """Return to the first key point; a film then has no seam."""
    truncation: float | None = None
    """T. By default the whole prior is drawn from."""
    truncation_kind: Literal["resample", "scale", "clamp", "tfhub"] = "resample"
    frames_per_second: int = 24
    """Of a film."""
    size: int | None = None
    """Pixels of the shorter side of an image, at least: smaller ones are enlarged by a whole number. By default 256 in
    a film, 64 in a picture (as far as that stays below 20 million pixels); 1 leaves them as they are."""
    batch: int | None = None
    """Images drawn at a time."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


def main(words: list[str]) -> int:
    """Draw the path."""
    options = read_options(InterpolateOptions, words, "biggan interpolate")
    out = output_file(options.out, overwrite=options.overwrite)
    ending = out.suffix.lower()
    if ending not in ENDINGS:
        raise UserError(f"--out {one_line(str(out))}: must end in {', '.join(ENDINGS)}")
    if options.size is not None:
        check_size(options.size)
    seeds = choose_seeds(options.seeds, None, default=4)
    from biggan.sampling.film_files import check_film
    from biggan.sampling.frames import MOST_FRAMES, check_frames
    from biggan.sampling.latents import check_truncation
    from biggan.sampling.sampler import load

    check_truncation(options.truncation, options.truncation_kind)
    if options.frames is not None and not 1 <= options.frames <= MOST_FRAMES:
        raise UserError(f"--frames {options.frames}: 1 to {MOST_FRAMES:,} a segment")
    if options.batch is not None and options.batch < 1:
        raise UserError(f"--batch {options.batch}: at least 1 image at a time")
    if ending != ".png":
        check_film(out, options.frames_per_second)
    if options.frames is None:
        chosen = IN_PICTURE if ending == ".png" else SECONDS * options.frames_per_second
        options = dataclasses.replace(options, frames=chosen)
    sampler = load(options.file, options.device)
    route = _route(options, sampler, seeds)
    check_frames(len(route), "--frames")
    say(f"batch norm: {sampler.statistics(options.truncation, options.truncation_kind)}")
    if ending == ".png":
        _write_picture(options, sampler, route, out)
    else:
        _write_film(options, sampler, route, out)
        seconds = len(route) / options.frames_per_second
        say(f"{len(route)} frames, {seconds:.1f} seconds; --frames says how many a segment has")
    say(str(out))
    return 0


def check_size(size: int) -> None:
    """Check ``--size``.

    Raises:
        UserError: nobody could look at that.
    """
    from biggan.sampling.pictures import check_shown

    check_shown(size)


def _route(options: InterpolateOptions, sampler: Sampler, seeds: list[int]) -> Route:
    from biggan.sampling.interpolation import Route

    labels = choose_classes(sampler, options.classes)
    if not labels:
        count = 1 if options.fix == "class" else len(seeds)
        labels = [i % max(sampler.info.architecture.classes, 1) for i in range(count)]
    if options.fix == "z":
        seeds = seeds[:1]
    if options.fix == "class":
        labels = labels[:1]
    assert options.frames is not None, "chosen by then"
    return Route(
        labels=tuple(labels), seeds=tuple(seeds), frames=options.frames, curve=options.curve, loop=options.loop
    )


def _write_picture(options: InterpolateOptions, sampler: Sampler, route: Route, out: Path) -> None:
    from biggan.foundation.files import write_picture
    from biggan.sampling.interpolation import in_rows, route_images
    from biggan.sampling.pictures import SHOWN, check_sheet, enlargement, sheet_of
    from biggan.sampling.png_text import png_text
    from biggan.sampling.recording import Recorder

    check_sheet(*route.cells(), sampler.info.architecture.resolution, "--frames", options.frames)
    enlarged = enlargement(sampler.info.architecture.resolution, *route.cells(), options.size or SHOWN)
    record = None
    if options.metadata:
        recorder = Recorder(sampler, options.truncation, options.truncation_kind, options.batch)
        record = recorder.path(route, enlarged)
    parts = route_images(sampler, route, options.truncation, options.truncation_kind, options.batch)
    picture = sheet_of(in_rows(parts, route), *route.cells(), enlarged=enlarged)
    write_picture(out, picture, pnginfo=png_text(record))


def _write_film(options: InterpolateOptions, sampler: Sampler, route: Route, out: Path) -> None:
    from biggan.sampling.film_files import write_film
    from biggan.sampling.frames import path_frames

    frames = path_frames(
        sampler,
        route.labels,
        route.seeds,
        frames=route.frames,
        curve=route.curve,
        loop=route.loop,
        truncation=options.truncation,
        kind=options.truncation_kind,
        smallest=options.size or FILM_SIZE,
        chunk=options.batch,
    )
    tell_size(write_film(out, frames, options.frames_per_second))


def tell_size(film: tuple[tuple[int, int], tuple[int, int]]) -> None:
    """Say where a film has another size than its frames."""
    frame, written = film
    if frame != written:
        shown = " became ".join(f"{width} x {height} pixels" for height, width in film)
        say(f"frames of {shown}: a film of this kind has even sides")
