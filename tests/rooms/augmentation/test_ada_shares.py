"""What ADA can be told beside p: how often colours change, and that images are cut."""

from __future__ import annotations

import pytest
import torch

from biggan.augmentation.ada import PARTS, AdaPipeline
from biggan.foundation.chance import Chance
from biggan.foundation.errors import UserError


def test_colour_has_its_share_of_p_and_geometry_all() -> None:
    """Of many images as many change as the share says, and the same numbers decide: fewer, and none besides."""
    places = torch.arange(4000)
    x = torch.linspace(-0.5, 0.5, 48).reshape(1, 3, 4, 4).expand(4000, 3, 4, 4)

    def changed(part: str, colour: float) -> torch.Tensor:
        pipeline = AdaPipeline(p=0.6, without=tuple(set(PARTS) - {part}), colour=colour)
        return (pipeline.view(x, Chance(7, 0, places)) != x).flatten(1).any(dim=1)

    whole, half = changed("brightness", 1.0), changed("brightness", 0.5)
    assert abs(float(whole.float().mean()) - 0.6) < 0.03
    assert abs(float(half.float().mean()) - 0.3) < 0.03
    assert not bool((half & ~whole).any())
    assert torch.equal(changed("scale", 1.0), changed("scale", 0.5))
    with pytest.raises(UserError, match=r"ADA's colour is 1[.]5"):
        AdaPipeline(p=0.5, colour=1.5)


def test_cutout_takes_a_rectangle_of_half_the_sides() -> None:
    places = torch.arange(2000)
    x = torch.ones(2000, 1, 16, 8)
    seen = AdaPipeline(p=0.5, without=PARTS, cutout=True).view(x, Chance(7, 0, places))
    assert torch.equal(AdaPipeline(p=0.5, without=PARTS).view(x, Chance(7, 0, places)), x)
    gone = seen[:, 0] == 0
    assert torch.equal(seen[:, 0][~gone], torch.ones(int((~gone).sum())))
    assert abs(float(gone.flatten(1).any(dim=1).float().mean()) - 0.5) < 0.04
    for image in gone[gone.flatten(1).any(dim=1)][:50]:
        rows, columns = image.any(dim=1), image.any(dim=0)
        assert torch.equal(image, rows[:, None] & columns), "one rectangle"
        assert int(rows.sum()) <= 8
        assert int(columns.sum()) <= 4
    inner = gone[:, 4:12, 2:6].flatten(1).any(dim=1)
    assert int(gone.flatten(1).sum(dim=1)[inner].max()) == 32
