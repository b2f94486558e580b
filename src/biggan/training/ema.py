"""The exponential moving average of the generator: what is sampled, evaluated and published."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from biggan.foundation.courses import as_course
from biggan.layers.normalization import RUNNING_STATISTICS
from biggan.models.contract import Generator
from biggan.training.configuration import MovingAverageConfig


class MovingAverage:
    """average <- average + (1 - decay) (G - average), after every step.

    Parameters and running statistics are averaged with the same decay. Spectral-norm vectors are unit vectors that
    lose their length when averaged, so they are copied, as are logged singular values and integers.
    """

    def __init__(self, config: MovingAverageConfig, generator: Generator, *, all_buffers: bool = False) -> None:
        self.config = config
        self.all_buffers = all_buffers
        self.network: Generator | None = None
        if config.enabled:
            self.network = copy.deepcopy(generator).eval().requires_grad_(False)

    def decay(self, images_seen: int, images_per_step: int) -> float:
        """Return the decay of the step that brings the clock to ``images_seen``.

        0 (a copy) before ``start``; then ``decay``, or what halves a weight in ``half_life`` images; no more than a
        half-life of ``ramp_up`` times the images since the start (Karras et al. 2020). A half-life that changes is that
        of the clock at which the step began, as rates are.
        """
        since = images_seen - self.config.start
        if since < 0:
            return 0.0
        half_life: float | None = None
        if self.config.half_life is not None:
            half_life = as_course(self.config.half_life).at(max(images_seen - images_per_step, 0))
        if self.config.ramp_up is not None:
            allowed = since * self.config.ramp_up
            if half_life is None:
                return min(self.config.decay, 0.5 ** (images_per_step / max(allowed, 1e-8)))
            half_life = min(half_life, allowed)
        if half_life is None:
            return self.config.decay
        return float(0.5 ** (images_per_step / max(half_life, 1e-8)))

    @torch.no_grad()
    def update(self, generator: Generator, *, images_seen: int, images_per_step: int) -> None:
        """Move towards ``generator``."""
        if self.network is None:
            return
        decay = self.decay(images_seen, images_per_step)
        averaged: tuple[list[Tensor], list[Tensor]] = ([], [])
        copied: tuple[list[Tensor], list[Tensor]] = ([], [])
        source = generator.state_dict(keep_vars=True)
        for name, target in self.network.state_dict(keep_vars=True).items():
            targets, sources = averaged if self._is_averaged(name, target) else copied
            targets.append(target.detach())
            sources.append(source[name].detach())
        torch._foreach_lerp_(averaged[0], averaged[1], 1.0 - decay)
        if copied[0]:
            torch._foreach_copy_(copied[0], copied[1])

    def _is_averaged(self, name: str, target: Tensor) -> bool:
        if not target.is_floating_point():
            return False
        is_parameter = isinstance(target, nn.Parameter)
        return is_parameter or name.rpartition(".")[2] in RUNNING_STATISTICS or self.all_buffers
