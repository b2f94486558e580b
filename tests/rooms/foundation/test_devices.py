"""TF32 is decided on purpose, for a process or for a while."""

from __future__ import annotations

import pytest
import torch

from biggan.foundation.devices import set_tf32, tf32


def flags() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.fixture(autouse=True)
def _restored() -> object:
    before = flags()
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("allowed", [False, True])
def test_products_and_convolutions_are_decided_together(allowed: bool) -> None:
    set_tf32(allowed)
    assert flags() == (allowed, allowed)
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        assert (torch.backends.cuda.matmul.fp32_precision == "tf32") == allowed, "both spellings can be read"
    with pytest.raises(ZeroDivisionError), tf32(not allowed):
        assert flags() != (not allowed, not allowed) or 1 / 0
    assert flags() == (allowed, allowed), "restored after a failure too"
