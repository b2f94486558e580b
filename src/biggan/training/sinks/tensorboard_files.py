"""TensorBoard: files in the run directory, for its own program to show."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

from biggan.training.run import Run
from biggan.training.sinks.contract import Sink

FOLDER = "tensorboard"


class TensorBoard(Sink):
    """Event files, a new one at each start."""

    title = "TensorBoard files"
    package = "tensorboard"

    def __init__(self, run: Run) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run.directory.path / FOLDER))

    def scalars(self, values: Mapping[str, float], images_seen: int) -> None:
        """Write numbers, at once."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, images_seen)
        self._writer.flush()

    def image(self, name: str, picture: Image.Image, images_seen: int) -> None:
        """Write a picture, at once."""
        self._writer.add_image(name, np.array(picture.convert("RGB")), images_seen, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
