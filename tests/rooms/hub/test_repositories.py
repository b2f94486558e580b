"""Repositories, by the Hub's own library, against a server of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import biggan
from biggan.foundation.errors import UserError
from biggan.hub.repositories import choose_file, is_repository
from tests.rooms.hub.hub_server import Hub

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def run(hub: Hub, tmp_path: Path) -> Iterator[Run]:
    """Yield what runs a command of ours in a process that knows no Hub but this one."""
    pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")
    with hub.served() as site:
        kept = {"HF_HOME": str(tmp_path / "hf"), "BIGGAN_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}
        own = {**kept, "HF_ENDPOINT": site, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
        base = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}

        def call(*words: object, **more: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "biggan", *map(str, words)]
            environment = {**base, **own, **more}
            return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)

        yield call


@pytest.mark.nightly
def test_a_generator_goes_up_and_comes_down(run: Run, hub: Hub, snapshot: Path, tmp_path: Path) -> None:
    refused = run("push", snapshot, "somebody/digits")
    assert refused.returncode == 2
    assert "takes a token of yours" in refused.stderr
    dry = run("push", snapshot, "somebody/digits", "--dry-run", HF_TOKEN="hf_made_up")
    assert dry.returncode == 0
    assert not hub.asked, "neither asks the Hub for anything"
    pushed = run("push", snapshot, "somebody/digits", "--licence", "mit", HF_TOKEN="hf_made_up")
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout.endswith("/somebody/digits\n")
    assert [wanted.get("private", wanted.get("visibility")) for wanted in hub.created] in ([True], ["private"])
    files = hub.repositories["somebody/digits"]
    assert {"README.md", "config.json", "model.safetensors"} <= files.keys()
    assert b'biggan.from_pretrained("somebody/digits")' in files["README.md"]
    (tmp_path / "down.safetensors").write_bytes(files["model.safetensors"])
    before, after = (biggan.load(path, device="cpu") for path in (snapshot, tmp_path / "down.safetensors"))
    assert torch.equal(before.sample([1], [1]), after.sample([1], [1]))
    assert run("push", snapshot, "somebody/digits", "--public", HF_TOKEN="hf_made_up").returncode == 0
    assert hub.created[-1].get("private", hub.created[-1].get("visibility")) in (False, "public")

    pulled = run("pull", "somebody/digits", "--out", "down")
    assert pulled.returncode == 0, pulled.stderr
    assert (tmp_path / "down" / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert "next: biggan sample down/model.safetensors" in pulled.stdout
    assert run("push", "somebody/digits", "./elsewhere").returncode == 0
    assert (tmp_path / "elsewhere" / "model.safetensors").is_file()


@pytest.mark.nightly
def test_what_the_hub_does_not_have(run: Run, hub: Hub) -> None:
    hub.repositories["some/weights"] = {"a.pth": b"x", "b/c.pth": b"y", "README.md": b"z"}
    for words, message in (
        (("pull", "nobody/nothing"), "the Hugging Face Hub has no such thing, or not for you to see"),
        (("pull", "some/weights"), "holds 2 files of weights; choose one with --file:\n  a.pth\n  b/c.pth"),
        (("pull", "some/weights", "--file", "a.pt"), "--file a.pt: some/weights has no such file; nearest: a.pth"),
    ):
        done = run(*words)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
    done = run("pull", "some/weights", "--file", "a.pth")
    assert done.returncode == 0, done.stderr
    assert "next: biggan convert" in done.stdout


def test_which_words_are_repositories() -> None:
    assert all(map(is_repository, ("owner/name", "hf://owner/name", "a.b/c_d-1")))
    assert not any(map(is_repository, ("name", "a/b/c", "./a", "../a", "a/..b/c", "a/b..c", "a b/c", "hf://a", "/a/b")))


def test_the_file_of_a_repository() -> None:
    assert choose_file("a/b", ["README.md", "G.pth"], None) == "G.pth"
    assert choose_file("a/b", ["G.pth", "D.pth"], "D.pth") == "D.pth"
    with pytest.raises(UserError, match="holds no file of weights"):
        choose_file("a/b", ["README.md"], None)
    many = [f"{number}.pth" for number in range(300)]
    with pytest.raises(UserError, match=r"(?s)holds 300 files of weights.*and 100 more"):
        choose_file("a/b", many, None)
