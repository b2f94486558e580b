"""What follows from a size or batch that a recipe is used at and was not made for. Imports no torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Set
from typing import Any

from biggan.foundation.errors import UserError
from biggan.models.architecture import Architecture
from biggan.models.stages import Stage
from biggan.training.configuration import TrainingConfig

ATTENTION = {"generator": "model.generator_attention", "discriminator": "model.discriminator_attention"}


def follow(config: TrainingConfig, preset: TrainingConfig, given: Set[str]) -> TrainingConfig:
    """Return a preset with options given, and what follows from them where it was not given itself.

    Args:
        config: with the options.
        preset: without.
        given: dotted names of the options that were given.
    """
    return _own_decay(_moved_attention(_even_micro_batch(config, preset, given), given), given)


def _own_decay(config: TrainingConfig, given: Set[str]) -> TrainingConfig:
    """Let a decay of the average that was given be in force: a half-life of the preset would replace it."""
    if "ema.decay" not in given or "ema.half_life" in given:
        return config
    return dataclasses.replace(config, ema=dataclasses.replace(config.ema, half_life=None))


def _even_micro_batch(config: TrainingConfig, preset: TrainingConfig, given: Set[str]) -> TrainingConfig:
    """Let the micro-batch divide a batch that was given, so that no group is smaller than another.

    It is the divisor nearest to the preset's, half to twice as large; where there is none it stays.
    """
    size = preset.micro_batch
    if "batch" not in given or "micro_batch" in given or not isinstance(size, int) or config.batch % size == 0:
        return config
    fitting = {
        abs(math.log(one / size)): one
        for one in range(1, config.batch + 1)
        if config.batch % one == 0 and size / 2 <= one <= 2 * size
    }
    return dataclasses.replace(config, micro_batch=fitting[min(fitting)]) if fitting else config


def _moved_attention(config: TrainingConfig, given: Set[str]) -> TrainingConfig:
    """Put attention where a network of the size that was given has it: see :func:`attention_at`."""
    size = config.resolution or config.model.resolution
    if not given & {"resolution", "model.resolution", "model.bottom"} or config.init.path is not None:
        return config
    bare = dataclasses.replace(config.model, resolution=size, generator_attention=(), discriminator_attention=())
    moved: dict[str, Any] = {}
    for network, option in ATTENTION.items():
        words = getattr(config.model, f"{network}_attention")
        if words and option not in given:
            moved[f"{network}_attention"] = attention_at(words, bare, network)
    return dataclasses.replace(config, model=dataclasses.replace(config.model, **moved)) if moved else config


def attention_at(words: tuple[str, ...], model: Architecture, network: str) -> tuple[str, ...]:
    """Return where attention moves to in networks of another size than it was chosen for.

    A size ("64", "64x16") becomes the largest of the network's stages that is not larger, and not above half the image,
    where attention costs least for what it sees; the smallest where all are larger. "stage:N" stays.

    Args:
        words: where it was.
        model: the architecture at its new size, without attention.
        network: generator or discriminator.
    """
    try:
        stages = model.generator_stages() if network == "generator" else model.discriminator_stages()
    except UserError:  # said, with the option, when the architecture is looked at as a whole
        return words
    sides = sorted({_side(stage) for stage in stages})
    half = max(model.resolution) // 2
    moved = []
    for word in words:
        if word.startswith("stage:") or not all(part.isdigit() for part in word.split("x")):
            moved.append(word)
            continue
        wanted = max(map(int, word.split("x")))
        moved.append(str(max((side for side in sides if side <= min(wanted, half)), default=sides[0])))
    return tuple(dict.fromkeys(moved))


def _side(stage: Stage) -> int:
    return max(stage.height, stage.width)
