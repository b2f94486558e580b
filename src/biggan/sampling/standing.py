"""Standing statistics: batch-norm moments averaged over many batches (Brock et al. 2019, appendix B)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from biggan.layers.normalization import BatchNorm, batch_norms
from biggan.models.contract import Generator


class StandingStatistics:
    """Accumulates the batch moments of every batch norm over forwards in training mode.

    Running statistics are not touched before :meth:`apply`. Spectral-norm vectors move with every forward, as they
    do in training. Work on a copy: a training average must never be changed by sampling.
    """

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self.batches = 0
        self._norms = batch_norms(generator)
        self._sums = {
            name: (torch.zeros_like(norm.running_mean), torch.zeros_like(norm.running_var))
            for name, norm in self._norms.items()
        }

    @torch.no_grad()
    def add(self, z: Tensor, labels: Tensor) -> None:
        """Run one batch: z float [N, z_size], labels int64 [N]."""
        kept = {name: (n.running_mean.clone(), n.running_var.clone()) for name, n in self._norms.items()}
        hooks = [
            norm.register_forward_pre_hook(self._collector(name, norm)) for name, norm in self._norms.items()
        ]
        mode = self.generator.training
        try:
            self.generator.train()
            self.generator(z, labels)
        finally:
            self.generator.train(mode)
            for hook in hooks:
                hook.remove()
            for name, norm in self._norms.items():
                norm.running_mean.copy_(kept[name][0])
                norm.running_var.copy_(kept[name][1])
        self.batches += 1

    def _collector(self, name: str, norm: BatchNorm):  # type: ignore[no-untyped-def]
        def collect(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            for total, moment in zip(self._sums[name], norm.batch_moments(inputs[0]), strict=True):
                total += moment

        return collect

    def sums(self) -> dict[str, Tensor]:
        """Return the sums so far under the names of the running statistics."""
        found = {}
        for name, (mean, variance) in self._sums.items():
            found[f"{name}.running_mean"], found[f"{name}.running_var"] = mean, variance
        return found

    @torch.no_grad()
    def apply(self) -> None:
        """Replace the running statistics by the averages.

        Raises:
            ValueError: no batch has been added.
        """
        if not self.batches:
            raise ValueError("standing statistics need at least one batch")
        for name, norm in self._norms.items():
            mean, variance = self._sums[name]
            norm.running_mean.copy_(mean / self.batches)
            norm.running_var.copy_(variance / self.batches)
