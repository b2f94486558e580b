"""Whether fakes look augmented: a linear classifier on untrained features tells clean reals from augmented ones.

D sees augmented images alone, so that G may come to make such (Karras et al. 2020, arXiv 2006.06676, section 2.2, call
it a leak). Which share of fakes the classifier takes for augmented is set against the shares of clean and of augmented
reals that it was not fitted to: what it errs by falls out, so that 0 is no leak and 1 that all fakes are augmented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from biggan.foundation.chance import Chance
from biggan.losses.terms import Term
from biggan.training.health.features import random_features

_RIDGE = 0.05
"""Weight of the penalty, relative to the mean variance of standardised features, which is 1."""
_TELLS = 0.2
"""Difference of those two shares below which the classifier tells nothing."""
_DRAWS = 3
"""Augmented images for each real."""


class Leak(NamedTuple):
    """What was found."""

    share: float
    """Estimated share of augmented fakes, 0 to 1."""
    likeness: Tensor
    """float [N] of the fakes: the higher, the more a fake looks augmented."""


def views(terms: Mapping[str, Term], clock: int) -> Callable[[Tensor, int], Tensor] | None:
    """Return what D sees of images, float [N, C, H, W], by a seed; None where terms leave images as they are."""
    acting = [(term, term.weight.at(clock)) for term in terms.values() if type(term).view is not Term.view]
    acting = [(term, weight) for term, weight in acting if weight]
    if not acting:
        return None

    def seen(images: Tensor, seed: int) -> Tensor:
        chance = Chance(seed, clock, torch.arange(len(images), device=images.device))
        for term, weight in acting:
            images = term.view(images, chance, weight)
        return images

    return seen


@torch.no_grad()
def find_leak(reals: Tensor, fakes: Tensor, seen: Callable[[Tensor, int], Tensor]) -> Leak | None:
    """Return how many of the fakes look augmented; None where clean and augmented reals cannot be told apart.

    Args:
        reals: clean ones, float [M, C, H, W] in [-1, 1].
        fakes: float [N, C, H, W].
        seen: as :func:`views` returns it.
    """
    if len(reals) < 4:
        return None
    fitted, others = reals[0::2], reals[1::2]
    clean = _rows(fitted)
    augmented = torch.cat([_rows(seen(fitted, seed)) for seed in range(_DRAWS)])
    middle = (clean.mean(dim=0) + augmented.mean(dim=0)) / 2
    scale = torch.cat([clean, augmented]).std(dim=0) + 1e-6
    clean, augmented = (clean - middle) / scale, (augmented - middle) / scale
    within = (clean.T @ clean) / len(clean) / 2 + (augmented.T @ augmented) / len(augmented) / 2
    within = within + _RIDGE * torch.eye(len(within), dtype=within.dtype)
    normal = torch.linalg.solve(within, augmented.mean(dim=0) - clean.mean(dim=0))
    border = (torch.quantile(clean @ normal, 0.5) + torch.quantile(augmented @ normal, 0.5)) / 2

    def likeness(images: Tensor) -> Tensor:
        return ((_rows(images) - middle) / scale) @ normal - border

    of_clean = (likeness(others) > 0).double().mean()
    of_augmented = (likeness(seen(others, _DRAWS)) > 0).double().mean()
    told = of_augmented - of_clean
    of_fakes = likeness(fakes)
    if told < _TELLS:
        return None
    share = ((of_fakes > 0).double().mean() - of_clean) / told
    return Leak(share=float(share.clamp(0, 1)), likeness=of_fakes)


def _rows(images: Tensor) -> Tensor:
    """Return features, float64 on the CPU: what is solved is small."""
    return random_features(images).cpu().double()
