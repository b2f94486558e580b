"""Statistics of real images: never stale, never mistaken for what they are not."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from biggan.cli.main import main
from biggan.evaluation.protocol import comparable
from tests.rooms.evaluation.calling import evaluated, failed

MakeFolder = Callable[..., Path]


@pytest.mark.nightly
def test_an_interrupted_reference_leaves_nothing(
    run: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from biggan.metrics.random_features import RandomFeatures

    shutil.rmtree(cache / "references", ignore_errors=True)
    words = (run, "--count", 20, "--metrics", "fid", "--features", "random")
    original, calls = RandomFeatures.__call__, []

    def killed(self: RandomFeatures, images: torch.Tensor) -> Any:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(self, images)

    monkeypatch.setattr(RandomFeatures, "__call__", killed)
    assert main(["evaluate", *map(str, words), "--device", "cpu"]) == 130
    assert not list(cache.glob("references/*"))
    monkeypatch.setattr(RandomFeatures, "__call__", original)
    first = evaluated(capsys, *words)["fd_random"]
    again = evaluated(capsys, *words)["fd_random"]
    assert (first.reference_from_cache, again.reference_from_cache) == (False, True)
    assert first.value == again.value
    (stored,) = cache.glob("references/*.safetensors")
    stored.write_bytes(stored.read_bytes()[:1000])
    assert evaluated(capsys, *words)["fd_random"].value == first.value, "a damaged one is made again"


def test_swapped_data_are_noticed(make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged = make_folder({"a": 9, "b": 9}, size=(16, 16), name="judged")
    data = make_folder({"a": 9, "b": 9}, size=(16, 16), name="data", seed=1)
    words = (judged, "--data", data, "--features", "random", "--metrics", "fid", "--out", tmp_path)
    first = evaluated(capsys, *words)["fd_random"]
    assert evaluated(capsys, *words)["fd_random"].reference_from_cache
    Image.new("RGB", (16, 16), "red").save(data / "a" / "0000.png")
    swapped = evaluated(capsys, *words)["fd_random"]
    assert not swapped.reference_from_cache
    assert swapped.value != first.value


@pytest.mark.nightly
def test_given_statistics(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (run, "--count", 50, "--metrics", "fid", "--features", "random")
    right = evaluated(capsys, *words)["fd_random"]
    make = [
        "evaluate",
        "reference",
        "--data",
        "digits",
        "--resolution",
        "16",
        "--features",
        "random",
        "--device",
        "cpu",
    ]
    for name in ("r.npz", "r.safetensors"):
        assert main([*make, "--out", str(tmp_path / name)]) == 0
        record = evaluated(capsys, *words, "--reference", tmp_path / name)["fd_random"]
        assert record.value == pytest.approx(right.value, rel=1e-9)
        reference = record.conditions.reference
        assert reference is not None
        assert f"_given-r-{str(reference.file)[:8]}_" in record.protocol
        assert reference.count == record.conditions.real_count == 1797, "the file says of how many images it is"
        assert not comparable(record.conditions, right.conditions), "the same images, features and size"
    with np.load(tmp_path / "r.npz") as archive:
        mean, covariance = archive["mu"], archive["sigma"]
    (tmp_path / "mm.pkl").write_bytes(pickle.dumps({"mean": mean, "cov": covariance, "size": 10}))
    assert evaluated(capsys, *words, "--reference", tmp_path / "mm.pkl")["fd_random"].value == pytest.approx(
        right.value
    )
    kid = evaluated(
        capsys, run, "--count", 50, "--metrics", "kid", "--features", "random", "--reference", tmp_path / "r.npz"
    )
    assert kid["kid_random"].value is None
    assert "for want of rows of the real images" in kid["kid_random"].notes[0]
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"mean": Path("/")}))
    error = failed(capsys, *words, "--reference", tmp_path / "evil.pkl")
    assert "which plain data have no need of" in error
    np.savez(tmp_path / "x.npz", a=mean)
    assert "holds no mean and covariance" in failed(capsys, *words, "--reference", tmp_path / "x.npz")
    assert "no such file" in failed(capsys, *words, "--reference", tmp_path / "no.npz")
