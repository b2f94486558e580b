"""``biggan data inspect``: what lies in a data set, and what looks wrong about it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from biggan.cli.main import main
from tests.rooms.data.helpers import (
    MakeFolder,
    inspected,
)


def test_inspection_finds_what_is_wrong(
    make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder({"cat": 12, "Cat ": 11, "train": 1}, size=(40, 40))
    smooth = np.linspace(0, 220, 40)[None, :, None] * np.ones((40, 1, 3)) * np.linspace(0.3, 1, 40)[:, None, None]
    Image.fromarray(smooth.astype(np.uint8)).save(root / "cat" / "smooth.png")
    Image.fromarray((smooth + 3).astype(np.uint8)).resize((60, 60)).save(root / "cat" / "smooth2.png")
    shutil.copy(root / "cat" / "0000.png", root / "Cat " / "copy.png")
    Image.new("RGB", (40, 40), "black").save(root / "cat" / "black.png")
    (root / "cat" / "cut.png").write_bytes((root / "cat" / "0001.png").read_bytes()[:900])
    found = inspected(capsys, root, "--out", str(tmp_path / "card.png"))
    assert found["images"] == found["read"] == 29
    assert found["exact_duplicates"] == [["Cat /copy.png", "cat/0000.png"]]
    assert found["near_duplicates"] == [["cat/smooth.png", "cat/smooth2.png"]]
    assert list(found["corrupt"]) == ["cat/cut.png"]
    assert found["brightness"]["uniform"] == 1
    assert found["one_colour"] == ["cat/black.png"]
    suspicions = "\n".join(found["suspicions"])
    assert "classes are called like splits: train" in suspicions
    assert "differ by spelling only: 'Cat ', 'cat'" in suspicions
    assert "the same image is in Cat  and cat: Cat /copy.png" in suspicions
    assert "fewer than 10 images, for example train" in "\n".join(found["remarks"])
    with Image.open(tmp_path / "card.png") as picture:
        assert min(picture.size) > 100
    assert main(["data", "inspect", str(root)]) == 0
    shown = capsys.readouterr().out
    assert "1 of one colour\n    cat/black.png\n" in shown
    assert "exact duplicates: 1 in 1 groups" in shown
    assert "suspicious: classes are called like splits" in shown


def test_one_class_that_holds_nearly_everything(make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    found = inspected(capsys, make_folder({"all": 60, "rest": 2}))
    assert "class 'all' holds 60 of 62 images" in found["suspicions"]
    assert inspected(capsys, make_folder({"x": 20, "y": 22}, name="fine"))["suspicions"] == []


def test_large_data_sets_are_sampled_and_it_says_so(
    make_folder: MakeFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from biggan.data.inspection import inspection
    from biggan.data.sources import image_files

    for module in (image_files, inspection):
        monkeypatch.setattr(module, "LOOK_AT_ALL", 20)
        monkeypatch.setattr(module, "SAMPLE", 10)
    found = inspected(capsys, make_folder({"x": 20, "y": 22}))
    assert found["read"] == 10
    assert "read 10 of 42 images; duplicates were looked for among those" in found["remarks"]


@pytest.mark.parametrize("kind", ["digits", "unconditional"])
def test_inspection_of_other_sources(kind: str, make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("digits") if kind == "digits" else make_folder({"only": 4}) / "only"
    found = inspected(capsys, path)
    assert found["suspicions"] == []


def test_the_command_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data"]) == 2
    assert main(["data", "--help"]) == 0
    assert "prepare SRC DST" in capsys.readouterr().out
    assert main(["data", "prepair"]) == 2
    assert "nearest: prepare" in capsys.readouterr().err
    assert main(["data", "prepare", "/no/such", "/tmp/x.hdf5", "--resolution", "16"]) == 2
    assert "there is nothing at this path" in capsys.readouterr().err
    assert main(["data", "prepare", "digits", "x.hdf5", "--resolution", "16", "--classes", "tenn"]) == 2
    assert "error: --classes tenn: no such class" in capsys.readouterr().err


def test_few_images_are_told_what_is_worth_a_try(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from biggan.losses.terms import parse_terms

    assert main(["data", "inspect", "digits", "--out", str(tmp_path / "p.png"), "--workers", "0"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "suggestion" in line]
    _, *words = line.split("--terms ")
    assert [name for word in words for name in parse_terms([word.split()[0]])] == ["r1", "diffaugment"]
