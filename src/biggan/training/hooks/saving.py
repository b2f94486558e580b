"""Checkpoints and published snapshots."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from biggan.foundation import distributed
from biggan.foundation.errors import UserError
from biggan.models.snapshot import SNAPSHOTS, SUFFIX, write_snapshot
from biggan.training.hooks.intervals import AtIntervals
from biggan.training.run import Run


class Checkpoints(AtIntervals):
    """Saves everything; first makes sure that it is finite and the same on all ranks."""

    def _act(self, run: Run) -> None:
        """Save."""
        run.engine.guard.check()
        check_ranks_agree(run.state.tensors())
        if distributed.is_primary():
            run.store.save(run.state, run.info(), run.configuration())
        distributed.barrier()


class Snapshots(AtIntervals):
    """Publishes the generator."""

    def _act(self, run: Run) -> None:
        """Write ``snapshots/<images>.safetensors``."""
        run.engine.guard.check()
        if distributed.is_primary():
            path = run.directory.path / SNAPSHOTS / f"{run.state.images_seen}{SUFFIX}"
            write_snapshot(path, run.sampled, run.info())


def check_ranks_agree(tensors: dict[str, Tensor]) -> None:
    """Compare all state bitwise over ranks.

    Raises:
        UserError: ranks differ; names the first tensor.
    """
    if distributed.world_size() == 1:
        return
    own = {
        name: hashlib.sha256(
            tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        ).hexdigest()
        for name, tensor in tensors.items()
    }
    everyone = distributed.gather_objects(own)
    for rank, other in enumerate(everyone):
        assert isinstance(other, dict)
        wrong = [name for name, value in own.items() if other.get(name) != value]
        if wrong:
            raise UserError(
                f"rank {rank} and rank {distributed.rank()} have drifted apart at {wrong[0]} ({len(wrong)} tensors "
                "differ); a step of your own must do the same on every rank. No checkpoint was written."
            )
