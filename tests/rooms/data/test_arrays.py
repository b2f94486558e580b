"""NumPy files and CIFAR: forms, damage, and programs that pretend to be data."""

from __future__ import annotations

import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biggan.foundation.errors import UserError
from tests.data_kinds import add, as_cifar_binary
from tests.rooms.data.helpers import images
from tests.rooms.data.helpers import opened_as_stored as opened


def test_arrays_of_other_forms(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    np.save(tmp_path / "gray.npy", draw.integers(0, 256, (5, 20, 16), dtype=np.uint8))
    gray = opened(tmp_path / "gray.npy", (20, 16))
    assert (gray.channels, gray.class_names, len(gray)) == (1, (), 5)
    assert "no labels" in gray.remarks[0]
    deep = np.array([0, 257, 385, 386, 65535], dtype=np.uint16).reshape(5, 1, 1, 1) * np.ones((1, 6, 16, 16), np.uint16)
    np.save(tmp_path / "deep.npy", deep)
    many = opened(tmp_path / "deep.npy", (16, 16))
    assert many.channels == 6
    assert many.read_many(np.arange(5))[:, 0, 0, 0].tolist() == [0, 1, 1, 2, 255]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 16, 16), np.float32), "must be uint8"),
        (np.zeros((3, 16), np.uint8), r"must be \[N, C, H, W\]"),
        (np.zeros((3, 16, 16, 16), np.uint8), "which axis"),
    ],
)
def test_wrong_arrays(tmp_path: Path, array: np.ndarray[Any, Any], message: str) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(UserError, match=message):
        opened(tmp_path / "x.npy")


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="not a readable NumPy file"):
        opened(tmp_path / "x.npy")
    np.savez(tmp_path / "x.npz", z=np.zeros(3))
    with pytest.raises(UserError, match="no images in it"):
        opened(tmp_path / "x.npz")


def test_uncompressed_archives_are_mapped(tmp_path: Path) -> None:
    from tests.data_kinds import as_npz

    source: Any = opened(as_npz(images(), tmp_path))
    assert isinstance(source.images, np.memmap)
    assert source.in_memory


class _Evil:
    def __reduce__(self) -> Any:
        return os.system, ("echo pwned > pwned",)


def test_a_pickle_that_asks_for_more_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as archive:
        for number in range(1, 6):
            add(archive, f"x/data_batch_{number}", pickle.dumps({b"data": _Evil()}, 2))
    with pytest.raises(UserError, match=r"asks for \w+\.system"):
        opened(tmp_path / "cifar-10-python.tar.gz")
    assert not (tmp_path / "pwned").exists()


def test_cifar_split_and_damage(tmp_path: Path) -> None:
    path = as_cifar_binary(images(), tmp_path)
    test = opened(f"{path}:test")
    assert test.labels.tolist() == sorted(images().labels[[3, 1]].tolist())
    assert test.key() != opened(path).key()
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="not a whole CIFAR archive"):
        opened(path)
