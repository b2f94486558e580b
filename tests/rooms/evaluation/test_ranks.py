"""Real processes (gloo): no digit tells how many there were, and none waits for one that failed."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from biggan.data.sources.digits import load_digits, to_bytes
from biggan.foundation.tensor_files import read_verified
from tests.conftest import assert_same_tensors
from tests.rooms.training.test_distributed import torchrun

ROOT = str(Path(__file__).parents[3])
WORKER = """
import contextlib, io, json, os, shutil, sys
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
from biggan.metrics.features import EXTRACTORS
from tests.rooms.evaluation.calling import TinyFeatures
EXTRACTORS.add("tiny", TinyFeatures)
device = torch.device("cpu")
distributed.start(device)
rank = distributed.rank()

def answer(out, data, run, values):
    source = open_images(ReadingConfig(path=data, skip_corrupt=True), (16, 16))
    config = EvaluationConfig(**values)
    side = generated(biggan.load(run, "cpu"), config, source) if run else stored(source)
    return [as_line(record) for record in evaluate(side, config, source=source, device=device, out=out)]

for out, data, run, values, setup in json.loads(Path({scenarios!r}).read_text()):
    out = Path(out)
    distributed.on_primary(lambda: out.mkdir(parents=True), "making a folder")
    os.environ["BIGGAN_CACHE"] = str(out / f"cache{{rank}}")
    exec(setup)
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            found = answer(out, data, run, values)
        except UserError as error:
            found = [json.dumps({{"error": str(error)}})]
    (out / f"{{rank}}.jsonl").write_text("\\n".join(found))
    (out / f"{{rank}}.said").write_text(said.getvalue())
distributed.stop()
"""
EVERYTHING: dict[str, Any] = {
    "count": 70,
    "batch": 16,
    "features": "classifier",
    "metrics": ("fid", "is", "kid", "prdc", "class_fid", "diversity", "memorisation"),
    "generator_mode": "standing",
    "standing_batches": 1,
}
"""Moments, rows, rows of classes and logits of both sides; 70 images in blocks of 16 divide by none of 2 and 3."""
SMALL: dict[str, Any] = {"count": 19, "batch": 8, "features": "tiny", "metrics": ("fid", "kid", "diversity")}
CUT = {**SMALL, "count": 30}
WARM = "if rank == {which}: shutil.copytree({cache!r}, out / f'cache{{rank}}')"
BROKEN = "if rank == {which}: (out / f'cache{{rank}}').write_text('a file where a folder should be')"
FAILING = """
original = TinyFeatures.__call__
def failing(self, images):
    TinyFeatures.__call__ = original
    raise UserError("the GPU fell off the bus")
if rank == 1: TinyFeatures.__call__ = failing
"""


@dataclass
class Scenario:
    """One evaluation by some processes."""

    out: Path
    data: Path
    run: Path | None
    values: dict[str, Any]
    setup: str = ""
    ranks: list[list[dict[str, Any]]] = field(default_factory=list)
    """What each got."""
    said: list[str] = field(default_factory=list)

    def read(self, ranks: int) -> None:
        lines = [(self.out / f"{rank}.jsonl").read_text().splitlines() for rank in range(ranks)]
        self.ranks = [list(map(json.loads, each)) for each in lines]
        self.said = [(self.out / f"{rank}.said").read_text() for rank in range(ranks)]


def on_ranks(ranks: int, folder: Path, scenarios: list[Scenario]) -> None:
    """Let so many processes do all scenarios, one after the other."""
    folder.mkdir()
    plan = [(str(s.out), str(s.data), str(s.run or ""), s.values, s.setup) for s in scenarios]
    (folder / "scenarios.json").write_text(json.dumps(plan))
    (folder / "worker.py").write_text(WORKER.format(root=ROOT, scenarios=str(folder / "scenarios.json")))
    done = torchrun(ranks, [str(folder / "worker.py")])
    assert done.returncode == 0, done.stderr
    for scenario in scenarios:
        scenario.read(ranks)


Scenarios = dict[str, Scenario]


@pytest.fixture(scope="module")
def scenarios(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Scenarios:
    """All scenarios by name, the number of their processes in front."""
    root = tmp_path_factory.mktemp("ranks")
    images, labels = load_digits()
    few = root / "few.npz"
    np.savez(few, x=to_bytes(images[:75]).repeat(2, 1).repeat(2, 2)[:, None], y=labels[:75])
    folder = root / "images"
    for index, image in enumerate(to_bytes(images[:20])):
        path = folder / "ab"[index % 2] / f"{index:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).resize((16, 16)).save(path)
    broken = folder / "b" / "07.png"
    broken.write_bytes(broken.read_bytes()[:-25])
    with Image.open(broken) as picture:
        assert picture.size == (16, 16), "its header is whole: that it is cut off is seen when it is read"

    def scenario(name: str, values: dict[str, Any] = SMALL, setup: str = "", data: Path = few) -> Scenario:
        return Scenario(root / name, data, None if data is folder else run, values, setup)

    found: Scenarios = {}

    def do(ranks: int, **wanted: Scenario) -> None:
        on_ranks(ranks, root / f"{ranks} processes", list(wanted.values()))
        found.update({f"{ranks} {name}": one for name, one in wanted.items()})

    do(1, bits=scenario("bits1", EVERYTHING), small=scenario("small"), cut=scenario("cut1", CUT, data=folder))
    classifier, small = root / "bits1" / "cache0" / "classifiers", root / "small" / "cache0"
    fitted = f"if rank == 0: shutil.copytree({str(classifier)!r}, out / 'cache0' / 'classifiers')"
    damaged = root / "damaged cache"
    damaged.mkdir()
    (stored,) = (small / "references").iterdir()
    (damaged / "references").mkdir()
    (damaged / "references" / stored.name).write_bytes(stored.read_bytes()[:-7])
    do(
        2,
        bits=scenario("bits2", EVERYTHING, fitted),
        cut=scenario("cut2", CUT, data=folder),
        warm0=scenario("warm0", setup=WARM.format(which=0, cache=str(small))),
        warm1=scenario("warm1", setup=WARM.format(which=1, cache=str(small))),
        damaged=scenario("damaged", setup=WARM.format(which=0, cache=str(damaged))),
        unwritable0=scenario("unwritable0", setup=BROKEN.format(which=0)),
        unwritable1=scenario("unwritable1", setup=BROKEN.format(which=1)),
        failing=scenario("failing", setup=FAILING),
    )
    return found


def numbers(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return all of the records that must not depend on who computed them, or when."""
    free = ("seconds", "ranks", "reference_from_cache")
    return [{name: value for name, value in record.items() if name not in free} for record in records]


