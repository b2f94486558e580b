"""What a sink is, and how a run that has some writes to all of them. None can end a run."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from PIL import Image

from biggan.foundation.errors import UserError
from biggan.foundation.registry import Registry
from biggan.training.configuration import LogConfig
from biggan.training.run import Run

LARGEST_SIDE = 2048
"""Pixels of a picture's longer side that a sink gets; the run's own files have all of them."""


class Sink(ABC):
    """Takes scalars and images by name at a clock. The first process alone opens it, when there is something."""

    title: ClassVar[str]
    """What it is called."""
    package: ClassVar[str]
    """What it needs; also the extra that installs it."""

    @abstractmethod
    def __init__(self, run: Run) -> None:
        """Open it for a run."""

    @abstractmethod
    def scalars(self, values: Mapping[str, float], images_seen: int) -> None:
        """Write numbers; names are the same for all sinks."""

    @abstractmethod
    def image(self, name: str, picture: Image.Image, images_seen: int) -> None:
        """Write a picture of mode L or RGB, of at most :data:`LARGEST_SIDE` pixels a side."""

    @abstractmethod
    def close(self) -> None:
        """Write what is left."""

    @classmethod
    def installed(cls) -> bool:
        """Tell whether it can be opened; nothing is imported."""
        return importlib.util.find_spec(cls.package) is not None


SINKS: Registry[type[Sink]] = Registry(
    "sink",
    {
        "tensorboard": "biggan.training.sinks.tensorboard_files:TensorBoard",
        "wandb": "biggan.training.sinks.weights_and_biases:WeightsAndBiases",
    },
)
"""Their names are those of options: --log.tensorboard, --log.wandb."""


def check_sinks(log: LogConfig) -> None:
    """Check, before a run begins, that the sinks that were asked for can be had.

    Raises:
        UserError: one is not installed. TensorBoard, which is on by default, is then left out without a word.
    """
    if log.wandb and not SINKS["wandb"].installed():
        raise UserError('--log.wandb needs W&B, which is not installed; pip install "biggan-torch[wandb]"')


class Sinks:
    """The sinks of a run: each is opened when there is something to write, and left out from its first failure on."""

    def __init__(self, log: LogConfig) -> None:
        self._left = [name for name in SINKS if getattr(log, name) and SINKS[name].installed()]
        self._open: dict[str, Sink] = {}

    def scalars(self, run: Run, values: Mapping[str, float]) -> None:
        """Write numbers at the clock of the run; for the first process to call."""
        self._each(run, lambda sink: sink.scalars(values, run.state.images_seen))

    def image(self, run: Run, name: str, picture: Image.Image) -> None:
        """Write a picture at the clock of the run; for the first process to call."""
        if not self._left:
            return
        shown = picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
        if max(shown.size) > LARGEST_SIDE:
            shown = shown.copy()
            shown.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        self._each(run, lambda sink: sink.image(name, shown, run.state.images_seen))

    def close(self, run: Run) -> None:
        """Close those that are open."""
        self._each(run, lambda sink: sink.close(), opened=True)
        self._open.clear()

    def _each(self, run: Run, act: Callable[[Sink], None], *, opened: bool = False) -> None:
        for name in [name for name in self._left if name in self._open or not opened]:
            try:
                if name not in self._open:
                    self._open[name] = SINKS[name](run)
                act(self._open[name])
            except Exception as error:  # a full disk, a network: whatever is the matter with a picture of the numbers
                self._left.remove(name)
                self._open.pop(name, None)
                run.tell(f"no {SINKS[name].title} from here on: {type(error).__name__}: {error}")
