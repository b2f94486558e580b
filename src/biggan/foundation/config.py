"""Frozen dataclasses to JSON and back. Unknown names are errors, never silently dropped."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, TypeVar

from biggan.foundation.courses import Course
from biggan.foundation.durations import DIGITS
from biggan.foundation.errors import UserError
from biggan.foundation.records import parse_record

Config = TypeVar("Config")


def to_json(value: Any) -> Any:
    """Return ``value`` (dataclasses, tuples, numbers, strings, None) as what ``json.dump`` can write.

    A course is its word.
    """
    if isinstance(value, Course):
        return str(value)
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
        CorruptFileError: an unknown name (with the nearest known ones) or a value of the wrong type.
    """
    return parse_record(kind, json.dumps(value), where or kind.__name__)


def differences(old: Any, new: Any, where: str = "") -> dict[str, tuple[Any, Any]]:
    """Return ``{dotted name: (old, new)}`` for every leaf in which two dataclasses of one kind differ."""
    found: dict[str, tuple[Any, Any]] = {}
    for field in dataclasses.fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        name = f"{where}{field.name}"
        leaf = isinstance(before, Course)
        if dataclasses.is_dataclass(before) and type(before) is type(after) and not leaf:
            found.update(differences(before, after, f"{name}."))
        elif before != after:
            found[name] = (before, after)
    return found


def check_digits(config: Any, where: str = "") -> None:
    """Check that all whole numbers of a dataclass, and of those in it, are read back from where they are stored.

    Raises:
        UserError: one has too many digits; names its option.
    """
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f"{where}{field.name}"
        if dataclasses.is_dataclass(value) and not isinstance(value, Course):
            check_digits(value, f"{name}.")
        elif isinstance(value, int) and not -(10 ** (DIGITS - 1)) < value < 10**DIGITS:
            raise UserError(f"{option_name(name)}: a number of more than {DIGITS} digits; choose a smaller one")


def option_name(dotted: str) -> str:
    """Return the command-line option of a dotted field name: ``model.latent_size`` is ``--model.latent-size``."""
    return "--" + dotted.replace("_", "-")
