"""Ranks compute on devices that are alike: others round in other ways, and the smallest one decides for all.

They tell each other by the store where they met, before there is a group: which backend that needs is not known yet.
"""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from biggan.foundation.errors import UserError
from biggan.version import __version__

_MEMORY_WITHIN = 1 / 8
"""Share by which the memory of two devices of one name may differ: drivers keep some of it for themselves."""
_CHOOSE = "choose machines of one kind, or say by CUDA_VISIBLE_DEVICES which GPUs to use"


class Store(Protocol):
    """What processes share: bytes under keys."""

    def set(self, key: str, value: str) -> None:
        """Write."""

    def multi_get(self, keys: list[str]) -> list[bytes]:
        """Read all of ``keys``; wait for those that are not there."""


@dataclass(frozen=True, kw_only=True)
class DeviceFacts:
    """What ranks compare of where they compute."""

    host: str
    kind: str
    """cpu, cuda, mps."""
    name: str = ""
    """Of the GPU."""
    memory: int = 0
    """Bytes of the GPU; 0 where it has none of its own."""
    torch: str = str(torch.__version__)
    biggan: str = __version__


def facts_of(device: torch.device) -> DeviceFacts:
    """Look at a device of this process."""
    if device.type != "cuda":
        return DeviceFacts(host=_host(), kind=device.type)
    found = torch.cuda.get_device_properties(device)
    return DeviceFacts(host=_host(), kind="cuda", name=found.name, memory=found.total_memory)


def unlike(ranks: Sequence[DeviceFacts]) -> str | None:
    """Return a sentence about the first rank whose device cannot go with that of rank 0; None where all can."""
    first = ranks[0]
    for number, other in enumerate(ranks):
        difference = _difference(first, other)
        if difference is not None:
            one, found, fix = difference
            return f"rank {number} on {other.host} {found}, and rank 0 on {first.host} {one}: {fix}"
    return None


def _difference(first: DeviceFacts, other: DeviceFacts) -> tuple[str, str, str] | None:
    """Return what is to be said of the first, of the other, and what to do."""
    if first.kind != other.kind:
        fix = "give --device cuda, so that a rank that finds no GPU says why, or --device cpu for all"
        return f"computes on {first.kind}", f"computes on {other.kind}", fix
    if first.torch != other.torch:
        fix = "install one version on all machines, since two may round in two ways"
        return f"has PyTorch {first.torch}", f"has PyTorch {other.torch}", fix
    if first.biggan != other.biggan:
        fix = "install one version on all machines, since two may train in two ways"
        return f"has biggan {first.biggan}", f"has biggan {other.biggan}", fix
    if first.name != other.name:
        return f"has a GPU {first.name}", f"has a GPU {other.name}", f"they would round in two ways; {_CHOOSE}"
    if abs(first.memory - other.memory) > max(first.memory, other.memory) * _MEMORY_WITHIN:
        one, found = (f"has {facts.memory / 2**30:.1f} GiB of GPU memory" for facts in (first, other))
        return one, found, f"the same must fit into both; {_CHOOSE}"
    return None


class Attempt:
    """A device that was chosen, or why none was."""

    def __init__(self, choose: Callable[[], torch.device]) -> None:
        self._failure: Exception | None = None
        try:
            self._device = choose()
            self._words: dict[str, Any] = dataclasses.asdict(facts_of(self._device))
        except Exception as error:  # told to all, then raised again
            self._failure = error
            said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            self._words = {"host": _host(), "error": said}

    def words(self) -> str:
        """Return what others need to know of it."""
        return json.dumps(self._words)

    def device_if_alike(self, rank: int, told: Sequence[str]) -> torch.device:
        """Return the device, if all processes have one and these are alike.

        Args:
            rank: of this process.
            told: the words of all.

        Raises:
            UserError: one has none, or another kind; all come to the same sentence.
            Exception: what choosing raised here, if it was no :class:`UserError`.
        """
        ranks = [json.loads(words) for words in told]
        if self._failure is not None and not isinstance(self._failure, UserError):
            raise self._failure
        for number in sorted(range(len(ranks)), key=lambda number: number != rank):  # its own failure, if it has one
            if "error" in ranks[number]:
                raise UserError(f"rank {number} on {ranks[number]['host']}: {ranks[number]['error']}")
        problem = unlike([_facts_told(words) for words in ranks])
        if problem is not None:
            raise UserError(problem)
        return self._device


def _facts_told(words: dict[str, Any]) -> DeviceFacts:
    """Return what a process told, be it of a version that tells more or less than this one."""
    known = {field.name for field in dataclasses.fields(DeviceFacts)}
    return DeviceFacts(**({"biggan": "of another version"} | {name: words[name] for name in known & words.keys()}))


def tell_all(store: Store, rank: int, ranks: int, words: str) -> list[str]:
    """Return the ``words`` of every process, in order of rank; waits for them as long as the store does."""
    store.set(f"device/{rank}", words)
    told = store.multi_get([f"device/{number}" for number in range(ranks)])
    store.set(f"heard/{rank}", "yes")
    if rank == 0:  # whose process may hold the store: it must not end, with a message, before all can read why
        store.multi_get([f"heard/{number}" for number in range(ranks)])
    return [words.decode() for words in told]


def _host() -> str:
    return platform.node() or "a machine without a name"
