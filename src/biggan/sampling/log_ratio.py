"""From D's scores to the log ratio of two densities, that of real images to that of fakes.

A D that was trained by the hinge loss says which of two images looks more real, but not by how much: for that there is
logistic regression of real or fake on the score (Azadi et al. 2019, section 3.2; Platt 1999).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from biggan.foundation.errors import UserError

_STEPS = 100
_CONVERGED = 1e-12


@dataclass(frozen=True, kw_only=True)
class LogRatio:
    """log p(real image) / p(fake), as a straight line of the score."""

    slope: float
    bias: float
    reals: int
    """Real images by which it was fitted."""
    fakes: int
    told_apart: float
    """Share of both, each weighing a half, that are on their side of 0."""

    def __call__(self, scores: Tensor) -> Tensor:
        """Return log ratios of ``scores``, of their shape and type."""
        return self.slope * scores + self.bias

    def __str__(self) -> str:
        """Return a sentence without its stop."""
        sign = "-" if self.bias < 0 else "+"
        return (
            f"log ratio = {self.slope:.4g} x score {sign} {abs(self.bias):.4g}, by {self.reals:,} reals and "
            f"{self.fakes:,} fakes, of which it tells {self.told_apart:.1%} apart"
        )


def fit_log_ratio(reals: Tensor, fakes: Tensor) -> LogRatio:
    """Fit a log ratio by Newton's method, in float64.

    Both sides weigh alike, however many there are. Targets are Platt's, (n + 1) / (n + 2) for n reals and 1 / (n + 2)
    for n fakes, so that slopes stay finite where all scores of reals are above all of fakes.

    Args:
        reals: scores of real images, float [N], N at least 1.
        fakes: of fakes, float [M].

    Raises:
        UserError: scores are not finite.
    """
    reals, fakes = reals.detach().double().flatten().cpu(), fakes.detach().double().flatten().cpu()
    scores = torch.cat([reals, fakes])
    if not bool(scores.isfinite().all()):
        raise UserError(
            "D's scores are not all finite, so images cannot be refined by them; take an earlier checkpoint"
        )
    n, m = len(reals), len(fakes)
    targets = torch.cat([torch.full_like(reals, (n + 1) / (n + 2)), torch.full_like(fakes, 1 / (m + 2))])
    weights = torch.cat([torch.full_like(reals, 0.5 / n), torch.full_like(fakes, 0.5 / m)])
    centre, spread = scores.mean(), scores.std(correction=0)
    if spread == 0:  # D says nothing
        return LogRatio(slope=0.0, bias=0.0, reals=n, fakes=m, told_apart=0.5)
    rows = torch.stack([(scores - centre) / spread, torch.ones_like(scores)], dim=1)
    line = torch.zeros(2, dtype=torch.float64)

    def loss(line: Tensor) -> Tensor:
        logits = rows @ line
        return (weights * (torch.nn.functional.softplus(logits) - targets * logits)).sum()

    for _ in range(_STEPS):
        shares = (rows @ line).sigmoid()
        gradient = rows.T @ (weights * (shares - targets))
        curvature = rows.T @ (rows * (weights * shares * (1 - shares))[:, None])
        step = torch.linalg.solve(curvature + 1e-12 * torch.eye(2, dtype=torch.float64), gradient)
        while loss(line - step) > loss(line) and step.abs().max() > _CONVERGED:
            step = step / 2
        line = line - step
        if step.abs().max() <= _CONVERGED:
            break
    slope = float(line[0] / spread)
    bias = float(line[1] - line[0] * centre / spread)
    right = torch.where(targets > 0.5, rows @ line > 0, rows @ line < 0)
    return LogRatio(slope=slope, bias=bias, reals=n, fakes=m, told_apart=float((weights * right).sum()))
