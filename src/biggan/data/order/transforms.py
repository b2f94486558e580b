"""What training does to an image anew at each access: mirroring, and a window at a random place.

Both belong to a position of the data order, act on bytes, on whichever device the batch lies, and on every source
alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biggan.data.configuration import DataConfig
from biggan.foundation.devices import to_device
from biggan.foundation.seeding import uniforms_at


def prepared_size(config: DataConfig, resolution: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) at which images must come for training at ``resolution``."""
    if not config.random_crop:
        return resolution
    height, width = (side + max(1, round(side * config.crop_margin)) for side in resolution)
    return height, width


class Transforms:
    """The transforms of one run."""

    def __init__(self, config: DataConfig, resolution: tuple[int, int], seed: int) -> None:
        self.flip, self.crop = config.flip, config.random_crop
        self.resolution, self.seed = resolution, seed

    def __call__(self, images: Tensor, positions: npt.NDArray[np.int64]) -> Tensor:
        """Return images as they are trained on.

        Args:
            images: uint8 [B, C, H', W'], on any device.
            positions: of theirs in the data order, [B].

        Returns:
            uint8 [B, C, H, W].
        """
        if self.crop:
            images = self._windows(images, uniforms_at(self.seed, "crop", 0, positions, 2))
        if self.flip:
            mirrored = to_device(
                torch.from_numpy(uniforms_at(self.seed, "flip", 0, positions, 1)[:, 0] < 0.5), images.device
            )
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        return images

    def _windows(self, images: Tensor, chance: npt.NDArray[np.float64]) -> Tensor:
        """Cut a window of the training size out of each image, its place uniform over all that fit."""
        height, width = self.resolution
        room = np.array([images.shape[2] - height + 1, images.shape[3] - width + 1])
        corners = to_device(torch.from_numpy((chance * room).astype(np.int64)), images.device)
        rows = corners[:, :1] + torch.arange(height, device=images.device)
        columns = corners[:, 1:] + torch.arange(width, device=images.device)
        every = torch.arange(len(images), device=images.device)[:, None, None]
        # [B, H, W, C] comes out of the gather; channels go back to their place.
        return images.permute(0, 2, 3, 1)[every, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
