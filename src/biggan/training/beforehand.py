"""What is looked at before anything is built: options alone first, then the data, by all processes together."""

from __future__ import annotations

from typing import cast

import torch
from tqdm import tqdm

from biggan.data.contract import ImageSource
from biggan.data.opening import open_source
from biggan.data.preparation.checking import check_all
from biggan.foundation import distributed
from biggan.foundation.config import differences, option_name
from biggan.foundation.errors import UserError
from biggan.foundation.launch import local_world_size
from biggan.foundation.memory import free_memory
from biggan.foundation.terminal import one_line
from biggan.losses.terms import parse_terms
from biggan.training.batches import largest_plan, norm_group
from biggan.training.checkpoint import Checkpoint
from biggan.training.configuration import TrainingConfig
from biggan.training.continuing import refuse_another_past
from biggan.training.planning import check_exact
from biggan.training.pretraining import check_pretraining
from biggan.training.resolving import resolve
from biggan.training.run_directory import StoredRun
from biggan.training.sinks.contract import check_sinks

# Where a machine computes and reads may have another name on each.
_OF_ONE_RANK = (
    *("device", "threads", "run_dir", "step", "stop_timeout", "data.path", "data.workers", "init.path"),
    "evaluation.",
)


def check_options_agree(config: TrainingConfig, preset: str) -> None:
    """Check that all processes were given the same run: gradients of two would add up to those of neither.

    Raises:
        UserError: some process was given another; names the rank and the option, on all processes alike.
    """
    everyone = cast("list[tuple[str, TrainingConfig]]", distributed.gather_objects((preset, config)))
    first, of_first = everyone[0]
    for rank, (other, of_other) in enumerate(everyone):
        if other != first:
            raise UserError(
                f"rank {rank} trains the preset {one_line(other)}, rank 0 {one_line(first)}; give all the same"
            )
        for name, (here, there) in differences(of_first, of_other).items():
            if not name.startswith(_OF_ONE_RANK):
                raise UserError(
                    f"{option_name(name)}: rank {rank} was given {one_line(str(there), 80)}, rank 0 "
                    f"{one_line(str(here), 80)}; give all ranks the same options"
                )


def check_before_reading(
    config: TrainingConfig, stored: StoredRun | None, newest: Checkpoint | None, device: torch.device
) -> None:
    """Check what can be known without the data.

    Raises:
        UserError: ranks or batches that cannot be, or be read; memory that is not there, a sink that is not installed.
    """
    ranks = distributed.world_size()
    resolved = resolve(config, None, ranks)
    refuse_another_past(stored, resolved, newest)
    norm_group(resolved, ranks)
    _check_that_batches_can_be_read(resolved, ranks)
    parse_terms(resolved.terms)
    if distributed.is_primary():  # which alone writes to them
        check_sinks(resolved.log)
    check_pretraining(resolved)
    if resolved.micro_batch != "auto":
        check_exact(resolved, ranks, device)


def _check_that_batches_can_be_read(config: TrainingConfig, ranks: int) -> None:
    """Check that the reals of an update, which are read at once and lie in memory as bytes, find their place there."""
    batch, height, width = largest_plan(config, ranks)["discriminator"], *config.model.resolution
    needed, there = batch.share * config.model.channels * height * width, free_memory() // local_world_size()
    if needed > there:
        raise UserError(
            f"--batch {batch.batch}: a rank reads {needed / 2**30:,.1f} GiB of images for an update, and "
            f"{there / 2**30:,.1f} GiB of memory are free for it; choose a smaller batch or more ranks"
        )


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
