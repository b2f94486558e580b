"""Parameters that are left as they are for a while, or for good.

What is frozen is a function of the configuration and the clock, so that a run that goes on freezes the same. A frozen
parameter has no gradient: Adam passes it by, and its moments and step count stay. Running statistics and singular
vectors of frozen layers still move, as they do in every training forward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from biggan.models.architecture import Architecture
from biggan.models.grown import is_new


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """Some parameters of one network, and until when they stay as they are."""

    names: frozenset[str]
    """As ``named_parameters`` gives them."""
    until: int | None = None
    """Images seen at which they begin to train; None for never."""

    def holds(self, images_seen: int) -> bool:
        """Return whether they are frozen in the iteration that begins at this clock."""
        return self.until is None or images_seen < self.until


def freeze(network: nn.Module, frozen: Sequence[Frozen], images_seen: int) -> None:
    """Take the gradients from what is frozen in the iteration that begins at this clock; the rest keeps its own."""
    names = frozenset[str]().union(*(part.names for part in frozen if part.holds(images_seen)))
    if not names:
        return
    for name, parameter in network.named_parameters():
        if name in names:
            parameter.requires_grad_(False)
            parameter.grad = None


def freeze_old(architecture: Architecture, networks: Mapping[str, nn.Module], until: int) -> dict[str, list[Frozen]]:
    """Return what lets only the new parts of networks that were grown train until a clock."""
    if not until:
        return {}
    return {
        name: [
            Frozen(
                names=frozenset(
                    key for key, _ in networks[name].named_parameters() if not is_new(architecture, name, key)
                ),
                until=until,
            )
        ]
        for name in ("generator", "discriminator")
    }
