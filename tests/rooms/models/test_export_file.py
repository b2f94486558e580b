"""Files that training goes on from are snapshots too, and hold exactly what they say."""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path

import pytest
import torch
from torch import Tensor

import biggan
from biggan.foundation.errors import CorruptFileError
from biggan.foundation.tensor_files import read_verified, write_tensors
from biggan.models.continuation import AdamRecord, Continuation
from biggan.models.contract import build
from biggan.models.export_file import Export, read_export, write_export
from biggan.models.snapshot import SnapshotInfo, read_snapshot, write_snapshot
from tests.conftest import FAMILIES, assert_same_tensors, tiny

ADAM = AdamRecord(learning_rate=1e-4, beta1=0.0, beta2=0.999, eps=1e-6)


def make(family: str = "biggan") -> Export:
    model = tiny(family)
    networks, average = build(model, 0), build(model, 1).generator
    moments = {
        name: {
            f"{key}/{kind}": torch.tensor(7.0) if kind == "step" else torch.rand_like(parameter).detach()
            for key, parameter in network.named_parameters()
            for kind in ("exp_avg", "exp_avg_sq", "step")
        }
        for name, network in networks._asdict().items()
    }
    info = SnapshotInfo(
        architecture=model.resolved(),
        class_names=tuple("abcdefghij"),
        weights="ema",
        images_seen=640,
        iterations=10,
        provenance={"preset": "digits"},
        continuation=Continuation(
            generator=True, discriminator=True, generator_adam=ADAM, discriminator_adam=dataclasses.replace(ADAM)
        ),
    )
    return Export(
        info=info,
        sampled=average.state_dict(),
        raw=networks.generator.state_dict(),
        discriminator=networks.discriminator.state_dict(),
        moments=moments,
    )


def without_training(export: Export) -> Export:
    return Export(info=dataclasses.replace(export.info, continuation=None), sampled=export.sampled)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_written_is_read(family: str, tmp_path: Path) -> None:
    made, path = make(family), tmp_path / "whole.safetensors"
    write_export(path, made)
    found = read_export(path)
    assert found.info == made.info
    assert found.digest == read_verified(path).content_hash
    for name in ("sampled", "raw", "discriminator"):
        assert_same_tensors(dict(getattr(found, name)), dict(getattr(made, name)))
    for network in ("generator", "discriminator"):
        assert_same_tensors(dict(found.moments[network]), dict(made.moments[network]))


def test_it_is_a_snapshot_for_everybody_else(tmp_path: Path) -> None:
    made, path, plain = make(), tmp_path / "whole.safetensors", tmp_path / "plain.safetensors"
    write_export(path, made)
    generator, info = read_snapshot(path)
    assert_same_tensors(generator.state_dict(), dict(made.sampled))
    write_snapshot(plain, generator, info)
    assert read_export(plain).info == without_training(made).info, "what is not written is not announced"
    assert torch.equal(biggan.load(path, "cpu").sample(), biggan.load(plain, "cpu").sample())


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_others_may_read_it_as_the_mask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_export(tmp_path / "whole.safetensors", make())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "whole.safetensors").stat().st_mode) == 0o640


def test_a_plain_snapshot_is_an_export_of_the_generator_alone(tmp_path: Path) -> None:
    made, path = without_training(make()), tmp_path / "plain.safetensors"
    write_export(path, made)
    found = read_export(path)
    assert found.generator is None
    assert found.average is found.sampled
    assert (found.discriminator, dict(found.moments)) == (None, {})


def damaged(tensors: dict[str, Tensor], kind: str) -> None:
    some = next(name for name in tensors if name.startswith("continuation/") and tensors[name].dim() > 1)
    if kind == "missing":
        del tensors[some]
    elif kind == "left over":
        tensors[f"{some}x"] = tensors[some].clone()
    elif kind == "shape":
        tensors[some] = tensors[some].flatten()[:1].clone()
    elif kind == "type":
        tensors[some] = tensors[some].to(torch.int8)
    else:
        tensors["continuation/encoder/weight"] = tensors[some].clone()


@pytest.mark.parametrize("kind", ["missing", "left over", "shape", "type", "unknown part"])
@pytest.mark.parametrize("part", ["generator/", "discriminator/", "optimizer/generator/", "optimizer/discriminator/"])
def test_every_tensor_is_checked(kind: str, part: str, tmp_path: Path) -> None:
    path = tmp_path / "whole.safetensors"
    write_export(path, make())
    file = read_verified(path)
    tensors = {name: value for name, value in file.tensors.items() if name.startswith(f"continuation/{part}")}
    damaged(tensors, kind)
    others = {name: value for name, value in file.tensors.items() if not name.startswith(f"continuation/{part}")}
    write_tensors(path, {**others, **tensors}, file.header)
    with pytest.raises(CorruptFileError, match=r"whole\.safetensors"):
        read_export(path)


@pytest.mark.parametrize("field", ["generator", "discriminator", "generator_adam", "discriminator_adam"])
def test_what_the_header_promises_is_there_and_nothing_else(field: str, tmp_path: Path) -> None:
    path = tmp_path / "whole.safetensors"
    write_export(path, make())
    file = read_verified(path)
    file.header["continuation"][field] = None if field.endswith("adam") else False
    write_tensors(path, file.tensors, file.header)
    with pytest.raises(CorruptFileError):
        read_export(path)
