"""Every preset: counts, records, and two steps at width 4."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from biggan.data.configuration import DataConfig
from biggan.foundation.courses import Course
from biggan.foundation.errors import UserError
from biggan.losses.adversarial import ADVERSARIAL_LOSSES
from biggan.losses.augmented import Ada
from biggan.losses.terms import Acting, parse_terms
from biggan.models.architecture import Architecture
from biggan.models.contract import build_on_meta, count_parameters
from biggan.models.snapshot import read_info
from biggan.presets.registry import PRESETS, get_preset
from biggan.training.batches import plan
from biggan.training.configuration import LogConfig, TrainingConfig
from biggan.training.resolving import resolve
from biggan.training.setup import train
from biggan.training.step import Objective
from biggan.training.update import Update
from tests.conftest import DATA, tiny
from tests.rooms.training.test_step import CPU, make_inputs, make_state

NAMES = tuple(PRESETS)
SCRIPTS = {
    "launch_BigGAN_bs256x8.sh": "biggan-pytorch-bs256x8",
    "launch_BigGAN_bs512x4.sh": "biggan-pytorch-bs512x4",
    "launch_BigGAN_ch64_bs256x8.sh": "biggan-pytorch-ch64",
    "launch_BigGAN_deep.sh": "biggan-pytorch-deep",
    "launch_SAGAN_bs128x2_ema.sh": "biggan-pytorch-sagan",
    "launch_SNGAN.sh": "biggan-pytorch-sngan",
    "launch_cifar_ema.sh": "biggan-pytorch-cifar10",
}
RECORDED: dict[str, Any] = json.loads((DATA / "launch_scripts.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_those_in_the_record(name: str) -> None:
    preset = get_preset(name)
    networks = build_on_meta(preset.build().model)
    match = re.search(r"Parameters:\s+G\s+([\d,]+),\s+D\s+([\d,]+)", preset.description)
    assert match, "the docstring states the parameter counts"
    g, d = (int(number.replace(",", "")) for number in match.groups())
    assert (count_parameters(networks.generator), count_parameters(networks.discriminator)) == (g, d)


@pytest.mark.parametrize("name", NAMES)
def test_the_record_is_complete(name: str) -> None:
    text = get_preset(name).description
    for word in ("Source", "Hardware", "time", "Expect"):
        assert re.search(word, text, re.IGNORECASE), f"{name} does not state {word}"


def test_every_launch_script_has_its_preset() -> None:
    assert RECORDED.keys() == SCRIPTS.keys()


@pytest.mark.parametrize(("script", "name"), SCRIPTS.items())
def test_launch_scripts(script: str, name: str) -> None:
    """Everything that the script's resolved options say about the networks and their training."""
    options, config = RECORDED[script]["options"], get_preset(name).build()
    model, networks = config.model, build_on_meta(config.model)
    assert count_parameters(networks.generator) == RECORDED[script]["G_parameters"]
    assert count_parameters(networks.discriminator) == RECORDED[script]["D_parameters"]
    assert model.z_size == RECORDED[script]["G_dim_z_effective"]
    assert model.resolution == (options["resolution"],) * 2
    assert model.classes == options["n_classes"]
    assert (model.generator_width, model.discriminator_width) == (options["G_ch"], options["D_ch"])
    assert model.wide_discriminator == options["D_wide"]
    deep = options["model"] == "BigGANdeep"
    assert (model.family == "biggan-deep") == deep
    if deep:
        assert (model.generator_depth, model.discriminator_depth) == (options["G_depth"], options["D_depth"])
    assert model.hierarchical_latent == options["hier"]
    assert bool(model.shared_embedding) == options["G_shared"]
    names = {"ortho": "orthogonal", "N02": "normal", "xavier": "xavier"}
    assert (model.generator_init, model.discriminator_init) == (names[options["G_init"]], names[options["D_init"]])
    assert model.norm_eps == options["BN_eps"]
    assert model.generator_spectral_norm.eps == model.discriminator_spectral_norm.eps == options["SN_eps"]
    for adam, letter in ((config.generator_adam, "G"), (config.discriminator_adam, "D")):
        assert adam.learning_rate == options[f"{letter}_lr"]
        assert (adam.beta1, adam.beta2, adam.eps) == (
            options[f"{letter}_B1"],
            options[f"{letter}_B2"],
            options["adam_eps"],
        )
    assert config.discriminator_steps == options["num_D_steps"]
    assert config.batch == options["batch_size"] * options["num_D_accumulations"]
    assert (config.generator_batch or config.batch) == options["batch_size"] * options["num_G_accumulations"]
    assert config.generator_orthogonal == options["G_ortho"]
    assert config.discriminator_orthogonal == options["D_ortho"]
    assert config.ema.enabled == options["ema"]
    if options["ema"]:
        assert config.ema.decay == options["ema_decay"]
        assert config.ema.start == options["ema_start"] * config.batch * config.discriminator_steps
    per_iteration = config.batch * config.discriminator_steps
    assert config.checkpoint.every == options["save_every"] * per_iteration
    assert config.checkpoint.keep_best == options["num_best_copies"]
    assert config.seed == options["seed"]
    assert config.fake_labels == "uniform"
    assert not config.compatibility
    assert not model.compatibility


