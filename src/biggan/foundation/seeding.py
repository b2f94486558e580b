"""Random numbers that belong to a position and are stored nowhere.

Every draw derives from ``(seed, purpose, clock, position)``. The counter-based generator Philox
(Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") yields row ``position`` of a table without
the rows before it, so any rank, micro-batch or worker obtains exactly its own rows, and a resumed run
continues without a stored generator state.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

_WORDS_PER_BLOCK = 4  # Philox4x64 makes four 64-bit words for each value of its counter


def derive_seed(seed: int, purpose: str, clock: int = 0, bits: int = 63) -> int:
    """Return an integer of ``bits`` bits that depends on all arguments and on nothing else."""
    text = f"biggan:{seed}:{purpose}:{clock}".encode()
    return int.from_bytes(hashlib.sha256(text).digest(), "little") & ((1 << bits) - 1)


def words(seed: int, purpose: str, clock: int, first: int, count: int, columns: int) -> npt.NDArray[np.uint64]:
    """Return rows ``first .. first + count`` of an endless table of random words, uint64 [count, columns]."""
    blocks = -(-columns // _WORDS_PER_BLOCK)
    key = derive_seed(seed, purpose, clock, bits=128)
    # A numpy Philox steps its counter before use: counter c yields block c + 1. The offset is immaterial, but
    # must be the same for every first row, which it is. It makes float64 of this list where one word alone is 2^63 or
    # more, so that such keys have 53 bits a word: this stays, as all that was ever drawn depends on it.
    generator = np.random.Philox(
        key=[key & (2**64 - 1), key >> 64],
        counter=first * blocks,
    )
    raw = np.asarray(generator.random_raw(count * blocks * _WORDS_PER_BLOCK), dtype=np.uint64)
    return raw.reshape(count, blocks * _WORDS_PER_BLOCK)[:, :columns]


def uniforms(seed: int, purpose: str, clock: int, first: int, count: int, columns: int) -> npt.NDArray[np.float64]:
    """Return rows of numbers uniform in [0, 1), float64 [count, columns]."""
    return (words(seed, purpose, clock, first, count, columns) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normals(seed: int, purpose: str, clock: int, first: int, count: int, columns: int) -> npt.NDArray[np.float32]:
    """Return rows of standard normal numbers, float32 [count, columns].

    Box and Muller 1958: two uniforms make two independent normals. Computed in float64.
    """
    pairs = -(-columns // 2)
    u = uniforms(seed, purpose, clock, first, count, 2 * pairs)
    radius = np.sqrt(-2.0 * np.log1p(-u[:, :pairs]))
    angle = 2.0 * np.pi * u[:, pairs:]
    table = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return table[:, :columns].astype(np.float32)


def consecutive(positions: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the runs of consecutive numbers that make up ``positions`` [n], as (first, count), in their order."""
    if not len(positions):
        return []
    begins = np.flatnonzero(np.diff(positions, prepend=positions[0] - 2) != 1)
    counts = np.diff(begins, append=len(positions))
    return [(int(positions[begin]), int(count)) for begin, count in zip(begins, counts, strict=True)]


def uniforms_at(
    seed: int, purpose: str, clock: int, positions: npt.NDArray[np.int64], columns: int
) -> npt.NDArray[np.float64]:
    """Return the rows of ``positions`` [n] of numbers uniform in [0, 1), float64 [n, columns]."""
    rows = [uniforms(seed, purpose, clock, first, count, columns) for first, count in consecutive(positions)]
    return np.concatenate(rows) if rows else np.empty((0, columns))


def normals_at(
    seed: int, purpose: str, clock: int, positions: npt.NDArray[np.int64], columns: int
) -> npt.NDArray[np.float32]:
    """Return the rows of ``positions`` [n] of standard normal numbers, float32 [n, columns]."""
    rows = [normals(seed, purpose, clock, first, count, columns) for first, count in consecutive(positions)]
    return np.concatenate(rows) if rows else np.empty((0, columns), dtype=np.float32)


def permutation(seed: int, purpose: str, epoch: int, length: int) -> npt.NDArray[np.int64]:
    """Return the permutation of ``range(length)`` that belongs to ``(seed, purpose, epoch)``."""
    keys = words(seed, purpose, epoch, 0, 1, length)[0]
    return np.argsort(keys, kind="stable").astype(np.int64)
