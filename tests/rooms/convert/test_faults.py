"""Files that are not what they are taken for."""

from __future__ import annotations

import copy
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from biggan.cli.main import main
from biggan.convert.facts import Facts
from biggan.convert.gathering import ForeignWeights, gather
from biggan.convert.importing import convert
from biggan.foundation.errors import UserError
from tests.mutations import mutated
from tests.rooms.convert.foreign_files import SOURCES, biggan_pytorch_folder, case_of, optimizer


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("exploded",))


def _discriminator_alone(folder: Path) -> Path:
    torch.save(case_of("biggan_pytorch/bg32_hier").state("D"), folder / "D.pth")
    return folder / "D.pth"


def _bomb(folder: Path) -> Path:
    torch.save({"state_dict": Bomb()}, folder / "G.pth")
    return folder / "G.pth"


def _old_bomb(folder: Path) -> Path:
    torch.save({"state_dict": Bomb()}, folder / "G.pth", _use_new_zipfile_serialization=False)
    return folder / "G.pth"


def _web_page(folder: Path) -> Path:
    (folder / "G.pth").write_text("<!DOCTYPE html><title>Google Drive - Quota exceeded</title>")
    return folder / "G.pth"


def _other_optimizer(folder: Path) -> Path:
    biggan_pytorch_folder(folder / "run")
    torch.save(optimizer(case_of("biggan_pytorch/bg64_hier").state("G")), folder / "run" / "G_optim.pth")
    return folder / "run"


def _other_discriminator(folder: Path) -> Path:
    biggan_pytorch_folder(folder / "run")
    torch.save(case_of("biggan_pytorch/deep64").state("D"), folder / "run" / "D.pth")
    (folder / "run" / "D_optim.pth").unlink()
    return folder / "run"


def _unknown(folder: Path) -> Path:
    torch.save({"layer1.0.conv1.weight": torch.zeros(2, 2), "fc.bias": torch.zeros(2)}, folder / "resnet.pth")
    return folder / "resnet.pth"


def _two_files(folder: Path) -> Path:
    for name in ("one.pt", "two.pt"):
        torch.save({}, folder / name)
    return folder


def _empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def _absent(folder: Path) -> Path:
    return folder / "absent.pth"


WRONG: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a discriminator alone": (_discriminator_alone, "there is no generator"),
    "code": (_bomb, "mkdir"),
    "code of old": (_old_bomb, "mkdir"),
    "a web page": (_web_page, "web page"),
    "another network's optimizer": (_other_optimizer, "do not belong together"),
    "another family's discriminator": (_other_discriminator, "different families"),
    "weights of nobody": (_unknown, "keys of no family that is known"),
    "two files": (_two_files, "name one of them"),
    "an empty folder": (_empty_folder, "no weights in this folder"),
    "nothing": (_absent, "there is no such file"),
}


@pytest.mark.parametrize("name", WRONG)
def test_is_told_in_a_sentence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, said = WRONG[name]
    source = make(tmp_path)
    assert main(["convert", str(source), str(tmp_path / "out.safetensors")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()
    assert not (tmp_path / "exploded").exists()


def test_options_are_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(SOURCES["one network"](tmp_path / "theirs"))
    for words, said in (
        ([source, str(tmp_path / "out.pth")], "must end in .safetensors"),
        ([source, str(tmp_path / "o.safetensors"), "--from", "biggan-torch"], "biggan-pytorch"),
        ([source, str(tmp_path / "o.safetensors"), "--from", "studiogan"], "are not its; they are biggan-pytorch"),
        ([source, str(tmp_path / "run")], "missing"),
    ):
        assert main(["convert", *words]) == 2
        assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["theirs"]


@pytest.mark.parametrize("name", ["biggan-pytorch of old", "one network", "tfhub", "huggingface"])
def test_damaged_files_end_with_a_sentence(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = SOURCES[name](tmp_path / "theirs")
    files = sorted(source.iterdir()) if source.is_dir() else [source]
    out = tmp_path / "out.safetensors"
    for number in range(int(os.environ.get("HOSTILE_FILES", "4"))):
        file = files[number % len(files)]
        whole = file.read_bytes()
        file.write_bytes(mutated(whole, random.Random(number)))
        status = main(["convert", str(source), str(out), "--overwrite"])
        printed = capsys.readouterr().err
        assert status in (0, 2), printed
        file.write_bytes(whole)


def strange(tensor: torch.Tensor, draw: random.Random) -> torch.Tensor:
    """Return something of another rank, size or type than ``tensor``."""
    kind = draw.choice(["none", "scalar", "int", "double", "flat", "deep", "half", "twice", "turned", "other"])
    changed = {
        "none": lambda x: x.new_zeros(0),
        "scalar": lambda x: x.new_zeros(()),
        "int": lambda x: x.to(torch.int64),
        "double": lambda x: x.double() if x.is_floating_point() else x,
        "flat": lambda x: x.flatten(),
        "deep": lambda x: x.unsqueeze(0),
        "half": lambda x: x[..., :0] if x.ndim else x,
        "twice": lambda x: torch.cat([x, x]) if x.ndim else x,
        "turned": lambda x: x.T if x.ndim == 2 else x.reshape(-1, 1),
        "other": lambda x: torch.zeros([draw.choice([0, 1, 2, 3]) for _ in range(x.ndim)]),
    }
    return changed[kind](tensor)


def with_one_strange(weights: ForeignWeights, draw: random.Random) -> tuple[ForeignWeights, str]:
    """Return ``weights`` with one tensor changed, left out or called otherwise, and what was done."""
    part = draw.choice([name for name in ("generator", "average", "discriminator") if getattr(weights, name)])
    state = dict(getattr(weights, part))
    key = draw.choice(sorted(state))
    what = draw.choice(["strange", "strange", "strange", "absent", "renamed"])
    value = state.pop(key)
    if what == "strange":
        state[key] = strange(value, draw)
    elif what == "renamed":
        state[key.replace("0", draw.choice(["7", "999", "1000000000"]), 1)] = value
    changed = copy.copy(weights)
    setattr(changed, part, state)
    return changed, f"{part}: {key} {what}"


@pytest.mark.parametrize("name", SOURCES)
def test_tensors_of_any_shape_and_type_end_with_a_sentence(name: str, tmp_path: Path) -> None:
    """The files are whole; what lies in them is not what it should be."""
    weights = gather(SOURCES[name](tmp_path / "theirs"))
    facts = Facts()
    for number in range(int(os.environ.get("HOSTILE_FILES", "2")) * (1 if name == "tfhub" else 4)):
        changed, what = with_one_strange(weights, random.Random(number))
        try:
            convert(changed, facts)
        except UserError:
            continue
        except Exception as error:
            raise AssertionError(what) from error
