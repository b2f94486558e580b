"""``biggan push``."""

from __future__ import annotations

from dataclasses import dataclass

import tyro

from biggan.cli.parsing import read_options
from biggan.foundation.errors import UserError
from biggan.foundation.outputs import OverwriteOption, output_folder
from biggan.foundation.terminal import one_line, say


@dataclass(frozen=True, kw_only=True)
class PushOptions(OverwriteOption):
    """Give a generator away: its snapshot and a card, into a folder or to a repository of the Hugging Face Hub."""

    file: tyro.conf.Positional[str]
    """A run (its newest generator), a checkpoint, or a snapshot."""
    target: tyro.conf.Positional[str]
    """A folder, or owner/name (hf://owner/name) for a repository, which takes a token of yours."""
    licence: str | None = None
    """Licence of the weights as the Hub writes it, for example mit or cc-by-nc-4.0. Without, the card says that none is
    stated."""
    public: bool = False
    """Let everybody see a repository that is created. Without this only its owner does."""
    dry_run: bool = False
    """Print the card and stop: nothing is written, nothing is sent."""


def main(words: list[str]) -> int:
    """Give away."""
    options = read_options(PushOptions, words, "biggan push")
    from biggan.hub.card import check_licence, model_card
    from biggan.hub.pretrained import PretrainedSampler, read_target
    from biggan.hub.repositories import require_token

    check_licence(options.licence)
    target = read_target(options.target)
    if target.folder is not None:
        output_folder(target.folder, overwrite=options.overwrite, option="target")
    elif not options.dry_run:
        require_token(str(target.repository))
    sampler = PretrainedSampler.from_pretrained(options.file, device="cpu")
    if options.dry_run:
        say(model_card(sampler.info, sampler.numbers(), licence=options.licence, name=options.target))
        where = f"{target.folder}" if target.folder is not None else f"the repository {target.repository}"
        say(f"dry run: nothing was written to {one_line(where)}")
        return 0
    if target.folder is not None:
        written = sampler.save_pretrained(target.folder, licence=options.licence, overwrite=options.overwrite)
        say(f"biggan.from_pretrained({str(written)!r}) loads what now lies in")
        say(str(written))
        return 0
    if options.overwrite:
        raise UserError("--overwrite: a repository keeps its history; leave it out")
    assert target.repository is not None
    say(sampler.push_to_hub(target.repository, licence=options.licence, private=not options.public))
    return 0
