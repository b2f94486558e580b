"""Real files, damaged by chance and by design, always the same for the same number."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from biggan.foundation.errors import UserError
from biggan.foundation.tensor_files import read_verified, write_tensors

VALUES: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**63, 2**64, 10**25, -0.5, 1e-300, 1e308, "", "\u00b2", "x" * 5000, "../../x",
    "\x1b[2J\x1b]0;title\x07", "\x00", "\u202egnp.", "\udcff", "biggan.cli.main:main", [], {}, [[[]]], [None],
    [-1, 2**40], ["a"] * 3000, {"": None}, "nan", "1e999", "$\\frac{", "0", "cuda:99", "digits", "a,b", "id:9" * 9,
]  # fmt: skip
"""What takes the place of a value."""


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to every value within a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:8]) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def changed_value(value: Any, chance: random.Random) -> Any:
    """Return a copy in which one value is another, is gone, or has a new neighbour."""
    found = copy.deepcopy(value)
    path = chance.choice(places(found)[1:] or [()])
    if not path:
        return chance.choice(VALUES)
    owner = found
    for key in path[:-1]:
        owner = owner[key]
    action = chance.random()
    if action < 0.1:
        del owner[path[-1]]
    elif action < 0.15 and isinstance(owner, dict):
        owner[chance.choice(["unknown", "__class__", "\x1b[2J", ""])] = chance.choice(VALUES)
    else:
        owner[path[-1]] = chance.choice([item for item in VALUES if item != owner[path[-1]]])
    return found


def changed_bytes(data: bytes, chance: random.Random) -> bytes:
    """Return ``data`` with flipped bits, an end cut off, a part gone, doubled, moved, or overwritten."""
    content = bytearray(data)
    if not content:
        return b"\x00"
    # Headers decide what is allocated: half of all damage is done there.
    limit = len(content) if chance.random() < 0.5 else min(len(content), 512)
    start = chance.randrange(limit)
    end = min(len(content), start + chance.choice([1, 4, 8, 64, 1024]))
    action = chance.randrange(6)
    if action == 0:
        for _ in range(chance.choice([1, 1, 2, 8])):
            content[chance.randrange(limit)] ^= 1 << chance.randrange(8)
    elif action == 1:
        del content[start:]
    elif action == 2:
        del content[start:end]
    elif action == 3:
        content[start:start] = content[start:end] * chance.choice([1, 2, 50])
    elif action == 4:
        other = chance.randrange(len(content))
        content[start:end] = content[other : other + end - start]
    else:
        content[start:end] = chance.choice([b"\xff", b"\x00", b"\x80", b"9", b"[", b"{"]) * (end - start)
    return bytes(content)


def changed_json(data: bytes, chance: random.Random) -> bytes:
    """Return JSON, or lines of JSON, in which a value is another."""
    lines = data.decode().splitlines()
    try:
        return json.dumps(changed_value(json.loads(data), chance)).encode()
    except json.JSONDecodeError:
        place = chance.randrange(len(lines))
        lines[place] = json.dumps(changed_value(json.loads(lines[place]), chance))
        return "\n".join(lines).encode()


def damage(path: Path, number: int) -> None:
    """Damage a file: its bytes, or, where they hold JSON, as often a value of it (under a hash that is right again)."""
    chance = random.Random(number)
    by_value = chance.random() < 0.6
    if by_value and path.suffix in (".json", ".jsonl"):
        path.write_bytes(changed_json(path.read_bytes(), chance))
    elif by_value and path.suffix == ".safetensors":
        try:
            found = read_verified(path)
            write_tensors(path, found.tensors, changed_value(found.header, chance))
        except (UserError, SafetensorError, UnicodeEncodeError, AttributeError):
            path.write_bytes(changed_bytes(path.read_bytes(), chance))
    else:
        path.write_bytes(changed_bytes(path.read_bytes(), chance))
