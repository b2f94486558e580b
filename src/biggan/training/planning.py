"""Memory, before anything is spent."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from biggan.foundation.devices import choose_device
from biggan.foundation.errors import UserError
from biggan.foundation.launch import local_world_size
from biggan.foundation.memory import free_memory
from biggan.layers.attention import LARGE, fused_widths
from biggan.layers.recomputing import Recomputation, Recomputing
from biggan.losses.adversarial import pairs
from biggan.losses.scene import Stage
from biggan.losses.terms import Acting, Phase, on_stage, parse_terms
from biggan.models.contract import Discriminator, Generator, Networks, build_on_meta, count_parameters
from biggan.training.batches import BatchPlan, largest_plan
from biggan.training.configuration import TrainingConfig
from biggan.training.step import judge_together

NARROW = {"bfloat16": torch.bfloat16, "float16": torch.float16}
"""Types in which convolutions run, by precision; their own where absent."""


PHASES: tuple[Phase, ...] = ("discriminator", "generator")


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """Bytes on each device."""

    weights: int
    gradients: int
    adam: int
    average: int
    activations: int
    """Kept for the backward pass of the larger phase, at one micro-batch, further passes of terms among it; of what is
    recomputed the largest block. With exact statistics G's are those of a rank's whole share."""

    @property
    def total(self) -> int:
        """The sum; libraries, fragmentation and temporary buffers come on top (about a quarter, and 0.5 GiB)."""
        return sum(getattr(self, field.name) for field in dataclasses.fields(self))

    def __str__(self) -> str:
        """Return the parts in MiB."""
        parts = ", ".join(f"{f.name} {getattr(self, f.name) / 2**20:,.0f}" for f in dataclasses.fields(self))
        return f"about {self.total / 2**20:,.0f} MiB a device ({parts} MiB), libraries and temporary buffers on top"


def plan_memory(config: TrainingConfig, plans: dict[str, BatchPlan]) -> MemoryPlan:
    """Estimate memory by running both phases without data and adding up what autograd keeps.

    Attention keeps what it does on the device that the run names, or that this machine would take.
    """
    networks = build_on_meta(config.model)
    device = choose_device("auto").type if config.device == "auto" else config.device
    g, d = count_parameters(networks.generator), count_parameters(networks.discriminator)
    narrow = NARROW.get(config.precision)
    images = {name: part.micro_batch for name, part in plans.items()}
    with _FusedAttention(device):
        by_discriminator = _kept_by_discriminator(networks.discriminator, config, 2 * images["discriminator"], narrow)
        with_terms = _kept_with_terms(networks, config, images, narrow)
        if config.statistics == "exact":
            by_discriminator += _bytes_of_images(config, plans["discriminator"].share)
            by_generator = _kept_by_whole_share(networks, config, plans["generator"], narrow)
        else:
            by_generator = _kept_by_generator(
                networks.generator, networks.discriminator, config, images["generator"], narrow
            )
    return MemoryPlan(
        weights=4 * (g + d),
        gradients=4 * (g + d),
        adam=8 * (g + d),
        average=4 * g if config.ema.enabled else 0,
        activations=max(by_discriminator, by_generator, with_terms),
    )


def check_exact(config: TrainingConfig, ranks: int, device: torch.device) -> None:
    """Check that a rank's whole share of a batch fits, where G sees that at once.

    Raises:
        UserError: it does not; says how much it needs.
    """
    if config.statistics != "exact":
        return
    plans = largest_plan(config, ranks)
    needed = with_surplus(plan_memory(config, plans))
    there = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory() // local_world_size()
    if needed > there:
        share = max(part.share for part in plans.values())
        raise UserError(
            f"--statistics exact: {share} images at once, a rank's whole share of the batch, need about "
            f"{needed / 2**30:,.1f} GiB, and {there / 2**30:,.1f} GiB are free; choose more ranks, a smaller batch, "
            "narrower networks or --statistics phase"
        )


def with_surplus(memory: MemoryPlan) -> int:
    """Return what is planned and a quarter: libraries, fragmentation, temporary buffers."""
    return memory.total + memory.total // 4


class _Keeper:
    """Adds up the storages that autograd saves, each once, leaving out what is ``known``: weights, for example."""

    def __init__(self, known: set[int]) -> None:
        self.known = known
        self.kept: list[Tensor] = []  # holds the storages, so that none is freed and its address reused
        self.bytes = self.largest = self._peak = 0

    def __call__(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self.known:
            self.known.add(storage._cdata)
            self.kept.append(tensor)
            self.bytes += storage.nbytes()
            self.largest = max(self.largest, storage.nbytes())
        return tensor

    @property
    def most(self) -> int:
        """The largest number of bytes that lie there at once."""
        return max(self._peak, self.bytes)

    @contextlib.contextmanager
    def block(self) -> Iterator[None]:
        """Count what a block saves as there again while the backward pass is in it, beside its largest gradient.

        What is kept throughout is freed before such gradients matter; here they come when most is there.
        """
        inside = _Keeper(set(self.known))
        with torch.autograd.graph.saved_tensors_hooks(inside, lambda t: t):
            yield
        self._peak = max(self._peak, self.bytes + inside.bytes + inside.largest)


@contextlib.contextmanager
def _kept(networks: dict[str, Recomputing], config: TrainingConfig, narrow: torch.dtype | None) -> Iterator[_Keeper]:
    """Count what the backward pass keeps of these networks, the recomputed ones among them."""
    keeper = _Keeper({p.untyped_storage()._cdata for network in networks.values() for p in network.parameters()})
    for name in networks.keys() & set(config.recompute):
        networks[name].recompute = Recomputation(first=keeper.block)
    with torch.autograd.graph.saved_tensors_hooks(keeper, lambda t: t), _autocast(narrow):
        yield keeper


def _kept_by_discriminator(
    discriminator: Discriminator, config: TrainingConfig, images: int, narrow: torch.dtype | None
) -> int:
    x = torch.empty(images, config.model.channels, *config.model.resolution, device="meta")
    labels = torch.zeros(images, dtype=torch.int64, device="meta")
    with _kept({"discriminator": discriminator}, config, narrow) as keeper:
        discriminator(x, labels)
    return keeper.most


def _kept_by_generator(
    generator: Generator, discriminator: Discriminator, config: TrainingConfig, images: int, narrow: torch.dtype | None
) -> int:
    discriminator.requires_grad_(False)
    z = torch.empty(images, config.model.z_size, device="meta")
    labels = torch.zeros(images, dtype=torch.int64, device="meta")
    with _kept({"generator": generator, "discriminator": discriminator}, config, narrow) as keeper:
        discriminator(generator(z, labels), labels)
    discriminator.requires_grad_(True)
    return keeper.most


def _kept_by_whole_share(
    networks: Networks, config: TrainingConfig, part: BatchPlan, narrow: torch.dtype | None
) -> int:
    """Return what lies there when G was run on a rank's share, D on a micro-batch of it, or G runs again."""
    z = torch.empty(part.share, config.model.z_size, device="meta")
    labels = torch.zeros(part.share, dtype=torch.int64, device="meta")
    with _kept({"generator": networks.generator}, config, narrow) as of_generator:
        images = networks.generator(z, labels)
    seen = images.detach()[: part.micro_batch].requires_grad_()
    networks.discriminator.requires_grad_(False)
    with _kept({"discriminator": networks.discriminator}, config, narrow) as of_discriminator:
        networks.discriminator(seen, labels[: part.micro_batch])
    networks.discriminator.requires_grad_(True)
    gradients = _bytes_of_images(config, part.share)
    return max(of_generator.most, of_generator.bytes + of_discriminator.most) + gradients


