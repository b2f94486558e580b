"""Images a second of sampling, as ``biggan sample`` draws, beside the generator of BigGAN-PyTorch in the same run.

Usage:
    python benchmarks/sampling.py --against PATH_OF_A_CLONE --out benchmarks/results/sampling_cpu.json
    python benchmarks/sampling.py --against PATH_OF_A_CLONE --settings 128px-1 --pairs 3 --ours plain compiled
    python benchmarks/sampling.py --against PATH_OF_A_CLONE --preset biggan-pytorch-cifar10 --batch 4 --floor 1

Ours is drawn from seeds and labels to bytes, weights divided by their singular values once for all batches; theirs is
the forward alone, on latents that are there already, and as it comes: it divides in each. Weights are fresh, of the
same shapes. Ours and theirs alternate, batch by batch; ratios are of medians. The exit status is 1 if one is below its
floor (``floors.py``), which is that of ours as it draws by default; other ways are only told.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from biggan.foundation.compiling import Compiler
from biggan.foundation.devices import choose_device
from biggan.models.contract import Generator, build_generator, count_parameters
from biggan.models.snapshot import SnapshotInfo
from biggan.presets.registry import get_preset
from biggan.sampling.draw import divided_once
from biggan.sampling.sampler import Sampler, placed
from biggan.training.configuration import TrainingConfig
from floors import CORES, PAIRS, SAMPLING, SamplingSetting, Verdict
from floors import speed as judge_speed
from iterations import draws, their_generator
from machine import describe
from training_step import measure

LAYOUTS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
WAYS = ("plain", *LAYOUTS, "compiled")
"""As ``biggan sample`` draws, with filters that lie as usual or channels last, and by ``--compile``."""


def configuration(setting: SamplingSetting) -> TrainingConfig:
    """Return the preset at a width, with weights that are quickly drawn: no speed depends on them."""
    config = get_preset(setting.preset).build()
    model = dataclasses.replace(
        config.model, generator_width=setting.width, generator_init="normal", discriminator_init="normal"
    )
    return dataclasses.replace(config, model=model, batch=setting.batch, micro_batch=setting.batch)


def drawing(way: str, generator: Generator, setting: SamplingSetting) -> Callable[[], None]:
    """Return what draws one batch."""
    info = SnapshotInfo(
        architecture=generator.architecture, class_names=(), weights="generator", images_seen=0, iterations=0
    )
    sampler = Sampler(generator, info, compiler=Compiler(tell=print) if way == "compiled" else None)
    classes, seeds = [i % generator.architecture.classes for i in range(setting.batch)], range(setting.batch)

    def draw() -> None:
        sampler.sample(classes, seeds, chunk=setting.batch)

    return draw


def measured(
    name: str, setting: SamplingSetting, options: argparse.Namespace, device: torch.device
) -> tuple[dict[str, Any], list[Verdict]]:
    """Measure one setting; return what is written of it, and ratios beside their floors."""
    config = configuration(setting)
    made = build_generator(config.model).eval()
    theirs = their_generator(options.against, config, device)
    _, y, z = draws(config.model, setting.batch, device)
    with contextlib.ExitStack() as held:
        drawn: dict[str, Callable[[], object]] = {}
        by_layout: dict[torch.memory_format | None, Generator] = {}
        for way in options.ours:
            layout = LAYOUTS.get(way)
            if layout not in by_layout:
                copied = build_generator(config.model).eval()
                copied.load_state_dict(made.state_dict())
                own = placed(copied, device) if layout is None else copied.to(device, memory_format=layout)
                held.enter_context(divided_once(own))
                by_layout[layout] = own
            drawn[way] = drawing(way, by_layout[layout], setting)
        drawn["theirs"] = lambda: theirs(z, y)
        seconds = measure(drawn, device, options.warm_up, options.pairs or setting.pairs)
    entry: dict[str, Any] = {
        "preset": setting.preset,
        "width": setting.width,
        "batch": setting.batch,
        "parameters": count_parameters(made),
    }
    for title, values in seconds.items():
        entry[title] = {"images_per_second": setting.batch / statistics.median(values), "seconds": sorted(values)}
    verdicts = [
        judge_speed(f"{name}, {way}", seconds[way], seconds["theirs"], setting.floor if way == "plain" else None)
        for way in options.ours
    ]
    entry["floors"] = [verdict.entry() for verdict in verdicts]
    return entry, verdicts


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, required=True, help="a clone of BigGAN-PyTorch")
    parser.add_argument("--settings", nargs="+", choices=SAMPLING, default=list(SAMPLING), help="with floors")
    parser.add_argument("--preset", help="measure this instead, at --width, --batch and --floor")
    parser.add_argument("--width", type=int, default=16, help="of --preset: channel multiplier")
    parser.add_argument("--batch", type=int, default=1, help="of --preset: images at a time")
    parser.add_argument("--floor", type=float, default=0.0, help="of --preset: how many times theirs ours must be")
    parser.add_argument("--ours", nargs="+", choices=WAYS, default=["plain"], help="how ours draws")
    parser.add_argument("--pairs", type=int, help="batches of each side; the setting's own by default")
    parser.add_argument("--warm-up", type=int, default=1)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    return parser.parse_args()


def main() -> int:
    options = parsed()
    device = choose_device(options.device)
    chosen = {name: SAMPLING[name] for name in options.settings}
    if options.preset is not None:
        own = SamplingSetting(
            preset=options.preset, width=options.width, batch=options.batch, pairs=PAIRS, floor=options.floor
        )
        chosen = {f"{options.preset}-{options.batch}": own}
    elif device.type == "cpu":
        torch.set_num_threads(CORES)
    results: dict[str, Any] = {**describe(device), "precision": "float32", "settings": {}}
    below = 0
    for name, setting in chosen.items():
        entry, verdicts = measured(name, setting, options, device)
        speeds = {title: found["images_per_second"] for title, found in entry.items() if isinstance(found, dict)}
        print(f"{name}: {', '.join(f'{title} {speed:.3g} images/s' for title, speed in speeds.items())}")
        print("".join(f"  {verdict}\n" for verdict in verdicts), end="", flush=True)
        below += sum(not verdict.held for verdict in verdicts)
        results["settings"][name] = entry
        if options.out is not None:  # after each, so that nothing is lost when the next one fails
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(results, indent=2) + "\n")
    if options.out is not None:
        print(options.out)
    return int(below > 0)


if __name__ == "__main__":
    raise SystemExit(main())
