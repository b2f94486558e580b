"""Weights of foreign networks: one reading of a file into memory, then its hash and its tensors, never its programs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.records import read_bounded
from biggan.foundation.tensor_files import looks_like
from biggan.foundation.torch_files import CLASS, StoredTensor, TorchFile, is_program, read_torch_file

Found = TypeVar("Found")
_LARGEST = 2**32
_ANNOUNCED = re.compile(r".+-([0-9a-f]{8})")


@dataclass(frozen=True)
class Weights:
    """The tensors of a file."""

    where: str
    """How to call it in messages."""
    tensors: dict[str, Tensor]
    sha256: str
    """Of the file, as hexadecimal digits."""


def read_weights(path: Path, *, published: str | None = None, option: str = "--features.weights") -> Weights:
    """Return the tensors of a weights file, which is opened and read once.

    A state dict that PyTorch saved, safetensors, or a TorchScript archive whose hash is the published one: a program
    can say anything about its weights, so that of strangers is not even read. No program is ever run.

    Args:
        path: the file; a name that ends on eight digits of its SHA-256, as PyTorch's do, must tell the truth.
        published: SHA-256 of the published TorchScript archive, where there is one.
        option: that names the file, for messages.

    Raises:
        UserError: no such file, too large, or a TorchScript archive that was not published.
        CorruptFileError: a web page or anything else, or another hash than its name says.
    """
    where = f"{option} {path}"
    data = read_bounded(path, _LARGEST, where)
    sha256 = hashlib.sha256(data).hexdigest()
    announced = _ANNOUNCED.fullmatch(path.stem)
    if announced and not sha256.startswith(announced[1]):
        raise CorruptFileError(
            f"{where}: its SHA-256 begins with {sha256[:8]}, not with {announced[1]} as its name says; fetch it again"
        )
    if path.suffix == ".safetensors":
        return Weights(where, _safetensors(data, where), sha256)
    if _opened(is_program, data, path, where) and sha256 != published:
        raise UserError(
            f"{where}: a TorchScript archive, which is a program, and not the one that was published"
            + (f" (SHA-256 {published[:16]}...)" if published else "")
            + "; give a state dict saved by torch.save, or leave it out to fetch the published one"
        )
    return Weights(where, _tensors(_opened(read_torch_file, data, path, where)), sha256)


def _opened(read: Callable[[bytes, str], Found], data: bytes, path: Path, where: str) -> Found:
    """Return what ``read`` makes of a file's content; whatever it says, the file is none of weights."""
    try:
        return read(data, where)
    except UserError as error:
        raise CorruptFileError(
            f"{where}: not a PyTorch file of tensors and nothing else{looks_like(path)} "
            f"({str(error).removeprefix(f'{where}: ')})"
        ) from error


def require_shapes(weights: Weights, expected: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Check the shapes of tensors, before anything is built after them.

    Raises:
        CorruptFileError: one is missing or of another shape.
    """
    for name, shape in expected.items():
        tensor = weights.tensors.get(name)
        if tensor is None or tuple(tensor.shape) != shape:
            has = "nothing" if tensor is None else "x".join(map(str, tensor.shape)) or "one number"
            raise CorruptFileError(
                f"{weights.where}: does not fit, not the weights of {what}: {name} is {has}, not "
                + "x".join(map(str, shape))
            )


def load_into(network: Any, weights: Weights, what: str) -> None:
    """Copy weights into a module that has the same parts, shapes and kinds of numbers.

    Raises:
        CorruptFileError: it has not.
    """
    for name, own in network.state_dict().items():
        given = weights.tensors.get(name)
        if given is not None and given.is_floating_point() != own.is_floating_point():
            raise CorruptFileError(f"{weights.where}: not the weights of {what} ({name} is {given.dtype})")
    try:
        network.load_state_dict(weights.tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()
        raise CorruptFileError(
            f"{weights.where}: does not fit, not the weights of {what} ({' '.join(reason[:2])})"
        ) from error


def _tensors(found: TorchFile) -> dict[str, Tensor]:
    """Return all tensors by name; those of modules within modules by their path."""
    if not isinstance(found.value, dict):
        raise CorruptFileError(f"{found.where}: not a set of named tensors")
    if CLASS not in found.value and not all(isinstance(value, StoredTensor) for value in found.value.values()):
        raise CorruptFileError(f"{found.where}: not a PyTorch file of tensors and nothing else")
    return {".".join(name): found.tensor(stored) for name, stored in _stored(found.value)}


def _stored(module: dict[Any, Any]) -> list[tuple[tuple[str, ...], StoredTensor]]:
    own = [((str(name),), value) for name, value in module.items() if isinstance(value, StoredTensor)]
    inner = [(str(name), value) for name, value in module.items() if isinstance(value, dict) and CLASS in value]
    return own + [((name, *rest), stored) for name, value in inner for rest, stored in _stored(value)]


def _safetensors(data: bytes, where: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CorruptFileError(f"{where}: not a whole safetensors file ({error})") from error
