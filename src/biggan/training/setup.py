"""From a configuration to a run: the only place that reads the whole configuration.

Everything that can be wrong is found here, in order of what it costs to find.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from biggan.data.contract import ImageSource
from biggan.data.inspection import card
from biggan.data.opening import open_source
from biggan.data.order.epochs import class_frequencies, make_order, real_frequencies
from biggan.data.order.loader import default_workers, make_loader
from biggan.data.order.transforms import Transforms
from biggan.data.preparation.checking import check_all
from biggan.foundation import distributed, launch
from biggan.foundation.compatibility import EMA_ALL_BUFFERS, HALF_ORTHOGONAL, expand
from biggan.foundation.config import to_json
from biggan.foundation.devices import choose_device
from biggan.foundation.durations import format_images
from biggan.foundation.errors import UserError
from biggan.foundation.seeding import derive_seed
from biggan.losses.adversarial import ADVERSARIAL_LOSSES
from biggan.losses.orthogonal import OrthogonalRegularizer
from biggan.metrics.definitions import METRICS
from biggan.models.contract import build, build_on_meta, count_parameters
from biggan.training.checkpoint import CheckpointStore, restore
from biggan.training.configuration import TrainingConfig
from biggan.training.draws import FakeDraws, Share, StepDraws
from biggan.training.ema import MovingAverage
from biggan.training.engine import Engine
from biggan.training.hooks import Checkpoints, Evaluation, Judging, Samples, Snapshots, Statistics
from biggan.training.loop import train_loop
from biggan.training.optimizers import make_adam
from biggan.training.own_step import OwnStep, load_own_step
from biggan.training.planning import BatchPlan, plan, plan_memory
from biggan.training.record import facts, provenance
from biggan.training.run import Run
from biggan.training.run_directory import CARD, RunDirectory, StoredRun, refuse_another_run
from biggan.training.state import TrainState
from biggan.training.step import Objective, score_separately, score_together, train_step


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a call of :func:`train` ended."""

    run_dir: Path
    images_seen: int
    signal: int | None = None
    """The signal that ended it early."""
    already_finished: bool = False


def resolve(config: TrainingConfig, source: ImageSource | None, ranks: int) -> TrainingConfig:
    """Return ``config`` with everything written out that data, size and number of ranks decide.

    Raises:
        UserError: parts that do not fit together.
    """
    network = expand((*config.model.compatibility, *config.compatibility), "network")
    model = dataclasses.replace(config.model, compatibility=network)
    if config.resolution is not None:
        model = dataclasses.replace(model, resolution=config.resolution)
    log = config.log
    if source is not None:
        model = dataclasses.replace(model, channels=source.channels, classes=len(source.class_names))
        if log.judge == "digits" and config.data.path != "digits":
            log = dataclasses.replace(log, judge="none")  # it knows these ten classes only
    model.validate()
    resolved = dataclasses.replace(
        config, model=model, log=log, resolution=None, compatibility=expand(config.compatibility, "training")
    )
    return dataclasses.replace(resolved, micro_batch=plan(resolved, ranks)["discriminator"].micro_batch)


