"""Features of a network that was never trained (Naeem et al. 2020, "Reliable fidelity and diversity metrics", R64).

They know nothing of photographs, and so misjudge nothing that is none: for data to which ImageNet features are blind.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from biggan.foundation.images import three_channels
from biggan.foundation.seeding import derive_seed
from biggan.metrics.features import ExtractorOptions, Features

_DIMENSIONS = 64
_SIDES = 32, 64
"""Images of at most the first are seen at that size, larger ones at the second."""


class RandomFeatures:
    """VGG16 with random weights, always the same ones, and 64 outputs."""

    name = "random"
    takes_floats = False
    classifies = False
    gives_gradients = True

    def __init__(self, options: ExtractorOptions) -> None:
        from torchvision.models import vgg16

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(0, "random features"))
            network = vgg16(weights=None)
            network.classifier[-1] = nn.Linear(4096, _DIMENSIONS)
        self.network = network.eval().requires_grad_(False).to(options.device)
        self.device = options.device
        first = next(network.parameters()).detach().cpu().numpy().tobytes()
        self.weights_hash = hashlib.sha256(first).hexdigest()
        self.protocol = f"randomvgg16-bilinear{_SIDES[0]}or{_SIDES[1]}-uint8"
        self.key = f"{self.protocol}-{self.weights_hash}"

    def __call__(self, images: Tensor) -> Features:
        """Return features of images uint8 [B, C, H, W]."""
        x = three_channels(images).to(self.device).float() / 127.5 - 1.0
        side = _SIDES[0] if max(x.shape[2:]) <= _SIDES[0] else _SIDES[1]
        if x.shape[2:] != (side, side):
            x = F.interpolate(x, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
        return Features(self.network(x), None)
