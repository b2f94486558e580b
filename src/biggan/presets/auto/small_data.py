"""Whether anything is added to the loss because images are few. Imports no torch."""

from __future__ import annotations

from biggan.presets.auto.seen import Seen

FEW = 20_000
"""Images above which nothing is added."""
OFTEN, MANY_EPOCHS = 40, 100
"""Times that an image is shown, above which D can begin to know it by heart, and above which it can do so wholly."""
FOR_CPU = ("r1,weight=0.1,every=16",)
FOR_COLOUR = ("diffaugment", *FOR_CPU)
FOR_PHOTOGRAPHS = ("diffaugment,policy=translation+cutout",)


def terms_for(seen: Seen, duration: int, *, fast: bool) -> tuple[tuple[str, ...], str]:
    """Return what is added to the loss, and why.

    Args:
        seen: the images.
        duration: of the run, in images.
        fast: it runs on more than a CPU.
    """
    epochs = duration / seen.images
    if seen.images >= FEW:
        return (), f"{seen.images:,} images are many"
    if not fast and seen.channels == 3 and epochs >= MANY_EPOCHS:
        return (
            FOR_COLOUR,
            f"in colour, and each image is shown {epochs:.0f} times; measured on runs of ten minutes (docs/auto.md)",
        )
    if fast and seen.photographs and epochs >= MANY_EPOCHS:
        return (
            FOR_PHOTOGRAPHS,
            "FID 39.8 -> 22.4 on a tenth of CIFAR-10, by its paper (Zhao et al. 2020); not measured here",
        )
    if epochs < OFTEN:
        return (), f"each image is shown {epochs:.0f} times, too seldom for D to know it by heart"
    if not fast:
        return FOR_CPU, f"each image is shown {epochs:.0f} times; measured on runs of ten minutes (docs/auto.md)"
    return (), "none was shown to help (docs/terms.md)"
