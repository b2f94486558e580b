"""Statistics for a range of truncations: they are read once, with the file, and only if they fit it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

import biggan
from biggan.foundation.errors import CorruptFileError
from biggan.foundation.tensor_files import read_header, write_tensors
from biggan.models.contract import build
from biggan.models.norm_records import TruncationBank
from biggan.models.snapshot import SnapshotInfo
from biggan.sampling.bank import checked_bank
from biggan.sampling.calibration import calibrate
from biggan.sampling.sampler import Sampler
from tests.conftest import tiny


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = build(tiny("biggan")).generator.eval()
    info = SnapshotInfo(
        architecture=generator.architecture, class_names=tuple("abcdefghij"), weights="ema", images_seen=1, iterations=1
    )
    path = tmp_path_factory.mktemp("bank") / "calibrated.safetensors"
    calibrate(Sampler(generator, info), path, [0.8, 0.4], batches=2)
    return path


def test_the_bank_outlives_its_file(calibrated: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(calibrated.read_bytes())
    sampler = biggan.load(copy, "cpu")
    copy.unlink()
    assert sampler.bank is not None
    assert sampler.bank.record == TruncationBank(truncations=(0.4, 0.8), kind="resample", batches=2, batch=64)
    low, between, high = (sampler.at_truncation(t).state_dict() for t in (0.4, 0.6, 0.8))
    name = next(name for name in low if name.endswith("running_mean"))
    assert torch.allclose(between[name], (low[name] + high[name]) / 2, atol=1e-6)
    assert torch.equal(sampler.at_truncation(0.1).state_dict()[name], low[name])
    assert sampler.at_truncation(0.4, "scale") is sampler.generator, "other latents, other statistics"


def _remove(name: str, tensors: dict[str, Tensor]) -> None:
    del tensors[name]


def _shorten(name: str, tensors: dict[str, Tensor]) -> None:
    tensors[name] = tensors[name][:-1].clone()


def _count(name: str, tensors: dict[str, Tensor]) -> None:
    tensors[name] = tensors[name].long()


def _rename(name: str, tensors: dict[str, Tensor]) -> None:
    tensors[name.replace("bank/1", "bank/2")] = tensors.pop(name)


@pytest.mark.parametrize("change", [_remove, _shorten, _count, _rename])
def test_a_bank_that_does_not_fit_is_not_loaded(
    change: Callable[[str, dict[str, Tensor]], None], calibrated: Path, tmp_path: Path
) -> None:
    tensors = load_file(calibrated)
    names = sorted(name for name in tensors if name.startswith("bank/1"))
    for name in (names[0], names[-1]):
        changed = dict(tensors)
        change(name, changed)
        path = tmp_path / "changed.safetensors"
        write_tensors(path, changed, read_header(calibrated))
        with pytest.raises(CorruptFileError, match=r"changed\.safetensors: its statistics for 2 truncations"):
            biggan.load(path, "cpu")


def test_a_list_that_is_longer_than_its_tensors_is_not_loaded(calibrated: Path) -> None:
    sampler = biggan.load(calibrated, "cpu")
    assert sampler.bank is not None
    longer = TruncationBank(truncations=(0.4, 0.8, 0.9), kind="resample", batches=2, batch=64)
    with pytest.raises(CorruptFileError, match="missing, first 2/"):
        checked_bank(longer, sampler.bank.tensors, sampler.generator, "x")
    with pytest.raises(ValueError, match="do not rise"):
        TruncationBank(truncations=(0.8, 0.4), kind="resample", batches=2, batch=64)


def test_nothing_but_the_weights_and_the_bank_is_stored(calibrated: Path) -> None:
    sampler = biggan.load(calibrated, "cpu")
    assert sampler.bank is not None
    with safe_open(calibrated, "pt") as file:
        assert set(file.keys()) == {
            *sampler.generator.state_dict(),
            *(f"bank/{name}" for name in sampler.bank.tensors),
        }
