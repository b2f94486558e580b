"""Curves as SVG, written by hand: no library, no script. Colours follow the reader's light or dark."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from biggan.foundation.terminal import one_line
from biggan.report.series import Point, Series

COLOURS = 8
"""Kinds of lines before dashes begin."""
STYLE = "".join(f".s{i}{{stroke:var(--c{i})}}.f{i}{{fill:var(--c{i})}}" for i in range(COLOURS)) + (
    "svg.chart{font:13px system-ui,sans-serif;max-width:100%;height:auto}"
    ".chart text{fill:var(--ink)}.chart .line{fill:none;stroke-width:1.8;stroke-linejoin:round}"
    ".chart .band{stroke:none;opacity:.2}.chart .grid{stroke:var(--rule);stroke-width:1}"
    ".chart .mark{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:3 3}.chart .reference{stroke:var(--soft)}"
    ".chart .soft{fill:var(--soft)}"
)
"""Rules of the classes that drawings use; the variables are those of :data:`LIGHT` and :data:`DARK`."""
LIGHT = (
    "--paper:#fff;--ink:#1b1f24;--soft:#5c6670;--rule:#d9dee3;--bad:#b3261e;--tint:#f4f6f8;--c0:#0b62b0;--c1:#b84a00;"
    "--c2:#00785a;--c3:#8a3a8f;--c4:#8a6a00;--c5:#00788a;--c6:#a8305f;--c7:#555d66"
)
DARK = (
    "--paper:#14171b;--ink:#e7eaee;--soft:#a3adb8;--rule:#343b43;--bad:#ff8a80;--tint:#1d2228;--c0:#6cb4f5;--c1:#f5a05a;"
    "--c2:#4fd0a5;--c3:#d79add;--c4:#dcc04f;--c5:#5fd0e0;--c6:#f58fb8;--c7:#aab4bf"
)
_DASHES = ("", "7 3", "2 3", "9 3 2 3")
_WIDTH, _PLOT, _LEFT, _RIGHT, _TOP = 400, 180, 60, 10, 30
_ROW, _LETTER = 19, 7.5  # pixels of a row of the legend, and of a letter in wide fonts
_LEGEND_LETTERS = 50
_NO_XML = re.compile("[\ufffe\uffff]")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve."""

    name: str
    series: Series
    reference: bool = False
    """Whether it is somebody else's, drawn in gray."""
    dots: bool = False
    """Whether each value is marked: they are few and far between."""
    look: int | None = None
    """Number of its colour and dashes, where it has them in other charts too; by default its place in this one."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Curves in one frame."""

    name: str
    """What a file beside a report is called; letters, digits, dashes."""
    title: str
    lines: tuple[Line, ...]
    across: str = "images seen"
    marks: tuple[float, ...] = ()
    """Where something happened: a dashed line from top to bottom."""
    marks_mean: str = ""
    legend: bool = True


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    logarithmic: bool
    place: Callable[[float], float]
    """From a value to pixels."""

    def ticks(self) -> list[float]:
        if self.logarithmic:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            every = max(1, -(-(last - first + 1) // 6))
            return [10.0**power for power in range(first, last + 1, every)]
        return nice_ticks(self.low, self.high)


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round numbers from ``low`` to ``high``, which is above it; in steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def short(value: float) -> str:
    """Return a number in few letters: 120k, 1.5M, 0.02."""
    if not value:
        return "0"
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor * 0.99995 and abs(value) < 1e15:
            return f"{value / factor:.4g}{letter}"
    return f"{value:.3g}"


def draw(chart: Chart, number: int, *, alone: bool = False) -> str:
    """Return a chart as SVG.

    Args:
        chart: with at least one known value.
        number: of the drawing within its page, for names that must differ.
        alone: as a file of its own, which brings its colours along.
    """
    points = {id(line): line.series.points() for line in chart.lines}
    known = [point for found in points.values() for point in found if point is not None]
    across, up = _axes(known)
    legend = _rows_of_legend(chart)
    height = _TOP + _PLOT + 48 + _ROW * len(legend)
    parts = [_frame(across, up, chart)]
    parts += [_mark(across.place(clock)) for clock in chart.marks if across.low <= clock <= across.high]
    for index, line in enumerate(chart.lines):
        parts.append(_curve(points[id(line)], across, up, index, line))
    parts += _legend(chart, legend)
    name = f"chart{number}"
    style = (
        f"<style>svg{{{LIGHT};background:var(--paper)}}@media(prefers-color-scheme:dark){{svg{{{DARK}}}}}{STYLE}</style>"
        if alone
        else ""
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img" aria-labelledby="{name}t {name}d">'
        f'<title id="{name}t">{shown(chart.title)}</title><desc id="{name}d">{shown(described(chart))}</desc>'
        f"{style}{''.join(parts)}</svg>"
    )


def described(chart: Chart) -> str:
    """Return in words what a chart shows, for those who do not see it."""
    told = []
    for line in chart.lines:
        known = [point for point in line.series.points() if point is not None]
        if known:
            told.append(
                f"{line.name}: from {short(known[0].mean)} at {short(known[0].clock)} to {short(known[-1].mean)} at "
                f"{short(known[-1].clock)}, least {short(min(p.least for p in known))}, most "
                f"{short(max(p.most for p in known))}"
            )
    shown_of = told[:12] + ([f"and {len(told) - 12} more"] if len(told) > 12 else [])
    return f"{chart.title} over {chart.across}. {'; '.join(shown_of)}."


def shown(text: str, longest: int = 2000) -> str:
    """Return text from anywhere as it may stand in HTML and in SVG, in elements and between quotes."""
    return escape(_NO_XML.sub("\ufffd", one_line(text, longest)), quote=True)


def _axes(known: Sequence[Point]) -> tuple[_Axis, _Axis]:
    clocks = [point.clock for point in known]
    left, right = _wide(min(clocks), max(clocks))
    low, high = min(point.least for point in known), max(point.most for point in known)
    logarithmic = low > 0 and high / low >= 100
    inner, outer = _LEFT, _WIDTH - _RIGHT
    if logarithmic:
        low, high = low / 1.1, high * 1.1
        span = math.log(high) - math.log(low)

        def up(value: float) -> float:
            return _TOP + _PLOT * (math.log(high) - math.log(max(value, low))) / span
    else:
        low, high = _wide(low, high)
        air = 0.04 * (high - low)
        low, high = low - air, high + air

        def up(value: float) -> float:
            return _TOP + _PLOT * (high - value) / (high - low)

    return (
        _Axis(left, right, False, lambda value: inner + (outer - inner) * (value - left) / (right - left)),
        _Axis(low, high, logarithmic, up),
    )


def _wide(low: float, high: float) -> tuple[float, float]:
    """Return an interval that has a length, also on the scale of its numbers, and that floats can measure."""
    low, high = max(low, -1e300), min(high, 1e300)
    if high - low > 1e-9 * max(abs(low), abs(high), 1e-280):
        return low, high
    width = abs(low) * 0.1 or 1.0
    return low - width, high + width


def _frame(across: _Axis, up: _Axis, chart: Chart) -> str:
    bottom = _TOP + _PLOT
    parts = [f'<text x="{_LEFT}" y="18" font-weight="600">{shown(chart.title, 48)}</text>']
    for tick in up.ticks():
        y = f"{up.place(tick):.1f}"
        parts.append(f'<path class="grid" d="M{_LEFT} {y}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="soft" x="{_LEFT - 6}" y="{y}" dy="4" text-anchor="end">{short(tick)}</text>')
    for tick in nice_ticks(across.low, across.high, 6):
        x = f"{across.place(tick):.1f}"
        parts.append(f'<path class="grid" d="M{x} {bottom}v5"/>')
        anchor = "middle" if across.place(tick) < _WIDTH - 24 else "end"
        at = x if anchor == "middle" else str(_WIDTH - 2)
        parts.append(f'<text class="soft" x="{at}" y="{bottom + 19}" text-anchor="{anchor}">{short(tick)}</text>')
    parts.append(f'<path class="grid" d="M{_LEFT} {bottom}H{_WIDTH - _RIGHT}"/>')
    scale = ", upwards by powers of ten" if up.logarithmic else ""
    note = f"{chart.across}{scale}{f'; dashed: {chart.marks_mean}' if chart.marks else ''}"
    parts.append(
        f'<text class="soft" x="{_WIDTH - _RIGHT}" y="{bottom + 37}" text-anchor="end">{shown(note, 60)}</text>'
    )
    return "".join(parts)


def _mark(x: float) -> str:
    return f'<path class="mark" d="M{x:.1f} {_TOP}v{_PLOT}"/>'


def _curve(points: Sequence[Point | None], across: _Axis, up: _Axis, index: int, line: Line) -> str:
    """Return mean and, where values were joined, the band from least to most; a gap ends a stroke."""
    parts = []
    fill = f"f{_number(index, line) % COLOURS}"
    for stroke in _strokes(points):
        at = [(across.place(point.clock), point) for point in stroke]
        if any(point.most > point.least for point in stroke):
            edge = [f"{x:.1f} {up.place(p.most):.1f}" for x, p in at]
            edge += [f"{x:.1f} {up.place(p.least):.1f}" for x, p in reversed(at)]
            parts.append(f'<path class="band {fill}" d="M{"L".join(edge)}Z"/>')
        if len(stroke) > 1:
            path = "L".join(f"{x:.1f} {up.place(p.mean):.1f}" for x, p in at)
            parts.append(f'<path class="line {_look(index, line)} d="M{path}"/>')
        if len(stroke) == 1 or line.dots:
            parts += [f'<circle class="{fill}" cx="{x:.1f}" cy="{up.place(p.mean):.1f}" r="3"/>' for x, p in at]
    return "".join(parts)


def _number(index: int, line: Line) -> int:
    return index if line.look is None else line.look


def _look(index: int, line: Line) -> str:
    index = _number(index, line)
    if line.reference:
        return 'reference" stroke-dasharray="5 3"'
    dashes = _DASHES[index // COLOURS % len(_DASHES)]
    return f's{index % COLOURS}"' + (f' stroke-dasharray="{dashes}"' if dashes else "")


def _strokes(points: Sequence[Point | None]) -> list[list[Point]]:
    found: list[list[Point]] = [[]]
    for point in points:
        if point is not None:
            found[-1].append(point)
        elif found[-1]:
            found.append([])
    return [stroke for stroke in found if stroke]


def _rows_of_legend(chart: Chart) -> list[list[tuple[int, float]]]:
    """Return rows of (index of the line, left edge), as many names in a row as there is room for."""
    if not chart.legend:
        return []
    rows: list[list[tuple[int, float]]] = []
    x = math.inf
    for index, line in enumerate(chart.lines):
        width = 34 + _LETTER * min(len(line.name), _LEGEND_LETTERS)
        if x + width > _WIDTH - _RIGHT:
            rows.append([])
            x = 8.0
        rows[-1].append((index, x))
        x += width + 10
    return rows


def _legend(chart: Chart, rows: list[list[tuple[int, float]]]) -> list[str]:
    parts = []
    for number, row in enumerate(rows):
        y = _TOP + _PLOT + 60 + _ROW * number
        for index, x in row:
            line = chart.lines[index]
            parts.append(f'<path class="line {_look(index, line)} d="M{x:.0f} {y - 4}h24"/>')
            parts.append(f'<text x="{x + 30:.0f}" y="{y}">{shown(line.name, _LEGEND_LETTERS)}</text>')
    return parts
