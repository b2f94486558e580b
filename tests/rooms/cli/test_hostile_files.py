"""No exception but a message leaves a command, whatever the files that it reads hold."""

from __future__ import annotations

import contextlib
import csv
import os
import pickle
import resource
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from biggan.cli.main import main
from biggan.sampling.sampler import load
from biggan.sampling.standing import write_with_standing_statistics
from biggan.training.health.configuration import HealthConfig
from biggan.training.setup import train
from tests.conftest import HANGS, tiny_config
from tests.damaged_files import damage
from tests.pooled_features import register
from tests.snapshots import write

SECONDS = int(HANGS)
MEMORY = 4 * 2**30
"""Address space beyond what the process has; no file here is larger than a megabyte."""
CPU = "--device cpu"
MEASURE = f"--metrics fid --features pooled --count 16 --batch 16 {CPU}"
DRAWERS = (
    "info FILE",
    "info FILE --json",
    f"sample FILE --out OUT/o --count 1 {CPU}",
    f"sample FILE --out OUT/o --count 1 --truncation 0.5 --format npz {CPU}",
    f"sheet FILE --out OUT/o.png --columns 1 {CPU}",
    f"interpolate FILE --out OUT/o.gif --seeds 0-1 --frames 1 {CPU}",
    f"calibrate FILE --out OUT/o.safetensors --truncations 0.5 --batches 1 {CPU}",
    f"evaluate FILE --data digits --out OUT/e {MEASURE}",
    "export FILE --to safetensors --out OUT/o.safetensors",
)
EXPORT = "export {} --to safetensors --with-discriminator --with-optimizers --out OUT/o.safetensors"
PROJECT = "--steps 1 --candidates 2 --starts 1 --film none"
RUNS = (
    "info KIT/run",
    f"sample KIT/run --out OUT/o --count 1 {CPU}",
    f"evaluate KIT/run --out OUT/e {MEASURE}",
    f"train digits --run-dir KIT/run --dry-run {CPU}",
    EXPORT.format("KIT/run"),
)
READERS = (
    "data inspect DATA --out OUT/i.png --workers 0",
    "data inspect DATA --json --workers 0",
    "data export DATA OUT/x.zip --resolution 16 --workers 0",
    "data prepare DATA OUT/x.hdf5 --resolution 16 --workers 0",
    "data prepare DATA OUT/x.hdf5 --resolution 16 --workers 0 --skip-corrupt",
    f"train digits --data DATA --run-dir OUT/none --dry-run {CPU}",
    f"evaluate KIT/colour.safetensors --data DATA --out OUT/e {MEASURE}",
)


@dataclass(frozen=True)
class Case:
    """A command, and the file that is damaged before it."""

    file: str
    line: str

    def words(self, kit: Path, out: Path) -> list[str]:
        """Return the command line; the folder of a class folder is what is read of an image."""
        data = "images" if self.file.startswith("images/") else "table" if self.file.startswith("table/") else self.file
        named = {"FILE": f"{kit}/{self.file}", "DATA": f"{kit}/{data}", "KIT": str(kit), "OUT": str(out)}
        line = self.line
        for name, value in named.items():
            line = line.replace(name, value)
        writes = "OUT/" in self.line and "train" not in self.line
        return [*line.split(), *(["--overwrite"] if writes else [])]


