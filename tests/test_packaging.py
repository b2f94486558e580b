"""What people install and run around the package: containers, citation, completion, colours, wheel and sdist."""

from __future__ import annotations

import fnmatch
import os
import platform
import re
import select
import shutil
import subprocess
import sys
import time
import tomllib
import venv
from pathlib import Path

import pytest
import yaml  # comes with huggingface_hub

import biggan
from biggan.cli.commands import COMMANDS
from biggan.cli.completion import table
from biggan.cli.main import main
from tests.code_blocks import ROOT
from tests.conftest import HANGS

DOCKERFILES = sorted((ROOT / "docker").glob("*Dockerfile"))
CLEAN = "BIGGAN_CLEAN"
"""Environment variable that is ``yes`` where the wheel is to be installed with all that it needs."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile: word and rest."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(w.upper(), " ".join(r.split())) for w, _, r in (line.partition(" ") for line in joined.splitlines()) if w]


def faults(text: str, ignored: list[str]) -> list[str]:
    """Return what is wrong with a Dockerfile."""
    found = []
    users, seen = ["root"], set()
    for word, rest in instructions(text):
        seen.add(word)
        if word == "FROM":
            users = ["root"]
            if not re.search(r":\d+\.\d+(\.\d+)?[\w.-]*(@sha256:[0-9a-f]{64})?( AS \w+)?$", rest):
                found.append(f"FROM {rest} is not pinned")
        elif word == "USER":
            users.append(rest)
        elif word == "ADD":
            found.append("ADD, where COPY is meant")
        elif word == "COPY":
            for source in rest.split()[:-1]:
                if not (ROOT / source).exists():
                    found.append(f"COPY {source} is not there")
                if not any(fnmatch.fnmatch(source.removeprefix("./"), rule.removeprefix("!")) for rule in ignored):
                    found.append(f"COPY {source} is left out by .dockerignore")
        elif word == "RUN":
            for extra in re.findall(r"\[([\w,]+)\]", rest):
                if not set(extra.split(",")) <= set(PROJECT["optional-dependencies"]):
                    found.append(f"no extra {extra}")
            if "pip install" in rest and "--constraint" not in rest:
                found.append("pip without constraints")
            if "apt-get install" in rest and "rm -rf /var/lib/apt/lists" not in rest:
                found.append("lists of packages are left in the image")
        elif word == "ENV" and re.search(r"(?i)token|password|secret", rest):
            found.append("a secret in ENV")
    if users[-1] in ("root", "0"):
        found.append("runs as root")
    found += [f"no {word}" for word in ("FROM", "USER", "ENTRYPOINT", "WORKDIR") if word not in seen]
    return found + (["latest"] if "latest" in text else [])


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_dockerfiles(file: Path) -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert faults(file.read_text(), ignored) == []
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    linter = shutil.which("hadolint", path=beside)
    if linter is not None or (sys.platform, platform.machine()) == ("linux", "x86_64"):  # for others there is no wheel
        assert linter is not None, "install the extra dev again"
        done = subprocess.run([linter, str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_the_check_of_dockerfiles_can_fail() -> None:
    assert len(DOCKERFILES) == 2
    bad = "FROM python:latest\nADD x /\nCOPY nothing /\nRUN pip install .[nothing]\nENV TOKEN=1\nUSER root\n"
    text = " ".join(faults(bad, []))
    for word in ("pinned", "ADD", "not there", "left out", "no extra", "constraints", "secret", "root", "latest"):
        assert word in text


def test_citation_and_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == biggan.__version__
    assert citation["license"] == PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


def test_what_runs_at_every_push_and_at_night_is_there() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "checks.yml").read_text())["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert ".ci/run" in commands
    for command in commands:
        program, *words = command.split()
        assert program in (".ci/run", "make", "docker"), command
        assert program != "make" or words[0] in targets, command
        assert words[:1] != ["build"] or (ROOT / words[words.index("--file") + 1]).is_file(), command


def test_versions_are_pinned_for_the_site() -> None:
    pinned = (ROOT / "constraints.txt").read_text()
    assert "mkdocs-material==" in pinned
    assert "mkdocs==" in pinned


COMPLETED = {
    "biggan ev": "evaluate",
    "biggan evaluate tru": "truncation",
    "biggan train mmgen-sngan-1": "mmgen-sngan-128",
    "biggan train digits --ema.hal": "--ema.half-life",
    "biggan sample run --truncation-k": "--truncation-kind",
    "biggan train au": "auto",
    "biggan train auto --hou": "--hours",
    "biggan train digits --no-such": "",
}
"""Beginnings of commands, and what the last word of each becomes."""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_commands_presets_and_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "completion.sh"
    script.write_text(capsys.readouterr().out)
    lines = [f"source {script}"]
    for case in COMPLETED:
        words = case.split()
        lines.append(f'COMP_WORDS=({case}); COMP_CWORD={len(words) - 1}; _biggan; echo "${{COMPREPLY[*]}}"')
    done = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == list(COMPLETED.values())


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_completes_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "fish"]) == 0
    script = tmp_path / "completion.fish"
    script.write_text(capsys.readouterr().out)
    lines = [f"source {script}", *(f"complete -C '{case}'; echo ." for case in COMPLETED)]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        ["fish", "--no-config", "-c", "\n".join(lines)], capture_output=True, text=True, check=True, env=environment
    )
    found = [answer.strip().partition("\t")[0] for answer in done.stdout.split(".\n")[:-1]]
    assert found == list(COMPLETED.values())


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_completes_at_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pty

    assert main(["completion", "zsh"]) == 0
    (tmp_path / "completion.zsh").write_text(capsys.readouterr().out)
    leader, follower = pty.openpty()
    environment = {**os.environ, "HOME": str(tmp_path), "TERM": "dumb"}
    shell = subprocess.Popen(
        ["zsh", "-f", "-i"], stdin=follower, stdout=follower, stderr=follower, env=environment, cwd=tmp_path
    )
    os.close(follower)
    try:
        os.write(leader, b'source completion.zsh; biggan() { print -r -- "words:$*:" }; print -r loaded:$((6*7))\n')
        _until(leader, "loaded:42")
        for case, completed in COMPLETED.items():
            if not completed:
                continue
            os.write(leader, f"{case}\t".encode())
            _until(leader, f"{completed} ")  # the word is whole, and what follows may be typed
            os.write(leader, b"\n")
            _until(leader, f"{completed}:")
    finally:
        shell.kill()
        shell.wait()
        os.close(leader)


def _until(terminal: int, text: str) -> None:
    """Read a terminal until it has shown ``text``."""
    shown, end = "", time.monotonic() + HANGS
    while text not in shown:
        ready, _, _ = select.select([terminal], [], [], max(end - time.monotonic(), 0))
        assert ready, f"{text!r} was never shown, but {shown!r}"
        shown += os.read(terminal, 65536).decode(errors="replace")


def test_the_other_shells_know_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    known = table()
    assert known.keys() == COMMANDS.keys()
    for shell in ("zsh", "fish"):
        assert main(["completion", shell]) == 0
        text = capsys.readouterr().out
        for word in ("ema.half-life", "mmgen-sngan-128", *COMMANDS):
            assert word in text
    assert main(["completion", "tcsh"]) == 2


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_no_color_is_heeded(tmp_path: Path) -> None:
    """On a terminal help is coloured, unless NO_COLOR is set."""
    import pty

    def said(**environment: str) -> bytes:
        leader, follower = pty.openpty()
        own = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        own |= {"TERM": "xterm-256color", **environment}
        command = [sys.executable, "-m", "biggan", "info", "--help"]
        process = subprocess.Popen(command, stdout=follower, stderr=follower, env=own)
        os.close(follower)
        text = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:
                break
            if not part:
                break
            text += part
        process.wait()
        os.close(leader)
        return text

    assert b"\x1b[" in said()
    assert b"\x1b[" not in said(NO_COLOR="1")


@pytest.mark.nightly
def test_wheel_and_sdist_install_and_work(tmp_path: Path) -> None:
    """Built from a copy of what is tracked, the wheel by way of the sdist, in an environment of its own.

    The wheel with all that it needs, where that is asked for (7 GB), and the sdist there in its place; else each beside
    the packages that are here.
    """
    source = tmp_path / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no clone")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/images/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    builder = environment(tmp_path / "builder")
    run([builder, "-m", "pip", "install", "--quiet", "build"])
    run([builder, "-m", "build", "--outdir", str(tmp_path / "dist"), str(source)])
    (wheel,), (sdist,) = ((tmp_path / "dist").glob(f"*{end}") for end in (".whl", ".tar.gz"))
    assert biggan.__version__ in wheel.name
    assert biggan.__version__ in sdist.name
    clean = os.environ.get(CLEAN) == "yes"
    python = environment(tmp_path / "clean", site=not clean)
    for archive in (wheel, sdist):
        whole = clean and archive is wheel
        how = ["--constraint", str(ROOT / "constraints.txt")] if whole else ["--no-deps", "--force-reinstall"]
        run([python, "-m", "pip", "install", "--quiet", *how, str(archive)])
        script = str(Path(python).with_name("biggan"))
        own = {**os.environ, "PYTHONPATH": ""}
        where = run([python, "-c", "import biggan; print(biggan.__file__)"], cwd=tmp_path, env=own)
        assert str(tmp_path) in where, "the installed one, not that of the sources"
        assert run([script, "--version"], cwd=tmp_path, env=own).strip() == biggan.__version__
        assert "biggan train" in run([script, "migrate", "python train.py --dataset C10"], cwd=tmp_path, env=own)
        assert "all is well" in run([script, "doctor", "--offline", "--seconds", "0.1"], cwd=tmp_path, env=own)
        assert "huggingface-biggan-deep-128" in run([script, "pull"], cwd=tmp_path, env=own)


def environment(folder: Path, *, site: bool = False) -> str:
    """Make an environment; return its Python. With ``site`` it sees the packages of this one, and not ours."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if site:
        import numpy

        place = run([str(python), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]).strip()
        (Path(place) / "here.pth").write_text(str(Path(numpy.__file__).parents[1]))
    return str(python)


def run(command: list[str], **options: object) -> str:
    """Run a command to its end; return what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)
