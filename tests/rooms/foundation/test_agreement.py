"""What fails on one process fails on all, at once; nobody waits for somebody who has left."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as multiprocessing

from biggan.foundation import distributed
from biggan.foundation.errors import UserError
from tests.conftest import HANGS


def fail_on(rank: int | None) -> Callable[[], str]:
    def action() -> str:
        if distributed.rank() == rank:
            raise ValueError("a reason")
        return f"result of {distributed.rank()}"

    return action


def outcome(call: Callable[[], Any]) -> str:
    try:
        return str(call())
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _rank(rank: int, folder: str, port: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
            patch.setenv(name, str(value))
        distributed.start(torch.device("cpu"))
        found = [outcome(lambda who=who: distributed.together(fail_on(who), "reading")) for who in (None, 0, 1)]
        found += [outcome(lambda who=who: distributed.on_primary(fail_on(who), "writing")) for who in (None, 0)]
        found.append(str(distributed.largest(rank * 7)))
        distributed.stop()
    (Path(folder) / str(rank)).write_text("\n".join(found))


def test_two_ranks_agree_on_success_and_on_failure(tmp_path: Path) -> None:
    began = time.monotonic()
    multiprocessing.spawn(_rank, (str(tmp_path), distributed_port()), nprocs=2)
    first, second = ((tmp_path / str(rank)).read_text().splitlines() for rank in (0, 1))
    other = "OtherRankError: {} failed on rank {}: ValueError: a reason"
    own = "ValueError: a reason"
    assert first == ["result of 0", own, other.format("reading", 1), "result of 0", own, "7"]
    assert second == ["result of 1", other.format("reading", 0), own, "result of 0", other.format("writing", 0), "7"]
    assert time.monotonic() - began < HANGS


def test_one_process_keeps_its_own_error() -> None:
    assert distributed.together(fail_on(None), "reading") == "result of 0"
    for run in (distributed.together, distributed.on_primary):
        with pytest.raises(ValueError, match=r"^a reason$"):
            run(fail_on(0), "reading")
    assert issubclass(distributed.OtherRankError, UserError)


def distributed_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
