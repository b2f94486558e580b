"""Looking at images and machine, before anything is chosen."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable

from biggan.data.configuration import DataConfig
from biggan.data.contract import ImageSource
from biggan.foundation.errors import UserError
from biggan.foundation.memory import free_memory
from biggan.foundation.terminal import one_line
from biggan.presets.auto.mirroring import ask
from biggan.presets.auto.seen import Machine, Mirroring, Seen

LOOKED_AT, UNKNOWN = 64, 32
"""Side at which images are looked at, in pixels, and the one that they are taken to have where nobody knows it."""
FEWEST = 20
"""Images without which there is nothing to learn."""
SMALLEST = 8
"""Pixels of a side below which there is nothing to see."""
_TRANSLUCENT = ("RGBA", "LA", "PA", "RGBa", "La")


def look(config: DataConfig, *, mirror: bool) -> Seen:
    """Return what is to be known of the images.

    Args:
        config: where they are.
        mirror: ask whether they may be mirrored.

    Raises:
        UserError: they cannot be opened, are too few, or too small; says what is missing.
    """
    from biggan.data.opening import open_source

    # Corrupt images are left out by the runs that auto makes, and stop no look at the others.
    # A margin to crop at random would make them larger.
    seen_whole = dataclasses.replace(config, skip_corrupt=True, random_crop=False)
    source = open_source(seen_whole, (LOOKED_AT, LOOKED_AT))
    if len(source) < FEWEST:
        broken = ""
        if source.left_out:
            (name, reason), count = source.left_out[0], len(source.left_out)
            broken = f"; {count} more cannot be read, such as {one_line(name)} ({one_line(reason, 80)})"
        raise UserError(
            f"--data {config.path}: {len(source)} image{'s' * (len(source) != 1)} found, and auto needs at least "
            f"{FEWEST}, better some hundreds; add {FEWEST - len(source)} or more, in a sub-folder for each class"
            + broken
        )
    notes = source.notes()
    sides = _shorter_sides(source)
    middle = sides[len(sides) // 2]
    if middle < SMALLEST:
        raise UserError(
            f"--data {config.path}: the middle image has {middle} px on its shorter side, and auto "
            f"needs {SMALLEST} at least; look for larger versions of them"
        )
    asked = ask(source) if mirror else Mirroring(allowed=config.flip, reason="given")
    return Seen(
        images=len(source),
        class_counts=tuple(map(int, source.class_counts())) if source.class_names else (),
        channels=source.channels,
        side=middle,
        elongation=_elongation(source),
        translucent=sum(notes.modes.get(mode, 0) for mode in _TRANSLUCENT),
        photographs=notes.photographs and source.channels == 3,
        mirroring=asked,
    )


def _shorter_sides(source: ImageSource) -> list[int]:
    """Return the shorter sides of the examined images, ascending; 32 if none is known."""
    sizes: Iterable[tuple[tuple[int, int], int]] = source.notes().sizes.items()
    return sorted(min(size) for size, count in sizes for _ in range(count)) or [UNKNOWN]


def _elongation(source: ImageSource) -> float:
    """Return how many times as long as its shorter side the longer one is, of the middle one of the examined images."""
    sizes = source.notes().sizes.items()
    ratios = sorted(max(size) / min(size) for size, count in sizes for _ in range(count))
    return ratios[len(ratios) // 2] if ratios else 1.0


def examine(device: str) -> Machine:
    """Return what computes: the device that ``--device`` names."""
    import torch

    from biggan.foundation.devices import choose_device

    found = choose_device(device)
    if found.type != "cuda":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        name = f"{cores} CPU core{'s' * (cores != 1)}" if found.type == "cpu" else "the GPU of this Mac"
        return Machine(device=found.type, name=name, memory=free_memory())
    return Machine(
        device="cuda",
        name=torch.cuda.get_device_name(found),
        memory=torch.cuda.mem_get_info(found)[0],
        narrow=torch.cuda.is_bf16_supported(including_emulation=False),
    )
