"""What each term of the loss costs: time of an iteration with it over that of one without, and peak memory.

Usage:
    python benchmarks/terms.py --out benchmarks/results/terms_cpu.json
    python benchmarks/terms.py --terms lecam r1,every=16 --pairs 3
    python benchmarks/terms.py --terms all --pairs 5 --out benchmarks/results/terms_all_cpu.json  # goes on, if cut off

BigGAN at 32 px, width 16, 64 images, one D step, float32. With and without alternate, and the ratio is the median of
those of the pairs; a term that acts in one of n updates is measured over n. Where no terms are named, each has a bound
(``BOUNDS``), and the exit status is 1 if one is above its own. ``health`` is a whole digits run, looks at its health as
far apart as by default, over one without looks, alternating likewise: some twenty minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from biggan.foundation.devices import choose_device
from biggan.losses.terms import TERMS, parse_terms
from biggan.presets.registry import get_preset
from biggan.training.configuration import TrainingConfig
from biggan.training.health.configuration import HealthConfig
from biggan.training.setup import train
from floors import CORES, PAIRS
from iterations import Iteration, ours
from machine import describe
from training_step import measure, peak_memory, shrunk

BOUNDS = {
    "lecam,start=1": 1.02,
    "d-flood": 1.02,
    "g-flood": 1.02,
    "diffaugment": 1.10,
    "r1,every=16": 1.10,
    "cr": 1.30,
    "ada,p=0.5": 1.35,
    "bcr": 1.55,
    "health": 1.03,
}
"""Terms with their options, and how many times as long an iteration may take."""
HEALTH = "health"


def configuration(word: str | None) -> TrainingConfig:
    """Return the setting, with one term or none; D has its head too, if it reads one, beside the projection."""
    config = get_preset("biggan-pytorch-cifar10").build()
    words = () if word is None else (word,)
    heads = (*config.model.discriminator_heads, *(term.head for term in parse_terms(words).values() if term.head))
    model = dataclasses.replace(
        config.model, generator_init="normal", discriminator_init="normal", discriminator_heads=heads
    )
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
    return compared(seconds, term.every) | {"peak_bytes": held, "pairs": pairs}


def compared(seconds: dict[str, list[float]], times: int) -> dict[str, Any]:
    """Return the ratio of what was measured by pairs, and medians of one iteration."""
    pairs = zip(seconds["term"], seconds["plain"], strict=True)
    return {
        "ratio": statistics.median(term / plain for term, plain in pairs),
        "seconds": {name: statistics.median(values) / times for name, values in seconds.items()},
    }


def digits(looks: bool) -> float:
    """Return the seconds of a whole digits run, with all that it does by default, or all but looks at its health."""
    config = dataclasses.replace(get_preset("digits").build(), device="cpu")
    if not looks:
        config = dataclasses.replace(config, health=HealthConfig(every=0))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        begin = time.perf_counter()
        train(dataclasses.replace(config, run_dir=f"{folder}/run"), "digits")
        return time.perf_counter() - begin


def looked_at(pairs: int) -> dict[str, Any]:
    """Measure whole digits runs with and without looks at their health, by turns."""
    seconds: dict[str, list[float]] = {"plain": [], "term": []}
    digits(looks=True)  # what is loaded at first use, and the features of the judge, which are kept
    for pair in range(pairs):
        for name in ("plain", "term") if pair % 2 else ("term", "plain"):
            seconds[name].append(digits(looks=name == "term"))
    return compared(seconds, 1) | {"pairs": pairs}


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
    if options.out is not None and options.out.exists():
        results["terms"] = json.loads(options.out.read_text())["terms"]
    above = 0
    words = list(TERMS) if options.terms == ["all"] else options.terms
    for word in words or BOUNDS:
        if words and word in results["terms"]:
            continue
        found = looked_at(options.pairs) if word == HEALTH else measured(word, device, options.pairs)
        bound = BOUNDS.get(word) if not options.terms else None
        above += bound is not None and found["ratio"] > bound
        memory = " -> ".join(f"{held / 2**20:,.0f}" for held in found.get("peak_bytes", {}).values()) or "not measured,"
        said = "" if bound is None else f", at most {bound:.2f}: {'held' if found['ratio'] <= bound else 'ABOVE'}"
        print(f"{word}: {found['ratio']:.3f} times plain{said}; peak {memory} MiB", flush=True)
        results["terms"][word] = found | ({} if bound is None else {"bound": bound})
        if options.out is not None:  # after each, so that nothing is lost when the next one fails
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(results, indent=2) + "\n")
    return int(above > 0)


if __name__ == "__main__":
    raise SystemExit(main())
