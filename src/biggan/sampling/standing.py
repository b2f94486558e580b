"""Standing statistics: batch-norm moments averaged over many batches (Brock et al. 2019, appendix B)."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from biggan.foundation.errors import UserError
from biggan.foundation.outputs import output_file
from biggan.layers.normalization import BatchNorm, batch_norms
from biggan.models.architecture import Architecture
from biggan.models.contract import Generator
from biggan.models.norm_records import StandingStatistics, TruncationKind, check_batches
from biggan.models.snapshot import write_snapshot
from biggan.sampling.latents import check_truncation, latents
from biggan.sampling.sampler import Sampler

BATCH = 64
FIRST_SEED = 2**40
"""Seeds of the batches; far from those by which people sample."""


class StandingEstimate:
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
        hooks = [norm.register_forward_pre_hook(self._collector(name, norm)) for name, norm in self._norms.items()]
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

    def _collector(self, name: str, norm: BatchNorm) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
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


def with_standing_statistics(
    sampler: Sampler, *, batches: int, truncation: float | None = None, kind: TruncationKind = "resample"
) -> Sampler:
    """Return a sampler whose batch-norm statistics stand for a truncation; the one given is not changed.

    Args:
        sampler: where the weights come from.
        batches: how many batches of 64 to average over; labels cycle through all classes.
        truncation: T of the latents; statistics fit only samples drawn with the same.
        kind: how to truncate.

    Raises:
        UserError: the generator has no batch norm, or a number is out of range.
    """
    generator = copy.deepcopy(sampler.generator)
    estimate(generator, sampler.info.architecture, batches=batches, truncation=truncation, kind=kind).apply()
    record = StandingStatistics(
        batches=batches, batch=BATCH, truncation=truncation, kind="none" if truncation is None else kind
    )
    info = dataclasses.replace(sampler.info, standing_statistics=record, truncation_bank=None)
    return Sampler(generator, info, compiler=sampler.compiler)


def write_with_standing_statistics(
    sampler: Sampler,
    path: Path,
    *,
    batches: int,
    truncation: float | None = None,
    kind: TruncationKind = "resample",
    overwrite: bool = False,
) -> Sampler:
    """Write what :func:`with_standing_statistics` returns, which takes the same arguments, as a new snapshot.

    Raises:
        UserError: the generator has no batch norm, a number out of range, or ``path`` exists and ``overwrite`` is not
            set.
    """
    output_file(path, overwrite=overwrite)
    made = with_standing_statistics(sampler, batches=batches, truncation=truncation, kind=kind)
    write_snapshot(path, made.generator, made.info)
    return made


def estimate(
    generator: Generator,
    architecture: Architecture,
    *,
    batches: int,
    truncation: float | None,
    kind: str,
) -> StandingEstimate:
    """Run ``batches`` of 64 through ``generator`` (a copy: its spectral-norm vectors move) and return what gathered.

    Raises:
        UserError: the generator has no batch norm, or a number is out of range.
    """
    check_batches(batches, "--standing-statistics")
    check_truncation(truncation, kind)
    if not batch_norms(generator):
        raise UserError("standing statistics: this generator has no batch norm, so there is nothing to estimate")
    standing = StandingEstimate(generator)
    parameter = next(generator.parameters())
    for batch in range(batches):
        first = batch * BATCH
        seeds = range(FIRST_SEED + first, FIRST_SEED + first + BATCH)
        z = latents(seeds, architecture.z_size, truncation, kind).to(parameter.device)
        labels = torch.arange(first, first + BATCH, device=parameter.device)
        standing.add(z, labels % max(architecture.classes, 1))
    return standing
