"""``biggan info``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from biggan.cli.parsing import read_options
from biggan.foundation.terminal import one_line, say

if TYPE_CHECKING:
    from biggan.models.snapshot import SnapshotInfo


@dataclass(frozen=True, kw_only=True)
class InfoOptions:
    """Say what a run, a checkpoint or a snapshot holds."""

    file: tyro.conf.Positional[str]
    """A run (its newest generator), a checkpoint, or a snapshot."""
    json: bool = False
    """Print everything as JSON."""


def main(words: list[str]) -> int:
    """Describe."""
    options = read_options(InfoOptions, words, "biggan info")
    from biggan.foundation.config import to_json
    from biggan.layers.normalization import batch_norms
    from biggan.models.contract import build_on_meta, count_parameters
    from biggan.models.snapshot import find_snapshot, flat_facts, naming_another, read_info

    path = find_snapshot(Path(options.file))
    with naming_another(Path(options.file), path):
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
        f"  weights: {kind}, {info.age}",
        f"  parameters: G {counts['G']:,} (its D has {counts['D']:,}); z has {model.z_size} numbers",
        f"  batch-norm statistics: {_statistics(info, batch_norm=bool(batch_norms(networks.generator)))}",
    ]
    if info.continuation is not None:
        lines.append(f"  also holds: {', '.join(info.continuation.parts)}")
    lines += [f"  {one_line(name, 80)}: {one_line(value)}" for name, value in flat_facts(info.provenance)]
    say("\n".join(lines))
    return 0


def _classes(names: tuple[str, ...], classes: int) -> str:
    if not classes:
        return "unconditional"
    shown = ", ".join(one_line(name, 80) for name in names[:8]) + (
        f" and {len(names) - 8} more" if len(names) > 8 else ""
    )
    return f"{classes} class{'es' * (classes != 1)}" + (f": {shown}" if names else "")


def _statistics(info: SnapshotInfo, *, batch_norm: bool) -> str:
    """Say which statistics of batch norm the weights carry, and for which truncations the file holds others."""
    from biggan.sampling.statistics import norm_statistics

    standing, bank = info.standing_statistics, info.truncation_bank
    own = norm_statistics(
        batch_norm=batch_norm,
        standing=standing,
        bank=None,
        truncation=None if standing is None else standing.truncation,
        kind="resample" if standing is None or standing.kind == "none" else standing.kind,
    )
    text = str(own)
    if standing is not None:
        text += _over(standing.batches, standing.batch)
    if bank is not None:
        points = ", ".join(f"{truncation:g}" for truncation in bank.truncations[:8])
        points += f" and {len(bank.truncations) - 8} more" if len(bank.truncations) > 8 else ""
        text += f"; a bank of them for truncations {points} by {bank.kind}{_over(bank.batches, bank.batch)}"
        if bank.compatibility != "none":
            text += f" (mixed as {bank.compatibility} does)"
    return text


def _over(batches: int | None, batch: int | None) -> str:
    return ", as they came with the weights" if batches is None else f", over {batches:,} batches of {batch}"
