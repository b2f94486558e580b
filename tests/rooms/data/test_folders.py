"""Folders of images, and their troubles."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from biggan.data.configuration import DataConfig
from biggan.data.inspection import card
from biggan.data.order.loader import Reader
from biggan.data.preparation.checking import check_all
from biggan.foundation.errors import UserError
from tests.rooms.data.helpers import (
    MakeFolder,
    opened,
)


def test_classes_are_folders_in_order_of_name(make_folder: MakeFolder) -> None:
    root = make_folder({"dog": 2, "cat": 3, "10": 1, "9": 1})
    source = opened(root)
    assert source.class_names == ("10", "9", "cat", "dog")
    assert source.class_counts().tolist() == [1, 1, 3, 2]
    assert [source.name(i) for i in range(2)] == ["10/0000.png", "9/0000.png"]


def test_hidden_and_empty_folders_are_ignored_and_named(make_folder: MakeFolder) -> None:
    root = make_folder({"cat": 2, "dog": 2, ".ipynb_checkpoints": 2, "void": 0})
    (root / "cat" / "notes.txt").write_text("no image")
    (root / "readme.md").write_text("no image")
    source = opened(root)
    assert source.class_names == ("cat", "dog")
    remarks = " ".join(source.remarks)
    for word in (".ipynb_checkpoints", "void", "1 .txt", "1 .md"):
        assert word in remarks


def test_flat_folders_are_unconditional(make_folder: MakeFolder) -> None:
    source = opened(make_folder({"only": 5}) / "only")
    assert source.class_names == ()
    assert source.labels.tolist() == [0] * 5
    assert "no classes" in card.text(card.describe(source))


def test_an_extra_level_is_an_error_with_both_fixes(make_folder: MakeFolder) -> None:
    root = make_folder({"train/cat": 2, "train/dog": 2})
    with pytest.raises(UserError, match=r"1 class \('train'\) that holds 2 sub-folders") as error:
        opened(root)
    assert f"--data {root / 'train'}" in str(error.value)
    assert "move its images out of the sub-folders" in str(error.value)


def test_splits_are_not_classes(make_folder: MakeFolder) -> None:
    with pytest.raises(UserError, match="look like splits"):
        opened(make_folder({"train/cat": 1, "train/dog": 1, "val/cat": 1, "val/dog": 1}))


def test_nested_folders_belong_to_their_class(make_folder: MakeFolder) -> None:
    source = opened(make_folder({"cat/tabby": 2, "cat/siamese": 1, "dog/pug": 2}))
    assert source.class_names == ("cat", "dog")
    assert source.class_counts().tolist() == [3, 2]


@pytest.mark.parametrize(
    ("modes", "channels"),
    [(["L", "LA", "1", "I;16"], 1), (["L", "RGB"], 3), (["RGBA"], 3), (["P"], 3), (["L"], 1)],
)
def test_channels_come_from_the_images(tmp_path: Path, modes: list[str], channels: int) -> None:
    for i, mode in enumerate(modes):
        image = Image.fromarray(np.full((20, 20), 9, np.uint16)) if mode == "I;16" else Image.new(mode, (20, 20))
        if mode == "P":
            image.putpalette([9, 0, 200] * 256)
        image.save(tmp_path / f"{i}.png")
    source = opened(tmp_path)
    assert source.channels == channels
    assert source.read(0).shape[0] == channels
    assert ("mixed colour modes" in " ".join(source.remarks)) == (len(modes) > 1)
    assert opened(tmp_path, channels=1).read(0).shape[0] == 1


def test_corrupt_images_are_named_before_training(make_folder: MakeFolder) -> None:
    root = make_folder({"cat": 3})
    (root / "cat" / "0001.png").write_bytes(b"this is not an image")
    with pytest.raises(UserError, match=r"1 of 3 images cannot be used:\n  cat/0001.png"):
        opened(root)
    source = opened(root, skip_corrupt=True)
    assert [source.name(i) for i in range(len(source))] == ["cat/0000.png", "cat/0002.png"]
    assert "left out 1 corrupt" in " ".join(source.remarks)


def test_truncated_images_are_found_by_checking_and_replaced_without(make_folder: MakeFolder) -> None:
    root = make_folder({"cat": 3, "dog": 2})
    path = root / "cat" / "0002.png"
    path.write_bytes(path.read_bytes()[:200])
    source = opened(root)  # the header is whole
    with pytest.raises(UserError, match=r"cat/0002.png: .*truncated"):
        check_all(source, DataConfig(path=str(root)))
    read = Reader(source)[0, np.array([2, 4])]
    assert read.labels.tolist() == [0, 1]
    assert len(read.problems) == 1
    assert "cat/0000.png takes its place" in read.problems[0]
    assert np.array_equal(read.images, [source.read(0), source.read(4)])
    whole = check_all(source, DataConfig(path=str(root), skip_corrupt=True))
    assert len(whole) == 4
    assert "cat/0002.png" in " ".join(whole.remarks)


def test_one_folder_of_everything(tmp_path: Path) -> None:
    """Corrupt, tiny, gray, RGBA, palette, 16-bit, CMYK, animated: each handled or named."""
    root = tmp_path / "all" / "zoo"
    root.mkdir(parents=True)
    Image.new("RGB", (30, 30)).save(root / "rgb.png")
    Image.new("RGB", (3, 3)).save(root / "tiny.png")
    Image.new("L", (30, 30)).save(root / "gray.png")
    Image.new("RGBA", (30, 30)).save(root / "rgba.png")
    Image.new("P", (30, 30)).save(root / "palette.png")
    Image.fromarray(np.full((30, 30), 40_000, np.uint16)).save(root / "deep.png")
    Image.new("CMYK", (30, 30)).save(root / "cmyk.jpg")
    Image.new("RGB", (30, 30)).save(root / "anim.gif", save_all=True, append_images=[Image.new("RGB", (30, 30), "red")])
    (root / "float.tif").write_bytes(_tiff_float())
    (root / "empty.png").write_bytes(b"")
    source = opened(tmp_path / "all", skip_corrupt=True)
    source = check_all(source, DataConfig(path=str(tmp_path), skip_corrupt=True))
    assert len(source) == 8
    remarks = "\n".join(source.remarks)
    for word in ("empty.png", "float.tif", "1 animated", "below 8", "mixed colour modes", "smaller than 16x16"):
        assert word in remarks, word
    assert [source.read(i).shape for i in range(8)] == [(3, 16, 16)] * 8


def _tiff_float() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.linspace(-3, 9, 900, dtype=np.float32).reshape(30, 30)).save(buffer, "TIFF")
    return buffer.getvalue()


def test_a_link_that_leads_back_ends(make_folder: MakeFolder) -> None:
    root = make_folder({"cat": 2, "dog": 1})
    (root / "cat" / "loop").symlink_to(root / "cat", target_is_directory=True)
    assert len(opened(root)) == 3


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no images found"):
        opened(tmp_path)
