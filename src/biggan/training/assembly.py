"""The parts of a run, each built from its part of the configuration."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator

import torch

from biggan.data.contract import ImageSource
from biggan.data.opening import open_apart, open_source
from biggan.data.order.epochs import class_frequencies, make_order, real_frequencies
from biggan.data.order.loader import Batch, default_workers, make_loader
from biggan.data.order.transforms import Transforms
from biggan.foundation import distributed, launch
from biggan.foundation.compatibility import EMA_ALL_BUFFERS, HALF_ORTHOGONAL
from biggan.foundation.compiling import Compiler
from biggan.foundation.courses import constant
from biggan.foundation.devices import Backends, choose_device
from biggan.foundation.errors import UserError
from biggan.foundation.groups import Share
from biggan.foundation.seeding import derive_seed
from biggan.foundation.terminal import say
from biggan.layers.recomputing import Recomputation
from biggan.losses.adversarial import pairs
from biggan.losses.orthogonal import DiscriminatorOrthogonal, Orthogonal
from biggan.losses.terms import Term, parse_terms
from biggan.models.contract import build
from biggan.training.batches import doubling_batches, group, plan, plan_batch, schedules
from biggan.training.checkpoint_record import WarmUpRecord
from biggan.training.configuration import TrainingConfig
from biggan.training.doubling import at_the_start
from biggan.training.draws import FakeDraws, RealBatches, StepDraws
from biggan.training.ema import MovingAverage
from biggan.training.engine import Engine
from biggan.training.freezing import first_stages, freeze_old
from biggan.training.hooks.agenda import Agenda
from biggan.training.hooks.doublings import Doublings
from biggan.training.hooks.evaluation import Evaluation
from biggan.training.hooks.health import Health
from biggan.training.hooks.intervals import AtIntervals
from biggan.training.hooks.judging import Judging
from biggan.training.hooks.samples import Samples
from biggan.training.hooks.saving import Checkpoints, Snapshots
from biggan.training.hooks.statistics import Statistics
from biggan.training.loss_scale import new_scale
from biggan.training.noise_scale import NoiseScale
from biggan.training.optimizers import make_adam, rate_factors, second_betas
from biggan.training.own_step import OwnStep
from biggan.training.planning import NARROW
from biggan.training.repetition import Repetition
from biggan.training.sinks.contract import Sinks
from biggan.training.starting.record import InitRecord
from biggan.training.state import TrainState


def make_state(
    config: TrainingConfig, device: torch.device, own: OwnStep, begun: InitRecord | None = None
) -> TrainState:
    """Return networks, optimizers and average at the start, with what a step of one's own adds.

    Args:
        config: the run.
        device: where it takes place.
        own: what a step of one's own adds.
        begun: where the run began, if not at random: what is new since may learn at a rate of its own.
    """
    networks = build(config.model, config.seed)
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    generator = networks.generator.to(device, memory_format=layout)  # type: ignore[call-overload]
    discriminator = networks.discriminator.to(device, memory_format=layout)  # type: ignore[call-overload]
    new = {name: begun.new_parts(name) if begun else frozenset() for name in ("generator", "discriminator")}
    factor = config.init.new_rate_factor
    all_buffers = EMA_ALL_BUFFERS in config.compatibility
    state = TrainState(
        networks={"generator": generator, "discriminator": discriminator},
        optimizers={
            "generator": make_adam(generator, config.generator_adam, new["generator"], factor),
            "discriminator": make_adam(discriminator, config.discriminator_adam, new["discriminator"], factor),
        },
        average=MovingAverage(config.ema, generator, all_buffers=all_buffers),
        resting=first_stages(networks.discriminator, config.freeze_d),
        scales={name: new_scale(device) for name in networks._fields} if config.precision == "float16" else {},
        warm_up=WarmUpRecord() if config.d_warmup else None,
        doubling=at_the_start(config),
        terms=make_terms(config),
    )
    for term in state.terms.values():
        term.begin(device)
    for name in config.recompute:
        (generator if name == "generator" else discriminator).recompute = Recomputation()
    if own.prepare is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(config.seed, "weights of the user's networks"))
            own.prepare(state)
    return state


def make_terms(config: TrainingConfig) -> dict[str, Term]:
    """Return what is added to the loss, by name.

    Raises:
        UserError: an unknown term or option, or a value that cannot be.
    """
    half = HALF_ORTHOGONAL in config.compatibility
    found: dict[str, Term] = {}
    if config.generator_orthogonal:
        found["--generator-orthogonal"] = Orthogonal(weight=constant(config.generator_orthogonal), half=half)
    if config.discriminator_orthogonal:
        weight = constant(config.discriminator_orthogonal)
        found["--discriminator-orthogonal"] = DiscriminatorOrthogonal(weight=weight, half=half)
    return found | parse_terms(config.terms)


def make_draws(config: TrainingConfig, source: ImageSource, state: TrainState, device: torch.device) -> StepDraws:
    """Return what feeds the step on this rank, from the clock at which ``state`` stands."""
    rank, ranks = distributed.rank(), distributed.world_size()

    @functools.cache
    def share(batch: int) -> Share:
        return Share(batch, rank, ranks, plan_batch("--batch", batch, group(config), ranks).accumulation)

    def shares(name: str) -> Callable[[int], Share]:
        return lambda clock: share(schedules(config, state.doubling)[name].at(clock))

    doubling = doubling_batches(config).get("discriminator")
    batches = [*schedules(config)["discriminator"].batches, *([doubling.high] if doubling else [])]
    workers = config.data.workers

    def open_at(clock: int, share_at: Callable[[int], Share]) -> Iterator[Batch]:
        return make_loader(
            source,
            make_order(source, config.data, config.seed),
            first=clock,
            share=share_at,
            together=config.discriminator_steps,
            largest=share(max(batches)).size,
            workers=default_workers(source, launch.local_world_size()) if workers is None else workers,
            pin=device.type == "cuda",
        )

    if config.fake_labels == "data":
        weights = real_frequencies(source, config.data)
    else:
        weights = class_frequencies(source.class_counts(), config.fake_labels)
    return StepDraws(
        RealBatches(open_at, shares("discriminator"), state.images_seen),
        FakeDraws(seed=config.seed, z_size=config.model.z_size, class_weights=weights),
        discriminator=shares("discriminator"),
        generator=shares("generator"),
        discriminator_steps=config.discriminator_steps,
        device=device,
        transforms=Transforms(config.data, config.model.resolution, config.seed),
        paired=pairs(config.loss),
    )


def take_device(config: TrainingConfig) -> torch.device:
    """Return the device of this process, which computes there from now on, with as many threads as are asked for.

    Raises:
        UserError: it cannot do what is asked for.
    """
    device = choose_device(config.device, launch.local_rank())
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    _check_device(config, device)
    return device


def _check_device(config: TrainingConfig, device: torch.device) -> None:
    """Check that ``device`` can do what is asked for.

    Raises:
        UserError: it cannot; names the option and what it can.
    """
    if config.cuda_graphs and config.compile == "off":
        raise UserError("--cuda-graphs: records what was compiled; leave out --compile off")
    if config.cuda_graphs and device.type != "cuda":
        raise UserError(f"--cuda-graphs: of a GPU with CUDA only, and this run is on {device.type}; leave it out")
    if (config.recompute or config.statistics == "exact") and config.compile == "on":
        option = "--recompute" if config.recompute else "--statistics exact, which recomputes G"
        raise UserError(f"{option}: of networks that run as they are written; leave out --compile on")
    narrow = config.precision == "bfloat16" and device.type == "cuda"
    if narrow and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UserError(
            f"--precision bfloat16: {torch.cuda.get_device_name(device)} computes that by detours; use --precision "
            "float16"
        )


def make_backends(config: TrainingConfig) -> Backends:
    """Return how CUDA computes in training: batches have one or two shapes, which is worth a search for algorithms."""
    return Backends(tf32=config.precision == "tf32", fastest=True)


def make_compiler(config: TrainingConfig, device: torch.device, tell: Callable[[str], None]) -> Compiler | None:
    """Return what compiles the networks, if they are to be."""
    if config.compile == "off" or (config.compile == "auto" and (device.type != "cuda" or config.recompute)):
        return None

    def said(line: str) -> None:
        if distributed.is_primary():
            tell(line)

    said(
        "compiling the networks: the first two iterations take a minute or more (--compile off: none, and slower ones)"
    )
    return Compiler(cuda_graphs=config.cuda_graphs, tell=said)


def micro_batches_by_clock(config: TrainingConfig, ranks: int, state: TrainState) -> Callable[[int], dict[str, int]]:
    """Return a function from the clock at which an iteration begins to each network's micro-batches for an update."""

    def accumulation(clock: int) -> dict[str, int]:
        return {name: part.accumulation for name, part in plan(config, ranks, clock, state.doubling).items()}

    return accumulation