def _kept_with_terms(
    networks: Networks, config: TrainingConfig, images: dict[str, int], narrow: torch.dtype | None
) -> int:
    """Return what lies there when all terms at once have made their further passes; 0 if none looks at images.

    They are run without data, as the networks are, so that a term need not say what it keeps. One of a user's own that
    cannot is left out.
    """
    terms = {name: term for name, term in parse_terms(config.terms).items() if on_stage(term) and term.weight.most}
    for term in terms.values():
        term.begin(torch.device("meta"))
    most = 0
    for phase in PHASES:
        acting = [Acting(name, term, term.weight.most) for name, term in terms.items() if phase in term.phases]
        if not acting or (phase == "generator" and config.statistics == "exact"):
            continue
        networks.generator.requires_grad_(phase == "generator")
        networks.discriminator.requires_grad_(phase == "discriminator")
        with _kept(networks._asdict(), config, narrow) as keeper:
            try:
                _put_on_stage(networks, config, phase, acting, images[phase])
            except RuntimeError:
                if config.step is None:
                    raise
        most = max(most, keeper.most)
    for network in networks:
        network.requires_grad_(True)
    return most


def _put_on_stage(networks: Networks, config: TrainingConfig, phase: Phase, acting: list[Acting], images: int) -> None:
    """Let a micro-batch without data be made and judged, and terms look at it."""
    G, D = networks
    z = torch.empty(images, config.model.z_size, device="meta")
    labels = torch.zeros(images, dtype=torch.int64, device="meta")
    reals = torch.empty(images, config.model.channels, *config.model.resolution, dtype=torch.uint8, device="meta")
    stage = Stage(
        phase=phase,
        G=G,
        D=D.judge,
        both=judge_together,
        acting=acting,
        sums={},
        seed=0,
        clock=0,
        generator=G,
        discriminator=D,
        plainly=D.judge,
        compares=pairs(config.loss),
    )
    with torch.set_grad_enabled(phase == "generator"):
        fakes = G(z, labels)
    seen = (reals, labels) if phase == "discriminator" or stage.needs_reals else ()
    scene = stage.scene(fakes, z, labels, torch.arange(images, device="meta"), *seen)
    scene.total(scene.on_fakes.score.mean())


