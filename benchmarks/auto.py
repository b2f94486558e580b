"""What `biggan train --data FOLDER` makes of a folder in a given time, beside presets given the same time.

Usage:
    python benchmarks/auto.py --data flowers/ --minutes 10 --out benchmarks/results/auto_cpu.json
    python benchmarks/auto.py --data shapes photographs digits --minutes 10 --seeds 0 1 2 --runs /tmp/auto
    python benchmarks/auto.py --data shapes --fraction 0.08 --rows auto --minutes 10    # few images: does it collapse?

Each row is a command that begins with nothing and is told to stop (Ctrl-C) when its time is over, looking at the data
and measuring included; a row that ends by itself ends earlier. Then its moving average is judged: the Frechet distance
of --count samples to the images, by features of a classifier that is fitted to them, or of random weights where
there are no classes; `features` says which. `collapses` counts the looks at its health that found a collapse.

`shapes`, `photographs` and `digits` are made here or ship with a dependency: shapes of six kinds are drawn, windows are
cut out of two photographs. What the results file holds already is not run again.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import torch

from biggan.data.configuration import ReadingConfig
from biggan.data.opening import open_images
from biggan.foundation.errors import UserError
from drawn import cut_photographs, draw_shapes
from machine import describe
from report import Report

ROWS: dict[str, tuple[str, ...]] = {
    "auto": (),
    "digits": ("digits", "--log.judge", "none"),
    "biggan-pytorch-cifar10": ("biggan-pytorch-cifar10",),
    "mmgen-biggan-cifar10": ("mmgen-biggan-cifar10",),
}
"""Names to the words by which a preset is chosen."""
MADE = {"shapes": draw_shapes, "photographs": cut_photographs}
KNOWN = (*MADE, "digits")
"""Data that are told by name and not by path."""
FOREVER = "1G"
_EACH = 400
_PATIENCE = 600


def made(name: str, folder: Path, side: int) -> str:
    """Return the path of a data set, made if it is one of those that are."""
    if name not in MADE:
        return name
    place = folder / f"{name}_{side}"
    if not place.exists():
        beside = place.with_name(f".{place.name}.{os.getpid()}")
        MADE[name](beside, _EACH, side)
        try:
            beside.rename(place)
        except OSError:  # another process has made it meanwhile
            shutil.rmtree(beside)
    return str(place)


def features_for(data: str, side: int) -> str:
    """Return the features by which samples are judged: a classifier needs two classes, random weights need none.

    Raises:
        UserError: the data cannot be used; says why.
    """
    source = open_images(ReadingConfig(path=data), (side, side))
    return "classifier" if len(source.class_names) > 1 else "random"


def called(data: str, place: str) -> str:
    """Return how data are called in the names of runs: a folder of one's own with a hash of its whole path.

    Args:
        data: as it was asked for.
        place: where it lies, by :func:`made`.
    """
    if data in KNOWN:
        return Path(place).name
    # What is not on this machine (an address, a data set of a hub) is the same wherever it is asked for from.
    whole = Path(place).resolve() if Path(place).exists() else place
    return f"{Path(place).name}-{hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]}"


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a run."""
    return {**os.environ, "OMP_NUM_THREADS": str(threads)}


def stopped_after(words: list[str], seconds: float, threads: int, log: Path) -> float:
    """Run ``biggan WORDS``, tell it to stop after ``seconds``, and return how long it took, saving included.

    Raises:
        RuntimeError: it fails; with the end of what it says.
    """
    began = time.monotonic()
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "biggan", *words], stdout=file, stderr=file, env=environment(threads)
        )
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(_PATIENCE)
        finally:
            process.kill()
            process.wait()
    if process.returncode not in (0, 3, 128 + signal.SIGINT):
        raise RuntimeError(f"biggan {' '.join(words)}: status {process.returncode}\n{log.read_text()[-2000:]}")
    return time.monotonic() - began


def command(name: str, data: str, place: Path, seed: int, options: argparse.Namespace) -> list[str]:
    """Return the words of a row."""
    words = ["train", *ROWS[name], "--data", data, "--run-dir", str(place), "--seed", str(seed), "--device", "cpu"]
    words += ["--resolution", str(options.resolution)]
    if options.fraction != 1:
        words += ["--data.fraction", str(options.fraction), "--data.fraction-draw", str(seed)]
    if name == "auto":
        return [*words, "--hours", f"{options.minutes / 60:.6f}"]
    return [*words, "--duration", FOREVER, "--health.every", str(options.look_every)]


def run_directory(name: str, title: str, seed: int, options: argparse.Namespace) -> Path:
    """Return where the run of a row lies; ``title`` is what :func:`called` says of its data."""
    place: Path = options.runs / f"{name}_{title}_{options.fraction:g}_{options.minutes:g}_{seed}"
    return place


