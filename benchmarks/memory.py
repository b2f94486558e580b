"""What ``--dry-run`` says of memory, beside how much a process grows by its first two iterations, on a CPU.

Growth is that of resident memory, from just before the first iteration to the peak of the second, each model in a
process of its own. The C library keeps pieces that were freed; it is told to give back all above 64 KiB, and the growth
with its own rule is printed beside. Exits with 1 if the estimate is off by more than ``--within``. Linux only.

    python benchmarks/memory.py [--out benchmarks/results/memory_cpu.json]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from biggan.presets.registry import get_preset
from biggan.training.batches import plan
from biggan.training.configuration import TrainingConfig
from biggan.training.planning import plan_memory
from iterations import ours
from machine import describe
from report import Report

GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}


@dataclass(frozen=True)
class Case:
    """A model that grows by half a GiB or more."""

    preset: str
    width: int
    batch: int


CASES = (
    Case("biggan-pytorch-bs256x8", 32, 8),
    Case("biggan-deep-128", 32, 8),
    Case("biggan-pytorch-cifar10", 32, 80),
    Case("mmgen-sngan-32", 128, 80),
)


def configured(case: Case) -> TrainingConfig:
    """Return the run that is measured: one micro-batch an update, weights drawn quickly."""
    config = get_preset(case.preset).build()
    width = {"generator_width": case.width, "discriminator_width": case.width}
    quick = {"generator_init": "normal", "discriminator_init": "normal"}
    model = dataclasses.replace(config.model, **width, **quick)
    return dataclasses.replace(
        config, model=model, batch=case.batch, micro_batch=case.batch, generator_batch=None, device="cpu"
    )


def resident(name: str) -> int:
    """Return bytes: ``VmRSS`` now, ``VmHWM`` at the peak."""
    return int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0]) * 1024


def grown(case: Case) -> int:
    """Return by how many bytes this process grows in two iterations."""
    torch.set_num_threads(1)
    iteration = ours(configured(case), torch.device("cpu"))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    iteration()
    iteration()
    return resident("VmHWM") - before


def measured(case: Case, environment: dict[str, str]) -> int:
    """Return the growth of a process of its own."""
    command = [sys.executable, __file__, "--grow", case.preset, str(case.width), str(case.batch)]
    found = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True, timeout=1800
    )
    return int(found.stdout)


def planned(case: Case) -> dict[str, Any]:
    """Return what is reckoned of what comes with the first iterations: all but weights and average."""
    config = configured(case)
    memory = plan_memory(config, plan(config, 1))
    return {name: getattr(memory, name) for name in ("gradients", "adam", "activations")}


def main() -> int:
    """Measure all, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--within", type=float, default=0.15, help="share by which the estimate may be off")
    parser.add_argument("--cases", type=int, nargs="*", default=range(len(CASES)), help="numbers of models")
    parser.add_argument("--out", type=Path, help="JSON to write")
    parser.add_argument("--grow", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.grow:
        preset, width, batch = options.grow
        print(grown(Case(preset, int(width), int(batch))))
        return 0
    report = Report(options.out, float("inf"))
    report.put(json.dumps(describe(torch.device("cpu"))), describe(torch.device("cpu")), "machine")
    off = []
    for case in (CASES[number] for number in options.cases):
        parts = planned(case)
        expected, found, usual = sum(parts.values()), measured(case, GIVES_BACK), measured(case, {})
        name = f"{case.preset}, width {case.width}, {case.batch} images"
        entry = {"planned": parts, "growth": found, "growth_by_the_c_library": usual, "ratio": expected / found}
        report.put(
            f"{name}: planned {expected / 2**20:,.0f} MiB, grown by {found / 2**20:,.0f} ({expected / found:.2f}); "
            f"{usual / 2**20:,.0f} where freed pieces are kept",
            entry,
            name,
        )
        if abs(expected / found - 1) > options.within:
            off.append(name)
    if off:
        print(f"off by more than {options.within:.0%}: {'; '.join(off)}")
    return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main())
