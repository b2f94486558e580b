"""``biggan calibrate``: standing statistics for a range of truncations, in a new snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from biggan.cli.progress import progress_bar
from biggan.foundation.errors import UserError


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions:
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
    options = tyro.cli(CalibrateOptions, args=words, prog="biggan calibrate")
    from biggan.sampling.calibration import calibrate
    from biggan.sampling.sampler import load

    sampler = load(options.file, options.device)
    assert sampler.path is not None
    out = Path(options.out) if options.out else _beside(Path(options.file), sampler.path)
    if out.exists():
        raise UserError(f"{out} exists; name another file with --out")
    calibrate(
        sampler,
        out,
        options.truncations,
        kind=options.truncation_kind,
        batches=options.batches,
        progress=progress_bar("truncations"),
    )
    print(out)
    return 0


def _beside(given: Path, snapshot: Path) -> Path:
    """Return a name for the new file that no run takes for one of its own."""
    images = snapshot.parent.name if snapshot.stem == "snapshot" else snapshot.stem
    folder = given if given.is_dir() else snapshot.parent
    return folder / f"{images}-calibrated.safetensors"
