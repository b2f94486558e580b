"""``biggan calibrate``: standing statistics for a range of truncations, in a new snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from biggan.cli.parsing import read_options
from biggan.cli.progress import progress_bar
from biggan.foundation.errors import UserError
from biggan.foundation.outputs import OverwriteOption, output_file
from biggan.foundation.terminal import say
from biggan.models.norm_records import check_batches


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions(OverwriteOption):
    """Write a snapshot that holds batch-norm statistics for a range of truncations; sampling takes the right ones."""

    file: tyro.conf.Positional[str]
    """A run (its newest generator), a checkpoint, or a snapshot."""
    out: str | None = None
    """The new snapshot; by default beside the old one, with -calibrated in its name."""
    truncations: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(1, 21))
    """The truncations; between two of them statistics are interpolated."""
    truncation_kind: Literal["resample", "scale", "clamp", "tfhub"] = "resample"
    """How latents will be truncated."""
    batches: int = 100
    """Batches of 64 for each."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


def main(words: list[str]) -> int:
    """Calibrate."""
    options = read_options(CalibrateOptions, words, "biggan calibrate")
    check_batches(options.batches, "--batches")
    from biggan.sampling.calibration import calibrate, check_truncations
    from biggan.sampling.sampler import load

    check_truncations(options.truncations, options.truncation_kind)
    sampler = load(options.file, options.device)
    assert sampler.path is not None
    out = output_file(
        options.out if options.out is not None else _beside(Path(options.file), sampler.path),
        overwrite=options.overwrite,
    )
    if out.exists() and out.samefile(sampler.path):
        raise UserError(f"--out {out}: this is the file that is calibrated, which is never changed; name another")
    calibrate(
        sampler,
        out,
        options.truncations,
        kind=options.truncation_kind,
        batches=options.batches,
        overwrite=options.overwrite,
        progress=progress_bar("truncations", "truncation"),
    )
    say(str(out))
    return 0


def _beside(given: Path, snapshot: Path) -> Path:
    """Return a name for the new file that no run takes for one of its own."""
    images = snapshot.parent.name if snapshot.stem == "snapshot" else snapshot.stem
    folder = given if given.is_dir() else snapshot.parent
    return folder / f"{images}-calibrated.safetensors"
