"""Everything that training changes, under canonical names."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.optim import Adam

from biggan.models.contract import Discriminator, Generator
from biggan.training.ema import MovingAverage


@dataclass(kw_only=True)
class TrainState:
    """The networks, their optimizers, the moving average and the clock.

    A step of one's own may add networks with :meth:`add`; they are broadcast, updated and saved like the two.
    """

    networks: dict[str, nn.Module]
    optimizers: dict[str, Adam]
    average: MovingAverage
    images_seen: int = 0
    """Real images consumed by D, over all D steps and ranks: the one clock."""
    iterations: int = 0
    """Updates of G, for logs and for comparison with papers."""
    best: list[tuple[str, float, int]] = field(default_factory=list)
    """(name, value, images seen) of the values reported so far by which checkpoints are kept."""

    @property
    def generator(self) -> Generator:
        """G."""
        network = self.networks["generator"]
        assert isinstance(network, Generator)
        return network

    @property
    def discriminator(self) -> Discriminator:
        """D."""
        network = self.networks["discriminator"]
        assert isinstance(network, Discriminator)
        return network

    def add(self, name: str, network: nn.Module, optimizer: Adam) -> None:
        """Train ``network`` as well; ``optimizer`` must hold its parameters, in order."""
        if name in self.networks:
            raise ValueError(f"there is a network '{name}' already")
        self.networks[name] = network.to(next(self.generator.parameters()).device)
        self.optimizers[name] = optimizer

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return every tensor of the state by name: what a checkpoint stores and what ranks must agree on."""
        found: dict[str, torch.Tensor] = {}
        for name, network in self.networks.items():
            found.update({f"{name}/{key}": value for key, value in network.state_dict().items()})
            found.update({f"optimizer/{name}/{key}": value for key, value in self._moments(name).items()})
        if self.average.network is not None:
            found.update({f"ema/{key}": value for key, value in self.average.network.state_dict().items()})
        return found

    def _moments(self, name: str) -> dict[str, torch.Tensor]:
        """Return Adam's moments and step counts of one network, by parameter name."""
        optimizer, moments = self.optimizers[name], {}
        for key, parameter in self.networks[name].named_parameters():
            for kind, value in optimizer.state.get(parameter, {}).items():
                moments[f"{key}/{kind}"] = value
        return moments

    def load_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Overwrite the state with what :meth:`tensors` returned.

        Raises:
            KeyError: a tensor is missing.
            ValueError: a tensor is left over or has another shape.
        """
        remaining = dict(tensors)
        for name, network in self.networks.items():
            own = network.state_dict()
            _check_shapes(name, own, {key: remaining[f"{name}/{key}"] for key in own})
            network.load_state_dict({key: remaining.pop(f"{name}/{key}") for key in own})
            self._load_moments(name, remaining)
        if self.average.network is not None:
            own = self.average.network.state_dict()
            self.average.network.load_state_dict({key: remaining.pop(f"ema/{key}") for key in own})
        if remaining:
            raise ValueError(f"{len(remaining)} tensors belong to nothing here, first: {min(remaining)}")

    def _load_moments(self, name: str, remaining: dict[str, torch.Tensor]) -> None:
        optimizer = self.optimizers[name]
        for key, parameter in self.networks[name].named_parameters():
            prefix = f"optimizer/{name}/{key}/"
            moments = {
                other[len(prefix) :]: remaining.pop(other) for other in list(remaining) if other.startswith(prefix)
            }
            if moments:
                # The fused optimizer walks over raw memory: moments must lie there as their parameter does.
                optimizer.state[parameter] = {
                    kind: torch.empty_like(parameter, requires_grad=False).copy_(value)
                    if value.shape == parameter.shape
                    else value.to(parameter.device)
                    for kind, value in moments.items()
                }


def _check_shapes(name: str, own: dict[str, torch.Tensor], given: dict[str, torch.Tensor]) -> None:
    for key, value in own.items():
        if given[key].shape != value.shape:
            raise ValueError(f"{name}/{key} is {tuple(given[key].shape)}, here {tuple(value.shape)}")
