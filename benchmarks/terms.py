"""What each term of the loss costs: time of an iteration with it over that of one without, and peak memory.

Usage:
    python benchmarks/terms.py --out benchmarks/results/terms_cpu.json
    python benchmarks/terms.py --terms lecam r1,every=16 --pairs 3

BigGAN at 32 px, width 16, 64 images, one D step, float32. With and without alternate, and ratios are of medians; a term
that acts in one of n updates is measured over n. Where no terms are named, each has a bound (``BOUNDS``), and the exit
status is 1 if one is above its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from biggan.foundation.devices import choose_device
from biggan.losses.terms import parse_terms
from biggan.presets.registry import get_preset
from biggan.training.configuration import TrainingConfig
from floors import CORES, PAIRS
from iterations import Iteration, ours
from machine import describe
from training_step import measure, peak_memory, shrunk

BOUNDS = {
    "lecam,start=1": 1.02,
    "d-flood": 1.02,
    "diffaugment": 1.10,
    "r1,every=16": 1.10,
    "cr": 1.30,
    "ada,p=0.5": 1.35,
    "bcr": 1.55,
}
"""Terms with their options, and how many times as long an iteration may take."""


def configuration(word: str | None) -> TrainingConfig:
    """Return the setting, with one term or none."""
    config = get_preset("biggan-pytorch-cifar10").build()
    model = dataclasses.replace(config.model, generator_init="normal", discriminator_init="normal")
    words = () if word is None else (word,)
    config = dataclasses.replace(config, model=model, discriminator_steps=1, compile="off", terms=words)
    return shrunk(config, 16, 64, 1)


def repeated(make: Callable[[], Iteration], times: int) -> Iteration:
    """Return what iterates several times at once."""
    iteration = make()

    def several() -> None:
        for _ in range(times):
            iteration()

    return several


def measured(word: str, device: torch.device, pairs: int) -> dict[str, Any]:
    """Measure one term beside the plain step."""
    makers = {name: partial(ours, configuration(each), device) for name, each in (("plain", None), ("term", word))}
    (term,) = parse_terms([word]).values()
    held = {name: peak_memory(make, device) for name, make in makers.items()}
    seconds = measure({name: repeated(make, term.every) for name, make in makers.items()}, device, 1, pairs)
    medians = {name: statistics.median(values) / term.every for name, values in seconds.items()}
    return {
        "ratio": medians["term"] / medians["plain"],
        "seconds": medians,
        "peak_bytes": held,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--terms", nargs="+", default=[])
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    options = parser.parse_args()
    device = choose_device(options.device)
    if device.type == "cpu":
        torch.set_num_threads(CORES)
    results: dict[str, Any] = {**describe(device), "precision": "float32", "terms": {}}
    above = 0
    for word in options.terms or BOUNDS:
        found = measured(word, device, options.pairs)
        bound = BOUNDS.get(word) if not options.terms else None
        above += bound is not None and found["ratio"] > bound
        memory = " -> ".join(f"{held / 2**20:,.0f}" for held in found["peak_bytes"].values())
        said = "" if bound is None else f", at most {bound:.2f}: {'held' if found['ratio'] <= bound else 'ABOVE'}"
        print(f"{word}: {found['ratio']:.3f} times plain{said}; peak {memory} MiB", flush=True)
        results["terms"][word] = found | ({} if bound is None else {"bound": bound})
        if options.out is not None:  # after each, so that nothing is lost when the next one fails
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(results, indent=2) + "\n")
    return int(above > 0)


if __name__ == "__main__":
    raise SystemExit(main())
