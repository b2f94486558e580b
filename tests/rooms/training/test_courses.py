"""Values on a course: rate, second beta, half-life, p, weights change with the clock, and a run goes on with them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from biggan.cli.main import main
from biggan.foundation.config import differences, from_json, to_json
from biggan.foundation.courses import Course, as_course, parse_course
from biggan.foundation.errors import UserError
from biggan.losses.adversarial import Relativistic
from biggan.models.export_file import read_export, write_export
from biggan.training.adopting import adopt
from biggan.training.configuration import AdamConfig, MovingAverageConfig, TrainingConfig
from biggan.training.ema import MovingAverage
from biggan.training.engine import Engine
from biggan.training.exportable import read_exportable
from biggan.training.optimizers import make_adam, rate_factors, second_betas
from biggan.training.resolving import resolve
from biggan.training.setup import train
from biggan.training.step import Objective, train_step
from tests.conftest import assert_same_tensors, tiny, tiny_config
from tests.rooms.training.test_distributed import WORKER, torchrun
from tests.rooms.training.test_run import final_state
from tests.rooms.training.test_step import CPU, make_inputs, make_state


def course(word: str) -> Course:
    return parse_course(word, "a test")


ADAM = AdamConfig(learning_rate=course("2e-3..5e-4:0..64:cosine"), beta2=course("0.9..0.99:8..64"))
ALL: dict[str, Any] = {
    "loss": "relativistic",
    "terms": ("r1,weight=0.5..0.1:0..64:cosine", "r2,weight=0.5", "ada,p=0..0.8:0..64,colour=0.5,cutout=yes"),
    "generator_adam": ADAM,
    "discriminator_adam": dataclasses.replace(ADAM, reference_batch=32),
    "ema": MovingAverageConfig(half_life=course("0..40:0..64:cosine")),
}

# -- where they act ----------------------------------------------------------------------------------------------------


def test_an_update_has_the_values_of_the_clock_before_it() -> None:
    """Against a run by hand, to the bit; and what fused Adam holds are plain numbers."""
    a = tiny("r3gan")
    states = [make_state(a), make_state(a)]
    for state in states:
        for name, network in state.networks.items():
            state.optimizers[name] = make_adam(network, ADAM)
    config = tiny_config(batch=6, generator_adam=ADAM, discriminator_adam=ADAM)
    engines = [Engine(device=CPU, rates=rate_factors(config), betas=second_betas(config)), Engine(device=CPU)]
    assert isinstance(ADAM.beta2, Course)
    for number in range(6):
        clock = 12 * number
        for state, engine in zip(states, engines, strict=True):
            state.images_seen = clock
            for optimizer in state.optimizers.values() if not engine.betas else ():
                (group,) = optimizer.param_groups
                way = as_course(ADAM.learning_rate).at(clock) / ADAM.full_rate
                group["lr"], group["betas"] = ADAM.full_rate * way, (0.0, ADAM.beta2.at(clock))
            train_step(state, make_inputs(a, steps=2, seed=number), Objective(loss=Relativistic()), engine)
        assert type(states[0].optimizers["generator"].param_groups[0]["betas"][1]) is float
    assert_same_tensors(states[0].tensors(), states[1].tensors())


def test_adam_with_a_beta_that_changes_is_its_formula() -> None:
    """v <- b v + (1 - b) g^2, corrected by 1 - b^t with the b of the update, in float64."""
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    module = torch.nn.Module()
    module.weight = weight
    optimizer = make_adam(module, AdamConfig(learning_rate=0.1, beta2=course("0.5..0.9:0..4"), eps=1e-8))
    assert optimizer.param_groups[0]["betas"] == (0.0, 0.5)
    expected, v = weight.detach().clone(), torch.zeros(2, dtype=torch.float64)
    config = tiny_config(generator_adam=AdamConfig(beta2=course("0.5..0.9:0..4")))
    betas = second_betas(config)
    assert betas.keys() == {"generator"}
    from biggan.training.optimizers import set_beta2

    for step in range(1, 6):
        b = betas["generator"](step - 1)
        weight.grad = torch.tensor([0.3 * step, -1.0], dtype=torch.float64)
        set_beta2(optimizer, b)
        optimizer.step()
        v = b * v + (1 - b) * weight.grad**2
        expected -= 0.1 * weight.grad / ((v / (1 - b**step)).sqrt() + 1e-8)
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-12, atol=1e-14)


def test_constant_numbers_leave_adam_alone() -> None:
    assert second_betas(tiny_config()) == {}
    assert rate_factors(tiny_config()) == {}


def test_a_half_life_of_nothing_is_a_copy_and_then_it_grows() -> None:
    config = MovingAverageConfig(half_life=course("0..400:0..1000"))
    average = MovingAverage(config, make_state(tiny()).generator)
    assert average.decay(8, 8) == 0.0
    assert average.decay(508, 8) == 0.5 ** (8 / 200)
    assert average.decay(5000, 8) == 0.5 ** (8 / 400)


# -- runs --------------------------------------------------------------------------------------------------------------


def config_of(run: Path, **values: Any) -> TrainingConfig:
    config = tiny_config(run, "r3gan", **ALL, **values)
    return dataclasses.replace(config, log=dataclasses.replace(config.log, every=8))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of ten iterations that was never stopped."""
    run = tmp_path_factory.mktemp("courses") / "whole"
    train(config_of(run, duration=80), "digits")
    return run


