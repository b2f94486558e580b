"""Every architecture, every kind of size: contracts over the registry."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biggan.foundation.errors import UserError
from biggan.layers.normalization import AffineNorm, ConditionalNorm
from biggan.models.architecture import Architecture, SpectralNorm, architecture
from biggan.models.contract import build, build_on_meta
from biggan.models.family import FAMILIES as REGISTERED
from biggan.models.sizes import bottom_grid, nearest_sizes, parse_resolution
from tests.conftest import FAMILIES, tiny

OFF = SpectralNorm(enabled=False)


def test_all_registered_families_are_tested() -> None:
    assert tuple(sorted(REGISTERED)) == tuple(sorted(FAMILIES))


def check(a: Architecture, images: int = 2) -> None:
    """Build, run both ways, and compare every shape and range that the contract promises."""
    networks = build(a, seed=1)
    z = torch.randn(images, a.z_size)
    labels = torch.arange(images) % max(a.classes, 1)
    fakes = networks.generator(z, labels)
    assert fakes.shape == (images, a.channels, *a.resolution)
    if a.family != "r3gan":  # which has no tanh
        assert float(fakes.detach().abs().max()) <= 1
    again = build(a, seed=1).generator
    split = again.synthesize(z, again.embed(labels))
    assert torch.allclose(split, fakes, atol=1e-5), "embedding and synthesis, apart, are the whole"
    scores = networks.discriminator(fakes, labels)
    assert scores.shape == (images, 1)
    scores.sum().backward()
    for network in networks:
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"resolution": (32, 32), "channels": 3},
        {"resolution": (48, 48), "channels": 2},
        {"resolution": (96, 96), "channels": 3},
        {"resolution": (64, 16), "channels": 4},
        {"resolution": (26, 26)},
        {"classes": 0},
        {"classes": 1},
        {"classes": 37, "channels": 5},
        {"generator_spectral_norm": OFF, "discriminator_spectral_norm": OFF},
        {"generator_attention": ("stage:0", "16"), "discriminator_attention": ("8",)},
        {"generator_init": "normal", "discriminator_init": "xavier"},
        {"wide_discriminator": False},
        {"inplace_activation": True},
        {"channels": 3, "channel_order": "bgr"},
    ],
    ids=lambda values: ",".join(f"{k}={v}" for k, v in values.items())[:60] or "plain",
)
def test_every_family(family: str, values: dict[str, Any]) -> None:
    if family == "r3gan" and values.keys() & {"wide_discriminator", "inplace_activation"}:
        with pytest.raises(UserError, match=r"r3gan has nothing that this could change; give "):
            tiny(family, **values).validate()
        return
    check(tiny(family, **values))


@pytest.mark.parametrize("normalization", ["batch", "instance", "group", "layer", "none"])
@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "r3gan"])
def test_every_normalisation_of_g(family: str, normalization: str) -> None:
    check(tiny(family, normalization=normalization))


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("hierarchical", [True, False])
@pytest.mark.parametrize("classes", [0, 10])
def test_deep_at_every_depth(depth: int, hierarchical: bool, classes: int) -> None:
    a = tiny(
        "biggan-deep",
        resolution=(64, 64),
        generator_depth=depth,
        discriminator_depth=depth,
        hierarchical_latent=hierarchical,
        classes=classes,
        generator_attention=("32",),
        discriminator_attention=("16",),
    )
    check(a)
    blocks = [len(stage) for stage in build_on_meta(a).generator.stages]
    assert blocks == [depth, depth, depth + 1, depth]


@pytest.mark.parametrize("hierarchical", [True, False])
@pytest.mark.parametrize("shared", [0, 6])
@pytest.mark.parametrize("classes", [0, 3])
def test_every_way_of_conditioning(hierarchical: bool, shared: int, classes: int) -> None:
    values = {"hierarchical_latent": hierarchical, "shared_embedding": shared, "classes": classes}
    if hierarchical and not shared and classes:
        with pytest.raises(UserError, match="needs a shared class embedding"):
            tiny("biggan", **values).validate()
        return
    a = tiny("biggan", **values)
    check(a)
    generator = build_on_meta(a).generator
    conditional = bool(classes) or hierarchical
    kind = ConditionalNorm if conditional else AffineNorm
    assert isinstance(generator.stages[0][0].norm1, kind)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("side", [16, 32, 64, 128, 256, 512, 1024])
def test_all_square_powers_of_two(family: str, side: int) -> None:
    networks = build_on_meta(tiny(family, resolution=(side, side)))
    z = torch.empty(2, networks.generator.architecture.z_size, device="meta")
    labels = torch.zeros(2, dtype=torch.int64, device="meta")
    fakes = networks.generator(z, labels)
    assert fakes.shape[2:] == (side, side)
    assert networks.discriminator(fakes, labels).shape == (2, 1)


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 16), st.integers(3, 16), st.integers(1, 6), st.sampled_from(FAMILIES))
def test_all_legal_sizes(h0: int, w0: int, k: int, family: str) -> None:
    height, width = h0 << k, w0 << k
    if min(height, width) < 16 or max(height, width) > 1024:
        with pytest.raises(UserError, match="nearest"):
            bottom_grid(height, width)
        return
    networks = build_on_meta(tiny(family, resolution=(height, width), latent_size=24))
    z = torch.empty(1, networks.generator.architecture.z_size, device="meta")
    labels = torch.zeros(1, dtype=torch.int64, device="meta")
    fakes = networks.generator(z, labels)
    assert fakes.shape[2:] == (height, width)
    assert networks.discriminator(fakes, labels).shape == (1, 1)


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((128, 128), (4, 4)),
        ((96, 96), (6, 6)),
        ((256, 64), (16, 4)),
        ((256, 48), (16, 3)),
        ((16, 16), (4, 4)),
        ((26, 26), (13, 13)),
    ],
)
def test_bottom_grids(size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert bottom_grid(*size) == grid


def test_impossible_sizes_name_their_neighbours() -> None:
    assert set(nearest_sizes(100, 100)) == {(96, 96), (104, 104), (88, 88)} | set() or (96, 96) in nearest_sizes(
        100, 100
    )
    with pytest.raises(UserError, match=r"100x100.*nearest: 96x96, 104x104"):
        parse_resolution("100")
    with pytest.raises(UserError, match="nearest: 16x16"):
        parse_resolution("8")
    with pytest.raises(UserError, match="1024x1024"):
        parse_resolution("4000")
    with pytest.raises(UserError, match=r"nearest.*256x64|nearest.*64"):
        parse_resolution("256x66")
    with pytest.raises(UserError, match="write 128"):
        parse_resolution("big")
    assert parse_resolution("256x64") == (256, 64)


def test_attention_by_resolution_and_by_stage() -> None:
    by_size = architecture("biggan").generator_stages()
    assert [s.attention for s in by_size] == [False, False, False, True, False]
    by_stage = architecture("biggan", generator_attention=("stage:3",)).generator_stages()
    assert by_stage == by_size
    several = architecture("biggan", generator_attention=("16", "32", "stage:0")).generator_stages()
    assert [s.attention for s in several] == [True, True, True, False, False]
    tall = architecture(
        "biggan", resolution=(256, 64), generator_attention=("64x16",), discriminator_attention=("128",)
    )
    assert [s.attention for s in tall.generator_stages()] == [False, True, False, False]
    thirty_two = tiny("biggan", resolution=(32, 32), discriminator_attention=("8",))
    assert [s.attention for s in thirty_two.discriminator_stages()] == [False, True, True, True]


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_attention_that_never_occurs_is_an_error(network: str) -> None:
    a = tiny("biggan", **{f"{network}_attention": ("64",)})
    with pytest.raises(UserError, match=rf"--model.{network}-attention 64.*its stages give"):
        a.validate()
    with pytest.raises(UserError, match="stage:9"):
        tiny("biggan", **{f"{network}_attention": ("stage:9",)}).validate()


@pytest.mark.parametrize("family", FAMILIES)
def test_resolved_architectures_build_the_same_network(family: str) -> None:
    a = tiny(
        family, resolution=(64, 64), latent_size=13, generator_attention=("16",), discriminator_attention=("stage:1",)
    )
    r = a.resolved()
    r.validate()
    assert r.bottom == (4, 4)
    assert r.latent_size == a.z_size
    assert r.generator_channels is not None
    for one, other in zip(build_on_meta(a), build_on_meta(r), strict=True):
        shapes = {k: v.shape for k, v in one.state_dict().items()}
        assert shapes == {k: v.shape for k, v in other.state_dict().items()}
    assert r.resolved() == r


def test_a_hierarchical_latent_divides_evenly() -> None:
    a = tiny("biggan", resolution=(64, 64), latent_size=22)
    assert (a.z_size, a.latent_slots) == (20, 5)
    with pytest.raises(UserError, match="5 stages share it"):
        tiny("biggan", resolution=(64, 64), latent_size=4).validate()


def test_unknown_names() -> None:
    with pytest.raises(UserError, match="nearest: latent_size"):
        architecture("biggan", latentsize=3)
    with pytest.raises(UserError, match="unknown architecture 'bigan'; nearest: biggan"):
        architecture("bigan")
    with pytest.raises(UserError, match="neither a shared embedding"):
        architecture("sngan", shared_embedding=8).validate()
    with pytest.raises(UserError, match="channels"):
        architecture("biggan", channels=0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"generator_groups": (1, 2)}, r"generator-groups 1 2: 2 given, but blocks of 3 sizes"),
        (
            {"discriminator_groups": (1, 1, 3)},
            r"discriminator-groups 1 1 3: 3 groups do not divide the 16 channels",
        ),
        ({"generator_spectral_norm": SpectralNorm()}, r"generator-spectral-norm.enabled: not in r3gan"),
        ({"discriminator_spectral_norm": SpectralNorm()}, r"begin with weights of 0"),
        (
            {"normalization": "batch"},
            r"--model.normalization batch: r3gan has nothing .* give none, begin with a preset of r3gan",
        ),
        ({"hierarchical_latent": True}, r"--model.hierarchical-latent true: r3gan has nothing"),
        ({"shared_embedding": 0}, r"shared-embedding 0: by its class embedding alone"),
        ({"discriminator_heads": ("ac", "projection")}, r"discriminator-heads ac projection: r3gan has nothing"),
    ],
)
def test_what_r3gan_does_not_have_is_an_error(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        tiny("r3gan", **values).validate()


def test_groups_are_of_16_channels_unless_given() -> None:
    published = architecture("r3gan", resolution=(256, 256), classes=0).resolved()
    assert published.generator_channels == (768, 768, 768, 768, 384, 192, 96)
    assert published.generator_groups == (96, 96, 96, 96, 48, 24, 12)
    assert published.discriminator_groups == (12, 24, 48, 96, 96, 96, 96)
    given = tiny("r3gan", generator_groups=(4, 2, 1))
    assert [stage[-1].conv2.groups for stage in build_on_meta(given).generator.stages] == [2, 1]
    with pytest.raises(UserError, match=r"biggan has no grouped convolutions; leave them out"):
        tiny("biggan", generator_groups=(1, 1, 1)).validate()