CASES = [
    *(Case(f"{name}.safetensors", line) for name in ("colour", "bank", "standing") for line in DRAWERS),
    *(
        Case(f"run/{name}", line)
        for name in (
            "config.json",
            "checkpoints/LAST",
            "checkpoints/16/state.json",
            "checkpoints/16/state.safetensors",
            "checkpoints/16/snapshot.safetensors",
        )
        for line in RUNS
    ),
    *(Case("whole.safetensors", line) for line in ("info FILE", DRAWERS[2], EXPORT.format("FILE"))),
    *(Case("run/metrics.jsonl", f"report compare KIT/run --out OUT/c.{ending}") for ending in ("png", "svg", "pdf")),
    Case("run/stats.jsonl", "report health KIT/run --out OUT/h.png"),
    Case("log.csv", "report compare KIT/run --log FILE --out OUT/c.svg"),
    *(
        Case(f"reference.{ending}", f"evaluate KIT/colour.safetensors --reference FILE --out OUT/e {MEASURE}")
        for ending in ("npz", "safetensors", "pkl")
    ),
    *(
        Case(name, line)
        for name in (
            "images/a/0.png",
            "images/b/1.jpg",
            "images/b/2.gif",
            "images/b/3.bmp",
            "images/b/4.webp",
            "images.zip",
            "images.hdf5",
            "arrays.npz",
            "arrays.npy",
            "table/labels.csv",
        )
        for line in READERS
    ),
    Case("colour.sefa-first.safetensors", f"explore sheet KIT/colour.safetensors --rows 1 --out OUT/o.png {CPU}"),
    Case("colour.sefa-first.safetensors", f"explore list KIT/colour.safetensors {CPU}"),
    Case("kin.safetensors", f"explore breed KIT/colour.safetensors --parents FILE --children 1 --out OUT/o.png {CPU}"),
    Case("images/a/0.png", f"explore project KIT/colour.safetensors FILE --out OUT/p {PROJECT} {CPU}"),
]


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one true file of every kind, made by the commands themselves."""
    register()
    kit = tmp_path_factory.mktemp("kit")
    colour = write(kit / "colour.safetensors", names=tuple("0123456789"))
    train(tiny_config(kit / "run", duration=16, batch=8, health=HealthConfig(every=8)), "digits")
    shutil.rmtree(kit / "run" / "snapshots")  # a run that was killed is found by its pointer
    chance = np.random.default_rng(0)
    for folder, name in (("a", "0.png"), ("b", "1.jpg"), ("b", "2.gif"), ("b", "3.bmp"), ("b", "4.webp")):
        (kit / "images" / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(chance.integers(0, 255, (20, 20, 3), np.uint8)).save(kit / "images" / folder / name)
    shutil.copytree(kit / "images", kit / "table")
    with (kit / "table" / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "label"], ["a/0.png", "one"], ["b/1.jpg", "two"], ["b/3.bmp", "two"]])
    pixels = chance.integers(0, 255, (6, 16, 16, 3), np.uint8)
    np.savez(kit / "arrays.npz", x=pixels, y=np.arange(6) % 3)
    np.save(kit / "arrays.npy", pixels)
    (kit / "log.csv").write_text("iteration,inception_score,fid\n1,2.0,300\n1000,20.0,30\n")
    for line in (
        f"calibrate {colour} --out {kit}/bank.safetensors --truncations 0.4 0.8 --batches 1 {CPU}",
        f"export {kit}/run --to safetensors --with-discriminator --with-optimizers --out {kit}/whole.safetensors",
        f"data export {kit}/images {kit}/images.zip --resolution 16",
        f"data prepare {kit}/images {kit}/images.hdf5 --resolution 16 --workers 0",
        f"evaluate {kit}/run {MEASURE}",
        f"explore directions {colour} --count 2 {CPU}",
        f"explore breed {colour} --parents 1:id:1 2:id:2 --children 2 --out {kit}/kin.png {CPU}",
        *(
            f"evaluate reference --data digits --resolution 16 --features pooled --out {kit}/reference.{ending} {CPU}"
            for ending in ("npz", "safetensors")
        ),
    ):
        assert main(line.split()) == 0, line
    with np.load(kit / "reference.npz") as moments:
        (kit / "reference.pkl").write_bytes(pickle.dumps({"mean": moments["mu"], "cov": moments["sigma"]}))
    write_with_standing_statistics(load(colour, "cpu"), kit / "standing.safetensors", batches=1, truncation=0.5)
    return kit


class TooSlowError(BaseException):
    """The command did not end; no handler of exceptions keeps this back."""


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Limit the time and the memory of the block."""

    def stop(*_: object) -> None:
        raise TooSlowError

    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else None
    before = resource.getrlimit(resource.RLIMIT_AS)
    if pages is not None:
        resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + MEMORY, before[1]))
    handler = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def what_is_wrong(case: Case, number: int, kit: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Damage the file, run the command, restore the file; return what must not have happened."""
    file = kit / case.file
    true = file.read_bytes()
    number += 10_000 * CASES.index(case)
    call = f"{case.line} with {case.file} damaged by {number}"
    try:
        damage(file, number)
        with bounded():
            status = main(case.words(kit, out))
    except TooSlowError:
        return f"{call}: no end within {SECONDS} s"
    except BaseException as error:
        return f"{call}: {error!r}"
    finally:
        file.write_bytes(true)
        said = capsys.readouterr()
        shutil.rmtree(out, ignore_errors=True)
    printed = said.out + said.err
    if status not in (0, 2) or "Traceback" in printed:
        return f"{call}: status {status}\n{said.err[-3000:]}"
    if "not enough memory" in printed:
        return f"{call}: took more than {MEMORY >> 30} GiB"
    if any(c in printed for c in "\x1b\x00\x07\u202e"):
        return f"{call}: commands the terminal: {printed!r}"
    return ""


@pytest.mark.parametrize("case", CASES[::7], ids=lambda case: f"{case.file}: {case.line.split(' --')[0]}")
def test_damaged_files_get_a_message(case: Case, kit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [what_is_wrong(case, number, kit, tmp_path / "out", capsys) for number in range(6)]
    assert not any(found), "\n".join(found)


@pytest.mark.nightly
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.file}: {case.line.split(' --')[0]}")
def test_many_damaged_files_get_a_message(
    case: Case, kit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = int(os.environ.get("HOSTILE_FILES", "40"))
    found = [what_is_wrong(case, 100 + number, kit, tmp_path / "out", capsys) for number in range(count)]
    wrong = [line for line in found if line]
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong[:5])
