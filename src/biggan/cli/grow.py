"""``biggan grow``: networks for larger images that begin as the old ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from biggan.cli.parsing import read_options
from biggan.foundation.durations import Images
from biggan.foundation.errors import UserError
from biggan.foundation.outputs import OverwriteOption, output_file, output_folder, refuse_source
from biggan.foundation.terminal import say
from biggan.training.configuration import Resolution


@dataclass(frozen=True, kw_only=True)
class GrowOptions(OverwriteOption):
    """Grow networks to larger images, or remove the skip that growing left."""

    file: tyro.conf.Positional[str]
    """A run (its newest checkpoint), a checkpoint, a snapshot, or an export."""
    destination: tyro.conf.Positional[str]
    """A new run directory, to train on in, or a file that ends in .safetensors."""
    resolution: Resolution | None = None
    """Size of images, 256 or 256x64 (height x width): the old one, doubled once or more."""
    drop_skip: bool = False
    """Remove the skip: G and D then use their new stages alone. Says how much that changes."""
    freeze_old: Images = 0
    """Train only the new parts for this many images."""
    generator_channels: int | None = None
    """Channels out of each new stage of G; by default as out of its last."""
    discriminator_channels: int | None = None
    """Channels out of each new first layer of D; by default as out of its first."""
    seed: int = 0
    """Seed of the weights of new layers."""


def main(words: list[str]) -> int:
    """Grow."""
    options = read_options(GrowOptions, words, "biggan grow")
    if options.resolution is None and not options.drop_skip:
        raise UserError("biggan grow FILE DST: give the size to grow to (--resolution 256), or --drop-skip")
    if options.resolution is not None and options.drop_skip:
        raise UserError("--resolution and --drop-skip are two steps, with training between them; give one of the two")
    given = [name for name in ("generator_channels", "discriminator_channels", "freeze_old") if getattr(options, name)]
    if options.drop_skip and given:
        raise UserError(f"--{given[0].replace('_', '-')}: --drop-skip adds nothing new; leave one of the two out")
    if options.freeze_old < 0:
        raise UserError(f"--freeze-old {options.freeze_old}: must not be negative")
    is_file = options.destination.endswith(".safetensors")
    if is_file:
        destination = output_file(options.destination, overwrite=options.overwrite, option="DST")
        refuse_source(destination, [Path(options.file)], option="DST")
    else:  # a run is never written over: what it held would lie between what is new
        destination = output_folder(options.destination, overwrite=None, option="DST")
    from biggan.training.growing import Growth, grow_file

    growth = Growth(
        resolution=options.resolution,
        generator_channels=options.generator_channels,
        discriminator_channels=options.discriminator_channels,
        freeze_old=options.freeze_old,
        seed=options.seed,
    )
    say("\n".join(grow_file(Path(options.file), destination, growth, is_file=is_file)))
    return 0
