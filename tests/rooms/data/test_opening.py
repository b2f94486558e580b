"""What opening says of data: the contract in short, digits, the card."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from biggan.data.configuration import DataConfig
from biggan.data.contract import ImageSource
from biggan.data.inspection import card
from biggan.data.opening import open_source
from biggan.data.sources.digits import load_digits, to_levels
from biggan.foundation.errors import UserError
from tests.rooms.data.helpers import (
    MakeFolder,
    opened,
    write_hdf5,
)


@pytest.fixture(params=["digits", "folder", "hdf5"])
def any_source(request: pytest.FixtureRequest, make_folder: MakeFolder, tmp_path: Path) -> ImageSource:
    if request.param == "digits":
        return opened("digits")
    if request.param == "folder":
        return opened(make_folder({"b": 3, "a": 4}))
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 16, 16), dtype=np.uint8)
    return opened(write_hdf5(tmp_path / "x.hdf5", images, np.array([0, 0, 1, 1, 1, 2, 2])))


def test_every_source_keeps_the_contract(any_source: ImageSource) -> None:
    source = any_source
    assert len(source) == len(source.labels)
    assert source.labels.dtype == np.int64
    assert set(source.labels) <= set(range(len(source.class_names)))
    assert source.class_counts().sum() == len(source)
    image = source.read(len(source) - 1)
    assert image.shape == (source.channels, *source.resolution)
    assert image.dtype == np.uint8
    assert np.array_equal(image, source.read(len(source) - 1)), "reading is deterministic"
    copy = pickle.loads(pickle.dumps(source))  # as a worker process that is spawned gets it
    assert np.array_equal(copy.read(0), source.read(0))
    assert source.notes().examined == len(source)
    assert len(source.name(0)) > 0
    assert next(source.substitutes(0)) == 1
    assert sorted(source.substitutes(0)) == list(range(1, len(source)))


def test_every_source_has_a_card(any_source: ImageSource) -> None:
    described = card.describe(any_source)
    written = card.text(described)
    assert f"{len(any_source):,} images" in written
    assert all(name in written for name in any_source.class_names)
    assert card.picture(any_source).size > (100, 100)


def test_nothing_there() -> None:
    with pytest.raises(UserError, match="--data PATH"):
        open_source(DataConfig(), (16, 16))
    with pytest.raises(UserError, match="there is nothing at this path"):
        opened("/no/such/folder")
    with pytest.raises(UserError, match="not a kind of data"):
        opened(__file__)


@pytest.mark.parametrize("side", [16, 32, 64])
def test_digits_average_back_to_the_originals_exactly(side: int) -> None:
    source = opened("digits", (side, side))
    images, labels = load_digits()
    order = np.argsort(labels, kind="stable")
    shown = np.stack([source.read(i)[0] for i in range(len(source))])
    assert np.array_equal(np.round(to_levels(shown), 9) * 0 + to_levels(shown).round(9), to_levels(shown).round(9))
    assert np.abs(to_levels(shown) - images[order]).max() < 0.032  # bytes hold the 17 levels to half a byte
    assert np.array_equal(to_levels(shown).round().astype(int), images[order].astype(int))
    cells = shown.reshape(len(shown), 8, side // 8, 8, side // 8)
    assert np.array_equal(cells.min(axis=(2, 4)), cells.max(axis=(2, 4))), "a cell is one pixel, repeated"
    assert np.array_equal(source.labels, labels[order])


def test_digits_at_sizes_that_do_not_fit() -> None:
    with pytest.raises(UserError, match="multiples of 8"):
        opened("digits", (20, 20))
    assert opened("digits", channels=3).read(0).shape == (3, 16, 16)
    with pytest.raises(UserError, match="gray"):
        opened("digits", channels=4)


def test_the_card_warns(make_folder: MakeFolder) -> None:
    written = card.text(card.describe(opened(make_folder({"many": 42, "few": 2}))))
    assert "imbalanced: the largest has 42 images, the smallest 2" in written
    assert "1 class has fewer than 10 images, for example few" in written
    one = card.text(card.describe(opened(make_folder({"alone": 3}, name="one"))))
    assert "one class only ('alone')" in one


def test_the_card_survives_unreadable_and_odd_images(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder({"cat": 2})
    path = root / "cat" / "0000.png"
    path.write_bytes(path.read_bytes()[:200])
    assert card.picture(opened(root)).size
    images = np.zeros((3, 5, 16, 16), np.uint8)
    assert card.picture(opened(write_hdf5(tmp_path / "five.h5", images, np.zeros(3, np.int64)))).size