@pytest.mark.machine
@pytest.mark.parametrize("ranks", [2, pytest.param(3, marks=pytest.mark.nightly)])
def test_several_processes_give_the_bits_of_one(ranks: int, scenarios: Scenarios, tmp_path: Path) -> None:
    alone, shared = scenarios["1 bits"], scenarios["2 bits"]
    assert len(alone.ranks[0]) > 10
    assert sum(record["value"] is not None for record in alone.ranks[0]) > 8
    if ranks > 2:
        shared = dataclasses.replace(shared, out=tmp_path / "bits")
        on_ranks(ranks, tmp_path / "processes", [shared])
    assert all(records == shared.ranks[0] for records in shared.ranks), "all processes get the same records"
    assert numbers(shared.ranks[0]) == numbers(alone.ranks[0]), f"{ranks} processes give other numbers than one"
    assert shared.ranks[0][0]["ranks"] == ranks
    pictures = [(each.out / "memorisation.png").read_bytes() for each in (alone, shared)]
    assert pictures[0] == pictures[1]
    kept = [list((each.out / "cache0" / "references").iterdir()) for each in (alone, shared)]
    assert [path.name for path in kept[0]] == [path.name for path in kept[1]]
    one, other = (read_verified(path) for (path,) in kept)
    assert one.header == other.header
    assert_same_tensors(one.tensors, other.tensors)


@pytest.mark.parametrize(
    ("name", "cached", "complaints"),
    [("warm0", True, (0, 0)), ("warm1", False, (0, 0)), ("damaged", False, (0, 0)),
     ("unwritable0", False, (1, 0)), ("unwritable1", False, (0, 0))],
)  # fmt: skip
def test_caches_that_differ_change_nothing(
    name: str, cached: bool, complaints: tuple[int, int], scenarios: Scenarios
) -> None:
    """The first process decides by its own cache; what cannot be kept is told once, and work goes on."""
    alone, shared = scenarios["1 small"], scenarios[f"2 {name}"]
    assert shared.ranks[0] == shared.ranks[1]
    assert numbers(shared.ranks[0]) == numbers(alone.ranks[0])
    assert shared.ranks[0][0]["reference_from_cache"] == cached
    assert tuple(said.count("nothing can be kept in") for said in shared.said) == complaints


def test_an_unreadable_image_is_left_out_counted_and_said(scenarios: Scenarios) -> None:
    """Cut off behind its header; it lies in the second block, which is that of the second process."""
    alone, shared = scenarios["1 cut"], scenarios["2 cut"]
    assert shared.ranks[0] == shared.ranks[1]
    assert numbers(alone.ranks[0]) == numbers(shared.ranks[0])
    assert len(alone.ranks[0]) == 5
    for record in alone.ranks[0]:
        reference, judged = record["conditions"]["reference"], record["conditions"]["judged"]
        assert (reference["count"], reference["unreadable"], judged["unreadable"]) == (19, 1, 1)
        assert (record["conditions"]["count"], record["conditions"]["real_count"]) == (19, 19)
        assert record["protocol"].count("1unreadable") == 2
        assert any("real images cannot be read" in note and "07.png" in note for note in record["notes"])
        assert any("judged images cannot be read" in note for note in record["notes"])


def test_what_fails_on_one_process_fails_on_all(scenarios: Scenarios) -> None:
    assert [records[0]["error"] for records in scenarios["2 failing"].ranks] == [
        "measuring images failed on rank 1: the GPU fell off the bus",
        "the GPU fell off the bus",
    ]
