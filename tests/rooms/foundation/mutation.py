"""Damage done to real files, and a reader run over many damaged ones in a process of its own that may die of it.

``python -m tests.rooms.foundation.mutation KIND COUNT SEED`` reads COUNT mutated files; see :data:`KINDS`.
"""

from __future__ import annotations

import argparse
import io
import pickle
import random
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from biggan.foundation.errors import UserError
from biggan.foundation.plain_pickles import load_plain
from biggan.foundation.torch_files import StoredTensor, read_torch_file

LONGEST_SECONDS = 20.0
MOST_MEMORY = 2**28  # bytes beyond what the process has when it begins


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Return ``content`` with some bytes changed, cut out, repeated or moved."""
    found = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        place = chance.randrange(len(found) + 1)
        length = chance.choice((1, 1, 2, 4, 8, 64))
        action = chance.randrange(5)
        if action == 0 and place < len(found):
            found[place] ^= 1 << chance.randrange(8)
        elif action == 1:
            found[place : place + length] = chance.randbytes(length)
        elif action == 2:
            del found[place : place + length]
        elif action == 3:
            found[place:place] = found[chance.randrange(len(found) + 1) :][:length]
        else:
            found[place : place + length] = chance.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * length
    return bytes(found)


def pickle_seeds() -> list[bytes]:
    """Return pickles of all protocols, by both of Python's writers, as real ones look."""
    statistics = {"mean": np.arange(6.0), "cov": np.eye(6, dtype=">f4"), "size": 10, "name": "x"}
    batch = {b"data": np.arange(60, dtype=np.uint8).reshape(2, 30), b"labels": [1, 7], b"names": [b"a.png", b"b.png"]}
    numbers = [np.float64(3), np.int32(-4), np.asfortranarray(np.ones((2, 3))), np.array(["ä", "b"]), np.array([True])]
    plain = {"a": [1, -2, 2**70, 3.5, True, None, "ä\n'", b"\0\xff"], "b": ((), (1,), {}, {"c": []}), "d": "x" * 300}
    found = []
    for value in (statistics, batch, numbers, plain, [statistics, statistics]):
        found += [pickle.dumps(value, protocol) for protocol in range(6)]
        found += [pickle._dumps(value, protocol) for protocol in range(5)]  # type: ignore[attr-defined]
    return found


def torch_seeds() -> list[bytes]:
    """Return files of each of PyTorch's layouts."""
    import torch

    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
    strided = torch.arange(12.0).reshape(3, 4).t()[1:]
    options = {"config": {"eps": 1e-4, "act": torch.nn.ReLU(True), "best": np.float64(3)}, "x": strided}
    found = []
    for value in (network.state_dict(), options):
        for archive in (True, False):
            with io.BytesIO() as file:
                torch.save(value, file, _use_new_zipfile_serialization=archive)
                found.append(file.getvalue())
    with io.BytesIO() as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is on its way out; its files stay
        torch.jit.save(torch.jit.script(network), file)
        found.append(file.getvalue())
    return found


def read_pickle(content: bytes) -> None:
    value = load_plain(content, "x", "latin1" if len(content) % 2 else "bytes")
    str(value)  # whoever shows it walks through all of it
    for array in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        if isinstance(array, np.ndarray) and array.dtype.kind in "fiu":
            float(array.sum())


def read_torch(content: bytes) -> None:
    found = read_torch_file(content, "x")
    for stored in found.value.values() if isinstance(found.value, dict) else []:
        if isinstance(stored, StoredTensor):
            float(found.tensor(stored).double().sum())


KINDS: dict[str, tuple[Callable[[], list[bytes]], Callable[[bytes], None]]] = {
    "pickle": (pickle_seeds, read_pickle),
    "torch": (torch_seeds, read_torch),
}


def survives(kind: str, count: int, seed: int) -> dict[str, int]:
    """Read mutated files in another process; return how many were read and refused.

    Raises:
        AssertionError: the process died, or a file took too long, too much memory, or raised what is no ``UserError``.
    """
    words = [sys.executable, "-m", __name__, kind, str(count), str(seed)]
    root = Path(__file__).parents[3]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stdout[-500:], done.stderr[-3000:])
    read, refused = done.stdout.split()[-2:]
    return {"read": int(read), "refused": int(refused)}


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"more than {LONGEST_SECONDS} s")


def main() -> None:
    """Read; print how many were read and refused."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("count", type=int)
    parser.add_argument("seed", type=int)
    options = parser.parse_args()
    seeds, read = KINDS[options.kind][0](), KINDS[options.kind][1]
    for content in seeds:  # whole, each is read; that also loads what is loaded only once
        read(content)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else None
    if pages is not None:
        limit = pages * resource.getpagesize() + MOST_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGVTALRM, _too_long)
    refused, slowest = 0, 0.0
    for number in range(options.count):
        chance = random.Random(options.seed + number)
        content = mutated(chance.choice(seeds), chance)
        signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_SECONDS)
        start = time.process_time()
        try:
            read(content)
        except UserError:
            refused += 1
        except BaseException:
            print(f"file {number} of seed {options.seed}: {content[:2000]!r}", file=sys.stderr)
            raise
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        slowest = max(slowest, time.process_time() - start)
    print(f"slowest {slowest:.3f} s", options.count - refused, refused)


if __name__ == "__main__":
    main()
