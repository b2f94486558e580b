"""What follows from a size or a batch that a preset was not made for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from biggan.cli.train import parse
from biggan.presets.following import follow
from biggan.presets.registry import PRESETS, get_preset
from biggan.training.batches import plan
from biggan.training.configuration import TrainingConfig
from biggan.training.resolving import resolve


def parsed(tmp_path: Path, name: str, *words: str) -> TrainingConfig:
    return resolve(parse(name, list(words), str(tmp_path / "run")), None, 1)


@pytest.mark.parametrize(("side", "attention"), [("96", "48"), ("48", "24"), ("64", "32"), ("256", "64"), ("32", "16")])
def test_attention_moves_with_the_resolution(tmp_path: Path, side: str, attention: str) -> None:
    model = parsed(tmp_path, "biggan-pytorch-ch64", "--resolution", side).model
    assert model.generator_attention == model.discriminator_attention == (attention,)


def test_attention_that_was_given_stays(tmp_path: Path) -> None:
    words = ("--resolution", "96", "--model.generator-attention", "24", "--model.discriminator-attention")
    model = parsed(tmp_path, "biggan-pytorch-ch64", *words).model
    assert (model.generator_attention, model.discriminator_attention) == (("24",), ())


@pytest.mark.parametrize(
    ("name", "batch", "micro_batch"),
    [
        ("biggan-pytorch-cifar10", 64, 32),
        ("biggan-pytorch-cifar10", 75, 25),
        ("biggan-pytorch-ch64", 64, 32),
        ("biggan-pytorch-ch64", 16, 16),
        ("digits", 24, 24),
    ],
)
def test_micro_batches_follow_the_batch(tmp_path: Path, name: str, batch: int, micro_batch: int) -> None:
    config = parsed(tmp_path, name, "--batch", str(batch))
    part = plan(config, 1)["discriminator"]
    assert part.micro_batch == micro_batch
    assert part.micro_batch * part.accumulation == batch


def test_a_decay_that_is_given_is_in_force(tmp_path: Path) -> None:
    """Beside the half-life of a preset it changed nothing."""
    assert parsed(tmp_path, "digits").ema.half_life is not None
    for words in (["--ema.decay", "0.9"], ["--ema.decay=0.9"]):
        config = parsed(tmp_path, "digits", *words)
        assert (config.ema.decay, config.ema.half_life) == (0.9, None)
    both = parsed(tmp_path, "digits", "--ema.decay", "0.9", "--ema.half-life", "500")
    assert both.ema.half_life == 500


def test_a_preset_as_it_is_gives_what_it_gave(tmp_path: Path) -> None:
    for name in ("digits", "biggan-pytorch-cifar10", "studiogan-biggan-32"):
        config = parse(name, [], str(tmp_path / "run"))
        assert dataclasses.replace(config, run_dir=None) == get_preset(name).build()


@pytest.mark.parametrize("name", [name for name in PRESETS if get_preset(name).build().model.generator_attention])
def test_every_preset_with_attention_can_be_used_at_another_size(name: str) -> None:
    preset = get_preset(name).build()
    config = follow(dataclasses.replace(preset, resolution=(48, 96)), preset, {"resolution"})
    model = dataclasses.replace(config.model, resolution=(48, 96))
    model.validate()
    assert model.generator_attention
    assert follow(preset, preset, set()) is preset
