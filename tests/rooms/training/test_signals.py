"""SIGTERM and Ctrl-C at every point of a run's life: what goes on afterwards ends where an undisturbed run ends."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import assert_same_tensors
from tests.rooms.training import commands
from tests.rooms.training.test_run import final_state

OPTIONS = (
    "--batch 8 --duration 40 --checkpoint.every 16 --checkpoint.keep-last 9 --log.every 8 --log.samples-every 24 "
    "--checkpoint.snapshot-every 32 --seed 5"
).split()
JUDGE = "--log.judge digits".split()
EVALUATION = (
    "--data images --data.workers 0 --log.judge none --evaluation.every 24 --evaluation.features classifier "
    "--evaluation.metrics fid --evaluation.count 8 --evaluation.batch 8"
).split()


def command(run: Path, log: Path, looks: list[str], attack: commands.Attack | None = None) -> commands.Done:
    """Train, in the folder above the run; ``looks`` are options that say how its weights are looked at."""
    words = ["train", "digits", "--run-dir", run.name, *commands.SMALL, *OPTIONS, *looks]
    return commands.run(words, log, attack, folder=run.parent, XDG_CACHE_HOME=str(run.parent / "cache"))


def facts(run: Path) -> dict[str, object]:
    """What must be the same whatever happened on the way."""
    stats = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    measured = run / "metrics.jsonl"
    metrics = [json.loads(line) for line in measured.read_text().splitlines()] if measured.exists() else []
    assert not [path for path in run.rglob(".*") if path.is_file()], "nothing half-written, no lock"
    return {
        "clocks": [record["images_seen"] for record in stats],
        "metrics": [(record["images_seen"], record["metric"], record["value"]) for record in metrics],
        "sheets": sorted(str(path.relative_to(run)) for path in (run / "samples").rglob("*.png")),
        "snapshots": sorted(path.name for path in (run / "snapshots").iterdir()),
        "best": json.loads((run / "checkpoints" / "40" / "state.json").read_text())["best"],
        "pending": json.loads((run / "checkpoints" / "40" / "state.json").read_text())["pending"],
    }


def undisturbed(tmp_path: Path, looks: list[str]) -> tuple[Path, list[str]]:
    """Train without disturbance; return the run and every function that was called, in order."""
    run, found = tmp_path / "undisturbed", tmp_path / "calls"
    done = command(run, tmp_path / "undisturbed.txt", looks, partial(commands.call_names, str(found)))
    assert done.status == 0, done.printed
    return run, found.read_text().splitlines()


def disturb(tmp_path: Path, looks: list[str], number: int, where: str, occurrence: int) -> str:
    """Send a signal at one moment, go on, compare with the undisturbed; return how the disturbed command ended."""
    run = tmp_path / f"{number}-{where.replace('/', '.')}-{occurrence}"
    attack = partial(commands.signal_at, where, number, occurrence)
    done = command(run, tmp_path / "first.txt", looks, attack)
    at = f"{signal.Signals(number).name} at call {occurrence} of {where}:\n{done.printed}"
    # Before set-up listens, the system's own way of ending is as good as any: nothing has begun.
    assert done.status in (0, 128 + number, -number), at
    # Python swallows what is raised while it closes a generator, and says so; the wish is granted later.
    assert "Traceback" not in done.printed or "Exception ignored in" in done.printed, at
    if done.status == -number:
        assert not run.exists(), at
    again = command(run, tmp_path / "second.txt", looks)
    assert again.status == 0, at + again.printed
    assert facts(run) == facts(tmp_path / "undisturbed"), at + again.printed
    assert_same_tensors(final_state(run), final_state(tmp_path / "undisturbed"))
    (tmp_path / "first.txt").unlink()
    (tmp_path / "second.txt").unlink()
    if done.status != 128 + number:
        return "came too late or too early"
    return "ended set-up" if "before there was anything" in done.printed else "saved and stopped"


def test_a_signal_at_moments_of_every_kind(tmp_path: Path) -> None:
    _, calls = undisturbed(tmp_path, JUDGE)
    for part in ("owned", "newest", "introduce", "train_loop", "save", "Judging._act", "Snapshots._act"):
        assert any(part in name for name in calls), part
    moments = [
        (signal.SIGTERM, "training/introduction.py:introduce", 1),
        (signal.SIGTERM, "training/hooks/judging.py:Judging._judge_it", 2),
        (signal.SIGINT, "training/checkpoint.py:CheckpointStore.save", 2),
    ]
    ends = Counter(disturb(tmp_path, JUDGE, *moment) for moment in moments)
    assert ends == {"ended set-up": 1, "saved and stopped": 2}


@pytest.mark.nightly
def test_a_signal_in_a_look_at_the_health(tmp_path: Path) -> None:
    options = ["--log.judge", "none", "--health.every", "16"]
    _, calls = undisturbed(tmp_path, options)
    within = [name for name in dict.fromkeys(calls) if name.startswith(("training/health/", "training/hooks/health"))]
    assert len(within) > 5, "there were looks"
    for occurrence, name in enumerate(within):
        assert disturb(tmp_path, options, signal.SIGTERM, name, 1 + occurrence % 2)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(4))
def test_a_signal_at_the_call_of_every_function(part: int, make_folder: Callable[..., Path], tmp_path: Path) -> None:
    """The first call of each function, or a later one at random; the two signals in turn. A part is a fourth of all."""
    make_folder({"a": 8, "b": 8}, size=(16, 16))
    _, calls = undisturbed(tmp_path, EVALUATION)
    draw = random.Random(part)
    ends: Counter[str] = Counter()
    for turn, name in enumerate(calls[part::4]):
        number = (signal.SIGTERM, signal.SIGINT)[turn % 2]
        occurrence = draw.choice((1, draw.randint(2, 12)))
        ends[f"{number.name} {disturb(tmp_path, EVALUATION, number, name, occurrence)}"] += 1
    print(f"\nsignals at {sum(ends.values())} of {len(calls)} functions: {dict(ends)}")
