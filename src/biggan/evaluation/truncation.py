"""Quality against variety: the same metrics over a range of truncations, each with statistics of its own."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

import torch

from biggan.data.contract import ImageSource
from biggan.evaluation.configuration import EvaluationConfig
from biggan.evaluation.evaluate import evaluate
from biggan.evaluation.records import MetricRecord
from biggan.evaluation.sides import generated
from biggan.evaluation.streams import GeneratedStream, Progress
from biggan.foundation import distributed
from biggan.foundation.files import replacing, write_picture
from biggan.foundation.plots import check_figure, figure
from biggan.layers.normalization import batch_norms
from biggan.models.contract import Generator
from biggan.sampling.draw import draw
from biggan.sampling.identity import network_hash
from biggan.sampling.latents import latents
from biggan.sampling.pictures import enlargement, sheet
from biggan.sampling.png_text import about_text
from biggan.sampling.sampler import Sampler
from biggan.version import __version__

SHEET_SEEDS = 10
CURVE = "truncation.png"


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
) -> list[MetricRecord]:
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
    check_figure(out / CURVE)
    mode: Literal["standing", "running"] = "standing" if batch_norms(sampler.generator) else "running"
    records: list[MetricRecord] = []
    values: dict[float, dict[str, float | None]] = {}
    rows, shown = [], []
    for truncation in truncations:
        here = dataclasses.replace(config, truncation=truncation, generator_mode=mode)
        side = generated(sampler, here, source)
        found = evaluate(side, here, source=source, device=device, handling=handling, progress=progress)
        values[truncation] = {record.metric: record.value for record in found}
        records += found
        rows.append(_rows_of_sheet(cast(GeneratedStream, side.stream).generator, here))
        shown.append({"truncation": truncation, "kind": here.truncation_kind, "statistics": side.judged.text})
    distributed.on_primary(lambda: _write(values, torch.cat(rows), out, _about(sampler, shown)), "writing the sweep")
    return records


def _about(sampler: Sampler, rows: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Return what the sheet says of itself."""
    classes = max(sampler.info.architecture.classes, 1)
    return {
        "generator": network_hash(sampler.generator),
        "images_seen": sampler.info.images_seen,
        "seeds": list(range(SHEET_SEEDS)),
        "labels": [seed % classes for seed in range(SHEET_SEEDS)],
        "rows": rows,
        "biggan": __version__,
    }


def _write(
    values: dict[float, dict[str, float | None]], images: torch.Tensor, out: Path, about: dict[str, object]
) -> None:
    names = list(dict.fromkeys(name for row in values.values() for name in row))
    with replacing(out / "truncation.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["truncation", *names])
        table.writerows([[truncation, *(row.get(name) for name in names)] for truncation, row in values.items()])
    height, width = images.shape[2:]
    enlarged = enlargement((height, width), len(images), SHEET_SEEDS)
    picture = sheet(images, SHEET_SEEDS, enlarged=enlarged)
    write_picture(out / "truncation_sheet.png", picture, pnginfo=about_text(about))
    _plot(values, out / CURVE)


def _rows_of_sheet(generator: Generator, config: EvaluationConfig) -> torch.Tensor:
    """Return the same seeds and classes as at every other truncation."""
    architecture = generator.architecture
    z = latents(range(SHEET_SEEDS), architecture.z_size, config.truncation, config.truncation_kind)
    labels = torch.arange(SHEET_SEEDS) % max(architecture.classes, 1)
    return draw(generator, z, labels)


def _plot(values: dict[float, dict[str, float | None]], path: Path) -> None:
    """Draw quality against distance, a point a truncation: IS over FID, or precision over recall."""
    first = next(iter(values.values()))
    drawn = {t: {name: math.nan if v is None else v for name, v in row.items()} for t, row in values.items()}
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
                axes.plot(list(drawn), [row[name] for row in drawn.values()], marker="o", label=name)
            axes.set_xlabel("truncation")
            axes.legend()
            return
        x_name = next(n for n in first if n.startswith((x, "fid") if x == "fd" else x))
        y_name = next(n for n in first if n.startswith(y) and not n.startswith("is_std"))
        axes.plot([row[x_name] for row in drawn.values()], [row[y_name] for row in drawn.values()], marker="o")
        for truncation, row in drawn.items():
            axes.annotate(f"{truncation:g}", (row[x_name], row[y_name]))
        axes.set_xlabel(x_name)
        axes.set_ylabel(y_name)
