"""Everything that training changes, under canonical names."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.optim import Adam

from biggan.losses.terms import Term, term_tensors
from biggan.models.contract import Discriminator, Generator
from biggan.training.checkpoint_record import DoublingRecord, Network, WarmUpRecord
from biggan.training.ema import MovingAverage
from biggan.training.health.records import HealthRecord
from biggan.training.loss_scale import new_scale

SCALE = "scale/"
"""How tensors begin that are scales of losses."""
TERM = "term/"
"""How tensors begin that terms of losses remember."""


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
    """Updates of G (of D, while it trains alone), for logs and for comparison with papers."""
    best: list[tuple[str, float, int]] = field(default_factory=list)
    """(name, value, images seen) of the values reported so far by which checkpoints are kept."""
    attempt: int = 0
    """How often the run has gone back from a collapse: part of the seed of every draw."""
    health: list[HealthRecord] = field(default_factory=list)
    """What was found at each look at the health of the networks."""
    resting: tuple[nn.Module, ...] = ()
    """Parts of networks that do not learn: they need no gradients and stay in evaluation mode."""
    scales: dict[str, torch.Tensor] = field(default_factory=dict)
    """Loss scales by network, [3] each, see :mod:`biggan.training.loss_scale`; of float16 only."""
    terms: dict[str, Term] = field(default_factory=dict)
    """What is added to losses, by name; their state is part of this one."""
    pretrained: int = 0
    """Fakes that G has made while it trained alone, before the clock began."""
    warm_up: WarmUpRecord | None = None
    """How far D has come that trains alone before G does; None where it does not."""
    doubling: dict[Network, DoublingRecord] = field(default_factory=dict)
    """How far batches have come that follow the noise scale of their network, by network. Replaced as a whole: a thread
    that reads ahead may look."""

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
        if self.scales:
            self.scales[name] = new_scale(self.scales["generator"].device)

    def train(self) -> None:
        """Put what learns into training mode, and what rests into evaluation mode."""
        self.generator.train()
        self.discriminator.train()
        for part in self.resting:
            part.eval()

    def begin_after_pretraining(self) -> None:
        """Let the average be G, and Adam of G begin anew."""
        self.optimizers["generator"].state.clear()
        if self.average.network is not None:
            self.average.network.load_state_dict(self.generator.state_dict())

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return every tensor of the state by name: what a checkpoint stores and what ranks must agree on."""
        found: dict[str, torch.Tensor] = {}
        for name, network in self.networks.items():
            found.update({f"{name}/{key}": value for key, value in network.state_dict().items()})
            found.update({f"optimizer/{name}/{key}": value for key, value in self._moments(name).items()})
        if self.average.network is not None:
            found.update({f"ema/{key}": value for key, value in self.average.network.state_dict().items()})
        found.update({f"{SCALE}{name}": value for name, value in self.scales.items()})
        found.update({f"{TERM}{name}": value for name, value in term_tensors(self.terms).items()})
        return found

    def _moments(self, name: str) -> dict[str, torch.Tensor]:
        """Return Adam's moments and step counts of one network, by parameter name."""
        optimizer, moments = self.optimizers[name], {}
        for key, parameter in self.networks[name].named_parameters():
            for kind, value in optimizer.state.get(parameter, {}).items():
                moments[f"{key}/{kind}"] = value
        return moments

    def load_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Overwrite the state with what :meth:`tensors` returned. Nothing is changed unless every tensor fits.

        Raises:
            ValueError: a tensor is missing, left over, or of another shape or type; it is named.
        """
        moments = {name: self._moments_in(name, tensors) for name in self.networks}
        modules = dict(self.networks) | ({"ema": self.average.network} if self.average.network is not None else {})
        expected: dict[str, torch.Tensor] = {}
        for name, module in modules.items():
            expected.update({f"{name}/{key}": value for key, value in module.state_dict().items()})
        for name, of_network in moments.items():
            expected.update(_expected_moments(name, self.networks[name], self.optimizers[name], of_network))
        # Of a run in another precision there are no scales, or some that nobody needs.
        scales = {name: tensors.get(f"{SCALE}{name}", value) for name, value in self.scales.items()}
        # A term that was added begins anew, one that was left out is forgotten.
        remembered = {f"{TERM}{name}": value for name, value in term_tensors(self.terms).items()}
        found = {name: tensors.get(name, value) for name, value in remembered.items()}
        given = {name: value for name, value in tensors.items() if not name.startswith((SCALE, TERM))}
        _check(expected | self.scales | remembered, given | scales | found)
        for name, value in found.items():
            remembered[name].copy_(value)
        for name, value in scales.items():
            self.scales[name].copy_(value)
        for name, module in modules.items():
            module.load_state_dict({key: tensors[f"{name}/{key}"] for key in module.state_dict()})
        for name, of_network in moments.items():
            for key, parameter in self.networks[name].named_parameters():
                if key in of_network:
                    self.optimizers[name].state[parameter] = {
                        kind: _lies_as(parameter, tensors[f"optimizer/{name}/{key}/{kind}"])
                        for kind in sorted(of_network[key])
                    }

    def _moments_in(self, name: str, tensors: dict[str, torch.Tensor]) -> dict[str, set[str]]:
        """Return which kinds of moments ``tensors`` holds of each parameter of a network that has any."""
        found: dict[str, set[str]] = {}
        prefix = f"optimizer/{name}/"
        for full in tensors:
            if full.startswith(prefix):
                key, _, kind = full[len(prefix) :].rpartition("/")
                found.setdefault(key, set()).add(kind)
        return found


def _expected_moments(
    name: str, network: nn.Module, optimizer: Adam, found: dict[str, set[str]]
) -> dict[str, torch.Tensor]:
    """Return, on no device, what the moments of those parameters must be like that have any."""
    parameters = dict(network.named_parameters())
    groups = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    expected = {}
    for key in found:
        parameter = parameters.get(key)
        if parameter is None or id(parameter) not in groups:
            continue  # left over, which is found out by its name
        kinds = ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if groups[id(parameter)]["amsgrad"] else [])]
        like = torch.empty(parameter.shape, dtype=parameter.dtype, device="meta")
        expected.update({f"optimizer/{name}/{key}/{kind}": like for kind in kinds})
        expected[f"optimizer/{name}/{key}/step"] = torch.empty((), dtype=torch.float32, device="meta")
    return expected


def _check(expected: dict[str, torch.Tensor], given: dict[str, torch.Tensor]) -> None:
    """Compare names, shapes and types. The fused optimizer walks over raw memory and believes what it is given."""
    missing, extra = sorted(expected.keys() - given.keys()), sorted(given.keys() - expected.keys())
    if missing:
        raise ValueError(f"{len(missing)} tensors are missing, first: {missing[0]}")
    if extra:
        raise ValueError(f"{len(extra)} tensors belong to nothing here, first: {extra[0]}")
    for name, value in expected.items():
        if given[name].shape != value.shape or given[name].dtype != value.dtype:
            raise ValueError(
                f"{name} is {given[name].dtype} {tuple(given[name].shape)}, here {value.dtype} {tuple(value.shape)}"
            )


def _lies_as(parameter: nn.Parameter, value: torch.Tensor) -> torch.Tensor:
    """Return a moment on the device of its parameter and, the fused optimizer wants it so, in its layout in memory."""
    if value.shape == parameter.shape:
        return torch.empty_like(parameter, requires_grad=False).copy_(value)
    return value.to(parameter.device)
