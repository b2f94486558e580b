"""The house: a module imports from its own room, from rooms below, and from nowhere else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "biggan"

FLOORS = {
    "foundation": 0,
    "version": 0,
    "augmentation": 1,
    "layers": 1,
    "losses": 1,
    "models": 2,
    "data": 2,
    "sampling": 3,
    "metrics": 3,
    "convert": 3,
    "training": 4,
    "exploring": 3.5,  # moves about in what sampling draws; the command and a page show it
    "evaluation": 3.5,  # judges what sampling draws by metrics, against data; training's hooks call it
    "report": 4,
    "hub": 4,  # gives away what sampling draws, with the numbers of evaluation; training knows nothing of it
    "exporting": 4.5,  # writes what training has saved, in the formats of others
    "web": 4.5,  # shows what sampling draws, exploring moves and report reads, to a browser
    "presets": 4.5,  # beside: needs the configuration of training, and only the edges need it
    "migration": 4.75,  # what people know from elsewhere, in our options and presets
    "doctor": 4.75,  # tries what training and sampling do
    "cli": 5,
    "__init__": 5.5,
    "__main__": 6,
}
# Rooms of one floor that may see each other, one way: said here or not at all.
SAME_FLOOR = {
    ("losses", "augmentation"),  # terms put it before D
    ("losses", "layers"),  # the orthogonal penalty pins precision as the layers do
    ("foundation", "version"),  # ranks tell each other which they have
    ("metrics", "sampling"),  # a judge draws its samples
}
FILES = sorted(SOURCE.rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else path.stem


def imports(path: Path) -> set[str]:
    """Return the dotted names that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_module_looks_up(path: Path) -> None:
    own = room(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "biggan":
            continue
        other = parts[1] if parts[1] in FLOORS else "__init__"
        allowed = own == other or FLOORS[other] < FLOORS[own] or (own, other) in SAME_FLOOR
        assert allowed, f"{own} (floor {FLOORS[own]}) imports {name} (floor {FLOORS[other]})"


def test_every_room_has_a_floor() -> None:
    assert {room(path) for path in FILES} <= FLOORS.keys()


def test_only_one_module_talks_to_other_processes() -> None:
    users = [path for path in FILES if any(name.startswith("torch.distributed") for name in imports(path))]
    assert [path.name for path in users] == ["distributed.py"]


def test_layers_and_losses_know_no_files_and_no_ranks() -> None:
    for path in FILES:
        if room(path) in ("layers", "losses"):
            wrong = {n for n in imports(path) if n.split(".")[0] in ("pathlib", "os", "json", "logging", "tqdm")}
            assert not wrong, (path, wrong)


def test_only_the_step_is_one_screen() -> None:
    """The training step: at most 45 lines from its signature to its end."""
    tree = ast.parse((SOURCE / "training" / "step.py").read_text())
    step = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "train_step")
    assert step.end_lineno is not None
    assert step.end_lineno - step.lineno + 1 <= 45


def test_no_pickle_is_ever_opened() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                assert "pickle" not in names
                assert getattr(node, "module", "") != "pickle"
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords), path


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_names_explain_themselves(path: Path) -> None:
    assert path.stem not in ("utils", "misc", "helpers", "common", "util")
    assert len(path.read_text().splitlines()) <= 450, "over 300 lines is a question; over 450 an answer"
