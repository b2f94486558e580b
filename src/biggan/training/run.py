"""One run in progress, and what may act on it between iterations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from tqdm import tqdm

from biggan.foundation import distributed
from biggan.foundation.config import to_json
from biggan.foundation.terminal import say
from biggan.models.contract import Generator
from biggan.models.snapshot import SnapshotInfo
from biggan.training.checkpoint import CheckpointStore
from biggan.training.configuration import TrainingConfig
from biggan.training.draws import StepDraws
from biggan.training.engine import Engine
from biggan.training.run_directory import RunDirectory
from biggan.training.state import TrainState
from biggan.training.step import Losses, Objective, StepInputs

StepFunction = Callable[[TrainState, StepInputs, Objective, Engine], Losses]


@dataclass(kw_only=True)
class Run:
    """Everything that the loop and its hooks need."""

    config: TrainingConfig
    directory: RunDirectory
    state: TrainState
    engine: Engine
    objective: Objective
    draws: StepDraws
    store: CheckpointStore
    class_names: tuple[str, ...]
    provenance: dict[str, Any]
    step: StepFunction
    bar: tqdm[Any] | None = field(default=None, repr=False)

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.engine.device

    @property
    def sampled(self) -> Generator:
        """The generator that users see: the average, or G where there is none; in evaluation mode."""
        return self.state.average.network or self.state.generator

    def info(self) -> SnapshotInfo:
        """Describe the generator as it is now."""
        return SnapshotInfo(
            architecture=self.config.model,
            class_names=self.class_names,
            weights="generator" if self.state.average.network is None else "ema",
            images_seen=self.state.images_seen,
            iterations=self.state.iterations,
            provenance=self.provenance,
        )

    def configuration(self) -> dict[str, Any]:
        """Return the configuration as plain values."""
        configuration: dict[str, Any] = to_json(self.config)
        return configuration

    def tell(self, message: str) -> None:
        """Print, on the first process, above the progress bar, and write to the log."""
        if distributed.is_primary():
            say(message)
            self.directory.log(message)


class Hook(Protocol):
    """Acts on a run at intervals of images, and at its end."""

    every: int | None
    """Interval in images; None acts at the end only."""

    def act(self, run: Run) -> None:
        """Do it. Called on every process, networks at rest."""


def due(every: int | None, before: int, after: int) -> bool:
    """Tell whether a multiple of ``every`` lies in (before, after]."""
    return every is not None and after // every > before // every