def test_stopped_on_any_side_of_an_end_it_goes_on_exactly(whole: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    for duration in (8, 32, 72, 80):
        train(config_of(parts, duration=duration), "digits")
    assert_same_tensors(final_state(whole), final_state(parts))
    for line in map(json.loads, (parts / "stats.jsonl").read_text().splitlines()):
        began = int(line["images_seen"]) - 8
        assert line["G_beta2"] == line["D_beta2"] == as_course(ADAM.beta2).at(began)
        assert line["G_learning_rate"] == pytest.approx(as_course(ADAM.learning_rate).at(began), rel=1e-12)
        assert line["D_learning_rate"] == pytest.approx(line["G_learning_rate"] / 2, rel=1e-12)


def test_micro_batches_and_ranks_are_the_batch(tmp_path: Path) -> None:
    values = "dict(ALL, family='r3gan', batch=6, micro_batch=2, duration=24)"
    script = tmp_path / "worker.py"
    (tmp_path / "out").mkdir()
    worker = WORKER.replace("test_distributed import FREE", "test_courses import ALL")
    root = str(Path(__file__).parents[3])
    script.write_text(
        worker.format(tests=root, out=str(tmp_path / "out"), run=str(tmp_path / "several"), values=values)
    )
    done = torchrun(2, [str(script)])
    assert done.returncode == 0, done.stderr
    train(tiny_config(tmp_path / "one", "r3gan", **ALL, batch=6, duration=24), "digits")
    one, several = final_state(tmp_path / "one"), final_state(tmp_path / "several")
    assert one.keys() == several.keys()
    for name, value in one.items():
        torch.testing.assert_close(several[name], value, rtol=1e-2, atol=1e-4, msg=name)


def test_an_export_says_how_they_go_on_and_a_run_made_of_it_does(whole: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    train(config_of(half, duration=40), "digits")
    export, _ = read_exportable(half)
    write_export(tmp_path / "half.safetensors", export)
    again = read_export(tmp_path / "half.safetensors")
    assert again.info == export.info
    config = adopt(again, tmp_path / "adopted", config_of(tmp_path / "adopted"), "digits")
    assert config.generator_adam == ADAM
    train(dataclasses.replace(config, duration=80), "digits")
    assert_same_tensors(final_state(whole), final_state(tmp_path / "adopted"))


# -- options and files -------------------------------------------------------------------------------------------------


def test_a_stored_configuration_is_read_back_and_so_is_one_of_numbers() -> None:
    config = tiny_config(None, "r3gan", **ALL)
    stored = json.loads(json.dumps(to_json(config)))
    assert stored["generator_adam"]["beta2"] == "0.9..0.99:8..64"
    assert from_json(TrainingConfig, stored) == config
    stored["generator_adam"] |= {"beta2": 0.999, "learning_rate": 1}
    stored["ema"]["half_life"] = 10_000
    older = from_json(TrainingConfig, stored)
    assert (older.generator_adam.beta2, older.generator_adam.full_rate, older.ema.half_life) == (0.999, 1.0, 10_000)
    assert {"generator_adam.beta2", "ema.half_life"} <= differences(config, older).keys()


def test_as_options(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "digits", "--dry-run", "--ema.half-life", "0..5M:0..20M:cosine"]
    assert main([*words, "--generator-adam.beta2", "0.9..0.99:0..20M", "--generator-adam.learning-rate", "3e-4"]) == 0
    shown = capsys.readouterr().out
    assert "second beta of G: 0.9..0.99:0..20M" in shown
    assert '"half_life": "0..5e+06:0..20M:cosine"' in shown
    assert '"learning_rate": 0.0003' in shown
    assert main(["train", "digits", "--dry-run", "--ema.half-life", "None", "--ema.ramp-up", "None"]) == 0
    assert '"half_life": null' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--generator-adam.beta2", "0.9..0.99:5M..1M"], "images, and begins at 5,000,000; write the earlier first"),
        (
            ["--generator-adam.beta2", "0.9..1:0..1M"],
            "beta2 0.9..1:0..1M: must be at least 0 and below 1, all the way",
        ),
        (["--generator-adam.learning-rate", "-1..1:0..1M"], "learning-rate -1..1:0..1M: must be 0 or more"),
        (["--ema.half-life", "5k..-5:0..1M"], "--ema.half-life 5000..-5:0..1M: must be positive"),
        (["--data.fraction-draw", "9" * 21], "--data.fraction-draw: a number of more than 20 digits"),
        (["--seed", "-" + "9" * 25], "--seed: a number of more than 20 digits"),
        (["--ema.half-life", "9" * 400 + "k"], "write a number, or FROM..TO:BEGIN..END"),
        (["--health.every", "1e30"], "parsing --health.every: '1e30' is not a number of images; write for example 96"),
        (["--generator-adam.schedule.until", "x"], "schedule.until: 'x' is not a number of images; write for example"),
        (["--pretrain-features", "clasifier"], "clasifier"),
        (["--ema.half-life", "2.5"], "2.5 is not a whole number of images"),
        (["--ema.half-life", "soon"], "write a number, or FROM..TO:BEGIN..END"),
        (["--terms", "ada,p=0..1.5:0..1M"], "adaptive, or a probability from 0 to 1"),
        (["--terms", "ada,p=0..0.5:2M..1M"], "it ends at 1,000,000 images, and begins at 2,000,000"),
        (["--terms", "ada,colour=2"], "--terms ada,colour=2: a share of p, 0 to 1"),
        (["--generator-adam.learning-rate", "1..0:0..60k"], "from 60000 images on --generator-adam.learning-rate 1..0"),
        (
            ["--generator-adam.learning-rate", "1..2:0..1k", "--generator-adam.schedule.warmup", "1k"],
            "has a course of its own; leave out the schedule",
        ),
    ],
)
def test_what_cannot_be_is_said_before_an_image_is_read(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = ["--data", str(tmp_path / "absent")] if "60k" not in words[1] else []
    assert main(["train", "digits", *absent, "--run-dir", str(tmp_path / "run"), *words]) == 2
    shown = " ".join(capsys.readouterr().err.replace("│", " ").replace("|", " ").split())
    assert message in shown
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_rate_that_ends_at_nothing_after_the_end_is_fine() -> None:
    falling = AdamConfig(learning_rate=course("1e-3..0:0..160"))
    resolve(tiny_config(generator_adam=falling), None, 1)
    with pytest.raises(UserError, match=r"from 160 images on --generator-adam.learning-rate 0.001..0:0..160 is 0"):
        resolve(tiny_config(generator_adam=falling, duration=168), None, 1)
