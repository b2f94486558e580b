"""What is free is what the machine has, and in a container what its limit leaves."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from biggan.foundation import memory


def test_a_container_has_what_its_limit_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_CONTROL_GROUP", tmp_path)
    free = memory.free_memory()
    assert free > 2**20
    (tmp_path / "memory.current").write_text("3000000\n")
    for limit, expected in (("5000000\n", 2_000_000), ("2000000\n", 0)):
        (tmp_path / "memory.max").write_text(limit)
        assert memory.free_memory() == expected
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_memory() > 2**20


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep less")
def test_a_heap_full_of_holes_is_given_back() -> None:
    def resident() -> int:
        return 1024 * int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0])

    made = [bytearray(2000) for _ in range(20_000)]
    kept, made = made[::100], []
    before = resident()
    memory.give_back_freed_memory()
    assert resident() < before - 20 * 2**20
    assert len(kept) == 200
