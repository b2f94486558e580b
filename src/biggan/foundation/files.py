"""Files that are whole or absent: written beside, synced, renamed. Links are never followed on writing."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biggan.foundation.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

_UNFINISHED = ".writing-"
_WEBP_SIDE = 16_383
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says of a full disk, a quota, or a file that is too large for it."""


class NoSpaceError(UserError):
    """The disk is full, or a quota reached."""


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
    """Return a name beside ``path``, of this process alone and never guessed, to write under before the rename."""
    return path.with_name(f".{path.name[:60]}{_UNFINISHED}{os.getpid()}-{secrets.token_hex(8)}")


def remove_unfinished(directory: Path) -> None:
    """Remove, from ``directory`` and all below, what killed processes were writing under such names.

    Only for a directory that one process (or one group of ranks) owns: another's write would be lost.
    """
    for path in directory.rglob(f".*{_UNFINISHED}*"):
        if path.is_file() or path.is_symlink():
            path.unlink(missing_ok=True)


def refuse_link(path: Path) -> None:
    """Check that nothing would be written through a link.

    Raises:
        UserError: ``path`` is one.
    """
    if path.is_symlink():
        raise UserError(f"{path} is a link; nothing is written through links. Remove it, or choose another place.")


def create(path: Path) -> int:
    """Create ``path``, which must not exist, not even as a link; return a descriptor to write to it."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666)


@contextlib.contextmanager
def full_disk_is_an_error(path: Path) -> Iterator[None]:
    """Turn what the system says of a full disk into a sentence.

    Raises:
        NoSpaceError: no space was left in the block.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise NoSpaceError(_full(path, error.strerror or "full")) from error


def _full(path: Path, reason: str) -> str:
    free = f"{format_bytes(free_space(path.parent))} free" if path.parent.exists() else "its folder is gone"
    return f"{path} could not be written: {reason} ({free}). Nothing that was there before is lost; free some space."


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield an empty file beside ``path``, which takes its place if the block ends well and goes if it does not.

    Without ``durable`` the disk is not waited for: whole or absent after a kill, but not after a power cut. For one
    of very many files.

    Raises:
        UserError: ``path`` is a link.
        NoSpaceError: the disk is full.
    """
    refuse_link(path)
    with full_disk_is_an_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_name(path)
        try:
            os.close(create(temporary))
            yield temporary
            if durable:
                sync_file(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        if durable:
            sync_directory(path.parent)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path``, which takes its place if the block ends well and goes if it does not.

    Where ``path`` holds something already, files of the same names are replaced, and others stay.

    Raises:
        UserError: ``path``, or what would be replaced in it, is a link.
        NoSpaceError: the disk is full.
    """
    refuse_link(path)
    with full_disk_is_an_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_name(path)
        try:
            temporary.mkdir()
            yield temporary
            inside = [found.relative_to(temporary) for found in sorted(temporary.rglob("*"))]
            for name in inside:
                refuse_link(path / name)
                if (temporary / name).is_file():
                    sync_file(temporary / name)
            if path.exists() and next(path.iterdir(), None) is None:
                path.rmdir()
            if path.exists():
                for name in inside:
                    if (temporary / name).is_dir():
                        (path / name).mkdir(exist_ok=True)
                    else:
                        (temporary / name).replace(path / name)
            else:
                temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync_directory(path.parent)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write ``path`` so that a reader finds either the old content or the new, never a part.

    Raises:
        UserError: it is a link, or the disk is full.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    write_atomically(path, json.dumps(finite(value), indent=2, allow_nan=False) + "\n")


def write_picture(path: Path, picture: Image, *, durable: bool = True, **options: Any) -> None:
    """Write a picture in the format that the name ends in, atomically; ``durable`` as :func:`replacing` has it.

    Raises:
        UserError: no such format, a link, or a full disk.
    """
    from PIL.Image import SAVE, init, registered_extensions

    init()
    kind = registered_extensions().get(path.suffix.lower())
    if kind not in SAVE:
        raise UserError(f"{path}: no picture can be written as '{path.suffix}'; use .png or .jpg")
    if kind == "WEBP" and max(picture.size) > _WEBP_SIDE:
        raise UserError(
            f"{path}: {picture.width:,} x {picture.height:,} pixels, where WebP has {_WEBP_SIDE:,} a side; use .png"
        )
    # Small images in large pixels have sharp edges everywhere, which the usual quality smears.
    fine: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}
    with replacing(path, durable=durable) as temporary:
        picture.save(temporary, kind, **{**fine.get(kind, {}), **options})


def append_text(path: Path, text: str) -> None:
    """Append ``text`` to ``path``, which is created if it is not there.

    Raises:
        UserError: it is a link, or the disk is full.
    """
    refuse_link(path)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with full_disk_is_an_error(path), open(os.open(path, flags, 0o666), "ab") as file:  # noqa: PTH123  a descriptor
        file.write(text.encode("utf-8", "surrogateescape"))


def append_json_line(path: Path, record: dict[str, Any]) -> None:
    """Append one line of JSON to ``path``, see :func:`append_text`."""
    append_text(path, json.dumps(finite(record), allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """Return ``value`` with None where a float is infinite or not a number, which JSON cannot say."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def free_space(folder: Path) -> int:
    """Return how many bytes can still be written below ``folder``, which need not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require_space(folder: Path, needed: int, what: str) -> None:
    """Check that ``needed`` bytes can be written below ``folder``, before any of them is.

    Raises:
        NoSpaceError: too little is free; says how much is needed.
    """
    free = free_space(folder)
    if needed > free:
        raise NoSpaceError(
            f"{folder}: {what} needs {format_bytes(needed)}, and {format_bytes(free)} are free; make room, or choose "
            "another disk"
        )


def format_bytes(count: float) -> str:
    """Return a number of bytes as a person says it: 3.2 GiB."""
    if count < 1024:
        return f"{count:.0f} bytes"
    power = min(int(math.log2(count) // 10), 5)
    return f"{count / 1024**power:.1f} {'KMGTP'[power - 1]}iB"


def digest(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
