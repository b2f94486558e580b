"""What the documents say is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from biggan.cli.commands import COMMANDS
from biggan.foundation.compatibility import SWITCHES
from biggan.presets.registry import PRESETS
from biggan.sampling.latents import TRUNCATION_KINDS
from biggan.training.setup import train
from tests.conftest import tiny_config
from tests.rooms.training.test_run import final_state

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def test_the_step_of_ones_own_runs_and_resumes(tmp_path: Path) -> None:
    (example,) = [code for code in blocks(ROOT / "docs" / "own_step.md", "python") if "def step(" in code]
    file = tmp_path / "vae_gan.py"
    file.write_text(example)
    for name, durations in (("whole", [320]), ("half", [160, 320])):
        for duration in durations:
            train(tiny_config(tmp_path / name, duration=duration, batch=16, step=f"{file}:step"), "digits")
    whole, half = final_state(tmp_path / "whole"), final_state(tmp_path / "half")
    assert all(bool((whole[name] == half[name]).all()) for name in whole)
    assert "encoder/linear.weight" in whole
    stats = (tmp_path / "whole" / "stats.jsonl").read_text().splitlines()
    import json

    first, last = json.loads(stats[0]), json.loads(stats[-1])
    assert last["pixels"] < first["pixels"], "it learns to paint what it saw"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    from torch.distributed.run import get_args_parser

    from biggan.cli.option_names import kinds, options_of
    from biggan.migration.table import SCRIPTS, options

    known = {word for action in get_args_parser()._actions for word in action.option_strings} | {"--help", "--version"}
    known = known.union(*(options_of(command) for command in kinds()))
    if page.name == "coming_from_biggan_pytorch.md":
        known |= {f"--{option.name}" for script in SCRIPTS for option in options(script)}
    if page.name == "coming_from_others.md":
        known |= {"--truncation_factor", "--freezeD"}  # of StudioGAN
    for script in (ROOT / "benchmarks").glob("*.py"):
        known |= set(re.findall(r'add_argument\("(--[a-z-]+)"', script.read_text()))
    groups = {option[:place] for option in known for place in range(len(option)) if option[place] == "."}
    text = re.sub(r"^docker .*$", "", page.read_text(), flags=re.MULTILINE)
    for command in re.findall(r"^biggan (\S+)", text, re.MULTILINE):
        assert command in COMMANDS, command
    for preset in re.findall(r"biggan train ([a-z0-9][a-z0-9-]*)", text):
        assert preset in PRESETS or preset == "auto", preset
    for option in re.findall(r"(?<![\w-])--[a-zA-Z][\w.-]*\w", text):
        assert option in known or option.removesuffix(".NAME") in groups, option


def test_tables_are_complete() -> None:
    training, sampling = (ROOT / "docs" / f"{name}.md" for name in ("training", "sampling"))
    for switch in SWITCHES:
        assert f"`{switch}`" in training.read_text()
    for kind in TRUNCATION_KINDS:
        assert f"`{kind}`" in sampling.read_text()


def test_the_project_speaks_only_of_itself() -> None:
    for path in [*PAGES, *(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), ROOT / "constraints.txt"]:
        if path == Path(__file__):
            continue
        text = path.read_text()
        for word in ("/work/", "../shared", "pypi.org", "files.pythonhosted"):
            assert word not in text, f"{path} says {word}"
