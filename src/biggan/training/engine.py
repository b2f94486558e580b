"""Precision, accumulation, gradient synchronisation and the guard against non-finite numbers, in one place.

Networks are never wrapped. Each phase sums its weighted gradients over micro-batches and ranks, so that the result is
the gradient of the mean over the global batch whatever it was divided into.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from biggan.foundation import distributed
from biggan.foundation.errors import UserError
from biggan.layers.held_weights import held_weights
from biggan.layers.normalization import RUNNING_STATISTICS
from biggan.training.freezing import Frozen, freeze
from biggan.training.optimizers import scale_rates
from biggan.training.state import TrainState


class NonFiniteError(UserError):
    """A loss or gradient was infinite or not a number; no weight has been changed by it."""


class Regularizer(Protocol):
    """Something that changes the gradients of one network before its update."""

    def add_gradients(self, network: nn.Module) -> None:
        """Add to the gradients of ``network``."""


class Rows(Protocol):
    """Rows of a batch, wherever they lie: a tensor, or images that become one when they are moved."""

    def __len__(self) -> int:
        """Return how many."""

    def split(self, sizes: list[int]) -> Sequence[Rows]:
        """Return consecutive parts of ``sizes``."""

    def to(self, device: torch.device, *, non_blocking: bool) -> Tensor:
        """Return them as a tensor on ``device``."""


def split_evenly(total: int, parts: int) -> list[int]:
    """Return ``parts`` sizes that sum to ``total`` and differ by at most one, larger ones first."""
    size, rest = divmod(total, parts)
    return [size + (i < rest) for i in range(parts)]


class FiniteGuard:
    """Remembers, on the device and without a sync, the first update whose loss or gradients were not finite.

    From then on every optimizer skips its update; :meth:`check` turns the memory into an error.
    """

    def __init__(self, device: torch.device) -> None:
        self.bad = torch.zeros((), device=device)
        self.iteration = torch.full((), -1, dtype=torch.int64, device=device)
        self._norms: dict[tuple[str, int], Tensor] = {}  # by phase and number: what is frozen has no gradient
        self._names: dict[tuple[str, int], list[str]] = {}

    def observe(self, phase: str, names: list[str], norms: Tensor, loss: Tensor, iteration: int) -> Tensor:
        """Note this update; return a float flag, 1 where the optimizer must skip."""
        finite = torch.isfinite(norms).all() & torch.isfinite(loss)
        now_bad = torch.maximum(self.bad, (~finite).to(self.bad.dtype))
        first = now_bad > self.bad
        record = torch.cat([loss.detach().reshape(1).to(norms.dtype), norms])
        kind = (phase, len(names))
        previous = self._norms.get(kind, record)
        self._names[kind] = ["loss", *names]
        # Norms are refreshed until the first bad update, then kept.
        self._norms[kind] = torch.where(self.bad > 0, previous, record)
        self.iteration = torch.where(first, torch.full_like(self.iteration, iteration), self.iteration)
        self.bad = now_bad
        return self.bad

    def check(self) -> None:
        """Raise if an update was skipped. Waits for the device.

        Raises:
            NonFiniteError: naming the step and the first bad tensor.
        """
        if not bool(self.bad.item()):
            return
        for (phase, number), norms in self._norms.items():
            wrong = (~torch.isfinite(norms)).nonzero()
            if len(wrong):
                name = self._names[phase, number][int(wrong[0])]
                what = f"the {phase}'s loss" if name == "loss" else f"the gradient of {phase}.{name}"
                raise NonFiniteError(
                    f"step {int(self.iteration)}: {what} is not finite; the update was skipped, training stops and no "
                    "checkpoint is written. Resume from the last checkpoint with a lower learning rate "
                    f"(--{phase}-adam.learning-rate) or --precision float32."
                )
        raise NonFiniteError(f"step {int(self.iteration)}: a gradient is not finite; training stops")


@dataclass
class Engine:
    """How updates are carried out on this machine."""

    device: torch.device
    accumulation: Mapping[str, int] = field(default_factory=dict)
    """Micro-batches for each update, by network; as many as the discriminator's where absent."""
    regularizers: Mapping[str, Sequence[Regularizer]] = field(default_factory=dict)
    narrow: torch.dtype | None = None
    """Autocast to this type."""
    frozen: Mapping[str, Sequence[Frozen]] = field(default_factory=dict)
    """Parameters, by network, that do not train, or not yet."""
    spectral_norm: Literal["phase", "forward"] = "forward"
    """Iterate and divide once an update, or in every forward."""
    rates: Mapping[str, Callable[[int], float]] = field(default_factory=dict)
    """Factor of the learning rates in the iteration that begins at a clock, by network; 1 where absent."""

    def __post_init__(self) -> None:
        self.guard = FiniteGuard(self.device)
        self.gradient_norms: dict[str, Tensor] = {}
        self.learning_rates: dict[str, float] = {}
        """Of the latest updates, by network, where they change."""

    def call(self, network: nn.Module) -> Callable[..., Tensor]:
        """Return ``network`` as a function that runs in the engine's precision."""
        if self.narrow is None:
            return network

        def narrowed(*inputs: Tensor) -> Tensor:
            with torch.autocast(self.device.type, dtype=self.narrow):
                output: Tensor = network(*inputs)
                return output

        return narrowed

    @contextlib.contextmanager
    def update(self, state: TrainState, name: str) -> Iterator[Update]:
        """Collect gradients of the network ``name``; at the end synchronise, regularise and step its optimizer.

        Only that network requires gradients meanwhile, without what is frozen in it.
        """
        for other, network in state.networks.items():
            network.requires_grad_(other == name)
        freeze(state.networks[name], self.frozen.get(name, ()), state.images_seen)
        for part in state.resting:
            part.requires_grad_(False)
        state.optimizers[name].zero_grad(set_to_none=False)
        parts = self.accumulation.get(name, self.accumulation.get("discriminator", 1))
        update = Update(parts=parts, device=self.device)
        by_phase = self.spectral_norm == "phase"
        with held_weights(state.networks.values(), self.narrow) if by_phase else contextlib.nullcontext():
            yield update
        self._finish(state, name, update)

    def _finish(self, state: TrainState, name: str, update: Update) -> None:
        network, optimizer = state.networks[name], state.optimizers[name]
        named = [(key, p) for key, p in network.named_parameters() if p.grad is not None]
        gradients = [p.grad for _, p in named if p.grad is not None]
        loss = update.loss if update.loss is not None else torch.zeros((), device=self.device)
        self._synchronize(state, gradients, loss, update)
        for regularizer in self.regularizers.get(name, ()):
            regularizer.add_gradients(network)
        norms = torch.stack(torch._foreach_norm(gradients))
        self.gradient_norms[name] = torch.linalg.vector_norm(norms)
        skip = self.guard.observe(name, [key for key, _ in named], norms, loss, state.iterations + 1)
        if name in self.rates:
            self.learning_rates[name] = scale_rates(optimizer, self.rates[name](state.images_seen))
        optimizer.found_inf = skip  # type: ignore[attr-defined]  # fused Adam leaves everything alone where it is 1
        optimizer.step()

    def _synchronize(self, state: TrainState, gradients: list[Tensor], loss: Tensor, update: Update) -> None:
        """Sum gradients over ranks; average the running statistics, which moved by local moments, by images seen."""
        if distributed.world_size() == 1:
            return
        statistics = [
            buffer
            for network in state.networks.values()
            for key, buffer in network.named_buffers()
            if key.rpartition(".")[2] in RUNNING_STATISTICS
        ]
        # A step that counted no images moves statistics all the same: then ranks weigh alike.
        weight = torch.tensor(float(update.samples or 1), device=self.device)
        with torch.no_grad():
            for buffer in statistics:
                buffer.mul_(weight)
            distributed.sum_in_place([*gradients, *statistics, loss, weight])
            for buffer in statistics:
                buffer.div_(weight)


