"""A number over images seen, in bounded memory whatever the length of the log."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

MOST = 320
"""Points of a curve: about as many as a chart has columns of pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One or several neighbouring values as one."""

    clock: float
    """Images seen."""
    mean: float
    least: float
    most: float


class Series:
    """Values in order of their clock. Of too many, two neighbours become one: mean, least and most stay."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._width = 1  # values that a bucket takes
        self._clock, self._sum, self._least, self._largest = (array("d") for _ in range(4))
        self._known, self._seen = array("q"), array("q")
        self.constant = True
        """Whether all known values are one and the same."""

    def add(self, clock: float, value: float | None) -> None:
        """Add a value; None is one that is not known, and leaves a gap."""
        if not self._seen or self._seen[-1] >= self._width:
            if len(self._seen) >= 2 * self._most:
                self._halve()
            self._open(clock)
        self._seen[-1] += 1
        if value is None:
            return
        if not self._known[-1]:
            self._least[-1] = self._largest[-1] = value
        self._clock[-1] = clock
        self._known[-1] += 1
        self._sum[-1] += value
        self._least[-1] = min(self._least[-1], value)
        self._largest[-1] = max(self._largest[-1], value)
        self.constant = self.constant and value == self._first()

    def points(self) -> list[Point | None]:
        """Return what is to be drawn, at most twice ``most`` points; None is a gap."""
        return [
            Point(clock=self._clock[i], mean=self._sum[i] / known, least=self._least[i], most=self._largest[i])
            if (known := self._known[i])
            else None
            for i in range(len(self._seen))
        ]

    @property
    def last(self) -> float | None:
        """The mean of the newest known values; None if none is known."""
        return next((point.mean for point in reversed(self.points()) if point is not None), None)

    def _first(self) -> float:
        return next(self._least[i] for i in range(len(self._known)) if self._known[i])

    def _open(self, clock: float) -> None:
        for column, value in ((self._clock, clock), (self._sum, 0.0), (self._least, 0.0), (self._largest, 0.0)):
            column.append(value)
        self._known.append(0)
        self._seen.append(0)

    def _halve(self) -> None:
        """Join neighbours, two by two."""
        kept = len(self._seen) // 2
        for i in range(kept):
            a, b = 2 * i, 2 * i + 1
            known = [j for j in (a, b) if self._known[j]]
            least = min((self._least[j] for j in known), default=0.0)
            largest = max((self._largest[j] for j in known), default=0.0)
            self._clock[i], self._sum[i] = (
                self._clock[b if self._known[b] or not known else a],
                self._sum[a] + self._sum[b],
            )
            self._least[i], self._largest[i] = least, largest
            self._known[i], self._seen[i] = self._known[a] + self._known[b], self._seen[a] + self._seen[b]
        for column in (self._clock, self._sum, self._least, self._largest, self._known, self._seen):
            del column[kept:]
        self._width *= 2


def of_pairs(pairs: Sequence[tuple[float, float | None]]) -> Series:
    """Return the series of (images seen, value)."""
    series = Series()
    for clock, value in pairs:
        series.add(clock, value)
    return series
