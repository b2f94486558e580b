"""What happens between iterations: statistics, samples, judging, checkpoints, snapshots."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from biggan.data.contract import ImageSource
from biggan.evaluation.configuration import TrainingEvaluation
from biggan.evaluation.evaluate import METRICS_FILE, Record, best_value, evaluate, generated
from biggan.foundation import distributed
from biggan.foundation.errors import UserError
from biggan.foundation.files import append_json_line
from biggan.layers.spectral_norm import singular_values
from biggan.metrics.judges import JUDGES
from biggan.models.contract import Generator
from biggan.models.snapshot import SNAPSHOTS, SUFFIX, write_snapshot
from biggan.sampling.draw import draw
from biggan.sampling.interpolation import interpolation_sheet
from biggan.sampling.latents import latents
from biggan.sampling.pictures import sheet
from biggan.sampling.sampler import Sampler
from biggan.sampling.sheets import class_sheets
from biggan.training.run import Run
from biggan.training.run_directory import SAMPLES, STATS
from biggan.training.step import Losses

FIXED = "fixed.png"


@contextlib.contextmanager
def evaluating(network: Generator) -> Iterator[Generator]:
    """Put a network into evaluation mode for a while."""
    mode = network.training
    network.eval()
    try:
        yield network
    finally:
        network.train(mode)


class AtIntervals(ABC):
    """A hook that acts at most once a clock."""

    def __init__(self, every: int | None) -> None:
        self.every = every
        self._acted_at = -1

    def act(self, run: Run) -> None:
        """Act, unless it has been done at this clock."""
        if run.state.images_seen != self._acted_at:
            self._acted_at = run.state.images_seen
            self._act(run)

    @abstractmethod
    def _act(self, run: Run) -> None:
        """Do it."""


class Statistics(AtIntervals):
    """A line of numbers in stats.jsonl (and TensorBoard, if installed); also checks that numbers are finite."""

    def __init__(self, every: int, *, tensorboard: bool) -> None:
        super().__init__(every)
        self._losses: dict[str, list[Tensor]] = {}
        self._started = time.monotonic()
        self._images = 0
        self._waited = 0.0
        self._tensorboard = tensorboard
        self._writer: Any = None
        self.latest: dict[str, float] = {}

    def note(self, losses: Losses, images: int, waited: float) -> None:
        """Remember an iteration; nothing is read off the device."""
        for name, values in losses.items():
            self._losses.setdefault(name, []).append(values.detach().mean())
        self._images += images
        self._waited += waited

    def _act(self, run: Run) -> None:
        """Write what has gathered since the last time."""
        run.engine.guard.check()
        if not self._images:
            return
        elapsed = max(time.monotonic() - self._started, 1e-9)
        numbers = {name: float(torch.stack(values).mean()) for name, values in self._losses.items()}
        numbers |= {f"{name}_gradient_norm": float(norm) for name, norm in run.engine.gradient_norms.items()}
        numbers |= {
            "images_per_second": self._images / elapsed,
            "data_wait": self._waited / elapsed,
            "ema_decay": run.state.average.decay(run.state.images_seen, run.draws.images_per_iteration),
        }
        self.latest = numbers
        values = {
            f"{short}.{layer}": sigma.tolist()
            for short, network in (("G", run.state.generator), ("D", run.state.discriminator))
            for layer, sigma in singular_values(network).items()
        }
        if distributed.is_primary():
            record = {"images_seen": run.state.images_seen, "iterations": run.state.iterations, **numbers}
            append_json_line(run.directory.path / STATS, {**record, "singular_values": values})
            if not sys.stderr.isatty():
                _print_progress(run, numbers)
            self._to_tensorboard(run, numbers, values)
        self._losses, self._images, self._waited = {}, 0, 0.0
        self._started = time.monotonic()

    def _to_tensorboard(self, run: Run, numbers: dict[str, float], values: dict[str, list[float]]) -> None:
        if not self._tensorboard:
            return
        if self._writer is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                self._tensorboard = False
                return
            self._writer = SummaryWriter(str(run.directory.path / "tensorboard"))
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, run.state.images_seen)
        for name, sigmas in values.items():
            self._writer.add_scalar(f"singular_values/{name}", sigmas[0], run.state.images_seen)
        self._writer.flush()


def _print_progress(run: Run, numbers: dict[str, float]) -> None:
    """Say how far it is, where there is no terminal for a progress bar."""
    left = max(run.config.duration - run.state.images_seen, 0) / max(numbers["images_per_second"], 1e-9)
    losses = ", ".join(f"{name} {value:.3f}" for name, value in numbers.items() if "loss" in name)
    print(
        f"{run.state.images_seen:,} of {run.config.duration:,} images, {numbers['images_per_second']:.0f} a second, "
        f"{left / 60:.0f} min left, {losses}, data wait {numbers['data_wait']:.1%}",
        flush=True,
    )


class Samples(AtIntervals):
    """Sheets from the published generator: fixed latents, every class, and the three interpolations."""

    def __init__(self, every: int, *, columns: int, rows: int, chunk: int) -> None:
        super().__init__(every)
        self.columns, self.rows, self.chunk = columns, rows, chunk

    def _act(self, run: Run) -> None:
        """Draw and write, on the first process."""
        if not distributed.is_primary():
            return
        folder = run.directory.path / SAMPLES / str(run.state.images_seen)
        with evaluating(run.sampled) as generator:
            save(self._fixed(generator), folder / FIXED)
            pages = class_sheets(generator, run.class_names, self.columns, chunk=self.chunk)
            for number, page in enumerate(pages):
                save(page, folder / (f"classes_{number}.png" if number else "classes.png"))
            for kind in ("zy", "z", "y"):
                images = interpolation_sheet(generator, kind, rows=self.rows, chunk=self.chunk)
                save(sheet(images, 10), folder / f"interpolation_{kind}.png")

    def _fixed(self, generator: Generator) -> Image.Image:
        """The same latents and labels at every interval: how the model changes."""
        classes = max(generator.architecture.classes, 1)
        count = 80 if generator.architecture.resolution[0] <= 128 else 24
        z = latents(range(count), generator.architecture.z_size)
        labels = torch.arange(count) % classes
        return sheet(draw(generator, z, labels, self.chunk), 10 if count == 80 else 6)


def save(picture: Image.Image, path: Path) -> None:
    """Write a picture, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


