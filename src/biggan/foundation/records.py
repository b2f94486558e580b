"""The one reader of stored JSON: strict, typed, bounded. Nothing that a file says is believed before it passed here.

A record is a frozen dataclass; pydantic checks every field against its annotation, without conversions, and refuses
names that it does not know. Bounds beyond the type are written into the annotation, as :data:`Count` is.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import typing
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from biggan.foundation.durations import DIGITS
from biggan.foundation.errors import CorruptFileError, UserError, nearest
from biggan.foundation.files import format_bytes
from biggan.foundation.limits import Ge, Le, MaxLen
from biggan.foundation.terminal import one_line

Record = TypeVar("Record")

LIMIT = 4 * 2**20
"""Bytes of JSON that a record may have: a hundred thousand class names, and no more."""
DEPTH = 64
"""Lists within lists."""
_SHOWN = 80

Count = Annotated[int, Ge(0), Le(2**53)]
"""A whole number from 0 that every reader of JSON keeps exactly."""
Name = Annotated[str, MaxLen(4096)]
"""A word or a line."""


def read_record(kind: type[Record], path: Path, *, limit: int = LIMIT) -> Record:
    """Return the record of type ``kind`` that a file holds as JSON.

    Raises:
        CorruptFileError: not such a record; names file, field and value.
        UserError: the file cannot be read.
    """
    return parse_record(kind, read_bounded(path, limit), str(path), limit=limit)


def parse_record(kind: type[Record], data: bytes | str, where: str, *, limit: int = LIMIT) -> Record:
    """Return the record of type ``kind`` that ``data`` holds as JSON.

    Args:
        kind: a dataclass; fields that are absent get their defaults.
        data: JSON.
        where: how messages call it: the file, or a part of it.
        limit: bytes that it may have.

    Raises:
        CorruptFileError: not such a record; names the field and its value.
    """
    import pydantic

    parse_plain(data, where, limit=limit)
    try:
        record: Record = _adapter(cast(Any, kind)).validate_json(data, strict=True, extra="forbid")
        return record
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise CorruptFileError(_explain(kind, where, first)) from error
    except (RecursionError, MemoryError) as error:
        raise CorruptFileError(f"{where}: too deep or too large to be read") from error


def read_plain(path: Path, *, limit: int = LIMIT) -> Any:
    """Return the JSON of a file that has no fixed form, within the bounds of this module.

    Raises:
        CorruptFileError: not JSON, or beyond the bounds.
        UserError: the file cannot be read.
    """
    return parse_plain(read_bounded(path, limit), str(path), limit=limit)


def parse_plain(data: bytes | str, where: str, *, limit: int = LIMIT) -> Any:
    """Return the JSON in ``data``, which may have no more than ``limit`` bytes, 64 levels and 20 digits a number.

    Raises:
        CorruptFileError: not JSON, or beyond the bounds.
    """
    if len(data) > limit:
        raise CorruptFileError(f"{where}: {len(data):,} bytes of JSON, where {limit:,} are allowed")
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        value = json.loads(
            text, parse_int=_whole, parse_float=_real, parse_constant=_constant, object_pairs_hook=_unique
        )
    except (ValueError, RecursionError) as error:
        reason = "lists within lists without end" if isinstance(error, RecursionError) else one_line(str(error), _SHOWN)
        raise CorruptFileError(f"{where} is not valid JSON ({reason}); restore or remove it") from error
    if _deeper_than(value, DEPTH):
        raise CorruptFileError(f"{where}: more than {DEPTH} levels of lists within lists")
    return value


def read_bounded(path: Path, limit: int, where: str | None = None) -> bytes:
    """Return the bytes of a regular file that has no more than ``limit``; no more of a larger one is read.

    Args:
        path: the file.
        limit: bytes that it may have.
        where: how messages call it; its path by default.

    Raises:
        CorruptFileError: larger, or no regular file (a pipe or a device could go on for ever).
        UserError: it is not there, or may not be read.
    """
    where = one_line(where or str(path))
    try:
        regular, there = path.is_file(), path.exists()
        if regular:
            with path.open("rb") as file:
                # What is asked for is allocated: no more than there is, and one to tell whether it grew.
                data = file.read(min(os.fstat(file.fileno()).st_size, limit) + 1)
    except (OSError, ValueError) as error:
        raise UserError(f"{where}: cannot be read ({error})") from error
    if not regular:
        raise UserError(f"{where}: this is not a file" if there else f"{where}: there is no such file")
    if len(data) > limit:
        raise CorruptFileError(f"{where}: larger than the {format_bytes(limit)} that such a file may have")
    return data


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"a number of {len(text):,} digits")
    return int(text)


def _real(text: str) -> float:
    if len(text) > 4 * DIGITS:
        raise ValueError(f"a number of {len(text):,} digits")
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text} is beyond what a float holds")
    return value


def _constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name that stands twice in one object")
    return found


def _deeper_than(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


@functools.cache
def _adapter(kind: Any) -> Any:
    import pydantic

    return pydantic.TypeAdapter(kind)


def _explain(kind: Any, where: str, error: Any) -> str:
    """Turn the first complaint of pydantic into ours: file, field, value, and the fix where there is one."""
    place: tuple[str | int, ...] = error["loc"]
    field = ".".join(map(str, place))
    at = one_line(f"{where}: {field}" if field else where)
    if error["type"] == "unexpected_keyword_argument":
        at = one_line(": ".join([where, *([".".join(map(str, place[:-1]))] if place[:-1] else [])]))
        known = [one.name for one in dataclasses.fields(owner)] if (owner := _owner(kind, place)) else []
        word = one_line(str(place[-1]), _SHOWN)
        return f"{at}: unknown name '{word}'; nearest: {', '.join(nearest(word, known))}"
    if error["type"] == "missing":
        return f"{at} is missing"
    reason = str(
        error.get("ctx", {}).get("error", error["msg"])
    )  # the sentence of a dataclass's own check, or pydantic's
    if error["type"] == "value_error":
        return f"{at}: {one_line(reason)}"
    return f"{at}: {one_line(repr(error['input']), _SHOWN)}: {one_line(reason[:1].lower() + reason[1:])}"


def _owner(kind: Any, place: tuple[str | int, ...]) -> Any:
    """Return the dataclass in which a field lies, if it can be told."""
    for part in place[:-1]:
        options = typing.get_args(kind) or (kind,)
        owners = [one for one in options if dataclasses.is_dataclass(one)]
        if not owners:
            return None
        kind = typing.get_type_hints(owners[0]).get(str(part))
    found = [one for one in (kind, *typing.get_args(kind)) if dataclasses.is_dataclass(one)]
    return found[0] if found else None
