"""Damage to real files, as disks, networks and people do it: bits, cuts, insertions, blocks of others, sizes."""

from __future__ import annotations

import gzip
import io
import os
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

_EXTREME = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**63, 2**64 - 1)
_ENDS = 512  # bytes at both ends of a file, where most of what describes it stands


def _place(data: bytearray, draw: random.Random) -> int:
    """Return a place, half of the time near an end of the file."""
    if draw.random() < 0.5 or len(data) <= 2 * _ENDS:
        return draw.randrange(len(data))
    near = draw.randrange(_ENDS)
    return near if draw.random() < 0.7 else len(data) - 1 - near


def flip_bits(data: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice((1, 1, 1, 2, 8, 32))):
        data[_place(data, draw)] ^= 1 << draw.randrange(8)


def change_bytes(data: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice((1, 2, 4, 16))):
        data[_place(data, draw)] = draw.choice((0, 0xFF, 0x7F, 0x80, draw.randrange(256)))


def cut(data: bytearray, draw: random.Random) -> None:
    del data[_place(data, draw) :]


def cut_out(data: bytearray, draw: random.Random) -> None:
    start = _place(data, draw)
    del data[start : start + draw.choice((1, 2, 4, 16, 512, 4096))]


def insert(data: bytearray, draw: random.Random) -> None:
    start = _place(data, draw)
    data[start:start] = draw.randbytes(draw.choice((1, 2, 4, 16, 512)))


def splice(data: bytearray, draw: random.Random) -> None:
    size = draw.choice((4, 8, 16, 64, 512, 2048))
    source, target = _place(data, draw), _place(data, draw)
    data[target : target + size] = data[source : source + size]


def swap_sizes(data: bytearray, draw: random.Random) -> None:
    """Write extreme whole numbers of 1 to 8 bytes, of either order, or octal digits as tar headers hold them."""
    for _ in range(draw.choice((1, 1, 2, 4))):
        width = draw.choice((1, 2, 4, 8))
        start = max(0, _place(data, draw) // draw.choice((1, 2, 4, 8)) * 1)
        value = draw.choice(_EXTREME) if draw.random() < 0.7 else draw.getrandbits(8 * width)
        number = (value & (2 ** (8 * width) - 1)).to_bytes(width, draw.choice(("little", "big")))
        data[start : start + width] = number


def fill(data: bytearray, draw: random.Random) -> None:
    start, size = _place(data, draw), draw.choice((4, 16, 64, 512))
    data[start : start + size] = bytes([draw.choice((0, 0xFF, 0x20, 0x31))]) * min(size, len(data) - start)


def digits(data: bytearray, draw: random.Random) -> None:
    """Change decimal digits and signs in texts: numbers of JSON, CSV and headers."""
    places = [i for i, byte in enumerate(data[:65536]) if 0x30 <= byte <= 0x39]
    if not places:
        return flip_bits(data, draw)
    start = draw.choice(places)
    data[start : start + 1] = draw.choice(
        (b"-1", b"9" * 30, b"1e400", b"NaN", "²".encode(), b"0.5", b"null", b"[", b"")
    )
    return None


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip_bits,
    change_bytes,
    cut,
    cut_out,
    insert,
    splice,
    swap_sizes,
    swap_sizes,
    fill,
    digits,
)


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Return ``data`` with one to three of these, inside its container where it has one."""
    wrapped = _inside(data, draw) if draw.random() < 0.6 else None
    if wrapped is not None:
        return wrapped
    damaged = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 3))):
        if damaged:
            draw.choice(MUTATIONS)(damaged, draw)
    return bytes(damaged)


def _inside(data: bytes, draw: random.Random) -> bytes | None:
    """Return a container whose sums are right, of which one member is damaged; None for what is no whole container."""
    try:
        return _inside_container(data, draw)
    except Exception:  # damaged before
        return None


def _inside_container(data: bytes, draw: random.Random) -> bytes | None:
    if data[:2] == b"\x1f\x8b":
        return gzip.compress(mutated(gzip.decompress(data), draw), 1)
    if data[:2] == b"PK":
        return _inside_zip(data, draw)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _inside_png(data, draw)
    if data[257:262] == b"ustar":
        return _with_tar_sum(data, draw)
    return None


def _inside_zip(data: bytes, draw: random.Random) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        chosen = draw.choice(old.namelist())
        for info in old.infolist():
            content = old.read(info)
            new.writestr(
                info.filename, mutated(content, draw) if info.filename == chosen else content, info.compress_type
            )
    return buffer.getvalue()


def _inside_png(data: bytes, draw: random.Random) -> bytes:
    """Return a PNG of which a chunk is damaged, removed, doubled or moved, with checksums that are right."""
    chunks, at = [], 8
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    number = draw.randrange(len(chunks))
    kind, body = chunks[number]
    way = draw.randrange(5)
    if way == 0:
        del chunks[number]
    elif way == 1:
        chunks.insert(draw.randrange(len(chunks)), (kind, body))
    elif way == 2 and kind == b"IDAT":
        raw = bytearray(zlib.decompressobj().decompress(body))
        if raw:
            draw.choice(MUTATIONS)(raw, draw)
        chunks[number] = kind, zlib.compress(bytes(raw))
    elif body:
        damaged = bytearray(body)
        draw.choice(MUTATIONS)(damaged, draw)
        chunks[number] = kind, bytes(damaged)
    written = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks]
    return data[:8] + b"".join(written)


def _with_tar_sum(data: bytes, draw: random.Random) -> bytes:
    """Return a tar file of which one header is changed, with a checksum that is right."""
    damaged = bytearray(data)
    offset = draw.choice([place for place in range(0, len(data), 512) if data[place + 257 : place + 262] == b"ustar"])
    field = draw.choice(((0, 100), (124, 12), (124, 12), (156, 1), (257, 6), (345, 155), (386, 126)))
    value = draw.choice(
        (b"", b"\xff" * 12, b"\x80" + b"\0" * 10 + b"\1", b"77777777777\0", b"00000000000\0", b"-0000001000\0",
         b"S", b"L", b"x", b"g", b"K", b"2", b"1", b"../../x.png\0", b"a\0b", draw.randbytes(12))
    )[: field[1]]  # fmt: skip
    damaged[offset + field[0] : offset + field[0] + len(value)] = value
    head = damaged[offset : offset + 512]
    head[148:156] = b" " * 8
    damaged[offset + 148 : offset + 156] = b"%06o\0 " % sum(head)
    return bytes(damaged)


def damage(folder: Path, draw: random.Random) -> Path:
    """Damage one of the files below ``folder`` in place, at times several; return the (last) one."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    # The files that describe the others are few, and the ones that matter most.
    heads = [path for path in files if path.suffix not in (".png", ".jpg")]
    chosen = files[0]
    for _ in range(draw.choice((1, 1, 1, 3))):
        chosen = draw.choice(heads if heads and draw.random() < 0.8 else files)
        data = chosen.read_bytes()
        temporary = chosen.with_name(f"{chosen.name}.new")
        temporary.write_bytes(mutated(data, draw) if data else b"x")
        os.replace(temporary, chosen)  # noqa: PTH105 - another file of the same name, which no mapped one is
    return chosen
