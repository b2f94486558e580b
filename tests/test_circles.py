"""No module needs itself to be understood: imports never run in a circle, late ones inside functions included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every node but those that only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if is_for_types(node):
            continue
        yield node
        yield from statements(node)


def imports(tree: ast.AST, known: frozenset[str]) -> set[str]:
    """Return the modules of ``known`` that a module imports; ``from package import module`` means the module."""
    found = set()
    for node in statements(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written out"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in known else node.module or "")
    return found & known


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return modules each of which imports the next, the last the first; empty if there are none."""
    done: set[str] = set()

    def search(module: str, path: list[str]) -> list[str]:
        if module in path:
            return path[path.index(module) :]
        if module in done:
            return []
        for other in sorted(graph[module]):
            if found := search(other, [*path, module]):
                return found
        done.add(module)
        return []

    return next((found for module in sorted(graph) if (found := search(module, []))), [])


def graph_of(sources: dict[str, str]) -> dict[str, set[str]]:
    known = frozenset(sources)
    return {name: imports(ast.parse(text), known) for name, text in sources.items()}


def test_imports_run_in_no_circle() -> None:
    graph = graph_of({module_name(path): path.read_text() for path in SOURCE.rglob("*.py")})
    assert len(graph) > 100
    assert not circle(graph), " -> ".join(circle(graph))


def test_late_imports_count_and_those_for_types_do_not() -> None:
    sources = {
        "p": "",
        "p.a": "from p import b",
        "p.b": "def f():\n    import p.c",
        "p.c": "if TYPE_CHECKING:\n    from p.a import A",
    }
    assert circle(graph_of(sources)) == []
    assert circle(graph_of(sources | {"p.c": "try:\n    from p.a import A\nexcept ImportError: pass"})) == [
        "p.a",
        "p.b",
        "p.c",
    ]
