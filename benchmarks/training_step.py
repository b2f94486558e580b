"""Images a second and peak memory of training steps; with ``--against`` also those of BigGAN-PyTorch, in the same run.

Usage:
    python benchmarks/training_step.py --against PATH_OF_A_CLONE
    python benchmarks/training_step.py --against PATH_OF_A_CLONE --settings 32px --pairs 3
    python benchmarks/training_step.py --presets digits biggan-pytorch-bs256x8 --width 16 --micro-batch 8
    python benchmarks/training_step.py --presets biggan-pytorch-cifar10 --width 16 --against PATH_OF_A_CLONE --floor 1

An iteration is what a preset makes of one update's micro-batches: its D steps and one G step, average included.
Ours and theirs alternate, iteration by iteration, so that whatever else the machine does hits both; medians
are reported. Memory is the peak that PyTorch allocated on a GPU; on a CPU that of a fresh process, PyTorch included.

With ``--against`` and no presets the settings of ``floors.py`` are measured, and each ratio is shown beside its floor.
The exit status is 1 if a ratio is below its floor, or if ours took more memory than theirs. Of presets it is so if
``--floor`` says how fast every way of ours must be.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
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
from floors import CORES, PAIRS, TRAINING, TrainingSetting, Verdict
from floors import memory as judge_memory
from floors import speed as judge_speed
from iterations import Iteration, are_theirs, ours, theirs
from machine import describe, most_resident, synchronize

WAYS: dict[str, dict[str, Any]] = {
    "ours": {},
    "phase": {"spectral_norm": "phase", "statistics": "phase"},
    "compiled": {"compile": "on"},
    "compiled-spectral-phase": {"spectral_norm": "phase", "compile": "on"},
    "compiled-phase": {"spectral_norm": "phase", "statistics": "phase", "compile": "on"},
}
"""How ours is run: the options in which a way differs from by forward, and not compiled."""
PLAIN: dict[str, Any] = {"spectral_norm": "forward", "statistics": "forward", "compile": "off"}


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


def peak_memory(make: Callable[[], Iteration], device: torch.device) -> int:
    """Return the most bytes that two iterations held: allocated by PyTorch on a GPU, else resident in a process."""
    if device.type != "cuda":
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(_resident, make, torch.get_num_threads()).result()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    iteration = make()
    iteration()
    iteration()
    return int(torch.cuda.max_memory_allocated(device) - before)


def _resident(make: Callable[[], Iteration], threads: int) -> int:
    """Return the most bytes that this process held over two iterations, PyTorch itself included."""
    torch.set_num_threads(threads)
    iteration = make()
    iteration()
    iteration()
    return most_resident()


def settings(options: argparse.Namespace, device: torch.device) -> dict[str, TrainingSetting | None]:
    """Return what is measured: settings with floors, or presets (None), which have none of their own."""
    if options.presets is not None:
        return dict.fromkeys(options.presets)
    if options.against is None:
        return dict.fromkeys(["digits", "biggan-pytorch-cifar10", "biggan-pytorch-bs256x8"])
    if device.type == "cpu":
        torch.set_num_threads(CORES)
    return {name: TRAINING[name] for name in options.settings or TRAINING}


def configuration(name: str, setting: TrainingSetting | None, options: argparse.Namespace, cpu: bool) -> TrainingConfig:
    """Return what is trained."""
    whole = dataclasses.replace(
        get_preset(setting.preset if setting else name).build(), precision=options.precision, **PLAIN
    )
    if setting is not None:
        return shrunk(whole, setting.width, setting.micro_batch, setting.parts)
    default_width, default_batch = (16, 8) if cpu and name != "digits" else (None, None)
    return shrunk(whole, options.width or default_width, options.micro_batch or default_batch, options.parts)


def measured(
    name: str, setting: TrainingSetting | None, options: argparse.Namespace, device: torch.device
) -> tuple[dict[str, Any], list[Verdict]]:
    """Measure one setting or preset; return what is written of it, and ratios beside their floors."""
    config = configuration(name, setting, options, device.type == "cpu")
    ways = options.ours or (list(setting.floors) if setting else ["ours"])
    makers: dict[str, Callable[[], Iteration]] = {}
    for way in ways:
        how = dataclasses.replace(config, **WAYS[way])
        makers[way] = partial(ours, how, device)
        if options.recompute:
            again = dataclasses.replace(how, recompute=("generator", "discriminator"))
            makers[f"{way}, recomputed"] = partial(ours, again, device)
    if options.against is not None and are_theirs(config.model):
        makers["theirs"] = partial(theirs, options.against, config, device)
    held = {title: peak_memory(make, device) for title, make in makers.items()} if options.memory else {}
    seconds = measure({title: make() for title, make in makers.items()}, device, options.warm_up, options.pairs)
    images = config.batch * config.discriminator_steps
    entry: dict[str, Any] = {
        "width": [config.model.generator_width, config.model.discriminator_width],
        "micro_batch": config.micro_batch,
        "micro_batches": config.batch // (config.micro_batch or config.batch),
        "parameters": [count_parameters(network) for network in build(config.model)],
    }
    for title, values in seconds.items():
        speed = images / statistics.median(values)
        entry[title] = {"images_per_second": speed, "seconds": sorted(values), "peak_bytes": held.get(title)}
    verdicts: list[Verdict] = []
    for way in ways if "theirs" in entry else ():
        floor = setting.floors.get(way) if setting else options.floor
        verdicts.append(judge_speed(f"{name}, {way}", seconds[way], seconds["theirs"], floor))
        if held:
            verdicts.append(judge_memory(f"{name}, {way}", held[way], held["theirs"], judged=floor is not None))
    if verdicts:
        speeds = [verdict for verdict in verdicts if verdict.kind == "speed"]
        entry["ratios"] = {way: verdict.ratio for way, verdict in zip(ways, speeds, strict=True)}
        entry["floors"] = [verdict.entry() for verdict in verdicts]
    return entry, verdicts


def shown(name: str, entry: dict[str, Any]) -> str:
    """Return a line about one setting or preset."""
    parts = []
    for title, found in entry.items():
        if isinstance(found, dict) and "seconds" in found:
            peak = f", {found['peak_bytes'] / 2**20:,.0f} MiB" if found["peak_bytes"] else ""
            parts.append(f"{title} {found['images_per_second']:.1f} images/s{peak}")
    size = f"width {entry['width'][0]}, {entry['micro_batches']} x {entry['micro_batch']} images"
    return f"{name} ({size}): {', '.join(parts)}"


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="a clone of BigGAN-PyTorch, measured in the same run")
    parser.add_argument("--settings", nargs="+", choices=TRAINING, help="with floors; all of them by default")
    parser.add_argument("--presets", nargs="+", help="measure these instead, by the options of size")
    parser.add_argument("--width", type=int, help="channel multiplier of both networks; the preset's own by default")
    parser.add_argument("--micro-batch", type=int, help="images at once; the preset's own by default")
    parser.add_argument("--parts", type=int, default=1, help="micro-batches an update")
    parser.add_argument("--floor", type=float, help="of presets: how many times theirs every way of ours must be")
    parser.add_argument("--ours", nargs="+", choices=WAYS, help="how ours is run; by default each way with a floor")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="iterations of each side")
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True, help="measure peak memory")
    parser.add_argument("--recompute", action="store_true", help="also measure ours with --recompute of both networks")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    options = parser.parse_args()
    if options.settings and (options.presets or options.against is None):
        parser.error("--settings: have floors, so they need --against, and no --presets")
    if options.floor is not None and (options.presets is None or options.against is None):
        parser.error("--floor: of --presets that are measured --against a clone; settings have their own")
    return options


def main() -> int:
    options = parsed()
    device = choose_device(options.device)
    chosen = settings(options, device)
    results: dict[str, Any] = {**describe(device), "precision": options.precision, "presets": {}}
    below = 0
    for name, setting in chosen.items():
        entry, verdicts = measured(name, setting, options, device)
        print(shown(name, entry))
        print("".join(f"  {verdict}\n" for verdict in verdicts), end="", flush=True)
        below += sum(not verdict.held for verdict in verdicts)
        results["presets"][name] = entry
        if options.out is not None:  # after each, so that nothing is lost when the next one fails
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(results, indent=2) + "\n")
    if options.out is not None:
        print(options.out)
    return int(below > 0)


if __name__ == "__main__":
    raise SystemExit(main())
