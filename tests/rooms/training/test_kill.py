"""SIGKILL at random moments of a small run: the final weights are those of an undisturbed one.

The process is stopped (SIGSTOP) at random moments and looked at; some of these moments become kills. Which ones is
decided by where they fell, so that the rare places (inside a checkpoint write, between its rename and the move of LAST)
are hit as well as the common one.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import assert_same_tensors
from tests.rooms.training.test_run import final_state

STEPS, BATCH = 60, 4
OPTIONS = (
    f"--batch {BATCH} --duration {STEPS * BATCH} --checkpoint.every {BATCH} --log.every {BATCH} --seed 3 --device cpu "
    "--log.samples-every 1G --log.judge none --log.no-tensorboard --log.sheet-columns 1 "
    "--model.generator-width 4 --model.discriminator-width 4 "
    # Rates change all the time, and at these clocks in another way.
    "--generator-adam.schedule.warmup 80 --discriminator-adam.schedule.warmup 60 "
    "--discriminator-adam.schedule.decay cosine --discriminator-adam.schedule.until 160 "
    "--discriminator-adam.schedule.final 0.1"
).split()


def start(run: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "biggan", "train", "digits", "--run-dir", str(run), *OPTIONS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)


def place(run: Path) -> str:
    """Say where a stopped process stands."""
    checkpoints = run / "checkpoints"
    if not checkpoints.exists():
        return "before the first checkpoint"
    names = [path.name for path in checkpoints.iterdir()]
    if any(name.startswith(".writing-") for name in names):
        return "inside a checkpoint write"
    numbers = [int(name) for name in names if name.isdigit()]
    pointer = checkpoints / "LAST"
    last = int(pointer.read_text()) if pointer.exists() else -1
    if numbers and max(numbers) > last:
        return "between rename and the move of LAST"
    if any(name.startswith(".leaving-") for name in names):
        return "removing an old checkpoint"
    return "between checkpoints"


def disturb(run: Path, wanted: str | None, draw: random.Random, deadline: float) -> str | None:
    """Start the run, kill it at a random moment (in the place wanted, if any), and say where; None if it finished."""
    process = start(run)
    for _ in range(10_000):
        pause = draw.uniform(0.0, 1.5) if wanted is None else draw.uniform(0.0, 0.004)
        time.sleep(pause)
        if process.poll() is not None:
            assert process.returncode == 0
            return None
        process.send_signal(signal.SIGSTOP)
        where = place(run)
        if wanted in (None, where) or time.monotonic() > deadline:
            process.kill()
            process.wait()
            return where
        process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait()
    return place(run)


def kill_test(tmp_path: Path, kills: int, inside_at_least: int, between_at_least: int, *, surely: bool) -> None:
    """Kill ``kills`` times; a busy machine may be let off the rare places, unless they are to be hit ``surely``."""
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    assert start(undisturbed).wait() == 0
    draw = random.Random(kills)
    fell: Counter[str] = Counter()
    run = disturbed
    while sum(fell.values()) < kills:
        short_inside = inside_at_least - fell["inside a checkpoint write"]
        short_between = between_at_least - fell["between rename and the move of LAST"]
        wanted = None
        if short_between > 0:
            wanted = "between rename and the move of LAST"
        elif short_inside > 0:
            wanted = "inside a checkpoint write"
        where = disturb(run, wanted, draw, time.monotonic() + (600 if surely else 8))
        if where is None:  # it came through: begin another one, and hold this one to the same standard
            assert_same_tensors(final_state(run), final_state(undisturbed))
            run = tmp_path / f"disturbed-{sum(fell.values())}"
            continue
        fell[where] += 1
    assert start(run).wait() == 0
    print(f"\n{kills} kills fell: " + ", ".join(f"{count} {where}" for where, count in fell.most_common()))
    assert_same_tensors(final_state(run), final_state(undisturbed))
    left = [p.name for p in (run / "checkpoints").iterdir() if p.name.startswith(".")]
    assert not left, "what killed processes left behind is swept away"
    assert not surely or fell["inside a checkpoint write"] >= inside_at_least
    assert not surely or fell["between rename and the move of LAST"] >= between_at_least


def test_two_kills(tmp_path: Path) -> None:
    kill_test(tmp_path, kills=2, inside_at_least=1, between_at_least=1, surely=False)


@pytest.mark.nightly
def test_thirty_kills(tmp_path: Path) -> None:
    kill_test(tmp_path, kills=30, inside_at_least=5, between_at_least=1, surely=True)
