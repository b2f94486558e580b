"""``biggan explore breed | mix | project``: what is made of single latents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from biggan.cli.explore_directions import TruncatedOption, write_points
from biggan.cli.parsing import read_options
from biggan.cli.progress import progress_bar
from biggan.cli.recording import MetadataOption
from biggan.cli.selection import class_named, parse_seeds
from biggan.cli.sheet_size import SheetSizeOption
from biggan.foundation.errors import UserError
from biggan.foundation.outputs import OverwriteOption, output_file, output_folder, refuse_source
from biggan.foundation.terminal import one_line, say

if TYPE_CHECKING:
    from biggan.exploring.points import Points
    from biggan.metrics.features import Extractor
    from biggan.sampling.sampler import Sampler


@dataclass(frozen=True, kw_only=True)
class BreedOptions(SheetSizeOption, TruncatedOption, MetadataOption, OverwriteOption):
    """Draw children of latents and classes, each of two parents that chance picks."""

    file: tyro.conf.Positional[str]
    """A run (its newest generator), a checkpoint, or a snapshot."""
    parents: tuple[str, ...]
    """SEED:CLASS (12:daisy, or 12:id:7), or FILE:NUMBER of children that were bred before, or FILE for all of them."""
    out: str = "children.png"
    """Picture to write; their latents are written beside it, with the ending .safetensors."""
    children: int = 16
    """How many."""
    crossover: Literal["blend", "genes"] = "blend"
    """blend: latents on the great circle between both parents, classes mixed alike; genes: each number of z (each chunk
    of a hierarchical latent) and the class are one parent's or the other's."""
    mutate: float = 0.2
    """0: mixtures alone; 1: new latents."""
    seed: int = 0
    """Of what chance decides."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


@dataclass(frozen=True, kw_only=True)
class MixOptions(SheetSizeOption, TruncatedOption, MetadataOption, OverwriteOption):
    """Mix styles: a row has the coarse parts of one latent, a column the fine parts of another."""

    file: tyro.conf.Positional[str]
    """A run (its newest generator), a checkpoint, or a snapshot."""
    coarse: tuple[str, ...] = ("0-4",)
    """Seeds of the rows, whose images are the first column."""
    fine: tuple[str, ...] = ("5-11",)
    """Seeds of the columns, whose images (with the class of the first row) are the first row."""
    classes: tuple[str, ...] = ()
    """Classes of the rows: one for all, or one for each. By default the first one for all."""
    at: int | None = None
    """How many parts are coarse: the first layer, and then each stage. By default half of the stages."""
    out: str = "mix.png"
    """Picture to write."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


@dataclass(frozen=True, kw_only=True)
class ProjectOptions(MetadataOption, OverwriteOption):
    """Look for the latent and the class of a picture."""

    file: tyro.conf.Positional[str]
    """A run (its newest generator), a checkpoint, or a snapshot."""
    picture: tyro.conf.Positional[str] = tyro.MISSING
    """An image file, cut about its centre and resized as for training."""
    out: str = "projection"
    """Folder to write into: projection.png, the film, losses.json and .png, latent.safetensors."""
    classes: tuple[str, ...] = ()
    """Its class, if it is known, or several to look among; all by default."""
    steps: int = 300
    """Of the optimisation."""
    starts: int = 8
    """Latents that are optimised side by side."""
    candidates: int = 512
    """Random latents of which the best become starts; at least two a class are drawn."""
    learning_rate: float = 0.05
    prior: float = 0.01
    """Weight of the mean square of z in the loss."""
    features: Literal[
        "none", "random", "vgg16", "inception", "inception-torchvision", "inception-pillow-bicubic", "dinov2", "clip"
    ] = "none"
    """Features whose differences count besides those of pixels: of a random network, or of one that was trained."""
    weights: Annotated[str | None, tyro.conf.arg(name="features.weights")] = None
    """Their weights file, for machines without a network."""
    feature_weight: float = 1.0
    """Their weight in the loss."""
    seed: int = 0
    """Of the candidates."""
    film: Literal["gif", "mp4", "none"] = "gif"
    """The way there; mp4 needs the extra "video"."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


def breed(words: list[str]) -> int:
    """Draw children."""
    options = read_options(BreedOptions, words, "biggan explore breed")
    out = output_file(options.out, overwrite=options.overwrite)
    latents = output_file(out.with_suffix(".safetensors"), overwrite=options.overwrite)
    from biggan.exploring import breeding
    from biggan.exploring.points import save_points
    from biggan.exploring.sheets import points_sheet
    from biggan.sampling.latents import check_truncation
    from biggan.sampling.pictures import check_picture, check_sheet, check_shown
    from biggan.sampling.sampler import load

    check_picture(out)
    check_shown(options.size)
    check_truncation(options.truncation, options.truncation_kind)
    if not options.parents:
        raise UserError("--parents: name at least one, SEED:CLASS or FILE:NUMBER")
    breeding.check_breeding(options.children, options.mutate, options.crossover)
    sampler = load(options.file, options.device)
    read = [Path(name) for word in options.parents for name in (word, word.rpartition(":")[0]) if name]
    refuse_source(latents, [*([sampler.path] if sampler.path else []), *read])
    columns = max(1, round(options.children**0.5))
    check_sheet(options.children, columns, sampler.info.architecture.resolution, "--children", options.children)
    parents = _parents(sampler, options)
    children = breeding.breed(
        parents,
        options.children,
        crossover=options.crossover,
        mutate=options.mutate,
        seed=options.seed,
        chunks=sampler.info.architecture.latent_slots,
    )
    about = f"{options.children} children of {', '.join(parents.titles)}"
    write_points(out, sampler, options, points_sheet(children, columns, about))
    save_points(children, sampler, latents)
    say(f"{options.children} children of {len(parents)} parents, each numbered by its row + its column: {out}")
    say(f"their latents: {latents}; parents again as {latents}:0 and so on")
    return 0


