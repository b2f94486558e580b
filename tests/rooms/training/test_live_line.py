"""The line of a terminal that tells how a run is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tqdm import tqdm

from biggan.training.health.records import Finding, HealthRecord
from biggan.training.live_line import FORMAT, newest_sheet, said


def test_it_tells_health_waiting_and_the_newest_sheet(tmp_path: Path) -> None:
    assert newest_sheet(tmp_path) is None
    for clock in (9, 100, 20):
        (tmp_path / "samples" / str(clock)).mkdir(parents=True)
        if clock != 100:  # nothing was drawn yet
            (tmp_path / "samples" / str(clock) / "classes.png").touch()
    sheet = newest_sheet(tmp_path)
    assert sheet == tmp_path / "samples" / "20" / "classes.png"
    healthy = HealthRecord(images_seen=1, numbers={})
    ill = HealthRecord(images_seen=2, numbers={}, findings=(Finding(kind="collapse", text="..."),))
    assert said([], None) == "no sheet yet"
    assert said([healthy], sheet) == "healthy, samples/20"
    assert said([healthy, ill], sheet, 0.25) == "collapse, samples/20, 25% waiting for data"


@pytest.mark.parametrize(
    ("clock", "duration", "rate"), [(12_000, 120_000, 200.0), (612_000_000, 999_000_000, 12_345.6), (120, 96_000, 0.31)]
)
def test_narrow_terminals_hold_the_numbers_health_and_the_newest_sheet(clock: int, duration: int, rate: float) -> None:
    sheet = Path("runs/a-name-that-is-long-enough-to-fill-half-a-line") / "samples" / str(clock) / "classes.png"
    healthy = [HealthRecord(images_seen=1, numbers={})]
    for waited, columns in ((0.0, 80), (0.25, 80), (0.0, 60), (0.25, 60)):
        line = tqdm.format_meter(
            clock,
            duration,
            elapsed=clock / rate,
            ncols=columns,
            bar_format=FORMAT,
            unit="img",
            unit_scale=True,
            rate=rate,
            postfix=said(healthy, sheet, waited),
        )
        assert len(line) <= columns
        assert " left, healthy, samples/" in line
        assert f"samples/{clock}" in line or (columns == 60 and clock > 10**8), "cut within the longest numbers alone"
