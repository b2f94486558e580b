"""Frozen dataclasses to JSON and back. Unknown names are errors, never silently dropped."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from typing import Any, TypeVar

from biggan.foundation.errors import UserError, nearest

Config = TypeVar("Config")


def to_json(value: Any) -> Any:
    """Return ``value`` (dataclasses, tuples, numbers, strings, None) as what ``json.dump`` can write."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    return value


def from_json(kind: type[Config], value: Any, where: str = "") -> Config:
    """Return the dataclass ``kind`` that :func:`to_json` wrote as ``value``.

    Fields that are absent get their defaults, so that files written before a field existed can be read.

    Raises:
        UserError: an unknown name (with the nearest known ones) or a value of the wrong type.
    """
    return typing.cast(Config, _convert(kind, value, where))


@functools.cache
def field_types(kind: type) -> dict[str, Any]:
    """Return the resolved annotation of every field of the dataclass ``kind``."""
    return typing.get_type_hints(kind)


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _convert_dataclass(typing.cast(type, kind), value, where)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        for option in arguments:
            try:
                return _convert(option, value, where)
            except UserError:
                continue
    elif origin is typing.Literal:
        if value in arguments:
            return value
        raise UserError(f"{where}: '{value}' is none of {', '.join(map(str, arguments))}")
    elif origin is tuple and isinstance(value, list | tuple):
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_convert(arguments[0], item, where) for item in value)
        if len(arguments) == len(value):
            return tuple(_convert(a, item, where) for a, item in zip(arguments, value, strict=True))
    elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif isinstance(kind, type) and type(value) is kind:
        return value
    raise UserError(f"{where}: {value!r} is not of type {getattr(kind, '__name__', kind)}")


def _convert_dataclass(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise UserError(f"{where or kind.__name__}: expected names and values, not {value!r}")
    fields = {field.name for field in dataclasses.fields(kind)}
    for name in value:
        if name not in fields:
            raise UserError(
                f"{where or kind.__name__}: unknown name '{name}'; nearest: {', '.join(nearest(name, fields))}"
            )
    hints = field_types(kind)
    prefix = f"{where}." if where else ""
    return kind(**{name: _convert(hints[name], item, prefix + name) for name, item in value.items()})


def differences(old: Any, new: Any, where: str = "") -> dict[str, tuple[Any, Any]]:
    """Return ``{dotted name: (old, new)}`` for every leaf in which two dataclasses of one kind differ."""
    found: dict[str, tuple[Any, Any]] = {}
    for field in dataclasses.fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        name = f"{where}{field.name}"
        if dataclasses.is_dataclass(before) and type(before) is type(after):
            found.update(differences(before, after, f"{name}."))
        elif before != after:
            found[name] = (before, after)
    return found


def option_name(dotted: str) -> str:
    """Return the command-line option of a dotted field name: ``model.latent_size`` is ``--model.latent-size``."""
    return "--" + dotted.replace("_", "-")