def _parents(sampler: Sampler, options: BreedOptions) -> Points:
    """Return the points that words name."""
    from biggan.exploring.points import joined, load_points, points_of

    parts: list[Points] = []
    how = options.truncation, options.truncation_kind
    for word in options.parents:
        head, _, tail = word.partition(":")
        if head.isascii() and head.isdecimal():
            (seed,) = parse_seeds([head], "--parents")
            if not tail and sampler.info.architecture.classes:
                raise UserError(f"--parents {one_line(word, 80)}: write SEED:CLASS, for example {head}:id:0")
            label = class_named(sampler, tail, f"--parents {one_line(word, 80)}") if tail else 0
            parts.append(points_of(sampler, [(seed, label)], *how))
            continue
        name, _, number = word.rpartition(":")
        if name and number.isascii() and number.isdecimal() and len(number) < 10:
            there = load_points(Path(name), sampler)
            if int(number) >= len(there):
                raise UserError(f"--parents {one_line(word, 200)}: it holds {len(there)} latents, from 0")
            parts.append(there[[int(number)]])
        elif Path(word).is_file():
            parts.append(load_points(Path(word), sampler))
        else:
            raise UserError(
                f"--parents {one_line(word, 200)}: write SEED:CLASS, or FILE:NUMBER of latents that were written"
            )
    return joined(parts)


def mix(words: list[str]) -> int:
    """Mix styles."""
    options = read_options(MixOptions, words, "biggan explore mix")
    out = output_file(options.out, overwrite=options.overwrite)
    coarse, fine = parse_seeds(options.coarse, "--coarse"), parse_seeds(options.fine, "--fine")
    from biggan.cli.selection import choose_classes
    from biggan.exploring.mixing import mixing_sheet
    from biggan.exploring.points import points_of
    from biggan.sampling.latents import check_truncation
    from biggan.sampling.pictures import check_picture, check_shown
    from biggan.sampling.sampler import load
    from biggan.sampling.two_latents import check_parts

    check_picture(out)
    check_shown(options.size)
    check_truncation(options.truncation, options.truncation_kind)
    sampler = load(options.file, options.device)
    at = check_parts(sampler.info.architecture, options.at)
    labels = choose_classes(sampler, options.classes) or [0]
    if len(labels) not in (1, len(coarse)):
        raise UserError(f"--classes: {len(labels)} for {len(coarse)} rows; name one for all, or one for each")
    labels = labels * len(coarse) if len(labels) == 1 else labels
    how = options.truncation, options.truncation_kind
    rows = points_of(sampler, list(zip(coarse, labels, strict=True)), *how)
    columns = points_of(sampler, [(seed, labels[0]) for seed in fine], *how)
    write_points(out, sampler, options, mixing_sheet(sampler, rows, columns, at))
    parts = sampler.info.architecture.doublings + 1
    say(f"rows: the first {at} of {parts} parts of {', '.join(rows.titles)}; columns: the others of seeds {fine}")
    say(str(out))
    return 0


def project(words: list[str]) -> int:
    """Look for the latent of a picture."""
    options = read_options(ProjectOptions, words, "biggan explore project")
    if Path(options.out).suffix.lower() in (".png", ".jpg", ".jpeg", ".webp", ".gif", ".mp4", ".webm"):
        raise UserError(
            f"--out {one_line(options.out)}: a projection is a folder, of pictures, losses and the latent; leave out "
            f"the ending, --out {one_line(str(Path(options.out).with_suffix('')))}"
        )
    folder = output_folder(options.out, overwrite=options.overwrite)
    from biggan.cli.selection import choose_classes
    from biggan.exploring.projection import ProjectionOptions
    from biggan.exploring.projection import project as look
    from biggan.exploring.projection_files import check_film, plots_are_there, read_picture, write_projection
    from biggan.sampling.sampler import load

    how = ProjectionOptions(
        steps=options.steps,
        starts=options.starts,
        candidates=options.candidates,
        learning_rate=options.learning_rate,
        feature_weight=options.feature_weight,
        prior=options.prior,
        seed=options.seed,
    )
    check_film(options.film, folder)
    sampler = load(options.file, options.device)
    picture = read_picture(Path(options.picture), sampler.info.architecture)
    classes = choose_classes(sampler, options.classes)
    features = _features(options, sampler)
    found = look(sampler, picture, how, classes=classes, features=features, progress=progress_bar("projecting", "step"))
    best = float(found.loss.total[found.best])
    name = sampler.class_names[found.label] if sampler.class_names else ""
    say(f"loss {found.start:.4f} of the best random latent, {best:.4f} after {found.best} of {options.steps} steps")
    if sampler.info.architecture.classes:
        say(f"class: {one_line(name)} (id:{found.label})" + ("" if len(classes) == 1 else ", which was searched"))
    for path in write_projection(sampler, found, folder, options.film, metadata=options.metadata):
        say(str(path))
    if not plots_are_there():
        say('no plot of the losses: pip install "biggan-torch[plots]"')
    return 0


def _features(options: ProjectOptions, sampler: Sampler) -> Extractor | None:
    if options.features == "none":
        if options.weights is not None:
            raise UserError("--features.weights: of which features? Name them with --features")
        return None
    from biggan.metrics.features import ExtractorOptions, make_extractor

    device = next(sampler.generator.parameters()).device
    weights = None if options.weights is None else Path(options.weights)
    return make_extractor(options.features, ExtractorOptions(device=device, weights=weights))
