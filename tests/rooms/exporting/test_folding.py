"""Weights with spectral norm divided out compute, to the bit, what the layers compute in evaluation."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from biggan.layers.spectral_norm import SpectrallyNormalized, spectrally_normalized, without_spectral_norm
from biggan.models.architecture import SpectralNorm
from tests.conftest import FAMILIES
from tests.rooms.exporting.exported import lively, small

STORED = SpectralNorm(stored_vectors=("*",))
CASES: list[tuple[str, dict[str, Any]]] = [
    *((family, {}) for family in FAMILIES),
    *((family, {"classes": 0}) for family in FAMILIES),
    ("biggan", {"generator_spectral_norm": STORED, "discriminator_spectral_norm": STORED}),
    ("biggan-deep", {"learned_shortcuts": True, "generator_spectral_norm": STORED}),
    ("sagan", {"generator_spectral_norm": STORED, "discriminator_spectral_norm": STORED}),
    ("sagan", {"dense_class_tables": True}),
    ("sngan", {"discriminator_spectral_norm": SpectralNorm(singular_values=2, iterations=2)}),
]


@pytest.mark.parametrize(
    ("family", "values"),
    [*CASES[:4], *(pytest.param(*case, marks=pytest.mark.nightly) for case in CASES[4:8]), *CASES[8:]],
)
def test_folded_networks_compute_the_same_bits(family: str, values: dict[str, Any]) -> None:
    model = small(family, **values)
    networks = lively(model)
    z, labels = torch.randn(3, model.z_size), torch.arange(3) % max(model.classes, 1)
    images = torch.tanh(torch.randn(3, 3, *model.resolution))
    for network, inputs in ((networks.generator, (z, labels)), (networks.discriminator, (images, labels))):
        before = {name: value.clone() for name, value in network.state_dict().items()}
        folded = without_spectral_norm(network)
        assert not spectrally_normalized(folded)
        assert torch.equal(folded(*inputs), network(*inputs))
        assert all(torch.equal(before[name], value) for name, value in network.state_dict().items()), "a copy"


def test_every_normalised_layer_can_be_plain() -> None:
    """Whoever adds a kind of layer says how it is folded."""

    def kinds(kind: type) -> set[type]:
        return {kind}.union(*(kinds(inner) for inner in kind.__subclasses__()))

    own = {kind for kind in kinds(SpectrallyNormalized) if kind.__module__.startswith("biggan.")}
    for kind in own - {SpectrallyNormalized}:
        assert kind.plain is not SpectrallyNormalized.plain, kind
