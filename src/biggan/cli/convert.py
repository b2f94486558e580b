"""``biggan convert``: weights of other implementations to one file of ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from biggan.cli.parsing import read_options
from biggan.convert.facts import Facts
from biggan.foundation.errors import UserError
from biggan.foundation.outputs import OverwriteOption, output_file, output_folder, refuse_source
from biggan.foundation.terminal import say

if TYPE_CHECKING:
    from biggan.convert.importing import Converted


@dataclass(frozen=True, kw_only=True)
class ConvertOptions(OverwriteOption):
    """Read weights of BigGAN-PyTorch, mmgeneration, StudioGAN, pytorch-pretrained-BigGAN, TF-Hub or compare_gan.

    The result is a snapshot: sample it, evaluate it, or train on from it (biggan train PRESET --init FILE). The folder
    of a whole run of BigGAN-PyTorch can become a run directory instead, which goes on exactly. Nothing in the files is
    ever run.
    """

    source: tyro.conf.Positional[str]
    """A file of weights, or a folder of files that belong together."""
    out: tyro.conf.Positional[str]
    """The new file, ending in .safetensors; or a new run directory."""
    family: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """Whose weights these are: biggan-pytorch, mmgeneration, studiogan, huggingface, tfhub, compare-gan, diffaugment or
    ic-gan; by default their keys tell."""
    name: str | None = None
    """Which set of a folder that holds several, such as best0 or copy1."""
    raw: bool = False
    """Where one file holds raw and averaged variables, take the raw ones."""
    class_names: str | None = None
    """A file with one name a line, by class index; a thousand classes are taken for ImageNet's."""
    ignore: tuple[str, ...] = ()
    """Patterns of keys of theirs that may be left aside."""
    fresh: tuple[str, ...] = ()
    """Patterns of tensors of ours that may be drawn anew where theirs are missing."""
    preset: str = "biggan-pytorch-bs256x8"
    """For a run directory: the preset that supplies what the files' options do not say."""
    facts: Facts = field(default_factory=Facts)


def main(words: list[str]) -> int:
    """Convert."""
    options = read_options(ConvertOptions, words, "biggan convert")
    out = Path(options.out)
    if out.suffix == ".safetensors":
        output_file(out, overwrite=options.overwrite, option="DST")
    elif output_folder(out, overwrite=None, option="DST").suffix:
        raise UserError(f"DST {options.out}: a file must end in .safetensors, and the name of a run has no ending")
    names = None if options.class_names is None else _names(Path(options.class_names))
    from biggan.convert.gathering import gather
    from biggan.convert.importing import convert
    from biggan.convert.report import report
    from biggan.models.export_file import write_export

    weights = gather(Path(options.source), options.family, name=options.name, averaged=not options.raw)
    refuse_source(out, weights.files, option="DST")
    converted = convert(weights, options.facts, class_names=names, ignore=options.ignore, fresh=options.fresh)
    say(report(converted))
    if out.suffix:
        write_export(out, converted.export)
        say(str(out))
        return 0
    _adopt(converted, out, options.preset)
    say(f"go on: biggan train {options.preset} --run-dir {out} --data YOUR_IMAGES --duration 100Mi")
    return 0


def _adopt(converted: Converted, out: Path, preset: str) -> None:
    from biggan.presets.registry import get_preset
    from biggan.training.adopting import adopt, from_biggan_pytorch

    family = converted.weights.family.name
    if family != "biggan-pytorch":
        raise UserError(
            f"DST {out}: only runs of BigGAN-PyTorch tell how they were trained. Write a file that ends in "
            ".safetensors and train on from that: biggan train PRESET --init FILE"
        )
    config = from_biggan_pytorch(get_preset(preset).build(), converted.weights.options)
    adopt(converted.export, out, config, preset)


def _names(path: Path) -> list[str]:
    from biggan.foundation.records import read_bounded

    try:
        text = read_bounded(path, 2**24, f"--class-names {path}").decode("utf-8-sig")
        names = [line.strip() for line in text.removesuffix("\n").split("\n")]
    except UnicodeDecodeError as error:
        raise UserError(f"--class-names {path}: is not UTF-8 text") from error
    if len(set(names)) != len(names) or not all(name.strip() for name in names):
        raise UserError(f"--class-names {path}: every line must be a name, and each another one")
    return names
