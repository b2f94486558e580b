"""Which heads D can have, and whether some go together. Imports no torch before it must.

A head is one class and one line of the registry. One of them gives the score; the others say something else of an
image, which terms and losses read in ``Verdict.outputs`` under the head's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from biggan.foundation.errors import UserError
from biggan.foundation.registry import Registry

if TYPE_CHECKING:
    from biggan.layers.further_heads import FurtherHead
    from biggan.layers.heads import ScoreHead

PLAIN = ("projection",)
"""The heads of a D that says nothing but its score, with the class as everywhere in BigGAN."""

HEADS: Registry[type[ScoreHead] | type[FurtherHead]] = Registry(
    "head of D",
    {
        "projection": "biggan.layers.heads:ProjectionHead",
        "none": "biggan.layers.heads:UnconditionalHead",
        "multi-hinge": "biggan.layers.heads:MultiHingeHead",
        "ac": "biggan.layers.further_heads:Classifier",
        "adc": "biggan.layers.further_heads:DiscriminativeClassifier",
        "2c": "biggan.layers.further_heads:Embedding",
        "d2d-ce": "biggan.layers.further_heads:Embedding",
        "rotation": "biggan.layers.further_heads:Rotation",
    },
)


def option(names: Sequence[str]) -> str:
    """Return how heads are asked for."""
    return f"--model.discriminator-heads {' '.join(names)}"


def check_heads(names: Sequence[str], classes: int) -> None:
    """Check that a D can have the heads ``names``.

    Args:
        names: of heads.
        classes: how many there are; 0 for none.

    Raises:
        UserError: an unknown head, one that is there twice, not exactly one that scores, or classes that are missing.
    """
    if tuple(names) == PLAIN:
        return
    kinds = {name: HEADS[name] for name in names}
    if len(kinds) < len(names):
        raise UserError(f"{option(names)}: name each once")
    scoring, further = ([name for name in names if kinds[name].scores is wanted] for wanted in (True, False))
    if len(scoring) != 1:
        how = "only one can give D's score" if scoring else f"none gives D's score; write {option(['none', *further])}"
        raise UserError(f"{option(names)}: {how}, of {', '.join(name for name in HEADS if HEADS[name].scores)}")
    lacking = [name for name in names if kinds[name].of_classes and not classes]
    if lacking:
        raise UserError(
            f"{option(names)}: {' and '.join(lacking)} can only tell classes apart, and there are none; write "
            f"{option(without(names, lacking))}, or give images with classes"
        )


def without(names: Sequence[str], some: Sequence[str]) -> list[str]:
    """Return the heads that are left without ``some``; the plain one among them if none of them would score."""
    rest = [name for name in names if name not in some]
    return rest if any(HEADS[name].scores for name in rest) else [*PLAIN, *rest]


def has_embeddings(names: Sequence[str]) -> bool:
    """Tell whether one of the heads has embeddings, whose length can be chosen."""
    return tuple(names) != PLAIN and any(HEADS[name].embeds for name in names)
