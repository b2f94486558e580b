"""Arrays from files nobody vouches for: what NumPy writes is read, the rest is refused before it costs anything."""

from __future__ import annotations

import io
import random
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from biggan.foundation.arrays import array_of, plain_dtype, read_arrays
from biggan.foundation.errors import CorruptFileError, UserError
from tests.conftest import HANGS
from tests.memory import watched
from tests.rooms.foundation.mutation import mutated

_NUMBERS = [order + kind for order in "<>" for kind in "i2 i4 i8 u2 u8 f2 f4 f8 c8 c16".split()]
_KINDS = [*_NUMBERS, "|b1", "|i1", "|u1", "|S7", "<U5", ">U3"]


def npy(header: str, payload: bytes = b"", version: bytes = b"\1\0") -> bytes:
    """Return an .npy file with any header."""
    width = "<H" if version[0] == 1 else "<I"
    return b"\x93NUMPY" + version + struct.pack(width, len(header)) + header.encode("latin1") + payload


def described(kind: str, shape: str, payload: bytes = b"") -> bytes:
    return npy(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n", payload)


arrays = st.sampled_from(_KINDS).flatmap(
    lambda kind: numpy_strategies.arrays(np.dtype(kind), numpy_strategies.array_shapes(min_dims=0, min_side=0))
)


@settings(max_examples=50, deadline=None)
@given(one=arrays, other=arrays, packed=st.booleans(), fortran=st.booleans())
def test_what_numpy_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, one: np.ndarray, other: np.ndarray, packed: bool, fortran: bool
) -> None:
    path = tmp_path_factory.mktemp("npz") / "x.npz"
    one = np.asfortranarray(one) if fortran else one
    (np.savez_compressed if packed else np.savez)(path, one=one, other=other)
    found = read_arrays(path)
    assert list(found) == ["one", "other"]
    for expected, array in zip((one, other), found.values(), strict=True):
        np.testing.assert_array_equal(array, expected)
        assert array.dtype == expected.dtype.newbyteorder("=")
        assert array.flags.aligned
        assert array.flags.writeable
    np.save(path.with_suffix(".npy"), one)
    np.testing.assert_array_equal(read_arrays(path.with_suffix(".npy"))[""], one)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not an .npy array"),
        (b"\x93NUMPY\1\0", "not a whole"),
        (b"\x93NUMPY\4\0\0\0", "not an .npy array"),
        (b"\x93NUMPY\2\0\xff\xff\xff\xff", "a header of 4,294,967,295 bytes"),
        (described("|O", "(1,)", b"12345678"), "only plain numbers"),
        (npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }"), "objects or structures"),
        (described("|V8", "(1,)", b"12345678"), "only plain numbers"),
        (described("<M8[ns]", "(1,)", b"12345678"), "only plain numbers"),
        (described("<f16", "(1,)", bytes(16)), "only plain numbers"),
        (described("<f3", "(1,)", b"123"), "only plain numbers"),
        (described("|S5000", "(1,)", bytes(5000)), "only plain numbers"),
        (described("<f8", "(2,)", b"12345678"), "announces"),
        (described("<f8", "(1,)", b"123456789"), "announces"),
        (described("<f8", "(1000000000000,)"), "announces"),
        (described("<f8", "(4294967296, 4294967296, 4294967296)"), "larger than any file"),
        (described("<f8", "(9" + "9" * 17 + ",)"), "a side of"),
        (described("<f8", "(9" * 30 + ",)"), "not a whole"),
        (described("<f8", "(-1,)"), "not a whole"),
        (described("<f8", "(" + "1, " * 40 + ")", b"12345678"), "40 dimensions"),
        (described("<f8", "(0, 100000, 100000)"), "without entries"),
        (described("<U1", "(1,)", b"\xff\xff\xff\xff"), "no characters"),
        (npy("(" * 9000), "not a whole"),
        (npy("{'descr': '<f8', 'fortran_order': __import__('os'), 'shape': (1,), }", bytes(8)), "not a whole"),
    ],
)
def test_headers_that_lie_cost_nothing(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(UserError, match=says):
        read_arrays(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_truth_values_are_zero_or_one() -> None:
    found = array_of(b"\0\1\2\xff", plain_dtype("|b1", "x"), (4,), False, "x")
    assert found.view(np.uint8).tolist() == [0, 1, 1, 1]


def _zip(path: Path, members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path.read_bytes()


def test_archives_that_lie_cost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"

    def refused(says: str, content: bytes | None = None) -> None:
        if content is not None:
            path.write_bytes(content)
        start = time.perf_counter()
        with watched() as growth, pytest.raises(UserError, match=says):
            read_arrays(path)
        assert time.perf_counter() - start < HANGS
        assert growth.bytes < 64 * 2**20

    array = io.BytesIO()
    np.save(array, np.arange(1000.0))
    one = {"a.npy": array.getvalue()}
    good = _zip(path, one)
    assert read_arrays(path)["a"].tolist() == list(range(1000))
    refused("not a whole zip", good[:-30])
    refused("stored or deflated", _zip(path, one, zipfile.ZIP_LZMA))
    refused("holds .npy arrays and nothing else", _zip(path, {"a.txt": b"x"}))
    refused("at most are read", _zip(path, {f"{number}.npy": b"" for number in range(5000)}))
    twice = _zip(path, {"a.npy": b"x", "b.npy": b"x"}).replace(b"b.npy", b"a.npy")
    refused("same name", twice)
    zeros = described("<f8", "(9000000,)", bytes(72_000_000))
    refused("would unpack to 72,000,0", _zip(path, {"a.npy": zeros}))
    # A member whose size is told too large, in the index; and one that says it is larger than the archive.
    index = good.rindex(b"PK\1\2")
    refused("announces", good[: index + 24] + struct.pack("<L", 2**26) + good[index + 28 :])
    refused("in an archive of", good[: index + 20] + struct.pack("<L", 2**30) + good[index + 24 :])
    refused("damaged", good[:700] + b"\xff" * 40 + good[740:])
    path.write_bytes(good)
    with pytest.raises(UserError, match="at most 100"):
        read_arrays(path, most=100)
    with pytest.raises(UserError, match="no such file"):
        read_arrays(tmp_path)


@pytest.mark.parametrize("count", [800, pytest.param(50_000, marks=pytest.mark.nightly)])
def test_mutated_archives_raise_nothing_else(tmp_path: Path, count: int) -> None:
    """Every outcome is an array or an error for people."""
    path, chance, refused = tmp_path / "x.npz", random.Random(count), 0
    seeds = []
    for write in (np.savez, np.savez_compressed):
        write(path, mu=np.arange(8.0), sigma=np.eye(8), names=np.array(["ä", "b"]), flags=np.array([True, False]))
        seeds.append(path.read_bytes())
    for _ in range(count):
        path.write_bytes(mutated(chance.choice(seeds), chance))
        try:
            read_arrays(path)
        except UserError:
            refused += 1
    assert refused > count / 2


def test_a_corrupt_file_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(described("<f8", "(2,)", b"12345678"))
    with pytest.raises(CorruptFileError, match="--reference x"):
        read_arrays(tmp_path / "x.npy", "--reference x")
