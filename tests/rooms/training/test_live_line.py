"""The line of a terminal that tells how a run is."""

from __future__ import annotations

from pathlib import Path

from biggan.training.health.records import Finding, HealthRecord
from biggan.training.live_line import newest_sheet, said


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
    assert said([healthy], sheet) == f"healthy, {sheet}"
    assert said([healthy, ill], Path("ab"), 0.25) == "collapse, 25% waiting for data, ab"
