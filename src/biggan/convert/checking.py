"""What a conversion must not pass over in silence: keys left over, tensors missing, statistics that are none."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from biggan.foundation.errors import UserError

SHOWN = 12
RAW = "G itself: "
"""Before keys of G where its average lies beside it."""


def _named(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _meant(name: str, patterns: Sequence[str]) -> bool:
    """Tell whether patterns name it; what they say of G holds for its average and for itself beside that."""
    key = name.removeprefix(RAW)
    return _named(key, patterns) or _named(f"generator: {key}", patterns)


def refuse_what_does_not_fit(
    title: str, unused: Sequence[str], missing: Sequence[str], ignore: Sequence[str], fresh: Sequence[str]
) -> None:
    """Raise UserError for what nobody named, and for patterns that name nothing."""
    for option, patterns, names in (("ignore", ignore, unused), ("fresh", fresh, missing)):
        for pattern in patterns:
            if not any(_meant(name, [pattern]) for name in names):
                what = "left over" if option == "ignore" else "missing"
                raise UserError(f"--{option} {pattern}: nothing of that name is {what}; leave the option out")
    left = [key for key in unused if not _meant(key, ignore)]
    unfilled = [name for name in missing if not _meant(name, fresh)]
    if left or unfilled:
        raise UserError(_what_does_not_fit(title, left, unfilled))


def refuse_negative_variances(parts: Mapping[str, Mapping[str, Tensor] | None]) -> None:
    """Raise UserError where a running variance, of the networks by what they are called, is below 0."""
    for part, tensors in parts.items():
        for name, value in (tensors or {}).items():
            if name.endswith("running_var") and bool((value < 0).any()):
                raise UserError(f"{part}: the variances of '{name}' are below 0: these statistics are none")


def shapes(tensors: Mapping[str, Tensor] | None) -> set[tuple[str, torch.Size]]:
    """Return what tensors there are, by name and shape."""
    return {(name, value.shape) for name, value in (tensors or {}).items()}


def _what_does_not_fit(title: str, left: Sequence[str], missing: Sequence[str]) -> str:
    parts = []
    if left:
        more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
        shown = ", ".join(left[:SHOWN])
        parts.append(f"{len(left)} keys are left over ({shown}{more}); --ignore PATTERN leaves them aside")
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        shown = ", ".join(missing[:SHOWN])
        parts.append(f"{len(missing)} tensors are not filled ({shown}{more}); --fresh PATTERN draws them anew")
    return f"these weights are not wholly {title}: {'; '.join(parts)}"
