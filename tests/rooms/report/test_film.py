"""The film of a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from biggan.cli.main import main
from biggan.report.film import fixed_sheets, read_losses, training_frames


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return the pictures and the record of losses of a run of three intervals."""
    for images, shade, width in ((1000, 40, 30), (9, 10, 30), (200, 20, 34)):
        folder = tmp_path / "run" / "samples" / str(images)
        folder.mkdir(parents=True)
        Image.new("L", (width, 25), shade).save(folder / "fixed.png")
    (tmp_path / "run" / "samples" / "not-a-clock").mkdir()
    lines = [
        {"images_seen": clock, "D_loss_real": 0.5, "D_loss_fake": clock / 1000, "D_loss_scale": 65536.0, "G_loss": 1.0}
        for clock in (8, 190, 400, 990)
    ]
    lines += [
        {"images_seen": 400, "D_loss_real": 1.5, "D_loss_fake": 0.0, "G_loss": 3.0},
        {"images_seen": 5, "health": {}},
    ]
    lines += [{"images_seen": 500, "D_loss_real": None, "D_loss_fake": 0.0, "G_loss": 3.0}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "run" / "stats.jsonl").write_text(text + '{"images_seen": 10')  # the last is being written
    return tmp_path / "run"


def test_losses_are_read_in_order_and_the_latest_counts(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    losses = read_losses(run)
    assert losses.images == (8, 190, 400, 990)
    assert pytest.approx((0.508, 0.69, 1.5, 1.49)) == losses.D, "the sum of its parts, without the scale"
    assert losses.G == (1.0, 1.0, 3.0, 1.0)
    assert not capsys.readouterr().err, "the half line of a run that goes on is nothing to tell"
    damaged = (
        "[\n",
        '{"images_seen": NaN}\n',
        '{"images_seen": 1, "G_loss": 1' + "0" * 400 + "}\n",
        "x" * 2**21 + "\n",
    )
    (run / "stats.jsonl").write_text("".join(damaged) + '{"images_seen": 8, "D_loss": 1, "G_loss": 2}\n')
    assert read_losses(run).images == (8,)
    assert "4 lines are damaged and left out: line 1" in capsys.readouterr().err
    (run / "stats.jsonl").unlink()
    assert not read_losses(run).images


def test_frames_show_the_sheets_by_their_clock(run: Path) -> None:
    sheets = fixed_sheets(run)
    assert [images for images, _ in sheets] == [9, 200, 1000]
    frames = list(training_frames(sheets, read_losses(run), smallest=50))
    assert {frame.shape for frame in frames} == {(16 + 2 * 25 + 72, 68, 3)}
    assert [int(frame[40, 10, 0]) for frame in frames] == [10, 20, 40]
    assert int(frames[0][40, 65, 0]) == 255, "smaller sheets stand in the corner"
    coloured = [int((np.ptp(frame.astype(int), axis=2) > 60).sum()) for frame in frames]
    assert coloured[0] < coloured[1] < coloured[2], "losses are drawn up to the clock"
    without = list(training_frames(sheets, type(read_losses(run))(), smallest=50))
    assert without[0].shape == (16 + 2 * 25, 68, 3)


def test_the_command_and_its_mistakes(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "m.gif"
    assert main(["montage", str(run), "--out", str(out), "--size", "30"]) == 0
    with Image.open(out) as film:
        assert film.n_frames == 3  # type: ignore[attr-defined]
    (tmp_path / "empty").mkdir()
    (run / "samples" / "200" / "fixed.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for words, message in (
        ([str(run), "--out", str(out)], "exists; add --overwrite"),
        ([str(run), "--out", str(out), "--overwrite"], "200/fixed.png: this sheet is damaged"),
        ([str(tmp_path / "empty"), "--out", str(tmp_path / "n.gif")], "no sheets to make a film of yet"),
        ([str(tmp_path / "none"), "--out", str(tmp_path / "n.gif")], "there is no such run"),
        ([str(run), "--out", str(tmp_path / "n.avi")], "end the name of a film in"),
    ):
        assert main(["montage", *words]) == 2
        assert message in capsys.readouterr().err
    with Image.open(out) as film:
        assert film.n_frames == 3, "what was there is not lost"  # type: ignore[attr-defined]