def summary(config: TrainingConfig, ranks: int) -> str:
    """Return what ``--dry-run`` prints: configuration, parameters, batches, memory."""
    model, plans = config.model, plan(config, ranks)
    networks = build_on_meta(model)
    height, width = model.resolution
    lines = [
        json.dumps(to_json(config), indent=2),
        f"{model.family}, {model.channels} x {height} x {width}, {model.classes or 'no'} classes, grown from "
        f"{model.grid[0]} x {model.grid[1]}; z has {model.z_size} numbers"
        + (f" (of {model.latent_size} asked for)" if model.z_size != model.latent_size else ""),
        f"parameters: G {count_parameters(networks.generator):,}, D {count_parameters(networks.discriminator):,}",
        f"D batch: {plans['discriminator']}, {config.discriminator_steps} step(s) for each G step",
        f"G batch: {plans['generator']}",
        f"duration: {format_images(config.duration)} images = "
        f"{-(-config.duration // (config.batch * config.discriminator_steps)):,} iterations",
        f"memory: {plan_memory(config, plans)}",
    ]
    return "\n".join(lines)


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
        _say(directory, f"{directory.path} is finished: {newest.images_seen:,} images; its data are gone ({error})")
        return Outcome(run_dir=directory.path, images_seen=newest.images_seen, already_finished=True)
    ranks = distributed.world_size()
    config = dataclasses.replace(resolve(config, source, ranks), run_dir=str(directory.path))
    if config.data.check and not finished:
        source = check_all(
            source, config.data, lambda results: tqdm(results, total=len(source), unit="img", desc="checking")
        )
    key = source.key()
    remarks = _compare(stored, preset, config, source, key, ranks)
    plans = plan(config, ranks)
    make_order(source, config.data, config.seed)  # what cannot be ordered is an error before anything is written
    if newest is not None and newest.images_seen >= config.duration:
        _say(
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
    _say(directory, *remarks)
    _introduce(directory, config, source, plans, new=newest is None)
    state = _make_state(config, device, own)
    if newest is not None:
        restore(newest, state)
        _say(directory, f"continuing at {state.images_seen:,} images ({newest.path})")
    for network in state.networks.values():
        distributed.broadcast(network.state_dict().values())
    engine = Engine(
        device=device,
        accumulation={name: part.accumulation for name, part in plans.items()},
        regularizers=_regularizers(config),
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
        draws=_make_draws(config, source, state, device),
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


def _compare(
    stored: StoredRun | None, preset: str, config: TrainingConfig, source: ImageSource, key: str, ranks: int
) -> list[str]:
    """Return a sentence for each change since the run in the directory was last started.

    Raises:
        UserError: a change that makes it another run.
    """
    if stored is None:
        return []
    if stored.preset != preset:
        raise UserError(
            f"--run-dir {config.run_dir}: this run was started from the preset '{stored.preset}', not '{preset}'; "
            "continue with that, or choose another --run-dir"
        )
    remarks = refuse_another_run(stored.config, config)
    if stored.class_names != source.class_names:
        changed = next(pair for pair in zip(stored.class_names, source.class_names, strict=False) if pair[0] != pair[1])
        raise UserError(
            f"--data {config.data.path}: class '{changed[1]}' stands where this run has '{changed[0]}'; its generator "
            "would confuse them. Restore the classes, or choose another --run-dir."
        )
    if stored.images != len(source):
        remarks.append(
            f"the data changed: {stored.images:,} -> {len(source):,} images; their order from here on is another one"
        )
    elif stored.data_key not in ("", key):
        remarks.append("the data changed: as many images as before, but not the same files or labels")
    if stored.ranks != ranks:
        remarks.append(f"changed on resume: ranks {stored.ranks} -> {ranks}")
    return remarks


def _make_state(config: TrainingConfig, device: torch.device, own: OwnStep) -> TrainState:
    networks = build(config.model, config.seed)
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    generator = networks.generator.to(device, memory_format=layout)  # type: ignore[call-overload]
    discriminator = networks.discriminator.to(device, memory_format=layout)  # type: ignore[call-overload]
    all_buffers = EMA_ALL_BUFFERS in config.compatibility
    state = TrainState(
        networks={"generator": generator, "discriminator": discriminator},
        optimizers={
            "generator": make_adam(generator, config.generator_adam),
            "discriminator": make_adam(discriminator, config.discriminator_adam),
        },
        average=MovingAverage(config.ema, generator, all_buffers=all_buffers),
    )
    if own.prepare is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(config.seed, "weights of the user's networks"))
            own.prepare(state)
    return state


def _regularizers(config: TrainingConfig) -> dict[str, list[OrthogonalRegularizer]]:
    half = HALF_ORTHOGONAL in config.compatibility
    strengths = {"generator": config.generator_orthogonal, "discriminator": config.discriminator_orthogonal}
    # D's class embedding is one of its filters; G's is shared by all and no filter.
    excluded = {"generator": ("class_embedding.weight",), "discriminator": ()}
    return {
        name: [OrthogonalRegularizer(strength=strength, excluded=excluded[name], half=half)]
        for name, strength in strengths.items()
        if strength
    }


def _make_draws(config: TrainingConfig, source: ImageSource, state: TrainState, device: torch.device) -> StepDraws:
    rank, ranks = distributed.rank(), distributed.world_size()
    real = Share(config.batch, rank, ranks)
    workers = config.data.workers
    loader = make_loader(
        source,
        make_order(source, config.data, config.seed),
        first=state.images_seen,
        batch=config.batch,
        offset=real.offset,
        share=real.size,
        workers=default_workers(source, launch.local_world_size()) if workers is None else workers,
        pin=device.type == "cuda",
    )
    if config.fake_labels == "data":
        weights = real_frequencies(source, config.data)
    else:
        weights = class_frequencies(source.class_counts(), config.fake_labels)
    return StepDraws(
        loader,
        FakeDraws(seed=config.seed, z_size=config.model.z_size, class_weights=weights),
        discriminator=real,
        generator=Share(config.generator_batch or config.batch, rank, ranks),
        discriminator_steps=config.discriminator_steps,
        device=device,
        transforms=Transforms(config.data, config.model.resolution, config.seed),
    )


def _introduce(
    directory: RunDirectory,
    config: TrainingConfig,
    source: ImageSource,
    plans: dict[str, BatchPlan],
    *,
    new: bool,
) -> None:
    """Say what was understood, before any of it is acted on."""
    if not distributed.is_primary():
        return
    described = card.describe(source, config.data)
    _say(directory, card.text(described))
    if new or not (directory.path / CARD).exists():
        card.picture(source).save(directory.path / CARD)
    networks = build_on_meta(config.model)
    _say(
        directory,
        f"{config.model.family}: G {count_parameters(networks.generator):,}, "
        f"D {count_parameters(networks.discriminator):,} parameters; D batch {plans['discriminator']}, "
        f"G batch {plans['generator']}; {config.precision}; run directory {directory.path}",
    )


def _say(directory: RunDirectory, *messages: str) -> None:
    if distributed.is_primary():
        for message in messages:
            print(message, flush=True)
            directory.log(message)
