"""``biggan montage``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from biggan.cli.interpolate import check_size, tell_size
from biggan.cli.parsing import read_options
from biggan.foundation.outputs import OverwriteOption, output_file
from biggan.foundation.terminal import say


@dataclass(frozen=True, kw_only=True)
class MontageOptions(OverwriteOption):
    """Film the samples of fixed seeds over a run's training, with images seen and losses; needs no generator."""

    run: tyro.conf.Positional[str]
    """A run directory."""
    out: str
    """X.gif, or X.mp4 and X.webm (these need the extra "video")."""
    frames_per_second: int = 4
    size: int = 400
    """Pixels of the shorter side, at least: smaller sheets are enlarged by a whole number."""


def main(words: list[str]) -> int:
    """Film."""
    options = read_options(MontageOptions, words, "biggan montage")
    out = output_file(options.out, overwrite=options.overwrite)
    check_size(options.size)
    from biggan.report.film import training_film

    frames, film = training_film(Path(options.run), out, options.size, options.frames_per_second)
    tell_size(film)
    say(f"{out}: {frames} sheets")
    return 0
