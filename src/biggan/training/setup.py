"""From a configuration to a run, in the order of what it costs to find that something is wrong.

The parts: ``resolving`` writes out what data and ranks decide, ``owning`` takes the directory, ``continuing`` says
whether the run in it may go on, ``beforehand`` looks at options and data, ``introduction`` tells what was understood,
``assembly`` builds what trains.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from biggan.data.contract import ImageSource
from biggan.data.order.epochs import make_order
from biggan.foundation import distributed
from biggan.foundation.config import to_json
from biggan.foundation.errors import LostRankError, UserError
from biggan.foundation.files import write_json
from biggan.foundation.locks import Lock
from biggan.foundation.records import read_record
from biggan.foundation.terminal import complain, typed
from biggan.layers.shared_norm import share_batch_norms
from biggan.losses.adversarial import ADVERSARIAL_LOSSES
from biggan.training.assembly import make_agenda, make_backends, make_draws, make_engine, make_state, take_device
from biggan.training.batches import norm_group, plan
from biggan.training.beforehand import agreed_key, check_before_reading, check_options_agree, open_checked
from biggan.training.checkpoint import Checkpoint, CheckpointStore, restore
from biggan.training.configuration import TrainingConfig
from biggan.training.continuing import (
    compare,
    moments_changed,
    refuse_another_past,
    refuse_another_preset,
    refuse_forgotten_step,
)
from biggan.training.halving import RanOutError, noticing_that_memory_ran_out, take_half
from biggan.training.introduction import conclusion, introduce
from biggan.training.loop import train_loop
from biggan.training.memory_trials import fitting, noted
from biggan.training.own_step import OwnStep, load_own_step
from biggan.training.owning import owned
from biggan.training.planning import check_exact
from biggan.training.pretraining import Goal, check_pretraining, prepared, pretrain
from biggan.training.record import facts, provenance
from biggan.training.resolving import check_names, resolve
from biggan.training.rollback import CollapseError, farewell, find_point, go_back, of_attempt
from biggan.training.run import Run
from biggan.training.run_directory import INIT, RunDirectory
from biggan.training.starting.beginning import Beginning, begin, describe, plan_beginning, put_in_place
from biggan.training.starting.record import InitRecord
from biggan.training.state import TrainState
from biggan.training.step import Objective, judge_separately, judge_together, train_step
from biggan.training.stopping import Stopped, StopRequest


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a call of :func:`train` ended."""

    run_dir: Path
    images_seen: int
    """The clock; 0 if it was stopped before it was known."""
    signal: int | None = None
    """The signal that ended it early."""
    already_finished: bool = False
    collapsed: bool = False
    """It ended because the networks had collapsed."""


@dataclass(frozen=True, kw_only=True)
class _Place:  # where a run takes place
    directory: RunDirectory
    store: CheckpointStore
    lock: Lock | None
    request: StopRequest
    device: torch.device


def train(config: TrainingConfig, preset: str = "custom") -> Outcome:
    """Train, or go on with training, until the configured duration.

    SIGTERM, SIGHUP and Ctrl-C end set-up at once; training ends between two iterations, saved; see :class:`Outcome`.

    Args:
        config: the run; ``run_dir`` decides whether it is a new one.
        preset: name of the preset it came from, for the record.

    Raises:
        UserError: anything wrong with the options, the data or the run directory, which another process may hold.
        LostRankError: another rank is gone; nothing that was saved is lost.
    """
    request = StopRequest(config.stop_timeout)
    directory = RunDirectory(Path(config.run_dir or Path("runs") / preset))
    with request.listening():
        try:
            with request.at_once():  # nothing is lost by stopping, until there is a state
                device = distributed.start(lambda: take_device(config), config.rank_timeout)
                make_backends(config).set()
                own = load_own_step(config.step) if config.step else OwnStep(train_step, None)
                check_names(config, None)  # of terms, for example, that the user's file may have added
                with owned(directory) as lock:
                    request.deadline.last = lock.release if lock is not None else request.deadline.last
                    store = CheckpointStore(directory.path, config.checkpoint, directory.tell)
                    place = _Place(directory=directory, store=store, lock=lock, request=request, device=device)
                    return _train_in_what_fits(config, preset, own, place)
        except Stopped as stop:
            if distributed.is_primary():
                complain(f"{stop}: stopped before there was anything to save; the same command begins again")
            return Outcome(run_dir=directory.path, images_seen=0, signal=stop.number)
        except LostRankError as error:
            request.deadline.lost()  # leaving the group may wait for it
            message = f"{error}. The same command goes on from the last checkpoint"
            if request.signal is None:
                raise LostRankError(message) from error
            complain(message)
            return Outcome(run_dir=directory.path, images_seen=0, signal=request.signal)
        finally:
            distributed.stop()


