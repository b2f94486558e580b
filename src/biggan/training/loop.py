"""Iterate until the clock reaches the duration."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from types import FrameType

from tqdm import tqdm

from biggan.foundation import distributed
from biggan.foundation.errors import UserError
from biggan.training.hooks.saving import Checkpoints
from biggan.training.hooks.statistics import Statistics
from biggan.training.run import Hook, Run, due

_ASK_RANKS_EVERY = 10  # iterations between asking whether another rank was told to stop; on a GPU asking waits for it


class StopRequest:
    """Turns SIGTERM and Ctrl-C into a wish that the loop grants between iterations; a second Ctrl-C insists."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[StopRequest]:
        """Listen for a while; does nothing outside the main thread, where signals cannot be caught."""
        try:
            previous = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:
            yield self
            return
        try:
            yield self
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.signal == signal.SIGINT == number:
            raise KeyboardInterrupt
        self.signal = number


def train_loop(run: Run, hooks: Sequence[Hook], statistics: Statistics, checkpoints: Checkpoints) -> int | None:
    """Train until the duration is reached or a signal arrives.

    Returns:
        The signal that ended training early, or None at the duration.

    Raises:
        NonFiniteError: a loss or gradient was not finite.
    """
    state, duration = run.state, run.config.duration
    state.generator.train()
    state.discriminator.train()
    check_each_step = run.device.type == "cpu"
    with _progress(run) as bar, StopRequest().listening() as request:
        while state.images_seen < duration:
            began = time.monotonic()
            try:
                inputs, problems = run.draws.next(state.images_seen)
            except UserError as error:
                checkpoints.act(run)
                raise UserError(
                    f"{error}\nSaved at {state.images_seen:,} images; repair the data, and the same command continues."
                ) from error
            waited = time.monotonic() - began
            for problem in problems:
                run.tell(problem)
            losses = run.step(state, inputs, run.objective, run.engine)
            before, state.images_seen = state.images_seen, inputs.images_seen
            state.iterations += 1
            statistics.note(losses, inputs.images_seen - before, waited)
            if check_each_step:
                run.engine.guard.check()
            for hook in hooks:
                # At the end all of them act, in an order of its own.
                if state.images_seen < duration and due(hook.every, before, state.images_seen):
                    hook.act(run)
            _show(bar, run, statistics, inputs.images_seen - before)
            if state.images_seen < duration and _asked_to_stop(run, request, check_each_step):
                checkpoints.act(run)
                name = signal.Signals(request.signal or signal.SIGTERM).name
                run.tell(
                    f"{name}: saved at {state.images_seen:,} images and stopped; the same command continues from here"
                )
                return int(request.signal or signal.SIGTERM)
    return None


def _asked_to_stop(run: Run, request: StopRequest, each_step: bool) -> bool:
    if distributed.world_size() > 1 and not each_step and run.state.iterations % _ASK_RANKS_EVERY:
        return False
    return bool(distributed.largest(int(request.signal is not None)))


@contextlib.contextmanager
def _progress(run: Run) -> Iterator[tqdm[None]]:
    with tqdm(
        total=run.config.duration,
        initial=min(run.state.images_seen, run.config.duration),
        unit="img",
        unit_scale=True,
        smoothing=0.05,
        dynamic_ncols=True,
        # Without a terminal the lines of the statistics tell how far it is.
        disable=None if distributed.is_primary() else True,
    ) as bar:
        yield bar


def _show(bar: tqdm[None], run: Run, statistics: Statistics, images: int) -> None:
    bar.update(min(images, max(run.config.duration - bar.n, 0)))
    latest = statistics.latest
    if latest:
        shown = {name: f"{latest[name]:.2f}" for name in ("D_loss_real", "D_loss_fake", "G_loss") if name in latest}
        bar.set_postfix(shown | {"wait": f"{latest['data_wait']:.0%}"}, refresh=False)
