"""Every number that a command takes: negative, nothing, huge, infinite or none, it works or is refused by name."""

from __future__ import annotations

import dataclasses
import time
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest

from biggan.cli.calibrate import CalibrateOptions
from biggan.cli.data import ExportOptions, InspectOptions, PrepareOptions
from biggan.cli.evaluate import EvaluateOptions, TruncationOptions
from biggan.cli.film import TruncationFilmOptions
from biggan.cli.info import InfoOptions
from biggan.cli.interpolate import InterpolateOptions
from biggan.cli.main import main
from biggan.cli.montage import MontageOptions
from biggan.cli.reference import ReferenceOptions
from biggan.cli.report import CompareOptions
from biggan.cli.sample import SampleOptions
from biggan.cli.sheet import SheetOptions
from biggan.training.configuration import TrainingConfig
from tests.conftest import HANGS
from tests.pooled_features import register
from tests.snapshots import write

VALUES = ("-1", "0", "1000000000000", "nan", "inf")
SECONDS = HANGS
"""What one call may take on a busy machine; a number that is not refused at once takes hours."""
EVALUATE = "--data digits --features pooled --metrics fid --count 16 --device cpu"
COMMANDS: dict[str, tuple[type, str]] = {
    "sample": (SampleOptions, "sample FILE --out OUT/o --count 2 --device cpu"),
    "sheet": (SheetOptions, "sheet FILE --out OUT/o.png --columns 1 --device cpu"),
    "interpolate": (InterpolateOptions, "interpolate FILE --out OUT/o.gif --seeds 0-1 --frames 2 --device cpu"),
    "film": (
        TruncationFilmOptions,
        "film truncation FILE --out OUT/f.gif --classes 3 --seeds 0 --frames 2 --device cpu",
    ),
    "montage": (MontageOptions, "montage RUN --out OUT/m.gif"),
    "info": (InfoOptions, "info FILE"),
    "calibrate": (
        CalibrateOptions,
        "calibrate FILE --out OUT/o.safetensors --truncations 0.5 --batches 1 --device cpu",
    ),
    "evaluate": (EvaluateOptions, f"evaluate FILE --out OUT/e {EVALUATE}"),
    "truncation": (
        TruncationOptions,
        f"evaluate truncation FILE --out OUT/e --truncations 0.5 --standing-batches 1 {EVALUATE}",
    ),
    "reference": (
        ReferenceOptions,
        "evaluate reference --data digits --resolution 16 --features pooled --out OUT/r.npz --device cpu",
    ),
    "compare": (CompareOptions, "report compare RUN --out OUT/c.png"),
    "prepare": (PrepareOptions, "data prepare IMAGES OUT/p.hdf5 --resolution 16 --workers 0"),
    "export": (ExportOptions, "data export IMAGES OUT/p.zip --resolution 16 --workers 0"),
    "inspect": (InspectOptions, "data inspect IMAGES --out OUT/p.png --workers 0"),
    "train": (TrainingConfig, "train digits --run-dir OUT/run --dry-run --device cpu"),
}
QUICK = ("sample", "sheet", "interpolate", "calibrate")


def numbers(kind: Any) -> bool:
    """Return whether an annotation holds numbers: int, float, several of them, or none as well."""
    if typing.get_origin(kind) is Annotated:
        kind = typing.get_args(kind)[0]
    return kind in (int, float) or any(
        numbers(one) for one in typing.get_args(kind) if one not in (type(None), Ellipsis)
    )


def numeric_options(kind: type, prefix: str = "") -> Iterator[str]:
    """Yield the options of a dataclass, nested ones included, that take numbers."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        name = f"{prefix}{field.name.replace('_', '-')}"
        if dataclasses.is_dataclass(hint):
            yield from numeric_options(typing.cast(type, hint), f"{name}.")
        elif numbers(hint):
            yield name


def wrong(command: str, option: str, value: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Call a command with one number, and return what is wrong about its answer."""
    kind, line = COMMANDS[command]
    words = [word.replace("FILE", str(folder / "x.safetensors")).replace("IMAGES", str(folder / "images")) for word in
             line.split()]  # fmt: skip
    words = [word.replace("OUT", str(folder)).replace("RUN", str(folder)) for word in words]
    if f"--{option}" in words:
        words[words.index(f"--{option}") + 1] = value
    else:
        words += [f"--{option}", value]
    if hasattr(kind, "overwrite"):
        words.append("--overwrite")
    began = time.monotonic()
    status = main(words)
    seconds = time.monotonic() - began
    said = capsys.readouterr()
    call = " ".join(words[:2]) + f" --{option} {value}"
    if status not in (0, 2):
        return f"{call}: status {status}: {said.err[-3000:]}"
    if seconds > SECONDS:
        return f"{call}: took {seconds:.0f} s"
    spelled = said.err.replace("_", "-").lower()
    if status == 2 and option.split(".")[-1] not in spelled:
        return f"{call}: refused, but not by name: {said.err}"
    return ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import numpy as np
    from PIL import Image

    register()
    place = tmp_path_factory.mktemp("numbers")
    write(place / "x.safetensors", names=tuple("0123456789"))
    (place / "images" / "a").mkdir(parents=True)
    for i in range(3):
        pixels = np.full((16, 16, 3), 80 * i, dtype=np.uint8)
        Image.fromarray(pixels).save(place / "images" / "a" / f"{i}.png")
        (place / "samples" / f"{i}").mkdir(parents=True)
        Image.fromarray(pixels).save(place / "samples" / f"{i}" / "fixed.png")
    return place


def check(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = list(numeric_options(COMMANDS[command][0]))
    found = [wrong(command, option, value, folder, capsys) for option in options for value in VALUES]
    assert not any(found), "\n".join(filter(None, found))


@pytest.mark.parametrize("command", QUICK)
def test_every_number_is_used_or_refused(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(command, folder, capsys)


@pytest.mark.nightly
@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in QUICK])
def test_every_number_of_the_slower_commands_is_used_or_refused(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(command, folder, capsys)


def test_numbers_are_found() -> None:
    found = set(numeric_options(TrainingConfig))
    assert {"data.shard-group", "duration", "evaluation.count", "ema.ramp-up", "resolution"} <= found
    assert "seeds" not in set(numeric_options(SampleOptions)), "seeds are words"
