"""What a training run is: frozen dataclasses, one for each component. Imports no torch.

Durations and intervals are counted in real images seen by D.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from biggan.data.configuration import DataConfig
from biggan.evaluation.configuration import TrainingEvaluation
from biggan.foundation.compatibility import expand
from biggan.foundation.config import check_digits
from biggan.foundation.courses import Changing, ChangingImages, Course, as_course
from biggan.foundation.durations import Images, MaybeImages
from biggan.foundation.errors import UserError
from biggan.foundation.schedules import Schedule, batch_factor
from biggan.foundation.sizes import size_option
from biggan.models.architecture import Architecture
from biggan.models.sizes import parse_resolution
from biggan.training.health.configuration import HealthConfig
from biggan.training.starting.configuration import InitConfig

Resolution = Annotated[tuple[int, int], size_option(parse_resolution)]


@dataclass(frozen=True, kw_only=True)
class AdamConfig:
    """Adam (Kingma and Ba 2015) of one network."""

    learning_rate: Changing = 1e-4
    """A number, or FROM..TO:BEGIN..END in images, with :cosine behind it if it is not to be a line."""
    beta1: float = 0.0
    beta2: Changing = 0.999
    """A number, or a course like that of the rate."""
    eps: float = 1e-6
    reference_batch: int | None = None
    """The batch for which the learning rate is meant: at another it is multiplied by sqrt(batch / this)."""
    schedule: Schedule = field(default_factory=Schedule)

    def __post_init__(self) -> None:
        rate, beta2 = as_course(self.learning_rate), as_course(self.beta2)
        # What a run stored before is read here too: the rate was never bounded above.
        for name, value, holds, must in (
            ("learning-rate", rate, rate.least >= 0, "be 0 or more"),
            ("beta1", self.beta1, 0 <= self.beta1 < 1, "be at least 0 and below 1"),
            ("beta2", beta2, beta2.least >= 0 and beta2.most < 1, "be at least 0 and below 1"),
            ("eps", self.eps, self.eps > 0, "be above 0"),
        ):
            if not holds:
                throughout = ", all the way where it changes" if isinstance(value, Course) else ""
                raise UserError(f"Adam's .{name} {value}: must {must}{throughout}")
        if isinstance(self.learning_rate, Course) and not self.schedule.constant:
            raise UserError(f"the learning rate {self.learning_rate} has a course of its own; leave out the schedule")

    @property
    def constant(self) -> bool:
        """Whether the rate is the learning rate, whatever batch and clock."""
        return self.reference_batch is None and self.schedule.constant and not isinstance(self.learning_rate, Course)

    @property
    def full_rate(self) -> float:
        """The learning rate, or the largest of its course."""
        return as_course(self.learning_rate).most

    def factor(self, batch: int, images_seen: int) -> float:
        """Return by what the full rate is multiplied.

        Args:
            batch: images of one update over all ranks.
            images_seen: the clock at the start of the iteration.
        """
        scale = 1.0 if self.reference_batch is None else batch_factor(batch, self.reference_batch)
        if isinstance(self.learning_rate, Course) and self.full_rate:
            return scale * (self.learning_rate.at(images_seen) / self.full_rate)
        return scale * self.schedule.factor(images_seen)


@dataclass(frozen=True, kw_only=True)
class MovingAverageConfig:
    """The moving average of the generator."""

    enabled: bool = True
    """Keep an average; without it samples and snapshots come from G itself."""
    decay: float = 0.9999
    """Weight of the past at each step."""
    half_life: ChangingImages = None
    """Images after which a weight counts half; replaces the decay and does not depend on the batch. It may change, as
    in 0..5M:0..20M:cosine; where it is 0 the average is a copy of G."""
    start: Images = 0
    """Before this clock the average is a copy of G."""
    ramp_up: float | None = None
    """Half-life at most this fraction of the images since the start (0.05 is customary); none by default."""

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise UserError(f"--ema.decay {self.decay}: must be in [0, 1)")
        if self.half_life is not None:
            course = as_course(self.half_life)
            if course.least < 0 or course.nothing:
                raise UserError(f"--ema.half-life {self.half_life}: must be positive, or rise from 0 or fall to it")
        if self.ramp_up is not None and self.ramp_up <= 0:
            raise UserError(f"--ema.ramp-up {self.ramp_up}: must be positive")


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """When to save and what to keep."""

    every: Images = 500_000
    """Interval of checkpoints."""
    keep_last: int = 2
    """Newest checkpoints to keep."""
    keep_best: int = 1
    """Checkpoints to keep for the best reported value."""
    keep_every: MaybeImages = None
    """Also keep the first checkpoint of each such interval for ever."""
    snapshot_every: MaybeImages = None
    """Interval of published generators; at the end one is always written. By default only then."""

    def __post_init__(self) -> None:
        if self.keep_last < 1:
            raise UserError(f"--checkpoint.keep-last {self.keep_last}: keep at least 1")
        if self.keep_best < 0:
            raise UserError(f"--checkpoint.keep-best {self.keep_best}: must not be negative")
        for name in ("every", "keep_every", "snapshot_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"--checkpoint.{name.replace('_', '-')} {value}: must be positive")


@dataclass(frozen=True, kw_only=True)
class LogConfig:
    """What is written while training runs."""

    every: Images = 10_000
    """Interval of lines in stats.jsonl, and of checks for non-finite numbers on a GPU."""
    samples_every: Images = 500_000
    """Interval of sample sheets."""
    first_samples: MaybeImages = None
    """Draw the first sheet at this clock and further ones by and by: four at this interval, then two each at twice and
    four times it and so on, up to the interval. By default only at the interval."""
    sheet_columns: int = 10
    """Images a class on a class sheet."""
    interpolation_rows: int = 16
    """Rows of the three interpolation sheets."""
    sample_batch: int = 64
    """Images drawn at a time for sheets."""
    tensorboard: bool = True
    """Also write TensorBoard files, if it is installed."""
    wandb: bool = False
    """Also send numbers and sheets to Weights & Biases; WANDB_PROJECT, WANDB_MODE and so on say where and how."""
    judge: Literal["none", "digits"] = "none"
    """A judge that scores the samples at the same interval and chooses the best checkpoints."""

    def __post_init__(self) -> None:
        for name in ("every", "samples_every", "sheet_columns", "interpolation_rows", "sample_batch"):
            if getattr(self, name) < 1:
                raise UserError(f"--log.{name.replace('_', '-')} {getattr(self, name)}: must be positive")
        if self.first_samples is not None and self.first_samples < 1:
            raise UserError(f"--log.first-samples {self.first_samples}: must be positive, or left out")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """One run, whole. ``biggan.training.setup`` alone reads all of it; every component gets its own part."""

    data: DataConfig = field(default_factory=DataConfig)
    run_dir: str | None = None
    """Where the run lives; runs/PRESET by default. The same command again continues it."""
    batch: int = 256
    """Real images for each D step, over all ranks."""
    generator_batch: int | None = None
    """Images for each G step, over all ranks; the batch by default."""
    batch_schedule: str | None = None
    """Batches by the clock in place of --batch: 0:256,20Mi:512. Or auto:256..4096: the batch doubles where the gradient
    noise scale of D is above it for an interval of checkpoints. The micro-batch stays, accumulation changes."""
    generator_batch_schedule: str | None = None
    """The same for G steps, by the noise scale of G; by default those of D."""
    micro_batch: int | Literal["auto"] | None = None
    """Images a rank handles at once; batch statistics are taken over these. By default the rank's whole share; auto
    tries which is the largest that fits, once, at the start of a run."""
    duration: Images = 10_000_000
    """Train until this many images have been seen."""
    seed: int = 0
    """Seed of weights, data order and every draw."""
    resolution: Resolution | None = None
    """Image size: 128 or 256x64 (height x width); the preset's by default."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes cuda, then mps, then cpu."""
    threads: int | None = None
    """Of the CPU, for each rank; by default PyTorch's choice. How many there are decides the last bits of sums."""
    rank_timeout: float = 30.0
    """Minutes that a rank waits for another at a step; then that one counts as lost, and the command ends."""
    stop_timeout: float = 20.0
    """Seconds after SIGTERM in which all ranks must agree to save; one that waits for a dead rank leaves then. Less
    than the launcher waits before it kills (torchrun: 30)."""
    step: str | None = None
    """A training step of your own: FILE.py:function."""
    dry_run: bool = False
    """Print the resolved configuration, parameter counts, batch arithmetic and memory, and stop."""
    model: Architecture = field(default_factory=Architecture)
    init: InitConfig = field(default_factory=InitConfig)
    freeze_d: int = 0
    """Stages of D, from the image on, that do not learn (FreezeD); for weights that were trained before."""
    d_warmup: MaybeImages = None
    """Train D alone until it is ready, for at most this many images, before G learns; by default a quarter of the
    duration if G is taken over and D is new, else 0."""
    d_warmup_accuracy: float = 0.75
    """D is ready when it is right about this share of fakes and of reals, three twentieths of the warm-up running."""
    pretrain: Images = 0
    """Train G alone for as many fakes first, to have the mean and variance of features of the reals, class by class."""
    pretrain_features: str = "classifier"
    """By which features: classifier, random, inception, dinov2, clip, vgg16 or another that evaluation knows."""
    pretrain_weights: str | None = None
    """Their weights file, for machines without a network."""
    discriminator_steps: int = 1
    """D updates for each G update."""
    loss: str = "hinge"
    """Adversarial loss: hinge, softplus, least-squares, wasserstein, relativistic or multi-hinge."""
    terms: tuple[str, ...] = ()
    """What is added to it, each with its options: lecam cr,weight=10 r1,weight=0.1,every=16; help lists all."""
    split_discriminator_pass: bool = False
    """Score fakes and reals in two passes instead of one concatenated."""
    generator_adam: AdamConfig = field(default_factory=AdamConfig)
    discriminator_adam: AdamConfig = field(default_factory=lambda: AdamConfig(learning_rate=4e-4))
    generator_orthogonal: float = 0.0
    """Strength of G's orthogonal regularisation (the paper: 1e-4)."""
    discriminator_orthogonal: float = 0.0
    """Strength of D's orthogonal regularisation."""
    freeze_old: Images = 0
    """Of networks that biggan grow made, train only the new parts until this many images have been seen."""
    fake_labels: Literal["data", "uniform", "sqrt"] = "data"
    """Labels of fakes: as often as in the data, or all alike."""
    ema: MovingAverageConfig = field(default_factory=MovingAverageConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    log: LogConfig = field(default_factory=LogConfig)
    evaluation: TrainingEvaluation = field(default_factory=TrainingEvaluation)
    health: HealthConfig = field(default_factory=HealthConfig)
    on_collapse: Literal["warn", "stop", "rollback"] = "warn"
    """When the networks collapse: say so, end with status 3, or go back to the last healthy checkpoint, with other
    draws and half the rates, three times at most."""
    precision: Literal["float32", "float32-strict", "tf32", "bfloat16", "float16"] = "float32"
    """float32 is exact, as the references were recorded; tf32 lets CUDA round the factors of convolutions to 10 bits;
    bfloat16 runs convolutions narrow; normalisation, spectral norm, scores and losses stay float32; float16, with a
    scale of the loss, is for cards without bfloat16. float32-strict is another name for float32."""
    spectral_norm: Literal["phase", "forward"] = "forward"
    """When power iterations are made: once an update (phase), or in every forward, as the references do."""
    statistics: Literal["exact", "phase", "forward"] = "forward"
    """When running statistics of batch norm move: in every forward, as the references do, or once an update, by the
    moments of all its groups (phase). exact: G's moments are those of the whole global batch, whatever it is divided
    into; G is recomputed block by block, and a rank's whole share of the batch must fit."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the networks by torch.compile; auto does on CUDA. The first two iterations take a minute or more then."""
    cuda_graphs: bool = False
    """Launch the kernels of a compiled network as one; on CUDA, and for networks whose kernels are small."""
    norm_group: int | None = None
    """Ranks whose micro-batches share the moments of batch norm; by default as many as make 32 images."""
    recompute: tuple[Literal["generator", "discriminator"], ...] = ()
    """Networks whose activations are not kept but computed again, block by block, in the backward pass: the same
    weights, less memory, more time."""
    channels_last: bool = True
    """Keep images and filters with the channels innermost in memory, which is faster on CPUs and with bfloat16."""
    compatibility: tuple[str, ...] = ()
    """Named differences of the reference implementation to reproduce; biggan-pytorch means all."""

    def __post_init__(self) -> None:
        expand(self.compatibility)
        check_digits(self)
        for name in ("batch", "discriminator_steps", "generator_batch", "micro_batch", "norm_group", "threads"):
            value = getattr(self, name)
            if isinstance(value, int) and value < 1:
                raise UserError(f"--{name.replace('_', '-')} {value}: must be at least 1")
        for name, unit in (("rank_timeout", "minutes"), ("stop_timeout", "seconds")):
            if not 0 < getattr(self, name) <= 1e6:
                raise UserError(
                    f"--{name.replace('_', '-')} {getattr(self, name)}: more than 0 and at most 1,000,000 {unit}"
                )
        if self.threads is not None and self.threads > 1024:
            raise UserError(f"--threads {self.threads}: at most 1,024, and no more than there are cores helps")
        if len(set(self.recompute)) < len(self.recompute):
            raise UserError(f"--recompute {' '.join(self.recompute)}: name each network once")
        for name in ("pretrain", "freeze_d", "freeze_old"):
            if getattr(self, name) < 0:
                raise UserError(f"--{name.replace('_', '-')} {getattr(self, name)}: must not be negative")
        if not 0.5 <= self.d_warmup_accuracy < 1:
            raise UserError(f"--d-warmup-accuracy {self.d_warmup_accuracy}: from 0.5 (chance) to below 1")
        for name in ("generator_orthogonal", "discriminator_orthogonal"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise UserError(f"--{name.replace('_', '-')} {getattr(self, name)}: must be 0 or a positive number")
        if self.duration < 1:
            raise UserError(f"--duration {self.duration}: must be at least 1 image")
        for name, adam in (("generator", self.generator_adam), ("discriminator", self.discriminator_adam)):
            if adam.reference_batch is not None and not 1 <= adam.reference_batch <= 2**53:
                raise UserError(f"--{name}-adam.reference-batch {adam.reference_batch}: must be at least 1")
            adam.schedule.check(f"--{name}-adam.schedule", self.duration)
