"""Sheets of every class, and paths between points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import biggan
from biggan.models.contract import build
from biggan.sampling.interpolation import interpolation_sheet, path_through, spherical
from biggan.sampling.pictures import PAGE_PIXELS, check_sheet, enlargement, sheet
from biggan.sampling.sheets import class_sheets
from tests.conftest import FAMILIES, tiny


def test_sheets_show_every_class(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from biggan.sampling import sheets

    model = biggan.load(snapshot, device="cpu")
    monkeypatch.setattr(sheets, "PAGE_PIXELS", 16 * 16 * 3 * 4)  # four classes a page
    pages = list(class_sheets(model.generator, model.class_names, 3))
    assert len(pages) == 3
    assert [page.height for page in pages] == [2 + 18 * 4, 2 + 18 * 4, 2 + 18 * 2]


def test_sheets_show_values_as_they_are() -> None:
    images = torch.full((2, 1, 4, 4), 100, dtype=torch.uint8)
    pixels = np.asarray(sheet(images, 2))
    assert set(np.unique(pixels)) == {100, 255}


def test_spherical_paths_keep_the_norm() -> None:
    a, b = torch.randn(2, 128) * torch.tensor([[1.0], [1.3]])
    t = torch.linspace(0, 1, 21)
    path = spherical(a, b, t)
    assert torch.allclose(path[0], a, atol=1e-5)
    assert torch.allclose(path[-1], b, atol=1e-5)
    assert torch.allclose(path.norm(dim=1), a.norm() + (b.norm() - a.norm()) * t, rtol=1e-4)
    assert torch.allclose(spherical(a, a, t), a.expand(21, -1), atol=1e-5)
    steps = (path[1:] - path[:-1]).norm(dim=1)
    assert float(steps.max() / steps.min()) < 1.5


def test_paths_pass_through_their_points() -> None:
    points = torch.randn(3, 8)
    path = path_through(points, 4, "linear")
    assert len(path) == 9
    assert torch.allclose(path[::4], points)
    loop = path_through(points, 4, "linear", loop=True)
    assert len(loop) == 12
    assert torch.allclose(loop[::4], points)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("classes", [0, 10])
def test_interpolation_sheets(family: str, classes: int) -> None:
    generator = build(tiny(family, classes=classes)).generator.eval()
    sheets = {k: interpolation_sheet(generator, k, rows=3, columns=5).view(3, 5, -1) for k in ("zy", "z", "y")}
    assert sheets["zy"].shape == (3, 5, 256)
    if not classes:
        assert torch.equal(sheets["y"][:, :1].expand(-1, 5, -1), sheets["y"]), "nothing moves without classes"
    else:
        assert torch.equal(sheets["zy"][:, 0], sheets["z"][:, 0])
        assert not torch.equal(sheets["z"][:, -1], sheets["z"][:, 0])


def test_a_sheet_is_enlarged_as_far_as_it_stays_small_enough() -> None:
    assert [enlargement((side, 2 * side), 8, 4) for side in (16, 31, 32, 64, 256)] == [4, 3, 2, 1, 1]
    assert enlargement((16, 16), 8, 4, 1) == 1
    for images, columns in ((100_000, 300), (3000, 3000), (3000, 1)):
        factor = enlargement((16, 16), images, columns)
        check_sheet(images, columns, (16 * factor, 16 * factor))
        assert -(-images // columns) * columns * (16 * factor) ** 2 <= PAGE_PIXELS or factor == 1
