"""Windows and macOS, as far as they can be played on another system: no POSIX, processes by spawn."""

from __future__ import annotations

import ast
import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.code_blocks import ROOT

SOURCE = ROOT / "src" / "biggan"
MODULES = ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty")
OF_OS = (
    *("fork", "forkpty", "geteuid", "getgid", "getloadavg", "getuid", "killpg", "mkfifo", "posix_fallocate"),
    *("sched_getaffinity", "sched_setaffinity", "setsid", "statvfs", "sysconf", "O_DIRECTORY", "O_NOFOLLOW"),
    "O_NONBLOCK",
)
OF_SIGNAL = ("SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGSTOP", "SIGUSR1", "SIGUSR2", "setitimer")
WINDOWS = f"""
import importlib, importlib.abc, multiprocessing, os, pkgutil, signal, sys
import torch, torchvision, numpy, scipy.linalg, sklearn.svm, sklearn.datasets, h5py, PIL.Image, pydantic, tyro, tqdm
import safetensors.torch, xxhash, torch.distributed.run, torch.utils.data, multiprocessing.managers
try:
    import gradio  # asks for the system's name before it asks for termios, which cannot be played here
except ImportError:
    pass

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {MODULES!r} and sys._getframe(1):
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)

sys.meta_path.insert(0, Missing())
for name in {MODULES!r}:
    sys.modules.pop(name, None)
for name in {tuple(name for name in OF_OS if name != "statvfs")!r}:  # by which Python itself sees the disk here
    if hasattr(os, name):
        delattr(os, name)
for name in {OF_SIGNAL!r}:
    if hasattr(signal, name):
        delattr(signal, name)
"""


@functools.cache
def trees() -> dict[Path, ast.Module]:
    """Return every module of the package, parsed."""
    return {path: ast.parse(path.read_text("utf-8")) for path in SOURCE.rglob("*.py")}


def posix_names(tree: ast.AST) -> list[str]:
    """Return what only POSIX has and what is used where nothing asks first whether it is there."""
    asking = [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.If | ast.IfExp) and "hasattr" in ast.unparse(node.test))
        or (isinstance(node, ast.Try) and any("AttributeError" in ast.unparse(h) for h in node.handlers))
        or (isinstance(node, ast.Try) and any("ImportError" in ast.unparse(h) for h in node.handlers))
    ]
    guarded = {id(inner) for node in asking for inner in ast.walk(node)}
    found = []
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            found.append(node.module)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names = {"os": OF_OS, "signal": OF_SIGNAL}.get(node.value.id, ())
            found += [f"{node.value.id}.{node.attr}"] if node.attr in names else []
    return found


def test_nothing_asks_for_what_only_posix_has() -> None:
    found = {path.name: names for path, tree in trees().items() if (names := posix_names(tree))}
    assert found == {}
    assert set(posix_names(ast.parse("import fcntl\nos.fork()\nsignal.SIGKILL"))) == {
        "fcntl",
        "os.fork",
        "signal.SIGKILL",
    }


def test_no_shell_is_called() -> None:
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in ("os.system", "os.popen"), path
                assert not any(k.arg == "shell" and ast.unparse(k.value) == "True" for k in node.keywords), path


def played(script: str, folder: Path, *words: str) -> str:
    """Run a script in a process of its own."""
    file = folder / "script.py"
    file.write_text(script)
    own = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(file), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=own,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.nightly
def test_every_module_is_imported_and_a_run_made_without_posix(tmp_path: Path) -> None:
    script = (
        WINDOWS
        + """
import biggan
failed = {}
for module in pkgutil.walk_packages(biggan.__path__, "biggan."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except Exception as error:
            failed[module.name] = repr(error)
assert not failed, failed
from biggan.cli.main import main
status = main(["doctor", "--offline", "--device", "cpu", "--seconds", "0.1"])
raise SystemExit(status)
"""
    )
    assert "ok       training" in played(script, tmp_path)


@pytest.mark.nightly
def test_processes_are_started_by_spawn(tmp_path: Path, make_folder: object) -> None:
    """Packing by two processes, and training from files that a worker decodes, as on Windows and macOS."""
    make_folder({"a": 12, "b": 12})  # type: ignore[operator]
    source = next(path for path in tmp_path.iterdir() if path.is_dir())
    script = """
import multiprocessing, sys
from biggan.cli.main import main
if __name__ == "__main__":
    multiprocessing.set_start_method("spawn", force=True)
    raise SystemExit(main(sys.argv[1:]))
"""
    packed = str(tmp_path / "packed.hdf5")
    played(script, tmp_path, "data", "prepare", str(source), packed, "--resolution", "16", "--workers", "2")
    small = "--model.generator-width 4 --model.discriminator-width 4 --model.latent-size 16 --batch 8 --duration 32"
    for data, run in ((packed, "one"), (str(source), "two")):
        words = ["train", "digits", "--data", data, "--data.workers", "1", "--run-dir", run, *small.split()]
        played(script, tmp_path, *words)
        assert list((tmp_path / run / "snapshots").glob("*.safetensors"))