def cases() -> list[Any]:
    """Every preset; by day those with a loss or heads of their own, and one below and one at 128 px of each family."""
    found, seen = [], set()
    for name in NAMES:
        config = get_preset(name).build()
        side, kind = config.model.resolution[0], (config.model.family, config.loss, config.model.discriminator_heads)
        by_day = side <= 128 and (side < 128, kind) not in seen
        seen |= {(side < 128, kind)} if side <= 128 else set()
        found.append(name if by_day else pytest.param(name, marks=pytest.mark.nightly))
    return found


@pytest.mark.parametrize("name", cases())
def test_two_steps_at_width_4(name: str, tmp_path: Path) -> None:
    """The real thing, narrow and with few classes and small batches, on digits at the preset's own size."""
    preset = get_preset(name).build()
    side = preset.model.resolution[0]
    width = {"generator_width": 4, "discriminator_width": 4, "latent_size": min(preset.model.latent_size, 20)}
    if preset.model.shared_embedding:
        width["shared_embedding"] = 4
    config = dataclasses.replace(
        preset,
        data=dataclasses.replace(preset.data, path="digits", channels=1, workers=0),
        run_dir=str(tmp_path / "run"),
        device="cpu",
        batch=2 if side > 128 else 4,
        micro_batch=2,
        duration=2 * preset.discriminator_steps * (2 if side > 128 else 4),
        model=dataclasses.replace(preset.model, **width),
        log=LogConfig(
            every=1, samples_every=10**9, sheet_columns=1, interpolation_rows=1, sample_batch=4, tensorboard=False
        ),
    )
    outcome = train(config, name)
    assert outcome.images_seen == config.duration
    info = read_info(next((tmp_path / "run" / "snapshots").glob("*.safetensors")))
    assert info.iterations == 2
    assert info.weights == ("ema" if preset.ema.enabled else "generator")


@pytest.mark.parametrize("name", NAMES)
def test_micro_batches_are_fixed_and_divide_evenly(name: str) -> None:
    config = get_preset(name).build()
    assert config.micro_batch is not None
    plans = plan(resolve(config, None, 1), 1)
    assert plans["discriminator"].micro_batch == config.micro_batch
    assert plans["discriminator"].accumulation * config.micro_batch == config.batch


def test_an_unknown_preset_names_its_neighbours() -> None:
    with pytest.raises(UserError, match=r"unknown preset 'biggan-265'; nearest: biggan-256"):
        get_preset("biggan-265")


def test_two_presets_for_cifar10_are_one_training() -> None:
    """They differ in how often they save and log alone, so what was measured of one holds for the other."""
    one, other = (get_preset(name).build() for name in ("biggan-pytorch-cifar10", "mmgen-biggan-cifar10"))
    kept = {name: getattr(one, name) for name in ("checkpoint", "log")}
    assert dataclasses.replace(other, **kept) == one


