"""SAGAN: the launch script of BigGAN-PyTorch, and the rows of mmgeneration and StudioGAN."""

from __future__ import annotations

from biggan.data.configuration import DataConfig
from biggan.models.architecture import SpectralNorm, architecture
from biggan.presets.recipes import IMAGENET, intervals
from biggan.presets.registry import preset
from biggan.training.configuration import AdamConfig, MovingAverageConfig, TrainingConfig


@preset("biggan-pytorch-sagan")
def biggan_pytorch_sagan() -> TrainingConfig:
    """SAGAN 128 px, ImageNet, batch 256, with moving average (BigGAN-PyTorch, launch_SAGAN_bs128x2_ema.sh).

    Source: BigGAN-PyTorch at 9845943; it builds SAGAN from BigGAN's blocks, unshared. Hardware: 4 TitanX, so batch
    statistics of 128 / 4 = 32; 100 epochs; time: none published. Expect: no figure published. Parameters: G 42,017,412,
    D 39,448,258.
    """
    norm = SpectralNorm(eps=1e-8)
    checkpoint, log = intervals(256, 1000)
    return TrainingConfig(
        model=architecture(
            "biggan",
            latent_size=128,
            generator_width=64,
            discriminator_width=64,
            shared_embedding=0,
            hierarchical_latent=False,
            generator_init="xavier",
            discriminator_init="xavier",
            generator_spectral_norm=norm,
            discriminator_spectral_norm=norm,
        ),
        batch=256,
        micro_batch=32,
        duration=100 * IMAGENET,
        generator_adam=AdamConfig(learning_rate=1e-4, eps=1e-8),
        discriminator_adam=AdamConfig(learning_rate=4e-4, eps=1e-8),
        fake_labels="uniform",
        ema=MovingAverageConfig(decay=0.9999, start=2000 * 256),
        checkpoint=checkpoint,
        log=log,
    )


@preset("mmgen-sagan-32")
def mmgen_sagan_32() -> TrainingConfig:
    """SAGAN 32 px for CIFAR-10 (mmgeneration, sagan_32_woReLUinplace_lr-2e-4_ndisc5_cifar10_b64x1).

    Source: mmgeneration at ccd1f56; its iterations count D steps, 500,000 x 64 images. ``--model.inplace-activation``
    gives its row with in-place ReLU. Hardware: 1 GPU; time: none published. Expect: IS 9.32, FID 9.43 at 480,000 D
    steps (Tero Karras' Inception, whole training set); in-place IS 9.21, FID 10.78. Parameters: G 4,386,308, D
    1,075,586.
    """
    return _cifar(duration=500_000 * 64)


@preset("studiogan-sagan-32")
def studiogan_sagan_32() -> TrainingConfig:
    """SAGAN 32 px for CIFAR-10 (StudioGAN, CIFAR10/SAGAN; mmgeneration's converted row).

    Source: StudioGAN at 947b35e: 100,000 iterations of 5 D steps, batch 64; activations in place. Hardware and time:
    none published. Expect: IS 8.68, FID 14.01 by StudioGAN's protocol, 9.12 and 10.20 by mmgeneration's. Parameters:
    G 4,386,308, D 1,075,586.
    """
    return _cifar(duration=100_000 * 5 * 64, inplace=True)


def _cifar(duration: int, *, inplace: bool = False) -> TrainingConfig:
    checkpoint, log = intervals(5 * 64, 2000)
    norm = SpectralNorm(eps=1e-6 if inplace else 1e-12)
    return TrainingConfig(
        data=DataConfig(flip=True),
        model=architecture(
            "sagan",
            resolution=(32, 32),
            classes=10,
            generator_width=256,
            discriminator_width=128,
            generator_attention=("16",),
            discriminator_attention=("16",),
            generator_spectral_norm=norm,
            discriminator_spectral_norm=norm,
            norm_eps=1e-4,
            inplace_activation=inplace,
        ),
        batch=64,
        micro_batch=64,
        duration=duration,
        discriminator_steps=5,
        generator_adam=AdamConfig(learning_rate=2e-4, beta1=0.5, eps=1e-6 if inplace else 1e-8),
        discriminator_adam=AdamConfig(learning_rate=2e-4, beta1=0.5, eps=1e-6 if inplace else 1e-8),
        fake_labels="uniform",
        ema=MovingAverageConfig(enabled=False),
        checkpoint=checkpoint,
        log=log,
    )


