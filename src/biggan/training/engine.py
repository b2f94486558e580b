"""Precision, accumulation, gradient synchronisation and the guard against non-finite numbers, in one place.

Networks are never wrapped. Each phase sums its weighted gradients over micro-batches and ranks, so that the result is
the gradient of the mean over the global batch whatever it was divided into.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from biggan.foundation import distributed
from biggan.foundation.compiling import Compiler
from biggan.foundation.errors import UserError
from biggan.layers.gathered_statistics import gathered_statistics
from biggan.layers.held_weights import held_weights
from biggan.layers.normalization import RUNNING_STATISTICS, batch_norms
from biggan.layers.shared_norm import SharedBatchNorm
from biggan.losses.terms import Term, acting, on_stage
from biggan.training.freezing import Frozen, freeze
from biggan.training.generated import WholeShareOnly
from biggan.training.gradients import FlatGradients
from biggan.training.guard import FiniteGuard
from biggan.training.noise_scale import NoiseScale
from biggan.training.optimizers import scale_rates, set_beta2
from biggan.training.repetition import Repetition
from biggan.training.state import TrainState
from biggan.training.update import Update

Result = TypeVar("Result")


@dataclass
class Engine:
    """How updates are carried out on this machine."""

    device: torch.device
    accumulation: Mapping[str, int] | Callable[[int], Mapping[str, int]] = field(default_factory=dict)
    """Micro-batches for each update, by network; as many as the discriminator's where absent. Where batches change, a
    function of the clock at which the iteration begins."""
    terms: Mapping[str, Term] = field(default_factory=dict)
    """What is added to losses, and acts on gradients, by name."""
    narrow: torch.dtype | None = None
    """Autocast to this type."""
    frozen: Mapping[str, Sequence[Frozen]] = field(default_factory=dict)
    """Parameters, by network, that do not train, or not yet."""
    spectral_norm: Literal["phase", "forward"] = "forward"
    """Iterate and divide once an update, or in every forward."""
    statistics: Literal["exact", "phase", "forward"] = "forward"
    """Move running statistics once an update, or in every forward; exact: once, by moments of the whole batch."""
    discriminator_steps: int = 1
    """Updates of D in each iteration."""
    alone: bool = False
    """Sum nothing over ranks: for updates that this process makes for itself."""
    compiler: Compiler | None = None
    """Compiles the networks' calls; None runs them as they are written."""
    rates: Mapping[str, Callable[[int], float]] = field(default_factory=dict)
    """Factor of the learning rates in the iteration that begins at a clock, by network; 1 where absent."""
    betas: Mapping[str, Callable[[int], float]] = field(default_factory=dict)
    """Second beta of Adam in the iteration that begins at a clock, by network; as it is where absent."""

    repetition: Repetition | None = None
    """Keeps what is needed to make an update again that ran out of memory; None where nobody would."""

    def __post_init__(self) -> None:
        self.guard = FiniteGuard(self.device)
        self.gradient_norms: dict[str, Tensor] = {}
        self.noise_scales: dict[str, NoiseScale] = {}
        self._gradients: dict[str, FlatGradients] = {}
        self._calls: dict[Callable[..., Any], Callable[..., Any]] = {}
        self._updates: dict[str, tuple[int, int]] = {}
        self.learning_rates: dict[str, float] = {}
        """Of the latest updates, by network, where they change."""

    def call(self, network: Callable[..., Result]) -> Callable[..., Result]:
        """Return ``network``, or a method of one, as a function that runs in the engine's precision.

        It is compiled if that is asked for, and the same function every time. Where moments are those of the whole
        batch, a network that has some is called through :meth:`Update.generated` alone.
        """
        if network not in self._calls:
            function: Callable[..., Any] = network if self.compiler is None else self.compiler(network)
            function = function if self.narrow is None else self._narrowed(function)
            whole = self.statistics == "exact" and isinstance(network, nn.Module) and batch_norms(network)
            self._calls[network] = WholeShareOnly(function) if whole else function
        return self._calls[network]

    def _narrowed(self, function: Callable[..., Result]) -> Callable[..., Result]:
        def narrowed(*inputs: Tensor) -> Result:
            with torch.autocast(self.device.type, dtype=self.narrow):
                return function(*inputs)

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
        gradients = self._cleared(name, state.networks[name])
        parts = self._parts(name, state.images_seen)
        with contextlib.ExitStack() as phase:
            if self.repetition is not None:
                phase.enter_context(self.repetition.update(state))
            moments, pull_back = None, None
            if self.statistics != "forward":
                moments = phase.enter_context(gathered_statistics(state.networks.values()))
            with contextlib.ExitStack() as held:
                if self.spectral_norm == "phase":
                    pull_back = held.enter_context(held_weights(state.networks.values(), self.narrow))

                def length_so_far() -> Tensor:
                    if pull_back is not None:
                        pull_back()
                    return gradients.norms().square().sum()

                scale = state.scales.get(name)
                nth = self._nth(name, state.iterations)
                steps = max(nth + 1, self.discriminator_steps if name == "discriminator" else 1)
                update = Update(
                    parts=parts,
                    device=self.device,
                    length_so_far=length_so_far if self._has_groups(state.networks[name]) else None,
                    scale=None if scale is None else scale[0].clone(),
                    into_generator=name == "generator",
                    acting=acting(self.terms, name, state.images_seen, state.iterations * steps + nth),
                    clock=state.images_seen + nth,
                )
                yield update
                _check_staged(name, update)
                update.finish()
            if self.repetition is None or self.repetition.takes_effect():
                self._finish(state, name, update, gradients, moments)

    def divide_anew(self, accumulation: Callable[[int], Mapping[str, int]]) -> None:
        """Cut batches into other micro-batches from here on, and forget what was compiled for the size that they had.

        An iteration that is being made is made again.
        """
        self.accumulation = accumulation
        self._updates.clear()
        if self.compiler is not None:
            self._calls.clear()
            torch.compiler.reset()

    def _has_groups(self, network: nn.Module) -> bool:
        """Tell whether a micro-batch has a gradient of its own: not where images of others are in its moments."""
        shared = any(isinstance(norm, SharedBatchNorm) for norm in batch_norms(network).values())
        return self.statistics != "exact" and not shared

    def _nth(self, name: str, iteration: int) -> int:
        """Return how many updates of a network came before this one in its iteration."""
        before, count = self._updates.get(name, (iteration, 0))
        nth = count if before == iteration else 0
        self._updates[name] = iteration, nth + 1
        return nth

    def _parts(self, name: str, clock: int) -> int:
        of = self.accumulation(clock) if callable(self.accumulation) else self.accumulation
        return of.get(name, of.get("discriminator", 1))

    def _cleared(self, name: str, network: nn.Module) -> FlatGradients:
        """Return the gradients of a network, all zero."""
        found = self._gradients.get(name)
        if found is None or not found.belongs_to(network):
            found = self._gradients[name] = FlatGradients(network)
        found.clear()
        return found

    def _finish(
        self, state: TrainState, name: str, update: Update, gradients: FlatGradients, moments: list[Tensor] | None
    ) -> None:
        network, optimizer = state.networks[name], state.optimizers[name]
        loss = update.loss if update.loss is not None else torch.zeros((), device=self.device)
        gradients.collect()
        first = update.first if update.first is not None else torch.zeros(3, device=self.device, dtype=loss.dtype)
        seen = torch.full((), float(update.samples), device=self.device)
        riders = [loss, first, *update.sums.values(), *([seen] if update.sums else [])]
        self._synchronize(state, gradients, riders, update, moments)
        scale = state.scales.get(name)
        if scale is not None:
            gradients.divide(scale[0])
        norms = gradients.norms()
        if update.first is not None and update.total is not None:
            if name not in self.noise_scales:
                self.noise_scales[name] = NoiseScale(self.device)
            self.noise_scales[name].add(first, norms.square().sum(), update.total)
        for each in update.acting:
            if each.term.gradients(network, loss, each.weight):
                norms = gradients.norms()
        named = [key for key, p in network.named_parameters() if p.grad is not None]
        self.gradient_norms[name] = torch.linalg.vector_norm(norms)
        skip = self.guard.observe(name, named, norms, loss, state.iterations + 1, scale)
        for each in update.acting:
            stops = each.term.stops(loss, each.weight)
            skip = skip if stops is None else torch.maximum(skip, stops.to(skip.dtype))
        if name in self.rates:
            self.learning_rates[name] = scale_rates(optimizer, self.rates[name](state.images_seen))
        if name in self.betas:
            set_beta2(optimizer, self.betas[name](state.images_seen))
        optimizer.found_inf = skip  # type: ignore[attr-defined]  # fused Adam leaves everything alone where it is 1
        optimizer.step()
        for each in update.acting:
            each.term.after(update.sums, seen, 1 - skip)

    def _synchronize(
        self,
        state: TrainState,
        gradients: FlatGradients,
        numbers: list[Tensor],
        update: Update,
        moments: list[Tensor] | None,
    ) -> None:
        """Sum gradients and ``numbers`` over ranks, and with them what running statistics move by, in one message.

        Statistics that moved by local moments already are averaged by images seen.
        """
        if distributed.world_size() == 1 or self.alone:
            return
        if moments is not None:
            gradients.sum_over_ranks([*numbers, *moments])
            return
        statistics = [
            buffer
            for network in state.networks.values()
            for key, buffer in network.named_buffers()
            if key.rpartition(".")[2] in RUNNING_STATISTICS
        ]
        # A step that counted no images moves statistics all the same: then ranks weigh alike.
        weight = torch.full((), float(update.samples or 1), device=self.device)
        with torch.no_grad():
            for buffer in statistics:
                buffer.mul_(weight)
            gradients.sum_over_ranks([*numbers, *statistics, weight])
            for buffer in statistics:
                buffer.div_(weight)


def _check_staged(name: str, update: Update) -> None:
    """Check that terms saw the images of an update, which a step of one's own may forget.

    Raises:
        UserError: there are terms that look at images, and they saw none.
    """
    unseen = [] if update.staged else [name for name, term, _ in update.acting if on_stage(term)]
    if unseen:
        raise UserError(
            f"--terms {' '.join(unseen)}: the step of your own updates the {name} without putting its images on stage; "
            "use scenes of objective.stage(...), as biggan.training.step does, or leave the terms out"
        )
