"""What is learnt in other ways than one process in float32: whole runs on digits, judged as the demonstration is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import pytest

from biggan.evaluation.records import METRICS_FILE, read_records
from biggan.metrics.digits_judge import DigitsJudge, DigitsVerdict
from biggan.presets.registry import get_preset
from biggan.sampling.sampler import load
from tests.rooms.training import commands

WHOLE = get_preset("digits").build().duration
SEEDS = (0, 1, 2)
PATIENCE = 3600.0
"""Seconds for one run: minutes on a machine that is not busy."""
QUIET = "--device cpu --log.judge none --log.samples-every 1G --log.no-tensorboard --checkpoint.every 1G".split()


@dataclass(frozen=True)
class Learnt:
    """A run's numbers."""

    verdict: DigitsVerdict
    distance: float
    """Frechet distance of 1,797 samples to the digits, by features of a classifier of the digits."""

    def numbers(self) -> dict[str, float]:
        return {
            "recognised": self.verdict.recognised,
            "variety": self.verdict.variety,
            "distance": self.distance,
        }


def learn(folder: Path, images: int, *words: str, seed: int = 0, ranks: int = 1) -> Learnt:
    """Train the preset ``digits`` and judge what came of it."""
    run = folder / "run"
    folder.mkdir(parents=True)
    command = ["train", "digits", "--run-dir", str(run), "--seed", str(seed), "--duration", str(images), *QUIET, *words]
    for process, log in commands.start_ranks(command, folder / "logs", {}, ranks):
        done = commands.finish(process, log, PATIENCE)
        assert done.status == 0, done.printed
    verdict = DigitsJudge().judge(load(run, "cpu").generator)
    measure = ["evaluate", str(run), "--metrics", "fid", "--count", "1797", "--device", "cpu"]
    done = commands.finish(commands.start(measure, folder / "evaluate.txt"), folder / "evaluate.txt", PATIENCE)
    assert done.status == 0, done.printed
    (record,) = read_records(run / METRICS_FILE)
    assert record.value is not None
    how = " ".join(words) or "as it is"
    print(f"\n{how}, seed {seed}, {images:,} images: {verdict}; {record.metric} {record.value:.2f}")
    return Learnt(verdict, record.value)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("words", "ranks"),
    [
        pytest.param(["--compile", "on"], 1, id="compiled"),
        pytest.param(["--norm-group", "2"], 2, id="two-ranks-that-share-statistics"),
    ],
)
def test_the_bar_of_the_demonstration_is_reached(words: list[str], ranks: int, tmp_path: Path) -> None:
    learnt = learn(tmp_path / "learnt", WHOLE, *words, ranks=ranks)
    told = (tmp_path / "learnt" / "run" / "log.txt").read_text()
    if "--compile" in words:
        assert "not compiled" not in told, told
        lines = map(json.loads, (tmp_path / "learnt" / "run" / "stats.jsonl").read_text().splitlines())
        assert [line["compiled_graphs"] for line in lines if "compiled_graphs" in line][-1] > 0
    assert ("moments over micro-batches of 2 ranks, 64 images" in told) == (ranks == 2)
    assert learnt.verdict.passed, learnt.verdict


def within_the_spread(one: list[float], other: list[float]) -> bool:
    """Tell whether two means differ by no more than the values of one of them do among themselves."""
    spread = max(max(values) - min(values) for values in (one, other))
    return abs(mean(one) - mean(other)) <= spread


@pytest.mark.nightly
@pytest.mark.parametrize(
    "words",
    [
        pytest.param("--precision bfloat16", id="bfloat16"),
        # Micro-batches, since without them the rhythms are the same but for rounding.
        pytest.param("--micro-batch 16 --spectral-norm phase --statistics phase", id="phase"),
    ],
)
def test_another_way_learns_what_the_plain_one_does(words: str, tmp_path: Path) -> None:
    """A third of the demonstration, three seeds each."""
    plain = "--micro-batch 16" if "--micro-batch 16" in words else "--precision float32"
    found = [
        [learn(tmp_path / f"{way}-{seed}", WHOLE // 3, *options.split(), seed=seed).numbers() for seed in SEEDS]
        for way, options in (("plain", plain), ("other", words))
    ]
    assert found[0] != found[1], "they are two ways"
    for name in ("recognised", "variety", "distance"):
        one, other = ([numbers[name] for numbers in runs] for runs in found)
        assert within_the_spread(one, other), f"{name}: {one} and {other}"


def test_the_spread() -> None:
    assert within_the_spread([1.0, 2.0, 3.0], [3.0, 4.0, 5.0])
    assert not within_the_spread([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert within_the_spread([1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    assert not within_the_spread([0.98, 0.98, 0.99], [0.5, 0.51, 0.52])
