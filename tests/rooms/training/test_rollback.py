"""What is done about a collapse: a real one, of networks that learn far too fast."""

from __future__ import annotations

import dataclasses
import json
import random
import signal
from functools import partial
from pathlib import Path

import pytest
import torch

from biggan.foundation.courses import parse_course
from biggan.foundation.errors import UserError
from biggan.foundation.records import parse_record, read_record
from biggan.training.assembly import make_state
from biggan.training.checkpoint import CheckpointStore, read_checkpoint
from biggan.training.configuration import AdamConfig
from biggan.training.health.constants import LONG_RUNNING
from biggan.training.health.records import Finding, HealthRecord
from biggan.training.own_step import OwnStep
from biggan.training.rollback import MOST_ATTEMPTS, STATUS, RollbackRecord, decide, of_attempt
from biggan.training.step import train_step
from tests.conftest import assert_same_tensors, tiny_config
from tests.rooms.training.commands import SMALL, Done, run, run_ranks, signal_at
from tests.rooms.training.test_run import final_state

# All units of D are dead after a few updates, as relus are after a jump: at the eighth look, after 128 images, that is
# called a collapse.
OPTIONS = [
    *("train digits --batch 4 --micro-batch 2 --duration 144 --health.every 16 --checkpoint.every 8").split(),
    *("--log.every 16 --log.samples-every 1G --log.judge none --statistics phase --spectral-norm phase").split(),
    *("--generator-adam.learning-rate 0.01 --discriminator-adam.learning-rate 4 --terms lecam").split(),
    *SMALL,
]


def collapsing(folder: Path, policy: str, **values: object) -> Done:
    words = [*OPTIONS, "--on-collapse", policy, "--run-dir", str(folder / "run")]
    return run(words, folder / "log.txt", **values)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that went back as often as it may."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = collapsing(folder, "rollback")
    assert done.status == STATUS, done.printed
    return folder


def test_it_goes_back_three_times_and_ends_with_advice(undisturbed: Path) -> None:
    run_dir = undisturbed / "run"
    decisions = json.loads((run_dir / "rollback.json").read_text())["decisions"]
    assert [one["attempt"] for one in decisions] == [1, 2, 3]
    assert {(one["to"], one["decided_at"]) for one in decisions} == {(8, 128)}
    log = (run_dir / "log.txt").read_text()
    assert "D is blind" in log
    assert "back to 8 images, attempt 3 of 3: other draws, learning rates times 0.125" in log
    assert "docs/collapse.md" in log
    last = read_checkpoint(run_dir / "checkpoints" / "128").record
    assert last.attempt == MOST_ATTEMPTS
    assert last.pending == ()
    assert [one.images_seen for one in last.health] == list(range(16, 129, 16))
    # What was gone back from is not lost.
    aside = {path.name for path in (run_dir / "checkpoints").glob("*.attempt*")}
    assert {f"{clock}.attempt{attempt}" for clock in (120, 128) for attempt in range(3)} <= aside


@pytest.mark.parametrize(
    ("where", "occurrence"),
    [
        ("training/checkpoint.py:CheckpointStore._put_aside", 2),
        *(
            pytest.param(*moment, marks=pytest.mark.nightly)
            for moment in (
                ("training/hooks/health.py:_decide", 1),
                ("training/rollback.py:decide", 2),
                ("training/rollback.py:CollapseError.__init__", 1),
                ("training/loop.py:_read", 40),
                ("training/rollback.py:find_point", 2),
                ("training/checkpoint.py:CheckpointStore.set_aside", 1),
                ("training/checkpoint.py:CheckpointStore._put_aside", 1),
                ("training/checkpoint.py:CheckpointStore._put_aside", 4),
                ("training/run_directory.py:RunDirectory.rewind", 2),
                ("training/assembly.py:make_state", 3),
            )
        ),
    ],
)
def test_killed_anywhere_in_it_the_same_command_comes_to_the_same(
    where: str, occurrence: int, undisturbed: Path, tmp_path: Path
) -> None:
    killed = collapsing(tmp_path, "rollback", attack=partial(signal_at, where, int(signal.SIGKILL), occurrence))
    assert killed.status == -signal.SIGKILL, killed.printed
    assert collapsing(tmp_path, "rollback").status == STATUS
    assert_same_tensors(final_state(tmp_path / "run"), final_state(undisturbed / "run"))
    decided = [json.loads((folder / "run" / "rollback.json").read_text()) for folder in (tmp_path, undisturbed)]
    assert decided[0] == decided[1]


