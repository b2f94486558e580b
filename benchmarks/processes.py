"""Training in one and in several processes on a CPU, one thread each: time of an iteration, and of its messages."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from biggan.foundation import distributed
from biggan.presets.registry import get_preset
from iterations import Ours, ours
from machine import describe

PRESET, WIDTH, BATCH = "biggan-pytorch-cifar10", 16, 32
REPEATS = 15


@dataclass
class Seconds:
    """Of each iteration, and of the sums over all processes within it: on the clock, and of the processor."""

    whole: list[float] = field(default_factory=list)
    whole_processor: list[float] = field(default_factory=list)
    messages: list[float] = field(default_factory=list)
    messages_processor: list[float] = field(default_factory=list)


def measured(counts: Sequence[int] = (1, 2), rounds: int = 3) -> dict[str, Any]:
    """Return what was measured: medians, in ms, over rounds in which the numbers of processes alternate."""
    found = {count: Seconds() for count in counts}
    for _ in range(rounds):
        for count in counts:
            new = run(count)
            for part in fields(Seconds):
                getattr(found[count], part.name).extend(getattr(new, part.name))
    medians = {
        str(count): {part.name: 1000 * statistics.median(getattr(seconds, part.name)) for part in fields(Seconds)}
        for count, seconds in found.items()
    }
    return {
        "machine": describe(torch.device("cpu")) | {"threads": 1, "cores": os.cpu_count()},
        "preset": PRESET,
        "width": WIDTH,
        "batch": BATCH,
        "iterations": rounds * REPEATS,
        "milliseconds": medians,
    }


def table(found: dict[str, Any]) -> str:
    """Return what was measured as the page on scaling shows it."""
    lines = [
        "| processes | an iteration, processor | clock | its messages, processor | clock |",
        "|---|---|---|---|---|",
    ]
    for count, of in found["milliseconds"].items():
        words = [f"{of[name]:,.0f} ms" for name in ("whole_processor", "whole", "messages_processor", "messages")]
        lines.append(f"| {count} | {' | '.join(words if count != '1' else [*words[:2], '', ''])} |")
    return "\n".join(lines).replace("|  |  |", "| | |")


def run(count: int) -> Seconds:
    """Return what the first of so many processes needs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    processes = [context.Process(target=_work, args=(rank, count, port, answer)) for rank in range(count)]
    for process in processes:
        process.start()
    found: Seconds = answer.get(timeout=600)
    for process in processes:
        process.join()
    return found


def _work(rank: int, count: int, port: int, answer: Any) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(count), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    distributed.start(torch.device("cpu"))
    messages, seconds = _Messages(), Seconds()
    iteration = _iteration(count)
    for number in range(REPEATS + 2):
        distributed.barrier()
        messages.spent = (0.0, 0.0)
        began = _now()
        iteration()
        if number >= 2:
            clock, processor = _since(began)
            seconds.whole.append(clock)
            seconds.whole_processor.append(processor)
            seconds.messages.append(messages.spent[0])
            seconds.messages_processor.append(messages.spent[1])
    if rank == 0:
        answer.put(seconds)
    distributed.stop()


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float]) -> tuple[float, float]:
    now = _now()
    return now[0] - began[0], now[1] - began[1]


def _iteration(count: int) -> Ours:
    """Return an iteration over this process's share of the batch."""
    config = get_preset(PRESET).build()
    model = dataclasses.replace(config.model, generator_width=WIDTH, discriminator_width=WIDTH)
    config = dataclasses.replace(
        config, model=model, batch=BATCH // count, micro_batch=BATCH // count, discriminator_steps=1
    )
    iteration = ours(config, torch.device("cpu"))
    iteration.inputs = dataclasses.replace(iteration.inputs, batch=BATCH, generator_batch=BATCH)
    return iteration


class _Messages:
    """How long this process is busy with sums over all; on the clock, waiting for the slowest is a part of it."""

    def __init__(self) -> None:
        self.spent = (0.0, 0.0)
        self._sum, distributed.sum_in_place = distributed.sum_in_place, self._timed

    def _timed(self, tensors: Sequence[Tensor]) -> None:
        began = _now()
        self._sum(tensors)
        clock, processor = _since(began)
        self.spent = (self.spent[0] + clock, self.spent[1] + processor)
