"""From an architecture to the stages of its networks: channels, sizes, where they halve, where attention is.

Imports no torch.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biggan.foundation.errors import UserError
from biggan.models.family import FAMILIES

if TYPE_CHECKING:
    from biggan.models.architecture import Architecture


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One resolution step of a network; ``height`` and ``width`` are those of its output."""

    in_channels: int
    out_channels: int
    resample: bool
    height: int
    width: int
    attention: bool = False


def generator_stages(architecture: Architecture) -> tuple[Stage, ...]:
    """Return the stages of G, bottom first.

    Raises:
        UserError: an attention stage that does not occur, or channels that do not fit.
    """
    (height, width), (h0, w0) = architecture.resolution, architecture.grid
    widths = architecture.generator_channels or tuple(
        architecture.generator_width * multiplier
        for multiplier in FAMILIES[architecture.family].generator_multipliers(architecture.doublings)
    )
    if len(widths) != architecture.doublings + 1:
        raise UserError(
            f"--model.generator-channels: {len(widths)} given, but {height}x{width} on a {h0}x{w0} grid needs "
            f"{architecture.doublings + 1}"
        )
    stages = [
        Stage(
            in_channels=widths[i],
            out_channels=widths[i + 1],
            resample=True,
            height=h0 << (i + 1),
            width=w0 << (i + 1),
        )
        for i in range(architecture.doublings)
    ]
    return _with_attention(stages, architecture.generator_attention, "generator")


def discriminator_stages(architecture: Architecture) -> tuple[Stage, ...]:
    """Return the stages of D, image first.

    Raises:
        UserError: an attention stage that does not occur, or channels that do not fit.
    """
    family = FAMILIES[architecture.family]
    multipliers, pattern = family.discriminator_plan(architecture.doublings)
    widths = architecture.discriminator_channels or tuple(architecture.discriminator_width * m for m in multipliers)
    downsampling = architecture.discriminator_downsampling or pattern
    if family.discriminator_stem:
        inputs, outputs = widths[:-1], widths[1:]
    else:
        inputs, outputs = (architecture.channels, *widths[:-1]), widths
    if len(outputs) != len(downsampling):
        raise UserError(
            f"--model.discriminator-channels names {len(outputs)} stages, "
            f"--model.discriminator-downsampling {len(downsampling)}"
        )
    stages, halvings = [], 0
    for width_in, width_out, wanted in zip(inputs, outputs, downsampling, strict=True):
        possible = all(side % (2 << halvings) == 0 for side in architecture.resolution)
        if wanted and not possible and architecture.discriminator_downsampling:
            raise UserError(
                f"--model.discriminator-downsampling halves {sum(downsampling)} times; "
                f"{architecture.resolution[0]}x{architecture.resolution[1]} can be halved {halvings} times"
            )
        halve = wanted and possible
        halvings += halve
        stages.append(
            Stage(
                in_channels=width_in,
                out_channels=width_out,
                resample=halve,
                height=architecture.resolution[0] >> halvings,
                width=architecture.resolution[1] >> halvings,
            )
        )
    return _with_attention(stages, architecture.discriminator_attention, "discriminator")


def _with_attention(stages: list[Stage], wanted: tuple[str, ...], network: str) -> tuple[Stage, ...]:
    """Switch attention on after the stages that ``wanted`` names."""
    chosen: set[int] = set()
    for word in wanted:
        hits = {i for i, stage in enumerate(stages) if word in _stage_names(i, stage)}
        if not hits:
            sizes = dict.fromkeys(f"{s.height}x{s.width}" for s in stages)
            raise UserError(
                f"--model.{network}-attention {word}: no stage of this {network} has that output; "
                f"its stages give {', '.join(sizes)} (or name one as stage:0 to stage:{len(stages) - 1})"
            )
        chosen |= hits
    return tuple(dataclasses.replace(stage, attention=i in chosen) for i, stage in enumerate(stages))


def _stage_names(index: int, stage: Stage) -> set[str]:
    """Return the words that mean this stage; a plain number is the longer side of its output."""
    return {f"stage:{index}", f"{stage.height}x{stage.width}", str(max(stage.height, stage.width))}
