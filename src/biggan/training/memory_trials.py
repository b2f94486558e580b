"""``--micro-batch auto``: the largest micro-batch that fits, found by trying, on networks that are thrown away."""

from __future__ import annotations

import dataclasses
import gc
from functools import partial

import torch

from biggan.foundation import distributed
from biggan.foundation.errors import UserError
from biggan.foundation.launch import local_world_size
from biggan.foundation.memory import free_memory
from biggan.training.batches import doubling_batches, largest_plan, norm_group, plan, schedules
from biggan.training.configuration import TrainingConfig
from biggan.training.own_step import OwnStep
from biggan.training.planning import plan_memory, with_surplus
from biggan.training.run_directory import StoredRun
from biggan.training.trial import trial

MOST_TRIALS = 12
SPARE = 0.1
"""Part of the memory that is left free."""


def micro_batches(config: TrainingConfig, ranks: int) -> list[int]:
    """Return the micro-batches that divide every batch of D and G over the ranks, ascending.

    Raises:
        UserError: not even micro-batches of one image do.
    """
    batches = [batch for schedule in schedules(config).values() for batch in schedule.batches]
    sizes = range(1, min(batches) // ranks + 1)
    several = [doubling.low for doubling in doubling_batches(config).values()]  # groups of an update: the noise scale
    found = [
        size
        for size in sizes
        if all(batch % (size * ranks) == 0 for batch in batches) and all(2 * size <= low for low in several)
    ]
    if not found:
        shown = ", ".join(map(str, sorted(set(batches))))
        raise UserError(
            f"--micro-batch auto: batches of {shown} images cannot be cut into equal micro-batches over {ranks} ranks; "
            "choose multiples of the number of ranks, or give a number"
        )
    return found


def fitting(config: TrainingConfig, own: OwnStep, ranks: int, device: torch.device) -> int:
    """Return the largest micro-batch that fits on all ranks with a tenth of the memory to spare.

    On a GPU two iterations of two micro-batches are trained on random images; on a CPU, which has no limit before
    everything ends, memory is reckoned.

    Args:
        config: resolved but for the micro-batch.
        own: the step that will be trained with.
        ranks: how many there are.
        device: of this rank.

    Raises:
        UserError: not even one image fits.
    """
    sizes = micro_batches(config, ranks)
    low, high = -1, len(sizes)  # the largest that is known to fit, and the smallest that is not
    for _ in range(MOST_TRIALS):
        if high - low <= 1:
            break
        middle = (low + high) // 2
        fits = fits_on_gpu if device.type == "cuda" else fits_by_arithmetic
        here = distributed.together(partial(fits, config, sizes[middle], own, device), "trying a micro-batch")
        # What fits here must fit everywhere: something else may lie on a device.
        if distributed.largest(0 if here else 1) == 0:
            low = middle
        else:
            high = middle
    if low < 0:
        raise UserError(
            f"--micro-batch auto: not even {sizes[0]} image{'s' * (sizes[0] != 1)} at once fit; take narrower "
            "networks, --recompute generator discriminator, or --precision bfloat16"
        )
    return sizes[low]


def noted(stored: StoredRun | None, config: TrainingConfig, ranks: int) -> int | None:
    """Return the micro-batch that was found for a run in the directory, if it was for such networks and batches."""
    if stored is None or stored.config.micro_batch != "auto":
        return None
    same = ("model", "precision", "recompute", "statistics")
    if any(getattr(stored.config, name) != getattr(config, name) for name in same):
        return None
    found = stored.used.found_micro_batch
    return found if found in micro_batches(config, ranks) else None


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether an error says that a GPU has not enough memory; libraries of CUDA have no type for it."""
    return isinstance(error, torch.OutOfMemoryError) or "ALLOC_FAILED" in str(error)


def fits_by_arithmetic(config: TrainingConfig, size: int, own: OwnStep, device: torch.device) -> bool:  # noqa: ARG001
    """Tell whether what the planner reckons, and a quarter, is there."""
    trial = _of_size(config, size)
    return with_surplus(plan_memory(trial, plan(trial, 1))) <= (1 - SPARE) * free_memory() / local_world_size()


def fits_on_gpu(config: TrainingConfig, size: int, own: OwnStep, device: torch.device) -> bool:
    """Tell whether two iterations leave a tenth of the GPU free."""
    clear_memory()
    torch.cuda.reset_peak_memory_stats(device)
    there = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    try:
        try_out(_of_size(config, size), own, device)
        return bool(torch.cuda.max_memory_reserved(device) <= (1 - SPARE) * there)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return False
    finally:
        clear_memory()


def try_out(config: TrainingConfig, own: OwnStep, device: torch.device) -> None:
    """Train new networks for two iterations on random images."""
    iterate = trial(config, own, device)
    for _ in range(2):
        iterate()


def _of_size(config: TrainingConfig, size: int) -> TrainingConfig:
    """Return the run with updates of two micro-batches, as one that accumulates has them.

    Where G sees a rank's whole share at once, updates of that.
    """
    whole = max(part.share for part in largest_plan(config, distributed.world_size()).values())
    return dataclasses.replace(
        config,
        norm_group=norm_group(dataclasses.replace(config, micro_batch=size), distributed.world_size()),
        batch=whole if config.statistics == "exact" else 2 * size,
        generator_batch=None,
        batch_schedule=None,
        generator_batch_schedule=None,
        micro_batch=size,
        compile="off",
        cuda_graphs=False,
    )


def clear_memory() -> None:
    """Give back what no tensor holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
