"""Files that grow, break off, and are wrong: read in bounded memory, and what is left out is said."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biggan.cli.main import main
from biggan.report.charts import Chart, Line, draw, nice_ticks
from biggan.report.runs import read_run
from biggan.report.series import Series, of_pairs
from tests.rooms.evaluation.test_report import FD
from tests.rooms.report.run_files import Page, evaluated, write_run

VALUES = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100))


@settings(max_examples=25, deadline=None)
@given(st.lists(VALUES, max_size=60), st.integers(1, 20))
def test_a_series_keeps_extremes_and_means(values: list[float | None], most: int) -> None:
    series = Series(most)
    for clock, value in enumerate(values):
        series.add(clock, value)
    points = [point for point in series.points() if point is not None]
    known = [value for value in values if value is not None]
    assert len(series.points()) <= 2 * most
    assert [point.clock for point in points] == sorted(point.clock for point in points)
    assert bool(points) == bool(known)
    if known:
        assert min(point.least for point in points) == min(known)
        assert max(point.most for point in points) == max(known)
        for point in points:
            rounding = 1e-9 * max(abs(point.least), abs(point.most))
            assert point.least - rounding <= point.mean <= point.most + rounding
        assert series.constant == (len(set(known)) == 1)
        assert points[-1].clock == max(clock for clock, value in enumerate(values) if value is not None)


def test_where_values_were_joined_a_spike_is_still_seen() -> None:
    series = of_pairs([(clock, 100.0 if clock == 7777 else 1.0) for clock in range(20_000)])
    assert len(series.points()) < 1000
    drawing = draw(Chart(name="a", title="a", lines=(Line(name="a", series=series),)), 0)
    assert 'class="band' in drawing
    assert "most 100" in drawing


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 2**53), VALUES), min_size=1, max_size=30))
def test_any_numbers_can_be_drawn(pairs: list[tuple[float, float | None]]) -> None:
    if all(value is None for _, value in pairs):
        return
    text = draw(Chart(name="a", title="a", lines=(Line(name="a", series=of_pairs(pairs), dots=True),)), 0)
    assert "nan" not in text
    assert "inf" not in text
    Page(text)


@settings(max_examples=25, deadline=None)
@given(st.floats(-1e100, 1e100), st.floats(1e-6, 1e100))
def test_ticks_are_few_and_within(low: float, length: float) -> None:
    high = low + length
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 7
    slack = 1e-6 * (high - low)
    assert all(low - slack <= tick <= high + slack for tick in ticks)


def test_a_gap_ends_a_line() -> None:
    series = of_pairs([(1, 1.0), (2, 2.0), (3, None), (4, 1.0), (5, 3.0), (6, None), (7, 2.0)])
    drawing = draw(Chart(name="a", title="a", lines=(Line(name="a", series=series),), legend=False), 0)
    assert drawing.count('class="line') == 2
    assert drawing.count("<circle") == 1


def test_damaged_lines_are_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run")
    evaluated(run, FD, 5.0, 100)
    for name in ("stats.jsonl", "metrics.jsonl"):
        with (run / name).open("ab") as file:
            file.write(b'{"images_seen": 700, "G_loss": NaN}\n[1]\n\xff\xfe\n{"images_seen": -1}\n{"metric": 7}\n')
            file.write(b"[" * 100_000 + b"\n" + b'{"images_seen": 800, "G_lo')
    found = read_run("run", run)
    assert found.numbers["G_loss"].last == pytest.approx(1 / 6)
    assert [record.value for record in found.records] == [5.0]
    assert main(["report", str(run), "--out", str(tmp_path / "r.html")]) == 0
    page = Page((tmp_path / "r.html").read_text())
    assert "stats.jsonl: 6 lines are damaged and left out" in page.text
    assert "metrics.jsonl: 6 lines are damaged and left out" in page.text
    assert page.text.count("the last line is only half written") == 2
    (run / "config.json").write_text("{")
    assert main(["report", str(run), "--out", str(tmp_path / "s.html")]) == 2
    assert "config.json is not valid JSON" in capsys.readouterr().err


def test_numbers_that_cannot_be_are_gaps_or_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", lines=1)
    with (run / "stats.jsonl").open("a") as file:
        for number, value in enumerate((None, "text", True, [1], {}, 1e300, 10**18)):
            file.write(json.dumps({"images_seen": 200 + number, "G_loss": value, "singular_values": value}) + "\n")
        file.write(json.dumps({"images_seen": 900, "health": [1], "findings": "no"}) + "\n")
    found = read_run("run", run)
    assert [point and point.mean for point in found.numbers["G_loss"].points()] == [1.0, None, 1e18]


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", lines=1)
    line = json.dumps({"images_seen": 200, "G_loss": 1.0})
    peaks = []
    for count in (1300, 2600):
        with (run / "stats.jsonl").open("w") as file:
            file.writelines(f"{line}\n" for _ in range(count))
            file.write("x" * (2**20 + 5) + "\n" + "y" * (2**22))
        tracemalloc.start()
        found = read_run("run", run)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert "2 lines are damaged" in found.remarks[0]
    assert peaks[1] < 1.1 * peaks[0] < 2**23


def test_links_out_of_the_run_are_not_followed(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (tmp_path / "secret").write_text("2026-01-02 03:04:05 the password\n")
    (run / "log.txt").unlink()
    (run / "log.txt").symlink_to(tmp_path / "secret")
    for name in ("data_card.png", "samples/600/fixed.png"):
        (run / name).rename(tmp_path / Path(name).name)
        (run / name).symlink_to(tmp_path / Path(name).name)
    assert main(["report", str(run), "--out", str(tmp_path / "r.html")]) == 0
    page = Page((tmp_path / "r.html").read_text())
    assert "password" not in page.text
    assert len(page.all("img")) == 2


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    path = run / "samples" / "600" / "fixed.png"
    path.write_bytes(path.read_bytes()[:60])
    (run / "memorisation.png").write_text("<svg onload=alert(1)>")
    assert main(["report", str(run), "--out", str(tmp_path / "r.html")]) == 0
    page = Page((tmp_path / "r.html").read_text())
    assert f"{path} is left out" in page.text
    assert f"{run / 'memorisation.png'} is left out" in page.text
    assert len(page.all("img")) == 2
