"""Ranks whose devices do not go together: one sentence on all of them, before anything is done."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from biggan.foundation import distributed
from biggan.foundation.alike import Attempt, DeviceFacts, facts_of, unlike
from biggan.foundation.devices import choose_device
from biggan.foundation.errors import UserError
from biggan.version import __version__
from tests.rooms.foundation.test_agreement import distributed_port
from tests.rooms.training import commands

H100 = DeviceFacts(host="node1", kind="cuda", name="NVIDIA H100 80GB HBM3", memory=85 * 10**9, torch="2.9.0+cu128")
CPU = DeviceFacts(host="node1", kind="cpu", torch="2.9.0+cu128")
MISSING = "mps" if torch.cuda.is_available() else "cuda"
"""A kind of device that this machine has not; no test machine has both."""


def other(facts: DeviceFacts = H100, **values: object) -> DeviceFacts:
    return dataclasses.replace(facts, host="node2", **values)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (other(CPU), ("rank 2 on node2 computes on cpu", "rank 0 on node1 computes on cuda", "--device cpu for all")),
        (other(name="NVIDIA A100"), ("rank 2 on node2 has a GPU NVIDIA A100", "GPU NVIDIA H100 80GB", "of one kind")),
        (other(memory=40 * 10**9), ("rank 2 on node2 has 37.3 GiB of GPU", "has 79.2 GiB", "CUDA_VISIBLE_DEVICES")),
        (other(torch="2.8.0+cu128"), ("rank 2 on node2 has PyTorch 2.8.0+cu128", "PyTorch 2.9.0", "one version")),
        (other(biggan="0.0.9"), ("rank 2 on node2 has biggan 0.0.9", f"has biggan {__version__}", "one version")),
    ],
    ids=["kind", "model", "memory", "torch", "biggan"],
)
def test_the_sentence_names_rank_device_and_fix(found: DeviceFacts, words: tuple[str, ...]) -> None:
    sentence = unlike([H100, other(), found, other(CPU)])
    assert sentence is not None
    for part in words:
        assert part in sentence
    assert "\n" not in sentence


def test_devices_that_are_alike() -> None:
    assert unlike([H100, other(), other(memory=84 * 10**9)]) is None
    assert unlike([CPU, other(CPU), other(CPU)]) is None
    assert unlike([H100]) is None
    assert unlike([CPU, other(CPU, kind="mps")]) is not None


def test_a_device_of_this_machine_is_described() -> None:
    facts = facts_of(torch.device("cpu"))
    assert (facts.kind, facts.memory, facts.torch) == ("cpu", 0, torch.__version__)
    assert facts.host


def test_an_unexpected_failure_keeps_its_type() -> None:
    def broken() -> torch.device:
        raise RuntimeError("the driver is too old")

    attempt = Attempt(broken)
    with pytest.raises(RuntimeError, match="too old"):
        attempt.device_if_alike(0, [attempt.words(), Attempt(lambda: torch.device("cpu")).words()])
    well = Attempt(lambda: torch.device("cpu"))
    with pytest.raises(UserError, match=r"^rank 1 on .*: RuntimeError: the driver is too old$"):
        well.device_if_alike(0, [well.words(), attempt.words()])


@pytest.mark.parametrize("words", [{"biggan": "9.0", "of_a_later_version": 1}, {}], ids=["later", "earlier"])
def test_a_rank_of_a_version_that_tells_other_facts(words: dict[str, object]) -> None:
    well = Attempt(lambda: torch.device("cpu"))
    facts = {name: value for name, value in json.loads(well.words()).items() if name != "biggan"}
    with pytest.raises(UserError, match=r"^rank 1 on .* has biggan (9\.0|of another version), and rank 0 on "):
        well.device_if_alike(0, [well.words(), json.dumps(facts | words)])


def outcome(call: Callable[[], object]) -> str:
    try:
        return str(call())
    except UserError as error:
        return f"UserError: {error}"


def _rank(rank: int, folder: str, ports: list[int]) -> None:
    found = []
    choices: list[Callable[[int], torch.device]] = [
        lambda rank: torch.device("meta" if rank else "cpu"),  # meta is the other kind that any machine has
        lambda rank: choose_device("cpu" if rank else MISSING),
        lambda _: choose_device(MISSING),
        lambda _: torch.device("cpu"),
    ]
    for port, choose in zip(ports, choices, strict=True):
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
                patch.setenv(name, str(value))
            found.append(outcome(lambda choose=choose: distributed.start(lambda: choose(rank), minutes=1)))
            found.append(str(distributed.world_size()))
            distributed.stop()
    (Path(folder) / str(rank)).write_text("\n".join(found))


def test_two_ranks_tell_each_other_and_end_alike(tmp_path: Path) -> None:
    commands.spawn(_rank, (str(tmp_path), [distributed_port() for _ in range(4)]), 2)
    first, second = ((tmp_path / str(rank)).read_text().splitlines() for rank in (0, 1))
    assert first[0] == second[0]
    assert "rank 1 on" in first[0]
    assert "computes on meta, and rank 0 on" in first[0]
    assert first[2] == second[2], "also on the rank that has a device"
    assert first[2].startswith("UserError: rank 0 on ")
    assert f"--device {MISSING}: PyTorch sees no" in first[2]
    assert first[4].startswith("UserError: rank 0 on ")
    assert second[4].startswith("UserError: rank 1 on "), "each says its own"
    assert (first[6], second[6]) == ("cpu", "cpu")
    assert first[1::2] == second[1::2] == ["1", "1", "1", "2"], "no group was made where they do not go together"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_ranks_without_a_gpu_each_say_so_and_begin_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", "digits", "--run-dir", str(run), *commands.SMALL, "--device", "cuda"]
    for rank, done in enumerate(commands.run_ranks(words, tmp_path / "logs", {})):
        assert done.status == 2, done.printed
        assert f"rank {rank} on " in done.printed
        assert "--device cuda: PyTorch sees no CUDA device; use --device cpu, or check the driver" in done.printed
        assert "Traceback" not in done.printed
    assert not run.exists()
