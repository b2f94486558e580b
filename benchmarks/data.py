"""How fast images come: packed batches, preparation, waiting of training, a million files. Exits 1 below its floors.

Usage:
    python benchmarks/data.py --against PATH_OF_A_CLONE --out benchmarks/results/data.json
    python benchmarks/data.py --only files --files 1000000

Every figure is a ratio of two things measured in the same run, alternating, medians. With ``--against`` the packed
batches are compared with the HDF5 class of BigGAN-PyTorch, through its own kind of loader, on one core and without
workers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from PIL import Image

from biggan.data.configuration import DataConfig
from biggan.data.opening import open_source
from biggan.data.order.epochs import make_order
from biggan.data.order.loader import make_loader
from biggan.data.preparation.packing import pack
from biggan.foundation.groups import Share

FLOORS = {
    "packed over BigGAN-PyTorch": 20.0,
    "packed over memory copy": 0.30,
    "prepare over bare decode and resize": 0.90,
}
CEILINGS = {
    "data wait of digits": 0.02,
    "data wait at 128 px": 0.02,
    "seconds to first scan, of a million files": 60.0,
    "seconds to second start, of a million files": 10.0,
    "memory of prepare, four times the files": 1.15,
}
SIDE, BATCH = 128, 64


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# -- packed batches ----------------------------------------------------------------------------------------------------


def write_packed(folder: Path, count: int) -> tuple[Path, Path]:
    """Write the same random images packed by us, and chunked as BigGAN-PyTorch writes them."""
    images = np.random.default_rng(0).integers(0, 256, (count, 3, SIDE, SIDE), dtype=np.uint8)
    labels = np.arange(count) * 10 // count
    np.save(folder / "images.npy", images)
    np.save(folder / "images_labels.npy", labels)
    config = DataConfig(path=str(folder / "images.npy"))
    pack(open_source(config, (SIDE, SIDE)), folder / "ours.hdf5", config, workers=0)
    (folder / "images.npy").unlink()
    with h5py.File(folder / "theirs.hdf5", "w") as file:
        file.create_dataset(
            "imgs", data=images, chunks=(min(500, count), 3, SIDE, SIDE), maxshape=(None, 3, SIDE, SIDE)
        )
        file.create_dataset("labels", data=labels, chunks=(min(500, count),), maxshape=(None,))
    return folder / "ours.hdf5", folder / "theirs.hdf5"


def our_batches(path: Path) -> Iterator[Any]:
    config = DataConfig(path=str(path))
    source = open_source(config, (SIDE, SIDE))
    return make_loader(source, make_order(source, config, 0), first=0, share=lambda _: Share(BATCH), workers=0)


def their_batches(path: Path, clone: Path) -> Iterator[Any]:
    sys.path.insert(0, str(clone))
    try:
        import datasets as theirs
    finally:
        sys.path.remove(str(clone))
    # Hugging Face's library has the same name.
    sys.modules.pop("datasets", None)
    data = theirs.ILSVRC_HDF5(str(path))
    while True:
        yield from torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=0, drop_last=True)


def rates(ways: dict[str, Callable[[], object]], images: int, repeats: int) -> dict[str, float]:
    """Return images a second of each way, medians of alternating repetitions."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repeats + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if number:
                seconds[name].append(time.perf_counter() - began)
    return {name: images / statistics.median(values) for name, values in seconds.items()}


