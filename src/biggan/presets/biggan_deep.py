"""BigGAN-deep: the launch script of BigGAN-PyTorch, and the three released sizes."""

from __future__ import annotations

import dataclasses

from biggan.models.architecture import architecture
from biggan.presets.recipes import imagenet, paper
from biggan.presets.registry import preset
from biggan.training.configuration import AdamConfig, TrainingConfig


@preset("biggan-pytorch-deep")
def biggan_pytorch_deep() -> TrainingConfig:
    """BigGAN-deep 128 px, ImageNet, batch 2048 (BigGAN-PyTorch, launch_BigGAN_deep.sh).

    Source: BigGAN-PyTorch at 9845943, whose README calls it untested. Hardware and time: none published. Expect: no
    figure published. Parameters: G 50,244,484, D 34,590,210.
    """
    return imagenet(architecture("biggan-deep"), micro_batch=32, save=500)


@preset("biggan-deep-128")
def biggan_deep_128() -> TrainingConfig:
    """BigGAN-deep 128 px, ImageNet, the released architecture, trained as in the paper.

    Source: Brock, Donahue and Simonyan 2019, appendices B and C; condition order and norm eps are those of the
    released weights, which mmgeneration evaluates. Hardware and time: the paper trained on 128 to 512 TPU v3 cores;
    none measured with this package. Expect: the released weights, converted, have FID 5.95 and IS 107.2 in
    mmgeneration's table (Tero Karras' Inception, whole training set). Parameters: G 50,244,484, D 34,590,210.
    """
    return _deep(128, micro_batch=32)


@preset("biggan-deep-256")
def biggan_deep_256() -> TrainingConfig:
    """BigGAN-deep 256 px, ImageNet, the released architecture, trained as in the paper.

    Source, hardware and time: as biggan-deep-128, with the rate 2.5e-5 for both networks. Expect: the released weights,
    converted, have FID 11.32 and IS 135.1 in mmgeneration's table. Parameters: G 55,736,708, D 38,247,426.
    """
    return _deep(256, micro_batch=16)


@preset("biggan-deep-512")
def biggan_deep_512() -> TrainingConfig:
    """BigGAN-deep 512 px, ImageNet, the released architecture, trained as in the paper.

    Source, hardware and time: as biggan-deep-256. Expect: the released weights, converted, have FID 16.87 and IS
    124.4 in mmgeneration's table. Parameters: G 56,019,780, D 38,301,122.
    """
    return _deep(512, micro_batch=8)


def _deep(side: int, micro_batch: int) -> TrainingConfig:
    model = architecture("biggan-deep", resolution=(side, side), condition_order="latent-class", norm_eps=1e-4)
    base = paper(model, micro_batch)
    if side == 128:
        return base
    slow = AdamConfig(learning_rate=2.5e-5, eps=1e-8)
    return dataclasses.replace(base, generator_adam=slow, discriminator_adam=slow)
