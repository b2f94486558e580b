"""What the evaluating commands share: the devices of several processes, and images at one size."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from biggan.data.configuration import ReadingConfig

if TYPE_CHECKING:
    from biggan.data.contract import ImageSource


def with_ranks(name: str, act: Callable[[Any], int]) -> int:
    """Act on the device of this rank, with the others."""
    from biggan.foundation import distributed, launch
    from biggan.foundation.devices import choose_device, take_device

    device = choose_device(name, launch.local_rank())
    take_device(device)
    distributed.start(device)
    try:
        return act(device)
    finally:
        distributed.stop()


def open_at(config: ReadingConfig, size: tuple[int, int]) -> ImageSource:
    """Open images at a size (height, width)."""
    from biggan.data.opening import open_images

    return open_images(config, size)
