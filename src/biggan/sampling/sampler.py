"""A generator ready for use: classes by name or index, seeds, truncation -> images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from biggan.foundation.compiling import Compiler
from biggan.foundation.devices import choose_device
from biggan.foundation.errors import UserError, suggested
from biggan.foundation.launch import local_rank
from biggan.foundation.terminal import complain, one_line
from biggan.layers.normalization import batch_norms
from biggan.models.contract import Generator
from biggan.models.norm_records import TruncationKind
from biggan.models.snapshot import SnapshotInfo, find_snapshot, naming_another, read_with_bank
from biggan.sampling.bank import Bank, checked_bank
from biggan.sampling.draw import Call, draw
from biggan.sampling.latents import latents
from biggan.sampling.refinement import Refiner
from biggan.sampling.statistics import NormStatistics, norm_statistics

Network = TypeVar("Network", bound=nn.Module)


class Sampler:
    """What ``biggan.load`` returns.

    Attributes:
        generator: the network, in evaluation mode.
        class_names: by class index; empty without classes.
        info: architecture, provenance, images seen.
        path: the file it was read from.
        bank: statistics of batch norm by truncation, if the file holds such.
        compiler: compiles the generator when it is first called; None to run it as it is written.
        refiner: chooses latents by D's judgement; None to draw those of the seeds.
    """

    def __init__(
        self,
        generator: Generator,
        info: SnapshotInfo,
        path: Path | None = None,
        bank: Bank | None = None,
        compiler: Compiler | None = None,
    ) -> None:
        self.generator, self.info, self.path, self.bank, self.compiler = generator, info, path, bank, compiler
        self.class_names = info.class_names
        self.refiner: Refiner | None = None
        self._at: tuple[float, Generator] | None = None
        self._compiled: tuple[Generator, Call] | None = None

    def class_index(self, name: str | int) -> int:
        """Return the index of a class.

        Args:
            name: an int is an index; a word that is a class name is that class, even if it looks like a number, and
                so is one that differs from it by capitals and spaces only; ``id:7`` is an index.

        Raises:
            UserError: no such class; five names are listed, the nearest if any is near.
        """
        classes = self.info.architecture.classes
        if isinstance(name, str):
            named = self.named(name)
            if named is not None:
                return named
            prefix, _, number = name.partition(":")
            if prefix != "id" or not re.fullmatch("[0-9]{1,9}", number):
                names = self.class_names
                there = suggested(name, names, "classes are ") if names else "the classes have no names"
                raise UserError(f"no class '{one_line(name)}'; {there} (an index is written id:7; there are {classes})")
            name = int(number)
        if not 0 <= name < max(classes, 1):
            raise UserError(
                f"no class with index {name}: there are {classes}, from 0"
                if classes
                else "this generator is unconditional: leave out the classes"
            )
        return name

    def named(self, word: str) -> int | None:
        """Return the index of the class that ``word`` names; None if there is none.

        Exactly; or without regard to capitals and spaces, if one class alone fits then.
        """
        if word in self.class_names:
            return self.class_names.index(word)
        alike = [index for index, own in enumerate(self.class_names) if _plain(own) == _plain(word)]
        return alike[0] if len(alike) == 1 else None

    def sample(
        self,
        classes: Sequence[str | int] | None = None,
        seeds: Sequence[int] = (0,),
        truncation: float | None = None,
        kind: str = "resample",
        chunk: int | None = None,
    ) -> Tensor:
        """Return images uint8 [N, C, H, W] on the CPU.

        Image i depends on its seed and class only, not on its neighbours (to float noise).

        Args:
            classes: names or indices, paired with the seeds; one entry is repeated. By default classes cycle.
            seeds: paired with the classes; one entry is repeated.
            truncation: T; None draws from the whole prior.
            kind: how to truncate: resample, scale, clamp or tfhub.
            chunk: images drawn at a time. A compiled generator has a graph for each: give the same in every call.

        Raises:
            UserError: an unknown class, lists of different lengths, or a truncation out of range.
        """
        if classes is None:
            labels = [i % max(self.info.architecture.classes, 1) for i in range(len(seeds))]
        else:
            labels = [self.class_index(name) for name in classes]
        count = max(len(labels), len(seeds))
        if len(labels) not in (1, count) or len(seeds) not in (1, count):
            raise UserError(f"{len(labels)} classes and {len(seeds)} seeds cannot be paired; give equally many, or one")
        labels = labels * count if len(labels) == 1 else labels
        seeds = list(seeds) * count if len(seeds) == 1 else list(seeds)
        generator, condition = self.at_truncation(truncation, kind), torch.tensor(labels, dtype=torch.int64)
        if self.refiner is None:
            z = latents(seeds, self.info.architecture.z_size, truncation, kind)
        else:
            z = self.refiner.at(truncation, kind).latents(seeds, condition, chunk)
        return draw(generator, z, condition, chunk, self._call(generator))

    def at_truncation(self, truncation: float | None, kind: str = "resample") -> Generator:
        """Return the generator with the statistics of batch norm that fit a truncation.

        With a bank (``biggan calibrate``) of that kind these are its standing statistics, between two of its
        truncations their linear interpolation, beyond its ends those of the end. Without one it is :attr:`generator`.
        """
        if truncation is None or self.bank is None or self.bank.record.kind != kind:
            return self.generator
        if self._at is None or self._at[0] != truncation:
            self._at = truncation, self.bank.at(self.generator, truncation)
        return self._at[1]

    def _call(self, generator: Generator) -> Call | None:
        """Return ``generator`` as a compiled function, the same for the same one; None if nothing is compiled."""
        if self.compiler is None:
            return None
        if self._compiled is None or self._compiled[0] is not generator:
            self._compiled = generator, self.compiler(generator)
        return self._compiled[1]

    def statistics(self, truncation: float | None, kind: TruncationKind = "resample") -> NormStatistics:
        """Return which statistics of batch norm a truncation is drawn with; ``str`` of it is a sentence."""
        return norm_statistics(
            batch_norm=bool(batch_norms(self.generator)),
            standing=self.info.standing_statistics,
            bank=None if self.bank is None else self.bank.record,
            truncation=truncation,
            kind=kind,
        )


def _plain(name: str) -> str:
    """Return ``name`` without what people do not type twice alike: capitals, and what stands for a space."""
    return " ".join(name.replace("_", " ").casefold().split())


def load(path: str | Path, device: str = "auto", *, compiled: bool = False) -> Sampler:
    """Return the generator of a run, a checkpoint or a snapshot, ready for use.

    Args:
        path: a run directory (its newest generator), a checkpoint directory, or a snapshot file.
        device: auto (cuda, then mps, then cpu), cpu, cuda or mps; under torchrun the GPU of this process.
        compiled: whether sampling compiles the generator by torch.compile: the first images take a minute or more
            then, the others are faster, and the same to float noise. Where that cannot be it is said once on standard
            error, and images are drawn plainly.

    Raises:
        UserError: nothing there, damaged, or weights that do not fit.
    """
    found = find_snapshot(Path(path))
    with naming_another(Path(path), found):
        generator, info, tensors = read_with_bank(found)
    record = info.truncation_bank
    bank = None if record is None else checked_bank(record, tensors, generator, str(found))
    compiler = Compiler(tell=complain) if compiled else None
    return Sampler(placed(generator, choose_device(device, local_rank())), info, found, bank, compiler)


def placed(network: Network, device: torch.device) -> Network:
    """Return ``network`` on ``device``, its filters as they are drawn with fastest there.

    On a CPU that is with the channels innermost. On a GPU (H200, float32, 128 px) it made no difference for one image
    at a time, and was slower for eight.
    """
    layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
    return network.to(device).to(memory_format=layout)
