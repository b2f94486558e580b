"""Pages, and parts of pages, that are made of what the package says of itself: ``python -m tests.generated_pages``."""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
import types
from collections.abc import Callable

from biggan.migration.table import SCRIPTS, Option, options, shell_scripts
from tests.code_blocks import ROOT

DOCS = ROOT / "docs"
API = {
    "Sampling": ("biggan:load", "biggan:from_pretrained", "biggan.sampling.sampler:Sampler"),
    "Networks": (
        "biggan.models.architecture:architecture",
        "biggan.models.architecture:Architecture",
        "biggan.models.contract:build",
        "biggan.models.export_file:read_export",
        "biggan.models.snapshot:read_info",
    ),
    "Training": (
        "biggan.training.setup:train",
        "biggan.training.configuration:TrainingConfig",
        "biggan.presets.registry:get_preset",
        "biggan.training.step:train_step",
        "biggan.losses.terms:Term",
    ),
    "Data": ("biggan.data.opening:open_source", "biggan.data.contract:ImageSource"),
    "Evaluation": ("biggan.evaluation.evaluate:evaluate",),
    "Weights of others": ("biggan.convert.gathering:gather", "biggan.convert.importing:convert"),
    "Migration": ("biggan.migration.migrate:migrate",),
}
"""What is meant to be called, by heading."""


def option_table() -> str:
    """Return the table of every option of BigGAN-PyTorch's programs."""
    lines = []
    for script in SCRIPTS:
        lines += [f"### `{script}`", ""]
        if script == "sample.py":
            lines += ["What `train.py` has, and:", ""]
        lines += ["| option | default | here | |", "|---|---|---|---|"]
        lines += [_row(option) for option in options(script) if option.script == script]
        lines.append("")
    return "\n".join(lines).rstrip()


def _row(option: Option) -> str:
    default = "" if option.flag else f"`{option.default}`" if option.default != "" else "empty"
    ours = option.ours
    if ours.startswith("--") or ours == "SRC":
        ours = " ".join(f"`{word}`" for word in ours.split())
    elif ours:
        ours = f"`{ours}`"
    return f"| `--{option.name}` | {default} | {ours or 'no counterpart'} | {option.note} |"


def script_table() -> str:
    """Return the table of its shell scripts."""
    lines = ["| script | here |", "|---|---|"]
    for name, ours in shell_scripts().items():
        path = name if name.endswith(".py") else f"scripts/{name}"
        lines.append(f"| `{path}` | {f'`{ours}`' if ours.startswith('biggan train') else ours} |")
    return "\n".join(lines)


def api() -> str:
    """Return the reference of what is meant to be called, from signatures and docstrings."""
    lines = []
    for heading, names in API.items():
        lines += [f"## {heading}", ""]
        for name in names:
            module, _, attribute = name.partition(":")
            thing = getattr(importlib.import_module(module), attribute)
            lines += [f"### `{attribute}`", "", f"From `{module}`.", "", *_documented(thing), ""]
            if inspect.isclass(thing):
                for member, function in vars(thing).items():
                    if not member.startswith("_") and isinstance(function, types.FunctionType | property):
                        of = function.fget if isinstance(function, property) else function
                        if of is not None and of.__doc__:
                            lines += [f"#### `{attribute}.{member}`", "", *_documented(of), ""]
    return "\n".join(lines).rstrip()


def _documented(thing: object) -> list[str]:
    text = inspect.getdoc(thing) or ""
    text = re.sub(r":(?:func|class|data|mod|meth):`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text).replace("``", "`")
    head, *rest = re.split(r"^(Args|Returns|Raises|Attributes|Yields|Example|Note):$", text, flags=re.M)
    lines = [f"`{_signature(thing)}`", ""] if callable(thing) and not _is_long(thing) else []
    lines += [_escaped(head.strip())]
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        lines += ["", f"{title}:", ""]
        if title == "Example":
            lines += ["```", textwrap.dedent(body).strip(), "```"]
            continue
        entries = re.split(r"\n(?=\S)", textwrap.dedent(body.strip("\n")).strip())
        lines += [f"- {_escaped(' '.join(entry.split()))}" for entry in entries]
    return lines


def _is_long(thing: object) -> bool:
    return inspect.isclass(thing) and len(inspect.signature(thing).parameters) > 8


def _signature(thing: object) -> str:
    signature = inspect.signature(thing)  # type: ignore[arg-type]  # callable, by the caller
    shown = [p.replace(annotation=inspect.Parameter.empty) for n, p in signature.parameters.items() if n != "self"]
    name = getattr(thing, "__name__", "")
    text = str(signature.replace(parameters=shown, return_annotation=inspect.Signature.empty))
    return name + re.sub(r"<[^<>]*(?:<[^<>]*>)?[^<>]*>", "...", text)


def _escaped(text: str) -> str:
    return re.sub(r"(?<![`\w])([<>])", lambda match: {"<": "&lt;", ">": "&gt;"}[match[1]], text)


PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "coming_from_biggan_pytorch.md": {"options": option_table, "scripts": script_table},
    "api.md": {"api": api},
}
"""Parts of pages, by the word of their marks: ``<!-- begin WORD -->`` and ``<!-- end WORD -->``."""


def made(page: str) -> str:
    """Return a page with its generated parts as they should be."""
    text = (DOCS / page).read_text("utf-8")
    for word, make in PARTS[page].items():
        begin, end = f"<!-- begin {word}: python -m tests.generated_pages -->", f"<!-- end {word} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        assert found, f"{page} has no place for {word}"
        text = f"{before}{begin}\n\n{make()}\n\n{end}{after}"
    return text


if __name__ == "__main__":
    for page in PARTS:
        (DOCS / page).write_text(made(page), "utf-8")