def measured(
    name: str, data: str, place: Path, features: str, seed: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Train one row in ``place``, judge it by ``features``, and return what was found."""
    options.runs.mkdir(parents=True, exist_ok=True)
    log = place.with_name(f"{place.name}.log")
    words = command(name, data, place, seed, options)
    seconds = stopped_after(words, 60 * options.minutes, options.threads, log)
    if not (place / "stats.jsonl").exists():
        raise RuntimeError(f"{name}: stopped before its first line of statistics; give it more --minutes; see {log}")
    stats = [json.loads(line) for line in (place / "stats.jsonl").read_text().splitlines()]
    looks = [line["findings"] for line in stats if "findings" in line]
    asked = ["evaluate", str(place), "--data", data, "--features", features, "--metrics", "fid", "--device", "cpu"]
    asked += ["--count", str(options.count), "--json", "--out", str(place)]
    if data == "digits":
        asked += ["--resolution", str(options.resolution)] if options.resolution != 16 else []
    done = subprocess.run(
        [sys.executable, "-m", "biggan", *asked],
        capture_output=True,
        text=True,
        env=environment(options.threads),
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(asked)}: status {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")
    record = json.loads(done.stdout.splitlines()[-1])
    return {
        "frechet": record["value"],
        "features": features,
        "images": max(line["images_seen"] for line in stats),
        "seconds": round(seconds, 1),
        "looks": len(looks),
        "collapses": sum("collapse" in found for found in looks),
    }


def table(rows: dict[str, dict[str, dict[str, dict[str, Any]]]]) -> str:
    """Return mean and spread of each row over its seeds, and by data whether auto is above the best of the others."""
    lines = []
    for data, of in rows.items():
        means = {}
        for name, seeds in of.items():
            values = [each["frechet"] for each in seeds.values()]
            spread = statistics.stdev(values) if len(values) > 1 else float("nan")
            means[name] = statistics.mean(values)
            collapses = sum(each["collapses"] for each in seeds.values())
            images = statistics.mean(each["images"] for each in seeds.values())
            lines.append(
                f"{data:14} {name:24} {len(values)} seeds, frechet {means[name]:.3f} +- {spread:.3f}, "
                f"{images:,.0f} images, {collapses} looks at a collapse"
            )
        others = [mean for name, mean in means.items() if name != "auto"]
        if "auto" in means and others:
            held = means["auto"] <= min(others)
            lines.append(f"{data:14} auto is {'not ' if held else ''}above the best of the others")
    return "\n".join(lines)


def main() -> int:
    """Measure what the results file does not hold yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", nargs="+", default=["shapes", "photographs", "digits"], help="folders, or names above"
    )
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=10.0, help="of each run")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--fraction", type=float, default=1.0, help="part of each class that is trained on")
    parser.add_argument("--look-every", type=int, default=5000, help="of presets, looks at health, in images")
    parser.add_argument("--count", type=int, default=2000, help="samples")
    parser.add_argument("--threads", type=int, default=2, help="of a run; runs come one after another")
    parser.add_argument("--runs", type=Path, default=Path("runs/auto_benchmark"), help="where runs and data go")
    parser.add_argument("--out", type=Path, help="the results, as JSON")
    options = parser.parse_args()
    report = Report(options.out, float("inf"))
    if options.out is not None and options.out.exists():
        report.found |= json.loads(options.out.read_text())
    told = {name: getattr(options, name) for name in ("minutes", "resolution", "fraction", "threads")}
    if report.get("settings") not in (None, told):
        parser.error(f"--out {options.out}: measured with {report.get('settings')}, not {told}; choose another file")
    report.put("", describe(torch.device("cpu")))
    report.put("", told, "settings")
    options.runs.mkdir(parents=True, exist_ok=True)
    todo = [
        (data, seed, name)
        for data, seed, name in product(options.data, options.seeds, options.rows)
        if report.get("rows", data, name, str(seed)) is None
    ]
    # Before any training, which takes minutes a row: what all the data are, and by what they can be judged.
    places, features = {}, {}
    for data in dict.fromkeys(data for data, _, _ in todo):
        places[data] = made(data, options.runs, options.resolution)
        try:
            features[data] = features_for(places[data], options.resolution)
        except UserError as error:
            parser.error(str(error))
        of = report.get("rows", data) or {}
        judged = {each.get("features", "classifier") for seeds in of.values() for each in seeds.values()}
        if judged - {features[data]}:
            parser.error(
                f"--out {options.out}: {data} was judged by features '{judged.pop()}', and what lies there now needs "
                f"'{features[data]}'; choose another file"
            )
    for data, seed, name in todo:
        with report.part(f"{data} {name} {seed}"):
            place = run_directory(name, called(data, places[data]), seed, options)
            found = measured(name, places[data], place, features[data], seed, options)
            line = ", ".join(f"{k} {v}" if isinstance(v, str) else f"{k} {v:.6g}" for k, v in found.items())
            report.put(f"{data} {name} {seed}: {line}", found, "rows", data, name, str(seed))
    print(table(report.found.get("rows", {})))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
