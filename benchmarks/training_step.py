"""Images a second and peak memory of training steps; with ``--against`` also those of BigGAN-PyTorch, in the same run.

Usage:
    python benchmarks/training_step.py --presets digits biggan-pytorch-bs256x8 --width 16 --micro-batch 8
    python benchmarks/training_step.py --against PATH_OF_A_CLONE --presets biggan-pytorch-cifar10 --width 16

An iteration is what a preset makes of one micro-batch without accumulation: its D steps and one G step, average
included. Ours and theirs alternate, iteration by iteration, so that whatever else the machine does hits both; medians
are reported. Memory is the peak that PyTorch allocated on a GPU; on a CPU that of a fresh process, PyTorch included.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch

from biggan.foundation.devices import choose_device
from biggan.layers.recomputing import Recomputation
from biggan.losses.adversarial import ADVERSARIAL_LOSSES
from biggan.models.architecture import Architecture
from biggan.models.contract import build, count_parameters
from biggan.presets.registry import get_preset
from biggan.training.configuration import TrainingConfig
from biggan.training.ema import MovingAverage
from biggan.training.engine import Engine
from biggan.training.optimizers import make_adam
from biggan.training.resolving import resolve
from biggan.training.state import TrainState
from biggan.training.step import DiscriminatorBatch, GeneratorBatch, Objective, StepInputs, train_step

Iteration = Callable[[], None]


def shrunk(config: TrainingConfig, width: int | None, micro_batch: int | None) -> TrainingConfig:
    """Return the preset at another width and micro-batch, one micro-batch an update."""
    model = config.model
    if width is not None:
        model = dataclasses.replace(model, generator_width=width, discriminator_width=width)
    batch = micro_batch or config.micro_batch or config.batch
    return resolve(dataclasses.replace(config, model=model, batch=batch, micro_batch=batch), None, 1)


def ours(config: TrainingConfig, device: torch.device, narrow: torch.dtype | None) -> Iteration:
    """Return one iteration of this package on random images."""
    networks = build(config.model)
    for name in config.recompute:
        getattr(networks, name).recompute = Recomputation()
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    G, D = (network.to(device, memory_format=layout).train() for network in networks)
    state = TrainState(
        networks={"generator": G, "discriminator": D},
        optimizers={
            "generator": make_adam(G, config.generator_adam),
            "discriminator": make_adam(D, config.discriminator_adam),
        },
        average=MovingAverage(config.ema, G),
    )
    engine, objective = Engine(device=device, narrow=narrow), Objective(loss=ADVERSARIAL_LOSSES[config.loss]())
    x, y, z = draws(config.model, config.batch, device)
    inputs = StepInputs(
        discriminator=tuple(DiscriminatorBatch(x, y, z, y) for _ in range(config.discriminator_steps)),
        generator=GeneratorBatch(z, y),
        batch=config.batch,
        generator_batch=config.batch,
        images_seen=config.batch,
    )

    def iteration() -> None:
        train_step(state, inputs, objective, engine)

    return iteration


def draws(model: Architecture, batch: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return random images, labels and latents."""
    x = torch.randint(256, (batch, model.channels, *model.resolution), dtype=torch.uint8, device=device)
    return (
        x,
        torch.randint(max(model.classes, 1), (batch,), device=device),
        torch.randn(batch, model.z_size, device=device),
    )


def theirs(path: Path, config: TrainingConfig, device: torch.device) -> Iteration:
    """Return one iteration of BigGAN-PyTorch, by its own networks and its own step."""
    sys.path.insert(0, str(path))
    try:
        import train_fns
        import utils

        module = __import__("BigGANdeep" if config.model.family == "biggan-deep" else "BigGAN")
    finally:
        sys.path.remove(str(path))
    options = options_of(config)
    G = module.Generator(**options).to(device).train()
    D = module.Discriminator(**options).to(device).train()
    average = module.Generator(**{**options, "skip_init": True, "no_optim": True}).to(device)
    ema = utils.ema(G, average, config.ema.decay, 0)
    x, y, z = draws(config.model, config.batch, device)
    z_, y_ = _Whole(z), _Whole(y)
    step = train_fns.GAN_training_function(G, D, module.G_D(G, D), z_, y_, ema, {"itr": 1}, options)
    images = torch.cat([x.float() / 127.5 - 1] * config.discriminator_steps)
    labels = torch.cat([y] * config.discriminator_steps)

    def iteration() -> None:
        step(images, labels)

    return iteration


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
        "batch_size": config.batch,
        "num_D_steps": config.discriminator_steps,
        "num_D_accumulations": 1,
        "num_G_accumulations": 1,
        "split_D": False,
        "toggle_grads": True,
        "D_ortho": 0.0,
        "G_ortho": 0.0,
        "ema": True,
    }


