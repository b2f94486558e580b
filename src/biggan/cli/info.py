"""``biggan info``."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from biggan.foundation.terminal import one_line, say

if TYPE_CHECKING:
    from biggan.models.norm_records import StandingStatistics


@dataclass(frozen=True, kw_only=True)
class InfoOptions:
    """Say what a run, a checkpoint or a snapshot holds."""

    file: tyro.conf.Positional[str]
    """A run (its newest generator), a checkpoint, or a snapshot."""
    json: bool = False
    """Print everything as JSON."""


def main(words: list[str]) -> int:
    """Describe."""
    options = tyro.cli(InfoOptions, args=words, prog="biggan info")
    from biggan.foundation.config import to_json
    from biggan.models.contract import build_on_meta, count_parameters
    from biggan.models.snapshot import find_snapshot, read_info

    path = find_snapshot(Path(options.file))
    info = read_info(path)
    networks = build_on_meta(info.architecture)
    counts = {"G": count_parameters(networks.generator), "D": count_parameters(networks.discriminator)}
    if options.json:
        say(json.dumps({"file": str(path), "parameters": counts, **to_json(info)}, indent=2))
        return 0
    model = info.architecture
    height, width = model.resolution
    kind = {"ema": "moving average of G", "generator": "G itself (no moving average was kept)"}.get(
        info.weights, info.weights
    )
    lines = [
        one_line(str(path)),
        f"  {model.family}, {model.channels} x {height} x {width}, {_classes(info.class_names, model.classes)}",
        f"  weights: {kind}, after {info.images_seen:,} images ({info.iterations:,} iterations)",
        f"  parameters: G {counts['G']:,} (its D has {counts['D']:,}); z has {model.z_size} numbers",
        f"  batch-norm statistics: {_statistics(info.standing_statistics)}",
    ]
    lines += [f"  {one_line(name, 80)}: {one_line(str(value))}" for name, value in info.provenance.items()]
    say("\n".join(lines))
    return 0


def _classes(names: tuple[str, ...], classes: int) -> str:
    if not classes:
        return "unconditional"
    shown = ", ".join(one_line(name, 80) for name in names[:8]) + (
        f" and {len(names) - 8} more" if len(names) > 8 else ""
    )
    return f"{classes} class{'es' * (classes != 1)}" + (f": {shown}" if names else "")


def _statistics(standing: StandingStatistics | None) -> str:
    if standing is None:
        return "running"
    return "standing, " + ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(standing).items())
