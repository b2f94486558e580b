"""The words of a command line become a dataclass of options; what is refused is told in a sentence.

The option parser tells of a word that fits no part of ``int | None`` what each part's constructor raised, types and
functions of Python among it. Here numbers and unions get the sentence that a person can act on.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    UnsupportedTypeAnnotationError,
)

from biggan.foundation.errors import UserError
from biggan.foundation.terminal import one_line

T = TypeVar("T")
Spec = PrimitiveConstructorSpec[Any]
_REGISTRY = ConstructorRegistry()
_NUMBERS: dict[Any, str] = {int: "a whole number", float: "a number"}
_asked: list[PrimitiveTypeInfo] = []
"""Types of which the parser's own rule is being asked, so that ours leaves them to it."""


def read_options(
    kind: type[T], words: Sequence[str], prog: str, *, default: T | None = None, description: str | None = None
) -> T:
    """Return the options that words mean, or leave with status 2 after a message.

    Args:
        kind: a dataclass; its fields are the options.
        words: behind the command.
        prog: the command, as messages and help call it.
        default: what is not given is as in this; by default as the dataclass has it.
        description: for help; by default the docstring of ``kind``.
    """
    if default is None:
        return tyro.cli(kind, args=words, prog=prog, description=description, registry=_REGISTRY)
    return tyro.cli(kind, args=words, prog=prog, description=description, default=default, registry=_REGISTRY)


@_REGISTRY.primitive_rule
def _in_a_sentence(info: PrimitiveTypeInfo) -> Spec | UnsupportedTypeAnnotationError | None:
    """Return how the parser reads a number or a union, but for what it says of words that it refuses."""
    union = info.type_origin in (typing.Union, types.UnionType)
    if (not union and info.type not in _NUMBERS) or any(info is one for one in _asked):
        return None
    _asked.append(info)
    try:
        spec = ConstructorRegistry.get_primitive_spec(info)
    finally:
        _asked.pop()
    if isinstance(spec, UnsupportedTypeAnnotationError):
        return spec
    tell = _Union(info) if union else _refused(f"is not {_NUMBERS[info.type]}")
    return dataclasses.replace(spec, instance_from_str=_reading(spec, tell))


def _reading(spec: Spec, tell: Callable[[list[str]], str]) -> Callable[[list[str]], Any]:
    def read(words: list[str]) -> Any:
        try:
            return spec.instance_from_str(words)
        except ValueError:
            raise UserError(tell(words)) from None

    return read


def _refused(what: str) -> Callable[[list[str]], str]:
    return lambda words: f"'{one_line(' '.join(words), 80)}' {what}"


class _Union:
    """What is said of words that no part of a union takes."""

    def __init__(self, info: PrimitiveTypeInfo) -> None:
        self._parts = [PrimitiveTypeInfo.make(one, info.markers) for one in typing.get_args(info.type)]

    def __call__(self, words: list[str]) -> str:
        """Return the sentence of the part that has one of its own (a size, a number of images), or what there is."""
        named = []
        for part in self._parts:
            spec = ConstructorRegistry.get_primitive_spec(part)
            assert not isinstance(spec, UnsupportedTypeAnnotationError), "then the union had been refused"
            named.append(_NUMBERS.get(part.type) or (", ".join(spec.choices) if spec.choices else spec.metavar))
            if part.type in _NUMBERS or spec.choices or (isinstance(spec.nargs, int) and spec.nargs != len(words)):
                continue
            try:
                spec.instance_from_str(words)
            except UserError as error:
                return str(error)
            except ValueError:
                pass
        return _refused(f"is none of: {', '.join(named)}")(words)
