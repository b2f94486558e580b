"""FreezeD (Mo, Cho and Shin 2020): the first stages of D, on the side of the image, stay as they are."""

from __future__ import annotations

from torch import nn

from biggan.foundation.errors import UserError
from biggan.models.contract import Discriminator


def frozen_stages(discriminator: Discriminator, count: int) -> tuple[nn.Module, ...]:
    """Return the modules of the first ``count`` stages of D, and of what comes before them.

    Raises:
        UserError: it has fewer stages.
    """
    stages = discriminator.get_submodule("stages")
    assert isinstance(stages, nn.ModuleList)
    if count > len(stages):
        raise UserError(f"--freeze-d {count}: D has {len(stages)} stages")
    stem = dict(discriminator.named_children()).get("stem")
    before = (stem,) if stem is not None and count else ()
    return (*before, *list(stages)[:count])
