"""``biggan recreate``, from the files that the commands write."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from biggan.cli.main import main
from biggan.training.setup import train
from tests.conftest import tiny_config
from tests.snapshots import write

CPU = ("--device", "cpu")


def recreate(file: Path, place: Path, out: Path, *words: str) -> int:
    return main(["recreate", str(file), "--from", str(place), "--out", str(out), "--overwrite", *words, *CPU])


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("sample FILE --out OUT/o --classes cat,dog --seeds 0-2 --truncation 0.5 --batch 4", "o/7_dog_seed1.png"),
        ("sample FILE --out OUT/o --count 5 --format grid", "o/grid.png"),
        ("sheet FILE --out OUT/s.png --columns 2", "s.png"),
        ("interpolate FILE --out OUT/p.png --seeds 1,5 --frames 3", "p.png"),
        ("sheet FILE --out OUT/s.png --columns 2 --size 1", "s.png"),
    ],
)
def test_every_command_writes_pictures_that_come_back_to_the_byte(
    snapshot: Path, tmp_path: Path, line: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = line.replace("FILE", str(snapshot)).replace("OUT", str(tmp_path)).split()
    assert main([*words, *CPU]) == 0
    again = tmp_path / "again.png"
    assert recreate(tmp_path / name, snapshot, again) == 0
    assert "bitwise the picture in the file" in capsys.readouterr().out
    assert again.read_bytes() == (tmp_path / name).read_bytes()
    assert str(tmp_path).encode() not in again.read_bytes()
    shown = Image.open(again).tobytes()
    words = [*words, "--no-metadata", *([] if "--overwrite" in words else ["--overwrite"]), *CPU]
    assert main(words) == 0
    assert Image.open(tmp_path / name).info == {}
    assert Image.open(tmp_path / name).tobytes() == shown
    assert recreate(tmp_path / name, snapshot, again) == 2
    assert "does not say how it was drawn" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["sheet FILE --columns 2 --classes cat", "interpolate FILE --seeds 1,5 --frames 2"])
def test_small_images_are_enlarged_on_sheets_by_whole_numbers(line: str, snapshot: Path, tmp_path: Path) -> None:
    def drawn(*words: str) -> np.ndarray:
        out = str(tmp_path / "s.png")
        assert main([*line.replace("FILE", str(snapshot)).split(), "--out", out, "--overwrite", *words, *CPU]) == 0
        return np.asarray(Image.open(out))

    plain, usual, large = drawn("--size", "1"), drawn(), drawn("--size", "65")
    for picture, factor in ((usual, 4), (large, 5)):
        side = 16 * factor
        corner = picture[2 : 2 + side, -2 - side : -2]  # the last image of the first row
        assert np.array_equal(corner, plain[2:18, -18:-2].repeat(factor, 0).repeat(factor, 1))
        assert (picture.shape[0] - 2) / (side + 2) == (plain.shape[0] - 2) / 18, "rows"
    assert main([*line.replace("FILE", str(snapshot)).split(), "--out", str(tmp_path / "x.png"), "--size", "0"]) == 2, (
        "no size"
    )


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_other_formats_say_how_they_were_drawn_too(
    ending: str, snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, file = tmp_path / "s.png", tmp_path / f"s.{ending}"
    for out in (plain, file):
        assert main(["sheet", str(snapshot), "--out", str(out), "--columns", "2", *CPU]) == 0
    assert recreate(file, snapshot, tmp_path / "again.png") == 0
    assert (tmp_path / "again.png").read_bytes() == plain.read_bytes()
    said = capsys.readouterr().out
    if ending == "webp":
        assert "bitwise the picture in the file" in said, "written without loss"
    else:
        assert "files of its kind keep pixels only roughly" in said
        found = re.search(r"by at most (\d+) of 255", said)
        assert found is not None
        assert int(found[1]) < 40, "sharp edges are kept"
    assert (
        main(["sheet", str(snapshot), "--out", str(file), "--columns", "2", "--no-metadata", "--overwrite", *CPU]) == 0
    )
    assert not Image.open(file).getexif()
    assert recreate(file, snapshot, tmp_path / "again.png") == 2
    assert "does not say how it was drawn" in capsys.readouterr().err


def test_what_is_another_is_said(snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other, file, again = write(tmp_path / "other.safetensors", seed=1), tmp_path / "s.png", tmp_path / "again.png"
    assert main(["sheet", str(snapshot), "--out", str(file), "--columns", "1", *CPU]) == 0
    assert recreate(file, other, again) == 2
    assert "this is another generator: the picture was drawn by one of the hash" in capsys.readouterr().err
    assert not again.exists()
    assert recreate(file, other, again, "--anyway") == 0
    said = capsys.readouterr().out
    assert "ANOTHER generator" in said
    assert "differs from the file in" in said
    assert recreate(again, other, tmp_path / "third.png") == 0, "what was drawn anyway says what drew it"
    assert "bitwise" in capsys.readouterr().out
    info = Image.open(file)
    info.load()
    text = info.text["biggan"]  # type: ignore[attr-defined]
    from PIL.PngImagePlugin import PngInfo

    changed = PngInfo()
    changed.add_text("biggan", text)
    info.resize((9, 9)).save(tmp_path / "resized.png", pnginfo=changed)
    assert recreate(tmp_path / "resized.png", snapshot, again) == 0
    assert "it was changed after it was drawn" in capsys.readouterr().out
    for words, message in (
        ([str(file), "--from", str(snapshot), "--out", str(file), "--overwrite"], "never changed"),
        ([str(file), "--from", str(snapshot), "--out", str(tmp_path / "x.jpg")], "end the name in .png"),
        ([str(tmp_path / "none.png"), "--from", str(snapshot), "--out", str(tmp_path / "x.png")], "no such file"),
        ([str(file), "--from", str(tmp_path / "none"), "--out", str(tmp_path / "x.png")], "no such run"),
    ):
        assert main(["recreate", *words, *CPU]) == 2
        assert message in capsys.readouterr().err


def test_the_generator_is_looked_for_where_it_may_lie(
    snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "runs" / "another" / "snapshots" / "640.safetensors", seed=1)
    picture = tmp_path / "pictures" / "s.png"
    picture.parent.mkdir()
    assert main(["sheet", str(snapshot), "--out", str(picture), "--columns", "1", *CPU]) == 0

    def again(file: Path, *words: str) -> int:
        return main(["recreate", str(file), "--out", "again.png", "--overwrite", *words, *CPU])

    assert again(picture) == 2
    assert "lies neither beside the picture nor in runs/; name the run" in capsys.readouterr().err
    assert again(picture, "--anyway") == 2
    assert "say by --from which" in capsys.readouterr().err
    for run, file in ((tmp_path / "runs" / "right", picture), (tmp_path / "far", tmp_path / "far/samples/640/s.png")):
        for copy, of in ((run / "snapshots" / "640.safetensors", snapshot), (file, picture)):
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(of.read_bytes())
        assert again(file) == 0
        said = capsys.readouterr().out
        assert str(run / "snapshots" / "640.safetensors") in said
        assert "bitwise the picture in the file" in said
        (run / "snapshots" / "640.safetensors").unlink()


def test_sheets_of_training_and_refined_images_come_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out, again = tmp_path / "run", tmp_path / "o", tmp_path / "again.png"
    train(tiny_config(run, duration=32))
    folder = run / "samples" / "32"
    for name, side in (("fixed", 16), ("classes", 64), ("interpolation_zy", 64)):
        assert recreate(folder / f"{name}.png", run, again) == 0
        assert again.read_bytes() == (folder / f"{name}.png").read_bytes()
        assert (Image.open(again).height - 2) % (side + 2) == 0, "films take fixed.png as it is, people see the others"
    words = ["sample", str(run), "--out", str(out), "--count", "3", "--refine", "ddls,steps=2,eps=0.0123456789", *CPU]
    assert main(words) == 0
    file = out / "1_1_seed1.png"
    assert recreate(file, run, again) == 0
    assert "refined by ddls,steps=2,eps=0.0123456789" in capsys.readouterr().out
    assert again.read_bytes() == file.read_bytes()
    generator = next((run / "checkpoints").glob("*/snapshot.safetensors"))
    (tmp_path / "alone.safetensors").write_bytes(generator.read_bytes())
    assert recreate(file, tmp_path / "alone.safetensors", again) == 2
    assert "holds no D" in capsys.readouterr().err
