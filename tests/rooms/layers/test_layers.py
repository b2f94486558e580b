"""Spectral norm, attention, normalisation, blocks: against independent arithmetic."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from biggan.layers import resizing
from biggan.layers.attention import SelfAttention
from biggan.layers.heads import ProjectionHead
from biggan.layers.initialization import INITIALIZATIONS, initialize
from biggan.layers.normalization import (
    AffineNorm,
    BatchNorm,
    BiasedBatchNorm,
    ConditionalNorm,
    GroupNorm,
    InstanceNorm,
    NormOptions,
)
from biggan.layers.resizing import downsample, upsample
from biggan.layers.shared_norm import SharedBatchNorm
from biggan.layers.spectral_norm import (
    ClassTable,
    LayerFactory,
    PowerIteration,
    SpectralConv2d,
    SpectralLinear,
    singular_values,
)

PLAIN = LayerFactory(None)
SPECTRAL = LayerFactory(PowerIteration())


def converge(layer: nn.Module, *inputs: torch.Tensor, times: int = 200) -> None:
    layer.train()
    with torch.no_grad():
        for _ in range(times):
            layer(*inputs)


# -- spectral norm -----------------------------------------------------------------------------------------------------


def test_power_iteration_finds_the_singular_values() -> None:
    torch.manual_seed(0)
    layer = SpectralConv2d(6, 9, 3, PowerIteration(singular_values=3)).double()
    converge(layer, torch.randn(1, 6, 4, 4, dtype=torch.float64), times=3000)
    exact = torch.linalg.svdvals(layer.weight.flatten(1))[:3]
    assert torch.allclose(singular_values(nn.Sequential(layer))["0"], exact, rtol=1e-6)
    normalized = torch.linalg.svdvals(layer.normalized_weight().flatten(1))
    assert abs(float(normalized[0].detach()) - 1) < 1e-6


def test_more_iterations_converge_faster() -> None:
    errors = []
    for iterations in (1, 8):
        torch.manual_seed(0)
        layer = SpectralLinear(20, 30, PowerIteration(iterations=iterations))
        converge(layer, torch.zeros(1, 20), times=2)
        errors.append(abs(float((layer.sigma[0] - torch.linalg.svdvals(layer.weight)[0]).detach())))
    assert errors[1] < errors[0]


def test_vectors_move_in_training_only_and_sigma_is_the_same_function_in_both_modes() -> None:
    torch.manual_seed(0)
    layer = SpectralLinear(5, 7, PowerIteration())
    x = torch.randn(3, 5)
    before = layer.u.clone()
    evaluated = layer.eval()(x)
    assert torch.equal(layer.u, before)
    trained = layer.train()(x)
    assert not torch.equal(layer.u, before)
    assert torch.allclose(trained, evaluated, atol=1e-6)


def test_gradient_flows_through_sigma_with_constant_vectors() -> None:
    """The analytic gradient (Miyato et al. 2018, equation 12): (G - <G, W / sigma> u^T v) / sigma."""
    torch.manual_seed(0)
    layer = SpectralLinear(5, 7, PowerIteration(), bias=False).double()
    W, u_before = layer.weight.detach().clone(), layer.u.clone()
    v = F.normalize(u_before @ W)
    u = F.normalize(v @ W.T)
    sigma = (v @ W.T @ u.T).squeeze()
    G = torch.randn_like(W)
    (layer.normalized_weight() * G).sum().backward()
    assert torch.allclose(layer.weight.grad, (G - (G * W / sigma).sum() * u.T @ v) / sigma, rtol=1e-10)
    assert torch.allclose(layer.u, u)


def test_eps_bounds_what_is_divided_by() -> None:
    layer = SpectralLinear(4, 4, PowerIteration(eps=1e-2), bias=False)
    nn.init.zeros_(layer.weight)
    assert not torch.isfinite(layer.normalized_weight()).any()  # sigma is 0: no eps helps, as in the reference
    assert torch.isfinite(layer.u).all()


def test_several_vectors_stay_orthonormal() -> None:
    torch.manual_seed(0)
    layer = SpectralLinear(12, 10, PowerIteration(singular_values=4))
    converge(layer, torch.zeros(1, 12), times=5)
    assert torch.allclose(layer.u @ layer.u.T, torch.eye(4), atol=1e-5)


def test_class_tables_mix() -> None:
    for table in (PLAIN.class_table(5, 3), SPECTRAL.class_table(5, 3)):
        table.eval()
        labels = torch.tensor([4, 0, 2])
        assert torch.equal(table(labels), table(F.one_hot(labels, 5).float()))
        half = table(torch.tensor([[0.5, 0.5, 0, 0, 0]]))
        assert torch.allclose(half, table(torch.tensor([0, 1])).mean(dim=0, keepdim=True))
    assert isinstance(table, ClassTable)


# -- attention ---------------------------------------------------------------------------------------------------------


def naive_attention(layer: SelfAttention, x: torch.Tensor) -> torch.Tensor:
    """Spell out SAGAN's attention position by position."""
    n, _, h, w = x.shape
    theta, phi, g = layer.theta(x), F.max_pool2d(layer.phi(x), 2), F.max_pool2d(layer.g(x), 2)
    out = torch.zeros(n, g.shape[1], h, w, dtype=x.dtype)
    for i in range(n):
        keys, values = phi[i].flatten(1), g[i].flatten(1)
        for row in range(h):
            for column in range(w):
                weights = torch.softmax(theta[i, :, row, column] @ keys, dim=0)
                out[i, :, row, column] = values @ weights
    return x + layer.gamma * layer.o(out)