def _bytes_of_images(config: TrainingConfig, count: int) -> int:
    height, width = config.model.resolution
    return 4 * count * config.model.channels * height * width


def _autocast(narrow: torch.dtype | None) -> torch.autocast:
    # Autocast follows the device of the tensors, and has no rules for "meta"; the CPU's are near enough.
    return torch.autocast("cpu", dtype=narrow or torch.bfloat16, enabled=narrow is not None)


class _FusedAttention(TorchFunctionMode):
    """Lets attention without data keep what it does on a device, and not the matrix of pairs where that is fused."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Put :class:`_Attended` in the place of attention that is fused on the device."""
        if func is F.scaled_dot_product_attention:
            queries, keys, values = args
            pairs = queries.shape[2] * keys.shape[2]
            if self.device == "cuda" or (self.device == "cpu" and pairs >= LARGE):
                widths = fused_widths(keys.shape[3], values.shape[3], pairs, self.device, queries.dtype)
                return _Attended.apply(queries, keys, values, *widths)
        return func(*args, **(kwargs or {}))


class _Attended(torch.autograd.Function):
    """What a fused kernel keeps: its inputs as wide as it takes them, its output, and a number a row."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, values: Tensor, for_keys: int, for_values: int) -> Tensor:
        """Return [N, 1, Q, v], without data."""
        inputs = [
            rows if rows.shape[3] == width else rows.new_empty(*rows.shape[:3], width)
            for rows, width in ((queries, for_keys), (keys, for_keys), (values, for_values))
        ]
        output = queries.new_empty(*queries.shape[:3], for_values)
        ctx.save_for_backward(*inputs, output, queries.new_empty(queries.shape[:3], dtype=torch.float32))
        return output[..., : values.shape[3]]
