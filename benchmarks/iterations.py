"""One iteration of training, ours and BigGAN-PyTorch's, on random images. Needs torch, numpy and safetensors alone.

What BigGAN-PyTorch imports to read data is replaced by stand-ins where it is not installed: a step reads none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from biggan.foundation.compiling import Compiler
from biggan.foundation.courses import constant
from biggan.losses.adversarial import ADVERSARIAL_LOSSES
from biggan.losses.orthogonal import DiscriminatorOrthogonal, Orthogonal
from biggan.losses.terms import parse_terms
from biggan.models.architecture import Architecture
from biggan.models.contract import build
from biggan.training.configuration import TrainingConfig
from biggan.training.ema import MovingAverage
from biggan.training.engine import Engine
from biggan.training.optimizers import make_adam
from biggan.training.state import TrainState
from biggan.training.step import (
    DiscriminatorBatch,
    GeneratorBatch,
    Objective,
    StepInputs,
    train_discriminator,
    train_step,
)
from machine import Turns

Iteration = Callable[[], None]
THEIR_SIZES = {"biggan": (32, 64, 128, 256), "biggan-deep": (32, 64, 128, 256)}
"""Squares for which BigGAN-PyTorch has both networks."""
_READERS = ("torchvision", "torchvision.transforms", "torchvision.datasets", "torchvision.datasets.utils")


class PatientCompiler(Compiler):
    """Leaves the device to other programs while it compiles."""

    def _compiled(self, graph: Any, inputs: Any) -> Any:
        with Turns.without_device():
            return super()._compiled(graph, inputs)


def make_engine(config: TrainingConfig, device: torch.device) -> Engine:
    """Return how updates are carried out: the one place where a benchmark chooses options of the engine."""
    terms = {
        "orthogonal": Orthogonal(weight=constant(config.generator_orthogonal)),
        "d-orthogonal": DiscriminatorOrthogonal(weight=constant(config.discriminator_orthogonal)),
        **parse_terms(config.terms),
    }
    for term in terms.values():
        term.begin(device)
    return Engine(
        device=device,
        accumulation={"discriminator": parts_of(config)},
        terms=terms,
        narrow=torch.bfloat16 if config.precision == "bfloat16" else None,
        spectral_norm=config.spectral_norm,
        statistics=config.statistics,
        compiler=PatientCompiler(cuda_graphs=config.cuda_graphs, tell=print) if config.compile == "on" else None,
    )


def parts_of(config: TrainingConfig) -> int:
    """Return how many micro-batches an update has."""
    return -(-config.batch // (config.micro_batch or config.batch))


@dataclass
class Ours:
    """An iteration of this package: called, its D steps, its G step and the average."""

    state: TrainState
    inputs: StepInputs
    objective: Objective
    engine: Engine

    def __call__(self) -> None:
        """Train for one iteration."""
        train_step(self.state, self.inputs, self.objective, self.engine)
        self.state.iterations += 1  # terms may act in some only

    def discriminator_phase(self) -> None:
        """Train D alone for one iteration."""
        train_discriminator(self.state, self.inputs, self.objective, self.engine)


def ours(config: TrainingConfig, device: torch.device) -> Ours:
    """Return one iteration of this package on random images."""
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    networks = build(config.model)
    G, D = (network.to(device, memory_format=layout).train() for network in networks)
    state = TrainState(
        networks={"generator": G, "discriminator": D},
        optimizers={
            "generator": make_adam(G, config.generator_adam),
            "discriminator": make_adam(D, config.discriminator_adam),
        },
        average=MovingAverage(config.ema, G),
    )
    return Ours(
        state,
        random_inputs(config, device),
        Objective(loss=ADVERSARIAL_LOSSES[config.loss]()),
        make_engine(config, device),
    )


def random_inputs(config: TrainingConfig, device: torch.device) -> StepInputs:
    """Return what an iteration consumes, on the device."""
    x, y, z = draws(config.model, config.batch, device)
    return StepInputs(
        discriminator=tuple(DiscriminatorBatch(x, y, z, y) for _ in range(config.discriminator_steps)),
        generator=GeneratorBatch(z, y),
        batch=config.batch,
        generator_batch=config.batch,
        images_seen=config.batch,
    )


def draws(model: Architecture, batch: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return random images, labels and latents."""
    x = torch.randint(256, (batch, model.channels, *model.resolution), dtype=torch.uint8, device=device)
    return (
        x,
        torch.randint(max(model.classes, 1), (batch,), device=device),
        torch.randn(batch, model.z_size, device=device),
    )


def are_theirs(model: Architecture) -> bool:
    """Return whether BigGAN-PyTorch has these networks."""
    height, width = model.resolution
    return height == width and height in THEIR_SIZES.get(model.family, ())