@pytest.mark.parametrize("size", [(4, 4), (6, 3), (5, 5)])
def test_attention(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = SelfAttention(16, PLAIN).double()
    x = torch.randn(2, 16, *size, dtype=torch.float64)
    assert torch.equal(layer(x), x), "a new layer is the identity"
    nn.init.constant_(layer.gamma, 0.7)
    assert torch.allclose(layer(x), naive_attention(layer, x), atol=1e-12)


# -- sizes -------------------------------------------------------------------------------------------------------------


SIZES = [(6, 8), (5, 8), (2, 3), (2, 2)]
DTYPES = [torch.float64, torch.float32, torch.bfloat16]
RESIZINGS = [
    (downsample, lambda x: F.avg_pool2d(x, 2)),
    (upsample, lambda x: F.interpolate(x, scale_factor=2)),
]


@pytest.mark.parametrize(("ours", "theirs"), RESIZINGS, ids=["downsample", "upsample"])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_resizing_is_pytorchs_to_the_bit(
    size: tuple[int, int], dtype: torch.dtype, layout: torch.memory_format, ours: Any, theirs: Any
) -> None:
    x = torch.randn(3, 8, *size, dtype=dtype).to(memory_format=layout).requires_grad_()
    found = []
    for resize in (ours, theirs):
        y = resize(x)
        (gradient,) = torch.autograd.grad(y, x, y.detach().square() + 1)
        found.append((y.detach(), gradient))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
        if size != (2, 2):  # what a single pixel lies like is nothing to go by
            assert one.stride() == other.stride()


@pytest.mark.parametrize(("ours", "theirs"), RESIZINGS, ids=["downsample", "upsample"])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_resizing_by_views_as_on_a_gpu(
    size: tuple[int, int], dtype: torch.dtype, layout: torch.memory_format, ours: Any, theirs: Any
) -> None:
    """To the bit, but for sums in float32 and 64, whose order may be another; with the gradients of a compiler."""
    views = {downsample: resizing._averaged, upsample: resizing._repeated}[ours]
    size = size if ours is upsample else tuple(2 * (side // 2) for side in size)
    x = torch.randn(3, 8, *size, dtype=dtype).to(memory_format=layout).requires_grad_()
    y, expected = views(x), theirs(x)
    assert y.is_contiguous(memory_format=layout), "nothing has to be copied for the next convolution"
    tolerance = {torch.float64: 1e-14, torch.float32: 1e-5, torch.bfloat16: 0.0}[dtype]
    torch.testing.assert_close(y, expected, rtol=0, atol=tolerance)
    weights = expected.detach().square() + 1
    gradients = [torch.autograd.grad(z, x, weights)[0] for z in (y, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=4 * tolerance)


@pytest.mark.parametrize("resize", [downsample, upsample])
def test_resizing_can_be_differentiated_twice(resize: Any) -> None:
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resize(x).square(), x)
    assert torch.autograd.gradgradcheck(lambda x: resize(x).square(), x)


def test_resizing_keeps_the_precision_of_what_it_resizes() -> None:
    x = torch.randn(2, 3, 4, 6, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert upsample(x).dtype == downsample(x).dtype == torch.bfloat16


# -- normalisation -----------------------------------------------------------------------------------------------------


def test_batch_norm_is_pytorchs() -> None:
    torch.manual_seed(0)
    ours, theirs = BatchNorm(6, 1e-4, 0.1), nn.BatchNorm2d(6, eps=1e-4, affine=False)
    for _ in range(3):
        x = torch.randn(4, 6, 5, 5) * 3 + 1
        assert torch.allclose(ours(x), theirs(x))
    assert torch.allclose(ours.running_var, theirs.running_var)
    ours.eval(), theirs.eval()
    assert torch.allclose(ours(x), theirs(x))


def test_the_biased_norm_stores_the_variance_it_divides_by() -> None:
    torch.manual_seed(0)
    norm, x = BiasedBatchNorm(3, 1e-12, 1.0), torch.randn(2, 3, 2, 2)  # some versions of PyTorch refuse an eps of 0
    out = norm(x)
    assert torch.allclose(norm.running_var, x.var(dim=(0, 2, 3), correction=0), atol=1e-6)
    assert torch.allclose(out, norm.eval()(x), atol=1e-5)


@pytest.mark.parametrize("kind", ["batch", "instance", "group", "layer", "none"])
def test_every_normalisation(kind: str) -> None:
    torch.manual_seed(0)
    norm = NormOptions(kind=kind).make(8)
    x = torch.randn(4, 8, 6, 6) * 5 + 2
    out = norm(x)
    assert out.shape == x.shape
    dims = {"batch": (0, 2, 3), "instance": (2, 3), "layer": (1, 2, 3)}.get(kind)
    if dims:
        assert torch.allclose(out.mean(dim=dims), torch.zeros(()), atol=1e-5)
        assert torch.allclose(out.std(dim=dims, correction=0), torch.ones(()), atol=1e-4)
    if kind != "batch":  # only batch norm lets images see each other
        assert torch.allclose(norm(x[:1]), out[:1], atol=1e-5)
    assert norm.double()(x.double()).dtype == torch.float64


def test_group_norm_chooses_legal_groups() -> None:
    for channels in (1, 3, 4, 6, 64, 96, 1536):
        groups = GroupNorm(channels, 1e-5).groups
        assert channels % groups == 0
        assert 1 <= groups <= 32


def test_gain_is_one_at_zero_embedding() -> None:
    for layers in (PLAIN, SPECTRAL):
        norm = ConditionalNorm(InstanceNorm(1e-5), layers.linear(5, 4, bias=False), layers.linear(5, 4, bias=False))
        x = torch.randn(2, 4, 3, 3)
        assert torch.equal(norm(x, torch.zeros(2, 5)), norm.norm(x))


def test_gain_is_one_plus_linear() -> None:
    torch.manual_seed(0)
    gain, bias = PLAIN.class_table(3, 4), PLAIN.class_table(3, 4)
    norm, x, y = ConditionalNorm(nn.Identity(), gain, bias), torch.randn(3, 4, 2, 2), torch.tensor([2, 0, 1])
    expected = x * (1 + gain.weight[y])[:, :, None, None] + bias.weight[y][:, :, None, None]
    assert torch.allclose(norm(x, y), expected, atol=1e-6)
    affine = AffineNorm(nn.Identity(), 4)
    assert torch.equal(affine(x), x)


def test_filters_are_read_as_matrices_without_a_copy() -> None:
    """However they lie; with the channels innermost the columns come in another order."""
    layer = SpectralConv2d(4, 5, 3, PowerIteration())
    usual = layer.matrix(layer.weight)
    for layout in (torch.contiguous_format, torch.channels_last):
        layer.to(memory_format=layout)  # type: ignore[call-overload]
        assert layer.weight.is_contiguous(memory_format=layout)
        matrix = layer.matrix(layer.weight)
        assert matrix.data_ptr() == layer.weight.data_ptr()
        assert matrix.is_contiguous()
        assert torch.equal(layer.unfolded(matrix), layer.weight)
        assert torch.allclose(matrix @ matrix.T, usual @ usual.T, atol=1e-6), "the same u and sigma"


# -- precision ---------------------------------------------------------------------------------------------------------


def test_float64_stays_float64() -> None:
    head = ProjectionHead(4, 3, SPECTRAL).double()
    assert head(torch.randn(2, 4, 3, 3, dtype=torch.float64), torch.tensor([0, 1])).score.dtype == torch.float64
    layer = SpectralConv2d(2, 3, 3, PowerIteration()).double()
    assert layer(torch.randn(1, 2, 4, 4, dtype=torch.float64)).dtype == torch.float64


def test_narrow_inputs_are_raised_where_it_matters() -> None:
    torch.manual_seed(0)
    head, layer = ProjectionHead(4, 3, SPECTRAL), SpectralConv2d(4, 4, 3, PowerIteration())
    x, y = torch.randn(2, 4, 3, 3), torch.tensor([0, 1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert head(x.bfloat16(), y).score.dtype == torch.float32
        assert layer(x).dtype == torch.bfloat16
        assert layer.normalized_weight().dtype == torch.float32
    assert layer.u.dtype == layer.sigma.dtype == torch.float32
    exact = torch.linalg.svdvals(layer.weight.flatten(1))[0]
    converge(layer, x)
    assert abs(float((layer.sigma[0] - exact).detach())) < 1e-4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("kind", ["plain", "biased", "shared"])
def test_moments_of_a_narrow_batch_are_those_of_its_numbers_in_float32(kind: str, dtype: torch.dtype) -> None:
    """As autocast hands them to the normalisations of G: far from 0, where narrow sums would lose the variance."""

    def moved(x: torch.Tensor) -> tuple[torch.Tensor, BatchNorm]:
        norm = (BiasedBatchNorm if kind == "biased" else BatchNorm)(3, 1e-5, 1.0)
        norm = SharedBatchNorm(norm, lambda vector: vector[None], 1) if kind == "shared" else norm
        return norm.train()(x), norm

    x = (10 + torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))).to(dtype)
    (narrow, here), (wide, there) = moved(x), moved(x.float())
    assert narrow.dtype == dtype
    assert torch.allclose(narrow.float(), wide, atol=0.02)
    for name in ("running_mean", "running_var"):
        assert getattr(here, name).dtype == torch.float32
        assert torch.allclose(getattr(here, name), getattr(there, name), rtol=1e-4), name


# -- initialisation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", INITIALIZATIONS)
def test_initialisations(how: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(16, 32, 3), nn.Linear(64, 64), ClassTable(50, 40), SpectralLinear(30, 20, PowerIteration())
    )
    initialize(network, how)
    for layer in network:
        W = layer.weight.detach().flatten(1)
        if how == "orthogonal":
            smaller = W if W.shape[0] <= W.shape[1] else W.T
            assert torch.allclose(smaller @ smaller.T, torch.eye(len(smaller)), atol=1e-5)
        elif how == "normal":
            assert abs(float(W.std()) - 0.02) < 0.003
        else:
            fan = sum(nn.init._calculate_fan_in_and_fan_out(layer.weight))
            assert float(W.abs().max()) <= math.sqrt(6 / fan)
            assert abs(float(W.std()) - math.sqrt(2 / fan)) < 0.15 * math.sqrt(2 / fan)
