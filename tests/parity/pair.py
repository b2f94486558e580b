"""The networks of a case, in ours, and the way back to the reference's names."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from biggan.convert.biggan_pytorch import Imported, facts_from_options, import_states
from biggan.convert.biggan_pytorch_names import discriminator_names, export_entry, generator_names
from biggan.models.contract import build
from tests.parity.case import Case

CPU = torch.device("cpu")


class Pair:
    """The case's networks in ours, and the way back to the reference's names."""

    def __init__(self, case: Case, dtype: torch.dtype = torch.float32) -> None:
        g_state, d_state = case.state("G", dtype), case.state("D", dtype)
        self.imported: Imported = import_states(
            g_state or None, d_state or None, facts_from_options(case.settings["config"])
        )
        networks = build(self.imported.architecture)
        self.G = networks.generator.to(dtype)
        self.D = networks.discriminator.to(dtype)
        if self.imported.generator is not None:
            self.G.load_state_dict(self.imported.generator)
        if self.imported.discriminator is not None:
            self.D.load_state_dict(self.imported.discriminator)
        architecture = self.imported.architecture
        self.names = {
            "G": generator_names(architecture, g_state),
            "D": discriminator_names(architecture, d_state),
        }
        self.has = {"G": self.imported.generator is not None, "D": self.imported.discriminator is not None}

    def theirs(self, network: str, ours: Mapping[str, Tensor], key: str, counter: float = 0.0) -> Tensor:
        """Return the entry ``key`` of the reference from tensors in our names."""
        if key.endswith("accumulation_counter"):
            return torch.tensor([counter])
        return export_entry(self.names[network], ours, key)
