"""What travels between ranks: counted where it is sent, and equal to what docs/scaling.md reckons with."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed

from biggan.foundation.config import from_json
from biggan.training.configuration import TrainingConfig
from biggan.training.gradients import FlatGradients
from tests.rooms.training.commands import SMALL, run, run_ranks

WORDS = [
    "train",
    "digits",
    "--batch",
    "8",
    *SMALL,
    "--log.samples-every",
    "1G",
    "--log.judge",
    "none",
    "--norm-group",
    "1",
]


def note_messages(folder: str) -> None:
    """Write down the bytes of every sum of floats over all ranks, in order, and what was sent as a copy."""
    send, whole, sent = torch.distributed.all_reduce, FlatGradients.sum_over_ranks, []

    def noted(tensor: torch.Tensor, *words: Any, **options: Any) -> Any:
        if tensor.is_floating_point():
            sent.append(tensor.data_ptr())
            with (Path(folder) / str(torch.distributed.get_rank())).open("a") as file:
                file.write(f"{tensor.numel() * tensor.element_size()}\n")
        return send(tensor, *words, **options)

    def watched(self: FlatGradients, riders: Sequence[torch.Tensor]) -> None:
        sent.clear()
        whole(self, riders)
        if sent != [flat.data_ptr() for flat in self._flats.values()]:
            (Path(folder) / "copied").touch()

    torch.distributed.all_reduce = noted
    FlatGradients.sum_over_ranks = watched  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("ranks", "terms", "sums"),
    [(1, "", 0), (2, "", 0), (2, "lecam ada apa,p=0.5", 4), pytest.param(4, "", 0, marks=pytest.mark.nightly)],
)
def test_an_update_sends_one_message_of_known_size(
    ranks: int, terms: str, sums: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What terms sum up over an update of D, and over how many images, rides in it: SUMS and one more number."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "benchmarks"))
    from scaling import phase_bytes

    iterations = 2
    words = [*WORDS, "--run-dir", str(tmp_path / "run"), "--duration", str(8 * iterations)]
    words += ["--terms", *terms.split()] if terms else []
    attack = functools.partial(note_messages, str(tmp_path))
    if ranks == 1:
        done = [run(words, tmp_path / "log.txt", attack)]
    else:
        done = run_ranks(words, tmp_path / "logs", dict.fromkeys(range(ranks), attack), ranks)
    assert all(one.status == 0 for one in done), done
    if ranks == 1:
        assert not (tmp_path / "0").exists(), "nobody to send to"
        return
    config = from_json(TrainingConfig, json.loads((tmp_path / "run" / "config.json").read_text())["config"])
    of = phase_bytes(config.model)
    assert of["generator"] != of["discriminator"]
    riding = 4 * (sums + 1) if sums else 0
    expected = [of["discriminator"] + riding] * config.discriminator_steps + [of["generator"]]
    for rank in range(ranks):
        sent = [int(line) for line in (tmp_path / str(rank)).read_text().split()]
        assert sent == expected * iterations
    assert not (tmp_path / "copied").exists(), "the buffer itself is the message"
