"""Memory that runs out in training, with a micro-batch that had been found by trying: half of it, and on."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from biggan.foundation.errors import UserError
from biggan.foundation.files import write_json
from biggan.foundation.records import read_plain
from biggan.foundation.terminal import one_line
from biggan.training.assembly import micro_batches_by_clock
from biggan.training.batches import images_for_moments, plan_batch
from biggan.training.memory_trials import clear_memory, is_out_of_memory, micro_batches
from biggan.training.run import Run, StepFunction
from biggan.training.run_directory import CONFIG, RunDirectory
from biggan.training.step import Losses, StepInputs


class RanOutError(Exception):
    """Memory ran out, and training has to begin again where it was last saved."""

    def __init__(self, micro_batch: int, reason: str) -> None:
        super().__init__(reason)
        self.micro_batch = micro_batch


def in_what_fits(run: Run, step: StepFunction, inputs: StepInputs) -> Losses:
    """Make one iteration; an update of it that runs out of memory is made again, in smaller micro-batches.

    That is done where the micro-batch was found by trying and this process is alone: others would wait in the middle of
    an update.

    Raises:
        UserError: there is no smaller micro-batch, or it would not help.
        RuntimeError: memory ran out elsewhere, or is not to be answered so.
    """
    repetition = run.engine.repetition
    if repetition is None:
        return step(run.state, inputs, run.objective, run.engine)
    repetition.begin()
    while True:
        try:
            return step(run.state, inputs, run.objective, run.engine)
        except RuntimeError as error:
            if not (is_out_of_memory(error) and repetition.again(run.state)):
                raise
            ran_out = _ran_out(run, error)
        size = take_half(run.directory, ran_out, 1, "the update is made again")
        run.config = dataclasses.replace(run.config, micro_batch=size)
        run.engine.divide_anew(micro_batches_by_clock(run.config, 1, run.state))


def take_half(directory: RunDirectory, ran_out: RanOutError, ranks: int, then: str) -> int:
    """Note a smaller micro-batch in ``config.json``: half of what ran out, or less where that divides no batch.

    Of ranks that run out together one does; the others find that it was done.

    Args:
        directory: of the run.
        ran_out: with what.
        ranks: how many there are.
        then: how it goes on, for the log.

    Returns:
        The micro-batch from here on.

    Raises:
        UserError: there is none, or it would not help.
    """
    stored = directory.started()
    assert stored is not None
    config, current, reason = stored.config, ran_out.micro_batch, one_line(str(ran_out), 200)
    if stored.used.found_micro_batch != current:
        return stored.used.found_micro_batch or current
    if config.statistics == "exact":
        raise UserError(
            f"out of memory ({reason}): with --statistics exact G sees a rank's whole share of the batch, which no "
            "micro-batch makes smaller; choose more ranks, a smaller batch or --statistics phase"
        )
    size = max((size for size in micro_batches(config, ranks) if 2 * size <= current), default=None)
    if size is None:
        raise UserError(
            f"out of memory with {current} image{'s' * (current != 1)} at once ({reason}), and fewer divide no batch; "
            "take narrower networks, --recompute generator discriminator, or --precision bfloat16"
        )
    path, used = directory.path / CONFIG, stored.used
    batches = {"discriminator": used.discriminator.batch, "generator": used.generator.batch}
    plans = {name: plan_batch(name, batch, size, ranks) for name, batch in batches.items()}
    whole = read_plain(path)
    whole["used"] |= {name: dataclasses.asdict(part) for name, part in plans.items()} | {
        "found_micro_batch": size,
        "images_for_moments": images_for_moments(dataclasses.replace(config, micro_batch=size), ranks),
    }
    write_json(path, whole)
    clear_memory()
    directory.tell(
        f"out of memory: batch statistics over {current} -> {size} images; the global batch stays, and {then} "
        f"({reason})"
    )
    return size


@contextlib.contextmanager
def noticing_that_memory_ran_out(run: Run, *, tried: bool) -> Iterator[None]:
    """Give a type to the error of a GPU that has not enough memory within the block.

    Raises:
        RanOutError: it had not, with a micro-batch that was ``tried``.
    """
    try:
        yield
    except RuntimeError as error:
        if not (tried and is_out_of_memory(error)):
            raise
        raise _ran_out(run, error) from None


def _ran_out(run: Run, error: RuntimeError) -> RanOutError:
    assert isinstance(run.config.micro_batch, int)
    return RanOutError(run.config.micro_batch, str(error).partition("\n")[0])