@pytest.mark.nightly
def test_a_signal_is_heard_too(undisturbed: Path, tmp_path: Path) -> None:
    attack = partial(signal_at, "training/rollback.py:go_back", int(signal.SIGTERM), 2)
    assert collapsing(tmp_path, "rollback", attack=attack).status == 128 + signal.SIGTERM
    assert collapsing(tmp_path, "rollback").status == STATUS
    assert_same_tensors(final_state(tmp_path / "run"), final_state(undisturbed / "run"))


def test_two_ranks_decide_the_same(undisturbed: Path, tmp_path: Path) -> None:
    """Their groups are those of one process that accumulates, so that what they come to is nearly the same."""
    words = [*OPTIONS, "--on-collapse", "rollback", "--run-dir", str(tmp_path / "run")]
    done = run_ranks(words, tmp_path / "ranks", {})
    assert [one.status for one in done] == [STATUS, STATUS], done
    decided = [
        json.loads((run_dir / "rollback.json").read_text()) for run_dir in (tmp_path / "run", undisturbed / "run")
    ]
    places = [[(one["attempt"], one["to"]) for one in each["decisions"]] for each in decided]
    assert places[0] == places[1]


def test_stop_saves_and_the_same_command_goes_on(tmp_path: Path) -> None:
    assert collapsing(tmp_path, "stop").status == STATUS
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "128").record.pending == ()
    assert not (tmp_path / "run" / "rollback.json").exists()
    assert collapsing(tmp_path, "stop").status == STATUS  # it is no better at the next look
    assert (tmp_path / "run" / "checkpoints" / "144").exists()


def test_warn_says_so_and_trains_on(tmp_path: Path) -> None:
    done = collapsing(tmp_path, "warn")
    assert done.status == 0
    assert "128 images: collapse: D is blind" in done.printed
    assert (tmp_path / "run" / "snapshots" / "144.safetensors").exists()


# D dies at such a rate now and then, and lives at half or a quarter of it.
TOO_FAST = [
    *("train digits --batch 8 --micro-batch 4 --duration 288 --health.every 32 --checkpoint.every 16").split(),
    *("--log.every 32 --log.samples-every 1G --log.judge none --statistics phase --spectral-norm phase").split(),
    *("--generator-adam.learning-rate 0.001 --discriminator-adam.learning-rate 0.3 --on-collapse rollback").split(),
    *SMALL,
]


@pytest.mark.nightly
def test_a_run_that_goes_back_ends_healthy_and_the_same_if_killed_at_random_moments(tmp_path: Path) -> None:
    """Which seeds come through depends on how a CPU rounds; that some do does not."""
    for seed in range(8):
        whole, words = tmp_path / str(seed), [*TOO_FAST, "--seed", str(seed)]
        done = run([*words, "--run-dir", str(whole)], tmp_path / f"{seed}.txt")
        assert done.status in (0, STATUS), done.printed
        if done.status == 0 and (whole / "rollback.json").exists():
            break
    else:
        pytest.fail("no seed went back and came through")
    last = read_checkpoint(whole / "checkpoints" / "288").record
    assert last.attempt >= 1
    assert not last.health[-1].has("collapse")
    assert "288 images: healthy" in (whole / "log.txt").read_text()

    chance, kills, killed = random.Random(0), 0, tmp_path / "killed"
    while done.status or not kills:
        attack = partial(signal_at, "training/loop.py:_read", int(signal.SIGKILL), chance.randint(3, 40))
        done = run([*words, "--run-dir", str(killed)], tmp_path / f"killed{kills}.txt", attack)
        assert done.status in (0, -signal.SIGKILL), done.printed
        kills += bool(done.status)
    assert kills >= 2
    assert_same_tensors(final_state(killed), final_state(whole))
    assert (killed / "rollback.json").read_bytes() == (whole / "rollback.json").read_bytes()


