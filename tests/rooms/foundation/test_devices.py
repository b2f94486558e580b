"""How CUDA computes is decided on purpose, for a process or for a while."""

from __future__ import annotations

import pytest
import torch

from biggan.foundation.devices import Backends


def flags() -> tuple[bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return torch.backends.cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark


@pytest.fixture(autouse=True)
def _restored() -> object:
    before = flags()
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = before


@pytest.mark.parametrize("tf32", [False, True])
@pytest.mark.parametrize("fastest", [False, True])
def test_convolutions_may_be_rounded_and_products_never(tf32: bool, fastest: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = True
    Backends(tf32=tf32, fastest=fastest).set()
    assert flags() == (False, tf32, fastest)
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        assert torch.backends.cuda.matmul.fp32_precision != "tf32", "both spellings can be read"
    with pytest.raises(ZeroDivisionError), Backends(tf32=not tf32, fastest=not fastest).for_a_while():
        assert flags() != (False, not tf32, not fastest) or 1 / 0
    assert flags() == (False, tf32, fastest), "restored after a failure too"
    said = str(Backends(tf32=tf32, fastest=fastest))
    assert (f"in {'TF32' if tf32 else 'float32'}," in said, "benchmark" in said) == (True, fastest)