def _train_in_what_fits(config: TrainingConfig, preset: str, own: OwnStep, place: _Place) -> Outcome:
    """Train; where the micro-batch was found by trying and memory runs out all the same, go on with a smaller one.

    This is for what one process cannot make again (:func:`in_what_fits`): what was trained since the last checkpoint is
    trained again, with the same global batches.
    """
    while True:
        try:
            return _train(config, preset, own, place)
        except RanOutError as error:
            ran_out = error.with_traceback(None)  # which holds what fills the memory
        except CollapseError:
            continue  # what was decided lies in the directory, and is found there
        take_half(place.directory, ran_out, distributed.world_size(), "training goes on from the last checkpoint")
        if distributed.world_size() > 1:  # the others wait in the middle of an update
            raise LostRankError("out of memory: the job has to be started again, with the micro-batch that is noted")


def _train(config: TrainingConfig, preset: str, own: OwnStep, place: _Place) -> Outcome:
    directory, store = place.directory, place.store
    check_options_agree(config, preset)
    started = distributed.on_primary(directory.started, "reading the run directory")
    point = distributed.on_primary(lambda: find_point(directory.path, store), "reading the newest checkpoint")
    newest = point.newest
    refuse_another_preset(started, preset, directory.path, saved=newest is not None)
    stored = None if newest is None else started
    refuse_forgotten_step(stored, config)
    config, beginning = distributed.together(lambda: begin(config, stored), "reading what the run begins from")
    ranks = distributed.world_size()
    distributed.together(lambda: check_before_reading(config, stored, newest, place.device), "looking at the options")
    try:
        source = open_checked(config, check=config.data.check and not _is_finished(newest, config))
    except UserError as error:
        if newest is None or newest.images_seen < config.duration:
            raise
        return _finished(place, config, newest, f"its data cannot be opened ({error})")
    check_names(config, source)
    config = kept = dataclasses.replace(resolve(config, source, ranks), run_dir=str(directory.path))
    check_pretraining(config)  # again: now it is known how many classes there are
    if config.micro_batch == "auto":
        found = noted(started, config, ranks) or fitting(config, own, ranks, place.device)
        config = resolve(dataclasses.replace(config, micro_batch=found), source, ranks)
        check_exact(config, ranks, place.device)
    key = agreed_key(source)
    begun = _begun(beginning, config, source, directory)
    remarks = compare(stored, kept, source, key, ranks)
    doubling = refuse_another_past(stored, config, newest)
    clock = 0 if newest is None else newest.images_seen
    plans, sharing = plan(config, ranks, clock, doubling), norm_group(config, ranks)
    remarks += moments_changed(stored, config, ranks)
    make_order(source, config.data, config.seed)  # what cannot be ordered is an error before anything is written
    if newest is not None and _is_finished(newest, config):
        return _finished(place, config, newest, "a larger --duration continues it")

    goal = prepared(config, newest, place.device)

    def write() -> None:
        directory.write_config(preset, kept, facts(config, source, key, plans, ranks, tried=config is not kept))
        store.sweep()
        directory.tell(*go_back(point, store))
        pending = newest.record.pending if newest else ()
        directory.rewind(clock, again=pending)
        directory.tell(*remarks)
        introduce(directory, config, source, plans, sharing, doubling, place.device, new=newest is None)
        if beginning is not None and begun is not None:
            write_json(directory.path / INIT, to_json(begun))
            directory.tell(*describe(begun, beginning, config, source))
        if newest is not None:
            directory.tell(f"continuing at {newest.images_seen:,} images ({newest.path})")

    distributed.on_primary(write, "writing the run directory")

    drawn = of_attempt(config, point.attempt)

    def build() -> TrainState:
        state = make_state(drawn, place.device, own, begun)
        if newest is not None:
            restore(newest, state)
            state.doubling = doubling
        elif beginning is not None and begun is not None:
            put_in_place(state, beginning, begun, config, source)
        state.attempt = point.attempt
        return state

    state = distributed.together(build, "building the networks")
    tensors = state.tensors()
    distributed.broadcast(tensors[name] for name in sorted(tensors))  # all ranks must send and receive in one order
    if sharing > 1:
        gather = distributed.gather_within(sharing)
        for network in state.networks.values():
            share_batch_norms(network, gather, sharing)
    run = Run(
        config=config,
        directory=directory,
        state=state,
        engine=make_engine(drawn, ranks, state, place.device, directory.tell, repeats=kept.micro_batch == "auto"),
        objective=Objective(
            loss=ADVERSARIAL_LOSSES[config.loss](),
            judge=judge_separately if config.split_discriminator_pass else judge_together,
            seed=drawn.seed,
        ),
        draws=distributed.together(lambda: make_draws(drawn, source, state, place.device), "preparing to read"),
        store=store,
        class_names=source.class_names,
        provenance=provenance(config, preset, source) | ({"init": begun.origin()} if begun else {}),
        step=own.step,
        request=place.request,
        lock=place.lock,
    )
    with noticing_that_memory_ran_out(run, tried=kept.micro_batch == "auto"):
        return _carry_out(run, newest, goal)


