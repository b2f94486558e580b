"""What is measured of one model on one device. Needs torch, numpy and safetensors alone."""

from __future__ import annotations

import dataclasses
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from biggan.foundation.devices import Backends
from biggan.models.contract import build_generator, build_on_meta, count_parameters
from biggan.presets.registry import get_preset
from biggan.sampling.draw import draw
from biggan.training.configuration import TrainingConfig
from biggan.training.engine import Engine
from biggan.training.guard import NonFiniteError
from iterations import draws, floating_point_operations, make_engine, ours, theirs
from kernels import told, where_time_goes
from machine import BRIEF, Patience, Turns, copy_bandwidth, product_rate, timed
from report import Report

MODELS = {
    "biggan-128": "biggan-pytorch-bs256x8",
    "biggan-deep-128": "biggan-deep-128",
    "biggan-256": "biggan-256",
    "biggan-512": "biggan-512",
}
"""Names, and the presets whose networks and updates they are."""
PRECISIONS = ("bfloat16", "tf32", "float32")
Rhythm = Literal["phase", "forward"]
RHYTHMS: tuple[Rhythm, ...] = ("phase", "forward")
SAMPLED = (1, 8, 64)
"""Images drawn at a time."""
IN_A_ROW = 4
"""Iterations between two waits, measured as well: training waits for the device at ticks alone."""
SHORT = 0.5
"""Seconds that an iteration may take for that; the waits of longer ones do not count."""


def configuration(model: str, batch: int, *, tiny: bool) -> TrainingConfig:
    """Return the preset at the batch that is measured."""
    config = get_preset(MODELS[model]).build()
    architecture = dataclasses.replace(config.model, generator_init="normal", discriminator_init="normal")
    if tiny:
        architecture = dataclasses.replace(
            architecture,
            resolution=(32, 32),
            classes=10,
            generator_width=4,
            discriminator_width=4,
            generator_attention=("16",),
            discriminator_attention=("16",),
        )
    return dataclasses.replace(config, model=architecture, batch=batch, micro_batch=None)


