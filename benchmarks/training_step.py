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
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch

from biggan.foundation.devices import choose_device
from biggan.models.contract import build, count_parameters
from biggan.presets.registry import get_preset
from biggan.training.configuration import TrainingConfig
from biggan.training.resolving import resolve
from iterations import Iteration, are_theirs, ours, theirs

WAYS = ("ours", "phase", "compiled", "compiled-phase")
"""As the presets are, by phase, compiled, and both."""


def shrunk(config: TrainingConfig, width: int | None, micro_batch: int | None, parts: int) -> TrainingConfig:
    """Return the preset at another width and micro-batch, with ``parts`` micro-batches an update."""
    model = config.model
    if width is not None:
        model = dataclasses.replace(model, generator_width=width, discriminator_width=width)
    batch = micro_batch or config.micro_batch or config.batch
    return resolve(dataclasses.replace(config, model=model, batch=batch * parts, micro_batch=batch), None, 1)


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
    parser.add_argument("--parts", type=int, default=1, help="micro-batches an update")
    parser.add_argument("--ours", nargs="+", choices=WAYS, default=["ours"], help="how ours is run")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--recompute", action="store_true", help="also measure ours with --recompute of both networks")
    parser.add_argument("--against", type=Path, help="a clone of BigGAN-PyTorch, measured in the same run")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    options = parser.parse_args()
    device = choose_device(options.device)
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
        whole = dataclasses.replace(get_preset(preset).build(), precision=options.precision)
        config = shrunk(whole, options.width or default_width, options.micro_batch or default_batch, options.parts)
        makers: dict[str, Callable[[], Iteration]] = {}
        for title in options.ours:
            words = title.split("-")
            rhythm: Any = "phase" if "phase" in words else "forward"
            way: Any = "on" if "compiled" in words else "off"
            how = dataclasses.replace(config, spectral_norm=rhythm, statistics=rhythm, compile=way)
            makers[title] = partial(ours, how, device)
            if options.recompute:
                again = dataclasses.replace(how, recompute=("generator", "discriminator"))
                makers[f"{title}, recomputed"] = partial(ours, again, device)
        if options.against is not None and are_theirs(config.model):
            makers["theirs"] = partial(theirs, options.against, config, device)
        memory = {title: peak_memory(make, device) for title, make in makers.items()}
        seconds = measure({title: make() for title, make in makers.items()}, device, options.warm_up, options.repeats)
        images = config.batch * config.discriminator_steps
        networks = build(config.model)
        entry: dict[str, Any] = {
            "width": [config.model.generator_width, config.model.discriminator_width],
            "micro_batch": config.micro_batch,
            "micro_batches": options.parts,
            "parameters": [count_parameters(network) for network in networks],
        }
        for title, values in seconds.items():
            entry[title] = {
                "images_per_second": images / statistics.median(values),
                "seconds": sorted(values),
                "peak_bytes": memory[title],
            }
        if "theirs" in entry:
            speed = entry["theirs"]["images_per_second"]
            entry["ratios"] = {title: entry[title]["images_per_second"] / speed for title in options.ours}
        results["presets"][preset] = entry
        shown = ", ".join(
            f"{title} {entry[title]['images_per_second']:.1f} images/s, {memory[title] / 2**20:,.0f} MiB"
            for title in seconds
        )
        ratio = "".join(f", {title} {ratio:.2f} times theirs" for title, ratio in entry.get("ratios", {}).items())
        size = f"width {entry['width'][0]}, {options.parts} x {config.micro_batch} images"
        print(f"{preset} ({size}): {shown}{ratio}", flush=True)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=2) + "\n")
        print(options.out)


if __name__ == "__main__":
    main()