def measure(
    iterations: dict[str, Iteration], device: torch.device, warm_up: int, repeats: int
) -> dict[str, list[float]]:
    """Return the seconds of each repetition, ours and theirs alternating."""
    seconds: dict[str, list[float]] = {name: [] for name in iterations}
    for number in range(warm_up + repeats):
        for name, iteration in iterations.items():
            synchronize(device)
            began = time.perf_counter()
            iteration()
            synchronize(device)
            if number >= warm_up:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(make: Callable[[], Iteration], device: torch.device) -> int:
    """Return the most bytes that two iterations held: allocated by PyTorch on a GPU, else resident in a process."""
    if device.type != "cuda":
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(_resident, make).result()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    iteration = make()
    iteration()
    iteration()
    return int(torch.cuda.max_memory_allocated(device) - before)


def _resident(make: Callable[[], Iteration]) -> int:
    """Return the most bytes that this process held over two iterations, PyTorch itself included."""
    iteration = make()
    iteration()
    iteration()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["digits", "biggan-pytorch-cifar10", "biggan-pytorch-bs256x8"])
    parser.add_argument("--width", type=int, help="channel multiplier of both networks; the preset's own by default")
    parser.add_argument("--micro-batch", type=int, help="images at once; the preset's own by default")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--recompute", action="store_true", help="also measure ours with --recompute of both networks")
    parser.add_argument("--against", type=Path, help="a clone of BigGAN-PyTorch, measured in the same run")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    options = parser.parse_args()
    device = choose_device(options.device)
    narrow = torch.bfloat16 if options.precision == "bfloat16" else None
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU"
    results: dict[str, Any] = {
        "device": name,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "precision": options.precision,
        "presets": {},
    }
    for preset in options.presets:
        default_width, default_batch = (16, 8) if device.type == "cpu" and preset != "digits" else (None, None)
        config = shrunk(
            get_preset(preset).build(), options.width or default_width, options.micro_batch or default_batch
        )
        makers: dict[str, Callable[[], Iteration]] = {"ours": partial(ours, config, device, narrow)}
        if options.recompute:
            makers["recomputed"] = partial(
                ours, dataclasses.replace(config, recompute=("generator", "discriminator")), device, narrow
            )
        if options.against is not None and config.model.resolution[0] == config.model.resolution[1] >= 32:
            makers["theirs"] = partial(theirs, options.against, config, device)
        memory = {title: peak_memory(make, device) for title, make in makers.items()}
        seconds = measure({title: make() for title, make in makers.items()}, device, options.warm_up, options.repeats)
        images = config.batch * config.discriminator_steps
        networks = build(config.model)
        entry: dict[str, Any] = {
            "width": [config.model.generator_width, config.model.discriminator_width],
            "micro_batch": config.batch,
            "parameters": [count_parameters(network) for network in networks],
        }
        for title, values in seconds.items():
            entry[title] = {
                "images_per_second": images / statistics.median(values),
                "seconds": sorted(values),
                "peak_bytes": memory[title],
            }
        if "theirs" in entry:
            entry["ratio"] = entry["ours"]["images_per_second"] / entry["theirs"]["images_per_second"]
        results["presets"][preset] = entry
        shown = ", ".join(
            f"{title} {entry[title]['images_per_second']:.1f} images/s, {memory[title] / 2**20:,.0f} MiB"
            for title in seconds
        )
        ratio = f", ratio {entry['ratio']:.2f}" if "ratio" in entry else ""
        print(f"{preset} (width {entry['width'][0]}, {config.batch} images): {shown}{ratio}", flush=True)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=2) + "\n")
        print(options.out)


if __name__ == "__main__":
    main()