class Update:
    """The gradient of one phase while it is collected.

    :meth:`micro_batches` may be called any number of times, for parts of a batch or for batches of several kinds; the
    gradients of all add up, and what is counted belongs to the update as a whole.
    """

    def __init__(self, parts: int, device: torch.device) -> None:
        self.parts, self.device = parts, device
        self.loss: Tensor | None = None
        self.samples = 0
        """Rows that this rank has seen in this update."""
        self._weight: float | None = None

    def micro_batches(self, tensors: Sequence[Rows], total: int | None = None) -> Iterator[tuple[Tensor, ...]]:
        """Yield the rows of ``tensors`` in micro-batches whose sizes differ by at most one, on the device.

        What lies elsewhere is moved a micro-batch at a time, so that the device never holds a whole batch of images.

        Args:
            tensors: this rank's share of the batch, [B, ...] each.
            total: size of the batch over all ranks; with one rank that of ``tensors`` by default.

        Raises:
            UserError: fewer rows than micro-batches, or no ``total`` where there are several ranks.
        """
        rows = len(tensors[0])
        if total is None and distributed.world_size() > 1:
            raise UserError(
                f"micro_batches of {rows} rows: on {distributed.world_size()} ranks say how many all of them have, for "
                "example micro_batches(batch, inputs.batch)"
            )
        if rows < self.parts:
            raise UserError(f"a rank's share of {rows} images cannot be cut into {self.parts} micro-batches")
        sizes = split_evenly(rows, self.parts)
        for parts in zip(*(tensor.split(sizes) for tensor in tensors), strict=True):
            size = len(parts[0])
            self.samples += size
            self._weight = size / (total or rows)
            yield tuple(part.to(self.device, non_blocking=True) for part in parts)
        self._weight = None

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of ``loss``, a mean over the current micro-batch, weighted by that one's share.

        Raises:
            UserError: there is no current micro-batch.
        """
        if self._weight is None:
            raise UserError(
                "update.backward outside of a loop over update.micro_batches: the loss would have no weight. Shares of "
                "micro-batches sum to one, so what does not depend on images may be added to each one's loss."
            )
        weighted = loss * self._weight
        weighted.backward()  # type: ignore[no-untyped-call]
        detached = weighted.detach()
        self.loss = detached.clone() if self.loss is None else self.loss + detached
