"""Safetensors files with a JSON header of ours and a hash of all that they hold, which reading verifies."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import NoSpaceError, finite, replacing
from biggan.foundation.records import parse_plain

if TYPE_CHECKING:
    from torch import Tensor

HEADER_KEY = "biggan"
HASH_KEY = "xxh3-128"
"""The hash finds damage, not malice: whoever can change the tensors can change it too."""


@dataclass(frozen=True)
class TensorFile:
    """What such a file holds."""

    header: dict[str, Any]
    header_json: str
    """The same, as it is written."""
    tensors: dict[str, Tensor]
    """On the CPU."""
    content_hash: str
    """Of all that, hexadecimal; the one that the file carries."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: dict[str, Any] | None = None) -> None:
    """Write one safetensors file, atomically, with ``header`` as JSON and the hash of everything in its metadata.

    Raises:
        UserError: ``path`` is a link, or the disk is full.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(finite(header or {}), allow_nan=False)
    with replacing(path) as temporary:
        mode = stat.S_IMODE(temporary.stat().st_mode)
        try:
            save_file(plain, temporary, metadata={HEADER_KEY: text, HASH_KEY: content_hash(text, plain)})
            temporary.chmod(mode)  # the library puts a file of its own there, which only its owner may read
        except SafetensorError as error:  # the library has no class of its own for what the system says
            raise NoSpaceError(f"{path} could not be written ({error}); nothing that was there is lost") from error


def content_hash(header: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the XXH3 hash (128 bits, hexadecimal) of a header and of names, types, shapes and bytes of tensors."""
    import torch
    import xxhash

    state = xxhash.xxh3_128(header.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        state.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        if tensor.numel():
            state.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return state.hexdigest()


def read_header(path: Path) -> dict[str, Any]:
    """Return the JSON header that :func:`write_tensors` put into a file; the tensors are neither read nor verified.

    Raises:
        UserError: no such file, not a safetensors file, or one that this package did not write.
    """
    header: dict[str, Any] = parse_header(path, read_metadata(path).get(HEADER_KEY))
    return header


def parse_header(path: Path, text: str | None) -> dict[str, Any]:
    """Return the header in ``text``, which stood in the file ``path``.

    Raises:
        CorruptFileError: there is none, or it is no set of names and values.
    """
    if text is None:
        raise CorruptFileError(f"{path} is a safetensors file, but carries no '{HEADER_KEY}' header")
    header = parse_plain(text, f"{path}: header")
    if not isinstance(header, dict):
        raise CorruptFileError(f"{path}: its '{HEADER_KEY}' header is not a set of names and values")
    return header


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of any safetensors file.

    Raises:
        UserError: no such file, or not a safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"{path} does not exist")
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def read_verified(path: Path) -> TensorFile:
    """Return header and tensors of a file that :func:`write_tensors` wrote, if they are still what was written.

    Raises:
        UserError: not such a file.
        CorruptFileError: damaged: its content does not have the hash that it carries.
    """
    metadata = read_metadata(path)
    text, tensors = metadata.get(HEADER_KEY), read_foreign_tensors(path)
    header = parse_header(path, text)
    assert text is not None
    expected, found = metadata.get(HASH_KEY), content_hash(text, tensors)
    if expected != found:
        raise CorruptFileError(
            f"{path} is damaged: its content has the hash {found}, and it carries "
            f"{expected or 'none, which every file of this version does'}; get it again"
        )
    return TensorFile(header, text, tensors, found)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a file that :func:`write_tensors` wrote, on the CPU; see :func:`read_verified`."""
    return read_verified(path).tensors


def read_foreign_tensors(path: Path) -> dict[str, Tensor]:
    """Return all tensors of any safetensors file, on the CPU.

    Raises:
        CorruptFileError: damaged or of another kind.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> CorruptFileError:
    return CorruptFileError(f"{path} is not a readable safetensors file ({error}){looks_like(path)}")


def looks_like(path: Path) -> str:
    """Say what a file seems to be instead, for the commonest mistakes."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:
        return ""
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "; it looks like a web page that was saved in place of the weights"
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return (
            "; it looks like a pickled PyTorch checkpoint, which is not opened here; convert it first: biggan convert "
            "FILE NEW.safetensors"
        )
    return ""
