"""Classes, sizes, features and devices: what is not alike is said or refused before it becomes a number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from biggan.cli.together import with_ranks
from biggan.data.configuration import ReadingConfig
from biggan.data.opening import open_images
from biggan.evaluation.sides import RealClasses, check_same_classes
from biggan.foundation.errors import UserError
from tests.rooms.evaluation.calling import evaluated, failed


def real(*names: str) -> RealClasses:
    return RealClasses(names=names, counts=(1,) * len(names), where="--data")


def test_classes_are_compared_by_name_and_order() -> None:
    check_same_classes(("cat", "dog", "eel"), 3, real("cat", "dog", "eel"))
    check_same_classes((), 3, real("cat", "dog", "eel"))  # a generator without names says nothing of them
    with pytest.raises(UserError, match="same classes in another order: class 1 is 'eel' there and 'dog'"):
        check_same_classes(("cat", "dog", "eel"), 3, real("cat", "eel", "dog"))
    with pytest.raises(UserError, match="other classes: class 2 is 'emu' there and 'eel'"):
        check_same_classes(("cat", "dog", "eel"), 3, real("cat", "dog", "emu"))
    with pytest.raises(UserError, match="has 2 classes, this generator was trained on 3"):
        check_same_classes(("cat", "dog", "eel"), 3, real("cat", "dog"))


def test_other_classes_of_the_same_number_are_refused_by_the_command(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    names = np.array([f"letter {index}" for index in range(10)])
    np.savez(tmp_path / "letters.npz", images=pixels, labels=np.arange(40) % 10, class_names=names)
    words = ("--data", tmp_path / "letters.npz", "--count", 20, "--metrics", "fid", "--features", "random")
    said = failed(capsys, run, *words)
    assert "other classes: class 0 is 'letter 0' there and '0' in the generator" in said


@pytest.mark.parametrize("kind", ["arrays", "packed"])
def test_enlarging_is_said_for_what_is_no_folder(tmp_path: Path, kind: str) -> None:
    from biggan.data.preparation.packing import pack

    path = tmp_path / "small.npz"
    np.savez(path, images=np.zeros((6, 12, 12, 3), dtype=np.uint8), labels=np.zeros(6, dtype=np.int64))
    if kind == "packed":
        config = ReadingConfig(path=str(path))
        pack(open_images(config, (16, 16)), tmp_path / "small.hdf5", config, workers=1)
        path = tmp_path / "small.hdf5"
    source = open_images(ReadingConfig(path=str(path)), (32, 32))
    assert source.enlarged == 6
    assert any("6 of 6 images are smaller than 32x32 and are enlarged" in remark for remark in source.remarks)


@pytest.mark.nightly
def test_statistics_of_other_features_are_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Made by one extractor and marked so, they are not taken for those of another of the same size."""
    from biggan.cli.main import main

    path = tmp_path / "real.npz"
    words = ["--data", "digits", "--resolution", "16", "--device", "cpu", "--out", str(path)]
    assert main(["evaluate", "reference", *words, "--features", "random"]) == 0
    same = ("--reference", path, "--count", 20, "--metrics", "fid", "--features")
    assert evaluated(capsys, run, *same, "random")["fd_random"].value is not None
    assert "features" in failed(capsys, run, *same, "classifier", "--data", "digits")
    with np.load(path) as stored:
        content = dict(stored)
    marks = {name: value for name, value in content.items() if value.dtype.kind in "US"}
    (name, mark) = next((name, str(value)) for name, value in marks.items() if "random" in str(value))
    content[name] = np.array(mark.replace("uint8", "bicubic-uint8"))
    assert str(content[name]) != mark
    np.savez(tmp_path / "bicubic.npz", **content)
    assert "bicubic" in failed(capsys, run, "--reference", tmp_path / "bicubic.npz", *same[2:], "random")


def test_each_process_takes_its_own_gpu_and_whole_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU is needed to see which one would be asked for, and that TF32 is off by then."""
    taken: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    seen: list[tuple[torch.device, bool, bool]] = []

    def act(device: torch.device) -> int:
        seen.append((device, torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))
        return 0

    assert with_ranks("auto", act) == 0
    assert taken == [torch.device("cuda", 3)]
    assert seen == [(torch.device("cuda", 3), False, False)]
