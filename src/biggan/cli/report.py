"""``biggan report compare RUN`` and ``biggan report health RUN``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from biggan.foundation.errors import UserError, nearest
from biggan.foundation.outputs import OverwriteOption, output_file
from biggan.foundation.terminal import say


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
    """Find the sub-command."""
    commands = {"compare": _compare, "health": _health}
    if not words or words[0] in ("-h", "--help"):
        usages = "\n       ".join(f"biggan report {name} RUN [OPTIONS]" for name in commands)
        say(f"usage: {usages}\n\nbiggan report compare --help tells the options.")
        return 0 if words else 2
    if words[0] not in commands:
        raise UserError(f"unknown command 'report {words[0]}'; nearest: {', '.join(nearest(words[0], commands))}")
    return commands[words[0]](words[1:])


def _health(words: list[str]) -> int:
    options = tyro.cli(HealthOptions, args=words, prog="biggan report health")
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
    options = tyro.cli(CompareOptions, args=words, prog="biggan report compare")
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
