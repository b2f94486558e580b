"""What choosing latents by D is worth on digits: 500 samples from each of three seeds, plain and refined.

Usage:
    python benchmarks/refining.py --out benchmarks/results/refining_cpu.json
    python benchmarks/refining.py --lengths 30000 --words drs

The digits preset is trained for each length, seed 0. Samples are judged as the preset's are: share that is recognised,
variety relative to the real digits', and the Frechet distance of the 64 pixels that the judge sees to those of all
1,797 digits. ``reals`` are as many real digits, chosen by three seeds: what the distance of a perfect G would be.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from biggan.data.sources.digits import load_digits, to_levels
from biggan.metrics.digits_judge import DigitsJudge
from biggan.metrics.frechet import frechet_distance
from biggan.metrics.moments import Gaussian, Moments
from machine import describe
from report import Report
from small_data import command

PLAIN = "plain"
WORDS = (PLAIN, "drs", "ddls,steps=100,eps=0.01", "ddls,steps=100,eps=0.1")
LENGTHS = (120_000, 30_000)
FIRST = (0, 10_000, 20_000)
COUNT = 500
_CANDIDATES = re.compile(r"([\d,]+) candidates for ([\d,]+) images")


def gaussian(pixels: np.ndarray[Any, Any]) -> Gaussian:
    """Return mean and covariance of rows of pixels [N, 64]."""
    moments = Moments(pixels.shape[1])
    moments.add(torch.from_numpy(pixels).double())
    return moments.finish()


def of_reals() -> list[float]:
    """Return distances of as many real digits as samples, three times, to all of them."""
    flat = load_digits()[0].reshape(-1, 64).astype(np.float64)
    chosen = [np.random.default_rng(seed).choice(len(flat), COUNT, replace=False) for seed in range(len(FIRST))]
    return [frechet_distance(gaussian(flat[rows]), gaussian(flat)).distance for rows in chosen]


def measured(run: Path, word: str, folder: Path) -> dict[str, Any]:
    """Draw and judge; a list of three for each number."""
    judge, reals = DigitsJudge(), gaussian(load_digits()[0].reshape(-1, 64).astype(np.float64))
    found: dict[str, Any] = {"recognised": [], "variety": [], "distance": [], "candidates": []}
    for first in FIRST:
        out = folder / f"{run.name}_{word}_{first}"
        words = ["sample", str(run), "--out", str(out), "--seeds", f"{first}-{first + COUNT - 1}", "--format", "npz"]
        words += ["--device", "cpu", "--overwrite", *([] if word == PLAIN else ["--refine", word])]
        said = command(words)
        with np.load(out / "samples.npz") as file:
            images, labels = torch.from_numpy(file["x"]), torch.from_numpy(file["y"])
        verdict = judge.judge_images(images, labels)
        pixels = to_levels(images[:, 0].numpy()).reshape(len(images), -1).astype(np.float64)
        found["recognised"].append(verdict.recognised)
        found["variety"].append(verdict.variety)
        found["distance"].append(frechet_distance(gaussian(pixels), reals).distance)
        tried = _CANDIDATES.search(said)
        counts = [int(group.replace(",", "")) for group in tried.groups()] if tried else None
        found["candidates"].append(counts[0] / counts[1] if counts else None)
    return found


def table(rows: dict[str, dict[str, list[Any]]]) -> list[str]:
    """Return lines of Markdown, a row a way."""
    lines = ["| | recognised, % | variety | distance |", "|---|---|---|---|"]
    for word, found in rows.items():
        tried = [each for each in found["candidates"] if each is not None]
        name = "plain" if word == PLAIN else f"`{word}`" + (f" ({tried[0]:.1f} candidates an image)" if tried else "")
        shares = ", ".join(f"{100 * each:.1f}" for each in found["recognised"])
        varieties = ", ".join(f"{each:.2f}" for each in found["variety"])
        lines.append(f"| {name} | {shares} | {varieties} | {', '.join(f'{each:.1f}' for each in found['distance'])} |")
    return lines


def main() -> int:
    """Measure what the results file does not hold yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", nargs="+", default=list(WORDS), help="plain, or what --refine takes")
    parser.add_argument("--lengths", nargs="+", type=int, default=list(LENGTHS), help="images that the run has seen")
    parser.add_argument("--runs", type=Path, default=Path("runs/refining"), help="where runs and samples go")
    parser.add_argument("--out", type=Path, help="the results, as JSON")
    options = parser.parse_args()
    report = Report(options.out, float("inf"))
    if options.out is not None and options.out.exists():
        report.found |= json.loads(options.out.read_text())
    report.put("", describe(torch.device("cpu")) | {"count": COUNT, "first_seeds": FIRST, "reals": of_reals()})
    for length in options.lengths:
        run = options.runs / f"digits_{length}"
        command(["train", "digits", "--run-dir", str(run), "--duration", str(length), "--device", "cpu"])
        for word in options.words:
            if not report.get("rows", str(length), word):
                with report.part(f"{length} {word}"):
                    found = measured(run, word, options.runs)
                    report.put(f"{length} {word}: {found}", found, "rows", str(length), word)
        print("\n".join(table(report.get("rows", str(length)) or {})))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
