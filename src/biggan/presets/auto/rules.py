"""The numbers by which ``auto`` chooses. What was measured for them, and on what, stands in docs/auto.md."""

from __future__ import annotations

SIDES = {"cpu": (64, 32, 16), "cuda": (256, 128, 64, 32, 16), "mps": (64, 32, 16)}
"""Sizes among which is chosen, by device."""
HOURS_FOR = {"cpu": {64: 6.0}, "cuda": {256: 48.0}, "mps": {64: 2.0}}
"""Hours below which a size is not tried."""
IMAGES_FOR = {16: 0, 32: 10_000, 64: 500_000, 128: 2_000_000, 256: 10_000_000}
"""Images that a run must be able to show D in its time, for a size to be worth it."""
ATTENTION_FROM = 64
"""Pixels from which G and D attend, at half the size."""
DECODED_FIRST = 500
"""Up to so many images all are decoded before training, so that corrupt ones are left out; of more only headers are
read, and what turns out to be corrupt is named when it is met."""
IMBALANCED = 20.0
"""Times as many images in one class as in another, from which on small classes are shown more often."""
BATCH = {"cpu": 64, "cuda": 256, "mps": 64}
LEAST_BATCH, UPDATES = 32, 8_000
"""A run too short for so many updates has smaller batches, and more updates, down to so many images."""
WORTH = 1.25
"""Times as many updates that half a batch must bring: a GPU that waits for launches makes no more of them."""
NARROW_WIDTHS: dict[int, tuple[tuple[int, ...], tuple[int, ...], tuple[bool, ...]]] = {
    16: ((32, 32, 32), (16, 32, 64), (True, True, False)),
    32: ((128, 64, 32, 16), (16, 32, 64, 128), (True, True, True, False)),
}
"""On a CPU, by longer side: channels of G, channels of D, where D halves; other sizes have BigGAN's table."""
WIDTH = {"cpu": 8, "cuda": 64, "mps": 32}
RATES = {"cpu": (4e-4, 8e-4, 64), "cuda": (1e-4, 4e-4, 256), "mps": (4e-4, 8e-4, 64)}
"""Of G, of D, and the batch up to which they hold; on a GPU BigGAN's at 1/8 of its batch."""
LATENT, EMBEDDING = {"cpu": 11, "cuda": 20, "mps": 11}, {"cpu": 32, "cuda": 128, "mps": 32}
"""Numbers of z for each part that is fed to a stage, and of the class; as the digits preset has, on a GPU BigGAN."""
