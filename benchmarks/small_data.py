"""What methods for small data sets are worth on 179 digits, a tenth of each class, three draws of them.

Usage:
    python benchmarks/small_data.py --out benchmarks/results/small_data_cpu.json
    python benchmarks/small_data.py --rows plain lecam --seeds 0 --runs /tmp/small
    python benchmarks/small_data.py --rows further --out benchmarks/results/small_data_cpu.json

Each row is a command: the digits preset with some options, or another one, on a tenth of each class; the seed of a run
draws its images as well. When it has ended, its moving average is judged against all 1,797 digits: share of 500 samples
that a classifier recognises as their digit, their variety relative to the real digits', and the Frechet distance of
1,797 samples by features of a classifier that was fitted to all digits. `best` is the largest of the judge's values
(share times variety) on the way, at `best_at`, and `last` that at the end: what is lost by training on.

What the results file holds already is not run again, and a run that was cut off goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import torch

from biggan.metrics.digits_judge import DigitsJudge
from biggan.sampling.sampler import load
from machine import describe
from report import Report

PLAIN = "plain"
SMALL: dict[str, tuple[str, ...]] = {
    PLAIN: (),
    "diffaugment": ("--terms", "diffaugment,policy=translation+cutout"),
    "ada": ("--terms", "ada,without=xflip+rotate90,images=50000"),
    "apa": ("--terms", "apa,images=50000"),
    "lecam": ("--terms", "lecam,start=100"),
    "cr": ("--terms", "cr,mirror=no"),
    "bcr": ("--terms", "bcr,mirror=no"),
    "r1": ("--terms", "r1,weight=1,every=4"),
    "diffaugment+lecam": ("--terms", "diffaugment,policy=translation+cutout", "lecam,start=100"),
    "diffaugment+cr": ("--terms", "diffaugment,policy=translation+cutout", "cr,mirror=no"),
    "reacgan": ("--terms", "d2d-ce", "--model.discriminator-heads", "none", "d2d-ce"),
    "r3gan": (),
}
"""Names to options. Digits are not mirrored; what counts images is scaled to a run of 60,000."""
FURTHER: dict[str, tuple[str, ...]] = {
    "zcr": ("--terms", "zcr"),
    "r2": ("--terms", "r2,weight=1,every=4"),
    "gp": ("--loss", "wasserstein", "--terms", "gp"),
    "noise": ("--terms", "noise"),
    "d-flood": ("--terms", "d-flood"),
    "g-flood": ("--terms", "g-flood"),
    "d-stop": ("--terms", "d-stop"),
    "g-stop": ("--terms", "g-stop"),
    "feature-matching": ("--terms", "feature-matching"),
    "top-k": ("--terms", "top-k"),
    "logan": ("--terms", "logan"),
    "ac": ("--terms", "ac", "--model.discriminator-heads", "none", "ac"),
    "adc": ("--terms", "adc", "--model.discriminator-heads", "none", "adc"),
    "2c": ("--terms", "2c", "--model.discriminator-heads", "none", "2c"),
    "rotation": ("--terms", "rotation", "--model.discriminator-heads", "projection", "rotation"),
    "orthogonal": ("--terms", "orthogonal"),
    "d-orthogonal": ("--terms", "d-orthogonal"),
}
"""Terms that were not made for little data, as they are by default; ``--rows further``."""
ROWS = SMALL | FURTHER
PRESETS = {"r3gan": "digits-r3gan"}
"""Those that are not the digits preset."""
JUDGED = re.compile(r"([\d,]+) images: ([\d.]+)% of .* with ([\d.]+) of the real digits' variety")


def command(words: list[str]) -> str:
    """Return what ``biggan WORDS`` prints, with one thread.

    Raises:
        RuntimeError: it fails; with the end of what it says.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "biggan", *words]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: status {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def on_the_way(log: str) -> list[tuple[float, int]]:
    """Return the judge's values and their clocks."""
    found = [(match[1].replace(",", ""), match[2], match[3]) for match in JUDGED.finditer(log)]
    return [(float(share) / 100 * min(float(variety), 1.0), int(clock)) for clock, share, variety in found]


def measured(name: str, seed: int, folder: Path, images: int) -> dict[str, Any]:
    """Train one row with one seed, judge it, and return what was found."""
    place = folder / f"{name}_{seed}"
    words = ["train", PRESETS.get(name, "digits"), "--run-dir", str(place), "--seed", str(seed)]
    words += ["--duration", str(images), "--data.fraction", "0.1", "--data.fraction-draw", str(seed), "--device", "cpu"]
    log = command([*words, "--checkpoint.every", str(images // 12), *ROWS[name]])
    log += (place / "log.txt").read_text()
    verdict = DigitsJudge().judge(load(place, "cpu").generator)
    asked = ["--data", "digits", "--features", "classifier", "--metrics", "fid", "--count", "1797", "--device", "cpu"]
    record = json.loads(command(["evaluate", str(place), *asked, "--json", "--out", str(place)]).splitlines()[-1])
    best, at = max([*on_the_way(log), (round(verdict.value, 4), images)])
    return {
        "recognised": verdict.recognised,
        "variety": verdict.variety,
        "frechet": record["value"],
        "last": verdict.value,
        "best": best,
        "best_at": at,
    }


def table(rows: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return mean and spread of each row over its seeds, the plain one first."""
    lines = []
    for name, seeds in rows.items():
        cells = [f"{name:18} {len(seeds)} seeds"]
        for what in ("recognised", "variety", "frechet", "last", "best"):
            values = [each[what] for each in seeds.values()]
            spread = statistics.stdev(values) if len(values) > 1 else float("nan")
            cells.append(f"{what} {statistics.mean(values):.3f} +- {spread:.3f}")
        lines.append(", ".join(cells))
    return "\n".join(lines)


def main() -> int:
    """Measure what the results file does not hold yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=(*ROWS, "further"), default=list(SMALL))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=60_000, help="length of a run")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--runs", type=Path, default=Path("runs/small_data"), help="where runs go")
    parser.add_argument("--out", type=Path, help="the results, as JSON")
    options = parser.parse_args()
    report = Report(options.out, float("inf"))
    if options.out is not None and options.out.exists():
        report.found |= json.loads(options.out.read_text())
    report.put("", describe(torch.device("cpu")) | {"images": options.images})

    def one(seed: int, name: str) -> None:
        with report.part(f"{name} {seed}"):
            found = measured(name, seed, options.runs, options.images)
            line = ", ".join(f"{key} {value:.3f}" for key, value in found.items())
            entry = found | {"torch": torch.__version__}  # runs may come from several machines
            report.put(f"{name} {seed}: {line}", entry, "rows", name, str(seed))

    rows = [*(name for name in options.rows if name in ROWS), *(FURTHER if "further" in options.rows else ())]
    left = [each for each in product(options.seeds, rows) if report.get("rows", each[1], str(each[0])) is None]
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda each: one(*each), left))
    print(table(report.found.get("rows", {})))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
