"""biggan evaluate reference: statistics of real images, as a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from biggan.cli.parsing import read_options
from biggan.cli.progress import progress_bar
from biggan.cli.together import open_at, with_ranks
from biggan.data.configuration import ReadingConfig
from biggan.evaluation.configuration import EvaluationConfig
from biggan.foundation.errors import UserError
from biggan.foundation.outputs import OverwriteOption, output_file
from biggan.foundation.sizes import Resolution
from biggan.foundation.terminal import say

if TYPE_CHECKING:
    from biggan.data.contract import ImageSource


@dataclass(frozen=True, kw_only=True)
class ReferenceOptions(OverwriteOption):
    """Compute the statistics of real images, and write them to a file if one is named."""

    data: str
    """The real images."""
    resolution: Resolution
    """Size at which they are compared."""
    features: str = "auto"
    """See biggan evaluate."""
    weights: Annotated[str | None, tyro.conf.arg(name="features.weights")] = None
    """Weights file of the features."""
    count: int = 50_000
    """Of how many images single rows are kept, for neighbour metrics and KID."""
    batch: int = 64
    """Images at a time."""
    out: str | None = None
    """File to write: .safetensors, or .npz with mu and sigma as pytorch-fid reads it."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


def main(words: list[str]) -> int:
    """Compute statistics."""
    options = read_options(ReferenceOptions, words, "biggan evaluate reference")

    out = None if options.out is None else output_file(options.out, overwrite=options.overwrite)
    if out is not None and out.suffix not in (".safetensors", ".npz"):
        raise UserError(f"--out {out}: statistics are written as .safetensors or .npz")
    asked = EvaluationConfig(
        features=options.features, weights=options.weights, count=options.count, batch=options.batch, metrics=("fid",)
    )

    def act(device: Any) -> int:
        from biggan.evaluation.checking import check_evaluation, features_name
        from biggan.evaluation.reference import mark_of, reference_of
        from biggan.evaluation.statistics_files import write_statistics
        from biggan.foundation import distributed
        from biggan.metrics.collected import CLASS_ROWS, MOMENTS, ROWS
        from biggan.metrics.features import ExtractorOptions, make_extractor

        def opened() -> ImageSource:
            source = open_at(ReadingConfig(path=options.data), options.resolution)
            check_evaluation(asked, source)
            return source

        source = distributed.together(opened, "opening --data")
        weights = None if options.weights is None else Path(options.weights)
        extractor = make_extractor(
            features_name(asked, source), ExtractorOptions(weights=weights, device=device, data=source)
        )
        found = reference_of(
            source,
            extractor,
            frozenset({MOMENTS, ROWS, CLASS_ROWS}),
            rows=options.count,
            handling=ReadingConfig().handling,
            block=options.batch,
            device=device,
            progress=progress_bar("real images"),
        )

        def write() -> None:
            cached = ", from the cache" if found.from_cache else ""
            say("\n".join([f"{found.protocol.count:,} images, {extractor.protocol}{cached}", *found.notes]))
            if out is not None and found.collected is not None:
                write_statistics(out, found.collected, mark_of(found, extractor, source))
                say(str(out))

        distributed.on_primary(write, "writing the statistics")
        return 0

    return with_ranks(options.device, act)
