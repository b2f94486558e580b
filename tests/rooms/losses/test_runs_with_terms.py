"""Runs with several terms at once, that are killed and go on."""

from __future__ import annotations

import json
import signal
from functools import partial
from pathlib import Path

import pytest
import torch

from biggan.losses import terms as registry
from biggan.training.setup import train
from tests.conftest import assert_same_tensors, tiny_config
from tests.rooms.training import commands
from tests.rooms.training.test_run import final_state

TERMS = (
    "--terms ada,images=100,interval=1,without=xflip+rotate90 apa,images=100,interval=2 lecam,start=2 top-k r1,every=3 "
    "logan d-stop,weight=9 noise,weight=0.1..0:0..100"
).split()
WORDS = (
    "train digits --batch 8 --micro-batch 4 --duration 128 --checkpoint.every 32 --log.every 8 --log.samples-every 1M "
    "--log.judge none --data.fraction 0.02 --loss softplus"
).split()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -9), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.nightly)]
)
def test_a_run_with_many_terms_goes_on_to_the_bit(number: int, status: int, tmp_path: Path) -> None:
    words = [*WORDS, *commands.SMALL, *TERMS]
    attack = partial(commands.signal_at, "training/loop.py:_read", int(number), 11)  # at 80 images; 64 are saved
    for name, by in (("whole", None), ("half", attack)):
        done = commands.run([*words, "--run-dir", str(tmp_path / name)], tmp_path / f"{name}.txt", by)
        assert done.status == (status if by else 0), done.printed
    again = commands.run([*words, "--run-dir", str(tmp_path / "half")], tmp_path / "again.txt")
    assert again.status == 0, again.printed
    assert f"continuing at {80 if number == signal.SIGTERM else 64} images" in again.printed
    whole = final_state(tmp_path / "whole")
    assert_same_tensors(whole, final_state(tmp_path / "half"))
    # Each took part: probabilities moved, averages were kept, the epoch of top-k is that of the data.
    assert 0 < float(whole["term/ada/p"]) <= 1
    assert 0 < float(whole["term/apa/p"]) <= 1
    assert float(whole["term/lecam/updates"]) > 2
    steps = {float(value) for name, value in whole.items() if name.endswith("/step") and "/discriminator/" in name}
    assert 0 < max(steps) < 16, "some of D's updates were left out"
    stored = json.loads((tmp_path / "whole" / "config.json").read_text())
    assert f"top-k,epoch={stored['data']['images']}" in stored["config"]["terms"]


@pytest.mark.parametrize(("option", "name"), [("generator", "orthogonal"), ("discriminator", "d-orthogonal")])
def test_the_option_of_orthogonal_regularisation_is_its_term(option: str, name: str, tmp_path: Path) -> None:
    by_option = tiny_config(tmp_path / "option", **{f"{option}_orthogonal": 1e-2})
    for config in (
        by_option,
        tiny_config(tmp_path / "term", terms=(f"{name},weight=0.01",)),
        tiny_config(tmp_path / "plain"),
    ):
        train(config, "digits")
    found = {each: final_state(tmp_path / each) for each in ("option", "term", "plain")}
    assert_same_tensors(found["option"], found["term"])
    assert any(not torch.equal(value, found["plain"][key]) for key, value in found["term"].items())


def test_all_other_terms_at_once_go_on_to_the_bit(tmp_path: Path) -> None:
    there = {word.partition(",")[0] for word in TERMS}
    others = [name for name in registry.TERMS if name not in there]
    heads = dict.fromkeys(registry.TERMS[name].head for name in others if registry.TERMS[name].head)
    assert len(others) > 15
    words = [*WORDS, *commands.SMALL, "--duration", "96", "--terms", *others]
    words += ["--model.discriminator-heads", "projection", *heads]
    attack = partial(commands.signal_at, "training/loop.py:_read", int(signal.SIGKILL), 11)
    for name, by in (("whole", None), ("half", attack)):
        done = commands.run([*words, "--run-dir", str(tmp_path / name)], tmp_path / f"{name}.txt", by)
        assert done.status == (-9 if by else 0), done.printed
    again = commands.run([*words, "--run-dir", str(tmp_path / "half")], tmp_path / "again.txt")
    assert again.status == 0, again.printed
    assert "continuing at 64 images" in again.printed
    assert_same_tensors(final_state(tmp_path / "whole"), final_state(tmp_path / "half"))


def test_terms_that_come_change_and_go_are_told(tmp_path: Path) -> None:
    courses: list[tuple[str, ...]] = [(), ("lecam,start=1",), ("lecam,start=2", "r1,every=2"), ("r1,every=2",)]
    for number, terms in enumerate(courses, 1):
        train(tiny_config(tmp_path / "run", duration=8 * number, batch=4, terms=terms), "digits")
    log = (tmp_path / "run" / "log.txt").read_text()
    for before, after in (
        ("none", "lecam,start=1"),
        ("lecam,start=1", "lecam,start=2 r1,every=2"),
        ("lecam,start=2 r1,every=2", "r1,every=2"),
    ):
        assert f"changed on resume: --terms {before} -> {after}\n" in log
