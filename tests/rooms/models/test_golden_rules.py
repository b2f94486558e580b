"""What published models have taught, for every architecture: what is normalised, what is shared, how it begins."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from biggan.layers.normalization import BatchNorm, ConditionalNorm
from biggan.layers.spectral_norm import spectrally_normalized
from biggan.models.architecture import architecture
from biggan.models.contract import build, build_generator, build_on_meta, count_parameters
from tests.conftest import FAMILIES, tiny


@pytest.mark.parametrize("family", FAMILIES)
def test_which_modules_are_spectrally_normalised(family: str) -> None:
    """All convolutions and linear layers of G but SNGAN's; its embeddings never (SAGAN's tables are); all of D.

    Nothing of R3GAN.
    """
    a = tiny(family, generator_attention=("16",), discriminator_attention=("8",))
    networks = build_on_meta(a)
    in_g, in_d = family not in ("sngan", "r3gan"), family != "r3gan"
    for network, expected in ((networks.generator, in_g), (networks.discriminator, in_d)):
        normalized = spectrally_normalized(network)
        for name, module in network.named_modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                assert (name in normalized) == expected, name
    tables = {n for n, m in networks.generator.named_modules() if isinstance(m, torch.nn.Embedding)}
    normalized_tables = tables & spectrally_normalized(networks.generator).keys()
    if family == "sagan":
        assert normalized_tables == tables
    else:
        assert not normalized_tables
    assert ("head.class_embedding" in spectrally_normalized(networks.discriminator)) == in_d


def test_the_shared_embedding_is_never_normalised() -> None:
    generator = build_on_meta(tiny("biggan")).generator
    assert generator.class_embedding is not None
    assert "class_embedding" not in spectrally_normalized(generator)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "r3gan"])
def test_gain_is_one_at_zero_embedding(family: str) -> None:
    """With condition zero every conditional norm is its plain norm: what one missing `1 +` would break."""
    generator = build(tiny(family)).generator
    norms = [m for m in generator.modules() if isinstance(m, ConditionalNorm)]
    assert norms
    for norm in norms:
        weight = norm.gain.weight
        channels = weight.shape[0] if family.startswith("biggan") else weight.shape[1]
        x = torch.randn(2, channels, 4, 4)
        if not family.startswith("biggan"):
            torch.nn.init.zeros_(norm.gain.weight), torch.nn.init.zeros_(norm.bias.weight)
            condition = torch.zeros(2, len(weight))
        else:
            condition = torch.zeros(2, weight.shape[1])
        norm.gain.eval(), norm.bias.eval()
        if family == "sagan":
            continue  # 0 / sigma(0) is undefined; its gain is 1 + table like the others'
        assert torch.equal(norm(x, condition), norm.norm(x))


@pytest.mark.parametrize("family", FAMILIES)
def test_d_sees_negative_pixels(family: str) -> None:
    """The first operation on the image must not be a relu (a public implementation of BigGAN-deep had one)."""
    discriminator = build(tiny(family, channels=3), seed=3).discriminator.eval()
    x = -torch.rand(2, 3, 16, 16) - 0.1
    labels = torch.tensor([0, 1])
    assert not torch.allclose(discriminator(x, labels), discriminator(x * 0.5, labels))


def test_the_output_norm_follows_unless_told_otherwise() -> None:
    def eps(**values: Any) -> float:
        norm = build_on_meta(tiny("biggan", norm_eps=1e-4, **values)).generator.output_norm.norm
        assert isinstance(norm, BatchNorm)
        return norm.eps

    assert eps() == 1e-4
    assert eps(compatibility=("output-norm-eps-1e-5",)) == 1e-5
    assert eps(normalization="instance", compatibility=("output-norm-always-batch",)) == 1e-4


def test_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(5)
    one = build(tiny("biggan"), seed=2).generator.state_dict()
    torch.manual_seed(6)
    two = build(tiny("biggan"), seed=2).generator.state_dict()
    other = build(tiny("biggan"), seed=3).generator.state_dict()
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert not torch.equal(one["linear.weight"], other["linear.weight"])


def test_building_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build(tiny("biggan"))
    assert torch.equal(torch.rand(3), expected)


def test_channel_order_is_a_view_of_the_same_network() -> None:
    rgb = build(tiny("biggan", channels=3), seed=1)
    bgr = build(tiny("biggan", channels=3, channel_order="bgr"), seed=1)
    z, y = torch.randn(2, rgb.generator.architecture.z_size), torch.tensor([0, 1])
    one, other = rgb.generator.eval()(z, y), bgr.generator.eval()(z, y)
    assert torch.equal(one, other.flip(1))
    assert torch.allclose(rgb.discriminator.eval()(one, y), bgr.discriminator.eval()(other, y), atol=1e-6)


def test_inplace_activation_changes_d_and_only_d() -> None:
    a = tiny("biggan", resolution=(64, 64))
    plain, inplace = build(a, seed=1), build(dataclasses.replace(a, inplace_activation=True), seed=1)
    z, y = torch.randn(2, a.z_size), torch.tensor([0, 1])
    x = plain.generator.eval()(z, y)
    assert torch.equal(x, inplace.generator.eval()(z, y))
    assert not torch.allclose(plain.discriminator.eval()(x, y), inplace.discriminator.eval()(x, y))


def test_counts() -> None:
    assert count_parameters(build_on_meta(architecture("biggan")).generator) == 70_433_988
    with torch.device("meta"):
        assert build_generator(architecture("biggan")).architecture.family == "biggan"
