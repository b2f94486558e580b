"""Files that are whole or absent: written beside, synced, renamed."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biggan.foundation.errors import CorruptFileError, UserError

if TYPE_CHECKING:
    from torch import Tensor

HEADER_KEY = "biggan"
_UNFINISHED = ".writing-"


def sync_directory(directory: Path) -> None:
    """Make renames inside ``directory`` durable (a no-op where directories cannot be opened)."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make the contents of ``path`` durable."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def temporary_name(path: Path) -> Path:
    """Return the name beside ``path`` under which this process writes it before the rename."""
    return path.with_name(f".{path.name}{_UNFINISHED}{os.getpid()}")


def remove_unfinished(directory: Path) -> None:
    """Remove, from ``directory`` and all below, what killed processes were writing under such names.

    Only for a directory that one process (or one group of ranks) owns: another's write would be lost.
    """
    for path in directory.rglob(f".*{_UNFINISHED}*"):
        if path.is_file():
            path.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write ``path`` so that a reader finds either the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    data = content.encode() if isinstance(content, str) else content
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    write_atomically(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        CorruptFileError: it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CorruptFileError(f"{path} is not valid JSON ({error}); restore or remove it") from error


def append_json_line(path: Path, record: dict[str, Any]) -> None:
    """Append one line of JSON to ``path``."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any] | None = None) -> None:
    """Write one safetensors file, atomically, with ``header`` as JSON in its metadata."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(plain, temporary, metadata={HEADER_KEY: json.dumps(header or {})})
    sync_file(temporary)
    temporary.replace(path)
    sync_directory(path.parent)


def read_header(path: Path) -> dict[str, Any]:
    """Return the JSON header that :func:`write_tensors` put into a file; the tensors are not read.

    Raises:
        UserError: no such file, not a safetensors file, or one that this package did not write.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"{path} does not exist")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptFileError(f"{path} is not a readable safetensors file ({error}){looks_like(path)}") from error
    if HEADER_KEY not in metadata:
        raise CorruptFileError(f"{path} is a safetensors file, but carries no '{HEADER_KEY}' header")
    header = json.loads(metadata[HEADER_KEY])
    if not isinstance(header, dict):
        raise CorruptFileError(f"{path}: its '{HEADER_KEY}' header is not a set of names and values")
    return header


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file, on the CPU.

    Raises:
        CorruptFileError: damaged or of another kind.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptFileError(f"{path} is not a readable safetensors file ({error}){looks_like(path)}") from error


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
        return "; it looks like a pickled PyTorch checkpoint, which is not opened here"
    return ""
