"""Sections of what training wrote line by line: losses and speeds, singular values, health."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence

from biggan.report.charts import Chart, Line, short
from biggan.report.document import Block, Charts, Fold, Missing, Section, Table, Text
from biggan.report.health import SHOWN
from biggan.report.runs import RunFiles
from biggan.report.series import Series

_GROUPS = (
    ("Losses", re.compile(r"loss(?!_scale)")),
    ("Norms of gradients", re.compile(r"gradient_norm$")),
    ("Noise scale of gradients", re.compile(r"noise_scale$")),
    ("Learning rates", re.compile(r"learning_rate$")),
    ("Scale of the loss", re.compile(r"loss_scale$")),
    ("Images a second", re.compile(r"images_per_second$")),
    ("Share of the time waiting for data", re.compile(r"data_wait$")),
    ("Batch", re.compile(r"_batch$")),
)
_MOST_CHARTS = 40
_TOP_LAYERS = 6
_MOST_LAYERS = 300
_MEANINGS = {
    "separation": "D ranks reals above fakes",
    "memory": "D ranks reals above held-out ones",
    "label_use": "D heeds labels",
    "diversity": "variety within classes, of the reals' variance",
    "distance": "distance to the reals, of their variance",
    "z_use": "variance over z, of the reals'",
    "class_use": "variance over classes, of the reals'",
    "leak": "fakes that look augmented",
}


def training_curves(runs: Sequence[RunFiles]) -> Section:
    """Draw the numbers of stats.jsonl: of one run in groups, of several a number a chart, a line a run."""
    blocks: list[Block] = []
    charts, constant = _curves(runs, lambda run: run.numbers, _grouped_names(runs), "curves")
    charts += _judged(runs)
    if charts:
        blocks.append(Text(text=_HOW_TO_READ))
        blocks.append(Charts(charts=tuple(charts[:_MOST_CHARTS])))
    if len(charts) > _MOST_CHARTS:
        blocks.append(Missing(text=f"{len(charts) - _MOST_CHARTS:,} more charts are left out."))
    if constant:
        blocks.append(Text(text=f"The same throughout: {', '.join(constant[:50])}."))
    blocks += [
        Missing(text=f"{run.path / 'stats.jsonl'} holds no numbers: {run.name} has not trained yet.")
        for run in runs
        if not run.numbers
    ]
    return Section(name="curves", title="Curves", blocks=tuple(blocks))


_HOW_TO_READ = (
    "Means of the intervals of --log.every. Where a line has more values than a chart has room for, neighbours are "
    "joined: the line is their mean, the band reaches from the least to the most."
)


_MEANING_OF_SINGULAR_VALUES = (
    "The largest singular value of a layer's weights, as power iteration estimates it. Brock et al. 2019 (section 4.1) "
    "saw those of G explode when a run collapsed."
)


def singular_values(runs: Sequence[RunFiles]) -> Section:
    """Draw the largest singular value of each layer; of several runs the largest of each network."""
    charts: list[Chart] = []
    blocks: list[Block] = []
    for run in runs:
        if not run.singular_values:
            text = f"{run.path / 'stats.jsonl'} holds no singular values of {run.name}: it has not trained yet, or has "
            blocks.append(Missing(text=text + "no layers with spectral norm."))
    for network in ("G", "D"):
        found = {run.name: _layers(run, network) for run in runs}
        if len(runs) == 1:
            layers = sorted(found[runs[0].name].items(), key=lambda item: -(item[1].last or 0.0))
            lines = [Line(name=name, series=series) for name, series in layers[:_TOP_LAYERS] if series.last is not None]
            title = f"Layers of {network} with the largest at the end"
        else:
            lines = [
                Line(name=name, series=max(layers.values(), key=lambda series: series.last or 0.0), look=look)
                for look, (name, layers) in enumerate(found.items())
                if any(series.last is not None for series in layers.values())
            ]
            title = f"The layer of {network} with the largest at the end"
        if lines:
            charts.append(Chart(name=f"singular-values-{network}", title=title, lines=tuple(lines)))
    if charts:
        blocks.insert(0, Text(text=_MEANING_OF_SINGULAR_VALUES))
        blocks.insert(1, Charts(charts=tuple(charts)))
    for run in runs:
        rows = [(name, *_first_and_last(series)) for name, series in list(run.singular_values.items())[:_MOST_LAYERS]]
        if rows:
            table = Table(
                caption=f"Layers of {run.name}", head=("layer", "first", "last"), rows=tuple(rows), numbers=True
            )
            blocks.append(Fold(title=f"All {len(run.singular_values):,} layers of {run.name}", blocks=(table,)))
    return Section(name="singular-values", title="Singular values", blocks=tuple(blocks))


def health(runs: Sequence[RunFiles]) -> Section:
    """Draw what the looks at the networks measured, and list what was found."""
    names = {name: [name] for name in SHOWN}
    if len(runs) == 1:
        names = {
            "What D tells (1/2: it cannot)": ["separation", "memory", "label_use"],
            "Variety and distance of the fakes": ["diversity", "distance"],
            "What the fakes depend on": ["z_use", "class_use", "leak"],
        }
    charts, _ = _curves(runs, lambda run: run.health, names, "health", _MEANINGS)
    marks = tuple(clock for run in runs for clock, _ in run.findings) if len(runs) == 1 else ()
    marked = (dataclasses.replace(chart, marks=marks, marks_mean="something was found") for chart in charts)
    blocks: list[Block] = [Charts(charts=tuple(marked))] if charts else []
    for run in runs:
        if not run.looks:
            blocks.append(Missing(
                text=f"{run.name} was never looked at: 'biggan train' does every --health.every images."
            ))  # fmt: skip
            continue
        blocks.append(
            Text(text=f"{run.name}: {run.looks - run.sick_looks:,} of {run.looks:,} looks found nothing wrong.")
        )
        if run.findings:
            rows = tuple((f"{clock:,}", text) for clock, text in run.findings)
            blocks.append(Table(caption=f"Found in {run.name}", head=("images seen", "what"), rows=rows))
    return Section(name="health", title="Health", blocks=tuple(blocks))


def _grouped_names(runs: Sequence[RunFiles]) -> Mapping[str, list[str]]:
    """Return titles of charts -> names of numbers."""
    names = list(dict.fromkeys(name for run in runs for name in run.numbers))
    if len(runs) > 1:
        return {name: [name] for name in names}
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(next((title for title, pattern in _GROUPS if pattern.search(name)), name), []).append(name)
    order = [title for title, _ in _GROUPS]
    return dict(sorted(found.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)))


def _curves(
    runs: Sequence[RunFiles],
    of: Callable[[RunFiles], Mapping[str, Series]],
    groups: Mapping[str, Sequence[str]],
    prefix: str,
    meanings: Mapping[str, str] | None = None,
) -> tuple[list[Chart], list[str]]:
    """Return charts, and what is not drawn since it is the same throughout, as words."""
    charts: list[Chart] = []
    constant: list[str] = []
    meanings = meanings or {}
    looks = {run.name: place for place, run in enumerate(runs)} if len(runs) > 1 else {}  # in all charts alike
    for title, names in groups.items():
        lines: list[Line] = []
        for name in names:
            known = {run.name: of(run)[name] for run in runs if name in of(run) and of(run)[name].last is not None}
            values = {series.last for series in known.values()}
            if known and len(values) == 1 and all(series.constant for series in known.values()) and not meanings:
                constant.append(f"{name} {short(values.pop() or 0.0)}")
                continue
            for run, series in known.items():
                called = run if looks else meanings.get(name, name)
                lines.append(Line(name=called, series=series, look=looks.get(run)))
        if lines:
            heading = meanings.get(title, title)
            several = len(lines) > 1 or len(runs) > 1
            charts.append(Chart(name=f"{prefix}-{len(charts)}", title=heading, lines=tuple(lines), legend=several))
    return charts, constant


def _judged(runs: Sequence[RunFiles]) -> list[Chart]:
    """Return a chart for each value by which checkpoints are kept."""
    charts: list[Chart] = []
    for name in dict.fromkeys(name for run in runs for name in run.judged):
        lines = tuple(
            Line(name=run.name, series=run.judged[name], dots=True, look=look)
            for look, run in enumerate(runs)
            if name in run.judged
        )
        title = f"The best are kept by: {name}"
        charts.append(Chart(name=f"judged-{len(charts)}", title=title, lines=lines, legend=len(runs) > 1))
    return charts


def _layers(run: RunFiles, network: str) -> dict[str, Series]:
    return {name: series for name, series in run.singular_values.items() if name.startswith(f"{network}.")}


def _first_and_last(series: Series) -> tuple[str, str]:
    known = [point for point in series.points() if point is not None]
    return (f"{known[0].mean:.4g}", f"{known[-1].mean:.4g}") if known else ("not known", "not known")