@pytest.mark.nightly
def test_without_a_checkpoint_it_begins_again(tmp_path: Path) -> None:
    words = [*OPTIONS, "--on-collapse", "rollback", "--run-dir", str(tmp_path / "run"), "--checkpoint.every", "1G"]
    attack = partial(signal_at, "training/assembly.py:make_state", int(signal.SIGKILL), 2)
    assert run(words, tmp_path / "log.txt", attack).status == -signal.SIGKILL
    assert run(words, tmp_path / "log.txt").status == STATUS
    assert "back to the beginning, attempt 1 of 3" in (tmp_path / "run" / "log.txt").read_text()


def test_what_began_sick_begins_earlier_the_next_time(tmp_path: Path) -> None:
    config = tiny_config()
    state = make_state(config, torch.device("cpu"), OwnStep(train_step, None))
    store = CheckpointStore(tmp_path, config.checkpoint)
    for clock in (10, 20, 90):
        (store.root / str(clock)).mkdir(parents=True)
    sick = (Finding(kind="collapse", text="so"),)

    def at(attempt: int, healthy: list[int], alarm: int) -> int | None:
        clocks = [*healthy, *range(alarm - LONG_RUNNING + 1, alarm)]
        state.health = [HealthRecord(images_seen=clock, numbers={}) for clock in clocks]
        state.health.append(HealthRecord(images_seen=alarm, numbers={}, findings=sick))
        state.attempt, state.images_seen = attempt, alarm
        decision = decide(tmp_path, store, state, "so")
        return None if decision is None else decision.to

    assert at(0, [15, 25], 99) == 20
    assert at(1, [15, 20], 99) == 10
    assert at(2, [8, 9], 99) == 0
    assert at(3, [15, 25], 99) is None
    assert [one.to for one in read_record(RollbackRecord, tmp_path / "rollback.json").decisions] == [20, 10, 0]
    (tmp_path / "rollback.json").unlink()
    assert at(0, [15, 25], 99) == 20
    assert at(1, [15, 25, 50], 99) == 20, "it was healthy for a while"


def test_an_attempt_has_draws_and_rates_of_its_own_and_the_first_has_the_runs() -> None:
    config = tiny_config()
    assert of_attempt(config, 0) is config
    attempts = [of_attempt(config, attempt) for attempt in range(1, MOST_ATTEMPTS + 1)]
    assert len({config.seed, *(one.seed for one in attempts)}) == 1 + MOST_ATTEMPTS
    for attempt, one in enumerate(attempts, 1):
        assert one.generator_adam.learning_rate == config.generator_adam.learning_rate / 2**attempt
        assert one.discriminator_adam.learning_rate == config.discriminator_adam.learning_rate / 2**attempt


def test_a_rate_with_a_course_of_its_own_is_halved_all_the_way() -> None:
    course = parse_course("0.4..0.1:10..20", "rate")
    config = dataclasses.replace(tiny_config(), generator_adam=AdamConfig(learning_rate=course))
    slower = of_attempt(config, 2).generator_adam
    assert slower.full_rate == 0.1
    for clock in (0, 12, 15, 20, 30):
        assert slower.factor(8, clock) * slower.full_rate == pytest.approx(course.at(clock) / 4)


def test_a_damaged_record_is_an_error_and_a_link_is_refused(tmp_path: Path) -> None:
    for wrong in (b"[]", b'{"decisions": [{"attempt": 4, "to": 0, "decided_at": 1, "reason": "x"}]}'):
        with pytest.raises(UserError, match="rollback"):
            parse_record(RollbackRecord, wrong, "rollback.json")


def test_a_checkpoint_to_go_back_to_that_is_gone_is_said(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, tiny_config().checkpoint)
    (store.root / "400").mkdir(parents=True)
    with pytest.raises(UserError, match=r"none is left at 300 images or before.*nothing was removed"):
        store.newest(300)
    assert store.numbers() == [400]