@dataclass(frozen=True)
class Bench:
    """One model on one device."""

    report: Report
    model: str
    config: TrainingConfig
    device: torch.device
    patience: Patience
    sizes: Sequence[int] = ()
    """Micro-batches to try; by default the batch and its halves, until three could be measured."""

    def original(self, path: Path) -> None:
        """Measure BigGAN-PyTorch."""
        with Backends(tf32=True, fastest=True).for_a_while():
            for size in self._sizes("theirs"):
                config = dataclasses.replace(self.config, micro_batch=size)
                self._try(size, lambda config=config: theirs(path, config, self.device), "theirs")
        self._choose("theirs")

    def train(self, precision: str) -> None:
        """Measure the training of this package, and its phases at the best micro-batch."""
        config = dataclasses.replace(self.config, precision=precision)
        keys = ("ours", precision)
        with Backends(tf32=precision == "tf32", fastest=True).for_a_while():
            iteration = ours(config, self.device)

            def of_size(size: int) -> Callable[[], None]:
                iteration.engine = make_engine(dataclasses.replace(config, micro_batch=size), self.device)
                return iteration

            for size in self._sizes(*keys):
                self._try(size, lambda size=size: of_size(size), *keys)
                tried = self.report.get("models", self.model, *keys, "micro_batches", str(size))
                tried["finite"] = finite(iteration.engine)
            best = of_size(self._choose(*keys))
            self._look(best, *keys)
            alone = statistics.median(timed(iteration.discriminator_phase, self.device, self.patience))
            rate = self._rate(precision)
        self._conclude(precision, alone, rate)

    def train_compiled(self, precision: str, rhythm: Rhythm, *, cuda_graphs: bool = False) -> None:
        """Measure the same at the best micro-batch, compiled, in one rhythm of spectral norm and statistics.

        Where nothing plain was measured, at the first of :attr:`sizes`.
        """
        size = self.report.get("models", self.model, "ours", precision, "micro_batch")
        if size is None and (not self.sizes or self.report.get("models", self.model, "ours", precision)):
            raise RuntimeError("its plain run found no micro-batch")
        size = size or self.sizes[0]
        config = dataclasses.replace(
            self.config,
            precision=precision,
            compile="on",
            cuda_graphs=cuda_graphs,
            micro_batch=size,
            spectral_norm=rhythm,
            statistics=rhythm,
        )
        with Backends(tf32=precision == "tf32", fastest=True).for_a_while():
            compiled: list[Callable[[], None]] = []

            def make() -> Callable[[], None]:
                compiled.append(ours(config, self.device))
                return compiled[0]

            keys = ("CUDA graphs" if cuda_graphs else "compiled", rhythm, precision)
            if (found := self._try(size, make, *keys)) is not None:
                line = f"{self.model}, {' '.join(keys)}: ready after {found['warm_up_seconds']:.0f} s"
                entry = {"micro_batch": size, "images_per_second": found["images_per_second"]}
                self.report.put(line, entry, "models", self.model, *keys)
                self._look(compiled[0], *keys)

    def _look(self, iteration: Callable[[], object], *keys: str) -> None:
        """Note where the time of an iteration goes that was measured."""
        with Turns.beside_others():
            iteration()  # an engine that is new makes its buffers
        speed = self.report.get("models", self.model, *keys, "images_per_second")
        seconds = self.config.batch * self.config.discriminator_steps / speed
        found = where_time_goes(iteration, self.device, seconds)
        entry = {"where_time_goes": found}
        self.report.put(f"{self.model}, {' '.join(keys)}: {told(found)}", entry, "models", self.model, *keys)

    def _sizes(self, *keys: str) -> Iterator[int]:
        """Yield micro-batches to try."""
        if self.sizes:
            yield from self.sizes
            return
        size = self.config.batch
        while True:
            yield size
            tried = self.report.get("models", self.model, *keys, "micro_batches")
            if size % 2 or sum("images_per_second" in entry for entry in tried.values()) == 3:
                return
            size //= 2

    def _try(self, size: int, make: Callable[[], Callable[[], None]], *keys: str) -> dict[str, Any] | None:
        """Measure one micro-batch; return what was found, None if it was not possible."""
        clear()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        began, possible = time.monotonic(), True
        again = dataclasses.replace(self.patience, warm_up=0)
        try:
            action = make()
            seconds = timed(action, self.device, self.patience)
            warm_up = time.monotonic() - began - sum(seconds)
            several = timed(action, self.device, again, IN_A_ROW) if statistics.median(seconds) < SHORT else []
        except RuntimeError as error:  # also what cuDNN says of sizes that it does not know
            line = "out of memory" if isinstance(error, torch.OutOfMemoryError) else str(error).partition("\n")[0]
            found: dict[str, Any] = {"error": line}
            possible = False
        else:
            speed = self.config.batch * self.config.discriminator_steps / statistics.median(seconds)
            peak = torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None
            found = {
                "images_per_second": speed,
                "seconds": seconds,
                "peak_bytes": peak,
                "warm_up_seconds": warm_up,
            }
            line = f"{speed:.1f} images/s" + (f", {peak / 2**30:.1f} GiB" if peak else "")
            if several:
                speed *= statistics.median(seconds) / statistics.median(several)
                found["in_a_row"] = {"iterations": IN_A_ROW, "images_per_second": speed, "seconds": several}
                line += f", {speed:.1f} of {IN_A_ROW} iterations in a row"
        who = f"{self.model}, {' '.join(keys)}, micro-batch {size}"
        self.report.put(f"{who}: {line}", found, "models", self.model, *keys, "micro_batches", str(size))
        return found if possible else None

    def _choose(self, *keys: str) -> int:
        """Note and return the fastest micro-batch."""
        tried = self.report.get("models", self.model, *keys, "micro_batches")
        possible = {size: entry for size, entry in tried.items() if "images_per_second" in entry}
        if not possible:
            raise RuntimeError("no micro-batch was possible")
        fastest = max(possible, key=lambda size: possible[size]["images_per_second"])
        chosen = {name: possible[fastest][name] for name in ("images_per_second", "peak_bytes")}
        line = (
            f"{self.model}, {' '.join(keys)}: best at micro-batch {fastest}, {chosen['images_per_second']:.1f} images/s"
        )
        sizes = {"micro_batch": int(fastest), "largest_micro_batch": max(map(int, possible))}
        self.report.put(line, sizes | chosen, "models", self.model, *keys)
        return int(fastest)

    def _rate(self, precision: str) -> float:
        """Return the rate of products in a precision; measured once, within the rules of that precision."""
        known = self.report.get("product_rates", precision)
        if known is not None:
            return float(known["largest"])
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        sizes = (4096, 6144, 8192) if self.device.type == "cuda" else (128,)
        patience = dataclasses.replace(self.patience, seconds=0.5)
        products = torch.backends.cuda.matmul
        before, products.allow_tf32 = products.allow_tf32, precision == "tf32"  # the rate of convolutions, by products
        found = {str(size): product_rate(self.device, dtype, size, patience) for size in sizes}
        products.allow_tf32 = before
        largest = max(found.values())
        self.report.put(
            f"products in {precision}: {largest / 1e12:.3g} TFLOP/s",
            {"sizes": found, "largest": largest},
            "product_rates",
            precision,
        )
        return largest

    def _conclude(self, precision: str, discriminator_seconds: float, rate: float) -> None:
        """Note phases, share of the device's rate, and the ratio to BigGAN-PyTorch."""
        entry = self.report.get("models", self.model)
        speed = entry["ours"][precision]["images_per_second"]
        generator_seconds = self.config.batch * self.config.discriminator_steps / speed - discriminator_seconds
        found = {"discriminator_seconds": discriminator_seconds, "generator_seconds": generator_seconds}
        line = f"D {discriminator_seconds:.3f} s, G and average {generator_seconds:.3f} s an iteration"
        if "operations_per_image" in entry:
            found["operations_per_second"] = speed * entry["operations_per_image"]
            found["share_of_product_rate"] = found["operations_per_second"] / rate
            line += f", {found['operations_per_second'] / 1e12:.3g} TFLOP/s"
            line += f" = {found['share_of_product_rate']:.1%} of the rate of products"
        if "images_per_second" in entry.get("theirs", {}):
            found["ratio"] = speed / entry["theirs"]["images_per_second"]
            line += f", {found['ratio']:.2f} times BigGAN-PyTorch"
        self.report.put(f"{self.model}, {precision}: {line}", found, "models", self.model, "ours", precision)

    def count(self) -> None:
        """Count what does not depend on the device."""
        config, model = self.config, self.config.model
        operations = floating_point_operations(config)
        found = {
            "preset": MODELS[self.model],
            "resolution": list(model.resolution),
            "width": [model.generator_width, model.discriminator_width],
            "batch": config.batch,
            "discriminator_steps": config.discriminator_steps,
            "parameters": [count_parameters(network) for network in build_on_meta(model)],
            "operations_per_image": operations,
        }
        self.report.put(f"{self.model}: {operations / 1e9:.1f} GFLOP for each real image", found, "models", self.model)

    def sample(self) -> None:
        """Measure drawing, to bytes on the CPU: as the package draws, and narrow."""
        with Backends(fastest=True).for_a_while():
            generator = build_generator(self.config.model).to(self.device).eval()
            for precision in ("float32", "bfloat16"):
                for batch in SAMPLED if self.patience is not BRIEF else SAMPLED[:1]:
                    _, y, z = draws(self.config.model, batch, self.device)
                    with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
                        seconds = timed(
                            lambda z=z, y=y, batch=batch: draw(generator, z, y, batch),
                            self.device,
                            dataclasses.replace(self.patience, seconds=2.0),
                        )
                    speed = batch / statistics.median(seconds)
                    self.report.put(
                        f"{self.model}, sampling in {precision}, {batch} at a time: {speed:.1f} images/s",
                        {str(batch): {"images_per_second": speed, "seconds": seconds}},
                        "models",
                        self.model,
                        "sampling",
                        precision,
                    )


def finite(engine: Engine) -> bool:
    """Return whether all updates were; one that is not is skipped, and takes as long."""
    try:
        engine.guard.check()
    except NonFiniteError:
        return False
    return True


def clear() -> None:
    """Give back the memory of what nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def bandwidth(report: Report, device: torch.device, patience: Patience) -> None:
    """Measure copies within the device's memory."""
    size = 2**30 if device.type == "cuda" else 2**20
    found = copy_bandwidth(device, size, dataclasses.replace(patience, seconds=0.5))
    report.put(f"copies: {found / 1e9:.1f} GB/s read and written", {"copy_bandwidth": found})
