"""What is left as it is: for a while, or for good.

What is frozen is a function of the configuration and the clock, so that a run that goes on freezes the same. A frozen
parameter has no gradient: Adam passes it by, and its moments and step count stay.

Old parts of a grown network wait for the new ones and train again: their running statistics and singular vectors move
on meanwhile. The first stages of D that FreezeD (Mo, Cho and Shin 2020) keeps never train again: they rest whole,
vectors included, in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from biggan.foundation.errors import UserError
from biggan.models.architecture import Architecture
from biggan.models.contract import Discriminator
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


def first_stages(discriminator: Discriminator, count: int) -> tuple[nn.Module, ...]:
    """Return the modules of the first ``count`` stages of D, on the side of the image, and of what comes before them.

    Raises:
        UserError: it has fewer stages.
    """
    stages = discriminator.get_submodule("stages")
    assert isinstance(stages, nn.ModuleList)
    if count > len(stages):
        raise UserError(f"--freeze-d {count}: D has {len(stages)} stages; choose at most that")
    stem = dict(discriminator.named_children()).get("stem")
    before = (stem,) if stem is not None and count else ()
    return (*before, *list(stages)[:count])


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
