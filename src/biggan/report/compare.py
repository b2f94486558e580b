"""A run's metrics over images seen, beside a published log; numbers of different protocols are never compared."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.plots import figure

PUBLISHED = Path(__file__).parent / "published" / "biggan_pytorch_imagenet128_bs2048.csv"
PUBLISHED_SOURCE = (
    "ajbrock/BigGAN-PyTorch, run log of BigGAN at ImageNet 128 px, batch 2048, width 96; torchvision Inception, 50,000 "
    "samples, moving average"
)
_BATCH = 2048
_FEATURES, _COUNT = "inception-torchvision", 50_000
_COLUMNS = {"fd_inception-torchvision": "fid", "is_inception-torchvision": "inception_score"}
_LARGER_IS_BETTER = {"fid": False, "inception_score": True}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One number of the run beside the log's at the same number of images."""

    metric: str
    images: int
    run: float
    published: float

    def __str__(self) -> str:
        """Return a sentence."""
        better = (self.run > self.published) == _LARGER_IS_BETTER[_COLUMNS[self.metric]]
        word = "as good as" if self.run == self.published else "better than" if better else "worse than"
        return f"{self.images:,} images: {self.metric} {self.run:.2f}, {word} the log's {self.published:.2f}"


def read_metrics(run_dir: Path) -> list[dict[str, Any]]:
    """Return the records of a run's metrics.jsonl that have a value and a clock.

    Raises:
        UserError: there are none, or the file is damaged.
    """
    path = run_dir / "metrics.jsonl"
    if not path.is_file():
        raise UserError(f"{path} does not exist: evaluate the run first ('biggan evaluate {run_dir}')")
    try:
        records = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    except json.JSONDecodeError as error:
        raise CorruptFileError(f"{path} is damaged ({error})") from error
    found = [r for r in records if r.get("value") is not None and r.get("images_seen") is not None]
    if not found:
        raise UserError(f"{path} holds no number of this run")
    return sorted(found, key=lambda record: record["images_seen"])


def published_log(path: Path = PUBLISHED) -> dict[str, np.ndarray[Any, Any]]:
    """Return the columns of a log: images, fid, inception_score, float64."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        columns = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
        return {"images": columns["iteration"] * _BATCH, **{n: columns[n] for n in ("fid", "inception_score")}}
    except (KeyError, ValueError, IndexError) as error:
        raise CorruptFileError(f"{path}: expected columns iteration, inception_score, fid ({error})") from error


def compare(records: list[dict[str, Any]], log: dict[str, np.ndarray[Any, Any]]) -> tuple[list[Comparison], list[str]]:
    """Return what can be compared with the log, and why the rest cannot.

    Args:
        records: of a run, see :func:`read_metrics`.
        log: see :func:`published_log`.
    """
    found: list[Comparison] = []
    refused: dict[str, None] = {}
    for record in records:
        column = _COLUMNS.get(record["metric"])
        if column is None:
            if record["metric"] in ("fid", "is") or record["metric"].startswith(("fd_", "is_")):
                refused[
                    f"{record['metric']} is of another protocol ({record['protocol']}); the log used torchvision's "
                    "Inception: evaluate with --protocol biggan-pytorch"
                ] = None
        elif record["count"] != _COUNT:
            refused[f"{record['metric']} of {record['count']:,} samples is not comparable with one of {_COUNT:,}"] = (
                None
            )
        elif not log["images"][0] <= record["images_seen"] <= log["images"][-1]:
            refused[f"the log has no number near {record['images_seen']:,} images"] = None
        else:
            value = float(np.interp(record["images_seen"], log["images"], log[column]))
            entry = Comparison(
                metric=record["metric"], images=record["images_seen"], run=record["value"], published=value
            )
            found.append(entry)
    return found, list(refused)


def plot(records: list[dict[str, Any]], log: dict[str, np.ndarray[Any, Any]], path: Path) -> None:
    """Draw the run's numbers over images seen, a line a protocol, and the log where it can be compared with."""
    protocols: dict[str, list[tuple[int, float]]] = {}
    for record in records:
        protocols.setdefault(record["protocol"], []).append((record["images_seen"], record["value"]))
    with figure(path) as axes:
        for protocol, points in protocols.items():
            axes.plot(*zip(*points, strict=True), marker="o", label=protocol)
        shown = {record["metric"] for record in records}
        for metric, column in _COLUMNS.items():
            if metric in shown:
                axes.plot(log["images"], log[column], color="gray", label=f"published log, {metric}")
        axes.set_xlabel("images seen")
        axes.set_yscale("symlog")
        axes.legend(fontsize="x-small")
