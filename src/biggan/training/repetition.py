"""An update that ran out of memory can be made again: what its forwards move is kept until it is carried out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from biggan.training.state import TrainState


class Repetition:
    """The updates of one iteration, of which those that were carried out are passed over when it is made again.

    Weights, optimizers, terms and the guard change at the end of an update alone. What its forwards move before that
    are buffers: vectors of spectral norm, running statistics. They are copied when an update begins. So an iteration
    whose third update failed is called once more with the same inputs: the first two are computed and have no effect,
    the third begins from what it began from.
    """

    def __init__(self) -> None:
        self._carried_out = 0
        self._number = 0
        self._unfinished = False
        self._before: list[Tensor] = []

    def begin(self) -> None:
        """Begin a new iteration."""
        self._carried_out, self._number, self._unfinished = 0, 0, False

    @contextlib.contextmanager
    def update(self, state: TrainState) -> Iterator[None]:
        """Make one update of ``state`` within the block; what comes before :meth:`takes_effect` can be made again."""
        self._number += 1
        self._unfinished = True
        self._keep(state)
        yield
        if self._number <= self._carried_out:
            self._put_back(state)
        else:
            self._carried_out = self._number
        self._unfinished = False

    def takes_effect(self) -> bool:
        """Tell whether this update is to be carried out, and not only computed; from here it cannot be made again."""
        self._unfinished = False
        return self._number > self._carried_out

    def again(self, state: TrainState) -> bool:
        """Bring ``state`` to where the update that failed began, so that its iteration can be called once more.

        Returns:
            False, and nothing is changed, if what failed was no update that had no effect yet.
        """
        if not self._unfinished:
            return False
        self._put_back(state)
        self._number, self._unfinished = 0, False
        return True

    @torch.no_grad()
    def _keep(self, state: TrainState) -> None:
        buffers = _buffers(state)
        if [each.shape for each in buffers] != [each.shape for each in self._before]:
            self._before = [torch.empty_like(each) for each in buffers]
        _copy(buffers, self._before)

    @torch.no_grad()
    def _put_back(self, state: TrainState) -> None:
        _copy(self._before, _buffers(state))


def _buffers(state: TrainState) -> list[Tensor]:
    return [buffer for network in state.networks.values() for buffer in network.buffers()]


def _copy(from_: list[Tensor], to: list[Tensor]) -> None:
    if to:
        torch._foreach_copy_(to, from_)
