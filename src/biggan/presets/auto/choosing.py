"""From what was seen to a run: every choice with its reason. Imports no torch.

What was measured for these numbers, and on what, stands in docs/auto.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import Any

from biggan.foundation.durations import format_images, spoken
from biggan.foundation.errors import UserError
from biggan.models.architecture import Architecture, architecture
from biggan.models.sizes import bottom_grid
from biggan.presets.auto.lengths import COMPILING, EPOCHS, HOURS, Length, checkpoints, length_of, rounded, sheets
from biggan.presets.auto.seen import Machine, Seen
from biggan.presets.auto.small_data import terms_for
from biggan.presets.following import attention_at
from biggan.training.configuration import AdamConfig, MovingAverageConfig, TrainingConfig

SIDES = {"cpu": (64, 32, 16), "cuda": (256, 128, 64, 32, 16), "mps": (64, 32, 16)}
"""Sizes among which is chosen, by device."""
HOURS_FOR = {"cpu": {64: 6.0}, "cuda": {256: 48.0}, "mps": {64: 2.0}}
"""Hours below which a size is not tried."""
IMAGES_FOR = {16: 0, 32: 10_000, 64: 500_000, 128: 2_000_000, 256: 10_000_000}
"""Images that a run must be able to show D in its time, for a size to be worth it."""
ATTENTION_FROM = 64
"""Pixels from which G and D attend, at half the size."""
IMBALANCED = 20.0
"""Times as many images in one class as in another, from which on small classes are shown more often."""
BATCH = {"cpu": 64, "cuda": 256, "mps": 64}
LEAST_BATCH, UPDATES = 32, 8_000
"""A run too short for so many updates has smaller batches, and more updates, down to so many images."""
WORTH = 1.25
"""Times as many updates that half a batch must bring: a GPU that waits for launches makes no more of them."""
NARROW_WIDTHS: dict[int, tuple[tuple[int, ...], tuple[int, ...], tuple[bool, ...]]] = {
    16: ((32, 32, 32), (16, 32, 64), (True, True, False)),
    32: ((128, 64, 32, 16), (16, 32, 64, 128), (True, True, True, False)),
}
"""On a CPU, by longer side: channels of G, channels of D, where D halves; other sizes have BigGAN's table."""
WIDTH = {"cpu": 8, "cuda": 64, "mps": 32}
RATES = {"cpu": (4e-4, 8e-4, 64), "cuda": (1e-4, 4e-4, 256), "mps": (4e-4, 8e-4, 64)}
"""Of G, of D, and the batch up to which they hold; on a GPU BigGAN's at 1/8 of its batch."""
LATENT, EMBEDDING = {"cpu": 11, "cuda": 20, "mps": 11}, {"cpu": 32, "cuda": 128, "mps": 32}
"""Numbers of z for each part that is fed to a stage, and of the class; as the digits preset has, on a GPU BigGAN."""


@dataclass(frozen=True, kw_only=True)
class Trials:
    """What is tried, with a run that is considered."""

    fitting: Callable[[TrainingConfig, Machine], int]
    """Returns the micro-batch that fits."""
    pace: Callable[[TrainingConfig], float]
    """Returns how many images a second it trains on."""


@dataclass(kw_only=True)
class Chosen:
    """A run, and why it is that one."""

    config: TrainingConfig
    reasons: list[tuple[str, str, str, frozenset[str]]] = field(default_factory=list)
    """What, value, reason, and the options that it is about."""

    def note(self, what: str, value: object, reason: str, *options: str) -> None:
        """Remember why."""
        self.reasons.append((what, str(value), reason, frozenset(options)))

    def lines(self, given: Set[str] = frozenset()) -> list[str]:
        """Return a line for each choice, without those in whose place something was given."""
        said = [(what, value, reason) for what, value, reason, options in self.reasons if not options & given]
        wide = max((len(what) for what, _, _ in said), default=0)
        return [f"  {what:{wide}}  {value}: {reason}" for what, value, reason in said]


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
    _say_size(found, wanted, seen, machine, length)
    return _of_length(found, seen, machine, length, given)


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
        ),
        generator_adam=AdamConfig(learning_rate=float(f"{of_g * factor:.2g}")),
        discriminator_adam=AdamConfig(learning_rate=float(f"{of_d * factor:.2g}")),
        on_collapse="rollback",
        precision="bfloat16" if machine.narrow and "precision" not in given else asked.precision,
    )
    return Chosen(config=config)


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


