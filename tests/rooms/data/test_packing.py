"""``biggan data prepare``: what is packed is what training would see."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from biggan.cli.main import main
from biggan.data.preparation.packing import content_hash
from biggan.foundation.tensor_files import read_tensors
from tests.conftest import assert_same_tensors
from tests.rooms.data.helpers import (
    MakeFolder,
    opened,
    prepare,
    whole,
)


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("resolution", ["16", "24x40"])
def test_what_is_packed_is_what_training_would_see(
    make_folder: MakeFolder, tmp_path: Path, workers: str, resolution: str
) -> None:
    folder = make_folder({"b": 50, "a": 40})
    assert prepare(folder, tmp_path / "x.hdf5", "--workers", workers, resolution=resolution) == 0
    size = (16, 16) if resolution == "16" else (24, 40)
    plain, packed = opened(folder, size), opened(tmp_path / "x.hdf5", size)
    assert np.array_equal(whole(packed), whole(plain))
    assert np.array_equal(packed.labels, plain.labels)
    assert packed.class_names == plain.class_names
    assert packed.in_memory
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images", "x.hdf5"], "nothing else is left"


def test_the_file(make_folder: MakeFolder, tmp_path: Path) -> None:
    """One contiguous data set that anything can map; read as BigGAN-PyTorch reads it; a hash of its content."""
    folder = make_folder({"a": 5, "b": 4})
    assert prepare(folder, tmp_path / "x.hdf5") == 0
    with h5py.File(tmp_path / "x.hdf5", "r") as file:
        images, labels = file["imgs"], file["labels"]
        assert (images.shape, images.dtype, labels.dtype) == ((9, 3, 16, 16), np.uint8, np.int64)
        assert images.chunks is None
        assert len(file["imgs"]) == len(file["labels"][:])
        first = ((file["imgs"][0].astype(np.float32) / 255) - 0.5) * 2  # how its own loader takes an item
        assert first.shape == (3, 16, 16)
        assert int(file["labels"][8]) == 1
        mapped = np.memmap(tmp_path / "x.hdf5", np.uint8, "r", images.id.get_offset(), images.shape)
        assert np.array_equal(mapped, images[:])
        assert file["source_hashes"].shape == (9, 16)
        key = content_hash(file["pixel_hashes"][:], labels[:], ("a", "b"), [3, 16, 16])
        assert file.attrs["content_hash"].decode() == key == opened(tmp_path / "x.hdf5").key()
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert prepare(tmp_path / "elsewhere", tmp_path / "y.hdf5") == 0
    assert opened(tmp_path / "y.hdf5").key() == key, "the key is of the content, not of the place"


@pytest.mark.parametrize("crop", ["center", "top", "random", "none", "pad"])
@pytest.mark.parametrize("filter_", ["lanczos", "bicubic", "box", "bilinear"])
def test_options_mean_the_same_when_packed_and_at_access(
    make_folder: MakeFolder, tmp_path: Path, crop: Any, filter_: Any
) -> None:
    folder = make_folder({"a": 4}, size=(20, 33))
    options = ["--crop", crop, "--filter", filter_, "--background", "#204060"]
    assert prepare(folder / "a", tmp_path / "x.hdf5", *options) == 0
    packed = opened(tmp_path / "x.hdf5")
    assert packed.class_names == ()
    plain = opened(folder / "a", crop=crop, filter=filter_, background="#204060")
    assert np.array_equal(whole(packed), whole(plain))


def test_crops_by_value(tmp_path: Path) -> None:
    pixels = np.zeros((64, 32, 3), np.uint8)
    pixels[:32] = (200, 0, 0)
    (tmp_path / "f").mkdir()
    Image.fromarray(pixels).save(tmp_path / "f" / "x.png")
    tops = {
        crop: opened(tmp_path / "f", crop=crop, background="blue", filter="box").read(0)
        for crop in ("top", "none", "pad")
    }
    assert (tops["top"][0] == 200).all()
    assert (tops["none"][0][:7] == 200).all()
    assert (tops["none"][0][9:] == 0).all()
    assert (tops["pad"][2][:, :3] == 255).all()
    assert (tops["pad"][0][:7, 5:11] == 200).all()


def test_selected_and_mixed_data_can_be_packed(make_folder: MakeFolder, tmp_path: Path) -> None:
    one, two = make_folder({"a": 3, "b": 2}, name="one"), make_folder({"c": 4, "d": 1}, name="two")
    options = ["--mix", str(two), "--classes", "a", "c", "--channels", "1"]
    assert prepare(one, tmp_path / "x.hdf5", *options) == 0
    packed = opened(tmp_path / "x.hdf5")
    assert packed.class_names == ("a", "c")
    assert packed.class_counts().tolist() == [3, 4]
    assert packed.channels == 1


def test_corrupt_images_are_listed_and_what_was_done_is_kept(
    make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder({"a": 40, "b": 30})
    for name in ("a/0003.png", "b/0029.png"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
    assert prepare(folder, tmp_path / "x.hdf5") == 2
    error = capsys.readouterr().err
    assert "2 of 70 images are corrupt, for example a/0003.png" in error
    assert "--skip-corrupt" in error
    assert not (tmp_path / "x.hdf5").exists()
    report = (tmp_path / "x.hdf5.corrupt.txt").read_text()
    assert report.startswith("a/0003.png\t")
    assert "b/0029.png" in report
    assert prepare(folder, tmp_path / "x.hdf5", "--skip-corrupt") == 0
    assert "went on at 70 images" in capsys.readouterr().out
    packed = opened(tmp_path / "x.hdf5")
    assert packed.class_counts().tolist() == [39, 29]
    plain = opened(folder)
    kept = [i for i in range(70) if plain.name(i) not in ("a/0003.png", "b/0029.png")]
    assert np.array_equal(whole(packed), plain.read_many(np.array(kept)))
    with h5py.File(tmp_path / "x.hdf5") as file:
        assert file["imgs"].shape[0] == file["labels"].shape[0] == 68


def test_a_file_is_never_overwritten(
    make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder({"a": 2, "b": 2})
    (tmp_path / "x.hdf5").write_bytes(b"precious")
    assert prepare(folder, tmp_path / "x.hdf5") == 2
    assert "add --overwrite to replace it" in capsys.readouterr().err
    assert (tmp_path / "x.hdf5").read_bytes() == b"precious"
    assert prepare(folder, tmp_path / "x.png") == 2
    assert "ends in .hdf5" in capsys.readouterr().err


def test_other_settings_or_data_start_again(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder({"a": 70})
    (folder / "a" / "0050.png").write_bytes((folder / "a" / "0050.png").read_bytes()[:300])
    assert prepare(folder / "a", tmp_path / "x.hdf5") == 2  # stopped by the corrupt one
    assert prepare(folder / "a", tmp_path / "x.hdf5", "--skip-corrupt", "--filter", "box") == 0
    assert np.array_equal(opened(tmp_path / "x.hdf5").read(0), opened(folder / "a", filter="box").read(0))


def test_images_that_are_much_enlarged_are_told(
    make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder({"a": 3}, size=(20, 20))
    assert prepare(folder / "a", tmp_path / "x.hdf5", resolution="64") == 0
    assert "3 of 3 images are enlarged more than 2 times" in capsys.readouterr().out


@pytest.mark.nightly
def test_training_on_a_packed_file_that_two_runs_share(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder({"a": 20, "b": 20})
    assert prepare(folder, tmp_path / "x.hdf5") == 0
    command = [
        sys.executable,
        "-m",
        "biggan",
        "train",
        "digits",
        "--data",
        str(tmp_path / "x.hdf5"),
        "--duration",
        "64",
    ]
    command += "--batch 16 --device cpu --log.no-tensorboard --log.samples-every 1G".split()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    runs = [
        subprocess.Popen([*command, "--run-dir", str(tmp_path / name)], stdout=subprocess.DEVNULL, env=environment)
        for name in ("one", "two")
    ]
    assert [run.wait() for run in runs] == [0, 0]
    one, two = (read_tensors(tmp_path / name / "checkpoints" / "64" / "state.safetensors") for name in ("one", "two"))
    assert_same_tensors(one, two)


def test_a_packed_file_that_was_changed_is_refused(make_folder: MakeFolder, tmp_path: Path) -> None:
    from biggan.foundation.errors import CorruptFileError

    assert prepare(make_folder({"a": 3, "b": 3}), tmp_path / "x.hdf5") == 0
    shutil.copy(tmp_path / "x.hdf5", tmp_path / "y.hdf5")
    with h5py.File(tmp_path / "y.hdf5", "r+") as file:
        file["labels"][...] = [1, 1, 1, 0, 0, 0]
    with pytest.raises(CorruptFileError, match="labels, class names or hashes are not those that were packed"):
        opened(tmp_path / "y.hdf5")
    with h5py.File(tmp_path / "x.hdf5", "r+") as file:
        file["imgs"][2] = 0
    with pytest.raises(CorruptFileError, match="image 2 is not the one that was packed"):
        opened(tmp_path / "x.hdf5")


def test_what_packing_cannot_hold_is_refused(
    make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = make_folder({"a": 3}, name="one"), make_folder({"a": 2}, name="two")
    assert prepare(one, tmp_path / "x.hdf5", "--mix", f"{two}=2") == 2
    assert "without weights" in capsys.readouterr().err
    assert main(["data", "export", str(one), str(tmp_path / "x.hdf5"), "--resolution", "16"]) == 2
    assert "ends in .zip" in capsys.readouterr().err
    assert main(["data", "inspect", str(one), "--out", str(tmp_path / "card")]) == 2
    assert "end the name of a picture in .png" in capsys.readouterr().err
    unlabelled = make_folder({"flat": 3}, name="three") / "flat"
    assert prepare(one, tmp_path / "y.hdf5", "--mix", str(unlabelled), "--labels", "unconditional") == 0
    assert len(opened(tmp_path / "y.hdf5")) == 6
