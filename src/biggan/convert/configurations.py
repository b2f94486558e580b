"""The configuration that lies beside foreign weights, as plain values, however it was written down."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from biggan.convert.reading import Content
from biggan.foundation.records import read_plain
from biggan.foundation.torch_files import CLASS

_LONGEST = 2**20


def options_in(contents: Mapping[str, Content], files: Sequence[Path]) -> tuple[dict[str, Any], int | None]:
    """Return options and the number of updates of G, where files tell.

    Args:
        contents: what was read, by role.
        files: all files; the JSON ones among them are read.

    Raises:
        UserError: a JSON file that is damaged.
    """
    options: dict[str, Any] = {}
    iterations: int | None = None
    for content in contents.values():
        config = content.values.get("config")
        if isinstance(config, Mapping):
            options |= {str(key): plain(value) for key, value in config.items()}
        meta = content.values.get("meta")
        if isinstance(meta, Mapping):
            if isinstance(meta.get("config"), str):
                options |= model_in(meta["config"])
            iterations = _count(meta.get("iter"), iterations)
        for key in ("itr", "step"):
            iterations = _count(content.values.get(key), iterations)
    for file in files:
        if file.suffix == ".json":
            found = read_plain(file)
            if isinstance(found, dict):
                options |= found
    return options, iterations


def _count(value: Any, otherwise: int | None) -> int | None:
    return value if type(value) is int and 0 <= value < 2**53 else otherwise


def plain(value: Any) -> Any:
    """Return a stored value as a plain one: arrays of one number as that, activations by how they work, else None."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping) and CLASS in value:
        return "inplace_relu" if value.get("inplace") is True else "relu"
    if isinstance(value, list | tuple) and len(value) < 1000:
        return [plain(one) for one in value]
    return None


def model_in(text: str) -> dict[str, Any]:
    """Return ``generator`` and ``discriminator`` of a configuration that is written as Python; nothing of it is run.

    Only assignments of plain values and of ``dict(...)`` of such are understood; of what is more, nothing is returned.
    """
    try:
        if len(text) > _LONGEST:
            return {}
        body = ast.parse(text).body
        for statement in body:
            if isinstance(statement, ast.Assign) and [getattr(one, "id", "") for one in statement.targets] == ["model"]:
                model = _value(statement.value)
                json.dumps(model, allow_nan=False)
                return {
                    part: model[part] for part in ("generator", "discriminator") if isinstance(model.get(part), dict)
                }
    except (SyntaxError, ValueError, RecursionError, MemoryError, TypeError, AttributeError):
        return {}
    return {}


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
        return {word.arg: _value(word.value) for word in node.keywords if word.arg is not None}
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(one) for one in node.elts]
    return ast.literal_eval(node)
