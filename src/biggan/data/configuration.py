"""Where images come from, which of them are used, and how they are read. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from biggan.foundation.errors import UserError
from biggan.foundation.options import also_called

Crop = Literal["center", "top", "random", "none", "pad"]
Filter = Literal["lanczos", "bicubic", "box", "bilinear"]
LabelSampling = Literal["data", "uniform", "sqrt"]
MOST_WORKERS = 1024
"""Most processes that decode; more than any machine has cores."""


@dataclass(frozen=True, kw_only=True)
class ReadingConfig:
    """Which images there are, and how they become images of one size."""

    path: Annotated[str | None, also_called("--data")] = None
    """Folder (a class is a sub-folder), CSV or JSON of labels, zip, HDF5, npy or npz, CIFAR archive, tar shards, a URL
    of one of these, or digits, cifar10, cifar100, hf:NAME."""
    skip_corrupt: bool = False
    """Leave corrupt images out, with a report, instead of stopping."""
    channels: int | None = None
    """1 or 3 (gray, colour) for image files; by default 1 if every image is gray, else 3."""
    crop: Crop = "center"
    """How an image of another aspect is fitted: a window at its center, at its top, or at a random place that stays the
    image's own; none squeezes, pad adds borders."""
    filter: Filter = "lanczos"
    """Filter of the antialiased resize."""
    background: str = "white"
    """Colour beneath transparent pixels and of padding: a name or #rrggbb."""
    fine_labels: bool = False
    """Take the innermost folder as an image's class (cat/tabby), not the outermost (cat)."""
    classes: tuple[str, ...] = ()
    """Keep these classes only: names, or id:7."""
    merge: str | None = None
    """File that merges classes: lines or ;-separated entries of: FROM TO."""
    min_per_class: int = 1
    """Leave out classes with fewer images, after merging."""
    labels: Literal["data", "unconditional", "random"] = "data"
    """Use the data's labels, drop them, or give every image a random one that stays its own."""
    random_classes: int = 1000
    """Number of classes for random labels."""
    mix: tuple[str, ...] = ()
    """Further data to mix in: PATH=WEIGHT, how often its images are seen for each image of the first; PATH alone adds
    its images to the pool."""
    mix_classes: Literal["join", "apart"] = "join"
    """Classes of one name in several data sets are one class, or each data set keeps its own."""
    shard_group: int = 4
    """Tar shards whose images are shuffled together."""
    shard_cache: int = 20
    """GiB of disk for tar shards that come by URL."""
    workers: int | None = None
    """Processes that decode; by default as many as there are cores, and none for data in memory or mapped into it, nor
    for up to 2,000 images, each of which is decoded once."""

    def __post_init__(self) -> None:
        for name in ("channels", "random_classes", "min_per_class", "shard_group", "shard_cache"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"--data.{name.replace('_', '-')} {value}: must be at least 1")
        if self.workers is not None and not 0 <= self.workers <= MOST_WORKERS:
            raise UserError(f"--data.workers {self.workers}: 0 to {MOST_WORKERS:,}")

    @property
    def handling(self) -> str:
        """How images become images of one size, as a part of keys."""
        return f"{self.crop} {self.filter} {self.background}"


@dataclass(frozen=True, kw_only=True)
class DataConfig(ReadingConfig):
    """The training images."""

    check: bool = False
    """Read every image before training and stop if any is corrupt."""
    label_sampling: LabelSampling = "data"
    """How often real images of a class are shown: as often as the data has them, all classes alike, or by the square
    root of their number."""
    fraction: float = 1.0
    """Train on this part of each class, as if there were no more: to see what a small data set would give."""
    fraction_draw: int = 0
    """Which part: another number draws other images."""
    holdout: float = 0.0
    """Keep this part of each class out of training, to see whether D knows the others by heart."""
    flip: bool = False
    """Mirror half of the images, chosen anew at each access."""
    random_crop: bool = False
    """Prepare images larger by --data.crop-margin and cut a window at a random place, anew at each access."""
    crop_margin: float = 0.125
    """How much larger, as a part of the resolution."""

    def __post_init__(self) -> None:
        ReadingConfig.__post_init__(self)
        if not 0.0 < self.fraction <= 1.0:
            raise UserError(f"--data.fraction {self.fraction}: must be above 0 and at most 1")
        if not 0.0 <= self.holdout < 1.0:
            raise UserError(f"--data.holdout {self.holdout}: must be at least 0 and below 1; 0.1 holds a tenth out")
        if not 0.0 < self.crop_margin <= 1.0:
            raise UserError(f"--data.crop-margin {self.crop_margin}: must be above 0 and at most 1")
