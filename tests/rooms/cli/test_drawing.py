"""The commands that draw, and the one that describes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import biggan
from biggan.cli.main import main
from biggan.cli.selection import parse_seeds
from biggan.sampling.calibration import calibrate
from biggan.sampling.standing import write_with_standing_statistics


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open() as file:
        return list(csv.DictReader(file))


def test_sample_every_class_and_seed(snapshot: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [
        "sample",
        str(snapshot),
        "--out",
        str(out),
        "--classes",
        "golden retriever",
        "id:7",
        "n/a",
        "--seeds",
        "0-2",
        "9",
    ]
    assert main([*words, "--truncation", "0.4", "--device", "cpu"]) == 0
    rows = rows_of(out)
    assert len(rows) == 12
    assert rows[0]["file"] == "1_golden_retriever_seed0.png"
    assert rows[-1] == {
        "file": "5_n_a_seed9.png",
        "class_index": "5",
        "class_name": "n/a",
        "seed": "9",
        "truncation": "0.4",
        "truncation_kind": "resample",
    }
    model = biggan.load(snapshot, "cpu")
    for row in rows:
        pixels = np.asarray(Image.open(out / row["file"])).transpose(2, 0, 1)
        expected = model.sample([int(row["class_index"])], [int(row["seed"])], 0.4)[0].numpy()
        assert np.abs(pixels.astype(int) - expected.astype(int)).max() <= 1


def test_without_classes_labels_cycle(snapshot: Path, tmp_path: Path) -> None:
    assert main(["sample", str(snapshot), "--out", str(tmp_path / "o"), "--count", "13", "--device", "cpu"]) == 0
    rows = rows_of(tmp_path / "o")
    assert [int(r["class_index"]) for r in rows] == [i % 10 for i in range(13)]
    assert [int(r["seed"]) for r in rows] == list(range(13))
    assert rows[0]["truncation_kind"] == "none"


def test_other_formats(snapshot: Path, tmp_path: Path) -> None:
    words = [
        "sample",
        str(snapshot),
        "--out",
        str(tmp_path / "o"),
        "--classes",
        "cat,dog",
        "--count",
        "3",
        "--device",
        "cpu",
    ]
    assert main([*words, "--format", "npz"]) == 0
    with np.load(tmp_path / "o" / "samples.npz") as archive:
        assert archive["x"].shape == (6, 3, 16, 16)
        assert archive["x"].dtype == np.uint8
        assert archive["y"].tolist() == [6, 6, 6, 7, 7, 7]
        assert archive["seeds"].tolist() == [0, 1, 2] * 2
    assert main([*words, "--format", "grid"]) == 2, "the folder is not empty"
    assert main([*words, "--format", "grid", "--overwrite"]) == 0
    assert Image.open(tmp_path / "o" / "grid.png").size == (2 + 66 * 3, 2 + 66 * 2), "16 px stand four times as large"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--classes", "retriver"], "--classes: no class 'retriver'; nearest: golden retriever"),
        (["--classes", "xyzzyx"], "--classes: no class 'xyzzyx'; classes are "),
        (["--seeds", "5-1"], "runs backwards"),
        (["--seeds", "one"], "write numbers and ranges"),
        (["--seeds", "1", "--count", "2"], "not both"),
        (["--count", "0"], "at least 1"),
        (["--truncation", "0"], "--truncation 0.0"),
    ],
)
def test_mistakes_in_sampling(
    snapshot: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", str(snapshot), "--out", str(tmp_path / "o"), "--device", "cpu", *words]) == 2
    assert message in capsys.readouterr().err


def test_sheet_command(snapshot: Path, tmp_path: Path) -> None:
    out = tmp_path / "a" / "sheet.png"
    assert main(["sheet", str(snapshot), "--out", str(out), "--columns", "2", "--device", "cpu"]) == 0
    assert Image.open(out).height == 2 + 66 * 10
    words = ["sheet", str(snapshot), "--out", str(out), "--classes", "cat", "--seeds", "3", "4", "--device", "cpu"]
    assert main([*words, "--overwrite"]) == 0
    assert Image.open(out).height == 2 + 66


@pytest.mark.parametrize("ending", ["png", "gif", "mp4", "webm"])
def test_interpolate_command(snapshot: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"path.{ending}"
    words = [
        "interpolate",
        str(snapshot),
        "--out",
        str(out),
        "--seeds",
        "1,2",
        "--classes",
        "cat",
        "dog",
        "--frames",
        "3",
    ]
    assert main([*words, "--device", "cpu"]) == 0
    if ending == "png":
        assert Image.open(out).size == (2 + 66 * 4, 2 + 66)
    elif ending == "gif":
        assert Image.open(out).n_frames == 4  # type: ignore[attr-defined]
    else:
        av = pytest.importorskip("av", reason="the video extra is not installed")
        with av.open(str(out)) as film:
            assert sum(1 for _ in film.decode(video=0)) == 4


def test_each_row_of_a_path_shows_both_of_its_key_points(snapshot: Path, tmp_path: Path) -> None:
    words = ["interpolate", str(snapshot), "--seeds", "1-3", "--classes", "cat", "--frames", "4", "--device", "cpu"]
    assert main([*words, "--size", "1", "--out", str(tmp_path / "path.png")]) == 0
    model = biggan.load(snapshot, "cpu")
    key = model.sample([model.class_index("cat")] * 3, [1, 2, 3]).permute(0, 2, 3, 1).numpy()
    picture = np.asarray(Image.open(tmp_path / "path.png"))
    side = key.shape[1]
    assert picture.shape[:2] == (2 + 2 * (side + 2), 2 + 5 * (side + 2)), "no row is cut short"

    def cell(row: int, column: int) -> np.ndarray:  # type: ignore[type-arg]
        top, left = 2 + row * (side + 2), 2 + column * (side + 2)
        return picture[top : top + side, left : left + side].astype(int)

    for (row, column), point in (((0, 0), 0), ((0, 4), 1), ((1, 0), 1), ((1, 4), 2)):
        assert np.abs(cell(row, column) - key[point]).max() <= 1
    assert np.array_equal(cell(0, 4), cell(1, 0))


def test_fixed_interpolations(snapshot: Path, tmp_path: Path) -> None:
    def frames(*words: str) -> np.ndarray:  # type: ignore[type-arg]
        out = tmp_path / "x.png"
        given = [
            "interpolate",
            str(snapshot),
            "--out",
            str(out),
            "--frames",
            "2",
            "--size",
            "1",
            "--device",
            "cpu",
            "--overwrite",
        ]
        assert main([*given, *words]) == 0
        return np.asarray(Image.open(out))

    model = biggan.load(snapshot, "cpu")
    fixed_z = frames("--seeds", "3", "--classes", "cat", "dog", "--fix", "z")
    assert fixed_z.shape[1] == 2 + 18 * 3
    first = model.sample(["cat"], [3])[0].permute(1, 2, 0).numpy()
    assert np.abs(fixed_z[2:18, 2:18].astype(int) - first).max() <= 1
    last = model.sample(["dog"], [3])[0].permute(1, 2, 0).numpy()
    assert np.abs(fixed_z[2:18, 38:54].astype(int) - last).max() <= 1
    fixed_class = frames("--seeds", "3", "4", "--classes", "cat", "--fix", "class")
    assert np.abs(fixed_class[2:18, 2:18].astype(int) - first).max() <= 1
    assert frames("--seeds", "0-2", "--loop").shape[0] == 2 + 18 * 3


def test_mistakes_in_interpolating(snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["--out", str(tmp_path / "x.avi")], "must end in .png, .gif, .mp4"),
        (["--out", str(tmp_path / "x.png"), "--fix", "class", "--seeds", "1"], "at least two different points"),
        (["--out", str(tmp_path / "x.png"), "--frames", "0"], "--frames 0: 1 to"),
    ):
        assert main(["interpolate", str(snapshot), "--device", "cpu", *words]) == 2
        assert message in capsys.readouterr().err


def test_info_command(snapshot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(snapshot)]) == 0
    printed = capsys.readouterr().out
    for part in (
        "10 classes: tench, golden retriever",
        "moving average of G, after 640 images (10 iterations)",
        "running",
    ):
        assert part in printed
    import json

    assert main(["info", str(snapshot), "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["architecture"]["resolution"] == [16, 16]
    assert described["parameters"]["G"] > 0
    assert main(["info", "/nowhere"]) == 2


def test_seeds_as_words() -> None:
    assert parse_seeds(["0-3", "7,9-10"]) == [0, 1, 2, 3, 7, 9, 10]


def test_every_command_says_which_statistics_of_batch_norm_it_used(
    snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    standing, bank = tmp_path / "standing.safetensors", tmp_path / "bank.safetensors"
    plain = biggan.load(snapshot, "cpu")
    write_with_standing_statistics(plain, standing, batches=1, truncation=0.5)
    calibrate(plain, bank, [0.4, 0.8], batches=1)
    commands = (
        ["sample", "--out", str(tmp_path / "o"), "--count", "1"],
        ["sheet", "--out", str(tmp_path / "o.png"), "--columns", "1"],
        ["interpolate", "--out", str(tmp_path / "p.png"), "--frames", "1"],
    )
    for file, truncation, expected in (
        (snapshot, [], "running statistics\n"),
        (snapshot, ["0.5"], "running statistics of untruncated training, which fit truncation 0.5 badly"),
        (standing, [], "standing statistics of truncation 0.5, which do not fit untruncated images"),
        (standing, ["0.5"], "standing statistics of truncation 0.5\n"),
        (standing, ["0.6"], "standing statistics of truncation 0.5, which do not fit truncation 0.6"),
        (bank, ["0.8"], "standing statistics of truncation 0.8, from the file's bank\n"),
        (bank, [], "running statistics\n"),
    ):
        for name, *words in commands:
            given = [*words, *(["--truncation", *truncation] if truncation else []), "--device", "cpu", "--overwrite"]
            assert main([name, str(file), *given]) == 0
            said = capsys.readouterr().out
            assert f"batch norm: {expected}" in said
            hinted = "badly: 'biggan calibrate FILE --out NEW.safetensors' writes a file with fitting ones" in said
            assert hinted == ("badly" in said)
            assert ("--standing-statistics" in said) == (hinted and name == "sample"), "which alone has that option"
    for file, expected in (
        (snapshot, "batch-norm statistics: running statistics\n"),
        (standing, "batch-norm statistics: standing statistics of truncation 0.5, over 1 batches of 64\n"),
        (bank, "running statistics; a bank of them for truncations 0.4, 0.8 by resample, over 1 batches of 64\n"),
    ):
        assert main(["info", str(file)]) == 0
        assert expected in capsys.readouterr().out
