"""What one GPU makes of a model: training, its phases, memory, share of what the device can do, sampling.

Usage:
    python benchmarks/gpu.py biggan-128 --against PATH_OF_A_CLONE --out benchmarks/results/gpu.json
    python benchmarks/gpu.py all --precision bfloat16 tf32
    python benchmarks/gpu.py biggan-256 --micro-batches 128 --rhythms phase --no-sampling
    python benchmarks/gpu.py biggan-128 --device cpu --tiny

An iteration is the training step: the preset's D steps of 256 real images each, one G step of 256, the average. It is
measured in micro-batches of several sizes, since the best one depends on the device; one that does not fit is noted.
The best is measured again with compiled networks (--no-compile leaves that out; --no-plain measures those alone,
at the first of --micro-batches). Of the best, and of compiled ones, one iteration is looked at by its kernels: how long
they compute, how long they move memory, and how long there is none. Images are random, and weights drawn from
N(0, 0.02), which no speed depends on. With ``--against`` the iteration of BigGAN-PyTorch is measured first, in the same
process, with TF32 and cudnn.benchmark, which is faster than as it comes. Medians, after two iterations of warming up.
Results are printed and written after every part, so that nothing is lost when time runs out. Several of these programs
may share a device: with the same file after ``--turns`` they warm up and compile side by side, and measure one at a
time. Needs torch, numpy and safetensors alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from bench import MODELS, PRECISIONS, RHYTHMS, Bench, bandwidth, clear, configuration
from iterations import are_theirs
from machine import BRIEF, Patience, Turns, clocks, describe
from report import Report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=[*MODELS, "all"])
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=["bfloat16"])
    parser.add_argument("--batch", type=int, help="real images of a D step; 256 by default")
    parser.add_argument("--against", type=Path, help="a clone of BigGAN-PyTorch, measured in the same run")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True, help="compiled as well")
    parser.add_argument("--plain", action=argparse.BooleanOptionalAction, default=True, help="as they are written")
    parser.add_argument("--rhythms", nargs="+", choices=RHYTHMS, default=list(RHYTHMS), help="compiled by these")
    parser.add_argument("--cuda-graphs", action="store_true", help="compiled with CUDA graphs as well")
    parser.add_argument("--micro-batches", nargs="+", type=int, default=[], help="instead of those that are tried")
    parser.add_argument("--sampling", action=argparse.BooleanOptionalAction, default=True, help="sampling as well")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="32 px, width 4, 4 images, once: to try this program out")
    parser.add_argument("--seconds", type=float, default=420, help="no part begins after so long")
    parser.add_argument("--turns", type=Path, metavar="FILE", help="others that name it measure on the same device")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    options = parser.parse_args()
    if not (options.plain or options.micro_batches):
        parser.error("--no-plain: what would be found is needed; give --micro-batches")
    if options.device == "cuda" and not torch.cuda.is_available():
        print("PyTorch sees no CUDA device, so there is nothing to measure.", file=sys.stderr)
        return 2
    Turns.path = options.turns
    device = torch.device("cuda", 0) if options.device == "cuda" else torch.device("cpu")
    patience = BRIEF if options.tiny else Patience()
    report = Report(options.out, options.seconds)
    machine = describe(device) | ({"in_turns": True} if options.turns else {})  # warm-ups then hold waits as well
    report.put(", ".join(f"{name} {value}" for name, value in machine.items()), {"machine": machine})
    for model in MODELS if options.model == "all" else [options.model]:
        config = configuration(model, options.batch or (4 if options.tiny else 256), tiny=options.tiny)
        bench = Bench(report, model, config, device, patience, options.micro_batches)
        parts: dict[str, Callable[[], None]] = {}
        if options.against is not None and are_theirs(config.model):
            parts["BigGAN-PyTorch"] = lambda bench=bench: bench.original(options.against)
        parts["counting"] = bench.count
        for precision in options.precision:
            if options.plain:
                parts[precision] = lambda bench=bench, precision=precision: bench.train(precision)
            for rhythm in options.rhythms if options.compile else ():
                parts[f"{precision}, compiled, by {rhythm}"] = lambda bench=bench, precision=precision, rhythm=rhythm: (
                    bench.train_compiled(precision, rhythm)
                )
            if options.cuda_graphs:
                parts[f"{precision}, CUDA graphs"] = lambda bench=bench, precision=precision: bench.train_compiled(
                    precision, options.rhythms[0], cuda_graphs=True
                )
        if options.sampling:
            parts["sampling"] = bench.sample
        if "copy_bandwidth" not in report.found:
            parts["bandwidth"] = lambda: bandwidth(report, device, patience)
        for name, part in parts.items():
            with report.part(f"{model}, {name}") as there_is_time:
                if there_is_time:
                    part()
            clear()
    report.put(f"done in {report.elapsed:.0f} s", {"clocks_at_the_end": clocks(device)})
    return int(bool(report.found["left_out"]))


if __name__ == "__main__":
    raise SystemExit(main())
