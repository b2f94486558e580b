"""The tensors of a foreign network in our names and forms, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from biggan.foundation.errors import UserError


@dataclass(frozen=True)
class Form:
    """A change of form that loses nothing: it only moves numbers, so it holds for moments and gradients as well."""

    to_ours: Callable[[Tensor], Tensor]
    to_theirs: Callable[[Tensor], Tensor]


SAME = Form(lambda x: x, lambda x: x)
TRANSPOSED = Form(lambda x: x.transpose(0, 1), lambda x: x.transpose(0, 1))
ROW = Form(lambda x: x.reshape(1, -1), lambda x: x.reshape(-1))
"""A vector [n] as one row [1, n]."""
SCALAR = Form(lambda x: x.reshape(()), lambda x: x.reshape(1))
"""One number that they store as [1]."""


def after(first: Form, second: Form) -> Form:
    """Return the change that makes ``first`` and then ``second``."""
    return Form(lambda x: second.to_ours(first.to_ours(x)), lambda x: first.to_theirs(second.to_theirs(x)))


def channels_first(height: int, width: int, *, dim: int = 0) -> Form:
    """Return the change of a ``dim`` that counts (height, width, channel) to one of (channel, height, width)."""

    def move(x: Tensor, shape: tuple[int, ...], order: tuple[int, ...]) -> Tensor:
        front = x.movedim(dim, 0)
        rest = range(len(order), len(order) + front.ndim - 1)
        return front.reshape(*shape, *front.shape[1:]).permute(*order, *rest).reshape(front.shape).movedim(0, dim)

    return Form(
        lambda x: move(x, (height, width, -1), (2, 0, 1)),
        lambda x: move(x, (-1, height, width), (1, 2, 0)),
    )


def first_columns_last(count: int) -> Form:
    """Return the change that moves the first ``count`` columns behind the others."""
    return Form(
        lambda x: torch.cat([x[:, count:], x[:, :count]], dim=1),
        lambda x: torch.cat([x[:, x.shape[1] - count :], x[:, : x.shape[1] - count]], dim=1),
    )


@dataclass(frozen=True)
class Entry:
    """One of their tensors."""

    theirs: str
    ours: str
    """Our name; empty if ours has no counterpart, on purpose (counters of batches, for one)."""
    form: Form = SAME
    row: int | None = None
    """Their tensor is this row of ours; None if it is the whole."""


class Translation:
    """All that is known about the tensors of one foreign network."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = {entry.theirs: entry for entry in entries}

    def to_ours(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return tensors in our names and forms; what has no counterpart is left out.

        Raises:
            UserError: a tensor whose shape does not allow the change.
        """
        whole: dict[str, Tensor] = {}
        rows: dict[str, dict[int, Tensor]] = {}
        for key, tensor in state.items():
            entry = self.entries.get(key)
            if entry is None or not entry.ours:
                continue
            try:
                ours = entry.form.to_ours(tensor).contiguous()
            except (RuntimeError, IndexError) as error:
                raise UserError(f"'{key}' of shape {list(tensor.shape)} does not fit into '{entry.ours}'") from error
            filled = whole if entry.row is None else rows.setdefault(entry.ours, {})
            place = entry.ours if entry.row is None else entry.row
            if place in filled:
                raise UserError(f"'{key}' and another of its keys both are '{entry.ours}'")
            filled[place] = ours  # type: ignore[index]
        for name, parts in rows.items():
            if sorted(parts) != list(range(len(parts))):
                raise UserError(f"'{name}' has the parts {sorted(parts)}, of which one is missing")
            try:
                whole[name] = torch.cat([parts[i] for i in sorted(parts)])
            except RuntimeError as error:
                raise UserError(f"the parts of '{name}' are of different shapes") from error
        return whole

    def to_theirs(self, ours: Mapping[str, Tensor], key: str) -> Tensor:
        """Return their tensor ``key`` from ``ours`` (a state dict, gradients, moments), in their form."""
        entry = self.entries[key]
        tensor = ours[entry.ours]
        return entry.form.to_theirs(tensor if entry.row is None else tensor[entry.row : entry.row + 1])

    def unknown(self, state: Mapping[str, Tensor]) -> list[str]:
        """Return the keys of ``state`` that have no entry."""
        return sorted(key for key in state if key not in self.entries)

    @property
    def dropped(self) -> list[str]:
        """Their keys that have no counterpart, on purpose."""
        return sorted(entry.theirs for entry in self.entries.values() if not entry.ours)


def with_logged_values(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return ``state`` with ``sigma`` wherever a layer has ``u`` but no log of its singular values.

    The log never is an input; |u W| is the value as of the stored vector.
    """
    found = dict(state)
    for name, u in state.items():
        layer, _, last = name.rpartition(".")
        weight = state.get(f"{layer}.weight")
        if last == "u" and f"{layer}.sigma" not in state and weight is not None:
            if u.ndim != 2 or weight.ndim < 2 or not (u.is_floating_point() and weight.is_floating_point()):
                raise UserError(
                    f"'{layer}' has a weight {list(weight.shape)} of {weight.dtype} and a singular vector "
                    f"{list(u.shape)} of {u.dtype}: a matrix and a row of decimal numbers are expected"
                )
            rows = weight.flatten(1)
            found[f"{layer}.sigma"] = (u @ rows).norm(dim=1) if u.shape[1] == len(rows) else torch.ones(len(u))
    return found
