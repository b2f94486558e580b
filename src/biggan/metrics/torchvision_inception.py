"""torchvision's Inception as BigGAN-PyTorch uses it, to compare with that repository's log and with nothing else."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from biggan.foundation.downloads import download
from biggan.foundation.images import three_channels
from biggan.metrics.features import ExtractorOptions, Features
from biggan.metrics.weights import load_into, read_weights

_URL = "https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth"
_SIDE = 299


class TorchvisionInception:
    """Pool features and logits of torchvision's network, images resized bilinearly with aligned corners."""

    name = "inception-torchvision"
    takes_floats = True
    classifies = True
    gives_gradients = True

    def __init__(self, options: ExtractorOptions) -> None:
        from torchvision.models import inception_v3

        weights = read_weights(options.weights or download(_URL, most=2**30), option=options.option)
        self.network = inception_v3(weights=None, aux_logits=True, transform_input=False, init_weights=False)
        load_into(self.network, weights, "torchvision's Inception")
        self.network.eval().requires_grad_(False).to(options.device)
        self.device = options.device
        self.weights_hash = weights.sha256
        self.protocol = "torchvisioninception-bilinearaligned299-float"
        self.key = f"{self.protocol}-{self.weights_hash}"
        self._mean = torch.tensor([0.485, 0.456, 0.406], device=options.device).view(1, 3, 1, 1)
        self._std = torch.tensor([0.229, 0.224, 0.225], device=options.device).view(1, 3, 1, 1)

    def __call__(self, images: Tensor) -> Features:
        """Return features of images float [B, C, H, W] in [-1, 1]."""
        pooled: list[Tensor] = []
        hook = self.network.avgpool.register_forward_hook(lambda _, __, output: pooled.append(output.flatten(1)))
        x = ((three_channels(images).to(self.device).float() + 1.0) / 2.0 - self._mean) / self._std
        try:
            if x.shape[2:] != (_SIDE, _SIDE):
                x = F.interpolate(x, size=(_SIDE, _SIDE), mode="bilinear", align_corners=True)
            logits = self.network(x)
        finally:
            hook.remove()
        return Features(pooled[0], logits)
