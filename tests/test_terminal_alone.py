"""Nothing reaches a terminal but through one module, which lets no control character pass."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "biggan"
ALONE = SOURCE / "foundation" / "terminal.py"
FILES = [path for path in sorted(SOURCE.rglob("*.py")) if path != ALONE]
WRITERS = ("print", "sys.stdout.write", "sys.stderr.write", "tqdm.write", "tqdm.tqdm.write", "traceback.print_exc")


def complaints(text: str) -> list[str]:
    """Return the calls in a module that print past the one place, and descriptions of bars that are not cleaned."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name in WRITERS or name.endswith(".print_exception"):
            found.append(f"line {node.lineno}: {name}")
        if name.split(".")[-1] in ("tqdm", "set_description", "set_description_str", "set_postfix_str"):
            texts = [k.value for k in node.keywords if k.arg in ("desc", "postfix", "unit")]
            texts += node.args[:1] if name.split(".")[-1].startswith("set_") else []
            for value in texts:
                clean = isinstance(value, ast.Call) and ast.unparse(value.func) in ("one_line", "printable")
                if not (isinstance(value, ast.Constant) or clean or ast.unparse(value) == "unit"):
                    found.append(f"line {node.lineno}: the text of a bar is not cleaned")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_one_module_prints(path: Path) -> None:
    assert not complaints(path.read_text())


def test_what_would_be_found() -> None:
    assert complaints("print(1)")
    assert complaints("tqdm.write(x)")
    assert complaints("bar = tqdm(x, desc=path.name)")
    assert not complaints("bar = tqdm(x, desc=one_line(path.name), unit='img')")
