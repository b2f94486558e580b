"""The only importer of ``torch.distributed``. Without a launcher every function means one process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from biggan.foundation.alike import Attempt, tell_all
from biggan.foundation.errors import LostRankError, UserError
from biggan.foundation.launch import announced_world_size
from biggan.foundation.roll_call import roll_call
from biggan.foundation.terminal import one_line

TIMEOUT = 30.0
"""Minutes that processes wait for each other, where each has the same to do."""

_control: Any = None
"""The group that carries words between processes. It lives on the CPU, so that no GPU is waited for."""
_pace: Any = None
"""Such a group for words that come at each step: here no process has a reason to be late."""

T = TypeVar("T")


class OtherRankError(UserError):
    """What this process took part in failed on another one."""


def start(device: torch.device | Callable[[], torch.device], minutes: float = TIMEOUT) -> torch.device:
    """Join the group that ``torchrun`` announced in the environment; without one only choose the device.

    Args:
        device: of this process, or what chooses it. A failure to choose is one on all processes.
        minutes: how long to wait for the others to join, and at each step.

    Returns:
        The device.

    Raises:
        UserError: some process found no device, or devices are not alike; names the process.
        LostRankError: another did not join.
    """
    global _control, _pace
    choose: Callable[[], torch.device] = (lambda: device) if isinstance(device, torch.device) else device
    if announced_world_size() == 1 or dist.is_initialized():
        return choose()
    attempt = Attempt(choose)
    timeout = timedelta(minutes=minutes)
    with _others():
        store, number, count = next(rendezvous("env://", timeout=timeout))
        name = roll_call(store, number, count, timeout.total_seconds())
        fresh = dist.PrefixStore(name, store)  # type: ignore[attr-defined]  # a public name, not marked as one
        told = tell_all(fresh, number, count, attempt.words())
    chosen = attempt.device_if_alike(number, told)
    with _others():
        backend = "nccl" if chosen.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=fresh, rank=number, world_size=count, timeout=timeout)
        # One process may prepare data or write for hours while the others wait for its word.
        _control = dist.new_group(backend="gloo", timeout=timedelta(days=7))
        _pace = dist.new_group(backend="gloo", timeout=timeout)
    return chosen


def stop() -> None:
    """Leave the group."""
    global _control, _pace
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
    _control = _pace = None


@contextlib.contextmanager
def _others() -> Iterator[None]:
    """Say in a sentence that another process is gone. What backends raise then has no type of its own.

    Raises:
        LostRankError: something failed between processes in the block.
    """
    try:
        yield
    except (LostRankError, torch.OutOfMemoryError):
        raise
    except RuntimeError as error:
        reason = one_line((str(error).splitlines() or [type(error).__name__])[0], 200)
        raise LostRankError(
            f"another process of this command ended, or did not answer in time ({reason}); if it could still say why, "
            "its own message does"
        ) from error


def rank() -> int:
    """Return the number of this process among all, 0 for the first."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_primary() -> bool:
    """Tell whether this process writes the files and prints."""
    return rank() == 0


def barrier() -> None:
    """Wait for all processes."""
    if world_size() > 1:
        with _others():
            dist.barrier(group=_control)


def together(action: Callable[[], T], what: str) -> T:
    """Run ``action`` on every process; return its result if all succeeded, and fail on all if it failed on any.

    Everything that can fail on one process while others would wait for it goes through here or :func:`on_primary`.
    ``action`` must not wait for other processes itself.

    Args:
        action: what to do.
        what: how messages call it: "reading a batch".

    Raises:
        OtherRankError: it failed elsewhere; names the process and its message.
        LostRankError: another process is gone.
        Exception: what ``action`` raised here.
    """
    if world_size() == 1:
        return action()
    failure: Exception | None = None
    result: T | None = None
    try:
        result = action()
    except Exception as error:  # told to all, then raised again
        failure = error
    messages = gather_objects(None if failure is None else _message(failure))
    if failure is not None:
        raise failure
    for number, message in enumerate(messages):
        if message is not None:
            raise OtherRankError(f"{what} failed on rank {number}: {message}")
    return cast(T, result)


def on_primary(action: Callable[[], T], what: str) -> T:
    """Run ``action`` on the first process; return its result on all, or fail on all.

    The result travels as a pickle between processes of one run. See :func:`together`.

    Raises:
        OtherRankError: it failed on the first process, and this is another.
        Exception: what ``action`` raised here.
    """
    if world_size() == 1:
        return action()
    failure: Exception | None = None
    answer: tuple[str | None, T | None] = (None, None)
    if is_primary():
        try:
            answer = (None, action())
        except Exception as error:  # told to all, then raised again
            failure = error
            answer = (_message(error), None)
    message, result = cast("tuple[str | None, T | None]", broadcast_object(answer))
    if failure is not None:
        raise failure
    if message is not None:
        raise OtherRankError(f"{what} failed on rank 0: {message}")
    return cast(T, result)


