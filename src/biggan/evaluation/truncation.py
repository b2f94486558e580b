"""Quality against variety: the same metrics over a range of truncations, each with statistics of its own."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from biggan.data.contract import ImageSource
from biggan.evaluation.configuration import EvaluationConfig
from biggan.evaluation.evaluate import Record, evaluate, generated
from biggan.evaluation.streams import Progress, evaluated_generator
from biggan.layers.normalization import batch_norms
from biggan.sampling.draw import draw
from biggan.sampling.latents import latents
from biggan.sampling.pictures import sheet
from biggan.sampling.sampler import Sampler

SHEET_SEEDS = 10


def sweep(
    sampler: Sampler,
    truncations: Sequence[float],
    config: EvaluationConfig,
    out: Path,
    *,
    source: ImageSource,
    device: torch.device,
    handling: str = "",
    progress: Callable[[str], Progress] = lambda _: lambda *_: None,
) -> list[Record]:
    """Evaluate at every truncation, and write ``truncation.csv``, ``truncation.png`` and ``truncation_sheet.png``.

    Args:
        sampler: never changed.
        truncations: exactly these.
        config: what to measure; standing statistics are estimated at each truncation where there is batch norm.
        out: folder to write into.
        source: the real images.
        device: where to compute.
        handling: see :func:`~biggan.evaluation.evaluate.evaluate`.
        progress: makes a progress bar of a title.
    """
    mode = "standing" if batch_norms(sampler.generator) else "running"
    records: list[Record] = []
    rows = []
    for truncation in truncations:
        here = dataclasses.replace(config, truncation=truncation, generator_mode=mode)  # type: ignore[arg-type]
        side = generated(sampler, here, source)
        records += evaluate(side, here, source=source, device=device, handling=handling, progress=progress)
        rows.append(_rows_of_sheet(sampler, here))
    out.mkdir(parents=True, exist_ok=True)
    values = {
        truncation: {r["metric"]: r["value"] for r in records if r.get("truncation") == truncation}
        for truncation in truncations
    }
    names = list(dict.fromkeys(name for row in values.values() for name in row))
    with (out / "truncation.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["truncation", *names])
        table.writerows([[truncation, *(values[truncation].get(name) for name in names)] for truncation in truncations])
    sheet(torch.cat(rows), SHEET_SEEDS).save(out / "truncation_sheet.png")
    _plot(values, out / "truncation.png")
    return records


def _rows_of_sheet(sampler: Sampler, config: EvaluationConfig) -> torch.Tensor:
    """Return the same seeds and classes as at every other truncation."""
    architecture = sampler.info.architecture
    z = latents(range(SHEET_SEEDS), architecture.z_size, config.truncation, config.truncation_kind)
    labels = torch.arange(SHEET_SEEDS) % max(architecture.classes, 1)
    return draw(evaluated_generator(sampler, config), z, labels)


def _plot(values: dict[float, dict[str, Any]], path: Path) -> None:
    """Draw quality against distance, a point a truncation: IS over FID, or precision over recall."""
    from biggan.foundation.plots import figure

    first = next(iter(values.values()))
    x, y = next(
        (
            (a, b)
            for a, b in (("fd", "is"), ("recall", "precision"))
            if any(n.startswith((a, "fid")) if a == "fd" else n.startswith(a) for n in first)
            and any(n.startswith(b) for n in first)
        ),
        ("", ""),
    )
    with figure(path) as axes:
        if not x:
            for name in first:
                axes.plot(list(values), [row[name] for row in values.values()], marker="o", label=name)
            axes.set_xlabel("truncation")
            axes.legend()
            return
        x_name = next(n for n in first if n.startswith((x, "fid") if x == "fd" else x))
        y_name = next(n for n in first if n.startswith(y) and not n.startswith("is_std"))
        axes.plot([row[x_name] for row in values.values()], [row[y_name] for row in values.values()], marker="o")
        for truncation, row in values.items():
            axes.annotate(f"{truncation:g}", (row[x_name], row[y_name]))
        axes.set_xlabel(x_name)
        axes.set_ylabel(y_name)
