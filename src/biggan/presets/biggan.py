"""BigGAN: the launch scripts of BigGAN-PyTorch, mmgeneration's rows, and 256 and 512 px as in the paper."""

from __future__ import annotations

import dataclasses

from biggan.models.architecture import Architecture, SpectralNorm, architecture
from biggan.presets.recipes import imagenet, intervals, paper
from biggan.presets.registry import preset
from biggan.training.configuration import AdamConfig, MovingAverageConfig, TrainingConfig


@preset("biggan-pytorch-bs256x8")
def biggan_pytorch_bs256x8() -> TrainingConfig:
    """BigGAN 128 px, ImageNet, batch 2048 (BigGAN-PyTorch, launch_BigGAN_bs256x8.sh).

    Source: BigGAN-PyTorch at 9845943. Batch statistics there are each GPU's: 256 / 8 = 32 images, the micro-batch here.
    Hardware and time: 8 V100 of 16 GB, 15 days to 150,000 iterations (307 M images), by its README.
    Expect: IS 93.1, FID 9.91 at 138,000 iterations with torchvision's Inception; TF Inception IS 97.35 (its README and
    log). Parameters: G 70,433,988, D 87,982,370.
    """
    return imagenet(architecture("biggan"), micro_batch=32)


@preset("biggan-pytorch-bs512x4")
def biggan_pytorch_bs512x4() -> TrainingConfig:
    """BigGAN 128 px, ImageNet, batch 2048 in larger pieces (BigGAN-PyTorch, launch_BigGAN_bs512x4.sh).

    Source: BigGAN-PyTorch at 9845943; 512 / 8 = 64 images share batch statistics. Hardware and time: none published;
    needs about twice the memory of bs256x8. Expect: no figure published. Parameters: G 70,433,988, D 87,982,370.
    """
    return imagenet(architecture("biggan"), micro_batch=64)


@preset("biggan-pytorch-ch64")
def biggan_pytorch_ch64() -> TrainingConfig:
    """BigGAN 128 px at two thirds of the width (BigGAN-PyTorch, launch_BigGAN_ch64_bs256x8.sh).

    Source: BigGAN-PyTorch at 9845943. Hardware and time: none published. Expect: no figure published. Parameters:
    G 31,978,628, D 39,448,258.
    """
    model = architecture("biggan", generator_width=64, discriminator_width=64)
    return imagenet(model, micro_batch=32)


@preset("biggan-pytorch-cifar10")
def biggan_pytorch_cifar10() -> TrainingConfig:
    """BigGAN 32 px for CIFAR-10 (BigGAN-PyTorch, launch_cifar_ema.sh).

    Source: BigGAN-PyTorch at 9845943; batch 50 on 2 GPUs, so batch statistics of 25. Hardware and time: 2 GPUs, none
    published. Expect: users report FID 6.3 and IS 8.4 (torchvision's Inception). Parameters: G 4,304,387, D 4,207,361.
    """
    per_iteration = 4 * 50
    checkpoint, log = intervals(per_iteration, 2000)
    return TrainingConfig(
        model=_cifar(),
        batch=50,
        micro_batch=25,
        duration=500 * 50_000,
        discriminator_steps=4,
        generator_adam=AdamConfig(learning_rate=2e-4, eps=1e-8),
        discriminator_adam=AdamConfig(learning_rate=2e-4, eps=1e-8),
        fake_labels="uniform",
        ema=MovingAverageConfig(decay=0.9999, start=1000 * per_iteration),
        checkpoint=checkpoint,
        log=log,
    )


def _cifar() -> Architecture:
    norm = SpectralNorm(eps=1e-8)
    return architecture(
        "biggan",
        resolution=(32, 32),
        classes=10,
        latent_size=128,
        generator_width=64,
        discriminator_width=64,
        shared_embedding=0,
        hierarchical_latent=False,
        generator_attention=(),
        discriminator_attention=(),
        generator_init="normal",
        discriminator_init="normal",
        generator_spectral_norm=norm,
        discriminator_spectral_norm=norm,
    )


@preset("mmgen-biggan-cifar10")
def mmgen_biggan_cifar10() -> TrainingConfig:
    """BigGAN 32 px for CIFAR-10 (mmgeneration, biggan_cifar10_32x32_b25x2_500k).

    Source: mmgeneration at ccd1f56; its iterations count D steps, 500,000 x 50 images. Hardware: 2 GPUs; time: none
    published. Expect: FID 9.78, IS 8.70 at 390,000 D steps (Tero Karras' Inception, whole training set). Parameters:
    G 4,304,387, D 4,207,361.
    """
    checkpoint, log = intervals(50, 5000)
    return dataclasses.replace(
        biggan_pytorch_cifar10(),
        duration=500_000 * 50,
        ema=MovingAverageConfig(decay=0.9999, start=4000 * 50),
        checkpoint=checkpoint,
        log=log,
    )


@preset("mmgen-biggan-128")
def mmgen_biggan_128() -> TrainingConfig:
    """BigGAN 128 px, ImageNet (mmgeneration, biggan_ajbrock-sn_imagenet1k_128x128_b32x8_1500k).

    Source: mmgeneration at ccd1f56; 1,500,000 iterations of 256 images there are 187,500 of 2048. D's activations
    work in place there, so that the shortcut of its blocks sees relu(x). Hardware: 8 V100; time: none published.
    Expect: FID 8.69 and IS 101.15 at 1,232,000 of its iterations, IS 129.07 and FID 13.51 at 1,328,000 (Tero Karras'
    Inception, whole training set); "hardly reproducible" on A100. Parameters: G 70,433,988, D 87,982,370.
    """
    base = imagenet(architecture("biggan", inplace_activation=True), micro_batch=32)
    return dataclasses.replace(
        base, duration=1_500_000 * 256, ema=MovingAverageConfig(decay=0.9999, start=160_000 * 256)
    )


@preset("biggan-256")
def biggan_256() -> TrainingConfig:
    """BigGAN 256 px, ImageNet, as in the paper.

    Source: Brock, Donahue and Simonyan 2019, appendix C: rates 5e-5 and 2e-4, two D steps, batch 2048, orthogonal
    regularisation 1e-4, z of 140 in 7 chunks. Batch statistics are of 16 images here, of the whole batch there.
    Hardware and time: the paper trained on 128 to 512 TPU v3 cores; none measured with this package. Expect: no
    figure measured. Parameters: G 82,235,844, D 99,225,890.
    """
    return paper(architecture("biggan", resolution=(256, 256), latent_size=140), micro_batch=16)


@preset("biggan-512")
def biggan_512() -> TrainingConfig:
    """BigGAN 512 px, ImageNet, G as released, and a D that the release lacked.

    Source: Brock, Donahue and Simonyan 2019, appendix C; z of 128 in 8 chunks as in the released module; D's widths
    as in compare_gan. Batch statistics are of 8 images here, of the whole batch there. Hardware and time: the paper
    trained on 128 to 512 TPU v3 cores; none measured with this package. Expect: no figure measured. Parameters: G
    82,296,804, D 99,401,282.
    """
    return paper(architecture("biggan", resolution=(512, 512), latent_size=128), micro_batch=8)
