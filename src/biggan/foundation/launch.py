"""What ``torchrun`` announces in the environment. Imports no torch."""

from __future__ import annotations

import os


def announced_world_size() -> int:
    """Return the number of processes that were started together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def announced_rank() -> int:
    """Return the number of this process among them."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Return the number of this process on its node."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def local_world_size() -> int:
    """Return the number of processes on this node."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def is_restarted_by_a_launcher() -> bool:
    """Tell whether an agent of ``torchrun`` watches this process and starts it anew when one of its job is lost."""
    return "TORCHELASTIC_RUN_ID" in os.environ
