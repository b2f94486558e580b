"""Looks at the health of a run: they change nothing, survive everything, and measure what they say."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from biggan.cli.main import main
from biggan.data.configuration import DataConfig
from biggan.data.opening import open_apart
from biggan.foundation.errors import UserError
from biggan.foundation.images import to_float
from biggan.losses.adversarial import Hinge, Relativistic
from biggan.losses.terms import parse_terms
from biggan.models.contract import build
from biggan.models.snapshot import SnapshotInfo
from biggan.sampling.identity import network_hash
from biggan.sampling.picture_record import NoRecordError
from biggan.sampling.png_text import read_record
from biggan.sampling.sampler import load
from biggan.training.assembly import make_state
from biggan.training.checkpoint import CheckpointStore, read_checkpoint
from biggan.training.configuration import CheckpointConfig, MovingAverageConfig
from biggan.training.health.configuration import LEAST, MOST, HealthConfig
from biggan.training.health.leak import find_leak, views
from biggan.training.health.measuring import Labelled, Subject, above, largest_sigma, measure
from biggan.training.health.records import NUMBERS, Finding, HealthRecord
from biggan.training.health.sample import take
from biggan.training.own_step import OwnStep
from biggan.training.resolving import remarks, resolve, summary
from biggan.training.setup import train
from biggan.training.step import train_step
from tests.conftest import FAMILIES, assert_same_tensors, tiny, tiny_config
from tests.rooms.training.test_run import MakeFolder, final_state

LOOKING = HealthConfig(every=40)
NEVER = HealthConfig(every=0)


def looks(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    return [line for line in lines if "health" in line]


@pytest.mark.parametrize("family", FAMILIES)
def test_looking_changes_nothing(family: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {"data": DataConfig(path="digits", holdout=0.1), "terms": ("ada,p=0.5", "lecam,start=1")}
    for name, health in (("with", LOOKING), ("without", NEVER)):
        train(tiny_config(tmp_path / name, family, duration=80, health=health, **values), "digits")
    assert_same_tensors(final_state(tmp_path / "with"), final_state(tmp_path / "without"))
    assert [line["images_seen"] for line in looks(tmp_path / "with")] == [40, 80]
    assert not looks(tmp_path / "without")
    first, numbers = (line["health"] for line in looks(tmp_path / "with"))
    assert "D_sigma_growth" not in first
    assert numbers["D_sigma_growth"] == numbers["D_sigma"] / first["D_sigma"]
    assert numbers.keys() <= NUMBERS.keys()
    assert {"memory", "label_use", "z_use", "class_use", "G_gradient_norm", "average_distance"} <= numbers.keys()


@pytest.mark.parametrize(
    "values",
    [
        {"statistics": "exact", "spectral_norm": "phase"},
        {"recompute": ("generator", "discriminator")},
        {"precision": "bfloat16", "spectral_norm": "phase"},
        {"ema": MovingAverageConfig(enabled=False)},
        {"loss": "relativistic"},
        {"data": DataConfig(path="digits", labels="unconditional"), "model": {"classes": 0}},
        {"data": DataConfig(path="digits", classes=("3",))},
        {"data": DataConfig(path="digits", fraction=1e-9)},
    ],
    ids=lambda values: "-".join(values),
)
def test_every_kind_of_run_can_be_looked_at(values: dict[str, Any], tmp_path: Path) -> None:
    train(tiny_config(tmp_path / "run", duration=80, health=LOOKING, **values), "digits")
    assert len(looks(tmp_path / "run")) == 2
    assert "failed" not in (tmp_path / "run" / "log.txt").read_text()


def test_colour_and_classes_of_one_image(make_folder: MakeFolder, tmp_path: Path) -> None:
    """Windows are cut out in training; what is looked at is the whole image."""
    folder = make_folder({"a": 1, "b": 3, "c": 1})
    data = DataConfig(path=str(folder), workers=0, random_crop=True, flip=True, holdout=0.3)
    train(tiny_config(tmp_path / "run", data=data, health=LOOKING), "digits")
    assert looks(tmp_path / "run")[-1]["findings"].keys() == {"data repeat"}


@pytest.mark.parametrize("terms", [(), ("noise,weight=0..0.5:40..80",)], ids=["no term", "one that begins later"])
def test_looks_go_on_where_a_run_goes_on(terms: tuple[str, ...], tmp_path: Path) -> None:
    """Those of a run in two parts are those of one in a whole, in the log and in the checkpoint."""
    whole = tiny_config(tmp_path / "whole", health=LOOKING, terms=terms)
    train(whole, "digits")
    half = dataclasses.replace(whole, run_dir=str(tmp_path / "half"))
    train(dataclasses.replace(half, duration=80), "digits")
    train(half, "digits")
    records = [read_checkpoint(tmp_path / name / "checkpoints" / "160").record.health for name in ("whole", "half")]
    assert records[0] == records[1]
    assert [record.images_seen for record in records[0]] == [40, 80, 120, 160]
    assert ("leak" in records[0][-1].numbers) == bool(terms)
    drop = {"G_gradient_norm", "D_gradient_norm"}
    logs = [
        [{n: v for n, v in one["health"].items() if n not in drop} for one in looks(tmp_path / name)]
        for name in ("whole", "half")
    ]
    assert logs[0] == logs[1]


@pytest.mark.parametrize(
    ("every", "how", "said"),
    [
        (0, "rollback", "--on-collapse rollback: nothing will be told"),
        (100, "stop", "and with --health.every 100 there are 7"),
        (88, "stop", ""),
        (0, "warn", ""),
    ],
)
def test_where_a_collapse_would_not_be_told_that_is_said(every: int, how: Any, said: str) -> None:
    config = resolve(tiny_config(duration=704, health=HealthConfig(every=every), on_collapse=how), None, 1)
    told = [line for line in summary(config, 1, whole=False).splitlines() if "--on-collapse" in line]
    assert len(told) == bool(said)
    assert not told or said in told[0]


def test_an_option_that_changes_nothing_without_another_is_told() -> None:
    data = DataConfig(path="digits", fraction_draw=3, crop_margin=0.25)
    config = resolve(tiny_config(duration=704, data=data, pretrain_features="random"), None, 1)
    idle = ["--data.fraction-draw 3", "--data.crop-margin 0.25", "--pretrain-features random"]
    assert [line.split(":")[0] for line in remarks(config)] == idle
    data = dataclasses.replace(data, fraction=0.5, random_crop=True)
    assert not remarks(dataclasses.replace(config, data=data, pretrain=64))


def test_a_checkpoint_without_looks_is_written_as_before(tmp_path: Path) -> None:
    train(tiny_config(tmp_path / "run", duration=16), "digits")
    assert not {"health", "attempt"} & json.loads((tmp_path / "run/checkpoints/16/state.json").read_text()).keys()


def test_no_more_is_held_out_where_a_run_goes_on(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", duration=16, data=DataConfig(path="digits", holdout=0.1))
    train(config, "digits")
    longer = dataclasses.replace(config, duration=32)
    with pytest.raises(UserError, match=r"--data.holdout 0.2: this run has held out 0.1"):
        train(dataclasses.replace(longer, data=DataConfig(path="digits", holdout=0.2)), "digits")
    train(dataclasses.replace(longer, data=DataConfig(path="digits", holdout=0.05)), "digits")
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "changed on resume: --data.holdout 0.1 -> 0.05" in log
    assert "the data changed" in log


def test_a_report_draws_looks_and_says_what_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    train(tiny_config(run, duration=120, health=LOOKING, data=DataConfig(path="digits", fraction=1e-9)), "digits")
    assert main(["report", "health", str(run)]) == 0
    assert "data repeat: there are about 10 different images" in capsys.readouterr().out
    assert (run / "health.png").exists()
    assert main(["report", "health", str(run)]) == 2, "nothing is replaced"
    written = (run / "stats.jsonl").read_bytes()
    numbers = b'{"images_seen": 1, "health": {"separation": 1e300, "gap": "x"}, "findings": {}}\n'
    (run / "stats.jsonl").write_bytes(b'{"images_seen": 1, "health": []}\n\xff\n' + numbers + written + b'{"images')
    assert main(["report", "health", str(run), "--overwrite"]) == 0
    told = capsys.readouterr()
    assert "3 lines are damaged and left out" in told.err
    assert "data repeat: there are about 10 different images" in told.out
    (run / "stats.jsonl").write_text("")
    assert main(["report", "health", str(run), "--overwrite"]) == 2
    assert "holds no look" in capsys.readouterr().err


def test_the_interval_is_a_part_of_the_run_and_stays(tmp_path: Path) -> None:
    assert HealthConfig().resolved(10**9).every == MOST
    assert HealthConfig().resolved(10).every == LEAST
    assert HealthConfig().resolved(100_000).every == 2500
    assert HealthConfig(every=0).resolved(100_000).every == 0
    with pytest.raises(UserError, match=r"--health.every -1"):
        HealthConfig(every=-1)


def subject(**changes: Any) -> Subject:
    source, held = open_apart(DataConfig(path="digits", holdout=0.2), (16, 16))
    networks = build(tiny())
    sample = take(source, held, classes=10, z_size=12, seed=0, device=torch.device("cpu"))
    found = Subject(
        generator=networks.generator,
        average=None,
        discriminator=networks.discriminator,
        loss=Hinge(),
        reals=sample.reals,
        held=sample.held,
        latents=sample.latents,
        wrong=sample.wrong,
        grid=sample.grid,
    )
    return dataclasses.replace(found, **changes)


def test_measuring_leaves_networks_modes_and_chance_alone() -> None:
    looked_at = subject()
    networks = (looked_at.generator, looked_at.discriminator)
    networks[0].train()
    next(networks[0].children()).eval()
    before = [{name: value.clone() for name, value in network.state_dict().items()} for network in networks]
    modes = [[part.training for part in network.modules()] for network in networks]
    state = torch.random.get_rng_state()
    one, other = measure(looked_at), measure(looked_at)
    assert one == other
    assert torch.equal(state, torch.random.get_rng_state())
    assert modes == [[part.training for part in network.modules()] for network in networks]
    for network, values in zip(networks, before, strict=True):
        assert_same_tensors(dict(network.state_dict()), values)
        assert all(parameter.grad is None for parameter in network.parameters())


def test_numbers_do_not_depend_on_the_chunk() -> None:
    one, other = measure(subject(chunk=7)), measure(subject())
    assert one.keys() == other.keys()
    assert all(one[name] == pytest.approx(other[name], rel=1e-3, abs=1e-3) for name in one)


class Copying(torch.nn.Module):
    """A generator that returns what it was given, whatever is asked for."""

    def __init__(self, images: torch.Tensor) -> None:
        super().__init__()
        self.images = torch.nn.Parameter(images)

    def forward(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 - as G is called
        return self.images[torch.arange(len(z)) % len(self.images)]


def test_what_ratios_to_the_reals_mean() -> None:
    """Reals as fakes are at distance 0, with all of their variety; one image for all has none, and uses no z."""
    reals = subject().reals
    same = measure(subject(generator=Copying(reals.images), chunk=1000))
    assert same["distance"] == pytest.approx(0, abs=1e-9)
    assert same["diversity"] == pytest.approx(1)
    assert same["separation"] == pytest.approx(0.5)
    assert same["saturation"] == same["saturation_real"]
    one = measure(subject(generator=Copying(reals.images[:1]), chunk=1000))
    assert one["diversity"] == pytest.approx(0, abs=1e-9)
    assert one["z_use"] == pytest.approx(0, abs=1e-9)
    assert one["class_use"] == pytest.approx(0, abs=1e-9)
    assert one["distance"] > 0.5


def test_however_few_are_held_out_it_is_known_whether_labels_matter_to_the_loss() -> None:
    """A loss that compares pairs included."""
    for loss in (Hinge(), Relativistic()):
        looked_at = subject(loss=loss)
        assert looked_at.held is not None
        few = measure(dataclasses.replace(looked_at, held=Labelled(*(part[:7] for part in looked_at.held))))
        none = measure(dataclasses.replace(looked_at, held=None))
        for found in (few, none, measure(looked_at)):
            assert "shuffled_label_loss" in found


def test_the_area_under_the_curve() -> None:
    low, high = torch.tensor([0.0, 1.0]), torch.tensor([2.0, 3.0])
    assert above(high, low) == 1
    assert above(low, high) == 0
    assert above(low, low) == 0.5


def test_singular_values_of_plain_weights() -> None:
    layer = torch.nn.Linear(5, 7)
    with torch.no_grad():  # one direction by far the longest, so that few iterations find it
        layer.weight.copy_(torch.outer(torch.arange(1.0, 8), torch.arange(1.0, 6)) / 10 + torch.eye(7, 5))
    exact = torch.linalg.matrix_norm(layer.weight, 2)
    assert largest_sigma(layer).item() == pytest.approx(exact.item(), rel=1e-2)


def test_the_sample_is_of_classes_and_never_of_the_others() -> None:
    source, held = open_apart(DataConfig(path="digits", holdout=0.2), (16, 16))
    sample = take(source, held, classes=10, z_size=3, seed=1, device=torch.device("cpu"))
    assert sample.held is not None
    for images, labels, of in ((*sample.reals, source), (*sample.held, held)):
        assert np.bincount(labels).tolist() == [12] * 10
        there = {(of.read(i).tobytes(), int(of.labels[i])) for i in range(len(of))}
        rows = zip(((images + 1) * 127.5).round().to(torch.uint8), labels.tolist(), strict=True)
        assert all((image.numpy().tobytes(), label) in there for image, label in rows)
    assert (sample.wrong != sample.reals.labels).all()
    assert sample.wrong.min() >= 0
    assert sample.wrong.max() < 10
    assert sample.different == 1


def test_the_last_healthy_checkpoint_stays(tmp_path: Path) -> None:
    config = tiny_config(checkpoint=CheckpointConfig(keep_last=1, keep_best=0))
    state = make_state(config, torch.device("cpu"), OwnStep(train_step, None))
    store = CheckpointStore(tmp_path, config.checkpoint)
    info = SnapshotInfo(
        architecture=config.model, class_names=tuple("0123456789"), weights="ema", images_seen=0, iterations=0
    )
    sick = (Finding(kind="collapse", text="so"),)
    found = {5: (), 15: (), 16: (), 17: (), 18: (), 19: (), 34: sick, 45: sick}
    for clock in (5, 10, 15, 16, 17, 18, 19, 20, 30, 34, 40, 45, 50):
        state.images_seen = clock
        if clock in found:
            state.health.append(HealthRecord(images_seen=clock, numbers={}, findings=found[clock]))
        if clock % 10 == 0:
            store.save(state, dataclasses.replace(info, images_seen=clock), {})
        if clock in (30, 40):
            beside = ".half-written" if clock == 30 else "snapshot.sefa-first.safetensors"
            (store.root / str(clock) / beside).write_bytes(b"something")
    assert sorted(store.numbers()) == [10, 20, 40, 50], "40 holds what somebody has put beside its snapshot"


# -- leaks of augmentation ---------------------------------------------------------------------------------------------


def digits_apart() -> tuple[torch.Tensor, torch.Tensor]:
    source, _ = open_apart(DataConfig(path="digits"), (16, 16))
    chosen = np.random.default_rng(0).permutation(len(source))[:600]
    images = to_float(torch.from_numpy(source.read_many(chosen)))
    return images[:480], images[480:]


@pytest.mark.parametrize("word", ["diffaugment,policy=translation+cutout", "ada,p=1,without=scale", "noise,weight=0.3"])
def test_clean_fakes_do_not_leak_and_augmented_ones_do(word: str) -> None:
    reals, fakes = digits_apart()
    seen = views(parse_terms((word,)), clock=0)
    assert seen is not None
    clean, half, whole = (
        find_leak(reals, images, seen)
        for images in (fakes, torch.cat([fakes[:60], seen(fakes[60:], 9)]), seen(fakes, 9))
    )
    assert clean is not None
    assert half is not None
    assert whole is not None
    assert clean.share < 0.2
    assert 0.3 < half.share < 0.7
    assert whole.share > 0.8
    assert half.likeness[60:].mean() > half.likeness[:60].mean()


def test_where_nothing_is_augmented_there_is_nothing_to_leak() -> None:
    reals, fakes = digits_apart()
    assert views(parse_terms(("lecam", "r1")), clock=0) is None
    assert views(parse_terms(("noise,weight=0.5..0:0..100",)), clock=100) is None
    seen = views(parse_terms(("ada,p=0",)), clock=0)
    assert seen is not None
    assert find_leak(reals, fakes, seen) is None  # the classifier cannot tell them apart


def test_a_run_says_how_much_leaks_and_draws_it(tmp_path: Path) -> None:
    train(tiny_config(tmp_path / "run", duration=80, health=LOOKING, terms=("diffaugment",)), "digits")
    assert 0 <= looks(tmp_path / "run")[-1]["health"]["leak"] <= 1
    picture = tmp_path / "run" / "samples" / "80" / "leak.png"
    with Image.open(picture) as opened:
        about = json.loads(opened.info["biggan-about"])
    assert about["generator"] == network_hash(load(tmp_path / "run", "cpu").generator)
    assert (about["images_seen"], about["seed"], about["columns"]) == (80, 0, 10)
    assert about["leak"] == looks(tmp_path / "run")[-1]["health"]["leak"]
    clean, seen, fakes = about["rows"]
    assert [len(row["labels"]) for row in (clean, fakes)] == [20, 20]
    assert seen["terms"] == ["diffaugment"]
    assert fakes["likeness"] == sorted(fakes["likeness"], reverse=True)
    assert len(set(fakes["health latents"])) == 20
    with pytest.raises(NoRecordError, match="says what it shows, but not all"):
        read_record(picture)
