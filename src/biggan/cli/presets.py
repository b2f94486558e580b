"""``biggan presets``: what recipes there are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

import tyro

from biggan.cli.parsing import read_options
from biggan.foundation.terminal import say
from biggan.presets.registry import PRESETS, get_preset

AUTO_FACTS = {
    "hardware and time": "whatever there is; --hours says how long",
    "figure": "ten minutes on 2 CPU cores, 32 px, three seeds: Fréchet distance by a classifier 0.18 on digits, 9.2 on "
    "drawn shapes, 0.082 on photographs (digits preset 1.38, 45.8, 0.71)",
}
"""What stands beside every preset, for none: measured by benchmarks/auto.py."""


@dataclass(frozen=True, kw_only=True)
class PresetsOptions:
    """List recipes with their hardware, time and published figure; or tell all of one."""

    name: Annotated[str | None, tyro.conf.Positional] = None
    """One of them."""
    json: bool = False
    """Print a line of JSON for each."""


def main(words: list[str]) -> int:
    """List them."""
    options = read_options(PresetsOptions, words, "biggan presets")
    names = list(PRESETS) if options.name is None else [options.name]
    found = [get_preset(name) for name in names]
    if options.json:
        for each in found:
            say(json.dumps({"name": each.name, "title": each.title, **each.facts}))
        return 0
    if options.name is not None:
        say(found[0].description)
        return 0
    say("auto\n    biggan train --data FOLDER: chooses all of it by your images and this machine, and says why")
    for what, told in AUTO_FACTS.items():
        say(f"    {what}: {told}")
    for each in found:
        say(f"{each.name}\n    {each.title}")
        for what, told in each.facts.items():
            say(f"    {what}: {told}")
    return 0
