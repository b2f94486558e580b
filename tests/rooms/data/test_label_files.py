"""Tables of labels, and the data sets of the StyleGAN tools."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biggan.foundation.errors import UserError
from tests.conftest import tiny
from tests.data_kinds import NAMES
from tests.rooms.data.helpers import images, put
from tests.rooms.data.helpers import opened_as_stored as opened


def test_tables_of_other_forms(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "sub/b.png", "c.png")
    (tmp_path / "x.csv").write_text("a.png,10\nsub/b.png,9\nc.png,10\n")  # no line of names
    source = opened(tmp_path / "x.csv")
    assert source.class_names == ("10", "9"), "in order of name, as folders are"
    assert [source.name(i) for i in range(3)] == ["a.png", "c.png", "sub/b.png"]
    (tmp_path / "x.tsv").write_text("filename\tother\tclass\na.png\t?\tred one\nc.png\t?\tblue\n")
    assert opened(tmp_path / "x.tsv").class_names == ("blue", "red one")
    (tmp_path / "x.json").write_text('[{"file_name": "a.png", "label": 3}, {"file_name": "c.png", "label": 1}]')
    assert opened(tmp_path / "x.json").class_names == ("1", "3")


def test_what_sample_writes_is_read_back(tmp_path: Path) -> None:
    from biggan.models.contract import build
    from biggan.models.snapshot import SnapshotInfo, write_snapshot

    model = tiny(classes=2, channels=3)
    info = SnapshotInfo(architecture=model, class_names=("yes", "no"), weights="ema", images_seen=0, iterations=0)
    write_snapshot(tmp_path / "g.safetensors", build(model).generator, info)
    from biggan.cli.main import main

    command = ["sample", str(tmp_path / "g.safetensors"), "--out", str(tmp_path / "out"), "--count", "6"]
    assert main([*command, "--device", "cpu"]) == 0
    source = opened(tmp_path / "out", (16, 16))
    assert source.class_names == ("no", "yes")
    assert source.class_counts().tolist() == [3, 3]
    command[command.index("--out") + 1] = str(tmp_path / "arrays")
    assert main([*command, "--device", "cpu", "--format", "npz"]) == 0
    packed = opened(tmp_path / "arrays" / "samples.npz", (16, 16))
    assert packed.class_names == ("yes", "no")
    assert np.array_equal(packed.read(0), source.read(3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.png,x\nmissing.png,y\n", r"1 of 2 files that it lists are not in .*missing\.png"),
        ("file,label\na.png\n", "line 2: 1 columns"),
        ("some,thing\n1,2\n", "needs a column of files"),
        ("", "the table is empty"),
        ("file,label\na.png,x\na.png,y\n", "a.png is listed as 'x' and as 'y'"),
        ("file,label\na.png,\n", "the label of a.png is ''"),
    ],
)
def test_wrong_tables(tmp_path: Path, text: str, message: str) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        opened(tmp_path)


def test_wrong_json(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    for text, message in (
        ("{", "not valid JSON"),
        ("3", "expected"),
        ('[["a.png"]]', "entry 0"),
        ('{"a.png": 1.5}', "1.5"),
    ):
        (tmp_path / "labels.json").write_text(text)
        with pytest.raises(UserError, match=message):
            opened(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"labels": [["a.png", 0], ["gone.png", 1]]}, "1 of 2 files that dataset.json lists are not there"),
        ({"labels": [["a.png", [0.2, 0.8]]]}, "a class is a whole number"),
        ({"labels": [["a.png", -1]]}, "classes count from 0"),
        ({"labels": [["a.png", 2]], "class_names": ["x"]}, "names 1 classes, the labels need 3"),
        ([], "holds no 'labels'"),
    ],
)
def test_wrong_dataset_json(tmp_path: Path, content: Any, message: str) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        opened(tmp_path)


def test_dataset_json_without_labels_and_one_hot(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "dataset.json").write_text('{"labels": null}')
    assert opened(tmp_path).class_names == ()
    (tmp_path / "dataset.json").write_text('{"labels": [["a.png", [0, 0, 1]], ["b.png", [1, 0, 0]]]}')
    source = opened(tmp_path)
    assert source.labels.tolist() == [0, 2]
    assert source.class_counts().tolist() == [1, 0, 1]
    assert "ignored 1 images that dataset.json does not list" in source.remarks


def test_export_and_back(tmp_path: Path) -> None:
    from biggan.cli.main import main
    from tests.data_kinds import as_folder

    folder = as_folder(images(), tmp_path / "f")
    assert main(["data", "export", folder, str(tmp_path / "out.zip"), "--resolution", "32"]) == 0
    back = opened(tmp_path / "out.zip")
    assert back.class_names == NAMES
    assert np.array_equal(back.read_many(np.arange(len(back))), images().pixels)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:  # what the StyleGAN tools look for
        labels = json.loads(archive.read("dataset.json"))["labels"]
        assert labels[5] == ["00000/img00000005.png", 1]
    assert main(["data", "export", folder, str(tmp_path / "out.zip"), "--resolution", "32"]) == 2
