"""What is looked at before anything is built: options alone first, then the data, by all processes together."""

from __future__ import annotations

import torch
from tqdm import tqdm

from biggan.data.contract import ImageSource
from biggan.data.opening import open_source
from biggan.data.preparation.checking import check_all
from biggan.foundation import distributed
from biggan.foundation.errors import UserError
from biggan.training.batches import norm_group
from biggan.training.checkpoint import Checkpoint
from biggan.training.configuration import TrainingConfig
from biggan.training.continuing import refuse_another_past
from biggan.training.planning import check_exact
from biggan.training.resolving import resolve
from biggan.training.run_directory import StoredRun


def check_before_reading(
    config: TrainingConfig, stored: StoredRun | None, newest: Checkpoint | None, device: torch.device
) -> None:
    """Check what can be known without the data.

    Raises:
        UserError: ranks or batches that cannot be, memory that is not there.
    """
    ranks = distributed.world_size()
    resolved = resolve(config, None, ranks)
    refuse_another_past(stored, resolved, newest)
    norm_group(resolved, ranks)
    if resolved.micro_batch != "auto":
        check_exact(resolved, ranks, device)


def open_checked(config: TrainingConfig, *, check: bool) -> ImageSource:
    """Open the images, and look at every one if that was asked for, on all processes."""
    size = config.resolution or config.model.resolution
    source = distributed.together(lambda: open_source(config.data, size), "opening the data")
    if not check:
        return source

    def look() -> ImageSource:
        return check_all(
            source, config.data, lambda results: tqdm(results, total=len(source), unit="img", desc="checking")
        )

    return distributed.together(look, "checking the data")


def agreed_key(source: ImageSource) -> str:
    """Return the hash of images and labels, which must be the same for all processes.

    Raises:
        UserError: some process sees other data.
    """
    key = distributed.together(source.key, "hashing the data")
    for rank, other in enumerate(distributed.gather_objects(key)):
        if other != distributed.broadcast_object(key):
            raise UserError(f"--data: rank {rank} sees other images or labels than rank 0; give all the same files")
    return key