def theirs(path: Path, config: TrainingConfig, device: torch.device) -> Iteration:
    """Return one iteration of BigGAN-PyTorch, by its own networks and its own step."""
    with _importable(path):
        import train_fns
        import utils

        module = __import__("BigGANdeep" if config.model.family == "biggan-deep" else "BigGAN")
    options = options_of(config)
    with contextlib.redirect_stdout(io.StringIO()):
        G = module.Generator(**options).to(device).train()
        D = module.Discriminator(**options).to(device).train()
        average = module.Generator(**{**options, "skip_init": True, "no_optim": True}).to(device)
        ema = utils.ema(G, average, config.ema.decay, 0)
    x, y, z = draws(config.model, config.batch, device)
    z_, y_ = _Whole(z[: options["batch_size"]]), _Whole(y[: options["batch_size"]])
    step = train_fns.GAN_training_function(G, D, module.G_D(G, D), z_, y_, ema, {"itr": 1}, options)
    images = torch.cat([x.float() / 127.5 - 1] * config.discriminator_steps)
    labels = torch.cat([y] * config.discriminator_steps)

    def iteration() -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # it tells at each step that it regularises
            step(images, labels)

    return iteration


def their_generator(path: Path, config: TrainingConfig, device: torch.device) -> Callable[..., torch.Tensor]:
    """Return the generator of BigGAN-PyTorch in evaluation, of latents and labels, as its own sampling calls it."""
    with _importable(path):
        module = __import__("BigGANdeep" if config.model.family == "biggan-deep" else "BigGAN")
    with contextlib.redirect_stdout(io.StringIO()):
        G = module.Generator(**options_of(config), no_optim=True).to(device).eval()

    @torch.no_grad()
    def draw(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        images: torch.Tensor = G(z, G.shared(y))
        return images

    return draw


@contextlib.contextmanager
def _importable(path: Path) -> Iterator[None]:
    """Let the modules of a clone be imported by their own names."""
    missing = [
        name for name in (*_READERS, "PIL", "tqdm", "h5py") if importlib.util.find_spec(name.partition(".")[0]) is None
    ]
    sys.path.insert(0, str(path))
    for name in missing:
        sys.modules[name] = _StandIn(name)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, sys.modules[name])
    try:
        yield
    finally:
        sys.path.remove(str(path))
        for name in missing:
            del sys.modules[name]


class _StandIn(types.ModuleType):
    """A module that is not installed; every name in it is a class that does nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _Whole(torch.Tensor):
    """A tensor that can be told to sample itself, which costs nothing here."""

    @staticmethod
    def __new__(cls, value: torch.Tensor) -> _Whole:
        return torch.Tensor._make_subclass(cls, value)

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def sample_(self) -> None:
        """Do nothing."""


def options_of(config: TrainingConfig) -> dict[str, Any]:
    """Return the options with which BigGAN-PyTorch builds and trains the same networks."""
    model = config.model
    inits = {"orthogonal": "ortho", "normal": "N02", "xavier": "xavier"}

    def attention(stages: tuple[Any, ...]) -> str:
        return "_".join(str(stage.height) for stage in stages if stage.attention) or "0"

    return {
        "resolution": model.resolution[0],
        "n_classes": model.classes,
        "dim_z": model.latent_size,
        "shared_dim": model.shared_embedding,
        "G_shared": bool(model.shared_embedding),
        "hier": model.hierarchical_latent,
        "G_ch": model.generator_width,
        "D_ch": model.discriminator_width,
        "G_depth": model.generator_depth,
        "D_depth": model.discriminator_depth,
        "D_wide": model.wide_discriminator,
        "G_attn": attention(model.generator_stages()),
        "D_attn": attention(model.discriminator_stages()),
        "G_init": inits[model.generator_init],
        "D_init": inits[model.discriminator_init],
        "G_activation": torch.nn.ReLU(inplace=True),
        "D_activation": torch.nn.ReLU(inplace=True),
        "BN_eps": model.norm_eps,
        "SN_eps": model.generator_spectral_norm.eps,
        "G_lr": config.generator_adam.learning_rate,
        "D_lr": config.discriminator_adam.learning_rate,
        "adam_eps": config.generator_adam.eps,
        "batch_size": config.batch // parts_of(config),
        "num_D_steps": config.discriminator_steps,
        "num_D_accumulations": parts_of(config),
        "num_G_accumulations": parts_of(config),
        "split_D": False,
        "toggle_grads": True,
        "D_ortho": config.discriminator_orthogonal,
        "G_ortho": config.generator_orthogonal,
        "ema": True,
    }


class _Still(torch.optim.Adam):
    """An optimizer that does nothing: the fused one has no form without data, and what it does is not counted."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Leave everything as it is."""


def floating_point_operations(config: TrainingConfig, images: int = 16) -> float:
    """Return the floating-point operations of products and convolutions for each real image of an iteration.

    The step itself is run on tensors without data. What does not depend on the number of images (power iterations,
    regularisers, Adam) is not counted, or as good as nothing.
    """
    from torch.utils.flop_counter import FlopCounterMode

    small = dataclasses.replace(config, batch=images, micro_batch=images, precision="float32")
    device = torch.device("meta")
    with device:
        networks = build(small.model)
        state = TrainState(
            networks={"generator": networks.generator.train(), "discriminator": networks.discriminator.train()},
            optimizers={
                "generator": _Still(networks.generator.parameters()),
                "discriminator": _Still(networks.discriminator.parameters()),
            },
            average=MovingAverage(small.ema, networks.generator),
        )
    engine = dataclasses.replace(make_engine(small, device), terms={})
    objective = Objective(loss=ADVERSARIAL_LOSSES[small.loss]())
    with FlopCounterMode(display=False) as counter:
        train_step(state, random_inputs(small, device), objective, engine)
    return counter.get_total_flops() / (images * small.discriminator_steps)