def packed(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    ours, theirs = write_packed(folder, options.images)
    everything = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    if everything:
        os.sched_setaffinity(0, {min(everything)})
    try:
        batches = our_batches(ours)
        source = open_source(DataConfig(path=str(ours)), (SIDE, SIDE))
        stored, target = np.asarray(source.images), np.empty((BATCH, 3, SIDE, SIDE), np.uint8)  # type: ignore[attr-defined]
        rounds = 32

        starts = itertools.cycle(range(0, len(stored) - BATCH, BATCH))

        def copy() -> None:
            for _ in range(rounds):
                start = next(starts)
                np.copyto(target, stored[start : start + BATCH])

        def take(batches: Iterator[Any]) -> None:
            for _ in range(rounds):
                next(batches)  # and let go, as a training step does

        ways: dict[str, Callable[[], object]] = {
            "ours": lambda: take(batches),
            "memory copy": copy,
        }
        if options.against:
            reference = their_batches(theirs, options.against)
            ways["theirs"] = lambda: take(reference)
        for _ in range(len(stored) // BATCH):  # everything into the page cache
            next(batches)
        found = rates(ways, rounds * BATCH, options.repeats)
    finally:
        torch.set_num_threads(threads)
        if everything:
            os.sched_setaffinity(0, everything)
    for path in (ours, theirs):
        path.unlink()
    result = {f"packed images/s, {name}": rate for name, rate in found.items()}
    result["packed over memory copy"] = found["ours"] / found["memory copy"]
    if "theirs" in found:
        result["packed over BigGAN-PyTorch"] = found["ours"] / found["theirs"]
    return result


# -- preparation -------------------------------------------------------------------------------------------------------


def write_photographs(folder: Path, count: int) -> Path:
    """Write JPEG files of 500 x 400 pixels that compress like photographs."""
    draw = np.random.default_rng(0)
    root = folder / "photographs"
    for i in range(count):
        rough = draw.integers(0, 256, (25, 20, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(rough).resize((400, 500), Image.Resampling.BICUBIC), dtype=np.int16)
        pixels = np.clip(smooth + draw.integers(-8, 9, smooth.shape), 0, 255).astype(np.uint8)
        path = root / f"class{i % 10}" / f"{i:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=90)
    return root


def bare(paths: list[str]) -> int:
    """Decode and resize, nothing else."""
    for path in paths:
        with Image.open(path) as image:
            image.convert("RGB").crop((0, 50, 400, 450)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return len(paths)


def preparation(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    root = write_photographs(folder, options.photographs)
    paths = sorted(map(str, root.rglob("*.jpg")))
    workers = cores()
    source = open_source(DataConfig(path=str(root)), (SIDE, SIDE))

    def everything_bare() -> None:
        parts = [paths[i : i + 32] for i in range(0, len(paths), 32)]
        with ProcessPoolExecutor(workers) as pool:
            assert sum(pool.map(bare, parts)) == len(paths)

    def prepare() -> None:
        pack(source, folder / "packed.hdf5", DataConfig(path=str(root)), workers=workers)
        (folder / "packed.hdf5").unlink()

    found = rates({"prepare": prepare, "bare": everything_bare}, len(paths), 3)
    return {
        "prepare images/s": found["prepare"],
        "bare decode and resize images/s": found["bare"],
        "prepare over bare decode and resize": found["prepare"] / found["bare"],
        "memory of prepare, four times the files": _memory(root, folder, 4) / _memory(root, folder, 1),
    }


def _memory(root: Path, folder: Path, part: int) -> int:
    """Return the peak resident set of preparing a quarter or all of the files."""
    chosen = " ".join(f"id:{i}" for i in range({1: 2, 4: 8}[part]))
    command = (
        f"{sys.executable} -m biggan data prepare {root} {folder / 'm.hdf5'} --resolution {SIDE} --classes {chosen}"
    )
    program = f"import resource, subprocess; subprocess.run({command.split()!r}, check=True, stdout=-3)\n"
    program += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    (folder / "m.hdf5").unlink()
    return int(done.stdout)


# -- waiting of training -----------------------------------------------------------------------------------------------


def waiting(folder: Path) -> dict[str, float]:
    """Return the share of time that training waits for data."""
    root = write_photographs(folder / "small", 400)
    narrow = "--batch 8 --micro-batch 8 --model.generator-width 16 --model.discriminator-width 16".split()
    settings = {
        "digits": ["digits", "--duration", "20000", "--log.every", "5000"],
        "128 px": ["biggan-pytorch-bs256x8", "--data", str(root), "--duration", "128", "--log.every", "64", *narrow],
    }
    found = {}
    for name, words in settings.items():
        run = folder / name.replace(" ", "")
        command = [sys.executable, "-m", "biggan", "train", *words, "--run-dir", str(run), "--device", "cpu"]
        extras = "--log.samples-every 1G --log.judge none --log.no-tensorboard --log.sheet-columns 1".split()
        subprocess.run([*command, *extras], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lines = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
        waits = [line["data_wait"] for line in lines if "data_wait" in line]
        found[f"data wait {'of digits' if name == 'digits' else 'at 128 px'}"] = float(statistics.median(waits))
    return found


# -- a million files ---------------------------------------------------------------------------------------------------


def files(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Return how long it takes until a folder of very many files is understood."""
    root, count, classes = folder / "many", options.files, 1000
    Image.new("RGB", (16, 16)).save(folder / "one.png")
    for i in range(classes):
        (root / f"class{i:04}").mkdir(parents=True)
    links = 30_000  # names of one file; file systems have a limit
    for i in range(count):
        if i % links == 0:
            original = folder / f"original{i}.png"
            shutil.copy(folder / "one.png", original)
        os.link(original, root / f"class{i % classes:04}" / f"{i:08}.png")
    program = (
        "import sys, time; began = time.perf_counter()\n"
        "from biggan.data.configuration import DataConfig\n"
        "from biggan.data.opening import open_source\n"
        "source = open_source(DataConfig(path=sys.argv[1]), (16, 16)); source.key()\n"
        "from pathlib import Path; rss = Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]\n"
        "print(len(source), time.perf_counter() - began, rss)\n"
    )
    found: dict[str, float] = {"files": count}
    for name in ("first scan", "second start"):
        command = [sys.executable, "-c", program, str(root)]
        length, seconds, memory = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert int(length) == count
        scale = 1_000_000 / count
        found[f"seconds to {name}, of a million files"] = float(seconds) * scale
        found[f"peak MiB of {name}"] = int(memory) / 1024
    shutil.rmtree(root)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["packed", "preparation", "waiting", "files"], nargs="+")
    parser.add_argument("--against", type=Path, help="a clone of BigGAN-PyTorch, measured in the same run")
    parser.add_argument("--images", type=int, default=8000, help="packed images")
    parser.add_argument("--photographs", type=int, default=4000, help="files to prepare")
    parser.add_argument("--files", type=int, default=1_000_000, help="files to scan")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where to write test data; a temporary folder by default")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    options = parser.parse_args()
    results: dict[str, Any] = {
        "device": f"{platform.machine()} CPU, {cores()} cores",
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }
    chosen = options.only or ["packed", "preparation", "waiting", "files"]
    parts: dict[str, Callable[[Path], dict[str, float]]] = {
        "packed": lambda folder: packed(options, folder),
        "preparation": lambda folder: preparation(options, folder),
        "waiting": waiting,
        "files": lambda folder: files(options, folder),
    }
    failed = False
    for name in chosen:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            found = parts[name](Path(folder))
        results |= found
        for title, value in found.items():
            limit = FLOORS.get(title) or CEILINGS.get(title)
            passed = limit is None or (value >= limit if title in FLOORS else value <= limit)
            bound = f"  ({'at least' if title in FLOORS else 'at most'} {limit:g})" if limit else ""
            print(f"{title}: {value:,.4g}{bound}{'' if passed else '  FAILED'}", flush=True)
            failed |= not passed
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=2) + "\n")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
