"""What commands share that run on several processes: the device of each, compiling, and images at one size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from biggan.data.configuration import ReadingConfig

if TYPE_CHECKING:
    from biggan.data.contract import ImageSource


@dataclass(frozen=True, kw_only=True)
class CompileOption:
    """What commands that draw many images offer."""

    compile: bool = False
    """Compile the generator by torch.compile: the first batch takes a minute or more, each further one less."""


def with_ranks(name: str, act: Callable[[Any], int], *, exact: bool = True) -> int:
    """Act on the device of this rank, with the others.

    Args:
        name: of the kind of device.
        act: what to do there; its result is the exit status.
        exact: whether float32 products on CUDA must not be rounded to TF32.
    """
    from biggan.foundation import distributed, launch
    from biggan.foundation.devices import choose_device, take_device

    def choose() -> Any:
        device = choose_device(name, launch.local_rank())
        take_device(device, exact=exact)
        return device

    device = distributed.start(choose)
    try:
        return act(device)
    finally:
        distributed.stop()


def open_at(config: ReadingConfig, size: tuple[int, int]) -> ImageSource:
    """Open images at a size (height, width)."""
    from biggan.data.opening import open_images

    return open_images(config, size)
