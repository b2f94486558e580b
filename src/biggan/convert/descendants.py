"""Projects that grew out of BigGAN-PyTorch and kept its layout. Keys cannot tell them apart: ``--from`` does."""

from __future__ import annotations

import dataclasses

from biggan.convert import biggan_pytorch

DIFFAUGMENT = dataclasses.replace(
    biggan_pytorch.FAMILY,
    name="diffaugment",
    title="DiffAugment's BigGAN for CIFAR (mit-han-lab/data-efficient-gans)",
    layout_of="biggan-pytorch",
)
"""Its networks are BigGAN-PyTorch's, without the synchronised batch norm."""

IC_GAN = dataclasses.replace(
    biggan_pytorch.FAMILY,
    name="ic-gan",
    title="BigGAN of IC-GAN (facebookresearch/ic_gan)",
    layout_of="biggan-pytorch",
)
"""Its networks that are conditioned on classes alone; conditions on features of images are refused."""
