"""BigGAN on CIFAR-10 with what was added to its loss: rows of StudioGAN, and of DiffAugment on little data."""

from __future__ import annotations

import dataclasses

from biggan.data.configuration import DataConfig
from biggan.models.architecture import SpectralNorm, architecture
from biggan.presets.biggan import biggan_pytorch_cifar10
from biggan.presets.recipes import intervals
from biggan.presets.registry import preset
from biggan.training.configuration import AdamConfig, MovingAverageConfig, TrainingConfig

CIFAR = 50_000
"""Training images."""


@preset("studiogan-biggan-32")
def studiogan_biggan_32() -> TrainingConfig:
    """BigGAN 32 px for CIFAR-10 (StudioGAN, CIFAR10/BigGAN).

    Source: StudioGAN at 947b35e: 100,000 iterations of 5 D steps, batch 64; activations in place; float16 and standing
    statistics there, see --precision and --standing-statistics. Hardware: 1 GPU; time: none published. Expect: FID
    4.16, IS 9.96 by its README (50,000 images against the training set, its TF Inception, "friendly" resizing).
    Parameters: G 9,416,196, D 2,415,170.
    """
    return _studiogan()


@preset("studiogan-biggan-32-cr")
def studiogan_biggan_32_cr() -> TrainingConfig:
    """BigGAN 32 px for CIFAR-10 with consistency regularisation (StudioGAN, CIFAR10/BigGAN-CR).

    Source, hardware, time and protocol: as studiogan-biggan-32. Expect: FID 3.16, IS 10.09. Parameters: G 9,416,196,
    D 2,415,170.
    """
    return _studiogan("cr,weight=10")


@preset("studiogan-biggan-32-diffaugment")
def studiogan_biggan_32_diffaugment() -> TrainingConfig:
    """BigGAN 32 px for CIFAR-10 with DiffAugment (StudioGAN, CIFAR10/BigGAN-DiffAug).

    Source, hardware, time and protocol: as studiogan-biggan-32, but 200,000 iterations. Expect: FID 3.35, IS 10.03.
    Parameters: G 9,416,196, D 2,415,170.
    """
    return _studiogan("diffaugment", iterations=200_000)


@preset("studiogan-biggan-32-lecam")
def studiogan_biggan_32_lecam() -> TrainingConfig:
    """BigGAN 32 px for CIFAR-10 with LeCam regularisation (StudioGAN, CIFAR10/BigGAN-LeCam).

    Source, hardware, time and protocol: as studiogan-biggan-32, but 200,000 iterations; the term acts after 1000 of
    them, which is 5000 updates of D. Expect: FID 3.23, IS 10.17. Parameters: G 9,416,196, D 2,415,170.
    """
    return _studiogan("lecam,weight=0.3,decay=0.99,start=5000", iterations=200_000)


@preset("studiogan-reacgan-32")
def studiogan_reacgan_32() -> TrainingConfig:
    """ReACGAN 32 px for CIFAR-10 (StudioGAN, CIFAR10/ReACGAN).

    Source, hardware, time and protocol: as studiogan-biggan-32, at batch 128 and rate 2.83e-4, with the head and the
    loss of D2D-CE; that is the paper's here, while StudioGAN takes the largest off one part of it. Expect: FID 3.87, IS
    9.85, by the code there. Parameters: G 9,416,196, D 2,517,186.
    """
    found = _studiogan("d2d-ce,weight=0.5,m_p=0.98,temperature=0.5", batch=128, rate=2.8284271e-4)
    return dataclasses.replace(found, model=dataclasses.replace(found.model, discriminator_heads=("none", "d2d-ce")))


def _studiogan(*terms: str, iterations: int = 100_000, batch: int = 64, rate: float = 2e-4) -> TrainingConfig:
    per_iteration = 5 * batch
    checkpoint, log = intervals(per_iteration, 2000)
    norm = SpectralNorm(eps=1e-6)
    adam = AdamConfig(learning_rate=rate, beta1=0.5, eps=1e-6)
    return TrainingConfig(
        data=DataConfig(flip=True),
        model=architecture(
            "biggan",
            resolution=(32, 32),
            classes=10,
            latent_size=80,
            generator_width=96,
            discriminator_width=48,  # 192 channels throughout: its table at 32 px has 2 x 96 where others have 4
            generator_attention=("16",),
            discriminator_attention=("16",),
            generator_spectral_norm=norm,
            discriminator_spectral_norm=norm,
            norm_eps=1e-4,
            inplace_activation=True,
        ),
        batch=batch,
        micro_batch=batch,
        duration=iterations * per_iteration,
        discriminator_steps=5,
        terms=terms,
        generator_adam=adam,
        discriminator_adam=adam,
        fake_labels="uniform",
        ema=MovingAverageConfig(decay=0.9999, start=1000 * per_iteration),
        checkpoint=checkpoint,
        log=log,
    )


