"""What BigGAN-PyTorch calls our tensors, in the order in which its networks hold them, which is ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from biggan.convert.biggan_pytorch import FAMILY
from biggan.convert.translation import Translation
from biggan.foundation.compatibility import BIASED_NORM
from biggan.foundation.errors import UserError
from biggan.models.architecture import Architecture

_HEADS = {
    "class_embedding": "shared",
    "output_norm": "output_layer.0",
    "output_conv": "output_layer.2",
    "stem": "input_conv",
    "head.linear": "linear",
    "head.class_embedding": "embed",
}
_STATISTICS = {"running_mean": "stored_mean", "running_var": "stored_var"}


class OriginalNames:
    """Names of the tensors of one network."""

    def __init__(self, network: nn.Module, architecture: Architecture, name: str) -> None:
        """``network`` may be without memory; ``name`` is generator or discriminator."""
        self._depth = architecture.generator_depth if name == "generator" else 0
        self._biased = BIASED_NORM in architecture.compatibility
        own = network.state_dict()
        self._of = {key: list(self._theirs(key, tensor)) for key, tensor in own.items()}
        keys = [one for theirs in self._of.values() for one in theirs]
        make = FAMILY.generator if name == "generator" else FAMILY.discriminator
        assert make is not None
        # Of the shapes the importer looks at channels, which are the same, and at gamma's, which has none.
        state = {theirs: own[key] for key, all_ in self._of.items() for theirs in all_}
        state |= {theirs: torch.empty(1) for theirs in keys if theirs.endswith("accumulation_counter")}
        self.translation: Translation = make(state, FAMILY.defaults)
        self.keys = keys
        self.parameters = [theirs for key, _ in network.named_parameters() for theirs in self._of[key]]
        """In the order in which its optimizer holds them."""

    def state(self, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a state dict in their names and forms, each tensor with memory of its own.

        Raises:
            UserError: read back, it would not be the same.
        """
        theirs = {key: self._tensor(ours, key) for key in self.keys}
        back = self.translation.to_ours(theirs)
        for name, tensor in ours.items():
            if name not in back or not torch.equal(back[name], tensor):
                raise UserError(f"--to biggan-pytorch: '{name}' would be lost; the other formats hold every network")
        return theirs

    def moment(self, found: Mapping[str, Tensor], key: str, kind: str) -> Tensor | None:
        """Return a moment of their parameter ``key``; None if it has none."""
        ours = self.translation.entries[key].ours
        if f"{ours}/{kind}" not in found:
            return None
        if kind == "step":
            return found[f"{ours}/{kind}"].clone()
        return self.translation.to_theirs({ours: found[f"{ours}/{kind}"]}, key).clone()

    def _tensor(self, ours: Mapping[str, Tensor], key: str) -> Tensor:
        if key.endswith("accumulation_counter"):
            return torch.zeros(1)
        return self.translation.to_theirs(ours, key).clone(memory_format=torch.contiguous_format)

    def _theirs(self, key: str, tensor: Tensor) -> Iterable[str]:
        """Yield their names of our tensor ``key``, several where it has several rows."""
        path, _, leaf = key.rpartition(".")
        if leaf in _STATISTICS:
            module = self._module(path.removesuffix(".norm")) + (".bn" if self._biased else "")
            yield f"{module}.{_STATISTICS[leaf]}"
            if self._biased and leaf == "running_var":
                yield f"{module}.accumulation_counter"
        elif leaf == "u":
            for row in range(len(tensor)):
                yield f"{self._module(path)}.u{row}"
                yield f"{self._module(path)}.sv{row}"
        elif leaf != "sigma":  # which goes with u
            yield f"{self._module(path)}.{leaf}"

    def _module(self, path: str) -> str:
        """Return their path of one of our modules."""
        match = re.fullmatch(r"stages\.(\d+)\.(\d+)(\..+)?", path)
        if match is None:
            return _HEADS.get(path, path)
        stage, place, inner = int(match[1]), int(match[2]), match[3] or ""
        inner = re.sub(r"\.norm(\d)", r".bn\1", inner)
        inner = re.sub(r"\.(shortcut|added)\b", ".conv_sc", inner)
        if not self._depth:  # D: a list a stage
            return f"blocks.{stage}.{place}{inner}"
        block = min(place, self._depth - 1)  # G numbers its blocks through; attention follows the last of a stage
        return f"blocks.{stage * self._depth + block}.{place - block}{inner}"
