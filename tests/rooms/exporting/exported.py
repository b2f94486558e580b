"""Exports that tests write: small networks whose every part does something."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from biggan.layers.normalization import batch_norms
from biggan.layers.spectral_norm import spectrally_normalized
from biggan.models.architecture import Architecture
from biggan.models.continuation import Continuation
from biggan.models.contract import Networks, build
from biggan.models.export_file import Export
from biggan.models.snapshot import SnapshotInfo
from tests.conftest import tiny


def small(family: str, **values: Any) -> Architecture:
    """Return a small colour architecture with attention, not square."""
    usual: dict[str, Any] = {
        "resolution": (32, 16),
        "channels": 3,
        "generator_attention": ("stage:1",),
        "discriminator_attention": ("stage:0",),
    }
    return tiny(family, **{**usual, **values})


@torch.no_grad()
def lively(model: Architecture, seed: int = 0) -> Networks:
    """Return networks of ``model`` in evaluation mode, in which no part is the identity and no statistics initial."""
    networks = build(model, seed)
    generator = torch.Generator().manual_seed(seed)
    for network in networks:
        for name, parameter in network.named_parameters():
            if name.endswith(("gamma", "bias")):
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
        for norm in batch_norms(network).values():
            norm.running_mean.copy_(torch.randn(norm.running_mean.shape, generator=generator) * 0.1)
            norm.running_var.copy_(torch.rand(norm.running_var.shape, generator=generator) + 0.5)
        for layer in spectrally_normalized(network).values():
            if layer.v is not None:
                layer.v.copy_(nn.functional.normalize(layer.u @ layer.weight.flatten(1), dim=1))
        network.eval()
    return networks


def export_of(model: Architecture, *, discriminator: bool = True, names: tuple[str, ...] = ()) -> Export:
    """Return the networks of ``model`` as they are read from a run, without moments."""
    networks = lively(model)
    info = SnapshotInfo(
        architecture=model.resolved(),
        class_names=names,
        weights="generator",
        images_seen=640,
        iterations=10,
        continuation=Continuation(discriminator=True) if discriminator else None,
    )
    return Export(
        info=info,
        sampled=networks.generator.state_dict(),
        discriminator=networks.discriminator.state_dict() if discriminator else None,
    )
