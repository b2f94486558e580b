"""From a configuration to a run: the only place that reads the whole configuration.

Everything that can be wrong is found here, in order of what it costs to find.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from biggan.data.opening import open_source
from biggan.data.order.epochs import make_order
from biggan.data.preparation.checking import check_all
from biggan.foundation import distributed, launch
from biggan.foundation.devices import choose_device
from biggan.foundation.errors import UserError
from biggan.losses.adversarial import ADVERSARIAL_LOSSES
from biggan.metrics.definitions import METRICS
from biggan.training.assembly import make_draws, make_regularizers, make_state
from biggan.training.checkpoint import CheckpointStore, restore
from biggan.training.configuration import TrainingConfig
from biggan.training.continuing import compare
from biggan.training.engine import Engine
from biggan.training.hooks.evaluation import Evaluation
from biggan.training.hooks.judging import Judging
from biggan.training.hooks.samples import Samples
from biggan.training.hooks.saving import Checkpoints, Snapshots
from biggan.training.hooks.statistics import Statistics
from biggan.training.introduction import introduce, say
from biggan.training.loop import train_loop
from biggan.training.own_step import OwnStep, load_own_step
from biggan.training.planning import plan
from biggan.training.record import facts, provenance
from biggan.training.resolving import resolve
from biggan.training.run import Run
from biggan.training.run_directory import RunDirectory
from biggan.training.step import Objective, score_separately, score_together, train_step


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a call of :func:`train` ended."""

    run_dir: Path
    images_seen: int
    signal: int | None = None
    """The signal that ended it early."""
    already_finished: bool = False


def train(config: TrainingConfig, preset: str = "custom") -> Outcome:
    """Train, or go on with training, until the configured duration.

    Args:
        config: the run; ``run_dir`` decides whether it is a new one.
        preset: name of the preset it came from, for the record.

    Raises:
        UserError: anything wrong with the options, the data or the run directory.
    """
    device = choose_device(config.device, launch.local_rank())
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.start(device)
    try:
        return _train(config, preset, device)
    finally:
        distributed.stop()


def check_names(config: TrainingConfig) -> OwnStep:
    """Return the step to take; whatever is named and does not exist is an error now.

    Raises:
        UserError: an unknown loss or metric, or a step that cannot be loaded.
    """
    ADVERSARIAL_LOSSES[config.loss]
    for metric in config.evaluation.metrics if config.evaluation.every else ():
        METRICS[metric]
    return load_own_step(config.step) if config.step else OwnStep(train_step, None)


def _train(config: TrainingConfig, preset: str, device: torch.device) -> Outcome:
    directory = RunDirectory(Path(config.run_dir or Path("runs") / preset))
    stored = directory.stored_run()
    own = check_names(config)
    store = CheckpointStore(directory.path, config.checkpoint, directory.log)
    newest = store.newest()
    finished = newest is not None and newest.images_seen >= config.duration
    try:
        source = open_source(config.data, config.resolution or config.model.resolution)
    except UserError as error:
        if not finished or newest is None:
            raise
        say(directory, f"{directory.path} is finished: {newest.images_seen:,} images; its data are gone ({error})")
        return Outcome(run_dir=directory.path, images_seen=newest.images_seen, already_finished=True)
    ranks = distributed.world_size()
    config = dataclasses.replace(resolve(config, source, ranks), run_dir=str(directory.path))
    if config.data.check and not finished:
        source = check_all(
            source, config.data, lambda results: tqdm(results, total=len(source), unit="img", desc="checking")
        )
    key = source.key()
    remarks = compare(stored, preset, config, source, key, ranks)
    plans = plan(config, ranks)
    make_order(source, config.data, config.seed)  # what cannot be ordered is an error before anything is written
    if newest is not None and newest.images_seen >= config.duration:
        say(
            directory,
            f"{directory.path} is finished: {newest.images_seen:,} of {config.duration:,} images. A larger "
            f"--duration continues it.",
        )
        return Outcome(run_dir=directory.path, images_seen=newest.images_seen, already_finished=True)
    if distributed.is_primary():
        derived = facts(config, source, key, plans, ranks)
        directory.write_config(preset, config, derived)
        store.root.mkdir(parents=True, exist_ok=True)
        store.sweep()
    distributed.barrier()
    say(directory, *remarks)
    introduce(directory, config, source, plans, new=newest is None)
    state = make_state(config, device, own)
    if newest is not None:
        restore(newest, state)
        say(directory, f"continuing at {state.images_seen:,} images ({newest.path})")
    for network in state.networks.values():
        distributed.broadcast(network.state_dict().values())
    engine = Engine(
        device=device,
        accumulation={name: part.accumulation for name, part in plans.items()},
        regularizers=make_regularizers(config),
        narrow=torch.bfloat16 if config.precision == "bfloat16" else None,
    )
    run = Run(
        config=config,
        directory=directory,
        state=state,
        engine=engine,
        objective=Objective(
            loss=ADVERSARIAL_LOSSES[config.loss](),
            score=score_separately if config.split_discriminator_pass else score_together,
        ),
        draws=make_draws(config, source, state, device),
        store=store,
        class_names=source.class_names,
        provenance=provenance(config, preset, source),
        step=own.step,
    )
    return _run(run)


def _run(run: Run) -> Outcome:
    config = run.config
    statistics = Statistics(config.log.every, tensorboard=config.log.tensorboard)
    samples = Samples(
        config.log.samples_every,
        columns=config.log.sheet_columns,
        rows=config.log.interpolation_rows,
        chunk=config.log.sample_batch,
    )
    checkpoints = Checkpoints(config.checkpoint.every)
    judging = [] if config.log.judge == "none" else [Judging(config.log.samples_every, config.log.judge)]
    snapshots = Snapshots(config.checkpoint.snapshot_every)
    # The checkpoint comes last: one that reached the duration proves that sheets and snapshot were written, and
    # every checkpoint knows its own value.
    data = dataclasses.replace(config.data, random_crop=False, skip_corrupt=True)
    evaluation = Evaluation(
        config.evaluation,
        lambda: open_source(data, config.model.resolution),
        data.handling,
    )
    hooks = [statistics, samples, *judging, evaluation, snapshots, checkpoints]
    signal = train_loop(run, hooks, statistics, checkpoints)
    if signal is None:
        for hook in hooks:
            hook.act(run)
        run.tell(f"finished: {run.state.images_seen:,} images, {run.directory.path}")
    return Outcome(run_dir=run.directory.path, images_seen=run.state.images_seen, signal=signal)