def test_presets_are_what_they_say() -> None:
    assert isinstance(get_preset("digits").build(), TrainingConfig)
    assert get_preset("digits").build().data == DataConfig(path="digits")
    assert isinstance(get_preset("biggan-512").build().model, Architecture)
    assert torch.get_num_threads() >= 1


# Of the rows on CIFAR-10: terms, images that D sees, D steps, batch, the part of the data, rate, beta1.
ROWS: dict[str, tuple[dict[str, Any], int, int, int, float, float, float]] = {
    "studiogan-biggan-32": ({}, 32_000_000, 5, 64, 1.0, 2e-4, 0.5),
    "studiogan-biggan-32-cr": ({"cr": {"weight": 10, "mirror": True, "shift": 0.125}}, 32_000_000, 5, 64, 1, 2e-4, 0.5),
    "studiogan-biggan-32-diffaugment": (
        {"diffaugment": {"policy": ("color", "translation", "cutout")}}, 64_000_000, 5, 64, 1.0, 2e-4, 0.5
    ),
    "studiogan-biggan-32-lecam": (
        {"lecam": {"weight": 0.3, "decay": 0.99, "start": 5000}}, 64_000_000, 5, 64, 1.0, 2e-4, 0.5
    ),
    "studiogan-reacgan-32": (
        {"d2d-ce": {"weight": 0.5, "m_p": 0.98, "temperature": 0.5}}, 64_000_000, 5, 128, 1.0, 2.8284271e-4, 0.5
    ),
    "diffaugment-cifar10": ({"diffaugment": {"policy": ("translation", "cutout")}}, 50_000_000, 4, 50, 1.0, 2e-4, 0.0),
    "diffaugment-cifar10-20": (
        {"diffaugment": {"policy": ("translation", "cutout")}}, 50_000_000, 4, 50, 0.2, 2e-4, 0.0
    ),
    "diffaugment-cifar10-10": (
        {"diffaugment": {"policy": ("translation", "cutout")}}, 25_000_000, 4, 50, 0.1, 2e-4, 0.0
    ),
    "diffaugment-cifar10-cr": (
        {"diffaugment": {"policy": ("cutout",)}, "cr": {"weight": 10, "mirror": True}}, 50_000_000, 4, 50, 1, 2e-4, 0.0
    ),
    "diffaugment-cifar10-20-cr": (
        {
            "diffaugment": {"policy": ("translation", "cutout")},
            "cr": {"weight": 10, "mirror": False, "shift": 0, "augmented": False},
        },
        50_000_000, 4, 50, 0.2, 2e-4, 0.0,
    ),
    "diffaugment-cifar10-10-cr": (
        {
            "diffaugment": {"policy": ("translation", "cutout")},
            "cr": {"weight": 10, "mirror": False, "shift": 0, "augmented": False},
        },
        25_000_000, 4, 50, 0.1, 2e-4, 0.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_rows_on_cifar10(name: str) -> None:
    expected, duration, steps, batch, fraction, rate, beta1 = ROWS[name]
    config = get_preset(name).build()
    found = parse_terms(config.terms)
    assert found.keys() == expected.keys()
    for term, options in expected.items():
        for option, value in options.items():
            own = getattr(found[term], option)
            assert (own.at(0) if option == "weight" else own) == value, (term, option)
    assert (config.duration, config.discriminator_steps, config.batch) == (duration, steps, batch)
    assert (config.data.fraction, config.data.flip) == (fraction, True)
    for adam in (config.generator_adam, config.discriminator_adam):
        assert (adam.learning_rate, adam.beta1, adam.beta2) == (rate, beta1, 0.999)
    assert (config.ema.decay, config.ema.start) == (0.9999, 1000 * steps * batch)
    assert all(number in get_preset(name).description for number in PUBLISHED[name].split()), "the figure is shown"
    assert all(number in ARCHITECTURES.read_text() for number in PUBLISHED[name].split())


def test_r3gan_on_cifar10() -> None:
    """Its numbers, and how they change: at the beginning, half way, and when all have come to their end."""
    config = get_preset("r3gan-cifar10").build()
    model, terms = config.model, parse_terms(config.terms)
    ada = terms["ada"]
    assert (model.family, model.resolution, model.classes, config.loss) == ("r3gan", (32, 32), 10, "relativistic")
    assert (config.batch, config.discriminator_steps, config.data.flip) == (512, 1, True)
    assert terms.keys() == {"r1", "r2", "ada"}
    assert isinstance(ada, Ada)
    assert (ada.colour, ada.cutout, ada.without) == (0.5, True, ())
    assert config.generator_adam == config.discriminator_adam
    adam, half_life = config.generator_adam, config.ema.half_life
    assert (adam.beta1, adam.eps) == (0.0, 1e-8)
    # The way of a cosine: first + (last - first) (1 - cos(pi t)) / 2, whose middle is the mean of both.
    for clock, share in ((0, 0.0), (10_000_000, 0.5), (20_000_000, 1.0), (50_000_000, 1.0)):

        def between(first: float, last: float, share: float = share) -> Any:
            return pytest.approx(first + share * (last - first), rel=1e-9, abs=1e-12)

        assert as_course(adam.learning_rate).at(clock) == between(2e-4, 5e-5)
        assert as_course(adam.beta2).at(clock) == between(0.9, 0.99)
        assert terms["r1"].weight.at(clock) == terms["r2"].weight.at(clock) == between(0.05, 0.005)
        assert ada.probability(clock) == between(0, 0.55)
        assert as_course(half_life).at(clock) == between(0, 5_000_000)
    assert as_course(adam.learning_rate).at(5_000_000) == pytest.approx(2e-4 - 1.5e-4 * (1 - 0.5**0.5) / 2)
    assert "FID 1.96" in get_preset("r3gan-cifar10").description


def as_course(found: Any) -> Course:
    assert isinstance(found, Course)
    return found


@pytest.mark.parametrize("name", [name for name in NAMES if get_preset(name).build().terms])
def test_every_term_of_a_preset_acts(name: str) -> None:
    """Half way through the run; what it adds is more than what a further power iteration changes."""
    config = get_preset(name).build()
    loss, terms = ADVERSARIAL_LOSSES[config.loss](), parse_terms(config.terms)
    state = make_state(tiny("biggan", channels=3, discriminator_heads=config.model.discriminator_heads), torch.float64)
    for term in terms.values():
        term.begin(CPU)
        if "updates" in term.state:  # which LeCam waits for
            term.state["updates"].fill_(1e6)
    (d,) = make_inputs(state.generator.architecture, dtype=torch.float64).discriminator
    with torch.no_grad():
        fakes = state.generator(d.latents, d.fake_labels)

    def total(names: Iterable[str]) -> float:
        clock = config.duration // 2
        acting = [Acting(each, terms[each], terms[each].weight.at(clock)) for each in names]
        update = Update(1, CPU, acting=acting, clock=clock)
        stage = Objective(loss=loss).stage("discriminator", state, state.generator, state.discriminator.judge, update)
        images = d.images.to(CPU, non_blocking=False)
        scene = stage.scene(fakes, d.latents, d.fake_labels, torch.arange(len(fakes)), images, d.labels)
        return float(scene.total(sum(loss.discriminator(*scene.verdicts), torch.zeros(()))).detach())

    whole = total(terms)
    for left_out in terms:
        assert abs(whole - total(terms.keys() - {left_out})) > 1e-5, left_out


PUBLISHED = {
    "studiogan-biggan-32": "4.16 9.96", "studiogan-biggan-32-cr": "3.16 10.09",
    "studiogan-biggan-32-diffaugment": "3.35 10.03", "studiogan-biggan-32-lecam": "3.23 10.17",
    "studiogan-reacgan-32": "3.87 9.85",
    "diffaugment-cifar10": "8.70 9.16 9.59 9.06", "diffaugment-cifar10-20": "14.04 8.65 21.58 8.41",
    "diffaugment-cifar10-10": "22.40 8.09 39.78 7.62", "diffaugment-cifar10-cr": "8.49 9.17",
    "diffaugment-cifar10-20-cr": "12.84 8.61", "diffaugment-cifar10-10-cr": "18.70 8.49",
}  # fmt: skip
"""FID and IS, as their authors published them."""
ARCHITECTURES = Path(__file__).parents[3] / "docs" / "architectures.md"
