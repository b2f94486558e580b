"""Modified orthogonal regularisation (Brock, Donahue and Simonyan 2019, equation 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from biggan.foundation.courses import Course, constant
from biggan.layers.precision import at_least_float32, without_autocast
from biggan.losses.terms import Phase, Term


def orthogonal_penalty(weight: Tensor, *, normal: bool = False) -> Tensor:
    """Return ||(W W^T) * (1 - I)||_F^2 of W = weight.view(out, -1): filters are to be mutually orthogonal.

    ``normal``: ||W W^T - I||_F^2 instead (Brock et al. 2017, arXiv 1609.07093), by which they are to have length 1 too.
    """
    W = weight.flatten(1)
    gram = W @ W.T
    wanted = torch.ones_like(gram.diagonal()) if normal else gram.diagonal()
    return (gram - wanted.diag_embed()).square().sum()


@torch.no_grad()
def orthogonal_gradient(weight: Tensor, *, normal: bool = False) -> Tensor:
    """Return the gradient of :func:`orthogonal_penalty`, 4 ((W W^T) * (1 - I)) W, shaped like ``weight``."""
    with without_autocast(weight):
        W = at_least_float32(weight).flatten(1)
        gram = W @ W.T
        if normal:
            gram.diagonal().sub_(1.0)
        else:
            gram.fill_diagonal_(0.0)
        return (4.0 * gram @ W).view_as(weight)


@dataclass(frozen=True, kw_only=True)
class Orthogonal(Term):
    """Adds the weight times the penalty's gradient to the gradients of G, without autograd.

    Every weight with two or more axes is regularised: convolutions, linear layers and class tables, but not the
    parameters named in ``excluded`` (G's shared class embedding: its rows are points, not filters).
    """

    weight: Course = constant(1e-4)
    excluded: tuple[str, ...] = ("class_embedding.weight",)
    half: bool = False
    """Apply half the gradient, as the reference does."""
    normal: bool = False
    """Filters are to have length 1 as well: ||W W^T - I||^2."""

    phases: ClassVar[tuple[Phase, ...]] = ("generator",)
    paper: ClassVar[str] = "Brock et al. 2019, arXiv 1809.11096"

    def gradients(self, network: nn.Module, loss: Tensor, weight: float) -> bool:  # noqa: ARG002
        """Add to ``.grad`` of every regularised parameter that has one."""
        strength = weight * (0.5 if self.half else 1.0)
        for name, parameter in network.named_parameters():
            if parameter.ndim >= 2 and parameter.grad is not None and name not in self.excluded:
                parameter.grad.add_(orthogonal_gradient(parameter, normal=self.normal), alpha=strength)
        return True


@dataclass(frozen=True, kw_only=True)
class DiscriminatorOrthogonal(Orthogonal):
    """The same of D, whose class embedding is one of its filters."""

    excluded: tuple[str, ...] = ()

    phases: ClassVar[tuple[Phase, ...]] = ("discriminator",)
