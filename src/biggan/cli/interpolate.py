"""``biggan interpolate``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from biggan.cli.selection import choose_classes, choose_seeds
from biggan.foundation.errors import UserError


@dataclass(frozen=True, kw_only=True)
class InterpolateOptions:
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
    out = Path(options.out)
    if out.suffix.lower() not in (".png", ".gif", ".mp4"):
        raise UserError(f"--out {out}: must end in .png, .gif or .mp4")
    if options.frames < 1 or options.frames_per_second < 1:
        raise UserError(f"--frames {options.frames}, --frames-per-second {options.frames_per_second}: at least 1")
    seeds = choose_seeds(options.seeds, None, default=4)
    import torch

    from biggan.sampling.draw import draw
    from biggan.sampling.interpolation import embed_on_cpu, path_through
    from biggan.sampling.latents import latents
    from biggan.sampling.pictures import enlarge, sheet, to_picture, write_gif, write_mp4
    from biggan.sampling.sampler import load

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
    z = latents(seeds, architecture.z_size, options.truncation, options.truncation_kind)
    z = z[torch.arange(points) % len(seeds)]
    generator = sampler.at_truncation(options.truncation, options.truncation_kind)
    embedded = embed_on_cpu(generator, torch.tensor(labels))[torch.arange(points) % len(labels)]
    path_z = path_through(z, options.frames, options.curve, loop=options.loop)
    path_y = path_through(embedded, options.frames, "linear", loop=options.loop)
    images = draw(generator, path_z, path_y)
    out.parent.mkdir(parents=True, exist_ok=True)
    pictures = (enlarge(to_picture(image), 256) for image in images)
    if out.suffix.lower() == ".png":
        sheet(images, options.frames if options.loop or points > 2 else options.frames + 1).save(out)
    elif out.suffix.lower() == ".gif":
        write_gif(out, pictures, round(1000 / options.frames_per_second))
    else:
        write_mp4(out, pictures, options.frames_per_second)
    print(out)
    return 0
