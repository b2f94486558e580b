"""Where the time of an action goes on a GPU: arithmetic, memory, and nothing at all. Needs torch alone.

Kernels are told apart by their names. Arithmetic are products, convolutions and attention; all others move memory for
next to no arithmetic. What no kernel fills of the time that the action takes was spent waiting for launches.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import torch

from machine import Turns, synchronize

ARITHMETIC = re.compile(
    r"gemm|gemv|xmma|cutlass|conv|wgrad|dgrad|fprop|sdpa|flash|fmha|attention|\bmm\b|bmm", re.IGNORECASE
)
FUSED = "triton_"
"""What the compiler wrote: chains between products, called after what they were fused from, products included."""
MOST = 24
"""Kinds of kernels that are kept by name."""


def is_arithmetic(name: str) -> bool:
    """Tell what a kernel is by its name."""
    return not name.startswith(FUSED) and ARITHMETIC.search(name) is not None


def where_time_goes(action: Callable[[], object], device: torch.device, seconds: float) -> dict[str, Any]:
    """Return what an action's kernels do; it has been warmed up.

    Args:
        action: what is looked at, once.
        device: of the kernels; on a CPU they are operators.
        seconds: that the action takes when nobody looks.

    Returns:
        seconds of arithmetic, of memory and of neither, launches, and the kinds of kernels that took longest.
    """
    synchronize(device)
    with Turns.alone() as there_are_others, warnings.catch_warnings():
        if there_are_others:
            action()
            synchronize(device)
        warnings.simplefilter("ignore")  # it warns of how it will behave in loops
        with torch.profiler.profile(activities=list(torch.profiler.supported_activities())) as profile:
            action()
            synchronize(device)
    on_gpu = device.type == "cuda"
    found: list[tuple[float, int, str]] = []
    for event in profile.key_averages():
        if str(event.device_type).endswith("CUDA") == on_gpu and not event.is_user_annotation:
            microseconds = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            found.append((microseconds * 1e-6, event.count, event.key))
    found.sort(reverse=True)
    arithmetic = sum(each for each, _, name in found if is_arithmetic(name))
    busy = sum(each for each, _, _ in found)
    return {
        "arithmetic_seconds": arithmetic,
        "memory_seconds": busy - arithmetic,
        "idle_seconds": max(seconds - busy, 0.0),
        "launches": sum(count for _, count, _ in found),
        "longest": [{"seconds": each, "launches": count, "name": name[:160]} for each, count, name in found[:MOST]],
    }


def told(found: dict[str, Any]) -> str:
    """Return one line of it."""
    parts = [f"{name} {1000 * found[f'{name}_seconds']:.0f} ms" for name in ("arithmetic", "memory", "idle")]
    return f"{', '.join(parts)}, {found['launches']:,} launches"
