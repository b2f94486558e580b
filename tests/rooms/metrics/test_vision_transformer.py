"""DINOv2 by our own code: nothing is fetched but tensors, and a layer is what its equations say."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from biggan.foundation.errors import CorruptFileError
from biggan.metrics import fidelity_extractors
from biggan.metrics.features import ExtractorOptions
from biggan.metrics.fidelity_extractors import DinoV2
from biggan.metrics.vision_transformer import TransformerShape, VisionTransformer

SMALL = TransformerShape(width=12, depth=2, heads=3, patch=14, side=16)
"""At 224 px its 16 x 16 places are those it was trained for."""


def drawn(shape: TransformerShape = SMALL) -> VisionTransformer:
    """Return a network with weights that mean nothing, none of them zero."""
    torch.manual_seed(0)
    network = VisionTransformer(shape).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.normal_(0, 0.3)
    return network


def by_equations(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """Return the class token, head by head and patch by patch, in float64."""
    w = {name: value.double() for name, value in weights.items()}
    x, n = x.double(), x.shape[0]
    patches = x.unfold(2, 14, 14).unfold(3, 14, 14).permute(0, 2, 3, 1, 4, 5).reshape(n, -1, 3 * 14 * 14)
    tokens = patches @ w["patch_embed.proj.weight"].reshape(12, -1).T + w["patch_embed.proj.bias"]
    tokens = torch.cat([w["cls_token"].expand(n, 1, 12), tokens], 1) + w["pos_embed"]

    def norm(name: str, rows: Tensor) -> Tensor:
        centred = rows - rows.mean(-1, keepdim=True)
        return (
            centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]
        )

    def linear(name: str, rows: Tensor) -> Tensor:
        return rows @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    for block in ("blocks.0", "blocks.1"):
        together = linear(f"{block}.attn.qkv", norm(f"{block}.norm1", tokens))
        heads = []
        for head in range(3):
            q, k, v = (together[..., 12 * part + 4 * head : 12 * part + 4 * head + 4] for part in range(3))
            heads.append((q @ k.mT / 2).softmax(-1) @ v)
        tokens = tokens + linear(f"{block}.attn.proj", torch.cat(heads, -1)) * w[f"{block}.ls1.gamma"]
        inner = linear(f"{block}.mlp.fc1", norm(f"{block}.norm2", tokens))
        inner = inner * (1 + torch.erf(inner / math.sqrt(2))) / 2
        tokens = tokens + linear(f"{block}.mlp.fc2", inner) * w[f"{block}.ls2.gamma"]
    return norm("norm", tokens)[:, 0]


def test_it_is_what_its_equations_say() -> None:
    network = drawn()
    x = torch.randn(2, 3, 224, 224)
    expected = by_equations(network.state_dict(), x)
    torch.testing.assert_close(network.double()(x.double()), expected, rtol=1e-12, atol=1e-12)


def test_places_of_another_grid_are_interpolated() -> None:
    """Places that are all alike stay alike, and a ramp stays a ramp in the middle."""
    network = drawn(TransformerShape(width=12, depth=1, heads=3, side=37))
    ramp = torch.arange(37.0)[:, None].expand(37, 37).reshape(1, -1, 1).expand(1, -1, 12)
    network.pos_embed.copy_(torch.cat([torch.full((1, 1, 12), 7.0), ramp], 1))
    places = network._places((16, 16))
    assert torch.equal(places[0, 0], torch.full((12,), 7.0))
    grid = places[0, 1:].reshape(16, 16, 12)
    torch.testing.assert_close(grid, grid[:, :1].expand(16, 16, 12), rtol=1e-5, atol=1e-5)  # vectorised by columns
    steps = grid[2:14, 0, 0].diff()
    # This kernel (a = -0.75) bends a ramp by up to 4 %; with the sides' true ratio, 37 / 16, the mean would be off.
    torch.testing.assert_close(steps, torch.full((11,), 37 / 16.1), rtol=0.05, atol=0)
    assert abs(float(steps.mean()) - 37 / 16.1) < 0.5 * (37 / 16 - 37 / 16.1)


def test_the_extractor_takes_tensors_and_fetches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch_fidelity")
    network = drawn()
    path = tmp_path / "dinov2.pth"
    torch.save(network.state_dict(), path)
    with pytest.raises(CorruptFileError, match="cls_token is 1x1x12, not 1x1x1024"):
        DinoV2(ExtractorOptions(weights=path))

    def fetched(*_: object, **__: object) -> None:
        raise AssertionError("code was fetched")

    monkeypatch.setattr(torch.hub, "load", fetched)
    monkeypatch.setattr(DinoV2, "shapes", {})
    monkeypatch.setattr(fidelity_extractors, "TransformerShape", lambda: SMALL)
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    rows = DinoV2(ExtractorOptions(weights=path))(images).rows
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (images.float() / 255 - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    torch.testing.assert_close(rows, network(x), rtol=1e-4, atol=1e-4)
    torch.save({**network.state_dict(), "norm.weight": torch.ones(13)}, path)
    with pytest.raises(CorruptFileError, match="does not fit"):
        DinoV2(ExtractorOptions(weights=path))
