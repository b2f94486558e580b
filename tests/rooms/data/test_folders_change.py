"""Folders and zip files that are odd, or not what they were when a run began."""

from __future__ import annotations

import dataclasses
import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from biggan.data.configuration import DataConfig
from biggan.data.opening import open_source
from biggan.data.order.epochs import make_order
from biggan.data.order.loader import make_loader
from biggan.data.preparation.checking import check_all
from biggan.foundation.errors import UserError
from biggan.foundation.groups import Share
from tests.conftest import tiny, tiny_config
from tests.data_kinds import SIDE, png
from tests.rooms.data.helpers import images, put
from tests.rooms.data.helpers import opened_as_stored as opened


def test_fine_labels(tmp_path: Path) -> None:
    put(tmp_path, "cat/tabby/a.png", "cat/siamese/b.png", "dog/pug/c.png", "dog/d.png")
    assert opened(tmp_path).class_names == ("cat", "dog")
    assert opened(tmp_path, fine_labels=True).class_names == ("cat/siamese", "cat/tabby", "dog", "dog/pug")


def test_a_changed_folder_is_noticed(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.png", "cat/b.png", "dog/c.png")
    before = opened(tmp_path).key()
    assert opened(tmp_path).key() == before
    (tmp_path / "cat" / "a.png").write_bytes(png(images().pixels[9]))
    changed = opened(tmp_path).key()
    assert changed != before
    (tmp_path / "dog" / "c.png").rename(tmp_path / "dog" / "d.png")
    assert opened(tmp_path).key() not in (before, changed)


def test_a_changed_folder_is_told_on_resume(tmp_path: Path) -> None:
    from biggan.training.setup import train

    root = tmp_path / "images"
    put(root, "cat/a.png", "cat/b.png", "dog/c.png")
    config = tiny_config(tmp_path / "run", data=DataConfig(path=str(root)), model=tiny(channels=3), duration=16)
    train(config)
    assert "the data changed" not in (tmp_path / "run" / "log.txt").read_text()
    (root / "cat" / "a.png").write_bytes(png(images().pixels[9]))
    train(dataclasses.replace(config, duration=32))
    assert "the data changed: as many images as before" in (tmp_path / "run" / "log.txt").read_text()


def test_a_zip_that_is_none_and_members_that_are_damaged(tmp_path: Path) -> None:
    from tests.data_kinds import as_zip

    path = Path(as_zip(images(), tmp_path))
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)  # inside the first member
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"1 of 40 images cannot be used:\n  ape/00000.png"):
        opened(path)
    assert len(opened(path, skip_corrupt=True)) == 39
    (tmp_path / "text.zip").write_bytes(b"no zip")
    with pytest.raises(UserError, match="not a kind of data"):
        opened(tmp_path / "text.zip")


def test_everything_wrong_in_one_folder_is_named(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.png")
    (tmp_path / "cat" / "b.png").write_bytes(png(images().pixels[0])[:-200])
    buffer = io.BytesIO()
    Image.new("CMYK", (9, 9)).save(buffer, "JPEG")
    (tmp_path / "cat" / "c.jpg").write_bytes(buffer.getvalue())
    source = opened(tmp_path)
    with pytest.raises(UserError, match=r"b\.png: .*truncated"):
        check_all(source, DataConfig(path=str(tmp_path)))


def test_reviewed_troubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What once went wrong silently."""
    put(tmp_path / "loose", *[f"{i}.png" for i in range(5)], "thumbs/x.png")
    with pytest.raises(UserError, match="5 images lie beside sub-folders"):
        opened(tmp_path / "loose")
    put(tmp_path / "linked", "cat/a.png")
    for name in ("alpha", "beta"):
        (tmp_path / "linked" / name).symlink_to(tmp_path / "linked" / "cat", target_is_directory=True)
    assert opened(tmp_path / "linked").class_names == ("alpha", "beta", "cat")
    np.savez(tmp_path / "sparse.npz", x=images().pixels[:2], y=np.array([0, 30_000_000]))
    with pytest.raises(UserError, match="number the classes anew"):
        opened(tmp_path / "sparse.npz")
    np.save(tmp_path / "x.npy", images().pixels[:4])
    np.save(tmp_path / "labels.npy", np.array([0, 0, 1, 1]))
    before = opened(tmp_path / "x.npy").key()
    np.save(tmp_path / "labels.npy", np.array([0, 1, 0, 1]))
    assert opened(tmp_path / "x.npy").key() != before, "labels beside are part of the data"
    Image.fromarray(np.full((9, 9), 200, np.int32)).save(tmp_path / "wide.tif")
    put(tmp_path / "other", "c/a.png")
    shutil.copy(tmp_path / "wide.tif", tmp_path / "other" / "c" / "wide.tif")
    with pytest.raises(UserError, match="no defined white"):
        check_all(opened(tmp_path / "other"), DataConfig(path="x"))
    put(tmp_path / "strange", "a\x07b/a.png")
    with pytest.raises(UserError, match="no readable text"):
        opened(tmp_path / "strange")
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "digits", "a/a.png")
    assert "--data ./digits" in " ".join(opened("digits").remarks)
    assert opened("./digits").class_names == ("a",)


def test_a_zip_of_a_folder_in_a_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for i, name in enumerate(("flowers/rose/a.png", "flowers/rose/b.png", "flowers/lily/c.png")):
            archive.writestr(name, png(images().pixels[i]))
    assert opened(tmp_path / "z.zip").class_names == ("lily", "rose")


def test_a_class_of_nothing_but_truncated_images(tmp_path: Path) -> None:
    put(tmp_path, "bad/0.png", "bad/1.png", "good/2.png", "good/3.png")
    for name in ("bad/0.png", "bad/1.png"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:300])
    config = DataConfig(path=str(tmp_path))
    source = open_source(config, (SIDE, SIDE))
    loader = make_loader(source, make_order(source, config, 0), first=0, share=lambda _: Share(4), workers=0)
    batch = next(loader)
    assert set(batch.labels.tolist()) == {1}
    assert len(batch.problems) == 2
