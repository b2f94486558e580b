"""Iterate until the clock reaches the duration."""

from __future__ import annotations

import time

from biggan.foundation import distributed
from biggan.foundation.errors import UserError
from biggan.training.halving import in_what_fits
from biggan.training.hooks.agenda import Agenda
from biggan.training.live_line import live_line
from biggan.training.run import Run
from biggan.training.step import StepInputs
from biggan.training.stopping import Stopped
from biggan.training.warm_up import WarmUp

_FAILED = 1000  # above every signal's number


def train_loop(run: Run, agenda: Agenda) -> None:
    """Train until the duration is reached, or a signal arrives at any process.

    Raises:
        Stopped: a signal arrived; everything is saved.
        UserError: a batch could not be read on some process; everything is saved.
        NonFiniteError: a loss or gradient was not finite.
    """
    state, duration = run.state, run.config.duration
    state.train()
    warm_up = WarmUp(images=run.config.d_warmup or 0, accuracy=run.config.d_warmup_accuracy, tell=run.tell)
    check_each_step = run.device.type == "cpu"
    with live_line(run, agenda) as line:
        while state.images_seen < duration:
            began = time.monotonic()
            inputs = _read(run, agenda)
            waited = time.monotonic() - began
            if warm_up.active(state):
                _check_warm_up(run, agenda, warm_up)
            step = warm_up.step if warm_up.active(state) else run.step
            losses = in_what_fits(run, step, inputs)
            before, state.images_seen = state.images_seen, inputs.images_seen
            state.iterations += 1
            agenda.statistics.note(losses, inputs.images_seen - before, waited)
            if check_each_step:
                run.engine.guard.check()
            if state.images_seen < duration:  # at the end everything is due, see Agenda.close
                agenda.between(run, before)
            line.show(inputs.images_seen - before)


def _check_warm_up(run: Run, agenda: Agenda, warm_up: WarmUp) -> None:
    """Stop, saved, where D has had its time and is not ready; all processes know the same."""
    try:
        warm_up.check(run.state)
    except UserError:
        agenda.checkpoints.save(run, ())
        raise


def _read(run: Run, agenda: Agenda) -> StepInputs:
    """Return what the next iteration consumes, once all processes have theirs and none was told to stop.

    One small number travels over the CPU for this; without it a process that cannot read would leave the others waiting
    for its gradients.
    """
    failure: Exception | None = None
    inputs: StepInputs | None = None
    problems: tuple[str, ...] = ()
    try:
        inputs, problems = run.draws.next(run.state.images_seen)
    except Exception as error:  # told to all; raised again below
        failure = error
    for problem in problems:
        run.tell(problem)
    word = run.request.agree(_FAILED if failure is not None else 0)
    if word == 0 and inputs is not None:
        return inputs
    agenda.checkpoints.save(run, ())
    if word < _FAILED:
        raise Stopped(word)

    def confess() -> None:
        if failure is not None:
            kind = "" if isinstance(failure, UserError) else f"{type(failure).__name__}: "
            raise UserError(
                f"{kind}{failure}\nSaved at {run.state.images_seen:,} images; repair the data, and the same command "
                "continues."
            ) from failure

    distributed.together(confess, "reading a batch")
    raise AssertionError("some process failed")
