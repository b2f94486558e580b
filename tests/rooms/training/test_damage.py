"""Damage, tensors that do not fit, full disks: the last checkpoint stays good, and what is wrong is said."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.tensor_files import read_tensors, write_tensors
from biggan.training.checkpoint import read_checkpoint, restore
from biggan.training.configuration import CheckpointConfig
from biggan.training.setup import train
from tests.conftest import tiny_config
from tests.rooms.training import commands
from tests.rooms.training.test_run import damaged, last_checkpoint
from tests.rooms.training.test_run_folder import copy


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("finished") / "run"
    train(tiny_config(run, duration=16), "digits")
    return run


# -- damage ------------------------------------------------------------------------------------------------------------


def test_damage_is_said_on_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    config = tiny_config(run, duration=32, checkpoint=CheckpointConfig(every=16, keep_last=3))
    train(config, "digits")
    damaged(run / "checkpoints" / "32" / "state.safetensors")
    capsys.readouterr()
    train(config, "digits")
    assert "checkpoint 32 is damaged and not used" in capsys.readouterr().out


def test_logs_are_rewound_with_the_clock(tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = tiny_config(run, duration=32, checkpoint=CheckpointConfig(every=16, keep_last=3))
    config = dataclasses.replace(config, log=dataclasses.replace(config.log, every=8))
    train(config, "digits")
    lines = (run / "stats.jsonl").read_text().splitlines()
    damaged(run / "checkpoints" / "32" / "state.safetensors")
    measured = [
        {"images_seen": 16, "metric": "fid", "file": None},
        {"images_seen": 24, "metric": "fid", "file": None},
        {"images_seen": 32, "metric": "fid", "file": "snapshots/32.safetensors"},  # by `biggan evaluate`
    ]
    text = "".join(json.dumps(record) + "\n" for record in measured)
    (run / "metrics.jsonl").write_text(text + '{"images_seen": 16, "met')
    train(config, "digits")
    again = (run / "stats.jsonl").read_text().splitlines()
    assert [json.loads(line)["images_seen"] for line in again] == [8, 16, 24, 32]
    assert again[:2] == lines[:2], "what stays is as it was"
    left = [json.loads(line)["images_seen"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert left == [16, 32]


def test_logs_of_another_preset_are_not_taken_over(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(tiny_config(run, duration=8), "digits")
    for path in (run / "checkpoints").iterdir():
        if path.is_dir():
            import shutil

            shutil.rmtree(path)
    before = sorted(path.name for path in run.iterdir())
    with pytest.raises(UserError, match="logs of a run that was never saved, started from the preset 'digits'"):
        train(tiny_config(run, duration=8), "other")
    assert sorted(path.name for path in run.iterdir()) == before


# -- tensors -----------------------------------------------------------------------------------------------------------


CHANGES = {
    "of another shape": lambda value: torch.zeros((3, *value.shape)),
    "of another type": lambda value: value.double() if value.dtype != torch.float64 else value.float(),
}


def test_every_tensor_is_checked_before_it_is_used(finished: Path) -> None:
    """Each tensor of a checkpoint in turn, in two ways, or missing: refused by name, and nothing was overwritten."""
    from biggan.training.assembly import make_state
    from biggan.training.own_step import OwnStep
    from biggan.training.step import train_step

    state = make_state(tiny_config(finished), torch.device("cpu"), OwnStep(train_step, None))
    restore(read_checkpoint(last_checkpoint(finished)), state)
    good = {name: value.clone() for name, value in state.tensors().items()}
    assert any(name.endswith("/exp_avg") for name in good)
    tried = 0
    for name, value in good.items():
        for what, change in CHANGES.items():
            changed = change(value)
            if changed.shape == value.shape and changed.dtype == value.dtype:
                continue
            with pytest.raises(ValueError, match=f"^{name} is "):
                state.load_tensors({**good, name: changed})
            tried += 1
            assert torch.equal(state.tensors()[name], value), what
        with pytest.raises(ValueError, match="missing"):
            state.load_tensors({other: tensor for other, tensor in good.items() if other != name})
    with pytest.raises(ValueError, match=r"belong to nothing here, first: optimizer/generator/linear[.]weight/evil"):
        state.load_tensors({**good, "optimizer/generator/linear.weight/evil": torch.zeros(1)})
    assert tried > 200
    assert all(torch.equal(value, good[name]) for name, value in state.tensors().items())


def test_a_checkpoint_with_other_moments_is_an_error(finished: Path, tmp_path: Path) -> None:
    """The digests of the file are right: whoever wrote it made it so."""
    from biggan.foundation.files import digest
    from biggan.training.checkpoint_record import read_checkpoint_record, write_checkpoint_record

    run = copy(finished, tmp_path / "run")
    folder = last_checkpoint(run)
    tensors = read_tensors(folder / "state.safetensors")
    name = next(name for name in tensors if name.endswith("/exp_avg_sq"))
    tensors[name] = torch.zeros(1)
    write_tensors(folder / "state.safetensors", tensors)
    record = read_checkpoint_record(folder / "state.json")
    digests = {**record.digests, "state.safetensors": digest(folder / "state.safetensors")}
    write_checkpoint_record(folder / "state.json", dataclasses.replace(record, digests=digests))
    with pytest.raises(CorruptFileError, match=name):
        train(tiny_config(run, duration=32), "digits")


# -- full disks --------------------------------------------------------------------------------------------------------


def checkpoints_are_good(run: Path, clock: int) -> None:
    assert last_checkpoint(run).name == str(clock)
    read_checkpoint(last_checkpoint(run))
    assert not list(run.rglob("*.writing-*")), "nothing half-written is left"


def test_a_full_disk_in_the_midst_of_a_checkpoint(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", "digits", "--run-dir", str(run), *commands.SMALL, "--batch", "8", "--checkpoint.every", "8"]
    assert commands.run([*words, "--duration", "16"], tmp_path / "good.txt").status == 0
    size = (last_checkpoint(run) / "state.safetensors").stat().st_size
    for limit in (size // 2, size - 1, 4096):
        log = tmp_path / f"{limit}.txt"
        done = commands.run([*words, "--duration", "32"], log, partial(commands.no_file_larger_than, limit))
        assert done.status == 2, done.printed
        assert "Traceback" not in done.printed
        assert "could not be written" in done.printed
        checkpoints_are_good(run, 16)
    assert commands.run([*words, "--duration", "32"], tmp_path / "again.txt").status == 0
    checkpoints_are_good(run, 32)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small file system, as root on Linux")
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    import subprocess

    disk, run = tmp_path / "disk", tmp_path / "disk" / "run"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("no file system may be mounted here")
    try:
        words = ["train", "digits", "--run-dir", str(run), *commands.SMALL, "--batch", "8", "--checkpoint.every", "8"]
        assert commands.run([*words, "--duration", "16"], tmp_path / "good.txt").status == 0
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "filler").write_bytes(bytes(free - 600_000))
        done = commands.run([*words, "--duration", "32"], tmp_path / "full.txt")
        assert done.status == 2, done.printed
        assert "a checkpoint at 24 images needs" in done.printed
        assert "Traceback" not in done.printed
        checkpoints_are_good(run, 16)
        # Not even a line of the log has room: it is said, and the run still ends with a sentence about the disk.
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        with (disk / "filler").open("ab") as file:
            file.write(bytes(free))
        done = commands.run([*words, "--duration", "32"], tmp_path / "fuller.txt")
        assert done.status == 2, done.printed
        assert "Traceback" not in done.printed
        checkpoints_are_good(run, 16)
        (disk / "filler").unlink()
        assert commands.run([*words, "--duration", "32"], tmp_path / "again.txt").status == 0
        checkpoints_are_good(run, 32)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
