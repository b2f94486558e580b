"""What the names in a pickle stand for that restore arrays: recipes of our own, no function of NumPy's."""

from __future__ import annotations

from typing import Any

from biggan.foundation.arrays import array_of, plain_dtype
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.pickle_machine import Name, Recipe, Unfinished

_HERE = "an array"  # the machine puts the name of the file in front
_MOST_STATE = 8


def array_recipe(asked: str) -> Recipe | None:
    """Return what ``asked`` stands for in a pickle of plain values and arrays; None for nothing."""
    return _RECIPES.get(asked.replace("numpy.core.", "numpy._core."))


class _Kind(Unfinished):
    """A type of numbers; its state says in which order the bytes lie."""

    def __init__(self, description: str) -> None:
        super().__init__()
        plain_dtype(description, _HERE)
        self.description, self.order = description, "="

    def finish(self, state: Any) -> _Kind:
        fits = isinstance(state, tuple) and len(state) == _MOST_STATE and state[0] == 3
        if not fits or state[2:5] != (None, None, None):
            raise UserError(f"{_HERE} of a type with fields or dates; only plain numbers and short text are read")
        self.order = _text(state[1])
        if self.order not in ("<", ">", "=", "|"):
            raise CorruptFileError(f"{_HERE} whose bytes lie in no order")
        return self

    def array(self, buffer: Any, shape: Any, fortran: bool) -> Any:
        raw = buffer.encode("latin1") if isinstance(buffer, str) else buffer
        plain = isinstance(shape, tuple) and all(type(side) is int for side in shape) and isinstance(raw, bytes)
        if not plain:
            raise CorruptFileError(f"{_HERE} without a shape or without bytes")
        order = "" if self.description[0] in "<>=|" else self.order
        return array_of(raw, plain_dtype(order + self.description, _HERE), shape, fortran, _HERE)


class _Array(Unfinished):
    """An array before its state, which is all of it."""

    def finish(self, state: Any) -> Any:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _Kind):
            raise CorruptFileError(f"{_HERE} with a state of another form")
        version, shape, kind, fortran, buffer = state
        if version not in (0, 1) or fortran not in (0, 1):
            raise CorruptFileError(f"{_HERE} with a state of another form")
        return kind.array(buffer, shape, bool(fortran))


def _text(value: Any) -> str:
    """Return a name that Python 2 may have written as bytes."""
    found = value.decode("latin1") if isinstance(value, bytes) else value
    if not isinstance(found, str):
        raise CorruptFileError(f"{_HERE} with a name that is no text")
    return found


def _kind(arguments: tuple[Any, ...]) -> _Kind:
    if not 1 <= len(arguments) <= 3:
        raise CorruptFileError(f"{_HERE} of no type")
    return _Kind(_text(arguments[0]))


def _reconstruct(arguments: tuple[Any, ...]) -> _Array:
    if len(arguments) != 3 or arguments[0] != Name("numpy.ndarray"):
        raise UserError(f"{_HERE} of another class than NumPy's own")
    return _Array()


def _scalar(arguments: tuple[Any, ...]) -> Any:
    if len(arguments) != 2 or not isinstance(arguments[0], _Kind):
        raise CorruptFileError("a number of no type")
    return arguments[0].array(arguments[1], (), fortran=False)[()]


def _from_buffer(arguments: tuple[Any, ...]) -> Any:
    if len(arguments) != 4 or not isinstance(arguments[1], _Kind) or arguments[3] not in ("C", "F"):
        raise CorruptFileError(f"{_HERE} with a buffer of another form")
    buffer, kind, shape, order = arguments
    return kind.array(buffer, shape, order == "F")


def _encode(arguments: tuple[Any, ...]) -> bytes:
    """Bytes, which protocols before the third write as text."""
    if len(arguments) != 2 or not isinstance(arguments[0], str) or arguments[1] not in ("latin1", "latin-1"):
        raise CorruptFileError("bytes written in another way than Python does")
    return arguments[0].encode("latin1")


def _no_bytes(arguments: tuple[Any, ...]) -> bytes:
    if arguments:
        raise CorruptFileError("bytes written in another way than Python does")
    return b""


def _never(_: tuple[Any, ...]) -> Any:
    raise CorruptFileError(f"{_HERE} made without its parts")


_RECIPES: dict[str, Recipe] = {
    "numpy._core.multiarray._reconstruct": _reconstruct,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy._core.numeric._frombuffer": _from_buffer,
    "numpy.ndarray": _never,
    "numpy.dtype": _kind,
    "_codecs.encode": _encode,
    "__builtin__.bytes": _no_bytes,
    "builtins.bytes": _no_bytes,
}
