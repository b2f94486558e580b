"""PyTorch files read as what they hold, values and tensors: no class of theirs is imported, no program is run.

Three layouts: the zip archive of ``torch.save``, the stream of pickles that it wrote before version 1.6, and the zip
archive of TorchScript, of which the program is left aside. In each, a pickle refers to storages beside it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from biggan.foundation.archives import open_member, open_zip, read_exactly
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.pickle_machine import Name, PickleMachine, Recipe, Unfinished
from biggan.foundation.pickled_arrays import array_recipe
from biggan.foundation.plain_pickles import check_plain

if TYPE_CHECKING:
    from torch import Tensor

CLASS = "__class__"
"""Under this name a restored module keeps the name of its class, beside what it consists of."""
_MAGIC = 0x1950A86A20F9469CFC6C  # the number with which the stream of pickles begins
_MOST_MEMBERS = 2**17
_LARGEST_PICKLE = 2**26
_MODULES = ("torch.nn.modules.activation.ReLU",)
_MOST_DIMENSIONS = 16
_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
_WIDTHS = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2, "int8": 1,
           "uint8": 1, "bool": 1}  # fmt: skip


@dataclass(frozen=True)
class StoredTensor:
    """A tensor whose numbers have not been read yet."""

    key: str
    """Of its storage."""
    kind: str
    """Name of its type in torch."""
    length: int
    """Entries of the storage."""
    offset: int = 0
    size: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()


@dataclass(frozen=True)
class TorchFile:
    """What a file holds, and where its numbers lie."""

    where: str
    value: Any
    """Plain values, :class:`StoredTensor` among them; modules are dictionaries of what they consist of."""
    storages: dict[str, memoryview]
    """By key."""

    def tensor(self, stored: StoredTensor) -> Tensor:
        """Return a tensor, which shares the memory of its storage.

        Raises:
            CorruptFileError: it reaches beyond its storage, or the storage is missing or of another length.
        """
        import torch

        kind: torch.dtype = getattr(torch, stored.kind)
        raw = self.storages.get(stored.key)
        if raw is None or len(raw) != stored.length * kind.itemsize:
            raise CorruptFileError(f"{self.where}: the numbers of a tensor are missing or not as many as announced")
        _check_extent(stored, self.where)
        if 0 in stored.size:
            return torch.empty(stored.size, dtype=kind)
        if stored.kind == "bool" and max(raw) > 1:
            raise CorruptFileError(f"{self.where}: truth values other than true and false")
        return torch.frombuffer(raw, dtype=kind).as_strided(stored.size, stored.stride, stored.offset)


def _check_extent(stored: StoredTensor, where: str) -> None:
    """Check that a tensor lies within its storage and is no larger, however often its strides repeat an entry."""
    count, last = 1, stored.offset
    for side, step in zip(stored.size, stored.stride, strict=True):
        count *= side
        last += max(side - 1, 0) * step
        if max(count, last, side) > 2**48:
            raise CorruptFileError(f"{where}: a tensor larger than any file")
    if count and (count > stored.length or last >= stored.length):
        raise CorruptFileError(f"{where}: a tensor reaches beyond its numbers")


def read_torch_file(data: bytes, where: str) -> TorchFile:
    """Read a PyTorch file of any of the three layouts; its tensors are left where they lie.

    Args:
        data: the whole file.
        where: how to call it in messages.

    Raises:
        UserError: it asks for a class that is not known here.
        CorruptFileError: damaged, or no such file.
    """
    found = _read_archive(data, where) if data[:2] == b"PK" else _read_stream(data, where)
    check_plain(found.value, where, len(data), (StoredTensor,))
    return found


def is_program(data: bytes, where: str) -> bool:
    """Tell whether a file is a TorchScript archive, by the names of its members alone.

    Raises:
        UserError: a damaged archive.
    """
    if data[:2] != b"PK":
        return False
    with open_zip(io.BytesIO(data), where, most_members=_MOST_MEMBERS, most=10 * len(data) + 2**22) as archive:
        return any(name.partition("/")[2] == "constants.pkl" for name in archive.namelist())


def _read_archive(data: bytes, where: str) -> TorchFile:
    with open_zip(io.BytesIO(data), where, most_members=_MOST_MEMBERS, most=10 * len(data) + 2**22) as archive:
        members = {member.filename.partition("/")[2]: member for member in archive.infolist()}
        content: dict[str, memoryview] = {}
        for name, member in members.items():
            if name in ("data.pkl", "byteorder") or name.startswith("data/"):
                if name == "data.pkl" and member.file_size > _LARGEST_PICKLE:
                    raise UserError(f"{where}: {member.file_size:,} bytes of values beside its tensors")
                with open_member(archive, member, where) as file:
                    content[name] = memoryview(read_exactly(file, member.file_size, where))
                    file.read(1)  # makes the archive compare its checksum
    if "data.pkl" not in content:
        raise CorruptFileError(f"{where}: a zip archive, but none that PyTorch wrote")
    if bytes(content.get("byteorder", b"little")) != b"little":
        raise UserError(f"{where}: numbers in the byte order of another machine")
    value = _machine(bytes(content["data.pkl"]), where, len(data)).run()
    storages = {name.removeprefix("data/"): raw for name, raw in content.items() if name.startswith("data/")}
    return TorchFile(where, value, storages)


def _read_stream(data: bytes, where: str) -> TorchFile:
    kinds: dict[str, str] = {}
    machine = _machine(data, where, len(data), kinds)
    if machine.run() != _MAGIC or type(machine.run()) is not int or type(machine.run()) is not dict:
        raise CorruptFileError(f"{where}: not a PyTorch file")
    value, keys = machine.run(), machine.run()
    if not isinstance(keys, list) or not all(type(key) is str and key in kinds for key in keys):
        raise CorruptFileError(f"{where}: not a whole PyTorch file; get it again")
    storages = {}
    for key in dict.fromkeys(keys):
        count = int.from_bytes(machine.take(8), "little") * _WIDTHS[kinds[key]]
        storages[key] = memoryview(bytearray(machine.take(count)))
    return TorchFile(where, value, storages)


def _machine(data: bytes, where: str, size: int, kinds: dict[str, str] | None = None) -> PickleMachine:
    """Return the machine for the pickles of a file of ``size`` bytes; it notes the types of storages in ``kinds``."""
    noted: dict[str, str] = {} if kinds is None else kinds

    def outside(identity: tuple[Any, ...]) -> Any:
        if identity[:1] == ("module",) and len(identity) == 4:  # before version 1.6 a class came with its source
            return identity[1]
        stored = _stored(identity)
        if noted.setdefault(stored.key, stored.kind) != stored.kind:
            raise CorruptFileError("two types of the same numbers")
        return stored

    return PickleMachine(data, where, _recipe, encoding="latin1", persistent=outside, budget=10 * size + 2**24)


def _stored(identity: tuple[Any, ...]) -> StoredTensor:
    """Return a storage by its identity: a word, its type, its key, where it was, its length."""
    if len(identity) not in (5, 6) or identity[0] != "storage" or identity[5:] not in ((), (None,)):
        raise CorruptFileError("refers to something that is no storage")
    _, name, key, _, length = identity[:5]
    kind = _STORAGES.get(name.asked.removeprefix("torch.")) if isinstance(name, Name) else None
    if kind is None or type(key) is not str or type(length) is not int or not 0 <= length < 2**48:
        raise CorruptFileError("refers to a storage of unknown type or length")
    return StoredTensor(key, kind, length)


def _recipe(asked: str) -> Recipe | None:
    if asked.startswith("__torch__.") or asked in _MODULES:
        return lambda _: _Module(asked)
    if asked.startswith("torch.jit._pickle."):  # lists whose type is told beside them
        return lambda arguments: arguments[0]
    if asked.startswith("torch.") and asked.removeprefix("torch.") in _STORAGES:
        return _never
    return _RECIPES.get(asked) or array_recipe(asked)


class _Module(Unfinished):
    """A module before its state: what it consists of."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def finish(self, state: Any) -> dict[str, Any]:
        if type(state) is not dict:
            raise CorruptFileError("a module without parts")
        return {**state, CLASS: self.name}


