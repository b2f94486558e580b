"""Reads damaged files in a process of its own: what a crash or an endless loop would take with it is only that.

Usage:
    python -m tests.hostile_reading "packed HDF5" 0 1000     one kind, seeds 0 to 999
    python -m tests.hostile_reading all 0 1000               every kind
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue

MOST_SECONDS = 60.0
"""A case that takes longer is an endless loop; what is slow is judged by ``worst_seconds``."""
_MOST_MEMORY = 6 * 2**30  # address space of a reading process; torch alone maps half of that


@dataclass
class Outcome:
    """What became of many damaged files."""

    cases: int = 0
    opened: int = 0
    """Damage that left everything readable."""
    refused: int = 0
    """Told by a UserError, or by an image that cannot be read."""
    escaped: list[str] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)
    worst_seconds: float = 0.0
    worst_case: str = ""
    memory: int = 0
    """Largest resident set, in MiB."""

    @property
    def bad(self) -> list[str]:
        """All that must not be."""
        return [*self.escaped, *self.crashed, *self.hung]


def read_everything(path: str) -> int:
    """Open, count, read, describe and inspect ``path`` as the commands do; return how many images are unreadable."""
    import numpy as np

    from biggan.data.configuration import DataConfig
    from biggan.data.contract import UnreadableImageError
    from biggan.data.inspection import inspection
    from biggan.data.opening import open_images

    config = DataConfig(path=path, skip_corrupt=True)
    source = open_images(config, (32, 32))
    source.class_counts()
    source.key()
    unreadable = 0
    for index in range(len(source)):
        try:
            source.read_encoded(index)
        except UnreadableImageError:
            unreadable += 1
    with contextlib.suppress(UnreadableImageError):
        source.read_many(np.arange(min(len(source), 8)))
    inspection.text(inspection.inspect(open_images(config, (inspection.SIDE, inspection.SIDE))))
    inspection.picture(source)
    return unreadable


def _child(title: str, first: int, count: int) -> None:
    """Write what is tried, and what came of it, a line each."""
    from biggan.foundation.errors import UserError
    from tests.data_kinds import HOSTILE, some_images
    from tests.memory import most_resident
    from tests.mutations import damage

    output = os.fdopen(os.dup(1), "w", buffering=1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # libraries in C say what they think of a file
    os.dup2(null, 2)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        original, copy = Path(folder) / "original", Path(folder) / "copy"
        os.environ["BIGGAN_CACHE"] = str(Path(folder) / "cache")
        original.mkdir()
        path = HOSTILE[title](some_images(1), original).replace(str(original), str(copy))
        shutil.copytree(original, copy)
        read_everything(path)  # what is imported at the first reading is no part of the seconds below
        for seed in range(first, first + count):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.rmtree(Path(folder) / "cache", ignore_errors=True)
            shutil.copytree(original, copy)
            try:
                damage(copy, random.Random(f"{title} {seed}"))
            except BaseException:
                output.write(json.dumps({"broken": f"damaging {title} {seed}: {traceback.format_exc()}"}) + "\n")
                raise
            output.write(json.dumps({"began": seed}) + "\n")
            began = time.perf_counter()
            try:
                found = "refused" if read_everything(path) else "opened"
            except UserError as error:
                found = "refused"
                str(error).encode("utf-8", "surrogateescape")
            except BaseException as error:
                where = traceback.extract_tb(error.__traceback__)
                ours = [frame for frame in where if "/biggan/" in frame.filename][-1:]
                found = f"{type(error).__name__}: {str(error)[:100]!r} at {ours} {where[-1]}"
            memory = most_resident() // 2**20
            output.write(json.dumps({"ended": found, "seconds": time.perf_counter() - began, "memory": memory}) + "\n")


def _lines(process: subprocess.Popen[str]) -> Iterator[str | None]:
    """Yield what a process writes; None when it is silent for longer than a case may take."""
    queue: Queue[str] = Queue()

    def pump() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            queue.put(line)
        queue.put("")

    threading.Thread(target=pump, daemon=True).start()
    patience = 120.0  # the first line comes after all imports
    while True:
        try:
            line = queue.get(timeout=patience)
        except Empty:
            yield None
            return
        if not line:
            return
        patience = MOST_SECONDS
        yield line


def attack(title: str, first: int, count: int) -> Outcome:
    """Read ``count`` damaged files of a kind, from seed ``first`` on; processes that crash or hang are replaced."""
    outcome, seed, end = Outcome(), first, first + count
    while seed < end:
        command = [sys.executable, "-m", "tests.hostile_reading", "--child", title, str(seed), str(end - seed)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        current: int | None = None
        for line in _lines(process):
            if line is None and current is None:
                process.kill()
                raise RuntimeError(f"{command} says nothing")
            if line is None:
                outcome.hung.append(f"{title} {current}: silent for {MOST_SECONDS:g} s")
                break
            said = json.loads(line)
            if "broken" in said:
                raise RuntimeError(said["broken"])
            if "began" in said:
                current = said["began"]
                continue
            outcome.cases += 1
            if said["ended"] in ("opened", "refused"):
                setattr(outcome, said["ended"], getattr(outcome, said["ended"]) + 1)
            else:
                outcome.escaped.append(f"{title} {current}: {said['ended']}")
            if said["seconds"] > outcome.worst_seconds:
                outcome.worst_seconds, outcome.worst_case = said["seconds"], f"{title} {current}"
            outcome.memory = max(outcome.memory, said["memory"])
            current, seed = None, (current or 0) + 1
        silent = bool(current is not None and outcome.hung and outcome.hung[-1].startswith(f"{title} {current}:"))
        if silent:
            process.kill()
        code = process.wait()
        if current is not None or (seed < end and code != 0):
            if current is None:
                raise RuntimeError(f"{command} ended with {code}")
            if not silent:
                outcome.crashed.append(f"{title} {current}: ended with {code}")
            outcome.cases += 1
            seed = current + 1
    return outcome


def main(words: list[str]) -> int:
    """Attack, and print what came of it; 1 if anything but an error or an image did."""
    from tests.data_kinds import HOSTILE

    title, first, count = words[0], int(words[1]), int(words[2])
    bad = 0
    for kind in HOSTILE if title == "all" else [title]:
        began = time.monotonic()
        found = attack(kind, first, count)
        print(
            f"{kind}: {found.cases} files, {found.refused} refused, {found.opened} read, {len(found.escaped)} escaped, "
            f"{len(found.crashed)} crashed, {len(found.hung)} hung; worst {found.worst_seconds:.2f} s "
            f"({found.worst_case}), {found.memory} MiB; {time.monotonic() - began:.0f} s in all",
            flush=True,
        )
        kinds = Counter(case.split(": ", 1)[1][:230] for case in found.bad)
        for case, times in kinds.most_common(12):
            print(f"    {times} x {case}", flush=True)
        for case in (*found.crashed, *found.hung)[:20]:
            print(f"    {case}", flush=True)
        bad += len(found.bad)
    return int(bad > 0)


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        _child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        raise SystemExit(main(sys.argv[1:]))
