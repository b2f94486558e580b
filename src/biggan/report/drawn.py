"""Sections of pictures that a run has drawn: samples over time, the newest sheets, nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from biggan.evaluation.evaluate import MEMORISATION_PICTURE
from biggan.foundation.names import clock_of
from biggan.report.document import Block, Missing, Picture, Pictures, Section, Text
from biggan.report.film import FIXED, SAMPLES
from biggan.report.runs import RunFiles, is_own
from biggan.report.settings import command

_MOST_OVER_TIME = 8
_SHEETS = {
    "classes": ("Every class", "a class a row, its name to the left"),
    "interpolation_zy": ("From latent to latent and class to class", "a path a row"),
    "interpolation_z": ("From latent to latent, of one class", "a path a row"),
    "interpolation_y": ("From class to class, of one latent", "a path a row"),
    "leak": ("Signs of augmentation", "clean reals, what D sees of them, and the fakes that look most like that"),
}


def samples(runs: Sequence[RunFiles]) -> Section:
    """Show the same latents at several clocks."""
    blocks: list[Block] = []
    share = _MOST_OVER_TIME if len(runs) == 1 else max(2, 12 // len(runs))
    for number, run in enumerate(runs):
        found = [(clock, folder / FIXED) for clock, folder in _folders(run) if is_own(run.path, folder / FIXED)]
        if not found:
            blocks.append(_none(run, "samples"))
            continue
        chosen = [found[place] for place in spread(len(found), share)]
        shown = tuple(
            Picture(
                path=path,
                name=f"samples-{number}-{clock}",
                alt=f"Samples of {run.name} after {clock:,} images",
                caption=f"{run.name}, {clock:,} images",
            )
            for clock, path in chosen
        )
        blocks.append(Text(text=f"{run.name}: the same latents and labels at {len(chosen)} of {len(found)} clocks."))
        blocks.append(Pictures(pictures=shown, small=True))
    return Section(name="samples", title="Samples over time", blocks=tuple(blocks))


def sheets(runs: Sequence[RunFiles]) -> Section:
    """Show the newest sheets."""
    blocks: list[Block] = []
    for number, run in enumerate(runs):
        folders = _folders(run)
        clock, folder = folders[-1] if folders else (0, Path())
        shown = [
            Picture(
                path=folder / f"{name}.png",
                name=f"{name.replace('_', '-')}-{number}",
                alt=f"{title}: a sheet of images of {run.name}",
                caption=f"{title}: {what} ({run.name}, {clock:,} images)",
            )
            for name, (title, what) in _SHEETS.items()
            if folders and is_own(run.path, folder / f"{name}.png")
        ]
        blocks.append(Pictures(pictures=tuple(shown)) if shown else _none(run, "sheets"))
        pages = len(list(folder.glob("classes_*.png"))) if folders else 0
        if pages:
            blocks.append(Missing(text=f"{pages} more pages of classes lie in {folder}."))
    return Section(name="sheets", title="Sheets", blocks=tuple(blocks))


def has_neighbours(run: RunFiles) -> bool:
    """Tell whether nearest neighbours were drawn."""
    return is_own(run.path, run.path / MEMORISATION_PICTURE)


def neighbours(runs: Sequence[RunFiles]) -> Section:
    """Show the samples that lie nearest to real images, beside those images."""
    blocks: list[Block] = []
    for number, run in enumerate(runs):
        path = run.path / MEMORISATION_PICTURE
        if has_neighbours(run):
            caption = f"{run.name}: a sample nearest to a real image, and the real images nearest to it, a row each"
            alt = f"Samples of {run.name} beside their nearest real images"
            picture = Picture(path=path, name=f"neighbours-{number}", alt=alt, caption=caption)
            blocks.append(Pictures(pictures=(picture,)))
        else:
            words = command("evaluate", run.path, "--metrics", "memorisation")
            blocks.append(Missing(text=f"{run.name} has no sheet of nearest neighbours; this makes it", command=words))
    return Section(name="neighbours", title="Nearest neighbours", blocks=tuple(blocks))


def spread(count: int, most: int) -> list[int]:
    """Return at most ``most`` places of 0..count-1, evenly, with the first and the last."""
    if count <= most:
        return list(range(count))
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})


def _folders(run: RunFiles) -> list[tuple[int, Path]]:
    """Return (clock, folder) of all that was drawn, in order."""
    found = {clock_of(folder.name): folder for folder in (run.path / SAMPLES).glob("*")}
    return sorted((clock, folder) for clock, folder in found.items() if clock is not None and folder.is_dir())


def _none(run: RunFiles, what: str) -> Missing:
    text = f"{run.path / SAMPLES} holds no {what}: training draws them every --log.samples-every images. This draws one"
    return Missing(text=text, command=command("sheet", run.path))
