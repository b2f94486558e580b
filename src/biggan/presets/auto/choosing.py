"""From what was seen to a run: every choice with its reason. Imports no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any

from biggan.foundation.durations import format_images, spoken
from biggan.foundation.errors import UserError
from biggan.models.architecture import Architecture, architecture
from biggan.models.sizes import bottom_grid
from biggan.presets.auto.chosen import Chosen
from biggan.presets.auto.lengths import COMPILING, EPOCHS, HOURS, SAVED, Length, checkpoints, length_of, rounded, sheets
from biggan.presets.auto.reasons import say_size
from biggan.presets.auto.rules import (
    ATTENTION_FROM,
    BATCH,
    DECODED_FIRST,
    EMBEDDING,
    HOURS_FOR,
    IMAGES_FOR,
    IMBALANCED,
    LATENT,
    LEAST_BATCH,
    NARROW_WIDTHS,
    RATES,
    SIDES,
    UPDATES,
    WIDTH,
    WORTH,
)
from biggan.presets.auto.seen import Machine, Seen
from biggan.presets.auto.small_data import terms_for
from biggan.presets.following import attention_at
from biggan.training.configuration import AdamConfig, MovingAverageConfig, TrainingConfig
from biggan.training.health.constants import FIRST_ALARM


@dataclass(frozen=True, kw_only=True)
class Trials:
    """What is tried, with a run that is considered."""

    fitting: Callable[[TrainingConfig, Machine], int]
    """Returns the micro-batch that fits."""
    pace: Callable[[TrainingConfig], float]
    """Returns how many images a second it trains on."""
    spent: Callable[[], float] = float
    """Returns the seconds since the command; 0 where nobody waits."""


def choose(
    seen: Seen, machine: Machine, asked: TrainingConfig, given: Set[str], trials: Trials, hours: float | None
) -> Chosen:
    """Return the run for these images on this machine.

    Args:
        seen: what was found out about the images.
        machine: what computes.
        asked: the configuration of the command line alone.
        given: dotted names of what was given there; that holds, and what follows from it follows.
        trials: tries a run; called for each size that is considered.
        hours: that the run may take; None where the duration is given, or left to choose.

    Raises:
        UserError: a time in which nothing can be trained.
    """
    wanted = _wanted_size(asked, given)
    sizes = [wanted] if wanted is not None else [(side, side) for side in _sizes(seen, machine, hours)]
    batch = asked.batch if "batch" in given else min(BATCH[machine.device], max(seen.images // 2, 2))
    duration = asked.duration if "duration" in given else None
    larger: tuple[Chosen, Length] | None = None
    while True:
        found = _of_size(sizes[0], seen, machine, asked, given, batch)
        if "micro_batch" not in given:
            found.config = dataclasses.replace(found.config, micro_batch=trials.fitting(found.config, machine))
        pace = trials.pace(found.config)
        length = length_of(machine.device, pace, hours, duration, seen.images)
        if larger is not None and length.images / batch < WORTH * larger[1].images / larger[0].config.batch:
            found, length = larger
            break
        if len(sizes) > 1 and length.images < min(IMAGES_FOR[sizes[0][0]], EPOCHS * seen.images):
            sizes.pop(0)
            larger = None
        elif "batch" in given or batch // 2 < LEAST_BATCH or length.images >= UPDATES * batch:
            break
        else:
            larger, batch = (found, length), batch // 2
    terms, _ = terms_for(seen, length.images, fast=machine.fast)
    if terms and "terms" not in given:  # DiffAugment costs a tenth of the speed
        pace = trials.pace(dataclasses.replace(found.config, terms=terms))
        length = length_of(machine.device, pace, hours, duration, seen.images)
    say_size(found, wanted, seen, machine, length)
    return _of_length(found, seen, machine, length, given, trials.spent())


def _wanted_size(asked: TrainingConfig, given: Set[str]) -> tuple[int, int] | None:
    if "resolution" in given:
        return asked.resolution
    return asked.model.resolution if "model.resolution" in given else None


def _sizes(seen: Seen, machine: Machine, hours: float | None) -> list[int]:
    """Return the sizes that the images have and the time may do, largest first."""
    time = HOURS[machine.device] if hours is None else hours
    least = HOURS_FOR[machine.device]
    there = [side for side in SIDES[machine.device] if side <= seen.side and time >= least.get(side, 0.0)]
    return there or [SIDES[machine.device][-1]]


def _of_size(
    size: tuple[int, int], seen: Seen, machine: Machine, asked: TrainingConfig, given: Set[str], batch: int
) -> Chosen:
    """Return a run at a size with a batch, but for what depends on its length."""
    bottom_grid(*size)  # a size that cannot be built is an error now
    model = _model(size, machine, asked, given)
    of_g, of_d, at = RATES[machine.device]
    factor = max(batch / at, 1.0) ** 0.5
    config = dataclasses.replace(
        asked,
        resolution=size,
        model=dataclasses.replace(model, classes=len(seen.class_counts), channels=seen.channels),
        batch=batch,
        micro_batch=asked.micro_batch if "micro_batch" in given else batch,
        data=dataclasses.replace(
            asked.data,
            flip=seen.mirroring.allowed,
            label_sampling="sqrt" if seen.imbalance > IMBALANCED else "data",
            skip_corrupt=True,
            check=asked.data.check if "data.check" in given else seen.images <= DECODED_FIRST,
        ),
        generator_adam=AdamConfig(learning_rate=float(f"{of_g * factor:.2g}")),
        discriminator_adam=AdamConfig(learning_rate=float(f"{of_d * factor:.2g}")),
        precision="bfloat16" if machine.narrow and "precision" not in given else asked.precision,
    )
    found = Chosen(config=config)
    why = "one broken file of many is no reason to stop; the log names each"
    found.note("corrupt", "left out", why, "data.skip_corrupt")
    return found


def _model(size: tuple[int, int], machine: Machine, asked: TrainingConfig, given: Set[str]) -> Architecture:
    """Return networks for a size: what was given, BigGAN's customs, widths for this machine, attention at half."""
    family = asked.model.family if "model.family" in given else "biggan"
    own: dict[str, Any] = {
        name.removeprefix("model."): getattr(asked.model, name.removeprefix("model."))
        for name in given
        if name.startswith("model.") and name.count(".") == 1
    }
    width = WIDTH[machine.device]
    doublings = (max(size) // max(bottom_grid(*size))).bit_length() - 1
    values: dict[str, Any] = {
        "resolution": size,
        "generator_width": width,
        "discriminator_width": width,
        "latent_size": LATENT[machine.device] * (doublings + 1),
        "generator_attention": (),
        "discriminator_attention": (),
    }
    if family.startswith("biggan"):
        values["shared_embedding"] = EMBEDDING[machine.device]
    widths = {"generator_width", "discriminator_width", "bottom"}
    square = size[0] == size[1]
    if family == "biggan" and not machine.fast and square and size[0] in NARROW_WIDTHS and not widths & own.keys():
        g, d, halving = NARROW_WIDTHS[size[0]]
        values |= {
            "generator_channels": g,
            "discriminator_channels": d,
            "discriminator_downsampling": halving,
        }
    if family == "r3gan":  # whose widths are multiples up to 8 times as large
        values |= {"generator_width": max(width // 8, 1), "discriminator_width": max(width // 8, 1)}
    bare = architecture(family, **(values | {name: value for name, value in own.items() if name != "family"}))
    if family in ("biggan", "biggan-deep", "sagan") and max(size) >= ATTENTION_FROM:
        half = (str(max(size) // 2),)
        attended: dict[str, Any] = {
            f"{network}_attention": attention_at(half, bare, network)
            for network in ("generator", "discriminator")
            if f"model.{network}_attention" not in given
        }
        bare = dataclasses.replace(bare, **attended)
    return bare


def _of_length(found: Chosen, seen: Seen, machine: Machine, length: Length, given: Set[str], spent: float) -> Chosen:
    """Add what depends on the length."""
    config = found.config
    if "duration" not in given and length.images < 4 * config.batch:
        raise UserError(
            f"--hours: in {length.time} {machine.name} can train on {length.images:,} images at "
            f"{config.model.resolution[0]} px, which is nothing yet; give more time, or a smaller --resolution"
        )
    terms, why = terms_for(seen, length.images, fast=machine.fast)
    if "compile" not in given and machine.device == "cuda" and length.seconds < COMPILING:
        config = dataclasses.replace(config, compile="off")
        found.note("compile", "off", f"it would take a minute or two of {length.time}", "compile")
    half_life = max(rounded(length.images / 15), 1)
    save, looks = checkpoints(length), max(rounded(length.images / 20), 1000)
    told = length.images // looks >= FIRST_ALARM
    if "on_collapse" not in given:
        config = dataclasses.replace(config, on_collapse="rollback" if told else "warn")
    found.config = dataclasses.replace(
        config,
        duration=length.images,
        terms=terms if "terms" not in given else config.terms,
        ema=MovingAverageConfig(half_life=None if "ema.decay" in given else half_life, ramp_up=0.05),
        checkpoint=dataclasses.replace(config.checkpoint, every=save),
        log=sheets(length, classes=len(seen.class_counts), spent=spent),
        health=dataclasses.replace(config.health, every=looks),
    )
    found.note("terms", " ".join(terms) or "none", why, "terms")
    back = "a run that collapses goes back to its last healthy checkpoint by itself"
    short = f"{format_images(length.images)} images are too few for a collapse to be told"
    found.note("on collapse", found.config.on_collapse, back if told else short, "on_collapse")
    shown = f"half-life {format_images(half_life)} images"
    found.note("average", shown, "a fifteenth of the run", "ema.half_life", "ema.decay")
    found.note("length", f"{format_images(length.images)} images", length.reason)
    first, most = found.config.log.first_samples or 0, found.config.log.samples_every
    found.note(
        "sheets",
        f"the first after {format_images(first)} images",
        f"after {spoken(max(first / length.pace, 1))} of training; then rarer, at least every {format_images(most)}",
    )
    often = "about every ten minutes" if save >= rounded(SAVED * length.pace) else "five times in the run"
    found.note("saved", f"every {format_images(save)} images", often, "checkpoint.every")
    seen_to = f"every {format_images(looks)} images" if looks <= length.images else "none"
    found.note("looks", seen_to, "at its health, up to twenty in the run", "health.every")
    return found