@preset("diffaugment-cifar10")
def diffaugment_cifar10() -> TrainingConfig:
    """BigGAN 32 px for CIFAR-10 with DiffAugment (data-efficient-gans, DiffAugment-biggan-cifar10.sh).

    Source: data-efficient-gans at 0b63395, on BigGAN-PyTorch: 1000 epochs, batch 50 on 2 GPUs, so batch statistics of
    25, 4 D steps, mirrored. Hardware and time: 2 GPUs of 12 GB, about 1 day. Expect: FID 8.70, IS 9.16, and without
    --terms 9.59 and 9.06 (10,000 images against the test set, TF Inception, the best of evaluations). Parameters: G
    4,304,387, D 4,207,361.
    """
    return _diffaugment(1.0, 1000)


@preset("diffaugment-cifar10-20")
def diffaugment_cifar10_20() -> TrainingConfig:
    """BigGAN 32 px for a fifth of CIFAR-10 with DiffAugment (data-efficient-gans, DiffAugment-biggan-cifar10-0.2.sh).

    Source, hardware, time and protocol: as diffaugment-cifar10, but 5000 epochs of 10,000 images. Which: drawn without
    regard to class there, a fifth of each class here. Expect: FID 14.04, IS 8.65, and without --terms 21.58 and 8.41.
    Parameters: G 4,304,387, D 4,207,361.
    """
    return _diffaugment(0.2, 5000)


@preset("diffaugment-cifar10-10")
def diffaugment_cifar10_10() -> TrainingConfig:
    """BigGAN 32 px for a tenth of CIFAR-10 with DiffAugment (data-efficient-gans, DiffAugment-biggan-cifar10-0.1.sh).

    Source, hardware, time and protocol: as diffaugment-cifar10-20, but 5000 images. Expect: FID 22.40, IS 8.09, and
    without --terms 39.78 and 7.62. Parameters: G 4,304,387, D 4,207,361.
    """
    return _diffaugment(0.1, 5000)


@preset("diffaugment-cifar10-cr")
def diffaugment_cifar10_cr() -> TrainingConfig:
    """BigGAN 32 px for CIFAR-10 with DiffAugment and CR (data-efficient-gans, DiffAugment-cr-biggan-cifar10.sh).

    Source, hardware, time and protocol: as diffaugment-cifar10, with cutout alone. CR there moves a real that has been
    cut out already, and fills up with gray; here the moved real, filled up as by a mirror, is cut out after that.
    Expect: FID 8.49, IS 9.17, by the code there. Parameters: G 4,304,387, D 4,207,361.
    """
    return _diffaugment(1.0, 1000, "cutout", "cr,weight=10")


@preset("diffaugment-cifar10-20-cr")
def diffaugment_cifar10_20_cr() -> TrainingConfig:
    """BigGAN 32 px, a fifth of CIFAR-10, DiffAugment, CR (data-efficient-gans, DiffAugment-cr-biggan-cifar10-0.2.sh).

    Source, hardware, time and protocol: as diffaugment-cifar10-20. D is to say the same of a real that is augmented and
    of the real itself. Expect: FID 12.84, IS 8.61, by the code there. Parameters: G 4,304,387, D 4,207,361.
    """
    return _diffaugment(0.2, 5000, "translation+cutout", "cr,weight=10,shift=0,mirror=no,augmented=no")


@preset("diffaugment-cifar10-10-cr")
def diffaugment_cifar10_10_cr() -> TrainingConfig:
    """BigGAN 32 px, a tenth of CIFAR-10, DiffAugment, CR (data-efficient-gans, DiffAugment-cr-biggan-cifar10-0.1.sh).

    Source, hardware, time and protocol: as diffaugment-cifar10-20-cr, but 5000 images. Expect: FID 18.70, IS 8.49, by
    the code there. Parameters: G 4,304,387, D 4,207,361.
    """
    return _diffaugment(0.1, 5000, "translation+cutout", "cr,weight=10,shift=0,mirror=no,augmented=no")


def _diffaugment(fraction: float, epochs: int, policy: str = "translation+cutout", *terms: str) -> TrainingConfig:
    checkpoint, log = intervals(4 * 50, 2000, keep_best=1)
    return dataclasses.replace(
        biggan_pytorch_cifar10(),
        data=DataConfig(flip=True, fraction=fraction),
        terms=(f"diffaugment,policy={policy}", *terms),
        duration=epochs * round(fraction * CIFAR),
        checkpoint=checkpoint,
        log=log,
    )
