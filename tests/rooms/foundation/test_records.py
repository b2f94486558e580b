"""The reader of stored JSON lets nothing through that is not what it should be, and nothing escapes it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biggan.foundation.config import to_json
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.records import Count, Name, parse_plain, parse_record, read_plain, read_record
from biggan.foundation.terminal import printable, typed
from biggan.training.configuration import TrainingConfig
from tests.conftest import HANGS, tiny_config


@dataclass(frozen=True)
class Inner:
    name: Name
    size: tuple[int, int] = (1, 2)


@dataclass(frozen=True)
class Outer:
    count: Count
    kind: Literal["a", "b"] = "a"
    inner: Inner | None = None
    rest: dict[str, Any] = field(default_factory=dict)


GOOD = {"count": 3, "kind": "b", "inner": {"name": "x", "size": [3, 4]}, "rest": {"any": [1.5, None]}}


def test_a_good_record() -> None:
    assert parse_record(Outer, json.dumps(GOOD), "f") == Outer(3, "b", Inner("x", (3, 4)), {"any": [1.5, None]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": "3"}, r"f\.json: count: '3': input should be a valid integer"),
        ({"count": True}, "count: True"),
        ({"count": 3.0}, "count: 3.0"),
        ({"count": -1}, "count: -1: .*greater than or equal to 0"),
        ({"count": 2**60}, "count: .*less than or equal"),
        ({"count": 10**30}, "31 digits"),
        ({"kind": "c"}, "kind: 'c'"),
        ({"inner": {"nam": "x"}}, r"inner: unknown name 'nam'; nearest: name|inner.name is missing"),
        ({"inner": {"name": "x", "size": [1]}}, r"inner\.size"),
        ({"inner": {"name": "x" * 5000}}, r"inner\.name: .{0,90}\.\.\.: string should have at most"),
        ({"extra": 1}, "unknown name 'extra'; nearest: "),
        ({"kind": "\x1b[31m"}, r"\\x1b\[31m"),
        ({"rest": {"deep": json.loads("[" * 70 + "]" * 70)}}, "levels"),
    ],
)
def test_a_bad_field_is_named_with_its_value(change: dict[str, Any], message: str) -> None:
    with pytest.raises(CorruptFileError, match=message) as caught:
        parse_record(Outer, json.dumps({**GOOD, **change}), "f.json")
    assert str(caught.value) == printable(str(caught.value))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1, 2",
        "NaN",
        "[Infinity]",
        "1e999",
        '{"a": 1, "a": 2}',
        "\ud800",
        "[" * 100_000,
        "9" * 5000,
        "1." + "9" * 500,
    ],
)
def test_what_is_no_json_for_us(text: str) -> None:
    with pytest.raises(CorruptFileError, match="f is not valid JSON"):
        parse_plain(text.encode("utf-8", "surrogatepass"), "f")


def test_what_is_too_large_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_text("[" + "1," * 100_000 + "1]")
    with pytest.raises(CorruptFileError, match="larger than the 1000 bytes"):
        read_record(Outer, path, limit=1000)
    assert len(read_plain(path)) == 100_001


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        read_plain(tmp_path / "nothing")
    with pytest.raises(UserError, match="not a file"):
        read_plain(tmp_path)
    with pytest.raises(UserError, match="not a file"):
        read_plain(Path("/dev/zero"))
    with pytest.raises(UserError):
        read_plain(Path("a\0b"))


STORED = json.dumps(to_json(tiny_config())).encode()


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_mutated_configuration_is_one_or_an_error(data: st.DataObject) -> None:
    """Whatever was cut, flipped or put in: a configuration, or an error that names the file; and it ends."""
    content = bytearray(STORED)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(0, 8))
        content[place : place + length] = data.draw(
            st.binary(max_size=8) | st.sampled_from([b"null", b"-1", b"[]", b"1e9"])
        )
    began = time.monotonic()
    try:
        assert isinstance(parse_record(TrainingConfig, bytes(content), "config.json"), TrainingConfig)
    except CorruptFileError as error:
        assert str(error).startswith("config.json")  # noqa: PT017  either outcome is right
    assert time.monotonic() - began < HANGS


@pytest.mark.parametrize(
    ("system", "line"),
    [("linux", "biggan sheet 'my runs/a' --names \"it's\""), ("win32", 'biggan sheet "my runs/a" --names it\'s')],
)
def test_commands_are_quoted_for_the_shell_they_are_typed_into(
    system: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", system)
    told = typed("biggan", "sheet", Path("my runs") / "a", "--names", "it's")
    assert told == line.replace('"it\'s"', "'it'\"'\"'s'")
