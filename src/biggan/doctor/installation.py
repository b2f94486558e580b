"""Versions: of Python, of this package, of what it needs and of what its extras need. Imports nothing heavy."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import re
import sys

from biggan.doctor.finding import Finding
from biggan.version import __version__

DISTRIBUTION = "biggan-torch"
OLDEST_PYTHON = (3, 11)
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:>=\s*([\d.]+))?[^;]*(?:;.*\bextra\s*==\s*[\"']([^\"']+)[\"'])?")
_NOT_FOR_USERS = ("browser", "dev", "docs")


def check_python() -> Finding:
    """Whether this Python is new enough."""
    text = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return Finding("python", "broken", f"{text}: {oldest} or newer is needed; make a new environment with it")
    return Finding("python", "ok", text)


def check_packages() -> Finding:
    """Whether all that it needs is there, new enough, and can be imported."""
    wrong, torch = [], "torch"
    needs = requirements()
    for name, least in needs.get("", {}).items():
        version = version_of(name)
        if version is None:
            wrong.append(f"{name} is missing")
        elif least and numbers(version) < numbers(least):
            wrong.append(f"{name} {version} is older than {least}")
    for module in ("numpy", "torch", "safetensors", "h5py", "PIL", "sklearn", "scipy", "pydantic", "tyro"):
        try:
            importlib.import_module(module)
        except Exception as error:  # a broken library raises whatever it likes
            wrong.append(f"{module} cannot be imported ({type(error).__name__})")
    if wrong:
        return Finding("packages", "broken", f"{', '.join(wrong)}; pip install --upgrade {DISTRIBUTION}")
    text = f"biggan {__version__}, " + ", ".join(f"{name} {version_of(name)}" for name in (torch, "numpy"))
    if not needs:
        text += f" (run from its sources: {DISTRIBUTION} itself is not installed)"
    return Finding("packages", "ok", text)


def check_torchvision() -> Finding:
    """Whether torchvision belongs to this torch: of another one its operators are missing."""
    import torch

    try:
        from torchvision.ops import nms

        nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
    except Exception as error:
        return Finding(
            "torchvision",
            "warning",
            f"{version_of('torchvision')} does not work with torch {torch.__version__} ({type(error).__name__}): JPEG "
            "files are decoded more slowly, metrics of its networks fail; pip install --upgrade torch torchvision",
        )
    return Finding("torchvision", "ok", f"{version_of('torchvision')} works with torch {torch.__version__}")


def check_extras() -> Finding:
    """Which optional parts are there; none of them is needed for training."""
    there, old, missing = [], [], []
    for extra, needs in requirements().items():
        if not extra or extra in _NOT_FOR_USERS:
            continue
        versions = {name: version_of(name) for name in needs}
        if None in versions.values():
            missing.append(extra)
        elif any(least and numbers(versions[name] or "") < numbers(least) for name, least in needs.items()):
            old.append(extra)
        else:
            there.append(extra)
    text = f"there: {', '.join(there) or 'none'}"
    if missing:
        text += f"; not there: {', '.join(missing)} (pip install '{DISTRIBUTION}[{','.join(missing)}]')"
    if old:
        fix = f"pip install --upgrade '{DISTRIBUTION}[{','.join(old)}]'"
        return Finding("extras", "warning", f"{text}; too old: {', '.join(old)}; {fix}")
    return Finding("extras", "ok", text)


def requirements() -> dict[str, dict[str, str]]:
    """Return the least version of each package that is needed, by extra ("" for what always is)."""
    try:
        lines = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    found: dict[str, dict[str, str]] = {"": {}}
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match and match[1] != DISTRIBUTION:
            found.setdefault(match[3] or "", {})[match[1]] = match[2] or ""
    return found


def version_of(name: str) -> str | None:
    """Return the version of an installed package, None if there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def numbers(version: str) -> tuple[int, ...]:
    """Return a version as what can be compared: (2, 10) for 2.10.0rc1+cpu, without zeros at its end."""
    match = re.match(r"\d+(\.\d+)*", version)
    parts = [int(part) for part in match[0].split(".")] if match else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)
