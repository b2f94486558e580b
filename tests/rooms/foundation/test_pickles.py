"""Pickles: what Python and NumPy write is read; whatever a file says besides costs nothing and calls nothing."""

from __future__ import annotations

import os
import pickle
import struct
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.plain_pickles import load_plain
from tests.conftest import HANGS
from tests.rooms.foundation.mutation import survives

keys = st.text() | st.binary() | st.booleans() | st.none() | st.integers(-(2**63), 2**63)
numbers = st.integers(-(2**500), 2**500) | st.floats(allow_nan=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(keys, inner),
    max_leaves=20,
)


@settings(max_examples=40, deadline=None)
@given(value=values, protocol=st.integers(0, 5), shared=st.booleans())
def test_plain_values_come_back(value: Any, protocol: int, shared: bool) -> None:
    value = [value, value] if shared else value
    assert load_plain(pickle.dumps(value, protocol), "x") == value
    assert load_plain(pickle._dumps(value, protocol), "x") == value  # type: ignore[attr-defined]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", "|b1 |i1 |u1 <i4 >i4 <f2 >f8 <c16 |S5 <U3 >U3".split())
def test_arrays_come_back(protocol: int, kind: str) -> None:
    one = np.array([[1, 0, 1], [0, 2, 3]]).astype(kind)
    content = {"c": one, "f": np.asfortranarray(one), "scalar": one[1, 2], "point": one[0, 0, None][0], "no": one[:0]}
    found = load_plain(pickle.dumps(content, protocol), "x", "latin1")
    for name, expected in content.items():
        np.testing.assert_array_equal(found[name], expected)
        assert found[name].dtype == expected.dtype.newbyteorder("=")
    assert found["c"].flags.writeable
    assert found["f"].flags.f_contiguous


def test_what_python_2_wrote() -> None:
    """An array in a table, as cPickle wrote them: byte strings throughout, memory counted from 1."""
    content = (
        b"\x80\x02}q\x01U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b"
        b"\x87Rq\x05(K\x01K\x02\x85cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89T\x02\x00\x00\x00\xe4\x05tbs."
    )
    assert load_plain(content, "x")[b"data"].tolist() == [0xE4, 5]
    assert load_plain(content, "x", "latin1")["data"].tolist() == [0xE4, 5]


