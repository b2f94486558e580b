"""What a run folder may hold: links, locks, damage, other people's configurations. Nothing in it is trusted."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from biggan.cli.main import main
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.names import clock_of
from biggan.training.checkpoint import CheckpointStore
from biggan.training.configuration import CheckpointConfig
from biggan.training.run_directory import RunDirectory
from biggan.training.setup import train
from tests.conftest import tiny_config
from tests.rooms.training import commands

OUTPUTS = (
    "config.json log.txt stats.jsonl metrics.jsonl data_card.png samples checkpoints snapshots tensorboard "
    "checkpoints/LAST samples/16 snapshots/16.safetensors checkpoints/16/state.json"
).split()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("finished") / "run"
    train(tiny_config(run, duration=16), "digits")
    return run


def copy(run: Path, to: Path) -> Path:
    import shutil

    shutil.copytree(run, to)
    return to


# -- links -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OUTPUTS)
def test_nothing_is_written_through_a_link(name: str, finished: Path, tmp_path: Path) -> None:
    run, target = copy(finished, tmp_path / "run"), tmp_path / "target"
    path = run / name
    if path.exists():
        path.replace(target)
    else:
        target.write_text("")
    before = target.read_bytes() if target.is_file() else None
    path.symlink_to(target)
    with pytest.raises(UserError, match=f"{name} is a link"):
        train(tiny_config(run, duration=32), "digits")
    assert before is None or target.read_bytes() == before
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=f"{name} is a link"):
        train(tiny_config(run, duration=32), "digits")
    assert not (tmp_path / "nowhere").exists()


# -- a step of one's own -----------------------------------------------------------------------------------------------


def test_a_stored_step_is_never_imported(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, mark = copy(finished, tmp_path / "run"), tmp_path / "it ran"
    planted = run / "planted.py"
    planted.write_text(
        f"open({str(mark)!r}, 'w').close()\nfrom biggan.training.step import train_step\n"
        "def step(*inputs):\n    return train_step(*inputs)\n"
    )
    config = json.loads((run / "config.json").read_text())
    config["config"]["step"] = f"{planted}:step"
    (run / "config.json").write_text(json.dumps(config))
    words = ["train", "digits", "--run-dir", str(run), "--device", "cpu"]
    for command in (words, [*words, "--dry-run"], [*words, "--duration", "99"], ["demo", "--run-dir", str(run)]):
        assert main(command) == 2, command
        assert "give it again: --step FILE.py:function" in capsys.readouterr().err
        assert not mark.exists(), command
    assert main([*words, "--duration", "24", "--step", f"{planted}:step"]) == 0
    assert mark.exists(), "given on the command line, it is the user's own"


# -- two processes -----------------------------------------------------------------------------------------------------


def test_the_second_process_is_told_who_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    words = ["train", "digits", "--run-dir", str(run), "--duration", "10M", *commands.SMALL, "--log.every", "64"]
    process = commands.start(words, tmp_path / "first.txt")
    deadline = time.monotonic() + 120
    while not (run / "stats.jsonl").exists():
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert main([*words, "--dry-run"]) == 0
    capsys.readouterr()
    assert main(words) == 2
    assert f"is in use by process {process.pid} on host" in capsys.readouterr().err
    os.kill(process.pid, signal.SIGKILL)  # its lock stays behind
    process.join()
    assert (run / ".lock").exists()
    done = commands.run([*words, "--duration", "64"], tmp_path / "second.txt")
    assert done.status == 0, done.printed
    assert not (run / ".lock").exists()


def test_a_lock_leaves_no_folder_behind(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "runs" / "mine", duration=16)
    nowhere = dataclasses.replace(config, data=dataclasses.replace(config.data, path="/nowhere"))
    with pytest.raises(UserError, match="nothing at this path"):
        train(nowhere, "digits")
    assert not (tmp_path / "runs").exists()


# -- records -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["²", "9" * 400, "-16", "1e3", "\x1b[2J", "", "١٦", "016"])
def test_a_pointer_that_is_no_number_is_no_pointer(text: str, finished: Path, tmp_path: Path) -> None:
    run = copy(finished, tmp_path / "run")
    (run / "checkpoints" / "LAST").write_text(text)
    (run / "checkpoints" / "²").mkdir()
    assert clock_of(text.strip()) is None
    assert CheckpointStore(run, CheckpointConfig()).last() == 16


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (("preset",), 7, "preset: 7"),
        (("data", "images"), -1, "data.images"),
        (("data", "class_names"), "abc", "data.class_names"),
        (("used", "ranks"), "2", "used.ranks"),
        (("config", "batch"), 1e99, "config.batch"),
        (("config", "bacth"), 3, "unknown name 'bacth'"),
    ],
)
def test_a_stored_configuration_is_read_strictly(
    field: tuple[str, ...], value: Any, message: str, finished: Path, tmp_path: Path
) -> None:
    run = copy(finished, tmp_path / "run")
    stored = json.loads((run / "config.json").read_text())
    place = stored
    for name in field[:-1]:
        place = place[name]
    place[field[-1]] = value
    (run / "config.json").write_text(json.dumps(stored))
    with pytest.raises(CorruptFileError, match=message):
        RunDirectory(run).stored_run()


def test_lines_that_will_be_written_again_are_dropped(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {"images_seen": 8, "health": {}},
        {"images_seen": 16, "G_loss": 1.0},
        {"images_seen": 16, "health": {}},
        {"images_seen": 24, "G_loss": 1.0},
    ]
    for again, kept in (((), lines[:3]), (("evaluation",), lines[:3]), (("health", "samples"), lines[:2])):
        (tmp_path / "stats.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        RunDirectory(tmp_path).rewind(16, again)
        assert [json.loads(line) for line in (tmp_path / "stats.jsonl").read_text().splitlines()] == kept
