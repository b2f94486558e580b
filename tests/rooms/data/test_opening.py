"""Sources, preparation, order, loader, card: any labelled images, each trouble with its own message."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from biggan.data.configuration import DataConfig
from biggan.data.contract import ImageSource
from biggan.data.inspection import card
from biggan.data.opening import open_source
from biggan.data.order.epochs import DataOrder
from biggan.data.order.loader import Reader, make_loader
from biggan.data.preparation.checking import check_all
from biggan.data.preparation.decoding import load_image
from biggan.data.preparation.fitting import Preparation, fit, fit_array
from biggan.data.sources.digits import load_digits, to_levels
from biggan.foundation.errors import UserError
from biggan.training.draws import Share

MakeFolder = Callable[..., Path]


def opened(path: object, resolution: tuple[int, int] = (16, 16), **values: Any) -> ImageSource:
    return open_source(DataConfig(path=str(path), **values), resolution)


def write_hdf5(path: Path, images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], **more: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("imgs", data=images, chunks=(min(len(images), 5), *images.shape[1:]))
        file.create_dataset("labels", data=labels)
        for name, value in more.items():
            file[name] = value
    return path


# -- the contract, over every source -----------------------------------------------------------------------------------


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


# -- digits ------------------------------------------------------------------------------------------------------------


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


# -- preparation, by value ---------------------------------------------------------------------------------------------


def to(height: int, width: int, channels: int, **values: Any) -> Preparation:
    return Preparation(resolution=(height, width), channels=channels, **values)


def loaded(path: Path, background: str = "white") -> Image.Image:
    with path.open("rb") as file:
        return load_image(file, str(path), background)


def through(tmp_path: Path, image: Image.Image, name: str = "x.png", **save: Any) -> np.ndarray[Any, Any]:
    path = tmp_path / name
    image.save(path, **save)
    return np.asarray(loaded(path))


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.array([[0, 1, 128, 129, 257, 32768, 65406, 65535]], dtype=np.uint16)
    expected = np.round(values / 257).astype(np.uint8)
    for name in ("x.png", "x.tif"):
        assert np.array_equal(through(tmp_path, Image.fromarray(values), name), expected)
    wide = values.astype(np.int32)
    assert np.array_equal(through(tmp_path, Image.fromarray(wide), "y.tif"), expected)


def png_16_bit(path: Path, pixels: np.ndarray[Any, Any]) -> Path:
    """Write a 16-bit colour PNG by hand: Pillow cannot."""
    import struct
    import zlib

    height, width, channels = pixels.shape

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    return path


def test_sixteen_bit_colour_is_rounded_too(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    deep = loaded(png_16_bit(tmp_path / "rgb.png", pixels))
    assert deep.mode == "RGB"
    assert np.array_equal(np.asarray(deep), np.round(pixels / 257).astype(np.uint8))
    opaque = np.concatenate([pixels, np.full((5, 7, 1), 65535, np.uint16)], axis=2)
    assert np.array_equal(np.asarray(loaded(png_16_bit(tmp_path / "rgba.png", opaque))), np.asarray(deep))
    clear = opaque.copy()
    clear[..., 3] = 0
    assert (np.asarray(loaded(png_16_bit(tmp_path / "clear.png", clear))) == 255).all()


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    half = Image.new("RGBA", (4, 4), (200, 0, 0, 128))
    assert tuple(through(tmp_path, half)[0, 0]) == (227, 127, 127)
    assert (through(tmp_path, Image.new("RGBA", (4, 4), (0, 0, 0, 0))) == 255).all()
    gray = through(tmp_path, Image.new("LA", (4, 4), (0, 0)))
    assert gray.ndim == 2
    assert (gray == 255).all()
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    assert tuple(through(tmp_path, palette)[0, 0]) == (0, 0, 255)
    assert (through(tmp_path, palette, "t.png", transparency=1) == 255).all()


def test_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by a quarter to the right to see it upright
    turned = through(tmp_path, image, exif=exif)
    assert np.array_equal(turned, np.rot90(np.asarray(image), -1))


def test_colour_profiles_become_srgb(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 4), (100, 150, 200))
    same = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert tuple(through(tmp_path, image, icc_profile=same)[0, 0]) == (100, 150, 200)
    linear = _linear_profile()
    brighter = through(tmp_path, image, icc_profile=linear)[0, 0].astype(int)
    assert (brighter > [120, 170, 210]).all(), "numbers that meant linear light are brighter in sRGB"
    damaged = through(tmp_path, image, icc_profile=b"not a profile at all" * 10)
    assert tuple(damaged[0, 0]) == (100, 150, 200)


def _linear_profile() -> bytes:
    """Return an RGB profile with a linear tone curve, made from sRGB's by replacing its curves."""
    import struct

    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", data[128:132])[0]
    for i in range(count):
        name, offset, size = struct.unpack(">4sII", data[132 + 12 * i : 144 + 12 * i])
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            data[offset : offset + size] = (b"curv" + b"\0" * 4 + struct.pack(">I", 0)).ljust(size, b"\0")
        if name == b"desc":
            text = data[offset : offset + size].replace("sRGB".encode("utf-16-be"), "line".encode("utf-16-be"))
            data[offset : offset + size] = text.replace(b"sRGB", b"line")
    return bytes(data)


def test_cmyk_and_bilevel(tmp_path: Path) -> None:
    assert tuple(through(tmp_path, Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "x.tif")[0, 0]) == (255, 0, 0)
    jpeg = through(tmp_path, Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "x.jpg", quality=95)
    assert np.abs(jpeg[0, 0].astype(int) - (255, 0, 0)).max() < 12
    assert set(np.unique(through(tmp_path, Image.new("1", (4, 4), 1), "b.png"))) == {255}