@preset("mmgen-sagan-128")
def mmgen_sagan_128() -> TrainingConfig:
    """SAGAN 128 px, ImageNet (mmgeneration, sagan_128_woReLUinplace_Glr-1e-4_Dlr-4e-4_ndisc1_imagenet1k_b64x4).

    Source: mmgeneration at ccd1f56; 1,000,000 x 256 images. Hardware: 4 GPUs; time: none published. Expect: IS 31.6 at
    980,000, FID 34.8 at 950,000 iterations (Tero Karras' Inception, whole training set). Parameters: G 42,017,412,
    D 39,448,258.
    """
    return _imagenet(micro_batch=64)


@preset("mmgen-sagan-128-biggan-schedule")
def mmgen_sagan_128_biggan_schedule() -> TrainingConfig:
    """SAGAN 128 px, ImageNet, on BigGAN's schedule (mmgeneration, sagan_128 noaug_bigGAN b32x8).

    Source: mmgeneration at ccd1f56: Xavier initialisation, class tables not normalised, spectral eps 1e-8, norm eps
    1e-5, moving average .999 from iteration 2000, no mirroring. Hardware: 8 GPUs; time: none published. Expect: IS
    69.5, FID 12.83 at 826,000 iterations (Tero Karras' Inception, whole training set). Parameters: G 42,017,412, D
    39,448,258.
    """
    return _imagenet(micro_batch=32, biggan_schedule=True)


@preset("studiogan-sagan-128")
def studiogan_sagan_128() -> TrainingConfig:
    """SAGAN 128 px, ImageNet (StudioGAN, ImageNet/SAGAN-256; mmgeneration's converted row).

    Source: StudioGAN at 947b35e: 1,000,000 iterations of batch 256; activations in place. Hardware and time: none
    published. Expect: IS 29.85, FID 34.73 by StudioGAN's protocol, 27.37 and 40.12 by mmgeneration's. Parameters:
    G 42,017,412, D 39,448,258.
    """
    return _imagenet(micro_batch=64, inplace=True)


def _imagenet(micro_batch: int, *, biggan_schedule: bool = False, inplace: bool = False) -> TrainingConfig:
    checkpoint, log = intervals(256, 10_000)
    norm = SpectralNorm(eps=1e-8 if biggan_schedule else 1e-6 if inplace else 1e-12)
    init = "xavier" if biggan_schedule else "orthogonal"
    eps = 1e-6 if inplace else 1e-8
    return TrainingConfig(
        data=DataConfig(flip=not biggan_schedule),
        model=architecture(
            "sagan",
            generator_spectral_norm=norm,
            discriminator_spectral_norm=norm,
            spectral_norm_class_tables=not biggan_schedule,
            generator_init=init,
            discriminator_init=init,
            norm_eps=1e-5 if biggan_schedule else 1e-4,
            inplace_activation=inplace,
        ),
        batch=256,
        micro_batch=micro_batch,
        duration=1_000_000 * 256,
        generator_adam=AdamConfig(learning_rate=1e-4, eps=eps),
        discriminator_adam=AdamConfig(learning_rate=4e-4, eps=eps),
        fake_labels="uniform",
        ema=MovingAverageConfig(enabled=biggan_schedule, decay=0.999, start=2000 * 256),
        checkpoint=checkpoint,
        log=log,
    )