def _say_size(found: Chosen, wanted: tuple[int, int] | None, seen: Seen, machine: Machine, length: Length) -> None:
    """Note the reasons of what does not depend on the length."""
    config, model = found.config, found.config.model
    height, width = model.resolution
    if wanted is not None:
        why = "given"
    elif min(model.resolution) > seen.side:
        why = f"the smallest there is; the images have {seen.side} px, and are enlarged"
    elif 2 * height > seen.side:
        why = f"the images' shorter sides are {seen.side} px in the middle"
    else:
        why = f"as large as {machine.name} can do in {length.time}; the images would allow {seen.side} px"
    found.note("resolution", f"{height}x{width}", why)
    colours = "all images are gray" if seen.channels == 1 else "the images are in colour"
    if seen.translucent:
        colours += f"; {seen.translucent:,} with transparency are laid on {config.data.background}"
    found.note("channels", seen.channels, colours)
    names = len(seen.class_counts)
    counts = "no sub-folders"
    if names:
        least, most = min(seen.class_counts), max(seen.class_counts)
        counts = f"{least:,}{f' to {most:,}' if most > least else ''} images each"
    found.note("classes", names or "none", counts)
    if config.data.label_sampling == "sqrt":
        found.note(
            "label sampling",
            "sqrt",
            f"one class has {seen.imbalance:.0f} times as many images as another",
            "data.label_sampling",
        )
    found.note("family", model.family, "class-conditional, and what this package has measured most")
    g, d = model.generator_stages(), model.discriminator_stages()
    shown = f"G {g[0].in_channels} to {g[-1].out_channels} channels, D {d[0].out_channels} to {d[-1].out_channels}"
    of = "for a GPU" if machine.fast else "narrow where images are large, so that a CPU makes many updates"
    found.note("width", shown, of, "model.generator_width", "model.discriminator_width")
    attention = " and ".join(dict.fromkeys((*model.generator_attention, *model.discriminator_attention)))
    found.note(
        "attention",
        f"at {attention} px" if attention else "none",
        "half the image size" if attention else f"below {ATTENTION_FROM} px convolutions reach across the image",
    )
    parts = "at once" if config.micro_batch == config.batch else f"in micro-batches of {config.micro_batch}"
    found.note("batch", config.batch, f"{parts}; {length.images // config.batch:,} updates")
    of_g, of_d, at = RATES[machine.device]
    found.note(
        "rates",
        f"G {config.generator_adam.full_rate:g}, D {config.discriminator_adam.full_rate:g}",
        f"{of_g:g} and {of_d:g} up to a batch of {at}, by the square root of the batch above",
        "generator_adam.learning_rate",
        "discriminator_adam.learning_rate",
    )
    if config.precision != "float32":
        found.note("precision", config.precision, f"{machine.name} computes it fast", "precision")
    found.note("mirroring", "on" if config.data.flip else "off", seen.mirroring.reason, "data.flip")


def _of_length(found: Chosen, seen: Seen, machine: Machine, length: Length, given: Set[str]) -> Chosen:
    """Add what depends on the length."""
    config = found.config
    if "duration" not in given and length.images < 4 * config.batch:
        raise UserError(
            f"--hours: in {length.time} {machine.name} can train on {length.images:,} images at "
            f"{config.model.resolution[0]} px, which is nothing yet; give more time, or a smaller --resolution"
        )
    terms, why = terms_for(seen, length.images, fast=machine.fast, side=max(config.model.resolution))
    if "compile" not in given and machine.device == "cuda" and length.seconds < COMPILING:
        config = dataclasses.replace(config, compile="off")
        found.note("compile", "off", f"it would take a minute or two of {length.time}", "compile")
    half_life = max(rounded(length.images / 15), 1)
    save = checkpoints(length)
    found.config = dataclasses.replace(
        config,
        duration=length.images,
        terms=terms if "terms" not in given else config.terms,
        ema=MovingAverageConfig(half_life=half_life, ramp_up=0.05),
        checkpoint=dataclasses.replace(config.checkpoint, every=save),
        log=sheets(length, classes=len(seen.class_counts)),
        health=dataclasses.replace(config.health, every=max(rounded(length.images / 20), 1000)),
    )
    found.note("terms", " ".join(terms) or "none", why, "terms")
    back = "a run that collapses goes back to its last healthy checkpoint by itself"
    found.note("on collapse", "rollback", back, "on_collapse")
    found.note("average", f"half-life {format_images(half_life)} images", "a fifteenth of the run", "ema.half_life")
    found.note("length", f"{format_images(length.images)} images", length.reason)
    first, most = found.config.log.first_samples or 0, found.config.log.samples_every
    found.note(
        "sheets",
        f"the first after {format_images(first)} images",
        f"{spoken(first / length.pace)}; then rarer and rarer, at least every {format_images(most)}; "
        f"saved every {format_images(save)}",
    )
    return found
