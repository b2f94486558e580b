"""A report as people meet it: on a phone and at a desk nothing is cut off, and curves are told apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from biggan.cli.main import main
from tests.browsers import started
from tests.rooms.evaluation.test_report import FD
from tests.rooms.exporting.browser import lowest_contrast, opened
from tests.rooms.report.run_files import evaluated, write_run

pytestmark = pytest.mark.nightly
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
NAMES = ("digits", "with_terms-and-a-long-name", "another")
LONG = {
    "generator_adam": {"learning_rate": "0.0005..0.0001:0..40k:cosine"},
    "model_directory": "/a/path/that/has/no/room/in/a/column/of/its/own/whatever/the/screen/of/a/phone/may/be",
}
BEYOND = """() => [...document.querySelectorAll("body *")].filter((e) => {
  const box = e.getBoundingClientRect();
  return box.width && (box.right > document.documentElement.clientWidth + 1 || box.left < -1);
}).map((e) => e.outerHTML.slice(0, 80))"""
BROKEN = """() => [...document.querySelectorAll("th, td")].flatMap((cell) => {
  const text = cell.firstChild;
  if (!text || text.nodeType !== 3 || !cell.offsetParent) return [];
  const words = [...text.data.matchAll(/[^\\s-]+/g)].filter(([word]) => word.length <= 20);
  return words.filter((word) => {
    const range = document.createRange();
    range.setStart(text, word.index);
    range.setEnd(text, word.index + word[0].length);
    return new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1;
  }).map(([word]) => word);
})"""
"""Words of at most 20 letters that stand in two lines."""
LEGENDS = """() => [...document.querySelectorAll("svg.chart")].flatMap((svg) => {
  const names = [...svg.querySelectorAll(".line + text")].map((e) => e.getBoundingClientRect());
  const strokes = [...svg.querySelectorAll(".line:has(+ text)")].map((e) => e.getBoundingClientRect());
  return strokes.flatMap((stroke) => names.filter((name) =>
    name.left < stroke.left && name.right > stroke.left - 4 && name.top < stroke.top && name.bottom > stroke.bottom));
}).length"""
"""How many names of curves reach to the stroke of the next one."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    runs = [
        write_run(folder / name, batch=number, terms=["r1,weight=2", "r2,weight=2"] * number, **LONG if number else {})
        for number, name in enumerate(NAMES)
    ]
    for run in runs:
        for images in (60_000, 120_000):
            evaluated(run, FD, 90.0, images)
    out = folder / "report.html"
    assert main(["report", *map(str, runs), "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_nothing_is_cut_off(size: dict[str, int], scheme: Any, report: Path, chromium: Any) -> None:
    with opened(chromium, report.as_uri(), size, color_scheme=scheme) as page:
        page.evaluate("() => document.querySelectorAll('details').forEach((e) => { e.open = true; })")
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(BROKEN) == []
        assert page.evaluate(LEGENDS) == 0
        assert lowest_contrast(page) >= 4.5
        if size is PHONE:
            assert page.evaluate(BEYOND) == [], "no table has to be pushed aside"
            cell = page.locator("#differences td", has_text="0.0005..0.0001").first
            said = cell.evaluate("(e) => getComputedStyle(e, '::before').content")
            assert said in {f'"{name}"' for name in NAMES}
        else:
            assert page.locator("#differences thead").is_visible()
