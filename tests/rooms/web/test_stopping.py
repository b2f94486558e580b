"""What the server says in a terminal, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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


@pytest.mark.skipif(os.name != "posix", reason="this system has no terminals that can be opened")
def test_what_goes_wrong_is_told_in_a_terminal_without_colour() -> None:
    program = """
import contextlib, signal
from fastapi import FastAPI
from biggan.web.server import listen, serve

app = FastAPI()

@app.get("/")
async def fail() -> None:  # the server asks for its page when it starts
    signal.raise_signal(signal.SIGINT)
    raise ZeroDivisionError

with contextlib.suppress(KeyboardInterrupt):
    serve(app, listen("127.0.0.1", 0))
"""
    import pty

    leader, follower = pty.openpty()
    own = os.environ | {"NO_COLOR": "1"}
    process = subprocess.Popen([sys.executable, "-c", program], stdout=follower, stderr=follower, env=own)
    os.close(follower)
    told = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # nobody writes any more
            break
        if not part:
            break
        told += part
    os.close(leader)
    assert process.wait(HANGS) == 0
    assert b"ZeroDivisionError" in told
    assert b"\x1b" not in told
