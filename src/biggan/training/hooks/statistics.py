"""Losses, norms and speeds: stats.jsonl, the sinks, and a line where there is no terminal."""

from __future__ import annotations

import sys
import time
from typing import NamedTuple

import torch
from torch import Tensor

from biggan.foundation import distributed
from biggan.foundation.devices import read_together
from biggan.foundation.durations import spoken
from biggan.foundation.terminal import say
from biggan.layers.spectral_norm import singular_values
from biggan.training.batches import schedules
from biggan.training.hooks.intervals import AtIntervals
from biggan.training.noise_scale import ratio
from biggan.training.run import Run
from biggan.training.run_directory import STATS
from biggan.training.sinks.contract import Sinks
from biggan.training.step import Losses


class Statistics(AtIntervals):
    """A line of numbers in stats.jsonl and in the sinks; also checks that numbers are finite."""

    def __init__(self, every: int, sinks: Sinks) -> None:
        super().__init__(every)
        self._losses: dict[str, list[Tensor]] = {}
        self._started = time.monotonic()
        self._images = 0
        self._waited = 0.0
        self._sinks = sinks
        self.latest: dict[str, float] = {}

    def note(self, losses: Losses, images: int, waited: float) -> None:
        """Remember an iteration; nothing is read off the device."""
        for name, values in losses.items():
            self._losses.setdefault(name, []).append(values.detach().mean())
        self._images += images
        self._waited += waited

    def _act(self, run: Run) -> None:
        """Write what has gathered since the last time."""
        if not self._images:
            return
        networks = (("G", run.state.generator), ("D", run.state.discriminator))
        read = _read(
            run.engine.guard.bad,
            {name: torch.stack(values).mean() for name, values in self._losses.items()},
            {f"{name}_gradient_norm": norm for name, norm in run.engine.gradient_norms.items()},
            {name: scale.take() for name, scale in run.engine.noise_scales.items()},
            {f"{short}.{layer}": sigma for short, of in networks for layer, sigma in singular_values(of).items()},
            run.state.scales,
        )
        run.engine.guard.check(read.bad)
        elapsed, clock = max(time.monotonic() - self._started, 1e-9), run.state.images_seen
        numbers = read.losses | read.norms
        scales = {f"{name}_noise_scale": ratio(sums) for name, sums in read.noise.items()}
        numbers |= {name: scale for name, scale in scales.items() if scale is not None}
        for name, (scale, _, skipped) in read.scales.items():
            numbers |= {f"{name}_loss_scale": scale, f"{name}_skipped_updates": skipped}
        numbers |= {f"{name[0].upper()}_learning_rate": rate for name, rate in run.engine.learning_rates.items()}
        for name in run.engine.betas:
            numbers[f"{name[0].upper()}_beta2"] = run.state.optimizers[name].param_groups[0]["betas"][1]
        now = schedules(run.config, run.state.doubling)
        numbers |= {f"{name}_batch": float(now[name].at(clock)) for name in run.state.doubling}
        numbers |= {
            "images_per_second": self._images / elapsed,
            "data_wait": self._waited / elapsed,
            "ema_decay": run.state.average.decay(clock, run.draws.images_per_iteration(clock)),
        }
        if run.engine.compiler is not None:
            numbers["compiled_graphs"] = float(run.engine.compiler.graphs)
        self.latest = numbers
        if distributed.is_primary():
            unknown = {f"{name}_noise_scale": "unknown" for name in run.state.optimizers}
            where = {"images_seen": run.state.images_seen, "iterations": run.state.iterations}
            record: dict[str, object] = {**where, **unknown, **numbers}
            run.directory.note(STATS, {**record, "singular_values": read.sigmas})
            if not sys.stderr.isatty():
                say(_progress(run, numbers))
            largest = {f"singular_values/{name}": sigmas[0] for name, sigmas in read.sigmas.items()}
            self._sinks.scalars(run, numbers | largest)
        self._losses, self._images, self._waited = {}, 0, 0.0
        self._started = time.monotonic()


class _Read(NamedTuple):
    """Everything that a line tells and that lies on the device."""

    bad: float
    losses: dict[str, float]
    norms: dict[str, float]
    noise: dict[str, list[float]]
    sigmas: dict[str, list[float]]
    scales: dict[str, list[float]]


def _read(bad: Tensor, *parts: dict[str, Tensor]) -> _Read:
    """Read it all in one copy."""
    numbers = iter(read_together([bad, *(tensor for part in parts for tensor in part.values())]))
    first = next(numbers)[0]
    losses, norms, noise, sigmas, scales = ({name: next(numbers) for name in part} for part in parts)
    return _Read(
        bad=first,
        losses={name: values[0] for name, values in losses.items()},
        norms={name: values[0] for name, values in norms.items()},
        noise=noise,
        sigmas=sigmas,
        scales=scales,
    )


def _progress(run: Run, numbers: dict[str, float]) -> str:
    """Say how far it is, where there is no terminal for a progress bar."""
    left = max(run.config.duration - run.state.images_seen, 0) / max(numbers["images_per_second"], 1e-9)
    losses = ", ".join(
        f"{name} {value:.3f}" for name, value in numbers.items() if "loss" in name and "scale" not in name
    )
    return (
        f"{run.state.images_seen:,} of {run.config.duration:,} images, {numbers['images_per_second']:.0f} a second, "
        f"{spoken(left)} left, {losses}, data wait {numbers['data_wait']:.1%}"
    )
