"""What growing leaves in an architecture: the skip by which the old networks still speak. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from biggan.foundation.errors import UserError
from biggan.models.family import FAMILIES

if TYPE_CHECKING:
    from biggan.models.architecture import Architecture


@dataclass(frozen=True, kw_only=True)
class Grown:
    """How a pair of networks was grown out of a smaller one; see ``docs/growing.md``.

    While there is a skip, G makes tanh(up(old output) + g new output), and D sees old first block(pool(image)) +
    g new stages(image), where the scalars g are learnt and start at 0.
    """

    stages: int = 0
    """Stages that a skip passes by, the last of G and the first of D; 0 without a skip."""
    scaled: tuple[int, ...] = ()
    """Stages of D whose output a learnt number still multiplies, left of skips that were removed."""

    def check(self, architecture: Architecture) -> None:
        """Refuse what cannot be built into ``architecture``.

        Raises:
            UserError: names the option and what would fit.
        """
        doublings, stages = architecture.doublings, len(architecture.discriminator_stages())
        if not 0 <= self.stages < doublings or self.stages > stages - 1:
            raise UserError(
                f"--model.grown.stages {self.stages}: {doublings} doublings, of which at least one is old; give 0 to "
                f"{max(min(doublings - 1, stages - 1), 0)}, or leave it to biggan grow"
            )
        wrong = [i for i in self.scaled if not 0 <= i < stages]
        if wrong or len(set(self.scaled)) != len(self.scaled):
            raise UserError(
                f"--model.grown.scaled {' '.join(map(str, self.scaled))}: name stages of D, each once, from 0 to "
                f"{stages - 1}"
            )


def junction(architecture: Architecture) -> int | None:
    """Return the stage of D to whose output the skip is added, None without a skip.

    A residual D's first block makes features of the image, so a new one takes the place of the old in front of which
    the new stages stand; BigGAN-deep's first convolution does, and its stages all stay.
    """
    skipped = architecture.grown.stages
    if not skipped:
        return None
    return skipped - 1 if FAMILIES[architecture.family].discriminator_stem else skipped


def gates(architecture: Architecture) -> tuple[int, ...]:
    """Return the stages of D whose output a learnt number multiplies, in order."""
    place = junction(architecture)
    return tuple(sorted({*architecture.grown.scaled, *(() if place is None else (place,))}))


def is_new(architecture: Architecture, network: str, parameter: str) -> bool:
    """Return whether growing added this parameter, by its name in ``generator`` or ``discriminator``.

    Without a skip there is no telling, and everything counts as new.
    """
    skipped, place = architecture.grown.stages, junction(architecture)
    if place is None:
        return True
    if network == "generator":
        own = {f"stages.{i}." for i in range(architecture.doublings - skipped, architecture.doublings)}
        own |= {"output_norm.", "output_conv.", "gate."}
    else:
        own = {f"stages.{i}." for i in range(skipped)} | {f"gates.{place}.", "stem."}
        own |= set() if FAMILIES[architecture.family].discriminator_stem else {f"stages.{place}.0."}
    return parameter.startswith(tuple(own))