class _Calls:
    """Asks for ``function(*arguments)`` when it is unpickled by Python."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.wish = (function, arguments)

    def __reduce__(self) -> Any:
        return self.wish


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_called(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "mark"
    for function, arguments in (
        (os.mkdir, (str(mark),)),
        (eval, (f"open({str(mark)!r}, 'w')",)),
        (Path.touch, (mark,)),
    ):
        with pytest.raises(UserError, match="asks for"):
            load_plain(pickle.dumps({"a": [_Calls(function, *arguments)]}, protocol), "x")
    assert not mark.exists()
    called: list[str] = []
    sys.addaudithook(lambda event, _: called.append(event) if watching and event == "pickle.find_class" else None)
    watching = True
    try:
        load_plain(pickle.dumps({"a": np.arange(3)}, protocol), "x")
    finally:
        watching = False
    assert not called, "Python's own unpickler has no part in it"


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"


def dtype(name: bytes, order: bytes = b"<", rest: bytes = b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00") -> bytes:
    return b"cnumpy\ndtype\n(X" + struct.pack("<I", len(name)) + name + b"\x89\x88tR(K\x03U\x01" + order + rest + b"tb"


def array(shape: bytes, kind: bytes, data: bytes) -> bytes:
    raw = b"B" + struct.pack("<I", len(data)) + data
    return b"\x80\x03" + ARRAY + b"(K\x01(" + shape + b"t" + kind + b"\x89" + raw + b"tb."


ATTACKS = {
    "object type": array(b"K\x01", dtype(b"O8", b"|"), bytes(8)),
    "object type, list": b"\x80\x02" + ARRAY + b"(K\x01(K\x01t" + dtype(b"O8", b"|") + b"\x89](K\x01etb.",
    "structure": array(b"K\x01", dtype(b"V16", b"|"), bytes(16)),
    "fields": array(b"K\x01", dtype(b"f8", b"<", b"N(U\x01at}NK\x08K\x08K\x00"), bytes(8)),
    "subtype": array(b"K\x01", dtype(b"f8", b"<", b"(U\x02f8(K\x02ttNNK\x10K\x08K\x00"), bytes(8)),
    "dates": array(b"K\x01", dtype(b"M8", b"<", b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00}"), bytes(8)),
    "short buffer": array(b"M\xe8\x03", dtype(b"f8"), bytes(8)),
    "long buffer": array(b"K\x01", dtype(b"f8"), bytes(9)),
    "huge shape": array(b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7fJ\xff\xff\xff\x7f", dtype(b"f8"), bytes(8)),
    "overflowing shape": array(b"\x8a\x09\x01\0\0\0\0\0\0\0\x01", dtype(b"u1"), bytes(1)),
    "negative": array(b"J\xff\xff\xff\xffJ\xff\xff\xff\xff", dtype(b"f8"), bytes(8)),
    "truth for a side": array(b"\x88", dtype(b"u1"), bytes(1)),
    "no shape": b"\x80\x02" + ARRAY + b"(K\x01K\x01" + dtype(b"f8") + b"\x89U\x08" + bytes(8) + b"tb.",
    "wrong order": array(b"K\x01", dtype(b"f8", b"?"), bytes(8)),
    "characters": array(b"K\x01", dtype(b"U1"), b"\xff" * 4),
    "long text": array(b"K\x01", dtype(b"S99999", b"|"), bytes(99999)),
    "another class": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(K\x00tU\x01btR.",
    "unfinished": b"\x80\x02" + ARRAY + b".",
    "unfinished within": b"\x80\x02](" + ARRAY + b"e.",
    "state of a number": b"K\x01(K\x01K\x02tb.",
    "state of four": b"\x80\x02" + ARRAY + b"(K\x01(K\x01t" + dtype(b"f8") + b"\x89tb.",
    "an array for truth": b"\x80\x02" + ARRAY + b"q\x00(K\x01(K\x01t" + dtype(b"u1") + b"h\x00U\x01\0tb.",
    "a bare type": dtype(b"f8") + b".",
    "a bare name": b"cnumpy\nndarray\n.",
    "an array called": b"cnumpy\nndarray\n(K\x05tR.",
    "a codec": b"c_codecs\nencode\n(X\x01\0\0\0aX\x03\0\0\0hextR.",
    "outside": b"U\x01aQ.",
    "an extension": b"\x82\x01.",
    "an instance": b"(ios\nsystem\n.",
    "bytes that are not there": b"B\xff\xff\xff\x7f.",
    "bytes beyond counting": b"\x8e" + b"\xff" * 8 + b".",
    "a frame that is not there": b"\x80\x04\x95" + b"\xff" * 8 + b"N.",
    "a large number": b"\x8b\x00\x00\x10\x00" + bytes(2**20) + b".",
    "many digits": b"L" + b"9" * 2**20 + b"L\n.",
    "many digits to a fraction": b"F" + b"9" * 2**20 + b"\n.",
    "half a character": b"V\\ud800\n.",
    "an endless line": b"V" + b"a" * 1000,
    "no value": b".",
    "two values": b"NN.",
    "nothing": b"",
    "a mark": b"(.",
    "a mark in a list": b"](a.",
    "a mark in memory": b"(q\x00.",
    "memory never written": b"h\x05.",
    "memory far away": b"Nr\xff\xff\xff\x7f.",
    "memory below the first": b"Np-1\n.",
    "a set": b"\x8f.",
    "a list as a key": b"}]Ns.",
    "an array as a key": b"}" + array(b"K\x01", dtype(b"u1"), b"a")[2:-1] + b"Ns.",
    "a fraction as a key": b"}G" + bytes(8) + b"Ns.",
    "numbers that collide": b"}\x8a\x0a" + b"\x01" * 10 + b"Ns.",
    "a list within itself": b"]q\x00h\x00a.",
    "a table within itself": b"}q\x00NU\x01ah\x00s.",
    "too deep": b"]" * 100 + b"a" * 99 + b".",
    "a billion laughs": b"]q\x00(" + b"K\x01" * 10 + b"e" + (b"0](" + b"h\x00" * 10 + b"eq\x00") * 10 + b".",
    "many empty lists": b"(" + b"]" * 2**17 + b"l.",
    "many tables": b"(" + b"}" * 2**17 + b"l.",
    "much memory": b"N" + b"\x94" * 2**19 + b".",
    "arrays of one buffer": b"\x80\x03](B\0\0\x10\0" + bytes(2**20) + b"q\x00" + b"".join(
        ARRAY + b"(K\x01(J\0\0\x10\0t" + dtype(b"u1", b"|") + b"\x89h\x00tb" for _ in range(100)) + b"e.",
    "text of one text": b"](X\0\0\x10\0" + b"a" * 2**20 + b"q\x00" + b"c_codecs\nencode\nq\x01"
    + b"h\x01h\x00X\x06\0\0\0latin1\x86R" * 100 + b"e.",
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks(attack: str) -> None:
    content = ATTACKS[attack]

    def refused() -> None:
        with pytest.raises(UserError, match=r"^--reference x: "):
            load_plain(content, "--reference x")

    start = time.process_time()
    refused()
    assert time.process_time() - start < HANGS
    if len(content) == 2**19 + 2:
        return  # half a million instructions, which take long when traced, and write to one list
    tracemalloc.start()
    refused()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(content) + 2**23


def test_names_of_attackers_are_short() -> None:
    with pytest.raises(UserError) as caught:
        load_plain(b"c" + b"a" * 400 + b"\n" + b"b" * 400 + b"\n.", "x")
    assert len(str(caught.value)) < 300
    with pytest.raises(CorruptFileError, match="without an end"):
        load_plain(b"c" + b"a" * 600 + b"\nb\n.", "x")


@pytest.mark.parametrize("count", [2000, pytest.param(100_000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_mutated_files(kind: str, count: int) -> None:
    found = survives(kind, count if kind == "pickle" else count // 8, seed=count)
    assert min(found.values()) > 0, "some mutations do no harm, most are found out"