class Judging(AtIntervals):
    """Scores the published generator; the best checkpoints are kept by this value."""

    def __init__(self, every: int, name: str) -> None:
        super().__init__(every)
        self.name = name
        self._judge: Any = None

    def _act(self, run: Run) -> None:
        """Judge, and report the value."""
        if distributed.is_primary():
            self._judge = self._judge or JUDGES[self.name]()
            with evaluating(run.sampled) as generator:
                verdict = self._judge.judge(generator)
            run.tell(f"{run.state.images_seen:,} images: {verdict}")
            value = verdict.value
        else:
            value = 0.0
        value = float(distributed.broadcast_object(value))  # type: ignore[arg-type]
        report(run, self.name, value)


def report(run: Run, name: str, value: float) -> None:
    """Note a value, larger is better, by which checkpoints of this clock are kept or not."""
    clock = run.state.images_seen
    run.state.best = [
        *(entry for entry in run.state.best if (entry[0], entry[2]) != (name, clock)),
        (name, value, clock),
    ]


class Evaluation(AtIntervals):
    """Measures the published generator on all ranks; a failure is told once, and training goes on without."""

    def __init__(self, config: TrainingEvaluation, source: Callable[[], ImageSource], handling: str) -> None:
        super().__init__(config.every)
        self.config, self.handling = config, handling
        self._open = source
        self._source: ImageSource | None = None
        self._failed = False

    def _act(self, run: Run) -> None:
        """Evaluate, unless the run is shorter than the interval."""
        if self.every is None or run.state.images_seen < self.every or self._failed:
            return
        try:
            records = self._measure(run)
        except (UserError, OSError, RuntimeError) as error:
            self._failed = True
            run.tell(f"evaluation failed, and is off for the rest of this process: {error}")
            return
        if distributed.is_primary():
            for record in records:
                append_json_line(run.directory.path / METRICS_FILE, record)
        shown = ", ".join(f"{r['metric']} {r['value']:.4g}" for r in records if r["value"] is not None)
        run.tell(f"{run.state.images_seen:,} images: {shown}")
        best = best_value(records, self.config.best_by)
        if best is not None:
            report(run, *best)

    def _measure(self, run: Run) -> list[Record]:
        self._source = self._source or self._open()
        with evaluating(run.sampled) as generator:
            side = generated(Sampler(generator, run.info()), self.config, self._source)
            return evaluate(side, self.config, source=self._source, device=run.device, handling=self.handling)


class Checkpoints(AtIntervals):
    """Saves everything; first makes sure that it is finite and the same on all ranks."""

    def _act(self, run: Run) -> None:
        """Save."""
        run.engine.guard.check()
        check_ranks_agree(run.state.tensors())
        if distributed.is_primary():
            run.store.save(run.state, run.info(), run.configuration())
        distributed.barrier()


class Snapshots(AtIntervals):
    """Publishes the generator."""

    def _act(self, run: Run) -> None:
        """Write ``snapshots/<images>.safetensors``."""
        run.engine.guard.check()
        if distributed.is_primary():
            path = run.directory.path / SNAPSHOTS / f"{run.state.images_seen}{SUFFIX}"
            write_snapshot(path, run.sampled, run.info())


def check_ranks_agree(tensors: dict[str, Tensor]) -> None:
    """Compare all state bitwise over ranks.

    Raises:
        UserError: ranks differ; names the first tensor.
    """
    if distributed.world_size() == 1:
        return
    own = {
        name: hashlib.sha256(
            tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        ).hexdigest()
        for name, tensor in tensors.items()
    }
    everyone = distributed.gather_objects(own)
    for rank, other in enumerate(everyone):
        assert isinstance(other, dict)
        wrong = [name for name, value in own.items() if other.get(name) != value]
        if wrong:
            raise UserError(
                f"rank {rank} and rank {distributed.rank()} have drifted apart at {wrong[0]} ({len(wrong)} tensors "
                "differ); a step of your own must do the same on every rank. No checkpoint was written."
            )