def _carry_out(run: Run, newest: Checkpoint | None, goal: Goal | None) -> Outcome:
    """Make up for what was left to do, train, close."""
    agenda = make_agenda(run.config, None if newest is None else newest.images_seen)
    signal = None
    try:
        with run.request.patient():
            if newest is not None and newest.record.pending:
                run.tell(f"left to do at {newest.images_seen:,} images: {', '.join(newest.record.pending)}")
                agenda.work_off(run, newest.record.pending, closing=newest.images_seen >= run.config.duration)
            if run.state.images_seen < run.config.duration:
                pretrain(run, agenda, goal)
                train_loop(run, agenda)
                agenda.close(run)
        for line in conclusion(run.directory.path, run.state.images_seen):
            run.tell(line)
    except CollapseError as collapse:
        if collapse.decision is not None:
            raise
        agenda.checkpoints.save(run, ())
        agenda.checkpoints.note(run, ())  # it has been looked at
        for line in farewell(str(collapse), run.state.images_seen, attempts=run.state.attempt):
            run.tell(line)
        return Outcome(run_dir=run.directory.path, images_seen=run.state.images_seen, collapsed=True)
    except Stopped as stop:  # raised only where everything is saved
        signal = stop.number
        same = f"biggan train --run-dir {typed(run.directory.path)}"
        run.tell(f"{stop}: saved at {run.state.images_seen:,} images; the same command continues from here, or {same}")
    finally:
        agenda.sinks.close(run)
    return Outcome(run_dir=run.directory.path, images_seen=run.state.images_seen, signal=signal)


def _begun(
    beginning: Beginning | None, config: TrainingConfig, source: ImageSource, directory: RunDirectory
) -> InitRecord | None:
    """Return where the run begins, or where it once began; None at random weights."""
    if beginning is not None:
        return distributed.on_primary(lambda: plan_beginning(beginning, config, source), "matching classes")
    if config.init.path is None:
        return None
    return distributed.on_primary(lambda: read_record(InitRecord, directory.path / INIT), f"reading {INIT}")


def _is_finished(newest: Checkpoint | None, config: TrainingConfig) -> bool:
    return newest is not None and newest.images_seen >= config.duration and not newest.record.pending


def _finished(place: _Place, config: TrainingConfig, newest: Checkpoint, remark: str) -> Outcome:
    left = f"; not done at the end: {', '.join(newest.record.pending)}" if newest.record.pending else ""
    if distributed.is_primary():
        clock = f"{newest.images_seen:,} of {config.duration:,} images"
        place.directory.tell(f"{place.directory.path} is finished: {clock}{left}; {remark}")
    return Outcome(run_dir=place.directory.path, images_seen=newest.images_seen, already_finished=True)
