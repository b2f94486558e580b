"""What is read into a network from a file of weights."""

from __future__ import annotations

import torch

from biggan.models.contract import build
from biggan.models.snapshot import load_exactly
from tests.conftest import tiny


def test_where_a_file_had_its_tensors_changes_no_bit() -> None:
    """Mapped files have them at odd addresses, and some kernels add in another order there: weights are copied."""
    network = build(tiny("biggan")).discriminator
    expected = {name: value.clone() for name, value in network.state_dict().items()}
    odd = {}
    for name, value in expected.items():
        room = torch.empty(value.numel() + 1, dtype=value.dtype)
        odd[name] = room[1:].view(value.shape).copy_(value)
    load_exactly(network, odd, "here")
    for name, value in network.state_dict().items():
        assert torch.equal(value, expected[name])
        assert value.data_ptr() != odd[name].data_ptr()
        assert value.data_ptr() % 16 == 0
