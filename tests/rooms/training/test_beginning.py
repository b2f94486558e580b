"""A run that begins from weights that exist: every tensor, every class, both optimizers."""

from __future__ import annotations

import dataclasses
import json
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from biggan.cli.main import main
from biggan.data.configuration import DataConfig
from biggan.data.opening import open_source
from biggan.foundation.errors import UserError
from biggan.models.architecture import SpectralNorm
from biggan.models.contract import build
from biggan.models.snapshot import read_snapshot
from biggan.training.checkpoint import read_checkpoint
from biggan.training.configuration import TrainingConfig
from biggan.training.setup import train
from biggan.training.starting.classes import match_classes
from biggan.training.starting.configuration import InitConfig
from biggan.training.starting.record import ClassOrigin
from biggan.training.starting.transplant import Change, class_axes, keep_contrast, settle, transplant
from tests.conftest import FAMILIES, assert_same_tensors, tiny, tiny_config
from tests.rooms.training.commands import run, run_ranks, signal_at
from tests.rooms.training.test_run import final_state, last_checkpoint

ORIGINS = (
    ClassOrigin(how="name", old=3),
    ClassOrigin(how="mean"),
    ClassOrigin(how="fresh"),
    ClassOrigin(how="file", old=0),
)
KINDS: dict[str, dict[str, Any]] = {
    **{family: {"family": family} for family in FAMILIES},
    "dense tables": {"family": "sngan", "dense_class_tables": True},
    "normalised tables": {"family": "sagan", "spectral_norm_class_tables": True},
    "heads": {"family": "biggan", "discriminator_heads": ("multi-hinge", "ac", "adc", "2c", "rotation")},
    "stored vectors": {
        "family": "sagan",
        "dense_class_tables": True,
        "spectral_norm_class_tables": True,
        "generator_spectral_norm": SpectralNorm(stored_vectors=("*",)),
    },
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on ten digits."""
    run = tmp_path_factory.mktemp("base") / "run"
    train(tiny_config(run, duration=48), "digits")
    return run


def tuned(run: Path, base: Path, *, data: dict[str, Any] | None = None, **values: Any) -> TrainingConfig:
    init = InitConfig(path=str(base), **values.pop("init", {}))
    config = tiny_config(run, **{"duration": 48, **values})
    return dataclasses.replace(config, init=init, data=dataclasses.replace(config.data, **(data or {})))


def rates(value: float) -> dict[str, Any]:
    config = tiny_config()
    return {
        name: dataclasses.replace(getattr(config, name), learning_rate=value)
        for name in ("generator_adam", "discriminator_adam")
    }


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_classes_follow_in_both_networks(kind: str) -> None:
    old, new = (tiny(**KINDS[kind], classes=classes) for classes in (10, 4))
    change = Change(old=old, new=new, classes=ORIGINS)
    for before, after in zip(build(old, 0), build(new, 1), strict=True):
        before, after = before.double(), after.double()
        given = before.state_dict()
        fresh = {name: value.clone() for name, value in after.state_dict().items()}
        made, listing = transplant(after, given, fresh, change)
        axes = {name: axis for name, axis in class_axes(after, dense=new.dense_class_tables).items() if name in fresh}
        assert axes or kind == "biggan-deep"
        assert set(listing.resized) == set(axes)
        assert not listing.fresh
        assert not listing.unused
        for name, axis in axes.items():
            rows, source = axis.entries(made[name]), axis.entries(given[name])
            assert len(rows) == 4
            assert len(source) == 10
            assert torch.equal(rows[0], source[3])
            assert torch.equal(rows[3], source[0])
            assert torch.equal(rows[1], source.mean(dim=0))
            assert torch.equal(rows[2], axis.entries(fresh[name])[2])
            others, same = (tensor.movedim(axis.axis, 0)[-axis.rest :] for tensor in (made[name], given[name]))
            assert not axis.rest or torch.equal(others, same)
        assert all(torch.equal(made[name], given[name]) for name in listing.loaded)


@pytest.mark.parametrize("kind", ["biggan", "biggan-deep", "sngan"])
def test_mapped_classes_make_the_images_that_they_made(kind: str) -> None:
    old, new = (tiny(kind, classes=classes) for classes in (10, 4))
    before, after = build(old, 0).generator.double().eval(), build(new, 1).generator.double().eval()
    change = Change(old=old, new=new, classes=ORIGINS)
    after.load_state_dict(transplant(after, before.state_dict(), after.state_dict(), change)[0])
    z = torch.randn(6, old.z_size, dtype=torch.float64)
    for label, source in ((0, 3), (3, 0)):
        ones = torch.ones(6, dtype=torch.int64)
        assert torch.equal(after(z, ones * label), before(z, ones * source))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("channels", "others"), [(1, 3), (3, 1)])
def test_other_channels_are_the_mean_exactly(family: str, channels: int, others: int) -> None:
    old, new = tiny(family, channels=channels), tiny(family, channels=others)
    before, after = build(old, 0).generator.double().eval(), build(new, 1).generator.double().eval()
    same = tuple(ClassOrigin(how="name", old=index) for index in range(10))
    change = Change(old=old, new=new, classes=same)
    given = before.state_dict()
    made, listing = transplant(after, given, after.state_dict(), change)
    unbounded = family == "r3gan"  # its last convolution has no bias, and no tanh follows
    assert {"output_conv.weight", *(() if unbounded else ("output_conv.bias",))} <= set(listing.resized)
    after.load_state_dict(made)
    settle(after, listing.resized)
    keep_contrast(after, given, old)
    draw = torch.Generator().manual_seed(1)  # near saturation atanh knows few digits, so not any latents will do
    z, y = torch.randn(4, old.z_size, dtype=torch.float64, generator=draw), torch.arange(4)
    undone = torch.nn.Identity() if unbounded else torch.atanh
    wanted = undone(before(z, y)).mean(dim=1, keepdim=True)
    torch.testing.assert_close(undone(after(z, y)), wanted.expand(-1, others, -1, -1), rtol=1e-6, atol=1e-9)


def test_with_the_same_data_nothing_changes_before_the_first_step(base: Path, tmp_path: Path) -> None:
    train(tuned(tmp_path / "run", base, duration=8, init={"optimizers": True}, **rates(0.0)), "digits")
    generator, info = read_snapshot(tmp_path / "run" / "snapshots" / "8.safetensors")
    original, _ = read_snapshot(base / "snapshots" / "48.safetensors")
    ours, theirs = dict(generator.named_parameters()), dict(original.named_parameters())
    assert_same_tensors(ours, theirs)
    assert info.provenance["init"]["from"].endswith("checkpoints/48")
    record = json.loads((tmp_path / "run" / "init.json").read_text())
    assert record["recalibrated"] == 0
    assert not record["generator"]["resized"]
    state, old = final_state(tmp_path / "run"), final_state(base)
    moved = [name for name in old if name.startswith("optimizer/") and name.endswith("/step")]
    assert all(state[name] == old[name] + 1 for name in moved)


@pytest.mark.nightly
@pytest.mark.parametrize("family", FAMILIES)
def test_fewer_classes_more_channels_and_back_on(family: str, tmp_path: Path) -> None:
    """Resumed in the middle, it ends as it would have; and the old moments of the mapped classes are there."""
    train(tiny_config(tmp_path / "base", family, duration=24), "digits")
    data = {"classes": ("3", "1", "7"), "channels": 3}
    values = {"data": data, "init": {"optimizers": True, "new_rate_factor": 2.0, "recalibrate": 2}, "freeze_d": 1}
    for name, durations in (("whole", (48,)), ("half", (24, 48))):
        for duration in durations:
            train(tuned(tmp_path / name, tmp_path / "base", duration=duration, **values), "digits")
    assert_same_tensors(final_state(tmp_path / "whole"), final_state(tmp_path / "half"))
    assert read_snapshot(tmp_path / "half" / "snapshots" / "48.safetensors")[1].class_names == ("1", "3", "7")


def test_frozen_stages_keep_every_bit(base: Path, tmp_path: Path) -> None:
    train(tuned(tmp_path / "run", base, freeze_d=1, discriminator_orthogonal=1e-2), "digits")
    before, after = final_state(base), final_state(tmp_path / "run")
    frozen = {name for name in before if name.startswith("discriminator/stages.0.")}
    assert any(name.endswith(".u") for name in frozen)
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert not any(name.startswith("optimizer/discriminator/stages.0.") for name in after)
    assert not torch.equal(before["discriminator/head.linear.weight"], after["discriminator/head.linear.weight"])


# -- D alone -----------------------------------------------------------------------------------------------------------


@pytest.mark.nightly
def test_g_rests_while_a_new_d_is_trained_alone(base: Path, tmp_path: Path) -> None:
    snapshot = base / "snapshots" / "48.safetensors"
    values = {"duration": 400, "d_warmup": 320, "d_warmup_accuracy": 0.5, **rates(1e-2)}
    train(tuned(tmp_path / "whole", snapshot, **values), "digits")
    ended = read_checkpoint(last_checkpoint(tmp_path / "whole")).record.warm_up
    assert ended is not None
    assert ended.ended_at is not None
    assert "it is ready, and G learns from here" in (tmp_path / "whole" / "log.txt").read_text()
    clock = ended.ended_at - 8  # within the warm-up
    cut = tuned(tmp_path / "half", snapshot, **values)
    with pytest.raises(UserError, match="D is not ready"):
        train(dataclasses.replace(cut, d_warmup=clock, d_warmup_accuracy=0.99), "digits")
    at_rest, start = final_state(tmp_path / "half"), read_snapshot(snapshot)[0].state_dict()
    parameters = {name for name, _ in build(tiny(), 0).generator.named_parameters()}
    assert all(torch.equal(at_rest[f"generator/{name}"], start[name]) for name in parameters)
    assert all(torch.equal(at_rest[f"ema/{name}"], start[name]) for name in start)


@pytest.mark.nightly
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_stop_while_d_is_alone_changes_nothing(number: int, status: int, base: Path, tmp_path: Path) -> None:
    snapshot = base / "snapshots" / "48.safetensors"
    words = (
        f"train digits --init {snapshot} --batch 8 --micro-batch 8 --duration 640 --d-warmup 480 --device cpu "
        "--d-warmup-accuracy 0.5 --discriminator-adam.learning-rate 1e-2 --log.no-tensorboard --log.sheet-columns 1 "
        "--log.interpolation-rows 1 --log.samples-every 1M --checkpoint.every 32"
    ).split()
    for name, attack in (("whole", None), ("half", partial(signal_at, "training/warm_up.py:WarmUp.step", number, 5))):
        done = run([*words, "--run-dir", str(tmp_path / name)], tmp_path / f"{name}.txt", attack)
        assert done.status == (status if attack else 0), done.printed
    record = read_checkpoint(last_checkpoint(tmp_path / "half")).record
    assert record.warm_up is not None
    assert record.warm_up.ended_at is None
    assert record.warm_up.counts != (0, 0, 0)
    again = run([*words, "--run-dir", str(tmp_path / "half")], tmp_path / "again.txt")
    assert again.status == 0, again.printed
    assert_same_tensors(final_state(tmp_path / "whole"), final_state(tmp_path / "half"))


@pytest.mark.nightly
def test_two_ranks_begin_alike_and_know_alike_when_d_is_ready(base: Path, tmp_path: Path) -> None:
    snapshot = base / "snapshots" / "48.safetensors"
    words = (
        f"train digits --init {snapshot} --data.classes 1 3 7 --init.recalibrate 2 --batch 8 --duration 160 "
        "--d-warmup 120 --d-warmup-accuracy 0.5 --discriminator-adam.learning-rate 1e-2 --device cpu "
        f"--log.no-tensorboard --log.sheet-columns 1 --log.samples-every 1M --run-dir {tmp_path / 'run'}"
    ).split()
    for done in run_ranks(words, tmp_path / "logs", {}):
        assert done.status == 0, done.printed
    # Every checkpoint compares all tensors bitwise over ranks, and is not written where they differ.
    assert read_checkpoint(last_checkpoint(tmp_path / "run")).images_seen == 160


# -- classes -----------------------------------------------------------------------------------------------------------


def matched(new: tuple[str, ...], old: tuple[str, ...], **init: Any) -> list[tuple[str, int | None]]:
    found = match_classes(InitConfig(**init), new, old, (len(new), len(old)), lambda wanted: dict.fromkeys(wanted, 1))
    return [(origin.how, origin.old) for origin in found]


def test_classes_are_matched_by_name_and_by_file(tmp_path: Path) -> None:
    old = ("golden retriever", "cat", "CAT")
    assert matched(("Golden_Retriever", "cat", "Cat"), old) == [("name", 0), ("name", 1), ("mean", None)]
    assert matched(("a",), old, others="nearest") == [("nearest", 1)]
    assert matched(("cat",), old, classes="fresh") == [("fresh", None)]
    file = tmp_path / "map.json"
    file.write_text('{"a": "id:2", "cat": "golden retriever"}')
    assert matched(("a", "cat", "CAT"), old, classes=str(file)) == [("file", 2), ("file", 0), ("name", 2)]
    lines = tmp_path / "map.csv"
    lines.write_text("# new=old\na=CAT\n")
    assert matched(("a",), old, classes=str(lines)) == [("file", 2)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a=dog", "no class 'dog'; nearest: cat"),
        ("b=cat", "the data have no class 'b'"),
        ("a=cat\na=cat", "stands there twice"),
        ("a", "line 1: write new=old"),
        ("a=id:7", "no class 'id:7'"),
    ],
)
def test_class_files_that_do_not_fit(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "map.txt"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        matched(("a",), ("cat",), classes=str(file))


def test_nearest_classes_are_those_whose_embedding_d_likes_best(base: Path) -> None:
    from biggan.training.exportable import read_exportable
    from biggan.training.starting.nearest import nearest_classes

    export, _ = read_exportable(base)
    table = dict(export.discriminator or {})
    table["head.class_embedding.weight"] = torch.zeros_like(table["head.class_embedding.weight"])
    table["head.class_embedding.weight"][6] = 1.0  # features are sums of positive numbers
    export = dataclasses.replace(export, discriminator=table)
    source = open_source(DataConfig(path="digits", channels=3), (16, 16))
    assert nearest_classes(export, source, [0, 5]) == {0: 6, 5: 6}


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--init {base} --resolution 32", "biggan grow"),
        ("--init {base} --model.generator-width 16", "the architecture is that of the file"),
        ("--init {base} --freeze-d 9", "D has 3 stages"),
        ("--init {snapshot} --freeze-d 1", "holds no D"),
        ("--init {snapshot} --init.weights raw", "moving average of G only"),
        ("--init {snapshot} --init.optimizers", "no moments"),
        ("--init {snapshot} --init.classes nearest", "holds none"),
        ("--init {snapshot} --d-warmup 1G", "nothing is left for G"),
        ("--init {base} --init.classes nowhere.csv", "nor a file"),
        ("--init {tmp}/nothing", "there is no such run, checkpoint or file"),
        ("--init {tmp}/text", "text"),
        ("--freeze-d 1", "nothing has been learnt yet"),
    ],
)
@pytest.mark.parametrize("dry", [True, False])
def test_what_does_not_fit_is_refused(
    words: str, message: str, dry: bool, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("text")
    places = {"base": base, "snapshot": base / "snapshots" / "48.safetensors", "tmp": tmp_path}
    given = [word.format(**places) for word in words.split()]
    command = ["train", "digits", "--run-dir", str(tmp_path / "run"), "--device", "cpu", *given]
    assert main([*command, *(["--dry-run"] if dry else [])]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_from_its_own_weights(base: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    base.rename(gone)
    try:
        config = tuned(tmp_path / "run", gone, duration=16)
        train(config, "digits")
    finally:
        gone.rename(base)
    train(dataclasses.replace(config, duration=32), "digits")  # what it began from is not looked for again
    with pytest.raises(UserError, match="has its own weights by now"):
        train(tuned(tmp_path / "run", base, duration=48), "digits")
    assert "continuing at 16" in (tmp_path / "run" / "log.txt").read_text()


def test_a_dry_run_lists_tensors_and_classes(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"--init {base} --data.classes 3 1 --run-dir {base}-none --dry-run".split()
    assert main(["train", "digits", *words]) == 0
    printed = capsys.readouterr().out
    assert "1 <- 1 (name)" in printed
    assert "resized: class_embedding.weight" in printed
    assert '"classes": 2' in printed
