"""What lies in foreign files: tensors and plain values, read without running anything that a file asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.records import read_bounded
from biggan.foundation.tensor_files import looks_like, read_foreign_tensors
from biggan.foundation.torch_files import StoredTensor, TorchFile, read_torch_file

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LARGEST = 2**34
"""Bytes of the largest file that is read; the largest that was published, with everything, has about four GiB."""
_DEEPEST = 16


@dataclass(frozen=True, kw_only=True)
class Content:
    """What one file holds."""

    path: Path
    tensors: dict[str, Tensor] = field(default_factory=dict)
    """By the names under which they lie, joined by points."""
    values: dict[str, Any] = field(default_factory=dict)
    """Everything else, as it lies: numbers, strings, and what consists of them."""

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with ``prefix`` and a point, without it."""
        start = f"{prefix}."
        return {key.removeprefix(start): value for key, value in self.tensors.items() if key.startswith(start)}


def read_content(path: Path) -> Content:
    """Read one file: PyTorch's (of any age), safetensors, HDF5, .npz; what it is, is read off its content.

    Raises:
        UserError: no such file, one of another kind, or one that asks for classes that are not opened here.
        CorruptFileError: damaged.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    with path.open("rb") as file:
        start = file.read(512)
    if start[:4] == b"\x89HDF":
        return Content(path=path, tensors=read_numbers_as_tensors(path))
    if start[8:9] == b"{":
        return Content(path=path, tensors=read_foreign_tensors(path))
    if start[:2] == b"PK" and _is_npz(path):
        return Content(path=path, tensors=_arrays(path))
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return _read_torch(path)
    guess = looks_like(path) or "; PyTorch's files, safetensors, HDF5 and .npz are"
    raise CorruptFileError(f"{path} is no file of weights that can be read{guess}")


def read_numbers_as_tensors(path: Path) -> dict[str, Tensor]:
    """Return every array of an HDF5 file by its path."""
    from biggan.data.sources.hdf5_files import read_numbers

    return {name: _tensor(array, f"{path}, {name}") for name, array in read_numbers(path).items()}


def _arrays(path: Path) -> dict[str, Tensor]:
    from biggan.foundation.arrays import read_arrays

    return {name: _tensor(array, f"{path}, {name}") for name, array in read_arrays(path, most=LARGEST).items()}


def _is_npz(path: Path) -> bool:
    from biggan.foundation.archives import open_zip

    with open_zip(path, str(path), most_members=2**17, most=LARGEST) as archive:
        names = archive.namelist()
    return bool(names) and all(name.endswith(".npy") for name in names)


def _tensor(array: npt.NDArray[np.generic], where: str) -> Tensor:
    import numpy as np
    import torch

    plain = np.ascontiguousarray(array).reshape(array.shape)
    if plain.dtype.kind not in "iuf":
        raise UserError(f"{where} is of type {plain.dtype}; numbers are expected")
    native = plain.astype(plain.dtype.newbyteorder("="))
    kinds = {"u2": np.int32, "u4": np.int64, "u8": np.int64}
    wanted = kinds.get(native.dtype.str[1:])
    if native.dtype.itemsize > 8:
        raise UserError(f"{where} is of type {plain.dtype}, which has no counterpart")
    return torch.from_numpy(native if wanted is None else native.astype(wanted))


def _read_torch(path: Path) -> Content:
    file = read_torch_file(read_bounded(path, LARGEST), str(path))
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    _spread(file, file.value, "", tensors, 0)
    if isinstance(file.value, Mapping):
        values = {str(key): value for key, value in file.value.items() if not isinstance(value, StoredTensor)}
    return Content(path=path, tensors=tensors, values=values)


def _spread(file: TorchFile, value: Any, prefix: str, tensors: dict[str, Tensor], depth: int) -> None:
    """Collect the tensors under ``value``, which is a mapping of mappings, by their joined names."""
    if depth > _DEEPEST:
        raise CorruptFileError(f"{file.where}: more than {_DEEPEST} mappings within each other")
    if isinstance(value, StoredTensor):
        tensors[prefix] = file.tensor(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(key, str | int):
                _spread(file, inner, f"{prefix}.{key}" if prefix else str(key), tensors, depth + 1)
