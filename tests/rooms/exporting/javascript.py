"""The page's JavaScript under Node, as functions of JSON."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from biggan.exporting.page_folder import SOURCES

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no Node here, which runs the page's JavaScript")


def under_node(expression: str, value: Any) -> Any:
    """Return, as JSON, what an expression promises in which ``given`` is ``value``.

    ``L`` is latents.js there, ``S`` state.js, ``P`` png.js.
    """
    latents, state, png = (json.dumps(str(SOURCES / name)) for name in ("latents.js", "state.js", "png.js"))
    code = (
        f"const L = require({latents}), S = require({state}), P = require({png});"
        "const given = JSON.parse(require('fs').readFileSync(0));"
        f"(async () => process.stdout.write(JSON.stringify(await ({expression}))))();"
    )
    done = subprocess.run(
        [NODE or "node", "-e", code], input=json.dumps(value), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
