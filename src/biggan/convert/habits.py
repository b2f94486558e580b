"""What other packages do around their networks, for those who want to meet their published pictures exactly."""

from __future__ import annotations

from torch import Tensor


def huggingface_noise(count: int, size: int, truncation: float, seed: int) -> Tensor:
    """Return latents as pytorch-pretrained-BigGAN's helper draws them: float32 [count, size].

    They lie within twice ``truncation``: T times a normal truncated at 2, by SciPy from NumPy's generator of old.
    """
    import numpy as np
    import torch
    from scipy.stats import truncnorm

    values = truncnorm.rvs(-2, 2, size=(count, size), random_state=np.random.RandomState(seed)).astype(np.float32)
    return torch.from_numpy(truncation * values)


def huggingface_bytes(images: Tensor) -> Tensor:
    """Return uint8 [N, H, W, C] of images in [-1, 1], float [N, C, H, W]: 256 (x + 1) / 2, cut off, not rounded."""
    scaled = ((images + 1) / 2 * 256).clamp(0, 255)
    return scaled.byte().permute(0, 2, 3, 1).contiguous()


def biggan_pytorch_bytes(images: Tensor) -> Tensor:
    """Return uint8 [N, C, H, W] of images in [-1, 1], as BigGAN-PyTorch stores samples: 255 (x + 1) / 2, cut off."""
    return (255 * ((images.clamp(-1, 1) + 1) / 2)).byte()


def studiogan_bytes(images: Tensor) -> Tensor:
    """Return uint8 [N, C, H, W] of images in [-1, 1], as PyTorch-StudioGAN makes them: 255 (x + 1) / 2, rounded."""
    return (255 * ((images.clamp(-1, 1) + 1) / 2) + 0.5).byte()
