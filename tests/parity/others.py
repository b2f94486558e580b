"""Cases of mmgeneration and of PyTorch-StudioGAN: forwards of both networks."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import torch

from tests.parity.biggan_pytorch import forward, run_forward
from tests.parity.case import Case
from tests.parity.comparison import Comparison
from tests.parity.pair import Pair

_TRUNCATED = re.compile(r"out/G/(eval_truncation([0-9.]+?))(?:\.(?:stride\d|crop24))?")


def run_mmgeneration(case: Case, comparison: Comparison) -> None:
    """Run one case; its truncation clamps the latents that are given."""
    with one_thread():
        run_forward(case, comparison, "mmgeneration")
        truncated = {match[1]: float(match[2]) for key in case.arrays if (match := _TRUNCATED.fullmatch(key))}
        for name, bound in truncated.items():
            z = case.arrays["in/z"].clamp(-bound, bound)
            with torch.no_grad():
                forward(case, comparison, Pair(case, family="mmgeneration"), "G", "eval", name, z)


def run_studiogan(case: Case, comparison: Comparison) -> None:
    """Run one case."""
    with one_thread():
        run_forward(case, comparison, "studiogan")


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use one thread, as the recordings did."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
