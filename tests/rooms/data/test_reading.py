"""Ways of reading: ahead, without shared memory, and what becomes of workers when something ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from biggan.data.configuration import DataConfig
from biggan.data.order.loader import read_ahead
from biggan.foundation.errors import UserError
from tests.conftest import tiny, tiny_config
from tests.rooms.data.helpers import images, put


def test_reading_ahead_changes_nothing_and_passes_errors_on() -> None:
    assert list(zip(range(5), read_ahead(iter(range(100)), lambda n: n), strict=False)) == [(i, i) for i in range(5)]  # type: ignore[arg-type,return-value]

    def broken() -> Iterator[Any]:
        yield 1
        raise UserError("told")

    ahead = read_ahead(broken(), lambda n: n)
    assert next(ahead) == 1  # type: ignore[comparison-overlap]
    with pytest.raises(UserError, match="told"):
        next(ahead)


def reading_workers(folder: Path) -> str:
    """Return a program in which two workers read 128 px images into ``loader``."""
    from tests.data_kinds import as_folder

    path = as_folder(images(), folder / "data")
    return (
        "from biggan.data.configuration import DataConfig\n"
        "from biggan.data.opening import open_source\n"
        "from biggan.data.order.epochs import make_order\n"
        "from biggan.data.order.loader import make_loader\n"
        "from biggan.foundation.groups import Share\n"
        f"config = DataConfig(path={path!r})\n"
        "source = open_source(config, (128, 128))\n"
        "order = make_order(source, config, 0)\n"
        "loader = make_loader(source, order, first=0, share=lambda _: Share(64), workers=2)\n"
    )


def test_workers_need_no_shared_memory(tmp_path: Path) -> None:
    """Batches come through pipes: with next to no /dev/shm, workers deliver all the same."""
    program = reading_workers(tmp_path) + "print(sum(next(loader).images.shape[0] for _ in range(6)))\n"
    mount = 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$0" -c "$1"'
    command = ["unshare", "--mount", "sh", "-c", mount, sys.executable, program]
    try:
        tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode
    except FileNotFoundError:
        tried = 1
    if tried:
        pytest.skip("this system does not let a test have its own /dev/shm")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "384"


def test_a_signal_to_the_whole_group_saves(tmp_path: Path) -> None:
    """Terminals and job schedulers signal every process, workers too: the run is saved all the same."""
    from tests.data_kinds import as_folder

    path = as_folder(images(), tmp_path / "data")
    for number, name in ((signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")):
        run = tmp_path / name
        words = (
            f"train digits --data {path} --run-dir {run} --duration 1G --batch 8 --device cpu --data.workers 2".split()
        )
        words += "--log.samples-every 1G --log.no-tensorboard --log.every 80 --model.generator-width 4".split()
        process = subprocess.Popen(
            [sys.executable, "-m", "biggan", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while not (run / "stats.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, number)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 128 + number, out
        assert (run / "checkpoints" / "LAST").exists()


def test_workers_end_with_a_trainer_that_was_killed(tmp_path: Path) -> None:
    program = reading_workers(tmp_path) + "next(loader); print('reading', flush=True); import time; time.sleep(100)\n"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"reading\n"
        time.sleep(1)  # the pipes fill up
        process.kill()
        process.wait()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.2)
    raise AssertionError("workers are still there")


def test_data_that_vanish_save_the_run_first(tmp_path: Path) -> None:
    from biggan.training.setup import train

    root = tmp_path / "images"
    put(root, "cat/a.png", "cat/b.png", "dog/c.png")
    for number in range(100):
        shutil.copy(root / "cat" / "a.png", root / "cat" / f"{number}.png")
    config = tiny_config(
        tmp_path / "run", data=DataConfig(path=str(root), workers=0), model=tiny(channels=3), duration=160
    )

    from biggan.data.sources.image_files import ImageFiles

    read, calls = ImageFiles.read, []

    def vanishing(self: ImageFiles, index: int) -> Any:
        calls.append(1)
        if len(calls) == 90:  # before all have been read: what was is kept
            shutil.move(str(root), str(tmp_path / "elsewhere"))
        return read(self, index)

    ImageFiles.read = vanishing  # type: ignore[method-assign]
    try:
        with pytest.raises(UserError, match=r"Saved at \d+ images; repair the data"):
            train(config, "digits")
    finally:
        ImageFiles.read = read  # type: ignore[method-assign]
    saved = int((tmp_path / "run" / "checkpoints" / "LAST").read_text())
    assert saved >= 40
    shutil.move(str(tmp_path / "elsewhere"), str(root))
    assert train(config, "digits").images_seen == 160
    shutil.move(str(root), str(tmp_path / "elsewhere"))
    assert train(config, "digits").already_finished, "a finished run says so, wherever its data are"
