"""SNGAN with projection: the launch script of BigGAN-PyTorch, and the rows of mmgeneration and StudioGAN."""

from __future__ import annotations

from biggan.data.configuration import DataConfig
from biggan.models.architecture import SpectralNorm, architecture
from biggan.presets.recipes import IMAGENET, intervals
from biggan.presets.registry import preset
from biggan.training.configuration import AdamConfig, MovingAverageConfig, TrainingConfig

_NO_AVERAGE = MovingAverageConfig(enabled=False)


@preset("biggan-pytorch-sngan")
def biggan_pytorch_sngan() -> TrainingConfig:
    """SNGAN 128 px, ImageNet, thin D, five D steps (BigGAN-PyTorch, launch_SNGAN.sh).

    Source: BigGAN-PyTorch at 9845943; it builds SNGAN from BigGAN's blocks, spectrally normalised in G too. Hardware
    and time: none published; 100 epochs. Expect: no figure published. Parameters: G 41,996,931, D 30,005,013.
    """
    norm = SpectralNorm(eps=1e-8)
    adam = AdamConfig(learning_rate=2e-4, beta2=0.9, eps=1e-8)
    checkpoint, log = intervals(5 * 64, 1000)
    return TrainingConfig(
        model=architecture(
            "biggan",
            latent_size=128,
            generator_width=64,
            discriminator_width=64,
            shared_embedding=0,
            hierarchical_latent=False,
            generator_attention=(),
            discriminator_attention=(),
            generator_init="xavier",
            discriminator_init="xavier",
            generator_spectral_norm=norm,
            discriminator_spectral_norm=norm,
            wide_discriminator=False,
        ),
        batch=64,
        micro_batch=64,
        duration=100 * IMAGENET,
        discriminator_steps=5,
        generator_adam=adam,
        discriminator_adam=adam,
        fake_labels="uniform",
        ema=_NO_AVERAGE,
        checkpoint=checkpoint,
        log=log,
    )


@preset("mmgen-sngan-32")
def mmgen_sngan_32() -> TrainingConfig:
    """SNGAN-projection 32 px for CIFAR-10 (mmgeneration, sngan_proj_32_woReLUinplace_lr-2e-4_ndisc5_cifar10_b64x1).

    Source: mmgeneration at ccd1f56; its iterations count D steps, 500,000 x 64 images. ``--model.inplace-activation``
    gives its row with in-place ReLU. Hardware: 1 GPU; time: none published. Expect: IS 9.69, FID 8.12 (Tero Karras'
    Inception, whole training set); in-place IS 9.56, FID 8.35. Parameters: G 4,304,387, D 1,055,105.
    """
    return _cifar(duration=500_000 * 64)


@preset("studiogan-sngan-32")
def studiogan_sngan_32() -> TrainingConfig:
    """SNGAN 32 px for CIFAR-10 (StudioGAN, CIFAR10/SNGAN; mmgeneration's converted row).

    Source: StudioGAN at 947b35e: 100,000 iterations of 5 D steps, batch 64; activations in place. Hardware and time:
    none published. Expect: IS 8.68, FID 13.25 by StudioGAN's protocol, 9.37 and 10.20 by mmgeneration's. Parameters:
    G 4,304,387, D 1,055,105.
    """
    return _cifar(duration=100_000 * 5 * 64, inplace=True)


def _cifar(duration: int, *, inplace: bool = False) -> TrainingConfig:
    checkpoint, log = intervals(5 * 64, 2000)
    adam = AdamConfig(learning_rate=2e-4, beta1=0.5, eps=1e-6 if inplace else 1e-8)
    return TrainingConfig(
        data=DataConfig(flip=True),
        model=architecture(
            "sngan",
            resolution=(32, 32),
            classes=10,
            generator_width=256,
            discriminator_width=128,
            discriminator_spectral_norm=SpectralNorm(eps=1e-6 if inplace else 1e-12),
            norm_eps=1e-4,
            inplace_activation=inplace,
        ),
        batch=64,
        micro_batch=64,
        duration=duration,
        discriminator_steps=5,
        generator_adam=adam,
        discriminator_adam=adam,
        fake_labels="uniform",
        ema=_NO_AVERAGE,
        checkpoint=checkpoint,
        log=log,
    )


@preset("mmgen-sngan-128")
def mmgen_sngan_128() -> TrainingConfig:
    """SNGAN-projection 128 px, ImageNet (mmgeneration, sngan_proj_128_woReLUinplace_Glr-2e-4_Dlr-5e-5_ndisc5_b128x2).

    Source: mmgeneration at ccd1f56; its iterations count D steps, 1,000,000 x 256 images in its table.
    ``--model.inplace-activation`` gives its row with in-place ReLU. Hardware: 2 GPUs; time: none published. Expect:
    IS 30.1 at 952,000, FID 32.6 at 989,000 D steps (Tero Karras' Inception, whole training set); in-place IS 28.2,
    FID 33.5. Parameters: G 41,996,931, D 39,443,137.
    """
    return _imagenet(g_rate=2e-4, d_rate=5e-5, discriminator_steps=5, duration=1_000_000 * 256, micro_batch=128)


@preset("studiogan-sngan-128")
def studiogan_sngan_128() -> TrainingConfig:
    """SNGAN 128 px, ImageNet (StudioGAN, ImageNet/SNGAN-256; mmgeneration's converted row).

    Source: StudioGAN at 947b35e: 500,000 iterations of 2 D steps, batch 256; activations in place. Hardware and time:
    none published. Expect: IS 32.25, FID 26.79 by StudioGAN's protocol, 30.22 and 29.82 by mmgeneration's.
    Parameters: G 41,996,931, D 39,443,137.
    """
    return _imagenet(
        g_rate=5e-5,
        d_rate=2e-4,
        discriminator_steps=2,
        duration=500_000 * 2 * 256,
        micro_batch=64,
        inplace=True,
    )


def _imagenet(
    *,
    g_rate: float,
    d_rate: float,
    discriminator_steps: int,
    duration: int,
    micro_batch: int,
    inplace: bool = False,
) -> TrainingConfig:
    checkpoint, log = intervals(discriminator_steps * 256, 5000)
    eps = 1e-6 if inplace else 1e-8
    return TrainingConfig(
        data=DataConfig(flip=True),
        model=architecture(
            "sngan",
            discriminator_spectral_norm=SpectralNorm(eps=1e-6 if inplace else 1e-12),
            norm_eps=1e-4,
            inplace_activation=inplace,
        ),
        batch=256,
        micro_batch=micro_batch,
        duration=duration,
        discriminator_steps=discriminator_steps,
        generator_adam=AdamConfig(learning_rate=g_rate, eps=eps),
        discriminator_adam=AdamConfig(learning_rate=d_rate, eps=eps),
        fake_labels="uniform",
        ema=_NO_AVERAGE,
        checkpoint=checkpoint,
        log=log,
    )
