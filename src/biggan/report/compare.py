"""A run's metrics over images seen, beside a published log; what may be compared, the protocols themselves say."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from biggan.evaluation.protocol import FeatureProtocol, JudgedProtocol, Protocol, ReferenceProtocol, comparable
from biggan.evaluation.records import METRICS_FILE, MetricRecord, comparable_groups, read_records
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.plots import figure
from biggan.sampling.statistics import NormStatistics

PUBLISHED = Path(__file__).parent / "published" / "biggan_pytorch_imagenet128_bs2048.csv"
PUBLISHED_SOURCE = (
    "ajbrock/BigGAN-PyTorch, run log of BigGAN at ImageNet 128 px, batch 2048, width 96; torchvision Inception, 50,000 "
    "samples, moving average"
)
_BATCH = 2048
_LARGEST_LOG = 2**26
_IMAGENET = ReferenceProtocol(
    data=None, title="ImageNet", count=1_281_167, resolution=(128, 128), channels=3, classes=1000
)
_FEATURES = FeatureProtocol(
    name="inception-torchvision", text="torchvisioninception-bilinearaligned299-float", weights="0cc3c7bd"
)
_JUDGED = JudgedProtocol(kind="generator", weights="ema", statistics=NormStatistics(kind="running"))


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One column of a log."""

    column: str
    larger_is_better: bool
    protocol: Protocol


CURVES = {
    "fd_inception-torchvision": Curve(
        column="fid",
        larger_is_better=False,
        protocol=Protocol(
            metric="fd_inception-torchvision",
            count=50_000,
            real_count=_IMAGENET.count,
            reference=_IMAGENET,
            judged=_JUDGED,
            features=_FEATURES,
        ),
    ),
    "is_inception-torchvision": Curve(
        column="inception_score",
        larger_is_better=True,
        protocol=Protocol(
            metric="is_inception-torchvision",
            count=50_000,
            real_count=None,
            reference=_IMAGENET,
            judged=_JUDGED,
            features=_FEATURES,
            parameters={"splits": 10, "shuffle_seed": None, "equal_splits": True},
        ),
    ),
}
"""How the numbers of the log came about, by the names of ours that measure the same."""
_KINDS = ("fid", *(name.split("_")[0] for name in CURVES))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One number of the run beside the log's at the same number of images."""

    metric: str
    images: int
    run: float
    published: float

    def __str__(self) -> str:
        """Return a sentence."""
        better = (self.run > self.published) == CURVES[self.metric].larger_is_better
        word = "as good as" if self.run == self.published else "better than" if better else "worse than"
        return f"{self.images:,} images: {self.metric} {self.run:.2f}, {word} the log's {self.published:.2f}"


def read_metrics(run_dir: Path) -> list[MetricRecord]:
    """Return the records of a run's metrics.jsonl that have a value and a clock, by the clock.

    Raises:
        UserError: there are none, or the file is damaged.
    """
    path = run_dir / METRICS_FILE
    if not path.is_file():
        raise UserError(f"{path} does not exist: evaluate the run first ('biggan evaluate {run_dir}')")
    found = [r for r in read_records(path) if r.value is not None and r.images_seen is not None]
    if not found:
        raise UserError(f"{path} holds no number of this run")
    return sorted(found, key=_clock)


def _clock(record: MetricRecord) -> int:
    return record.images_seen or 0


def published_log(path: Path = PUBLISHED) -> dict[str, np.ndarray[Any, Any]]:
    """Return the columns of a log: images, fid, inception_score, float64 [N], N at least 1, images rising.

    Raises:
        UserError: no such file.
        CorruptFileError: no such log.
    """
    try:
        if path.stat().st_size > _LARGEST_LOG:
            raise CorruptFileError(f"--log {path}: larger than any log")
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns = {
            name: np.array([float(row[name]) for row in rows]) for name in ("iteration", "fid", "inception_score")
        }
    except FileNotFoundError as error:
        raise UserError(f"--log {path}: there is no such file") from error
    except (KeyError, ValueError, TypeError, OSError, csv.Error) as error:
        raise CorruptFileError(f"{path}: expected columns iteration, inception_score, fid ({error})") from error
    iterations = columns.pop("iteration")
    if not len(iterations) or not np.isfinite(iterations).all() or (np.diff(iterations) <= 0).any():
        raise CorruptFileError(f"{path}: its iterations do not rise")
    return {"images": iterations * _BATCH, **columns}


def compare(records: list[MetricRecord], log: dict[str, np.ndarray[Any, Any]]) -> tuple[list[Comparison], list[str]]:
    """Return what can be compared with the log, and why the rest cannot.

    Args:
        records: of a run, see :func:`read_metrics`.
        log: see :func:`published_log`.
    """
    found: list[Comparison] = []
    refused: dict[str, None] = {}
    for record in records:
        reasons = refusal(record)
        if reasons is None or record.value is None:
            continue
        images = _clock(record)
        if reasons:
            refused[f"{record.protocol}: {'; '.join(reasons)}"] = None
        elif not log["images"][0] <= images <= log["images"][-1]:
            refused[f"the log has no number near {images:,} images"] = None
        else:
            value = float(np.interp(images, log["images"], log[CURVES[record.metric].column]))
            found.append(Comparison(metric=record.metric, images=images, run=record.value, published=value))
    return found, list(refused)


def refusal(record: MetricRecord) -> list[str] | None:
    """Return why a number may not be put beside the log's; empty if it may, None if the log has none of its kind."""
    curve = CURVES.get(record.metric)
    if curve is not None:
        return comparable(record.conditions, curve.protocol)
    if record.metric.split("_")[0] not in _KINDS or "std" in record.metric:
        return None
    return ["another protocol; the log used torchvision's Inception: evaluate with --protocol biggan-pytorch"]


def plot(records: list[MetricRecord], log: dict[str, np.ndarray[Any, Any]], path: Path) -> None:
    """Draw the run's numbers over images seen, a line for those that may be compared, and the log beside its like."""
    with figure(path) as axes:
        for group in comparable_groups(records):
            points = [(record.images_seen, record.value) for record in group]
            axes.plot(*zip(*points, strict=True), marker="o", label=group[0].protocol)
        for metric in dict.fromkeys(record.metric for record in records if refusal(record) == []):
            axes.plot(log["images"], log[CURVES[metric].column], color="gray", label=f"published log, {metric}")
        axes.set_xlabel("images seen")
        axes.set_yscale("symlog")
        axes.legend(fontsize="x-small")
