"""From seeds to latents. Seed s always means the same z, whatever is drawn beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biggan.foundation.errors import UserError, unknown
from biggan.foundation.seeding import normals
from biggan.models.norm_records import check_range

TRUNCATION_KINDS = {
    "resample": "redraw every value beyond T until it is within (the paper, section 3.1)",
    "scale": "T times z",
    "clamp": "cut values off at T",
    "tfhub": "T times a normal truncated at 2 (the TF-Hub modules' helper)",
}
LARGEST_SEED = 2**63 - 1
_TRIES = 64  # candidates drawn at a time for values that were beyond


def latents(
    seeds: Sequence[int], size: int, truncation: float | None = None, kind: str = "resample", candidate: int = 0
) -> Tensor:
    """Return one latent a seed, float32 [N, size].

    Args:
        seeds: not negative; equal seeds give equal latents.
        size: length of z.
        truncation: T; None draws from the whole prior.
        kind: one of ``TRUNCATION_KINDS``.
        candidate: which of a seed's latents; 0 is what the seed means, others are for who may choose among them.

    Raises:
        UserError: an unknown kind, or T out of range.
    """
    check_truncation(truncation, kind)
    if len(seeds) and not (min(seeds) >= 0 and max(seeds) <= LARGEST_SEED):
        wrong = min(seeds) if min(seeds) < 0 else max(seeds)
        raise UserError(f"--seeds {wrong}: seeds are not negative, and at most {LARGEST_SEED}")
    purpose = f"sample candidate {candidate}" if candidate else "sample"
    rows = [_row(seed, size, truncation, kind, purpose) for seed in seeds]
    return torch.from_numpy(np.stack(rows) if rows else np.zeros((0, size), dtype=np.float32))


def check_truncation(truncation: float | None, kind: str, option: str = "--truncation") -> None:
    """Check a truncation before any work.

    Raises:
        UserError: an unknown kind, or T out of range.
    """
    if kind not in TRUNCATION_KINDS:
        raise unknown(f"{option}-kind", kind, TRUNCATION_KINDS)
    check_range(truncation, option)


def _row(seed: int, size: int, truncation: float | None, kind: str, purpose: str) -> npt.NDArray[np.float32]:
    z = normals(0, purpose, 0, seed, 1, size)[0]
    if truncation is None:
        return z
    if kind == "scale":
        return z * np.float32(truncation)
    if kind == "clamp":
        return np.clip(z, -truncation, truncation).astype(np.float32)
    if kind == "tfhub":
        return _redraw(z, seed, 2.0, purpose) * np.float32(truncation)
    return _redraw(z, seed, truncation, purpose)


def _redraw(z: npt.NDArray[np.float32], seed: int, bound: float, purpose: str) -> npt.NDArray[np.float32]:
    """Replace each value beyond ``bound`` by the first within it of the seed's further draws."""
    z = z.copy()
    attempt = 1
    while (beyond := np.flatnonzero(np.abs(z) > bound)).size:
        candidates = normals(0, purpose, attempt, seed, 1, len(z) * _TRIES)[0].reshape(_TRIES, len(z))[:, beyond]
        within = np.abs(candidates) <= bound
        found = within.any(axis=0)
        first = within.argmax(axis=0)
        z[beyond[found]] = candidates[first[found], np.flatnonzero(found)]
        attempt += 1
    return z
