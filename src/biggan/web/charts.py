"""A curve of several runs as an SVG picture, for a page that shows it anew every few seconds."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

from biggan.foundation.terminal import one_line

COLOURS = ("#2563eb", "#ea580c", "#16a34a", "#9333ea", "#dc2626", "#0891b2", "#a16207", "#db2777")
_WIDTH, _HEIGHT = 480, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 30, 40


def chart(title: str, runs: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Return a picture of the points (images seen, value) of each run.

    Args:
        title: above it.
        runs: by name; one without points is left out.
    """
    known = {name: points for name, points in runs.items() if points}
    low_x, high_x = _range([x for points in known.values() for x, _ in points])
    low_y, high_y = _range([y for points in known.values() for _, y in points])

    def place(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (x - low_x) / (high_x - low_x) * (_WIDTH - _LEFT - _RIGHT)
        return across, _HEIGHT - _BOTTOM - (y - low_y) / (high_y - low_y) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_text(_LEFT, 18, title, size=14, weight="bold")]
    for tick in _ticks(low_y, high_y):
        _, up = place(low_x, tick)
        parts.append(f'<path d="M{_LEFT} {up:.1f}H{_WIDTH - _RIGHT}" stroke="#d4d4d8"/>')
        parts.append(_text(_LEFT - 6, up + 4, f"{tick:.4g}", anchor="end"))
    for tick in _ticks(low_x, high_x):
        across, _ = place(tick, low_y)
        parts.append(_text(across, _HEIGHT - _BOTTOM + 16, _short(tick), anchor="middle"))
    for (_, points), colour in zip(known.items(), COLOURS, strict=False):
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = place(*points[-1])
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
    room = (_WIDTH - _LEFT - _RIGHT) / max(len(known), 1)
    for number, (name, colour) in enumerate(zip(known, COLOURS, strict=False)):
        shown = one_line(name, 200)
        shown = shown if len(shown) * 7 < room - 18 else f"…{shown[-max(int((room - 25) / 7), 1) :]}"
        parts.append(
            f'<rect x="{_LEFT + number * room:.0f}" y="{_HEIGHT - 13}" width="10" height="10" fill="{colour}"/>'
        )
        parts.append(_text(_LEFT + number * room + 14, _HEIGHT - 4, shown))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'font-family="system-ui, sans-serif"><rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, *, size: int = 11, anchor: str = "start", weight: str = "normal") -> str:
    shown = html.escape(one_line(text, 200))
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="#3f3f46">{shown}</text>'
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return low, high
    margin = abs(low) * 0.1 or 1.0
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers within a range."""
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 5)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"
