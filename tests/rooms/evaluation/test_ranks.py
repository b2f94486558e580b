"""Real processes (gloo): no digit tells how many there were, and none waits for one that failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.rooms.training.test_distributed import torchrun

ROOT = str(Path(__file__).parents[3])
WORKER = """
import json, os, sys
sys.path.insert(0, {root!r})
from pathlib import Path
import torch
import biggan
from biggan.data.configuration import ReadingConfig
from biggan.data.opening import open_images
from biggan.evaluation.configuration import EvaluationConfig
from biggan.evaluation.evaluate import evaluate
from biggan.evaluation.records import as_line
from biggan.evaluation.sides import generated, stored
from biggan.foundation import distributed
from biggan.foundation.errors import UserError
device = torch.device("cpu")
distributed.start(device)
rank, out = distributed.rank(), Path({out!r})
{setup}
def answer():
    source = open_images(ReadingConfig(path={data!r}, skip_corrupt=True), (16, 16))
    config = EvaluationConfig(**{values!r})
    side = generated(biggan.load({run!r}, "cpu"), config, source) if {run!r} else stored(source)
    return [as_line(record) for record in evaluate(side, config, source=source, device=device, out=out)]
try:
    found = answer()
except UserError as error:
    found = [json.dumps({{"error": str(error)}})]
(out / f"{{rank}}.jsonl").write_text("\\n".join(found))
distributed.stop()
"""
SETUP = 'os.environ["BIGGAN_CACHE"] = str(out / f"cache{rank}")'


def on_ranks(
    ranks: int, out: Path, *, data: str = "digits", run: Path | None = None, setup: str = SETUP, **values: Any
) -> list[list[dict[str, Any]]]:
    """Evaluate on so many processes; return what each got."""
    out.mkdir(parents=True, exist_ok=True)
    script = out / "worker.py"
    words = {"root": ROOT, "out": str(out), "data": data, "run": str(run or ""), "setup": setup, "values": values}
    script.write_text(WORKER.format(**words))
    done = torchrun(ranks, [str(script)])
    assert done.returncode == 0, done.stderr
    (out / "stderr").write_text(done.stderr)
    return [[json.loads(line) for line in (out / f"{rank}.jsonl").read_text().splitlines()] for rank in range(ranks)]


def without_clock(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {k: v for k, v in record.items() if k not in ("seconds", "ranks", "reference_from_cache")} for record in records
    ]


def test_one_two_and_three_processes_give_the_same_bits(run: Path, tmp_path: Path) -> None:
    """Moments, rows, rows of classes, logits and thumbnails of both sides; 130 images in blocks of 16."""
    values: dict[str, Any] = {
        "count": 130,
        "batch": 16,
        "features": "classifier",
        "metrics": ("fid", "is", "kid", "prdc", "class_fid", "diversity", "memorisation"),
        "generator_mode": "standing",
        "standing_batches": 1,
    }
    found = {ranks: on_ranks(ranks, tmp_path / str(ranks), run=run, **values) for ranks in (1, 2, 3)}
    alone = found[1][0]
    assert len(alone) > 10
    for ranks, everyone in found.items():
        assert all(records == everyone[0] for records in everyone), "all processes get the same records"
        assert without_clock(everyone[0]) == without_clock(alone), f"{ranks} processes give other numbers than one"
        assert everyone[0][0]["ranks"] == ranks
    pictures = [(tmp_path / str(ranks) / "memorisation.png").read_bytes() for ranks in found]
    assert pictures[0] == pictures[1] == pictures[2]
    references = [sorted((tmp_path / str(ranks) / "cache0" / "references").iterdir()) for ranks in found]
    assert [path.name for path in references[0]] == [path.name for path in references[2]]
    assert references[0][0].read_bytes() == references[1][0].read_bytes() == references[2][0].read_bytes()


BROKEN = """
cache = out / f"cache{rank}"
if rank == WHICH:
    cache.write_text("a file where a folder should be")