def on_primary_only(action: Callable[[], T], what: str) -> T | None:
    """Run ``action`` on the first process and return its result there; the others get None, or its failure.

    For results that are large and that the others have no use for. See :func:`on_primary`.
    """
    box: list[T] = []
    on_primary(lambda: box.append(action()), what)
    return box[0] if box else None


def _message(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def broadcast(tensors: Iterable[Tensor]) -> None:
    """Overwrite ``tensors`` on every process with those of the first."""
    if world_size() > 1:
        for tensor in tensors:
            message = tensor.detach().contiguous()  # whatever its layout in memory
            with _others():
                dist.broadcast(message, src=0)
            tensor.detach().copy_(message)


def broadcast_object(value: object) -> object:
    """Return the ``value`` of the first process on every process."""
    if world_size() == 1:
        return value
    box = [value]
    with _others():
        dist.broadcast_object_list(box, src=0, group=_control)
    return box[0]


def gather_objects(value: object) -> list[object]:
    """Return the ``value`` of every process, in order of rank."""
    if world_size() == 1:
        return [value]
    box: list[object] = [None] * world_size()
    with _others():
        dist.all_gather_object(box, value, group=_control)
    return box


def gather_on_primary(value: T) -> list[T]:
    """Return the ``value`` of every process, in order of rank, on the first; nothing on the others."""
    if world_size() == 1:
        return [value]
    box: list[T | None] | None = [None] * world_size() if is_primary() else None
    with _others():
        dist.gather_object(value, box, dst=0, group=_control)
    return cast("list[T]", box or [])


def sum_in_place(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its sum over all processes, in one message a dtype, without a copy of a single one."""
    if world_size() == 1 or not tensors:
        return
    for dtype in sorted({tensor.dtype for tensor in tensors}, key=str):
        group = [tensor for tensor in tensors if tensor.dtype == dtype]
        if len(group) == 1 and group[0].is_contiguous():
            with _others():
                dist.all_reduce(group[0].detach())
            continue
        flat = torch.cat([tensor.reshape(-1) for tensor in group])
        with _others():
            dist.all_reduce(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in group])
        with torch.no_grad():
            for tensor, part in zip(group, parts, strict=True):
                tensor.copy_(part.view_as(tensor))


def gather_within(ranks: int) -> Callable[[Tensor], Tensor]:
    """Return a differentiable function that gathers vectors from each ``ranks`` consecutive processes.

    It takes [n] and returns [ranks, n]; its gradient is summed over the processes, as each computes with the vectors of
    all, and has one in turn. Every process must make this call, and those of what is returned in the same order.
    """
    with _others():
        groups = [dist.new_group(list(range(first, first + ranks))) for first in range(0, world_size(), ranks)]
    group = groups[rank() // ranks]

    def gather(vector: Tensor) -> Tensor:
        gathered: Tensor = _Gathered.apply(vector, group, ranks)
        return gathered

    # Messages are no part of a compiled graph.
    return cast("Callable[[Tensor], Tensor]", torch.compiler.disable(gather))  # type: ignore[no-untyped-call]


class _Gathered(torch.autograd.Function):
    """[n] to those of all, [ranks, n]; [ranks, n] to this one's row of their sum. Each is the other's gradient."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, group: Any, ranks: int) -> Tensor:
        ctx.group, ctx.ranks = group, ranks
        with _others():
            if given.dim() == 2:
                dist.all_reduce(summed := given.clone(memory_format=torch.contiguous_format), group=group)
                return summed[dist.get_rank(group)]
            rows = list(given.new_empty(ranks, *given.shape).unbind())
            dist.all_gather(rows, given.contiguous(), group=group)
            return torch.stack(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Gathered.apply(gradients[0], ctx.group, ctx.ranks), None, None


def largest(value: int) -> int:
    """Return the largest ``value`` of all processes. A few bytes over the CPU; no GPU is waited for.

    Raises:
        LostRankError: another process is gone, or did not ask for it within the minutes of :func:`start`.
    """
    if world_size() == 1:
        return value
    box = torch.tensor([value])
    with _others():
        dist.all_reduce(box, op=dist.ReduceOp.MAX, group=_pace)
    return int(box.item())
