"""Features as a loss: each extractor gives gradients, and says the same of floats that are whole as of bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from biggan.cli.main import main
from biggan.data.opening import open_images
from biggan.metrics import fidelity_extractors
from biggan.metrics.features import EXTRACTORS, Extractor, ExtractorOptions, differentiable
from biggan.training.checkpoint import read_checkpoint
from tests.conftest import tiny_config
from tests.rooms.metrics import foreign_weights
from tests.rooms.training import commands
from tests.rooms.training.test_run import last_checkpoint

SLOW = {"vgg16", "classifier"}
"""Half a gigabyte of weights, and a network that is fitted first."""


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Files of weights that mean nothing; the transformers are small ones."""
    pytest.importorskip("torch_fidelity")
    return foreign_weights.files(tmp_path, monkeypatch)


def made(name: str, weights: dict[str, Any]) -> Extractor:
    source = open_images(tiny_config().data, (16, 16))
    path = weights[name]() if name in weights else None
    extractor: Extractor = EXTRACTORS[name](ExtractorOptions(weights=path, data=source))  # type: ignore[call-arg]
    return extractor


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.nightly] if name in SLOW else []) for name in EXTRACTORS]
)
def test_features_of_floats_are_those_of_bytes_and_have_gradients(name: str, weights: dict[str, Any]) -> None:
    extractor = made(name, weights)
    draw = np.random.default_rng(0)
    channels = 1 if name == "classifier" else 3
    images = torch.from_numpy(draw.integers(0, 256, (2, channels, 16, 16), dtype=np.uint8))
    images = torch.nn.functional.interpolate(images, size=(32, 32))  # blocks, so that no resize is harmless
    shown = (images.float() / 127.5 - 1).requires_grad_()
    rows = differentiable(extractor, shown)
    if not extractor.takes_floats:
        bytes_ = extractor(images).rows
        assert not bytes_.requires_grad
        # Pillow rounds after each of its two passes: within a level of 255, whatever the network makes of that.
        near = 0.02 if name == "inception-pillow-bicubic" else 1e-4
        assert float((rows.detach() - bytes_).norm()) <= near * float(bytes_.norm())
    weight = torch.from_numpy(draw.standard_normal(rows.shape)).float()
    (gradient,) = torch.autograd.grad((rows * weight).sum(), shown)
    steepest = gradient / gradient.norm()  # where rounding and the kinks of rectifiers weigh least
    step = 3e-3
    with torch.no_grad():
        up, down = (differentiable(extractor, shown + side * step * steepest) for side in (1, -1))
    found = float(((up - down) * weight).sum()) / (2 * step)
    assert found > 0
    assert found == pytest.approx(float(gradient.norm()), rel=0.1)


def test_g_is_trained_by_features_of_a_network_of_others(
    weights: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = (
        "train digits --batch 8 --duration 8 --pretrain 16 --pretrain-features dinov2 --log.every 8 --log.judge none "
        "--log.samples-every 1M --data.fraction 0.02 --device cpu"
    ).split()
    path = str(weights["dinov2"]())
    assert main([*words, *commands.SMALL, "--run-dir", str(run), "--pretrain-weights", path]) == 0
    assert "16 of 16 fakes, G alone by the features 'dinov2'" in capsys.readouterr().out
    assert read_checkpoint(last_checkpoint(run)).record.pretrained == 16
    other = ["--run-dir", str(tmp_path / "other"), "--pretrain-weights"]
    assert main([*words, *commands.SMALL, *other, str(tmp_path / "none.pth")]) == 2
    assert f"--pretrain-weights {tmp_path / 'none.pth'}: there is no such file" in capsys.readouterr().err
    assert main([*words, *commands.SMALL, "--pretrain-features", "random", *other, path]) == 2
    assert "--pretrain-features random are not read from a file" in capsys.readouterr().err
    (tmp_path / "none.pth").write_bytes(b"no weights")
    assert main([*words, *commands.SMALL, *other, str(tmp_path / "none.pth")]) == 2
    assert f"error: --pretrain-weights {tmp_path / 'none.pth'}: not a PyTorch file" in capsys.readouterr().err
    assert not (tmp_path / "other" / "config.json").exists()


def test_the_network_itself_is_left_as_it_was(weights: dict[str, Any]) -> None:
    extractor: Any = made("dinov2", weights)
    images = torch.rand(1, 3, 32, 32) * 255
    before = extractor(images.to(torch.uint8)).rows
    extractor(images.requires_grad_())
    assert torch.equal(extractor(images.detach().to(torch.uint8)).rows, before)
    assert not any(parameter.grad is not None for parameter in extractor.network.parameters())
    assert fidelity_extractors.DinoV2.gives_gradients
