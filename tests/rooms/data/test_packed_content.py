"""Packed files that changed since: whatever bit flips, what is read is what was packed, or it is told."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from biggan.data.configuration import DataConfig
from biggan.data.contract import UnreadableImageError
from biggan.data.order.loader import Reader
from biggan.data.preparation.packing import pack
from biggan.data.preparation.packing_progress import Files
from biggan.data.sources.hdf5 import first_image_hash
from biggan.foundation.errors import CorruptFileError, UserError
from tests.data_kinds import NAMES, Images, as_npy, some_images
from tests.rooms.data.helpers import MakeFolder, opened, opened_as_stored, prepare, whole


def packed(images: Images, root: Path) -> Path:
    config = DataConfig(path=as_npy(images, root))
    pack(opened_as_stored(config.path), root / "x.hdf5", config, workers=0)
    return root / "x.hdf5"


def flip(path: Path, place: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ (1 << bit)]))


def outcome(path: Path, expected: Images) -> str:
    """Read everything; say whether damage was told at opening, at reading, or left no trace."""
    try:
        source = opened_as_stored(path)
    except UserError:
        return "at opening"
    names = tuple(map(str, range(len(NAMES))))
    assert (source.class_names, source.labels.tolist()) == (names, expected.labels.tolist())
    told = "without a trace"
    for index in range(len(source)):
        try:
            assert np.array_equal(source.read(index), expected.pixels[index])
        except UnreadableImageError:
            told = "at reading"
    return told


def attack_bits(path: Path, expected: Images, places: list[int], draw: random.Random) -> dict[str, int]:
    found = {"at opening": 0, "at reading": 0, "without a trace": 0}
    for place in places:
        bit = draw.randrange(8)
        flip(path, place, bit)
        found[outcome(path, expected)] += 1
        flip(path, place, bit)
    assert outcome(path, expected) == "without a trace"
    return found


def test_flipped_bits_in_pixels_and_labels_are_always_told(tmp_path: Path) -> None:
    images = some_images(4)
    path = packed(images, tmp_path)
    draw = random.Random(0)
    with h5py.File(path) as file:
        pixels, labels = file["imgs"].id.get_offset(), file["labels"].id.get_offset()
        hashes = file["pixel_hashes"].id.get_offset()
    inside = [pixels + draw.randrange(images.pixels.nbytes) for _ in range(40)]
    found = attack_bits(path, images, inside, draw)
    assert found["without a trace"] == 0
    assert found["at reading"] > 0, "not all images are compared at opening"
    for start, size in ((labels, images.labels.nbytes), (hashes, 16 * len(images.labels))):
        found = attack_bits(path, images, [start + draw.randrange(size) for _ in range(15)], draw)
        assert found == {"at opening": 15, "at reading": 0, "without a trace": 0}


@pytest.mark.nightly
def test_a_bit_of_every_byte_that_is_not_a_pixel(tmp_path: Path) -> None:
    """Whatever the library makes of the rest of the file: never other images, labels or names."""
    images = some_images(4)
    path = packed(images, tmp_path)
    with h5py.File(path) as file:
        pixels = file["imgs"].id.get_offset()
    end = pixels + images.pixels.nbytes
    places = [place for place in range(path.stat().st_size) if not pixels <= place < end]
    content = path.read_bytes()
    written = sum(content[place] != 0 for place in places)  # four fifths are zeros: space that the library keeps free
    found = attack_bits(path, images, places, random.Random(1))
    assert found["at opening"] > 0.9 * written


def test_training_puts_another_image_in_its_place(tmp_path: Path) -> None:
    images = some_images(10)
    path = packed(images, tmp_path)
    with h5py.File(path) as file:
        flip(path, file["imgs"].id.get_offset() + 42 * 3072 + 5, 3)
    read = Reader(opened_as_stored(path))[0, np.array([40, 42, 44])]
    assert np.array_equal(read.images, images.pixels[[40, 43, 44]])  # type: ignore[union-attr]
    assert "image 42 is not the one that was packed" in read.problems[0]  # type: ignore[union-attr]


def test_every_process_verifies_once(tmp_path: Path) -> None:
    import pickle

    images = some_images(10)
    path = packed(images, tmp_path)
    source = opened_as_stored(path)
    assert np.array_equal(whole(source), images.pixels)
    with h5py.File(path) as file:
        flip(path, file["imgs"].id.get_offset() + 41 * 3072, 0)
    source.read(41)  # verified before
    with pytest.raises(UnreadableImageError, match="image 41"):
        pickle.loads(pickle.dumps(source)).read(41)


@pytest.mark.parametrize("mark", ["format", "content_hash", "pixel_hashes"])
def test_a_packed_file_without_its_marks_is_no_foreign_one(mark: str, tmp_path: Path) -> None:
    path = packed(some_images(1), tmp_path)
    with h5py.File(path, "r+") as file:
        if mark in file:
            del file[mark]
        else:
            del file.attrs[mark]
    with pytest.raises(CorruptFileError, match="its marks are damaged"):
        opened_as_stored(path)


def test_files_of_the_first_format_are_verified_too(tmp_path: Path) -> None:
    images = some_images(10)
    path = packed(images, tmp_path)
    with h5py.File(path, "r+") as file:
        hashes = np.frombuffer(b"".join(first_image_hash(image.tobytes()) for image in images.pixels), np.uint8)
        file["pixel_hashes"][...] = hashes.reshape(-1, 16)
        file.attrs["format"] = "biggan-packed-1"
        file.attrs["content_hash"] = "as it was written then: a string of no fixed length"
        offset = file["imgs"].id.get_offset()
    assert np.array_equal(whole(opened_as_stored(path)), images.pixels)
    flip(path, offset + 41 * 3072, 0)
    with pytest.raises(UnreadableImageError, match="image 41"):
        whole(opened_as_stored(path))


# -- what lies beside while it is made ---------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["pixels", "progress", "hashes", "scratch", "lock"])
def test_nothing_is_written_through_links(part: str, make_folder: MakeFolder, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    target = tmp_path / "x.hdf5"
    getattr(Files(target), part).symlink_to(precious)
    assert prepare(make_folder({"a": 2}) / "a", target) == 2
    assert precious.read_text() == "mine"


def test_a_destination_that_is_a_link_to_nowhere_exists(make_folder: MakeFolder, tmp_path: Path) -> None:
    target = tmp_path / "x.hdf5"
    target.symlink_to(tmp_path / "elsewhere.hdf5")
    assert prepare(make_folder({"a": 2}) / "a", target) == 2
    assert not (tmp_path / "elsewhere.hdf5").exists()
    report = tmp_path / "y.hdf5.corrupt.txt"
    report.symlink_to(tmp_path / "elsewhere.txt")
    folder = make_folder({"b": 3})
    (folder / "b" / "0001.png").write_bytes((folder / "b" / "0001.png").read_bytes()[:200])
    assert prepare(folder / "b", tmp_path / "y.hdf5", "--skip-corrupt") == 2
    assert not (tmp_path / "elsewhere.txt").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [("read", 10**6), ("written", 70), ("offset", 10**12), ("corrupt", [[0]])],
)
def test_damaged_progress_begins_anew(field: str, value: object, make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder({"a": 70}) / "a"
    (folder / "0060.png").write_bytes((folder / "0060.png").read_bytes()[:300])
    assert prepare(folder, tmp_path / "x.hdf5") == 2, "stopped by the corrupt one"
    progress = tmp_path / ".x.hdf5.progress"
    stored = json.loads(progress.read_text())
    stored["read"] = 32
    progress.write_text(json.dumps({**stored, field: value}))
    assert prepare(folder, tmp_path / "x.hdf5", "--skip-corrupt") == 0
    plain = opened(folder, skip_corrupt=True)
    kept = [i for i in range(70) if i != 60]
    assert np.array_equal(whole(opened(tmp_path / "x.hdf5")), plain.read_many(np.array(kept)))


def test_export_writes_through_no_link(make_folder: MakeFolder, tmp_path: Path) -> None:
    from biggan.cli.main import main

    os.symlink(tmp_path / "elsewhere.zip", tmp_path / "x.zip")  # noqa: PTH211
    folder = make_folder({"a": 2, "b": 2})
    assert main(["data", "export", str(folder), str(tmp_path / "x.zip"), "--resolution", "16"]) == 2
    assert not (tmp_path / "elsewhere.zip").exists()
    shutil.rmtree(folder)
