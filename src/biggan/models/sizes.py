"""Which image sizes are possible: (h0 * 2**k, w0 * 2**k) with h0, w0 in 3..16 and sides of 16 to 1024 pixels."""

from __future__ import annotations

from biggan.foundation.errors import UserError
from biggan.foundation.sizes import parse_size

SMALLEST_GRID, LARGEST_GRID = 3, 16
SMALLEST_SIDE, LARGEST_SIDE = 16, 1024


def parse_resolution(text: str) -> tuple[int, int]:
    """Return (height, width) for ``"128"`` or ``"256x64"``.

    Raises:
        UserError: neither form, or a size that cannot be built.
    """
    height, width = parse_size(text)
    bottom_grid(height, width)
    return height, width


def _grids(height: int, width: int) -> list[tuple[int, int]]:
    """Return every legal bottom grid of a size, largest first."""
    found = []
    for k in range(1, 9):
        h0, w0 = height >> k, width >> k
        if (h0 << k, w0 << k) == (height, width) and min(h0, w0) >= SMALLEST_GRID and max(h0, w0) <= LARGEST_GRID:
            found.append((h0, w0))
    return found


def bottom_grid(height: int, width: int) -> tuple[int, int]:
    """Return the grid (h0, w0) from which an image of this size grows: the smallest with sides of 4 or more.

    128x128 grows from 4x4, 96x96 from 6x6, 256x64 from 16x4; 256x48 has no such grid and grows from 16x3.

    Raises:
        UserError: the size is not of the form (h0 * 2**k, w0 * 2**k); the nearest legal sizes are named.
    """
    grids = _grids(height, width) if _in_range(height, width) else []
    if not grids:
        names = ", ".join(_name(size) for size in nearest_sizes(height, width))
        raise UserError(
            f"--resolution {_name((height, width))} cannot be built: sides must be h0 x 2^k and w0 x 2^k with one k, "
            f"h0 and w0 in {SMALLEST_GRID}..{LARGEST_GRID}, {SMALLEST_SIDE} to {LARGEST_SIDE} pixels; nearest: {names}"
        )
    usual = [grid for grid in grids if min(grid) >= 4]  # no next() with a default: PyTorch 2.8 cannot compile it
    return (usual or grids)[-1]


def nearest_sizes(height: int, width: int, count: int = 3) -> list[tuple[int, int]]:
    """Return the ``count`` legal sizes nearest to the one asked for; squares for a square."""
    sizes = set()
    for k in range(1, 9):
        for h0 in range(SMALLEST_GRID, LARGEST_GRID + 1):
            for w0 in [h0] if height == width else range(SMALLEST_GRID, LARGEST_GRID + 1):
                if _in_range(h0 << k, w0 << k):
                    sizes.add((h0 << k, w0 << k))
    return sorted(sizes, key=lambda size: (abs(size[0] - height) + abs(size[1] - width), size))[:count]


def _in_range(height: int, width: int) -> bool:
    return min(height, width) >= SMALLEST_SIDE and max(height, width) <= LARGEST_SIDE


def _name(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
