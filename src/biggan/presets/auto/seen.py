"""What ``auto`` chooses by: facts of the images and of the machine. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Mirroring:
    """Whether mirrored images are still images of their class."""

    allowed: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was found out about the images."""

    images: int
    class_counts: tuple[int, ...]
    """Images of each class; empty without classes."""
    channels: int
    side: int
    """The shorter side of the middle one of the examined images, in pixels."""
    elongation: float = 1.0
    """The longer side of an examined image over its shorter one: of the middle one."""
    translucent: int = 0
    """Of the examined images, how many have transparency."""
    photographs: bool = True
    """Colour images of a kind that papers measured on."""
    mirroring: Mirroring

    @property
    def imbalance(self) -> float:
        """How many times as many images the largest class has as the smallest; 1 without classes."""
        present = [count for count in self.class_counts if count]
        return max(present) / min(present) if present else 1.0


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What computes."""

    device: str
    """cpu, cuda or mps."""
    name: str
    """For a person."""
    memory: int
    """Bytes that are free on it."""
    narrow: bool = False
    """It computes bfloat16 fast."""

    @property
    def fast(self) -> bool:
        """Whether it is more than a CPU."""
        return self.device != "cpu"