def _tensor(arguments: tuple[Any, ...]) -> StoredTensor:
    if len(arguments) < 4 or not isinstance(arguments[0], StoredTensor):
        raise CorruptFileError("a tensor of no storage")
    storage, offset, size, stride = arguments[:4]
    sides = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= _MOST_DIMENSIONS
    if not sides or not all(type(one) is int and 0 <= one < 2**48 for one in (offset, *size, *stride)):
        raise CorruptFileError("a tensor without a shape")
    return StoredTensor(storage.key, storage.kind, storage.length, offset, size, stride)


def _parameter(arguments: tuple[Any, ...]) -> StoredTensor:
    if not arguments or not isinstance(arguments[0], StoredTensor):
        raise CorruptFileError("a parameter that is no tensor")
    return arguments[0]


def _table(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """Restore an ordered table, which plain ones are; its entries follow it, or stand in a list of pairs."""
    if arguments not in ((), ([],)):
        raise CorruptFileError("a table with its entries in front")
    return {}


def _tuple(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(arguments) != 1 or type(arguments[0]) not in (list, tuple):
        raise CorruptFileError("a set of nothing")
    return tuple(arguments[0])


def _never(_: tuple[Any, ...]) -> Any:
    raise CorruptFileError("a storage made without its numbers")


_RECIPES: dict[str, Recipe] = {
    "collections.OrderedDict": _table,
    "__builtin__.set": _tuple,
    "builtins.set": _tuple,
    "torch.Size": _tuple,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}
