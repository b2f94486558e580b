"""Named differences from the reference implementation: each switch is one of its defects or habits.

Ours is right by default. A switch of kind ``network`` changes what a network computes and is stored in the
architecture; one of kind ``training`` changes how weights come about and is stored in the training configuration.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from biggan.foundation.errors import unknown


class Switch(NamedTuple):
    """One named difference."""

    kind: Literal["network", "training"]
    meaning: str


OUTPUT_NORM_EPS = "output-norm-eps-1e-5"
BIASED_NORM = "biased-accumulating-norm"
OUTPUT_NORM_BATCH = "output-norm-always-batch"
RUNNING_INSTANCE_NORM = "instance-norm-running-statistics"
EMA_ALL_BUFFERS = "ema-averages-all-buffers"
HALF_ORTHOGONAL = "half-orthogonal-gradient"

SWITCHES: dict[str, Switch] = {
    OUTPUT_NORM_EPS: Switch("network", "the generator's last normalisation uses eps 1e-5 whatever eps is asked for"),
    BIASED_NORM: Switch(
        "network",
        "batch norm computes the variance as E[x^2] - E[x]^2, in float32, and stores it without Bessel's correction",
    ),
    OUTPUT_NORM_BATCH: Switch(
        "network", "the generator's last normalisation is a batch norm whatever normalisation is asked for"
    ),
    RUNNING_INSTANCE_NORM: Switch(
        "network",
        "instance norm keeps running statistics and uses them in place of the instance's in eval mode",
    ),
    EMA_ALL_BUFFERS: Switch(
        "training", "the moving average also averages spectral-norm vectors and logged singular values"
    ),
    HALF_ORTHOGONAL: Switch("training", "orthogonal regularisation applies half the gradient of its penalty"),
}

ALL = "biggan-pytorch"


def expand(names: tuple[str, ...], kind: Literal["network", "training"] | None = None) -> tuple[str, ...]:
    """Return the switches that ``names`` stand for (``biggan-pytorch`` means all), of one ``kind`` if given.

    Raises:
        UserError: an unknown name, with the nearest known ones.
    """
    chosen: list[str] = []
    for name in names:
        if name != ALL and name not in SWITCHES:
            raise unknown("compatibility switch", name, [*SWITCHES, ALL])
        chosen += list(SWITCHES) if name == ALL else [name]
    return tuple(name for name in SWITCHES if name in chosen and (kind is None or SWITCHES[name].kind == kind))
