"""``biggan data prepare`` and ``inspect``: one file, whole or absent, whatever happens on the way."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from biggan.cli.main import main
from biggan.data.configuration import DataConfig
from biggan.data.contract import ImageSource
from biggan.data.opening import open_source
from biggan.data.preparation.packing import content_hash

MakeFolder = Callable[..., Path]


def opened(path: object, resolution: tuple[int, int] = (16, 16), **values: Any) -> ImageSource:
    return open_source(DataConfig(path=str(path), **values), resolution)


def prepare(source: Path | str, target: Path, *options: str, resolution: str = "16") -> int:
    return main(["data", "prepare", str(source), str(target), "--resolution", resolution, *options])


def whole(source: ImageSource) -> np.ndarray[Any, Any]:
    return source.read_many(np.arange(len(source)))


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
        assert file.attrs["content_hash"] == key == opened(tmp_path / "x.hdf5").key()
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
    assert "never overwritten" in capsys.readouterr().err
    assert (tmp_path / "x.hdf5").read_bytes() == b"precious"
    assert prepare(folder, tmp_path / "x.png") == 2
    assert "ends in .hdf5" in capsys.readouterr().err


def slow_prepare(folder: Path, target: Path, workers: str = "2") -> subprocess.Popen[bytes]:
    program = (
        "import sys; from biggan.data.preparation import packing; from biggan.cli.main import main\n"
        "packing._PROGRESS_SECONDS = 0.02; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "data", "prepare", str(folder), str(target), "--resolution", "64"]
    return subprocess.Popen([*command, "--workers", workers], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_kills_lose_nothing(make_folder: MakeFolder, tmp_path: Path) -> None:
    """SIGKILL again and again, while images are written: the file is what one undisturbed process makes."""
    folder = make_folder({"a": 500, "b": 500}, size=(150, 150))
    assert prepare(folder, tmp_path / "whole.hdf5", resolution="64") == 0
    target, stood = tmp_path / "x.hdf5", []
    progress = tmp_path / ".x.hdf5.progress"
    for kill in range(6):
        process = slow_prepare(folder, target)
        before = stood[-1] if stood else 0
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
            if progress.exists() and json.loads(progress.read_text())["read"] > before:
                time.sleep(0.05 * kill)
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        if target.exists():
            break
        stood.append(json.loads(progress.read_text())["read"])
    assert len(stood) >= 1, "at least one kill fell into the work"
    assert stood == sorted(stood)
    finished = not target.exists()
    while not target.exists():
        assert slow_prepare(folder, target).wait() == 0
    assert target.read_bytes() == (tmp_path / "whole.hdf5").read_bytes()
    if finished:  # and not killed between the rename and the last tidying
        assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".x.")]


def test_a_kill_while_finishing(make_folder: MakeFolder, tmp_path: Path) -> None:
    """The last act can be done twice: labels half-written by a killed process leave no trace."""
    from biggan.data.preparation import packing

    folder = make_folder({"a": 40, "b": 30})
    (folder / "a" / "0001.png").write_bytes(b"no image, so that fewer are written than were allocated")
    source = opened(folder, skip_corrupt=True)
    settings: dict[str, Any] = {}
    packing.pack(source, tmp_path / "plain.hdf5", settings, workers=0)

    class Killed(BaseException):
        pass

    finish, times = packing._finish, []

    def killed_at_the_end(*arguments: Any) -> None:
        finish(*arguments)
        times.append(1)
        raise Killed

    packing._finish = killed_at_the_end
    try:
        with pytest.raises(Killed):
            packing.pack(source, tmp_path / "x.hdf5", settings, workers=0)
    finally:
        packing._finish = finish
    assert times
    done = packing.pack(source, tmp_path / "x.hdf5", settings, workers=0)
    assert done.resumed_at == 69
    assert (tmp_path / "x.hdf5").read_bytes() == (tmp_path / "plain.hdf5").read_bytes()


def test_other_settings_or_data_start_again(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder({"a": 70})
    (folder / "a" / "0050.png").write_bytes((folder / "a" / "0050.png").read_bytes()[:300])
    assert prepare(folder / "a", tmp_path / "x.hdf5") == 2  # stopped by the corrupt one
    assert prepare(folder / "a", tmp_path / "x.hdf5", "--skip-corrupt", "--filter", "box") == 0
    assert np.array_equal(opened(tmp_path / "x.hdf5").read(0), opened(folder / "a", filter="box").read(0))


def test_two_processes_do_not_write_one_file(make_folder: MakeFolder, tmp_path: Path) -> None:
    from biggan.data.preparation.packing import _alone
    from biggan.foundation.errors import UserError

    path = tmp_path / "x.hdf5"
    program = (
        "import sys; from pathlib import Path; from biggan.data.preparation.packing import _alone\n"
        "with _alone(Path(sys.argv[1])): print('mine', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(UserError, match="being written by another process"), _alone(path):
            pass
        other.kill()
    with _alone(path):  # the lock goes with the process that held it
        pass


def test_space_is_asked_for_first(
    make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder({"a": 3, "b": 1})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 2000, 2000))  # type: ignore[attr-defined]
    assert prepare(folder, tmp_path / "x.hdf5") == 2
    assert re.search(r"needs 6.27 KB, 2 KB are free", capsys.readouterr().err)
    assert not [p for p in tmp_path.iterdir() if p.name != "images" and not p.name.endswith(".lock")]


def test_a_full_disk(make_folder: MakeFolder, tmp_path: Path) -> None:
    """A file size limit stands in for a full disk: a clear error before any work, and nothing half-made."""
    folder = make_folder({"a": 30}, size=(70, 70))
    program = "import sys; from biggan.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "data", "prepare", str(folder / "a"), str(tmp_path / "x.hdf5")]

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = subprocess.run(
        [*command, "--resolution", "64"], preexec_fn=limit, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "cannot reserve 369 KB" in done.stderr
    assert [p.name for p in tmp_path.iterdir() if "x.hdf5" in p.name and not p.name.endswith(".lock")] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_is_really_full(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder({"a": 30}, size=(70, 70))
    small = tmp_path / "small"
    small.mkdir()
    script = f'mount -t tmpfs -o size=300k tmpfs {small} && exec "$@"'
    command = [sys.executable, "-m", "biggan", "data", "prepare", str(folder / "a"), str(small / "x.hdf5")]
    wrapped = ["unshare", "--mount", "sh", "-c", script, "sh", *command, "--resolution", "64"]
    done = subprocess.run(wrapped, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("this system lets nobody mount")
    assert done.returncode == 2, done.stderr
    assert "needs 738 KB, 307 KB are free" in done.stderr


def test_images_that_are_much_enlarged_are_told(
    make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder({"a": 3}, size=(20, 20))
    assert prepare(folder / "a", tmp_path / "x.hdf5", resolution="64") == 0
    assert "3 of 3 images are enlarged more than 2 times" in capsys.readouterr().out


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
    one, two = ((tmp_path / name / "checkpoints" / "64" / "state.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


# -- inspect -----------------------------------------------------------------------------------------------------------


def inspected(capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> Any:
    capsys.readouterr()
    assert main(["data", "inspect", str(path), "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


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
    suspicions = "\n".join(found["suspicions"])
    assert "classes are called like splits: train" in suspicions
    assert "differ by spelling only: 'Cat ', 'cat'" in suspicions
    assert "the same image is in Cat  and cat: Cat /copy.png" in suspicions
    assert "fewer than 10 images, for example train" in "\n".join(found["remarks"])
    with Image.open(tmp_path / "card.png") as picture:
        assert min(picture.size) > 100
    assert main(["data", "inspect", str(root)]) == 0
    shown = capsys.readouterr().out
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


def test_a_packed_file_that_was_changed_is_refused_or_another_one(make_folder: MakeFolder, tmp_path: Path) -> None:
    from biggan.foundation.errors import CorruptFileError

    assert prepare(make_folder({"a": 3, "b": 3}), tmp_path / "x.hdf5") == 0
    before = opened(tmp_path / "x.hdf5").key()
    with h5py.File(tmp_path / "x.hdf5", "r+") as file:
        file["labels"][...] = [1, 1, 1, 0, 0, 0]
    assert opened(tmp_path / "x.hdf5").key() != before
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
    assert "end the name in .png" in capsys.readouterr().err
    unlabelled = make_folder({"flat": 3}, name="three") / "flat"
    assert prepare(one, tmp_path / "y.hdf5", "--mix", str(unlabelled), "--labels", "unconditional") == 0
    assert len(opened(tmp_path / "y.hdf5")) == 6
