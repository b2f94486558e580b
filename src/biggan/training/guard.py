"""The guard against numbers that are infinite or none, which waits for nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.training.loss_scale import move


class NonFiniteError(UserError):
    """A loss or gradient was infinite or not a number; no weight has been changed by it."""


class FiniteGuard:
    """Remembers, on the device and without a sync, the first update whose loss or gradients were not finite.

    From then on every optimizer skips its update; :meth:`check` turns the memory into an error.
    """

    def __init__(self, device: torch.device) -> None:
        self.bad = torch.zeros((), device=device)
        self.iteration = torch.full((), -1, dtype=torch.int64, device=device)
        self._norms: dict[tuple[str, int], Tensor] = {}  # by phase and number: what is frozen has no gradient
        self._names: dict[tuple[str, int], list[str]] = {}

    def observe(
        self, phase: str, names: list[str], norms: Tensor, loss: Tensor, iteration: int, scale: Tensor | None = None
    ) -> Tensor:
        """Note this update; return a float flag, 1 where the optimizer must skip.

        Args:
            phase: name of the network.
            names: of what has gradients.
            norms: of these gradients.
            loss: of the update.
            iteration: its number.
            scale: by which losses are multiplied; while that is large, what is not finite is skipped and forgiven.
        """
        finite = torch.isfinite(norms).all() & torch.isfinite(loss)
        skips = (~finite).to(self.bad.dtype)
        unexcused = skips if scale is None else skips * (~move(scale, finite))
        now_bad = torch.maximum(self.bad, unexcused)
        first = now_bad > self.bad
        record = torch.cat([loss.detach().reshape(1).to(norms.dtype), norms])
        kind = (phase, len(names))
        previous = self._norms.get(kind, record)
        self._names[kind] = ["loss", *names]
        # Norms are refreshed until the first bad update, then kept.
        self._norms[kind] = torch.where(self.bad > 0, previous, record)
        self.iteration = torch.where(first, torch.full_like(self.iteration, iteration), self.iteration)
        self.bad = now_bad
        return torch.maximum(self.bad, skips)

    def check(self, bad: float | None = None) -> None:
        """Raise if an update was skipped. Waits for the device, if ``bad`` was not read off it already.

        Raises:
            NonFiniteError: naming the step and the first bad tensor.
        """
        if not (self.bad.item() if bad is None else bad):
            return
        for (phase, number), norms in self._norms.items():
            wrong = (~torch.isfinite(norms)).nonzero()
            if len(wrong):
                name = self._names[phase, number][int(wrong[0])]
                what = f"the {phase}'s loss" if name == "loss" else f"the gradient of {phase}.{name}"
                raise NonFiniteError(
                    f"step {int(self.iteration)}: {what} is not finite; the update was skipped, training stops and no "
                    "checkpoint is written. Resume from the last checkpoint with a lower learning rate "
                    f"(--{phase}-adam.learning-rate) or --precision float32."
                )
        raise NonFiniteError(f"step {int(self.iteration)}: a gradient is not finite; training stops")
