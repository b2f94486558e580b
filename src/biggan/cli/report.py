"""``biggan report RUN...``, ``biggan report compare RUN`` and ``biggan report health RUN``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from biggan.cli.parsing import read_options
from biggan.foundation.errors import UserError, nearest
from biggan.foundation.files import format_bytes
from biggan.foundation.outputs import OverwriteOption, output_file
from biggan.foundation.terminal import one_line, say


@dataclass(frozen=True, kw_only=True)
class ReportOptions(OverwriteOption):
    """Make one file of all that the runs' files hold, to be read in a browser or printed.

    biggan report compare RUN and biggan report health RUN make one plot.
    """

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Run directories; several are shown beside each other, what differs first."""
    out: str = "report.html"
    """The report: .html is one file, .md has its pictures in a folder beside it."""
    names: tuple[str, ...] = ()
    """What the runs are called, by default as their directories are."""
    log: str | None = None
    """Another log in place of the published one: CSV with iteration (of 2048 images), inception_score, fid."""
    compute: bool = False
    """Make what is missing of metrics, truncation and nearest neighbours, as biggan evaluate does, into the runs."""
    count: int = 2000
    """Images for each of these."""
    truncations: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    """The truncations of the curve."""
    features: str = "auto"
    """Features of the metrics, see biggan evaluate."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


@dataclass(frozen=True, kw_only=True)
class CompareOptions(OverwriteOption):
    """Show a run's metrics over images seen, and where the published log of BigGAN-PyTorch lies."""

    run: tyro.conf.Positional[str]
    """A run directory with metrics.jsonl."""
    log: str | None = None
    """Another log of the same protocol: CSV with iteration (of 2048 images), inception_score, fid."""
    out: str | None = None
    """The plot, .png or .svg; by default compare.png in the run directory."""


@dataclass(frozen=True, kw_only=True)
class HealthOptions(OverwriteOption):
    """Show the looks at the health of a run over images seen, and what was found."""

    run: tyro.conf.Positional[str]
    """A run directory with stats.jsonl."""
    out: str | None = None
    """The plot, .png or .svg; by default health.png in the run directory."""


def main(words: list[str]) -> int:
    """Find the sub-command, or make the report."""
    commands = {"compare": _compare, "health": _health}
    if not words:
        usages = "\n       ".join(f"biggan report {name} RUN [OPTIONS]" for name in commands)
        say(f"usage: biggan report RUN... [OPTIONS]\n       {usages}\n\nbiggan report --help tells the options.")
        return 2
    if words[0] in commands:
        return commands[words[0]](words[1:])
    if not words[0].startswith("-") and not Path(words[0]).exists():
        known = ", ".join(nearest(words[0], commands))
        raise UserError(
            f"report {one_line(words[0], 200)}: there is no such run, and no such command; nearest: {known}"
        )
    return _report(words)


def _report(words: list[str]) -> int:
    options = read_options(ReportOptions, words, "biggan report")
    from biggan.report.compare import PUBLISHED, PUBLISHED_SOURCE, published_log
    from biggan.report.runs import check_runs, read_run
    from biggan.report.writing import check_output, put_together, write

    runs = check_runs(options.runs, options.names)
    out = check_output(options.out, overwrite=options.overwrite)
    log = published_log(Path(options.log) if options.log else PUBLISHED)
    if options.compute:
        for _, path in runs:
            _compute(options, path)
    document = put_together([read_run(name, path) for name, path in runs], log, options.log or PUBLISHED_SOURCE)
    size = write(document, out)
    say(f"{out} ({format_bytes(size)})")
    return 0


def _health(words: list[str]) -> int:
    options = read_options(HealthOptions, words, "biggan report health")
    from biggan.foundation.plots import check_figure
    from biggan.report.health import lines, plot, read_looks

    run = Path(options.run)
    out = output_file(run / "health.png" if options.out is None else options.out, overwrite=options.overwrite)
    check_figure(out)
    looks = read_looks(run)
    say("\n".join(lines(looks)))
    plot(looks, out)
    say(str(out))
    return 0


def _compare(words: list[str]) -> int:
    options = read_options(CompareOptions, words, "biggan report compare")
    from biggan.evaluation.records import comparable_groups
    from biggan.foundation.plots import check_figure
    from biggan.report.compare import PUBLISHED, PUBLISHED_SOURCE, compare, plot, published_log, read_metrics

    run = Path(options.run)
    given = run / "compare.png" if options.out is None else options.out
    out = output_file(given, overwrite=options.overwrite)
    check_figure(out)
    log = published_log(Path(options.log) if options.log else PUBLISHED)
    records = read_metrics(run)
    for group in comparable_groups(records):
        latest = group[-1]
        say(f"{latest.images_seen:>12,} images  {latest.value:12.4f}  {latest.protocol}")
    found, refused = compare(records, log)
    say(f"\nthe log: {options.log or PUBLISHED_SOURCE}")
    for line in [*map(str, found), *(f"not compared: {reason}" for reason in refused)]:
        say(line)
    plot(records, log, out)
    say(str(out))
    return 0


def _compute(options: ReportOptions, run: Path) -> None:
    """Make what a run lacks, by the commands that the report would name, which keep it beside the run."""
    from biggan.cli.evaluate import main as evaluate
    from biggan.report.drawn import has_neighbours
    from biggan.report.measured import has_metrics, has_truncation
    from biggan.report.runs import read_run

    found = read_run(run.name, run)
    how = ["--count", str(options.count), "--features", options.features, "--device", options.device]
    if not has_metrics(found):
        evaluate([str(run), *how])
    if not has_neighbours(found):
        evaluate([str(run), *how, "--metrics", "memorisation"])
    if not has_truncation(found):
        evaluate(["truncation", str(run), *how, "--truncations", *map(str, options.truncations)])
