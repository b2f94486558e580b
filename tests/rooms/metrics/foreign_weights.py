"""Files of weights that mean nothing, in the layout of each network that others trained."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from biggan.metrics import fidelity_extractors
from biggan.metrics.fidelity_extractors import Clip, DinoV2
from biggan.metrics.vision_transformer import TransformerShape, VisionTransformer
from tests.rooms.evaluation.calling import inception_weights

Written = Callable[[], Path]


def files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Written]:
    """Return what writes a file, for each name in the registry that takes one; the transformers are made small."""
    shape = TransformerShape(width=12, depth=2, heads=3, patch=14, side=16)
    monkeypatch.setattr(DinoV2, "shapes", {})
    monkeypatch.setattr(Clip, "shapes", {})
    monkeypatch.setattr(fidelity_extractors, "TransformerShape", lambda: shape)
    inception = partial(inception_weights, folder / "inception.pth")
    return {
        "inception": inception,
        "inception-pillow-bicubic": inception,
        "inception-torchvision": partial(_saved, _torchvision_inception, folder / "torchvision.pth"),
        "dinov2": partial(_saved, partial(VisionTransformer, shape), folder / "dinov2.pth"),
        "clip": partial(_saved, _clip, folder / "clip.pth"),
        "vgg16": partial(_saved, _vgg16, folder / "vgg16.pth"),
    }


def _saved(make: Callable[[], nn.Module], path: Path) -> Path:
    torch.manual_seed(0)
    network = make()
    for parameter in network.parameters():
        if parameter.ndim > 1:  # as they are drawn by default, thirty layers leave nothing of an image
            nn.init.kaiming_normal_(parameter)
        else:
            nn.init.normal_(parameter, float(parameter.detach().mean()), 0.1)
    torch.save(network.state_dict(), path)
    return path


def _torchvision_inception() -> nn.Module:
    from torchvision.models import inception_v3

    network: nn.Module = inception_v3(weights=None, init_weights=False)
    return network


def _vgg16() -> nn.Module:
    from torchvision.models import vgg16

    network: nn.Module = vgg16(weights=None)
    return network


def _clip() -> nn.Module:
    from torch_fidelity.feature_extractor_clip import CLIPVisual

    network: nn.Module = CLIPVisual(32, 32, 1, 64, 16)
    network.register_buffer("text_projection", torch.zeros(8, 32))
    return network
