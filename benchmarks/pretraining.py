"""What pretraining of G by features is worth on digits: the judge's numbers on the way, with and without.

Usage:
    python benchmarks/pretraining.py --out benchmarks/results/pretraining_cpu.json
    python benchmarks/pretraining.py --rows random --seeds 1  # twelve minutes of features on a core

The digits preset for 24,000 images, after ``--pretrain 20000`` by a classifier's features or as it is, three seeds. On
the way the judge says how many of 500 samples it recognises as their digit, and how varied they are relative to the
real digits. The judge is a support-vector machine on pixels; the classifier, whose features are matched, is a network
fitted to the same digits, so its row may be flattered. What the results file holds is not run again.
"""

from __future__ import annotations

import argparse
import json
import statistics
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import torch

from machine import describe
from report import Report
from small_data import JUDGED, command

ROWS = ("none", "random", "classifier")
FAKES, IMAGES = 20_000, 24_000


def measured(row: str, seed: int, folder: Path) -> dict[str, Any]:
    """Train one run; return [share, variety] by clock."""
    place = folder / f"{row}_{seed}"
    words = ["train", "digits", "--run-dir", str(place), "--seed", str(seed), "--duration", str(IMAGES)]
    words += ["--device", "cpu", "--log.samples-every", "4000", "--health.every", "0"]
    words += [] if row == "none" else ["--pretrain", str(FAKES), "--pretrain-features", row]
    log = command(words) + (place / "log.txt").read_text()
    found = {match[1].replace(",", ""): (float(match[2]) / 100, float(match[3])) for match in JUDGED.finditer(log)}
    return {clock: list(values) for clock, values in sorted(found.items(), key=lambda each: int(each[0]))}


def table(rows: dict[str, dict[str, dict[str, list[float]]]]) -> list[str]:
    """Return lines of Markdown: a row a clock; mean and spread of shares over seeds, and mean variety."""
    names = [name for name in ROWS if name in rows]
    lines = [f"| images seen by D | {' | '.join(names)} |", f"|---{'|---' * len(names)}|"]
    for clock in next(iter(rows[names[0]].values())):
        cells = []
        for name in names:
            shares, varieties = zip(*(seed[clock] for seed in rows[name].values()), strict=True)
            spread = statistics.stdev(shares) if len(shares) > 1 else float("nan")
            cells.append(f"{statistics.mean(shares):.1%} ± {100 * spread:.1f}, {statistics.mean(varieties):.2f}")
        lines.append(f"| {int(clock):,} | {' | '.join(cells)} |")
    return lines


def main() -> int:
    """Measure what the results file does not hold yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=["none", "classifier"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--runs", type=Path, default=Path("runs/pretraining"), help="where runs go")
    parser.add_argument("--out", type=Path, help="the results, as JSON")
    options = parser.parse_args()
    report = Report(options.out, float("inf"))
    if options.out is not None and options.out.exists():
        report.found |= json.loads(options.out.read_text())
    report.put("", describe(torch.device("cpu")) | {"fakes": FAKES, "images": IMAGES})

    def one(seed: int, row: str) -> None:
        with report.part(f"{row} {seed}"):
            found = measured(row, seed, options.runs)
            report.put(f"{row} {seed}: {found}", found, "rows", row, str(seed))

    left = [each for each in product(options.seeds, options.rows) if not report.get("rows", each[1], str(each[0]))]
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda each: one(*each), left))
    print("\n".join(table(report.found.get("rows", {}))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
