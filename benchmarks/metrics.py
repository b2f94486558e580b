"""How fast the mathematics of evaluation is, beside torch-fidelity and scipy in the same run. Exits 1 below its floors.

Usage:
    python benchmarks/metrics.py --out benchmarks/results/metrics.json
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import linalg

from biggan.metrics.frechet import frechet_distance
from biggan.metrics.kernel import kid
from biggan.metrics.moments import Gaussian, Moments
from biggan.metrics.neighbours import prdc

CEILINGS = {"seconds of the Fréchet distance at 2048 dimensions": 1.0, "GiB beyond the rows, neighbours": 4.0}
FLOORS = {"Fréchet distance over torch-fidelity": 1.0, "Fréchet distance over scipy": 5.0}


def gaussian(seed: int, dimensions: int) -> Gaussian:
    draw = np.random.default_rng(seed)
    spectrum = np.exp(-np.arange(dimensions) / (dimensions / 6))
    rows = draw.standard_normal((2 * dimensions, dimensions)) * spectrum + 0.1 * draw.standard_normal(dimensions)
    moments = Moments(dimensions)
    moments.add(rows)
    return moments.finish()


def median_seconds(act: Callable[[], object], repeats: int) -> float:
    act()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def frechet(dimensions: int) -> dict[str, float]:
    a, b = gaussian(0, dimensions), gaussian(1, dimensions)
    ours = median_seconds(lambda: frechet_distance(a, b), 5)
    found = {f"seconds of the Fréchet distance at {dimensions} dimensions": ours}
    one, other = a.covariance.numpy(), b.covariance.numpy()
    began = time.perf_counter()
    linalg.sqrtm(one @ other)
    found["Fréchet distance over scipy"] = (time.perf_counter() - began) / ours
    try:
        from torch_fidelity.metric_fid import fid_statistics_to_metric
    except ImportError:
        return found
    sides = [{"mu": g.mean.numpy(), "sigma": g.covariance.numpy()} for g in (a, b)]
    theirs = median_seconds(lambda: fid_statistics_to_metric(*sides, False), 1)
    return found | {"Fréchet distance over torch-fidelity": theirs / ours}


def neighbours(rows: int, dimensions: int) -> dict[str, float]:
    draw = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(rows, dimensions, generator=draw) for _ in range(2))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    prdc(real, fake, k=5)
    seconds = time.perf_counter() - began
    return {
        f"seconds of precision, recall, density, coverage, {rows:,} x {rows:,} at {dimensions}": seconds,
        "GiB beyond the rows, neighbours": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20,
        f"seconds of KID, 100 subsets of 1,000 at {dimensions}": median_seconds(lambda: kid(real, fake), 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimensions", type=int, default=2048)
    parser.add_argument("--rows", type=int, default=10_000, help="images on each side, for neighbours")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    options = parser.parse_args()
    results: dict[str, Any] = {
        "device": f"{platform.machine()} CPU, {torch.get_num_threads()} threads",
        "torch": str(torch.__version__),
    }
    failed = False
    for found in (neighbours(options.rows, options.dimensions), frechet(options.dimensions)):
        results |= found
        for title, value in found.items():
            floor, ceiling = FLOORS.get(title), CEILINGS.get(title)
            passed = (floor is None or value >= floor) and (ceiling is None or value <= ceiling)
            bound = f"  (at least {floor:g})" if floor else f"  (at most {ceiling:g})" if ceiling else ""
            print(f"{title}: {value:,.4g}{bound}{'' if passed else '  FAILED'}", flush=True)
            failed |= not passed
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=2) + "\n")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
