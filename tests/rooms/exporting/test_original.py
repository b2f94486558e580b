"""Files of BigGAN-PyTorch: what is written is read back to the bit, by order of parameters, or refused beforehand."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from biggan.cli.main import main
from biggan.convert.biggan_pytorch import facts_from_options, import_states
from biggan.convert.stored_options import read_options
from biggan.data.configuration import DataConfig
from biggan.exporting.contract import FORMATS, ExportRequest
from biggan.exporting.original_names import OriginalNames
from biggan.exporting.original_options import options_of
from biggan.foundation.compatibility import ALL, BIASED_NORM, OUTPUT_NORM_EPS
from biggan.foundation.config import differences
from biggan.foundation.errors import UserError
from biggan.foundation.schedules import Schedule
from biggan.models.architecture import Architecture, SpectralNorm, architecture
from biggan.models.continuation import AdamRecord, Continuation
from biggan.models.contract import build_on_meta
from biggan.models.export_file import Export
from biggan.models.snapshot import SnapshotInfo
from biggan.presets.registry import get_preset
from biggan.training.exportable import read_exportable
from biggan.training.setup import train
from tests.conftest import DATA, assert_same_tensors, tiny_config
from tests.rooms.exporting.exported import lively
from tests.rooms.presets.test_presets import RECORDED, SCRIPTS
from tests.rooms.training.test_run import final_state

FORMAT = FORMATS["biggan-pytorch"]
WHOLE = ExportRequest(discriminator=True, optimizers=True)
ADAM = AdamRecord(learning_rate=1e-4, beta1=0.0, beta2=0.999, eps=1e-6)
LAYOUT = json.loads((DATA / "biggan_pytorch_order.json").read_text())
OFF = SpectralNorm(enabled=False)


def model(family: str = "biggan", **values: Any) -> Architecture:
    small: dict[str, Any] = {
        "resolution": (32, 32),
        "classes": 5,
        "latent_size": 16,
        "generator_width": 4,
        "discriminator_width": 4,
        "generator_attention": ("16",),
        "discriminator_attention": (),
        "shared_embedding": 4,
    }
    return architecture(family, **{**small, **values})


def export_of(a: Architecture) -> Export:
    """Return all of a pair of networks; every number of it is another."""
    networks, average = lively(a), lively(a, 1).generator
    continuation = Continuation(
        generator=True,
        discriminator=True,
        generator_adam=ADAM,
        discriminator_adam=dataclasses.replace(ADAM, learning_rate=4e-4),
    )
    info = SnapshotInfo(
        architecture=a.resolved(),
        class_names=("a", "b", "c", "d", "e") if a.classes else (),
        weights="ema",
        images_seen=640,
        iterations=10,
        provenance={"images": 100, "batch": 32},
        continuation=continuation,
    )
    moments = {
        name: {
            f"{key}/{kind}": torch.tensor(float(i)) if kind == "step" else torch.rand(parameter.shape)
            for i, (key, parameter) in enumerate(network.named_parameters())
            for kind in ("exp_avg", "exp_avg_sq", "step")
            if i != 3  # one that never had a gradient
        }
        for name, network in networks._asdict().items()
    }
    return Export(
        info=info,
        sampled=average.state_dict(),
        raw=networks.generator.state_dict(),
        discriminator=networks.discriminator.state_dict(),
        moments=moments,
    )


def load(path: Path) -> Any:
    return torch.load(path, weights_only=True)


EXPRESSIBLE: list[tuple[str, dict[str, Any]]] = [
    ("biggan", {}),
    ("biggan", {"discriminator_attention": ("stage:0", "stage:1", "stage:2", "stage:3")}),
    ("biggan", {"resolution": (64, 64), "discriminator_attention": ("32", "8"), "wide_discriminator": False}),
    ("biggan", {"shared_embedding": 0, "hierarchical_latent": False}),
    ("biggan", {"compatibility": (BIASED_NORM, OUTPUT_NORM_EPS), "norm_eps": 1e-4}),
    ("biggan", {"compatibility": (ALL,), "norm_eps": 1e-5, "normalization": "instance"}),
    ("biggan", {"compatibility": (ALL,), "normalization": "none"}),
    ("biggan", {"generator_spectral_norm": OFF}),
    ("biggan", {"generator_spectral_norm": SpectralNorm(singular_values=3, iterations=2)}),
    ("biggan-deep", {"resolution": (64, 64), "discriminator_attention": ("16",), "discriminator_depth": 3}),
    ("biggan-deep", {"generator_depth": 3}),
]


@pytest.mark.parametrize(
    ("family", "values"),
    [EXPRESSIBLE[0], *(pytest.param(*case, marks=pytest.mark.nightly) for case in EXPRESSIBLE[1:])],
)
def test_there_and_back_to_the_bit(family: str, values: dict[str, Any], tmp_path: Path) -> None:
    a, path = model(family, **values), tmp_path / "theirs"
    export = export_of(a)
    FORMAT.refuse(export, WHOLE)
    FORMAT.write(export, path, WHOLE)
    assert {one.name for one in path.iterdir()} == {
        f"{name}.pth" for name in ("G", "G_ema", "D", "G_optim", "D_optim", "state_dict")
    }
    progress = read_options(path / "state_dict.pth")
    facts = facts_from_options(progress)
    states = {name: load(path / f"{name}.pth") for name in ("G", "G_ema", "D")}
    for theirs, ours in (("G", export.raw), ("G_ema", export.sampled)):
        found = import_states(states[theirs], states["D"], facts)
        assert not found.unused
        assert not found.missing
        assert_same_tensors(dict(found.generator or {}), dict(ours or {}))
        assert_same_tensors(dict(found.discriminator or {}), dict(export.discriminator or {}))
    changed = differences(a.resolved(), found.architecture.resolved())
    if progress["norm_style"] != "bn":  # what has no effect there is not told apart
        changed.pop("compatibility", None)
    assert not changed
    networks = build_on_meta(a)
    for letter, name, found_network in (
        ("G", "generator", networks.generator),
        ("D", "discriminator", networks.discriminator),
    ):
        optimizer = load(path / f"{letter}_optim.pth")
        translation = found.translations[name]
        parameters = dict(found_network.named_parameters())
        order = [key for key in states[letter] if translation.entries[key].ours in parameters]
        assert optimizer["param_groups"][0]["params"] == list(range(len(order)))
        back: dict[str, Tensor] = {}
        for number, moments in optimizer["state"].items():
            for kind, value in moments.items():
                entry = translation.entries[order[number]]
                back[f"{entry.ours}/{kind}"] = value if kind == "step" else entry.form.to_ours(value)
        assert_same_tensors(back, dict(export.moments[name]))


def test_the_progress_is_plain_and_complete(tmp_path: Path) -> None:
    FORMAT.write(export_of(model()), tmp_path / "theirs", WHOLE)
    progress = load(tmp_path / "theirs" / "state_dict.pth")
    assert {"itr", "epoch", "save_num", "save_best_num", "best_IS", "best_FID", "config"} == progress.keys()
    assert (progress["itr"], progress["epoch"]) == (10, 6)
    config = progress["config"]
    assert (config["G_lr"], config["D_lr"], config["adam_eps"], config["ema"]) == (1e-4, 4e-4, 1e-6, True)
    assert config["batch_size"] * config["num_D_steps"] * progress["itr"] == 640
    assert {type(value) for value in config.values()} <= {int, float, str, bool}


def test_a_scheduled_rate_is_that_of_the_clock(tmp_path: Path) -> None:
    export = export_of(model())
    continuation = export.info.continuation
    assert continuation is not None
    falling = dataclasses.replace(ADAM, schedule=Schedule(decay="linear", until=1280), reference_batch=128, batch=32)
    info = dataclasses.replace(export.info, continuation=dataclasses.replace(continuation, generator_adam=falling))
    FORMAT.write(dataclasses.replace(export, info=info), tmp_path / "theirs", WHOLE)
    for lr in (
        load(tmp_path / "theirs" / "state_dict.pth")["config"]["G_lr"],
        load(tmp_path / "theirs" / "G_optim.pth")["param_groups"][0]["lr"],
    ):
        assert lr == 1e-4 * 0.5 * 0.5


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_options_are_those_of_the_launch_scripts(script: str) -> None:
    recorded = RECORDED[script]["options"]
    found = options_of(get_preset(SCRIPTS[script]).build().model, discriminator=True)
    activations = {"G_nl", "D_nl"}  # in place or not: it is the same network
    assert {name: found[name] for name in found if name in recorded and name not in activations} == {
        name: recorded[name] for name in found if name in recorded and name not in activations
    }


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_the_order_of_parameters_is_theirs(network: str) -> None:
    a = get_preset("biggan-pytorch-bs256x8").build().model
    names = OriginalNames(getattr(build_on_meta(a), network), a.resolved(), network)
    assert names.parameters == LAYOUT[network]


INEXPRESSIBLE: list[tuple[str, dict[str, Any], str]] = [
    ("biggan", {"resolution": (32, 16)}, "32x16 px"),
    ("biggan", {"resolution": (96, 96), "generator_attention": ()}, "96x96 px"),
    ("biggan", {"bottom": (8, 8), "generator_attention": ()}, "bottom"),
    ("biggan", {"channels": 1}, "1 channels"),
    ("biggan", {"classes": 0}, "without classes"),
    ("biggan", {"normalization": "group"}, "group normalisation"),
    ("biggan", {"normalization": "instance"}, "output-norm-always-batch"),
    ("biggan", {"norm_eps": 1e-3}, "output-norm-eps"),
    ("biggan", {"channel_order": "bgr"}, "channel order bgr"),
    ("biggan", {"condition_order": "latent-class"}, "condition order"),
    ("biggan", {"inplace_activation": True}, "inplace activation"),
    ("biggan", {"output_width": 8}, "output width 8"),
    ("biggan", {"gain_centre": 0.0}, "gain centre"),
    ("biggan", {"generator_spectral_norm": SpectralNorm(stored_vectors=("*",))}, "generator spectral norm"),
    ("biggan", {"generator_spectral_norm": SpectralNorm(eps=1e-4)}, "spectral norm"),
    ("biggan", {"discriminator_spectral_norm": OFF}, "discriminator spectral norm"),
    ("biggan", {"discriminator_attention": ("stage:0",)}, "discriminator attention"),
    ("biggan", {"discriminator_channels": (4, 8, 16, 16)}, "discriminator channels"),
    ("biggan", {"generator_channels": (16, 16, 8, 8)}, "generator channels"),
    ("biggan", {"shared_embedding": 0, "hierarchical_latent": False, "dense_class_tables": True}, "dense class tables"),
    ("sagan", {"shared_embedding": 0, "discriminator_width": 4}, "class tables"),
    ("biggan-deep", {"generator_depth": 1}, "one block a stage"),
    ("biggan-deep", {"learned_shortcuts": True}, "learned shortcuts"),
]


@pytest.mark.parametrize(("family", "values", "reason"), INEXPRESSIBLE)
def test_what_it_cannot_express_is_refused(family: str, values: dict[str, Any], reason: str) -> None:
    info = SnapshotInfo(
        architecture=model(family, **values), class_names=(), weights="ema", images_seen=0, iterations=0
    )
    with pytest.raises(UserError, match=reason):
        FORMAT.refuse(Export(info=info, sampled={}), ExportRequest(discriminator=True))


def test_a_generator_of_512_px_goes_without_its_discriminator() -> None:
    a = model(resolution=(512, 512), generator_width=4, generator_attention=("64",))
    assert options_of(a, discriminator=False)["resolution"] == 512
    with pytest.raises(UserError, match="512x512"):
        options_of(a, discriminator=True)


def test_a_run_survives_the_way_there_and_back(tmp_path: Path, make_folder: Callable[..., Path]) -> None:
    """Exported and converted, it is the same state, at the same clock."""
    data = DataConfig(path=str(make_folder({"a": 5, "b": 5}, size=(32, 32))), workers=0)
    train(tiny_config(tmp_path / "run", duration=16, data=data, model=model(classes=2)), "digits")
    theirs, back = tmp_path / "theirs", tmp_path / "back"
    whole = ["--to", "biggan-pytorch", "--with-discriminator", "--with-optimizers"]
    assert main(["export", str(tmp_path / "run"), *whole, "--out", str(theirs)]) == 0
    assert main(["convert", str(theirs), str(back)]) == 0
    assert_same_tensors(final_state(back), final_state(tmp_path / "run"))
    assert read_exportable(back)[0].info.images_seen == 16
    assert main(["export", str(back), *whole, "--out", str(tmp_path / "again")]) == 0
    for file in theirs.iterdir():
        first, again = load(file), load(tmp_path / "again" / file.name)
        if file.name == "state_dict.pth":  # the number of images, and so of epochs, is not in their files
            first, again = ({**one["config"], "itr": one["itr"]} for one in (first, again))
            first = {name: first[name] for name in again}
        assert_same_leaves(again, first)


def assert_same_leaves(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_same_leaves(value, other[key])
    elif isinstance(one, Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other
