"""The gradients of one network as views of one flat buffer: one fill clears them, one message sums them over ranks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from biggan.foundation import distributed

_ALIGNED = 32  # numbers: what fused kernels read at once begins at multiples of 16 bytes


class FlatGradients:
    """Gradients of the parameters of one network, each laid out in memory as its parameter is.

    A parameter that does not require a gradient has none, as without the buffer; Adam passes it by.
    """

    def __init__(self, network: nn.Module) -> None:
        self.parameters = list(network.parameters())
        self._make(room=0)

    def belongs_to(self, network: nn.Module) -> bool:
        """Tell whether these are the gradients of ``network`` as it is now."""
        now = list(network.parameters())
        return len(now) == len(self.parameters) and all(
            one is other and one.device == flat.device and one.dtype == flat.dtype
            for one, other, flat in zip(now, self.parameters, self._views, strict=True)
        )

    def clear(self) -> None:
        """Set the gradients of what trains to zero, and take away those of what does not."""
        for flat in self._flats.values():
            flat.zero_()
        for parameter, view in zip(self.parameters, self._views, strict=True):
            parameter.grad = view if parameter.requires_grad else None

    @torch.no_grad()
    def collect(self) -> list[Tensor]:
        """Return the gradients, all in the buffer, wherever they were left."""
        found = []
        for parameter, view in zip(self.parameters, self._views, strict=True):
            if parameter.grad is None:
                continue
            if parameter.grad.data_ptr() != view.data_ptr():
                view.copy_(parameter.grad)
                parameter.grad = view
            found.append(view)
        return found

    def norms(self) -> Tensor:
        """Return the norm of each gradient, [n], without waiting for the device."""
        return torch.stack(torch._foreach_norm(self.collect()))

    @torch.no_grad()
    def divide(self, number: Tensor) -> None:
        """Divide all by a number on the device."""
        for flat in self._flats.values():
            flat.div_(number)

    @torch.no_grad()
    def sum_over_ranks(self, riders: Sequence[Tensor]) -> None:
        """Sum gradients and ``riders``, small tensors on the same device, over all processes, in one message a type.

        Riders of another type than the gradients travel apart.
        """
        if distributed.world_size() == 1:
            return
        if sum(padded(rider.numel()) for rider in riders) > self._room:
            self._make(room=sum(padded(rider.numel()) for rider in riders))
        with_them = {dtype: [rider for rider in riders if rider.dtype == dtype] for dtype in self._flats}
        for dtype, flat in self._flats.items():
            along = with_them[dtype]
            seats = torch.split(flat[len(flat) - self._room :], [*(r.numel() for r in along), self._left(along)])
            for rider, seat in zip(along, seats, strict=False):
                seat.copy_(rider.reshape(-1))
            distributed.sum_in_place([flat[: len(flat) - self._left(along)]])
            for rider, seat in zip(along, seats, strict=False):
                rider.copy_(seat.view_as(rider))
        distributed.sum_in_place([rider for rider in riders if rider.dtype not in self._flats])

    def _left(self, along: Sequence[Tensor]) -> int:
        return self._room - sum(rider.numel() for rider in along)

    @torch.no_grad()
    def _make(self, room: int) -> None:
        """Make the buffers, with ``room`` for riders at their ends; gradients that exist move along."""
        self._room = room
        sizes = {
            dtype: sum(padded(p.numel()) for p in self.parameters if p.dtype == dtype)
            for dtype in sorted({p.dtype for p in self.parameters}, key=str)
        }
        device = self.parameters[0].device if self.parameters else torch.device("cpu")
        self._flats = {dtype: torch.zeros(size + room, dtype=dtype, device=device) for dtype, size in sizes.items()}
        self._views: list[Tensor] = []
        taken = dict.fromkeys(self._flats, 0)
        for parameter in self.parameters:
            flat, first = self._flats[parameter.dtype], taken[parameter.dtype]
            view = flat.as_strided(parameter.shape, _dense(parameter), first)
            taken[parameter.dtype] += padded(parameter.numel())
            if parameter.grad is not None:
                view.copy_(parameter.grad)
                parameter.grad = view
            self._views.append(view)


def padded(count: int) -> int:
    """Return how many numbers of the buffer a parameter of ``count`` takes."""
    return -(-count // _ALIGNED) * _ALIGNED


def _dense(parameter: Tensor) -> tuple[int, ...]:
    """Return the strides of a copy that keeps the layout of ``parameter``: its own, if it lies without gaps."""
    return torch.empty_like(parameter, device="meta").stride()