def test_animations_show_their_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 6), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert tuple(np.asarray(loaded(tmp_path / "a.gif"))[0, 0]) == (255, 0, 0)


def test_crop_is_central_and_keeps_the_aspect() -> None:
    pixels = np.zeros((40, 100), np.uint8)
    pixels[:, 30:70] = 200  # the central square
    assert (fit(Image.fromarray(pixels), to(16, 16, 1)) == 200).all()
    assert fit(Image.fromarray(pixels), to(16, 40, 1)).shape == (1, 16, 40)
    tall = np.zeros((100, 40), np.uint8)
    tall[30:70] = 100
    assert (fit(Image.fromarray(tall), to(32, 32, 3)) == 100).all()


def test_resizing_is_antialiased() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    shrunk = fit(Image.fromarray(stripes), to(8, 8, 1))
    assert np.abs(shrunk.astype(int) - 127).max() < 16


def test_the_right_size_is_left_alone() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8)
    assert np.array_equal(fit_array(pixels, to(16, 16, 3)), pixels)
    assert np.array_equal(fit(Image.fromarray(pixels.transpose(1, 2, 0)), to(16, 16, 3)), pixels)
    many = np.random.default_rng(0).integers(0, 256, (6, 20, 20), dtype=np.uint8)
    assert fit_array(many, to(16, 16, 6)).shape == (6, 16, 16)
    with pytest.raises(UserError, match="6, which stay as they are"):
        fit_array(many, to(16, 16, 3))


# -- folders and their troubles ----------------------------------------------------------------------------------------


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


# -- HDF5 --------------------------------------------------------------------------------------------------------------


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


# -- order and loader --------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(0, 200), st.integers(1, 90), st.integers(0, 3))
def test_the_order_is_one_sequence(length: int, first: int, count: int, seed: int) -> None:
    """Whatever is asked for is a piece of one sequence that shows each image once an epoch."""
    order = DataOrder(length, seed)
    whole = order.indices(0, first + count)
    assert np.array_equal(order.indices(first, count), whole[first:])
    for epoch in range(len(whole) // length):
        assert sorted(whole[epoch * length : (epoch + 1) * length]) == list(range(length))


def test_epochs_differ() -> None:
    order = DataOrder(100, 0)
    assert not np.array_equal(order.indices(0, 100), order.indices(100, 100))
    assert not np.array_equal(order.indices(0, 100), DataOrder(100, 1).indices(0, 100))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5), st.integers(1, 12), st.integers(0, 30))
def test_ranks_share_a_batch(ranks: int, batch: int, first: int) -> None:
    batch = max(batch, ranks)
    source, order = opened("digits"), DataOrder(1797, 0)
    shares = [Share(batch, rank, ranks) for rank in range(ranks)]
    assert sum(s.size for s in shares) == batch
    assert max(s.size for s in shares) - min(s.size for s in shares) <= 1
    whole = _batches(source, order, first, Share(batch, 0, 1), 2)
    parts = [_batches(source, order, first, share, 2) for share in shares]
    for step in range(2):
        joined = np.concatenate([part[step].images.numpy() for part in parts])
        assert np.array_equal(joined, whole[step].images.numpy())


def _batches(source: ImageSource, order: DataOrder, first: int, share: Any, count: int, **values: Any) -> list[Any]:
    loader = make_loader(
        source,
        order,
        first=first,
        batch=share.total,
        offset=share.offset,
        share=share.size,
        **({"workers": 0} | values),
    )
    return [next(loader) for _ in range(count)]


def test_a_data_set_smaller_than_a_batch(make_folder: MakeFolder) -> None:
    source = opened(make_folder({"a": 2, "b": 1}))
    batch = _batches(source, DataOrder(3, 0), 0, Share(8, 0, 1), 1)[0]
    assert batch.images.shape == (8, 3, 16, 16)
    assert sorted(np.bincount(batch.labels.numpy()).tolist()) == sorted(np.bincount(batch.labels.numpy()))


def test_workers_change_nothing(make_folder: MakeFolder) -> None:
    source = opened(make_folder({"a": 6, "b": 5}))
    alone = _batches(source, DataOrder(11, 0), 4, Share(3, 0, 1), 5)
    helped = _batches(source, DataOrder(11, 0), 4, Share(3, 0, 1), 5, workers=2)
    for one, other in zip(alone, helped, strict=True):
        assert np.array_equal(one.images.numpy(), other.images.numpy())
        assert np.array_equal(one.labels.numpy(), other.labels.numpy())


def test_batches_stay_bytes() -> None:
    batch = _batches(opened("digits"), DataOrder(1797, 0), 0, Share(3, 0, 1), 1)[0]
    assert str(batch.images.dtype) == "torch.uint8"
    assert str(batch.labels.dtype) == "torch.int64"
    assert batch.images.is_contiguous()


# -- card --------------------------------------------------------------------------------------------------------------


def test_the_card_warns(make_folder: MakeFolder) -> None:
    written = card.text(card.describe(opened(make_folder({"many": 42, "few": 2}))))
    assert "imbalanced: the largest has 42 images, the smallest 2" in written
    assert "fewer than 10 images, for example few" in written
    one = card.text(card.describe(opened(make_folder({"alone": 3}, name="one"))))
    assert "one class only ('alone')" in one


def test_the_card_survives_unreadable_and_odd_images(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder({"cat": 2})
    path = root / "cat" / "0000.png"
    path.write_bytes(path.read_bytes()[:200])
    assert card.picture(opened(root)).size
    images = np.zeros((3, 5, 16, 16), np.uint8)
    assert card.picture(opened(write_hdf5(tmp_path / "five.h5", images, np.zeros(3, np.int64)))).size
