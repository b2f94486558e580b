"""The machine for which pickles are programs, cut down to what plain values need.

It never imports or calls what a pickle names: a name stands for a recipe of ours, or the file is refused. Nothing costs
more memory than ten times the file, or more time than half a million instructions.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.pickle_bytes import OBJECT, VALUES, PickleBytes

Recipe = Callable[[tuple[Any, ...]], Any]
"""What a name stands for: given the arguments, the value; an :class:`Unfinished` where a state follows."""


@dataclass(frozen=True)
class Name:
    """A name that a pickle asked for, on its way to being called."""

    asked: str


class Unfinished:
    """What a recipe returns where a state must follow; never part of a result."""

    def __init__(self) -> None:
        self.remembered: list[int] = []
        """Where the machine has put it, so that the finished value takes its place."""

    def finish(self, state: Any) -> Any:
        """Return the value that it becomes with ``state``, which may be anything that a file can say."""
        raise NotImplementedError


_MOST_INSTRUCTIONS = 500_000
FREE = 2**22  # bytes that any file may cost, however small
TIMES_ITS_SIZE = 10
_LONGEST_NAME = 512
_SLOT, _ENTRY = 16, 100  # bytes of a place in a list, of an entry of a table

_MARK = object()
_CONSTANTS: dict[int, Any] = {ord("N"): None, 0x88: True, 0x89: False}
_PLACES = {ord("h"): 1, ord("j"): 4, ord("q"): 1, ord("r"): 4}  # bytes of the place in memory that follows
_MEMOIZE, _STOP = 0x94, ord(".")
_TUPLES = {0x85: 1, 0x86: 2, 0x87: 3}


class PickleMachine(PickleBytes):
    """Runs one pickle after another out of the same bytes.

    Args:
        data: the bytes.
        where: how to call them in messages.
        recipe: what a name stands for, None for a name that has no business here.
        encoding: of strings that Python 2 wrote, or "bytes" to leave them as they are.
        persistent: makes a value of the identity of something that lies outside; by default there is no such thing.
        budget: bytes of memory that the values may cost; by default ten times the data.
    """

    def __init__(
        self,
        data: bytes,
        where: str,
        recipe: Callable[[str], Recipe | None],
        *,
        encoding: str = "bytes",
        persistent: Recipe | None = None,
        budget: int | None = None,
    ) -> None:
        super().__init__(data)
        self.where, self.encoding = where, encoding
        self.recipe, self.persistent = recipe, persistent
        self._budget = budget or TIMES_ITS_SIZE * len(data) + FREE
        self._stack: list[Any] = []
        self._memory: list[Any] = []

    def run(self) -> Any:
        """Return what the next pickle makes; its parts are still to be checked.

        Raises:
            UserError: it asks for more than it may.
            CorruptFileError: it is damaged.
        """
        self._stack, self._memory = [], []
        try:
            self._execute()
            (value,) = self._stack
        except UserError as error:
            kind = CorruptFileError if isinstance(error, CorruptFileError) else UserError
            raise kind(f"{self.where}: {error}") from error
        except (IndexError, KeyError, ValueError, TypeError, struct.error, OverflowError) as error:
            raise CorruptFileError(f"{self.where}: not a whole pickle of plain data; get it again") from error
        return value

    def _execute(self) -> None:
        for _ in range(_MOST_INSTRUCTIONS):
            code = self.byte()
            if code == _STOP:
                return
            handler = _HANDLERS.get(code)
            if handler is None:
                raise UserError(f"instruction 0x{code:02x} of its pickle, which plain data have no need of")
            handler(self, code)
        raise UserError(f"more than {_MOST_INSTRUCTIONS:,} instructions of a pickle, which plain data have no need of")

    def _charge(self, count: int) -> None:
        self._budget -= count
        if self._budget < 0:
            raise UserError(f"its pickle would take more than {TIMES_ITS_SIZE} times its size in memory")

    def _push(self, value: Any, cost: int = 0) -> None:
        self._charge(_SLOT + cost)
        self._stack.append(value)

    def _since_mark(self) -> list[Any]:
        place = len(self._stack) - 1
        while self._stack[place] is not _MARK:  # every value is passed once: what lies above the mark is taken away
            place -= 1
            if place < 0:
                raise CorruptFileError("not a whole pickle; get it again")
        taken = self._stack[place + 1 :]
        del self._stack[place:]
        return taken

    # -- plain values --------------------------------------------------------------------------------------------

    def _constant(self, code: int) -> None:
        self._push(_CONSTANTS[code])

    def _value(self, code: int) -> None:
        self._push(*self.value(code, self.encoding))

    # -- containers ----------------------------------------------------------------------------------------------

    def _mark(self, _: int) -> None:
        self._push(_MARK)

    def _pop(self, _: int) -> None:
        self._stack.pop()

    def _pop_mark(self, _: int) -> None:
        self._since_mark()

    def _duplicate(self, _: int) -> None:
        self._push(self._top())

    def _top(self) -> Any:
        if self._stack[-1] is _MARK:
            raise CorruptFileError("not a whole pickle; get it again")
        return self._stack[-1]

    def _empty(self, code: int) -> None:
        self._push({} if code == ord("}") else [] if code == ord("]") else (), OBJECT)

    def _short_tuple(self, code: int) -> None:
        count = _TUPLES[code]
        taken = self._stack[-count:]
        if len(taken) < count or any(one is _MARK for one in taken):
            raise CorruptFileError("not a whole pickle; get it again")
        del self._stack[-count:]
        self._push(tuple(taken), OBJECT)

    def _gathered(self, code: int) -> None:
        items = self._since_mark()
        if code == ord("d"):
            self._push({}, OBJECT)
            self._fill(items)
        else:
            self._push(tuple(items) if code == ord("t") else items, OBJECT)

    def _append(self, code: int) -> None:
        items = self._since_mark() if code == ord("e") else [self._stack.pop()]
        target = self._top()
        if type(target) is not list or any(item is _MARK for item in items[:1]):
            raise CorruptFileError("appends to what is no list")
        target.extend(items)

    def _set(self, code: int) -> None:
        items = self._since_mark() if code == ord("u") else [self._stack.pop(), self._stack.pop()][::-1]
        self._fill(items)

    def _fill(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) is not dict or len(items) % 2 or any(item is _MARK for item in items[:2]):
            raise CorruptFileError("sets an entry of what is no table")
        self._charge(_ENTRY * (len(items) // 2))
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Python's tables take numbers and text at their word; anything larger could be made to collide.
            plain = type(key) in (str, bytes, bool) or key is None or (type(key) is int and -(2**63) <= key < 2**64)
            if not plain:
                raise UserError(f"a table with a key of type {type(key).__name__}, which plain data have no need of")
            target[key] = value

    # -- memory, names and what they stand for -------------------------------------------------------------------

    def _place(self, code: int) -> int:
        """Return which place in memory an instruction names."""
        if code in _PLACES:
            return int.from_bytes(self.take(_PLACES[code]), "little")
        place = len(self._memory) if code == _MEMOIZE else int(self.line(12))
        if place < 0:
            raise CorruptFileError("a place in memory below the first")
        return place

    def _store(self, code: int) -> None:
        value, place = self._top(), self._place(code)
        missing = place - len(self._memory)
        if missing > 0:
            self._charge(_SLOT * missing)
            self._memory += [_MARK] * missing
        if missing >= 0:
            self._charge(_SLOT)
            self._memory.append(value)
        else:
            self._memory[place] = value
        if isinstance(value, Unfinished):
            value.remembered.append(place)

    def _recall(self, code: int) -> None:
        self._push(self._memory[self._place(code)])
        self._top()  # what was never stored is a mark

    def _protocol(self, _: int) -> None:
        if self.byte() > 5:
            raise UserError("a pickle of a later protocol than 5")

    def _frame(self, _: int) -> None:
        self.must_have(int.from_bytes(self.take(8), "little"))

    def _name(self, code: int) -> None:
        if code == ord("c"):
            module, name = self.line(_LONGEST_NAME).decode(), self.line(_LONGEST_NAME).decode()
        else:
            name, module = self._stack.pop(), self._stack.pop()
            if type(name) is not str or type(module) is not str:
                raise CorruptFileError("a name that is no text")
        asked = f"{module}.{name}"
        if self.recipe(asked) is None:
            shown = asked if len(asked) < 100 else f"{asked[:100]}..."
            raise UserError(f"asks for {shown}, which plain data have no need of; it was not opened")
        self._push(Name(asked), OBJECT + len(asked))

    def _reduce(self, _: int) -> None:
        arguments, name = self._stack.pop(), self._stack.pop()
        recipe = self.recipe(name.asked) if isinstance(name, Name) else None
        if recipe is None or type(arguments) is not tuple:
            raise CorruptFileError("calls what is no name")
        self._made(recipe(arguments))

    def _build(self, _: int) -> None:
        state, target = self._stack.pop(), self._top()
        if isinstance(target, Unfinished):
            self._stack.pop()
            self._made(target.finish(state))
            for key in target.remembered:
                self._memory[key] = self._stack[-1]
        elif type(target) is not dict:  # an ordered table may carry notes about itself, which are left
            raise CorruptFileError("gives a state to what has none")

    def _outside(self, _: int) -> None:
        identity = self._stack.pop()
        if self.persistent is None or type(identity) is not tuple:
            raise UserError("refers to something outside itself, which plain data have no need of")
        self._made(self.persistent(identity))

    def _made(self, value: Any) -> None:
        size = len(value) if isinstance(value, bytes) else getattr(value, "nbytes", 0)
        self._push(value, size + 2 * OBJECT)


_HANDLERS: dict[int, Callable[[PickleMachine, int], None]] = {
    ord("("): PickleMachine._mark,
    ord("0"): PickleMachine._pop,
    ord("1"): PickleMachine._pop_mark,
    ord("2"): PickleMachine._duplicate,
    0x80: PickleMachine._protocol,
    0x95: PickleMachine._frame,
    ord("c"): PickleMachine._name,
    0x93: PickleMachine._name,
    ord("R"): PickleMachine._reduce,
    0x81: PickleMachine._reduce,  # an object made anew is its class called
    ord("b"): PickleMachine._build,
    ord("Q"): PickleMachine._outside,
    _MEMOIZE: PickleMachine._store,
    **dict.fromkeys(b"pqr", PickleMachine._store),
    **dict.fromkeys(b"ghj", PickleMachine._recall),
    **dict.fromkeys(_CONSTANTS, PickleMachine._constant),
    **dict.fromkeys(VALUES, PickleMachine._value),
    **dict.fromkeys(_TUPLES, PickleMachine._short_tuple),
    **dict.fromkeys(b"}])", PickleMachine._empty),
    **dict.fromkeys(b"dlt", PickleMachine._gathered),
    **dict.fromkeys(b"ae", PickleMachine._append),
    **dict.fromkeys(b"su", PickleMachine._set),
}
