"""Small files that claim to be large, refer to others, or never end: told apart by sizes, before memory is taken."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from biggan.foundation.errors import UserError
from tests.data_kinds import add, png, some_images
from tests.rooms.data.helpers import opened

_ZEROS = 150 * 2**20  # bytes that a bomb unpacks to
_MOST_MEMORY = 60 * 2**20  # bytes that refusing one may take, beside what the program has
_PIXELS = np.zeros((4, 3, 16, 16), dtype=np.uint8)


def png_of(width: int, height: int, depth: int, colour: int, rows: int) -> bytes:
    """Return a PNG whose header promises ``width`` x ``height``, and which holds ``rows`` of them, all zero."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    row = bytes(1 + width * {0: 1, 2: 3}[colour] * depth // 8)
    packer = zlib.compressobj(1)
    body = b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def huge_png(root: Path) -> Path:
    (root / "x.png").write_bytes(png_of(16_000, 16_000, 16, 2, 1))
    return root


def zip_member(root: Path) -> Path:
    with zipfile.ZipFile(root / "x.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("a/0.png", bytes(_ZEROS))
    return root / "x.zip"


def zip_index(root: Path) -> Path:
    with zipfile.ZipFile(root / "x.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("dataset.json", b" " * _ZEROS)
    return root / "x.zip"


def npz_values(root: Path) -> Path:
    np.savez_compressed(root / "x.npz", x=np.zeros((_ZEROS // 3072, 3, 32, 32), dtype=np.uint8))
    return root / "x.npz"


def npz_claim(root: Path) -> Path:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": (2**40, 3, 8, 8)})
    with zipfile.ZipFile(root / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", buffer.getvalue() + bytes(1000))
    return root / "x.npz"


def npy_claim(root: Path) -> Path:
    with (root / "x.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (2**40, 8, 8)})
    return root / "x.npy"


def cifar_member(root: Path) -> Path:
    with tarfile.open(root / "cifar-10-binary.tar.gz", "w:gz", compresslevel=1) as archive:
        add(archive, "x/data_batch_1.bin", bytes(_ZEROS))
    return root / "cifar-10-binary.tar.gz"


def tar_with(root: Path, change: Callable[[bytearray], None], name: str = "x.tar") -> Path:
    """Write a shard of one image, of which the header of a second is changed (its sum is right)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for i in range(2):
            add(archive, f"{i}.png", png(some_images(1).pixels[i]))
            add(archive, f"{i}.cls", b"0")
    data = bytearray(buffer.getvalue())
    at = data.index(b"1.png")
    head = data[at : at + 512]
    change(head)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    data[at : at + 512] = head
    (root / name).write_bytes(data)
    return root / name


def sized(size: bytes, kind: bytes = b"0") -> Callable[[bytearray], None]:
    def change(head: bytearray) -> None:
        head[124:136], head[156:157] = size, kind

    return change


def endless_cifar(root: Path) -> Path:
    plain = tar_with(root, sized(b"\xff" * 11 + b"\0", b"L"), "plain").read_bytes()
    (root / "cifar-10-python.tar.gz").write_bytes(gzip.compress(plain))
    return root / "cifar-10-python.tar.gz"


def hdf5(root: Path, write: Callable[[Any], None], *, labels: bool = True) -> Path:
    with h5py.File(root / "x.h5", "w") as file:
        write(file)
        if labels:
            file["labels"] = np.zeros(4, dtype=np.int64)
    return root / "x.h5"


def empty_chunks(file: Any) -> None:
    file.create_dataset("imgs", (10**9, 3, 64, 64), np.uint8, chunks=(1, 3, 64, 64))


def one_chunk(file: Any) -> None:
    file.create_dataset("imgs", (4, 3, 2**13, 2**13), np.uint8, chunks=(4, 3, 2**13, 2**13))


def many_labels(file: Any) -> None:
    file["imgs"] = _PIXELS
    file.create_dataset("labels", (10**10,), np.int64, chunks=(1000,))


def many_names(file: Any) -> None:
    file["imgs"] = _PIXELS
    file.create_dataset("class_names", (10**10,), h5py.string_dtype(), chunks=(1000,))


def external(file: Any) -> None:
    file.create_dataset("imgs", (4, 3, 16, 16), np.uint8, external=[("/etc/passwd", 0, 3072)])


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4, 3, 16, 16), np.uint8)
    layout[:] = h5py.VirtualSource("other.h5", "imgs", (4, 3, 16, 16))
    file.create_virtual_dataset("imgs", layout)


def elsewhere(file: Any) -> None:
    file["imgs"] = h5py.ExternalLink("other.h5", "/imgs")


def soft(file: Any) -> None:
    file["x"], file["imgs"] = _PIXELS, h5py.SoftLink("/x")


def references(file: Any) -> None:
    file["imgs"] = _PIXELS
    file.create_dataset("class_names", (4,), h5py.ref_dtype)


BOMBS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a PNG of 16,000 x 16,000": (huge_png, "pixels"),
    "a zip member": (zip_member, "images cannot be used|more than images compress"),
    "the index of a zip": (zip_index, "more than images compress"),
    "the values of an npz": (npz_values, "more than images compress"),
    "the header of an npz": (npz_claim, "bytes, where"),
    "the header of an npy": (npy_claim, "bytes, where"),
    "a CIFAR member": (cifar_member, "beyond the end"),
    "CIFAR that goes backwards": (endless_cifar, "beyond the end|no number"),
    "a tar file that goes backwards": (lambda root: tar_with(root, sized(b"\xff" * 12)), "no number from 0"),
    "a tar member larger than the file": (lambda root: tar_with(root, sized(b"77777777777\0")), "beyond the end"),
    "a sparse tar member": (lambda root: tar_with(root, sized(b"00000000001\0", b"S")), "sparse"),
    "a long name in a tar file": (lambda root: tar_with(root, sized(b"00000000001\0", b"x")), "records"),
    "HDF5 chunks that are not there": (lambda root: hdf5(root, empty_chunks), "more than images compress"),
    "an HDF5 chunk": (lambda root: hdf5(root, one_chunk), "in chunks of"),
    "HDF5 labels": (lambda root: hdf5(root, many_labels, labels=False), "more than images compress"),
    "HDF5 names": (lambda root: hdf5(root, many_names), "more than the file can hold"),
    "external storage": (lambda root: hdf5(root, external), "lies in other files"),
    "a virtual data set": (lambda root: hdf5(root, virtual), "lies in other files"),
    "an external link": (lambda root: hdf5(root, elsewhere), "is a link"),
    "a soft link": (lambda root: hdf5(root, soft), "is a link"),
    "references for names": (lambda root: hdf5(root, references), "must be UTF-8 strings"),
}


@pytest.mark.parametrize("title", BOMBS)
def test_it_is_refused(title: str, tmp_path: Path) -> None:
    write, message = BOMBS[title]
    with pytest.raises(UserError, match=message):
        opened(write(tmp_path))


@pytest.mark.nightly
def test_memory(tmp_path: Path) -> None:
    """All of them in one process: what it holds at most hardly grows; by a picture that is allowed, a few times that.

    Two such are pictures of 16 bits, 32 and 48 MB of pixels in files a thousand times smaller.
    """
    paths = []
    for number, (write, _) in enumerate(BOMBS.values()):
        (tmp_path / str(number)).mkdir()
        paths.append(str(write(tmp_path / str(number))))
    for colour, side in ((0, 4000), (2, 2830)):
        (tmp_path / f"{colour}.png").write_bytes(png_of(side, side, 16, colour, side))
    program = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "import torchvision.io\n"
        "from biggan.foundation.errors import UserError\n"
        "from tests.memory import watched\n"
        "from tests.rooms.data.helpers import loaded, opened\n"
        "opened('digits'); found = []\n"
        "def attempt(act):\n"
        "    with watched() as growth:\n"
        "        try: act(); said = 'opened'\n"
        "        except UserError: said = 'refused'\n"
        "    found.append((said, growth.bytes))\n"
        "*bombs, gray, colour = sys.argv[1:]\n"
        "for path in bombs: attempt(lambda: opened(path))\n"
        "for path in (gray, colour): attempt(lambda: loaded(Path(path)))\n"
        "print(json.dumps(found))\n"
    )
    command = [sys.executable, "-c", program, *paths, str(tmp_path / "0.png"), str(tmp_path / "2.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *bombs, gray, colour = json.loads(done.stdout)
    for title, (said, grown) in zip(BOMBS, bombs, strict=True):
        assert said == "refused", title
        assert grown < _MOST_MEMORY, f"{title}: {grown / 2**20:.0f} MiB"
    assert gray[0] == colour[0] == "opened"
    assert gray[1] < 4 * 4000 * 4000 * 2
    assert colour[1] < 4 * 2830 * 2830 * 6


# -- what is no file, and names that are none --------------------------------------------------------------------------


def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(png(some_images(1).pixels[0]))
    os.mkfifo(tmp_path / "1.png")
    (tmp_path / "2.png").symlink_to("/dev/zero")
    with pytest.raises(UserError, match="2 of 3 images cannot be used"):
        opened(tmp_path)
    assert len(opened(tmp_path, skip_corrupt=True)) == 1


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "say where your images are"),
        ("  ", "say where your images are"),
        ("x" * 5000, "nothing at this path"),
        ("x\0y", "nothing at this path"),
        ("x/" * 3000 + "a.csv", "nothing at this path"),
        ("x-{0..999999999}.tar", "means 1,000,000,000 shards, and at most 100,000 are opened"),
        ("x-{0..99999999999999999999999999}.tar", "are too long"),
        ("x-{\u0660..\u0669}.tar", "shards are missing"),
    ],
)
def test_paths_that_are_none(path: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        opened(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("dataset.json", '{"labels": [["0.png", ' + "9" * 5000 + "]]}", "not valid JSON"),
        ("dataset.json", '{"labels": [["0.png", NaN]]}', "not valid JSON"),
        ("dataset.json", "[" * 100_000, "not valid JSON|levels of lists"),
        ("dataset.json", '{"labels": [["0.png", 1000000000]]}', "number the classes anew"),
        ("dataset.json", '{"labels": [["0.png", 0]], "class_names": 7}', "must be a list"),
        ("dataset.json", '{"labels": [["0.png", 0]], "class_names": ["\\u001b[2J"]}', "no readable text"),
        ("labels.csv", "file,label\n" + "x" * 200_000 + ",a\n", "not a readable table"),
        ("labels.csv", "file,label\n0\0.png,a\n", "not a readable table|are not in"),
        ("labels.csv", "file,label\n" + "x" * 300 + ".png,a\n", "are not in"),
        ("labels.csv", "file,label\n0.png,\x1b[2J\n", "no readable text"),
        ("labels.json", '{"0.png": ' + "1" * 30 + "}", "not valid JSON"),
    ],
)
def test_tables_beyond_bounds(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(png(some_images(1).pixels[0]))
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        opened(tmp_path)


def test_sizes_that_no_image_has() -> None:
    with pytest.raises(UserError, match=r"--resolution 131072x131072: one image would take 48.0 GiB"):
        opened("digits", (131_072, 131_072))
    with pytest.raises(UserError, match=r"the digits would take 7.0 GiB of memory"):
        opened("digits", (2048, 2048))