os.environ["BIGGAN_CACHE"] = str(cache)
"""


def test_different_caches_change_nothing(run: Path, tmp_path: Path) -> None:
    """One warm and one cold, a damaged one, one that cannot be written: the first process decides, and none waits."""
    values: dict[str, Any] = {"count": 40, "features": "classifier", "metrics": ("fid",), "batch": 64}
    (first,) = on_ranks(1, tmp_path / "warm", run=run, **values)
    warm = tmp_path / "warm" / "cache0"
    assert (first[0]["value"], first[0]["reference_from_cache"]) == (pytest.approx(first[0]["value"]), False)
    one_warm = f'os.environ["BIGGAN_CACHE"] = {str(warm)!r} if rank == WHICH else str(out / "cold")'
    for which, cached in ((0, True), (1, False)):
        everyone = on_ranks(
            2, tmp_path / f"one warm {which}", run=run, setup=one_warm.replace("WHICH", str(which)), **values
        )
        assert everyone[0] == everyone[1]
        assert without_clock(everyone[0]) == without_clock(first)
        assert everyone[0][0]["reference_from_cache"] == cached
    for which in (0, 1):
        out = tmp_path / f"unwritable {which}"
        everyone = on_ranks(2, out, run=run, setup=BROKEN.replace("WHICH", str(which)), **values)
        assert without_clock(everyone[0]) == without_clock(first)
        told = (out / "stderr").read_text().count("nothing can be kept in")
        assert told == (2 if which == 0 else 0), "once for the classifier and once for the statistics"
    (stored,) = (warm / "references").iterdir()
    stored.write_bytes(stored.read_bytes()[:-7])
    damaged = on_ranks(2, tmp_path / "damaged", run=run, setup=one_warm.replace("WHICH", "0"), **values)
    assert without_clock(damaged[0]) == without_clock(first)
    assert not damaged[0][0]["reference_from_cache"], "it is made again"


def test_an_unreadable_image_is_left_out_counted_and_said(make_folder: Any, tmp_path: Path) -> None:
    """Cut off behind its header, so that it is found only when it is read, by whichever process has its block."""
    folder = make_folder({"a": 10, "b": 10}, size=(16, 16))
    broken = folder / "b" / "0003.png"
    broken.write_bytes(broken.read_bytes()[:400])
    with Image.open(broken) as picture:
        assert picture.size == (16, 16), "its header is whole"
    values: dict[str, Any] = {"features": "random", "metrics": ("fid", "kid", "diversity"), "batch": 4, "count": 15}
    found = [on_ranks(ranks, tmp_path / str(ranks), data=str(folder), **values) for ranks in (1, 2)]
    assert found[1][0] == found[1][1]
    assert without_clock(found[0][0]) == without_clock(found[1][0])
    for record in found[0][0]:
        reference, judged = record["conditions"]["reference"], record["conditions"]["judged"]
        assert (reference["count"], reference["unreadable"], judged["unreadable"]) == (19, 1, 1)
        assert "1unreadable" in record["protocol"]
        assert any("real images cannot be read" in note and "0003.png" in note for note in record["notes"])
        assert any("judged images cannot be read" in note for note in record["notes"])
    assert found[0][0][0]["conditions"]["count"] == 19


FAILING = """
from biggan.metrics.random_features import RandomFeatures
original = RandomFeatures.__call__
def failing(self, images):
    if rank == 1 and len(images) == 3:
        raise UserError("the GPU fell off the bus")
    return original(self, images)
RandomFeatures.__call__ = failing
"""


def test_what_fails_on_one_process_fails_on_all(run: Path, tmp_path: Path) -> None:
    """The second block of the judged images, of three, is that of the second process."""
    everyone = on_ranks(
        2, tmp_path / "out", run=run, setup=SETUP + FAILING, features="random", metrics=("fid",), count=19, batch=16
    )
    assert [records[0]["error"] for records in everyone] == [
        "measuring images failed on rank 1: the GPU fell off the bus",
        "the GPU fell off the bus",
    ]