def make_engine(
    config: TrainingConfig,
    ranks: int,
    state: TrainState,
    device: torch.device,
    tell: Callable[[str], None] = say,
    *,
    repeats: bool = False,
) -> Engine:
    """Return how updates of ``state`` are carried out.

    Args:
        config: the run.
        ranks: how many there are.
        state: what is updated.
        device: where.
        tell: hears what is to be said of it.
        repeats: whether an update that runs out of memory may be made again.
    """
    engine = Engine(
        device=device,
        accumulation=micro_batches_by_clock(config, ranks, state),
        repetition=Repetition() if repeats and ranks == 1 else None,
        terms=state.terms,
        discriminator_steps=config.discriminator_steps,
        narrow=NARROW.get(config.precision),
        frozen=freeze_old(config.model, state.networks, config.freeze_old),
        spectral_norm=config.spectral_norm,
        statistics=config.statistics,
        compiler=make_compiler(config, device, tell),
        rates=rate_factors(config, lambda: state.doubling),
        betas=second_betas(config),
    )
    for name, record in state.doubling.items():
        engine.noise_scales[name] = NoiseScale(device, record.sums)
    return engine


def make_agenda(config: TrainingConfig, saved_at: int | None) -> Agenda:
    """Return what happens between iterations; ``saved_at`` is the clock of the checkpoint that was loaded."""
    log, sinks = config.log, Sinks(config.log)
    views: dict[str, AtIntervals] = {
        "samples": Samples(
            log.samples_every,
            sinks,
            columns=log.sheet_columns,
            rows=log.interpolation_rows,
            chunk=log.sample_batch,
            first=log.first_samples,
        ),
        "snapshot": Snapshots(config.checkpoint.snapshot_every),
    }
    scoring = []
    if log.judge != "none":
        views["judge"] = Judging(log.samples_every, log.judge, sinks)
        scoring.append("judge")
    data = dataclasses.replace(config.data, random_crop=False, skip_corrupt=True)
    if config.evaluation.every is not None:
        views["evaluation"] = Evaluation(
            config.evaluation, lambda: open_source(data, config.model.resolution), data.handling, sinks
        )
        scoring.append("evaluation")
    looks_every = config.health.every or 0
    if 0 < looks_every <= config.duration:  # last, so that it sees the values of the others
        views["health"] = Health(looks_every, lambda: open_apart(data, config.model.resolution), sinks)
    return Agenda(
        statistics=Statistics(log.every, sinks),
        checkpoints=Checkpoints(config.checkpoint.every, saved_at=saved_at),
        doublings=Doublings(config.checkpoint.every),
        views=views,
        scoring=frozenset(scoring),
        sinks=sinks,
    )
