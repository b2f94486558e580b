"""Variables of compare_gan: which of them are taken, and what is said where they do not tell."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from biggan.cli.main import main
from biggan.convert.facts import Facts
from biggan.convert.gathering import gather
from biggan.convert.importing import convert
from biggan.foundation.errors import UserError
from biggan.models.export_file import write_export
from tests.parity.compare_gan import imported_of, loaded
from tests.rooms.convert.foreign_files import case_of, compare_gan_variables

Variables = dict[str, Any]


def dump(path: Path, variables: Variables, *, suffix: str = "") -> Path:
    """Write variables as its users would, with numpy.savez."""
    np.savez(path, **{f"{name}{suffix}": value for name, value in variables.items()})
    return path


@pytest.mark.parametrize("suffix", ["", ":0"])
def test_raw_and_averaged_weights_and_the_discriminator_are_kept(tmp_path: Path, suffix: str) -> None:
    export = convert(gather(dump(tmp_path / "c.npz", compare_gan_variables(), suffix=suffix)), Facts()).export
    assert export.info.weights == "ema"
    assert export.discriminator is not None
    assert export.raw is not None
    theirs = compare_gan_variables()
    for name, tensors in (("/ExponentialMovingAverage", export.sampled), ("", export.raw)):
        kernel = torch.from_numpy(theirs[f"generator/final_conv/kernel{name}"])
        assert torch.equal(tensors["output_conv.weight"], kernel.permute(3, 2, 0, 1))
        moved = torch.from_numpy(theirs["generator/B1/bn1/moving_variance"])
        assert torch.equal(tensors["stages.0.0.norm1.norm.running_var"], moved)


def test_raw_alone(tmp_path: Path) -> None:
    variables = {name: value for name, value in compare_gan_variables().items() if name.startswith("generator/")}
    path = dump(tmp_path / "c.npz", variables)
    assert convert(gather(path, averaged=False), Facts()).export.info.weights == "generator"
    without = {name: value for name, value in variables.items() if "ExponentialMovingAverage" not in name}
    with pytest.raises(UserError, match=r"no averaged variables .* --raw"):
        gather(dump(tmp_path / "d.npz", without))


def test_sums_that_were_never_made_are_missing_not_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A checkpoint of its training has sums of nothing, counted as 1e-12."""
    case = case_of("compare_gan/big32_right_sums")
    facts = Facts(generator_attention_after=2, discriminator_attention_after=1)
    variables = compare_gan_variables("big32_right_sums")
    networks = loaded(imported_of(case, averaged=False))
    full = variables["generator/B1/bn1/accu/accu_mean"] / variables["generator/B1/bn1/accu/accu_counter"]
    norm = networks.generator.get_submodule("stages.0.0.norm1.norm")
    assert torch.allclose(norm.running_mean, torch.from_numpy(full))
    empty = {name: np.float32(1e-12) if name.endswith("accu_counter") else value for name, value in variables.items()}
    weights = gather(dump(tmp_path / "c.npz", empty))
    with pytest.raises(UserError, match=r"not filled \(generator: .*running_"):
        convert(weights, facts)
    fresh = convert(weights, facts, fresh=("*running_*",))
    assert all("running_" in name for name in fresh.fresh)
    write_export(tmp_path / "fresh.safetensors", fresh.export)
    write_export(tmp_path / "whole.safetensors", convert(gather(dump(tmp_path / "w.npz", variables)), facts).export)
    for label in map(str, range(5)):
        (tmp_path / "data" / label).mkdir(parents=True)
        Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "data" / label / "0.png")
    for name, said in (("fresh", "estimated anew over 100 batches"), ("whole", "as they were")):
        words = ["--init", str(tmp_path / f"{name}.safetensors"), "--data", str(tmp_path / "data"), "--dry-run"]
        run = ["--run-dir", str(tmp_path / "run"), "--batch", "4", "--log.judge", "none", "--device", "cpu"]
        assert main(["train", "digits", *words, *run]) == 0
        assert f"statistics of batch norm: {said}" in capsys.readouterr().out


def with_average(name: str, shape: tuple[int, ...]) -> Variables:
    return {name + of: np.zeros(shape, np.float32) for of in ("", "/ExponentialMovingAverage")}


