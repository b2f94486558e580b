"""Our reader of tar headers against Python's, over whatever archives that writes; and against damage."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biggan.data.sources.tar_headers import members
from biggan.foundation.errors import CorruptFileError
from tests.mutations import MUTATIONS

_FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/", categories=("L", "N", "P", "S")), min_size=1)
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)
_FILES = st.lists(st.tuples(_PATHS, st.binary(max_size=2000)), max_size=6, unique_by=lambda file: file[0])


def written(files: list[tuple[str, bytes]], form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def read(data: bytes) -> list[tuple[str, bytes]]:
    file = io.BytesIO(data)
    return [(member.name, file.read(member.size)) for member in members(file, "x.tar", len(data))]


@settings(max_examples=25, deadline=None)
@given(_FILES, st.sampled_from(_FORMATS))
def test_as_python_reads_them(files: list[tuple[str, bytes]], form: int) -> None:
    try:
        data = written(files, form)
    except ValueError:  # a name that the oldest format cannot hold
        return
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        names = [member.name for member in archive]
    assert [name for name, _ in read(data)] == names
    assert [content for _, content in read(data)] == [content for _, content in files]


def test_long_names_folders_and_links(tmp_path: Path) -> None:
    """Names beyond a header's length; what has no content is passed over."""
    long = "/".join(["a folder with a name"] * 12) + "/" + "x" * 90 + ".png"
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "0.png").write_bytes(b"zero")
    (tmp_path / "f" / "1.png").symlink_to("0.png")
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "x.tar", "w", format=form) as archive:
            archive.add(tmp_path / "f", "f")
            info = tarfile.TarInfo(long)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
        assert read((tmp_path / "x.tar").read_bytes()) == [("f/0.png", b"zero"), (long, b"abc")]


def test_an_archive_that_ends_early_or_holds_something_else() -> None:
    data = written([("a.png", bytes(700)), ("b.png", b"x")], tarfile.GNU_FORMAT)
    for length in (100, 513, 1200):
        with pytest.raises(CorruptFileError, match=r"x\.tar"):
            read(data[:length])
    damaged = bytearray(data)
    damaged[512 + 1024 + 3] ^= 1  # in the second header: Python's module passes the rest over in silence
    with pytest.raises(CorruptFileError, match="no header of a tar file at byte 1,536"):
        read(bytes(damaged))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(_FORMATS))
def test_damage_ends_soon(seed: int, form: int) -> None:
    draw = random.Random(seed)
    data = bytearray(written([("a" * 150 + ".png" if form else "a.png", bytes(900)), ("b.cls", b"3")], form))
    for _ in range(draw.randrange(1, 4)):
        if data:
            draw.choice(MUTATIONS)(data, draw)
    try:
        found = read(bytes(data))
    except CorruptFileError:
        return
    assert sum(len(content) for _, content in found) <= len(data)
