"""HDF5 files of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from biggan.data.preparation.fitting import fit_array
from biggan.foundation.errors import UserError
from tests.rooms.data.helpers import (
    MakeFolder,
    opened,
    to,
    write_hdf5,
)


def test_hdf5_as_the_reference_writes_it(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, 3, 32, 32), dtype=np.uint8)
    path = write_hdf5(tmp_path / "ILSVRC32.hdf5", images, np.arange(12) // 4)
    source = opened(path, (32, 32))
    assert source.class_names == ("0", "1", "2")
    assert np.array_equal(source.read(5), images[5])
    smaller = opened(path, (16, 16))
    assert np.array_equal(smaller.read(5), fit_array(images[5], to(16, 16, 3)))
    assert opened(path, (32, 32), channels=1).read(0).shape == (1, 32, 32)
    named = write_hdf5(tmp_path / "n.h5", images, np.arange(12) % 3, class_names=["ant", "bee", "cat"])
    assert opened(named, (32, 32)).class_names == ("ant", "bee", "cat")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.arange(3)}, r"labels must be integers \[4\]"),
        ({"labels": np.array([0, 1, -1, 0])}, "label -1 at 2"),
        ({"labels": np.zeros(4)}, "must be integers"),
        ({"imgs": np.zeros((4, 3, 8, 8), np.float32)}, "imgs must be uint8"),
        ({"imgs": np.zeros((4, 8, 8), np.uint8)}, "imgs must be uint8"),
    ],
)
def test_hdf5_with_wrong_contents(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    contents = {"imgs": np.zeros((4, 3, 8, 8), np.uint8), "labels": np.zeros(4, np.int64)} | change
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, value in contents.items():
            file[name] = value
    with pytest.raises(UserError, match=message):
        opened(tmp_path / "x.h5")


def test_hdf5_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.hdf5").write_bytes(b"no")
    with pytest.raises(UserError, match="not a readable HDF5"):
        opened(tmp_path / "x.hdf5")
    with h5py.File(tmp_path / "y.hdf5", "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(UserError, match="no 'imgs' in it, only images"):
        opened(tmp_path / "y.hdf5")


def test_folder_and_hdf5_of_the_same_images(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = opened(make_folder({"a": 5, "b": 3}))
    images = np.stack([folder.read(i) for i in range(len(folder))])
    packed = opened(write_hdf5(tmp_path / "same.h5", images, folder.labels, class_names=list(folder.class_names)))
    assert packed.class_names == folder.class_names
    for i in range(len(folder)):
        assert np.array_equal(packed.read(i), folder.read(i))
