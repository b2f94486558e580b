"""``biggan interpolate``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from biggan.cli.selection import choose_classes, choose_seeds
from biggan.foundation.errors import UserError
from biggan.foundation.memory import check_memory
from biggan.foundation.outputs import OverwriteOption, output_file
from biggan.foundation.terminal import say

if TYPE_CHECKING:
    from torch import Tensor

    from biggan.models.architecture import Architecture

MOST_FRAMES = 100_000
"""Most pictures of a path: an hour of film."""


@dataclass(frozen=True, kw_only=True)
class InterpolateOptions(OverwriteOption):
    """Draw a path through key points: seed 1 with class 1, seed 2 with class 2, and so on.

    Classes are mixed in embedding space. The shorter list repeats.
    """

    file: tyro.conf.Positional[str]
    """A run (its newest generator), a checkpoint, or a snapshot."""
    out: str
    """X.png (a row a segment), X.gif or X.mp4 (needs the extra "video")."""
    seeds: tuple[str, ...] = ()
    """Seeds of the key points: 0-3, or 1,4,9. By default 0-3."""
    classes: tuple[str, ...] = ()
    """Classes of the key points: names, or id:7 for an index. By default the first ones, a class a seed."""
    fix: Literal["none", "z", "class"] = "none"
    """z: only the class changes; class: only the latent does; none: both do."""
    frames: int = 10
    """Pictures a segment."""
    curve: Literal["linear", "spherical"] = "spherical"
    """Path of the latent: straight, or on the sphere, which keeps the norm that the prior has."""
    loop: bool = False
    """Return to the first key point."""
    truncation: float | None = None
    """T. By default the whole prior is drawn from."""
    truncation_kind: Literal["resample", "scale", "clamp", "tfhub"] = "resample"
    frames_per_second: int = 24
    """Of a film."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


def main(words: list[str]) -> int:
    """Draw the path."""
    options = tyro.cli(InterpolateOptions, args=words, prog="biggan interpolate")
    out = output_file(options.out, overwrite=options.overwrite)
    if out.suffix.lower() not in (".png", ".gif", ".mp4"):
        raise UserError(f"--out {out}: must end in .png, .gif or .mp4")
    seeds = choose_seeds(options.seeds, None, default=4)
    import torch

    from biggan.sampling.draw import draw
    from biggan.sampling.interpolation import embed_on_cpu, path_through
    from biggan.sampling.latents import check_truncation, latents
    from biggan.sampling.sampler import load

    check_truncation(options.truncation, options.truncation_kind)
    _check_film(options, out)
    sampler = load(options.file, options.device)
    architecture = sampler.info.architecture
    labels = choose_classes(sampler, options.classes)
    if not labels:
        labels = [i % max(architecture.classes, 1) for i in range(1 if options.fix == "class" else len(seeds))]
    if options.fix == "z":
        seeds = seeds[:1]
    if options.fix == "class":
        labels = labels[:1]
    points = max(len(seeds), len(labels))
    if points < 2:
        raise UserError("an interpolation needs at least two different points: name more --seeds or --classes")
    pictures = options.frames * (points if options.loop else points - 1) + (not options.loop)
    columns = options.frames if options.loop or points > 2 else options.frames + 1
    _check_size(pictures, columns, architecture, out)
    z = latents(seeds, architecture.z_size, options.truncation, options.truncation_kind)
    z = z[torch.arange(points) % len(seeds)]
    say(f"batch norm: {sampler.statistics(options.truncation, options.truncation_kind)}")
    generator = sampler.at_truncation(options.truncation, options.truncation_kind)
    embedded = embed_on_cpu(generator, torch.tensor(labels))[torch.arange(points) % len(labels)]
    path_z = path_through(z, options.frames, options.curve, loop=options.loop)
    path_y = path_through(embedded, options.frames, "linear", loop=options.loop)
    _write(draw(generator, path_z, path_y), columns, options.frames_per_second, out)
    say(str(out))
    return 0


def _check_film(options: InterpolateOptions, out: Path) -> None:
    """Check what has nothing to do with the generator."""
    from biggan.sampling.pictures import FASTEST, check_video

    if not 1 <= options.frames <= MOST_FRAMES:
        raise UserError(f"--frames {options.frames}: 1 to {MOST_FRAMES:,} a segment")
    if not 1 <= options.frames_per_second <= FASTEST:
        raise UserError(f"--frames-per-second {options.frames_per_second}: 1 to {FASTEST}")
    if out.suffix.lower() == ".mp4":
        check_video(out)


def _check_size(pictures: int, columns: int, architecture: Architecture, out: Path) -> None:
    """Check that all pictures of the path fit into one, or into memory, where all of a film lies while it is drawn."""
    from biggan.sampling.pictures import check_sheet

    if pictures > MOST_FRAMES:
        raise UserError(
            f"--frames: the whole path has {pictures:,} pictures, where {MOST_FRAMES:,} are possible; "
            "take fewer, or fewer --seeds and --classes"
        )
    if out.suffix.lower() == ".png":
        check_sheet(pictures, columns, architecture.resolution, "--frames")
    height, width = architecture.resolution
    check_memory(pictures * architecture.channels * height * width, f"--frames: {pictures:,} pictures")


def _write(images: Tensor, columns: int, frames_per_second: int, out: Path) -> None:
    """Write images uint8 [N, C, H, W] as the ending of ``out`` says."""
    from biggan.foundation.files import write_picture
    from biggan.sampling.pictures import enlarge, sheet, to_picture, write_gif, write_mp4

    frames = (enlarge(to_picture(image), 256) for image in images)
    if out.suffix.lower() == ".png":
        write_picture(out, sheet(images, columns))
    elif out.suffix.lower() == ".gif":
        write_gif(out, frames, round(1000 / frames_per_second))
    else:
        write_mp4(out, frames, frames_per_second)
