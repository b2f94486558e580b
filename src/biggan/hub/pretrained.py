"""Weights as the users of model hubs expect them: ``from_pretrained``, ``save_pretrained``, ``push_to_hub``."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

from biggan.evaluation.records import METRICS_FILE, MetricRecord, as_line
from biggan.foundation.errors import UserError
from biggan.foundation.files import write_atomically, write_json
from biggan.foundation.outputs import output_folder
from biggan.foundation.tensor_files import read_header
from biggan.foundation.terminal import one_line
from biggan.hub.card import check_licence, model_card, numbers_of
from biggan.hub.places import fetch, lies_here, next_step
from biggan.hub.repositories import PREFIX, is_repository, require_token, upload
from biggan.models.export_file import Export, read_export, write_export
from biggan.models.snapshot import IN_FOLDER, find_snapshot, is_snapshot, write_snapshot
from biggan.sampling.sampler import Sampler, load

CARD, CONFIGURATION = "README.md", "config.json"


class PretrainedSampler(Sampler):
    """A sampler that can be given away."""

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, revision: str | None = None, device: str = "auto"
    ) -> PretrainedSampler:
        """Return the generator that ``name`` means, see :func:`from_pretrained`."""
        sampler = load(_snapshot(str(name), revision), device)
        return cls(sampler.generator, sampler.info, sampler.path, sampler.bank)

    def numbers(self) -> list[MetricRecord]:
        """Return what was measured of these weights, if the file they were read from lies beside it."""
        return numbers_of(self.path, self.info) if self.path is not None else []

    def save_pretrained(
        self, folder: str | Path, *, licence: str | None = None, name: str | None = None, overwrite: bool = False
    ) -> Path:
        """Write the generator, its card and its configuration into a folder; return the folder.

        ``model.safetensors`` holds all that is needed; ``config.json`` repeats its header for programs that do not read
        it, and nothing here reads it; ``metrics.jsonl`` holds the numbers of the card, if there are any. Of a file that
        training can go on from, all of that goes along.

        Args:
            folder: a new or an empty one.
            licence: of the weights, as the Hub writes it (``mit``); by default the card says that none is stated.
            name: what the card calls it; by default the folder.
            overwrite: whether files of the same names may be replaced.

        Raises:
            UserError: something is there already, the licence is not written so, or the disk is full.
        """
        check_licence(licence)
        export = self._whole()
        out = output_folder(folder, overwrite=overwrite, option="folder")
        numbers = [dataclasses.replace(record, file=IN_FOLDER) for record in self.numbers()]
        if export is not None:
            write_export(out / IN_FOLDER, export)
        else:
            bank = dict(self.bank.tensors) if self.bank is not None else None
            write_snapshot(out / IN_FOLDER, self.generator, self.info, bank)
        if numbers or (out / METRICS_FILE).exists():
            write_atomically(out / METRICS_FILE, "".join(f"{as_line(record)}\n" for record in numbers))
        write_json(out / CONFIGURATION, read_header(out / IN_FOLDER))
        write_atomically(out / CARD, model_card(self.info, numbers, licence=licence, name=name or str(folder)))
        return out

    def _whole(self) -> Export | None:
        """Return this generator with D and moments of the file that it came from; None if that holds no more."""
        if self.info.continuation is None or self.path is None:
            return None
        export = read_export(self.path)
        if export.info != self.info:
            raise UserError(f"{self.path} has changed since this generator was read from it; load it again")
        own = {name: tensor.cpu() for name, tensor in self.generator.state_dict().items()}
        return dataclasses.replace(export, sampled=own)

    def push_to_hub(self, repository: str, *, licence: str | None = None, private: bool = True) -> str:
        """Upload what :meth:`save_pretrained` writes to the Hugging Face Hub; return the address.

        Args:
            repository: ``owner/name``; it is created if it is not there.
            licence: as :meth:`save_pretrained` takes it.
            private: whether a repository that is created can be seen by its owner only.

        Raises:
            UserError: no token, no such owner, or the Hub says no.
        """
        check_licence(licence)
        repository = repository.removeprefix(PREFIX)
        if not is_repository(repository):
            raise UserError(f"'{one_line(repository, 200)}': a repository is written owner/name")
        require_token(repository)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, licence=licence, name=repository)
            return upload(Path(folder), repository, private=private, message="Weights and card")


def from_pretrained(name: str | Path, *, revision: str | None = None, device: str = "auto") -> PretrainedSampler:
    """Return a generator that was given away, ready for use.

    Args:
        name: a folder, a run, a checkpoint or a snapshot; ``file://``; an https address; a repository of the Hugging
            Face Hub (``owner/name``).
        revision: of a repository: branch, tag or commit.
        device: auto (cuda, then mps, then cpu), cpu, cuda or mps.

    Raises:
        UserError: nothing of that name, or weights of another implementation, which are to be converted first.
    """
    return PretrainedSampler.from_pretrained(name, revision=revision, device=device)


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where weights are given to."""

    folder: Path | None = None
    repository: str | None = None


def read_target(word: str) -> Target:
    """Return what the target of a push means: ``owner/name`` or ``hf://owner/name`` a repository, all else a folder.

    Raises:
        UserError: it could be either.
    """
    if word.startswith(PREFIX):
        if not is_repository(word):
            raise UserError(f"{one_line(word, 200)}: a repository is written {PREFIX}owner/name")
        return Target(repository=word.removeprefix(PREFIX))
    if not is_repository(word):
        return Target(folder=Path(word))
    if Path(word).exists() or Path(word).parent.exists():
        raise UserError(f"{word}: write ./{word} for the folder, or {PREFIX}{word} for the repository on the Hub")
    return Target(repository=word)


def _snapshot(name: str, revision: str | None) -> Path:
    """Return the snapshot that a name means, which is fetched if need be."""
    repository = is_repository(name) and not lies_here(name)
    found = fetch(name, revision=revision, file=IN_FOLDER if repository else None)
    if (found.path.is_file() or found.published is not None) and not is_snapshot(found.path):
        raise UserError(
            f"{one_line(name)}: weights of another implementation; first: {next_step(found.path, found.published)}"
        )
    return find_snapshot(found.path)
