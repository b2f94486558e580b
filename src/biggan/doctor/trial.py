"""A run in a temporary folder: train, save, go on, load, sample."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from biggan.data.configuration import DataConfig
from biggan.doctor.finding import Finding
from biggan.foundation.errors import UserError
from biggan.models.architecture import architecture
from biggan.sampling.sampler import load
from biggan.training.configuration import CheckpointConfig, LogConfig, MovingAverageConfig, TrainingConfig
from biggan.training.setup import train

SECONDS = 10.0
"""How long it trains, at most, as far as the first iterations tell."""
_FIRST = 160
_SIDE = 16


def trial_config(run_dir: str, device: str) -> TrainingConfig:
    """Return a run on the digits that takes milliseconds an iteration."""
    return TrainingConfig(
        data=DataConfig(path="digits"),
        run_dir=run_dir,
        device=device,  # type: ignore[arg-type]  # checked by the command line
        batch=16,
        duration=_FIRST,
        model=architecture(
            "biggan",
            resolution=(_SIDE, _SIDE),
            channels=1,
            classes=10,
            latent_size=12,
            generator_width=8,
            discriminator_width=8,
            shared_embedding=8,
            generator_attention=(),
            discriminator_attention=(),
        ),
        ema=MovingAverageConfig(decay=0.9),
        compile="off",
        checkpoint=CheckpointConfig(every=10**9),
        log=LogConfig(every=_FIRST, samples_every=10**9, sheet_columns=1, interpolation_rows=1, tensorboard=False),
    )


def check_training(device: str, seconds: float = SECONDS) -> Finding:
    """Train for some seconds, in two runs of one directory, and draw from what was saved.

    Args:
        device: auto, cpu, cuda or mps.
        seconds: of training, about.
    """
    begun = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="biggan-doctor-") as folder, _quiet():
            config = trial_config(str(Path(folder) / "run"), device)
            train(config)
            spent = time.monotonic() - begun
            further = int(_FIRST * max(min(seconds / max(spent, 1e-3) - 1.0, 200.0), 1.0)) // 16 * 16
            started = time.monotonic()
            outcome = train(dataclasses.replace(config, duration=_FIRST + further))
            speed = further / (time.monotonic() - started)
            if outcome.images_seen != _FIRST + further:
                return Finding("training", "broken", f"ended at {outcome.images_seen} images; please report that")
            sampler = load(Path(folder) / "run", device)
            images = sampler.sample(seeds=range(16))
            again = sampler.sample(seeds=range(16))
    except UserError as error:
        return Finding("training", "broken", str(error))
    except Exception as error:
        return Finding("training", "broken", f"failed ({type(error).__name__}); biggan train digits shows where")
    if tuple(images.shape) != (16, 1, _SIDE, _SIDE) or int(images.max()) == int(images.min()):
        return Finding("training", "broken", "what it drew is no image; update PyTorch, or --device cpu")
    if not bool((images == again).all()):
        return Finding("training", "warning", "the same seeds gave other images twice on this device")
    text = (
        f"trained, saved, went on, loaded and drew in {time.monotonic() - begun:.0f} s ({speed:,.0f} images/s of 16 px)"
    )
    return Finding("training", "ok", text)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what a run says to itself."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)
