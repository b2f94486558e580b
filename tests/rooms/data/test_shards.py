"""Tar shards and tables of the hub."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from biggan.data.configuration import DataConfig
from biggan.data.opening import open_source
from biggan.data.order.epochs import make_order
from biggan.foundation.errors import UserError
from tests.data_kinds import add, as_shards, png
from tests.rooms.data.helpers import images
from tests.rooms.data.helpers import opened_as_stored as opened


def test_shard_troubles(tmp_path: Path) -> None:
    path = as_shards(images(), tmp_path)
    with pytest.raises(UserError, match="1 shards are missing"):
        opened(path.replace("002", "003"))
    with pytest.raises(UserError, match="runs backwards"):
        opened(str(tmp_path / "part-{5..2}.tar"))
    config = DataConfig(path=path, label_sampling="uniform")
    source = open_source(config, (16, 16))
    with pytest.raises(UserError, match="not by class"):
        make_order(source, config, 0)
    with tarfile.open(tmp_path / "part-001.tar", "a") as archive:
        add(archive, "999999.png", png(images().pixels[0]))
    with pytest.raises(UserError, match=r"1 of 41 images have no class .*999999\.png"):
        opened(path)
    assert len(opened(path, labels="unconditional")) == 41
    data = (tmp_path / "part-000.tar").read_bytes()
    (tmp_path / "part-000.tar").write_bytes(data[:100])
    with pytest.raises(UserError, match="no header of a tar file at byte 0"):
        opened(path)
    assert len(opened(str(tmp_path / "part-002.tar"))) == 13


def test_hub_troubles(tmp_path: Path) -> None:
    import datasets

    datasets.Dataset.from_dict({"text": ["a", "b"]}).save_to_disk(tmp_path / "text")
    with pytest.raises(UserError, match="no column of images"):
        opened(tmp_path / "text")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["x", "y"])})
    rows = {"image": [{"bytes": png(images().pixels[i]), "path": None} for i in range(3)], "label": [1, -1, 0]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "some")
    source = opened(tmp_path / "some")
    assert source.labels.tolist() == [0, 1]
    assert "left out 1 images without a label" in source.remarks
    assert np.array_equal(source.read(0), images().pixels[2])


def test_masks_beside_images_in_shards(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for i in range(3):
            add(archive, f"{i}.png", png(images().pixels[i]))
            add(archive, f"{i}.seg.png", png(images().pixels[9]))
            add(archive, f"{i}.cls", b"1")
            add(archive, f"IMG.{i}.png", png(images().pixels[i + 3]))
            add(archive, f"IMG.{i}.cls", b"0")
    source = opened(tmp_path / "x.tar")
    assert source.class_counts().tolist() == [3, 3]
    assert not any("seg" in source.name(i) for i in range(6))