WRONG: dict[str, tuple[Callable[[Variables], Variables], str]] = {
    "labels that are not embedded": (
        lambda v: {k: x for k, x in v.items() if "embed_y" not in k},
        "embed_y = False",
    ),
    "an embedding of z": (
        lambda v: v | with_average("generator/embed_z/kernel", (15, 15)),
        r"left over \(embed_z/kernel\)",
    ),
    "a self-modulated norm": (
        lambda v: v | with_average("generator/B1/bn1/sbn/hidden/kernel", (3, 32)),
        r"left over \(B1/bn1/sbn/hidden/kernel\)",
    ),
    "a head of S3GAN": (
        lambda v: v | {"discriminator_rotation/score_classify/kernel": np.zeros((32, 4), np.float32)},
        r"left over \(discriminator_rotation/score_classify/kernel\)",
    ),
    "a block that is not whole": (
        lambda v: {k: x for k, x in v.items() if not k.startswith("discriminator/B2/down_conv2/")},
        "blocks are not whole",
    ),
    "a vector of another length": (
        lambda v: v | {"generator/final_conv/kernel/u_var": np.zeros((5, 1), np.float32)},
        r"left over \(final_conv/kernel/u_var\)",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_has_no_counterpart_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, message = WRONG[name]
    path = dump(tmp_path / "c.npz", change(compare_gan_variables()))
    assert main(["convert", str(path), str(tmp_path / "o.safetensors")]) != 0
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "o.safetensors").exists()


def test_attention_among_blocks_of_one_width_must_be_stated(tmp_path: Path) -> None:
    weights = gather(dump(tmp_path / "c.npz", compare_gan_variables("big32_right_sums")))
    said = "32 channels, and so have blocks 1, 2, 3 of the generator; state which by"
    for stated in (None, 4):
        with pytest.raises(UserError, match=said):
            convert(weights, Facts(generator_attention_after=stated, discriminator_attention_after=1))
    with pytest.raises(UserError, match="16 channels, and so have blocks 1, 2, 3, 4 of the discriminator"):
        convert(weights, Facts(generator_attention_after=3))
    converted = convert(weights, Facts(generator_attention_after=3, discriminator_attention_after=2))
    assert converted.imported.architecture.generator_attention == ("stage:2",)
    assert converted.imported.architecture.discriminator_attention == ("stage:1",)
    with pytest.raises(UserError, match="generator-attention-after 65: must be 1 to 64"):
        Facts(generator_attention_after=65)


def replaced(v: Variables, name: str, value: Any) -> Variables:
    assert name in v
    return v | {name: value}


STRANGE: dict[str, tuple[Callable[[Variables], Variables], str]] = {
    "one variable under two names": (
        lambda v: v | {"generator/final_conv/bias:0": v["generator/final_conv/bias"]},
        "both there, and are one variable",
    ),
    "one block under two names": (
        lambda v: v | {k.replace("/B1/", "/B01/"): x for k, x in v.items() if "/B1/" in k},
        "left over",
    ),
    "two scales of one convolution": (
        lambda v: v | {k.replace("up_conv1", "down_conv1"): x for k, x in v.items() if "B2/up_conv1" in k},
        "and another of its keys both are",
    ),
    "an average that is not whole": (
        lambda v: {k: x for k, x in v.items() if k != "generator/final_conv/kernel/ExponentialMovingAverage"},
        "1 variables have no average",
    ),
    "negative variances": (
        lambda v: replaced(v, "generator/B1/bn1/moving_variance", -v["generator/B1/bn1/moving_variance"]),
        "variances of .* are below 0",
    ),
    "a strange sum": (lambda v: v | {"generator/B1/bn1/accu/foo": np.float32(1)}, "left over"),
    "a vector of nothing": (lambda v: replaced(v, "generator/final_conv/kernel/u_var", np.float32(1)), "left over"),
    "a kernel of nothing": (
        lambda v: replaced(v, "generator/final_conv/kernel", np.zeros((3, 3, 4, 0), np.float32)),
        "channels 0: must be 1 to 64",
    ),
    "whole numbers": (
        lambda v: replaced(v, "generator/final_conv/kernel", v["generator/final_conv/kernel"].astype(np.int32)),
        "left over",
    ),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_strange_is_told_in_a_sentence(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, message = STRANGE[name]
    path = dump(tmp_path / "c.npz", change(compare_gan_variables()))
    assert main(["convert", str(path), str(tmp_path / "o.safetensors")]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_half_precision_is_widened_first(tmp_path: Path) -> None:
    halves = {k: x.astype(np.float16) if k.endswith("kernel") else x for k, x in compare_gan_variables().items()}
    export = convert(gather(dump(tmp_path / "c.npz", halves)), Facts()).export
    assert all(x.dtype == torch.float32 for x in export.sampled.values() if x.is_floating_point())


@pytest.mark.parametrize("family", ["diffaugment", "ic-gan"])
def test_descendants_of_biggan_pytorch_are_told_by_name(family: str, tmp_path: Path) -> None:
    state = case_of("biggan_pytorch/bg32_hier").state("G")
    torch.save(state, tmp_path / "G.pth")
    assert gather(tmp_path / "G.pth").family.name == "biggan-pytorch"
    assert convert(gather(tmp_path / "G.pth", family), Facts()).weights.family.name == family
    torch.save(state | {"shared_feat.weight": torch.zeros(3, 4)}, tmp_path / "I.pth")
    with pytest.raises(UserError, match="conditioned on features of images"):
        convert(gather(tmp_path / "I.pth", family), Facts())
