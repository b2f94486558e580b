"""The networks of a case, in ours, and the way back to the reference's names."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from biggan.convert.contract import FOREIGN, Imported, import_networks
from biggan.models.contract import build
from tests.parity.case import Case

CPU = torch.device("cpu")
NETWORKS = {"G": "generator", "D": "discriminator"}


class Pair:
    """The case's networks in ours, and the way back to the reference's names."""

    def __init__(self, case: Case, dtype: torch.dtype = torch.float32, family: str = "biggan-pytorch") -> None:
        foreign = FOREIGN[family]
        facts = foreign.facts_from_options(case.settings["config"])
        self.imported: Imported = import_networks(
            foreign, case.state("G", dtype) or None, case.state("D", dtype) or None, facts
        )
        if self.imported.unused or self.imported.missing:
            raise ValueError(f"unused {self.imported.unused}, missing {self.imported.missing}")
        networks = build(self.imported.architecture)
        self.G = networks.generator.to(dtype)
        self.D = networks.discriminator.to(dtype)
        if self.imported.generator is not None:
            self.G.load_state_dict(self.imported.generator)
        if self.imported.discriminator is not None:
            self.D.load_state_dict(self.imported.discriminator)
        self.bgr = family == "mmgeneration"
        self.counters = {key: value for key, value in case.state("G").items() if key.endswith("num_batches_tracked")}
        self.has = {"G": self.imported.generator is not None, "D": self.imported.discriminator is not None}

    def theirs(self, network: str, ours: Mapping[str, Tensor], key: str, counter: float = 0.0) -> Tensor:
        """Return the entry ``key`` of the reference from tensors in our names."""
        if key.endswith("accumulation_counter"):
            return torch.tensor([counter])
        if key.endswith("num_batches_tracked"):
            return self.counters[key] + 1  # of the one training forward; nothing is computed from it
        return self.imported.translations[NETWORKS[network]].to_theirs(ours, key)

    def colours(self, images: Tensor) -> Tensor:
        """Return images [N, 3, H, W] in the order of colours that the reference uses; the same function leads back."""
        return images.flip(1) if self.bgr else images

    def ours(self, network: str, key: str) -> str:
        """Return our name of the reference's tensor ``key``."""
        return self.imported.translations[NETWORKS[network]].entries[key].ours
