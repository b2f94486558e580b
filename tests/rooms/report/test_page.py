"""A report is one file that fetches and runs nothing, whatever the files of a run hold."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from biggan.cli.main import main
from biggan.report import writing
from tests.rooms.evaluation.test_report import FD
from tests.rooms.report.run_files import Page, evaluated, write_picture, write_run

HOSTILE = '</title><script>alert("1")</script><img src=x onerror=alert(2)>&amp;\x1b[31m\u202e|`*_[a](javascript:b)'
ALLOWED = {"aria-label", "aria-labelledby", "alt", "charset", "class", "content", "height", "href", "http-equiv", "id"}
ALLOWED |= {"data-of", "lang", "name", "role", "scope", "src", "tabindex", "width", "xmlns"}
OF_DRAWINGS = {"cx", "cy", "d", "dy", "font-weight", "r", "stroke-dasharray", "text-anchor", "viewbox", "x", "y"}


def report(*words: object) -> int:
    return main(["report", *map(str, words)])


def page_of(*words: object, out: Path) -> tuple[Page, str]:
    assert report(*words, "--out", out) == 0
    text = out.read_text(encoding="utf-8")
    return Page(text), text


def test_it_holds_everything_and_fetches_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    for images in (6000 * 2048, 8000 * 2048):
        evaluated(run, FD, 90.0, images)
    page, text = page_of(run, out=tmp_path / "r.html")
    titles = "At a glance,Metrics,Samples over time,Curves,Singular values,Health,Sheets,Truncation,Nearest neighbours,"
    for title in (titles + "Data,Configuration,Environment,Time").split(","):
        assert title in page.text
    assert "published log" in page.text
    assert "12,288,000 images: fd_inception-torchvision 90.00, better than the log's 101.64" in page.text
    for attributes in [attributes for _, attributes in page.tags]:
        assert set(attributes) <= ALLOWED | OF_DRAWINGS, attributes
    assert not page.all("script") + page.all("link") + page.all("iframe")
    assert len(page.all("img")) == 4
    for image in page.all("img"):
        assert image["alt"]
        data = base64.b64decode(str(image["src"]).removeprefix("data:image/png;base64,"), validate=True)
        assert Image.open(io.BytesIO(data)).size == (8, 8)
    (policy,) = [str(meta["content"]) for meta in page.all("meta") if meta.get("http-equiv")]
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'")
    assert "url(" not in style[1]
    identities = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identities) == len(set(identities))
    assert {str(link["href"]).removeprefix("#") for link in page.all("a")} <= set(identities)
    for drawing in page.all("svg"):
        assert set(str(drawing["aria-labelledby"]).split()) <= set(identities)


def test_text_of_files_is_text(tmp_path: Path) -> None:
    """Class names, sources, options, findings, log, protocol notes, names of runs and of numbers."""
    run = write_run(tmp_path / "run", classes=(HOSTILE, "b"), loss=HOSTILE, **{HOSTILE: HOSTILE})
    record = {"images_seen": 700, "health": {HOSTILE: 1.0, "separation": 0.5}, "findings": {HOSTILE: HOSTILE}}
    number = {"images_seen": 700, HOSTILE: 2.0, "singular_values": {f"G.{HOSTILE}": [1.0]}}
    with (run / "stats.jsonl").open("a") as file:
        file.write(
            json.dumps(record) + "\n" + json.dumps(number) + "\n" + json.dumps(number | {"images_seen": 800}) + "\n"
        )
    with (run / "log.txt").open("a") as file:
        file.write(f"2026-01-02 03:09:01 {HOSTILE}\n")
    page, text = page_of(run, "--names", HOSTILE, out=tmp_path / "r.html")
    plain, _ = page_of(write_run(tmp_path / "other", lines=8), out=tmp_path / "plain.html")
    assert {name for name, _ in page.tags} == {name for name, _ in plain.tags}
    assert page.text.count("<script>alert") > 8
    assert r"\x1b[31m\u202e" in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text)
    for _, attributes in page.tags:
        assert set(attributes) <= ALLOWED | OF_DRAWINGS, attributes
    assert report(run, "--names", HOSTILE, "--out", tmp_path / "r.md") == 0
    for path in [tmp_path / "r.md", *(tmp_path / "r_files").glob("*.svg")]:
        written = path.read_text(encoding="utf-8")
        fenced = re.sub(r"^```text\n.*?^```$", "", written, flags=re.MULTILINE | re.DOTALL)
        assert "<script" not in fenced
        assert path.suffix == ".svg" or not re.search(r"(?<!\\)\]\(javascript", fenced)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", written)


def test_several_runs_begin_with_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = write_run(tmp_path / "a" / "run"), write_run(tmp_path / "b" / "run", lines=3, batch=20)
    evaluated(one, FD, 90.0, 6000 * 2048)
    evaluated(two, FD, 80.0, 6000 * 2048)
    out = tmp_path / "r.html"
    assert report(one, two, "--out", out) == 2
    assert "two runs are called 'run'" in capsys.readouterr().err
    page, text = page_of(one, two, "--names", "first", "second", out=out)
    table = text[text.index('id="differences"') : text.index('id="glance"')]
    cells = re.findall(r"<t[hd](?: [^>]*)?>([^<]*)<", table)
    assert cells == ["option", "first", "second", "--batch", "10", "20"]
    assert page.tags.index(
        ("section", {"id": "differences", "aria-labelledby": "differences-title"})
    ) < page.tags.index(("section", {"id": "glance", "aria-labelledby": "glance-title"}))
    (row,) = re.findall(r"<tr>(<th scope=.row.>fd_inception.*?)</tr>", text)
    assert re.findall(r"<td[^>]*>([^<]*)<", row)[:2] == ["90.0000", "80.0000"]
    # On a phone each cell stands below the name of its row, and says of which run it is.
    (row,) = re.findall(r"<tr><th scope=.row.>--batch</th>(.*?)</tr>", table)
    assert row == '<td data-of="first">10</td><td data-of="second">20</td>'
    described = re.search(r"<desc[^>]*>(G_loss over[^<]*)<", text)
    assert described is not None
    assert "first: from 1 at 100 to 0.167 at 600" in described[1]
    assert "second: from 1 at 100 to 0.333 at 300" in described[1]


def test_a_run_has_one_colour_in_all_charts(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name) for name in ("first", "second", "third")]
    with (runs[2] / "stats.jsonl").open("a") as file:
        for clock in (700, 800):
            file.write(json.dumps({"images_seen": clock, "D_loss_fake": clock / 700}) + "\n")
    _, text = page_of(*runs, out=tmp_path / "r.html")
    charts = {found[1]: found[0] for found in re.findall(r"(<svg.*?<title[^>]*>([^<]*)<.*?</svg>)", text, re.DOTALL)}
    looks = {title: set(re.findall(r'class="line (s\d)"', chart)) for title, chart in charts.items()}
    assert looks["G_loss"] == {"s0", "s1", "s2"}
    assert looks["D_loss_fake"] == {"s2"}, "the third run alone has it"


def test_what_is_not_there_names_the_command_that_makes_it(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a run")
    for path in (run / "log.txt", run / "stats.jsonl", run / "data_card.png", run / "memorisation.png"):
        path.unlink()
    (run / "samples" / "600" / "fixed.png").unlink()
    (run / "samples" / "600" / "classes.png").unlink()
    page, _ = page_of(run, out=tmp_path / "r.html")
    for words in ("evaluate", "evaluate truncation", "sheet"):
        assert f"biggan {words} '{run}'" in page.text
    assert f"biggan evaluate '{run}' --metrics memorisation" in page.text
    assert "has not trained yet" in page.text
    assert not page.all("svg") + page.all("img")


def test_pictures_are_left_out_in_order_once_the_report_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "run")
    for name in ("samples/600/fixed.png", "samples/600/classes.png", "data_card.png"):
        write_picture(run / name, (300, 300))
    monkeypatch.setattr(writing, "LARGEST", 260_000)
    for name in ("r.html", "r.md"):
        assert report(run, "--out", tmp_path / name) == 0
        text = (tmp_path / name).read_text()
        assert "the report has reached the size that it may have" in text
        files = [tmp_path / name, *(tmp_path / "r_files").glob("*" if name == "r.md" else "-")]
        size = sum(path.stat().st_size for path in files)
        assert 100_000 < size <= 260_000, (name, size)
    assert (tmp_path / "r.html").read_text().count("data:image") == 2
    monkeypatch.setattr(writing, "LARGEST", 1000)
    assert report(run, "--out", tmp_path / "no.html") == 2
    assert not (tmp_path / "no.html").exists()


def test_markdown_has_its_pictures_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "my report.md"
    assert report(write_run(tmp_path / "run"), "--out", out) == 0
    names = re.findall(r"!\[[^\]]*\]\(my%20report_files/([^)]+)\)", out.read_text())
    assert len(names) == len(set(names)) == 8
    assert {path.name for path in (tmp_path / "my report_files").iterdir()} == set(names)
    for name in names:
        if name.endswith(".svg"):
            import xml.etree.ElementTree as Tree

            Tree.parse(tmp_path / "my report_files" / name)


def test_a_truncation_curve_is_that_of_the_newest_weights(tmp_path: Path) -> None:
    import dataclasses

    from tests.rooms.evaluation.test_report import TRUNCATED, measured

    run = write_run(tmp_path / "run")
    for images, at in ((100, 0.2), (100, 0.4), (600, 0.5), (600, 1.0), (700, 0.3)):
        statistics = dataclasses.replace(TRUNCATED, asked=at, truncation=at)
        evaluated(run, FD, 10 * at, images, judged=dataclasses.replace(measured(FD).judged, statistics=statistics))
    page, text = page_of(run, out=tmp_path / "r.html")
    section = text[text.index('id="truncation"') : text.index('id="neighbours"')]
    assert "from 5 at 0.5 to 10 at 1," in section
    assert re.findall(r"<th scope=.row.>([^<]*)<", section) == ["0.5", "1"]
    assert "was not evaluated" in page.text


@pytest.mark.nightly
def test_what_is_missing_is_made_once(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the truncation curve needs the extra plots")
    from biggan.training.setup import train
    from tests.conftest import tiny_config

    run = tmp_path / "run"
    train(tiny_config(run, duration=16), "digits")
    words = [run, "--compute", "--count", "40", "--truncations", "0.5", "1.0", "--device", "cpu", "--overwrite"]
    page, _ = page_of(*words, out=tmp_path / "r.html")
    assert "biggan evaluate" not in page.text
    made = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    assert {path.name for path in made} >= {"memorisation.png", "truncation.csv", "metrics.jsonl"}
    again, _ = page_of(*words, out=tmp_path / "r.html")
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()} == made
    assert len(again.all("svg")) == len(page.all("svg"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("RUN --out x.pdf", "end the name of a report in .html or .md"),
        ("RUN --out there.html", "--overwrite"),
        ("RUN --out there.md", "the pictures' folder"),
        ("RUN none --out x.html", "none: there is no such run"),
        ("none", "no such run, and no such command"),
        ("there.html", "this is a file"),
        ("empty --out x.html", "no run directory"),
        ("RUN RUN/../run --out x.html", "named twice"),
        ("RUN --names a b --out x.html", "2 names for 1 runs"),
        ("RUN --log none.csv --out x.html", "there is no such file"),
    ],
)
def test_mistakes_are_told_before_any_work(
    words: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = write_run(tmp_path / "run")
    (run / "stats.jsonl").chmod(0)
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.html").write_text("mine")
    (tmp_path / "there_files").mkdir()
    (tmp_path / "there_files" / "mine.svg").write_text("mine")
    assert report(*words.replace("RUN", str(run)).split()) == 2
    assert says in capsys.readouterr().err
    assert (tmp_path / "there.html").read_text() == "mine"
    assert not list(tmp_path.glob("x.*")) + list(tmp_path.glob("there.md"))
