"""Attention is handed to PyTorch in a form that fused kernels take, and stays what it is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from biggan.layers.attention import LARGE, attend, fused_widths

SIZES = [(k, 4 * k) for k in (1, 2, 3, 8, 12, 16, 24, 48, 64)]


@pytest.mark.parametrize(("keys", "values"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cuda_gets_numbers_of_channels_that_its_kernels_take(keys: int, values: int, dtype: torch.dtype) -> None:
    wide_keys, wide_values = fused_widths(keys, values, 4, "cuda", dtype)
    assert wide_keys % 8 == wide_values % 8 == 0
    assert wide_keys >= keys
    assert values <= wide_values < values + 8
    if dtype == torch.bfloat16:
        assert wide_keys == wide_values
    else:
        assert wide_keys < keys + 8, "no more work than the memory-efficient kernel wants"


def test_the_cpu_pays_only_where_the_matrix_is_large() -> None:
    assert fused_widths(3, 12, LARGE - 1, "cpu", torch.float32) == (3, 12)
    assert fused_widths(3, 12, LARGE, "cpu", torch.float32) == (12, 12)


def rows(channels: int, side: int, layout: torch.memory_format) -> Tensor:
    images = torch.randn(1, channels, side, side, dtype=torch.float64).to(memory_format=layout)
    return images.flatten(2).transpose(1, 2).requires_grad_()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("side", [6, 46])
def test_attention_is_the_explicit_softmax_forward_and_backward(side: int, layout: torch.memory_format) -> None:
    """In float64, below and beyond the size from which the kernel is the fused one, which alone is allowed there."""
    torch.manual_seed(0)
    queries, keys, values = rows(3, side, layout), rows(3, side // 2, layout), rows(12, side // 2, layout)
    large = side**2 * (side // 2) ** 2 >= LARGE
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION if large else SDPBackend.MATH):
        ours = attend(queries, keys, values)
    theirs = torch.softmax(queries @ keys.transpose(1, 2), dim=2) @ values
    assert torch.allclose(ours, theirs, atol=1e-12)
    inputs = (queries, keys, values)
    gradients = [torch.autograd.grad(found.square().sum(), inputs) for found in (ours, theirs)]
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-11)
