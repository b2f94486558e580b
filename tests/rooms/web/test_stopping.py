"""How the server ends."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import HANGS


def test_a_second_ctrl_c_leaves_no_traceback() -> None:
    program = """
import contextlib, signal
from fastapi import FastAPI
from biggan.web.server import listen, serve

app = FastAPI()

@app.get("/")
async def stop() -> None:  # the server asks for its page when it starts
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)

with contextlib.suppress(KeyboardInterrupt):
    serve(app, listen("127.0.0.1", 0))
print("stopped")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=HANGS, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("stopped\n", "", 0)
